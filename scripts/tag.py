"""Label files: python scripts/tag.py model=… input=… output=… (see configs/tag.yaml)."""

from stance.entry import tag

if __name__ == "__main__":
    tag()
