"""Read a published corpus or a tool's export (configs/import_data.yaml, docs/importing.md).

python scripts/import_data.py format=newsmtsc input=train.jsonl output=records.jsonl
"""

from stance.entry import import_data

if __name__ == "__main__":
    import_data()
