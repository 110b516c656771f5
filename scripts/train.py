"""Train a model: python scripts/train.py experiment=starter (see configs/train.yaml)."""

from stance.entry import train

if __name__ == "__main__":
    train()
