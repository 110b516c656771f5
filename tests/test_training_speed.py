"""Training is timed beside transformers' example on the same articles."""

from __future__ import annotations

import json

import pytest
from conftest import REPOSITORY
from hydra import compose, initialize_config_dir

from stance.errors import StanceError
from stance.training_speed import measure


def settings(encoder, output, *overrides: str):
    with initialize_config_dir(str(REPOSITORY / "configs"), version_base="1.3"):
        return compose(
            "training_speed",
            overrides=[
                "encoder=hub",
                f"encoder.name={encoder}",
                f"output={output}",
                "steps=2",
                "rounds=1",
                *overrides,
            ],
        )


def test_both_are_timed(tiny_encoder, tmp_path):
    result = json.loads(measure(settings(tiny_encoder, tmp_path)).read_text())
    assert result["targets"] == 3
    assert result["ours"][0]["sentences_per_second"] > 0
    assert result["ours"][0]["tokens_per_second"] > result["ours"][0]["sentences_per_second"]
    assert result["transformers"][0]["sentences_per_second"] > 0


def test_articles_must_have_so_many_targets(tiny_encoder, tmp_path):
    with pytest.raises(StanceError, match="no training article has 77 targets"):
        measure(settings(tiny_encoder, tmp_path, "targets=77"))
