"""Evaluate a model: python scripts/evaluate.py model=outputs/full/model (configs/evaluate.yaml)."""

from stance.entry import evaluate

if __name__ == "__main__":
    evaluate()
