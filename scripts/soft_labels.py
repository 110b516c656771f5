"""Write soft labels: python scripts/soft_labels.py model=… corpus=… output=… (docs/training.md)."""

from stance.entry import soft_labels

if __name__ == "__main__":
    soft_labels()
