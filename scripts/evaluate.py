"""Evaluate a model: python scripts/evaluate.py model=outputs/full/model (configs/evaluate.yaml)."""

from pathlib import Path
from typing import Any

from stance.entry import run


def evaluate(cfg: Any) -> Path:
    """Hydra's config to the report."""
    from stance.report import evaluate as evaluate_config

    return evaluate_config(cfg)


if __name__ == "__main__":
    run("evaluate", evaluate)
