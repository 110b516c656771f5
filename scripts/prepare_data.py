"""Join our labels with your copy of a corpus (configs/prepare_data.yaml, docs/corpora.md).

python scripts/prepare_data.py corpus=fakes source=FA-KES-Dataset.csv output=data/corpora
"""

from stance.entry import prepare_data

if __name__ == "__main__":
    prepare_data()
