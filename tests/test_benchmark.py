"""The benchmark runs every contestant in a process of its own and says what it could not run."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import REPOSITORY
from hydra import compose, initialize_config_dir

from stance.benchmark import benchmark, machine_peak, operations, render, spread, take
from stance.contestants import facets_of, peak_megabytes, with_count
from stance.corpora import read_corpus
from stance.errors import StanceError


def settings(config: str, *overrides: str):
    with initialize_config_dir(str(REPOSITORY / "configs"), version_base="1.3"):
        return compose(config, overrides=list(overrides))


def test_a_small_benchmark(exported, tiny_encoder, tmp_path):
    cfg = settings(
        "benchmark",
        f"model={exported}",
        "encoder=hub",
        f"encoder.name={tiny_encoder}",
        f"output={tmp_path}",
        "contestants=[pipeline,skipping,gliclass]",
        "targets=[0,2]",
        "sentences=40",
        "rounds=1",
        "threads=1",
    )
    benchmark(cfg)
    result = json.loads((tmp_path / "benchmark.json").read_text())
    rows = result["contestants"]
    assert rows["gliclass"] == {"not_run": "GLiClass: weights.gliclass is not set"}
    for name in ("pipeline", "skipping"):
        assert set(rows[name]["speed"]) == {"0", "2"}
        assert rows[name]["speed"]["2"]["median"] > 0
        assert rows[name]["cold"]["median"] > 0
        assert rows[name]["peak_mb"]["median"] > 30
    assert rows["pipeline"]["quality"] is None  # its heads are untrained
    assert rows["skipping"]["quality"]["tags_macro_f1"] > 0
    assert 0 < rows["skipping"]["share_of_peak"]["0"]["median"] < 1
    assert result["peak"]["int8"]["median"] > 1e9
    assert (tmp_path / "benchmark.png").stat().st_size > 5000
    text = (tmp_path / "benchmark.md").read_text()
    assert "| gliclass | not run | not run |" in text
    assert "1.0×" in text


def test_wrong_contestant():
    with pytest.raises(StanceError, match="there is no 'magic'"):
        benchmark(settings("benchmark", "model=x", "contestants=[magic]"))


def test_a_contestant_that_breaks_is_told_with_its_last_words(tmp_path, tiny_encoder, exported):
    from stance.benchmark import run_contestant

    task = {
        "name": "pipeline",
        "model": str(exported),
        "encoder": str(tmp_path / "missing"),
        "articles": str(REPOSITORY / "data" / "starter" / "dev.jsonl"),
        "targets": [0],
        "threads": 1,
    }
    with pytest.raises(StanceError, match=r"contestant pipeline failed: .*missing"):
        run_contestant(task)


def test_articles_are_repeated_under_new_ids():
    articles = take(read_corpus("starter", None, "dev"), 500)
    assert sum(len(article.sentences) for article in articles) >= 500
    assert len({article.id for article in articles}) == len(articles)
    with pytest.raises(StanceError, match="no article with sentences"):
        take([], 5)


def test_targets_are_filled_up_and_labels_removed():
    article = with_count(read_corpus("starter", None, "dev")[0], ["Ana Brod", "Kelm"], 5)
    assert [target.text for target in article.targets][-2:] == ["Ana Brod", "Kelm"]
    assert not any(sentence.facets or sentence.stance for sentence in article.sentences)
    assert with_count(article, [], 0).targets == ()


def test_joint_labels_of_the_pipelines():
    assert facets_of("official/1") == {"source": "official", "allegation": True}
    assert facets_of("LABEL_3") == {"source": "narrator", "allegation": False}


def test_operations_are_those_of_the_encoders_matrices():
    config = {"encoder": {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 6}}
    # 6 layers of 4 * 384² + 2 * 384 * 1536 weights, twice each: 10.6 million weights
    assert operations(1, config) == 2 * 6 * 12 * 384**2


def test_peak_and_spread():
    peak = machine_peak(1)
    assert set(peak) == {"float32", "int8"}
    assert spread([3.0, 1.0, 2.0]) == {"median": 2.0, "low": 1.0, "high": 3.0}


def test_without_the_pipeline_no_multiples_are_claimed():
    speed = {"1": spread([10.0])}
    row = {"speed": speed, "cold": spread([1.0]), "peak_mb": spread([99.0]), "quality": None}
    text = render(
        {
            "contestants": {"onnx": row},
            "peak": {"float32": spread([1e9]), "int8": spread([1e9])},
            "settings": {"rounds": 1, "sentences": 5, "threads": 1, "command": "c"},
        }
    )
    assert "| onnx | 10 (10–10) | 1.0 s | 99 MB | – | – |" in text


def test_the_peak_of_a_process_is_its_own_and_not_its_parents():
    held = np.ones(300_000_000 // 8)
    code = "from stance.contestants import peak_megabytes; print(peak_megabytes())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 20 < float(done.stdout) < 290
    assert peak_megabytes() > held.nbytes / 1e6
