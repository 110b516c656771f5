"""From a model folder to its figures, report, diagrams and card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from stance.card import cell, table, write_card
from stance.corpora import read_corpus, trained_corpora
from stance.errors import StanceError
from stance.figures import DOTS_PER_INCH, SIZE, draw_confusion, draw_figures
from stance.report import evaluate, evaluate_model
from stance.resources import bundled
from stance.schema import DEFAULT

RECORD = {
    "run": {"articles": {"fakes": 438, "polnear": 255, "newsmtsc": 6318}, "steps": 12},
    "config": {
        "name": "stance-test",
        "seed": 13,
        "corpus": {
            "names": ["starter"],
            "dir": None,
            "files": {},
            "polnear_spans": True,
            "limit": 0.3,
        },
        "encoder": {"name": "sentence-transformers/all-MiniLM-L6-v2"},
    },
    "versions": {"torch": "2.13.0"},
}


def config(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(bundled("configs")), version_base="1.3"):
        return compose("evaluate", overrides=["evaluation.resamples=20", *overrides])


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test can write into."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    (folder / "training.json").write_text(json.dumps(RECORD), encoding="utf-8")
    return folder


def test_everything_is_written_into_the_model_folder(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = evaluate(config(f"model={model}"))
    assert report == model / "report.md"
    text = report.read_text(encoding="utf-8")
    for wanted in ("tags macro-F1", "majority", "tfidf", "quotation", "expected calibration error"):
        assert wanted in text
    for name in text.split("](figures/")[1:]:
        assert (model / "figures" / name.split(")")[0]).is_file()
    metrics = json.loads((model / "metrics.json").read_text(encoding="utf-8"))
    together = metrics["parts"]["dev"]["all"]
    assert together["corpora"] == ["starter"]
    assert set(together["baselines"]) == {"majority", "tfidf", "quotation"}
    for measured in (together["model"], *together["baselines"].values()):
        for figure in measured["headline"].values():
            low, high = figure["interval"]
            assert low <= high
            # Percentiles of so few resamples need not hold the value, but are near it.
            assert 2 * low - high <= figure["value"] <= 2 * high - low
    assert "tags macro-F1" in (model / "README.md").read_text(encoding="utf-8")
    page = (model / "evaluation.html").read_text(encoding="utf-8")
    assert "The worst errors" in page
    dev = read_corpus("starter", None, "dev")
    assert any(sentence.text in page for article in dev for sentence in article.sentences or ())
    printed = capsys.readouterr().out
    assert "quotation" in printed


def own_corpus(path: Path, **labels: object) -> list[str]:
    """Overrides for a corpus of one invented sentence with these labels."""
    sentence = {"start": 0, "end": 10, **labels}
    row = {"text": "It rained.", "targets": ["rain"], "sentences": [sentence]}
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    files = [f"corpus.files.train={path}", f"corpus.files.dev={path}"]
    return ["corpus=files", *files]


def test_the_same_evaluation_gives_the_same_figures(model: Path, tmp_path: Path) -> None:
    corpus = own_corpus(tmp_path / "own.jsonl", stance=["neutral"])
    cfg = config(f"model={model}", *corpus, "evaluation.baselines=[]")
    first = evaluate_model(model, cfg)
    assert set(first["parts"]["dev"]["corpora"]) == {"files"}
    assert evaluate_model(model, cfg, output=tmp_path / "again") == first
    assert (tmp_path / "again" / "report.md").is_file()
    assert not (tmp_path / "again" / "README.md").exists()
    assert (tmp_path / "again" / "evaluation.html").is_file()


def test_labels_that_the_schema_lacks_are_one_clear_error(model: Path, tmp_path: Path) -> None:
    corpus = own_corpus(tmp_path / "own.jsonl", source="weather")
    with pytest.raises(StanceError, match="weather") as caught:
        evaluate(config(f"model={model}", *corpus))
    message = str(caught.value)
    assert str(model) in message
    assert "own.jsonl:1: sentences[0].source" in message
    assert "'source'" in message
    assert "\n" not in message


def test_a_corpus_with_other_facets_is_one_clear_error(model: Path, tmp_path: Path) -> None:
    corpus = own_corpus(tmp_path / "own.jsonl", topic="weather")
    with pytest.raises(StanceError, match="cannot be evaluated") as caught:
        evaluate(config(f"model={model}", *corpus))
    assert str(model) in str(caught.value)
    assert "source" in str(caught.value)


def test_a_model_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(StanceError, match="model: want"):
        evaluate(config())
    with pytest.raises(StanceError, match="no such model folder"):
        evaluate(config(f"model={tmp_path / 'none'}"))
    for name in ("someone/some-model", "default"):
        with pytest.raises(StanceError, match="output: want"):
            evaluate(config(f"model={name}"))


def card_of(tmp_path: Path, record: dict[str, Any]) -> tuple[dict[str, Any], str]:
    DEFAULT.save(tmp_path / "schema.json")
    text = write_card(tmp_path, record, {}).read_text(encoding="utf-8")
    return yaml.safe_load(text.split("---")[1]), text


def test_the_card_says_whose_text_the_weights_come_from(tmp_path: Path) -> None:
    fields, text = card_of(tmp_path, RECORD)
    assert fields["license"] == "other"
    assert fields["license_name"]
    assert fields["language"] == "en"
    assert fields["library_name"] == "stance"
    assert fields["pipeline_tag"] == "text-classification"
    assert fields["base_model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert "research use" in text
    assert "language models" in text
    assert "NewsMTSC's own annotators" in text
    assert "not whether it is true" in text
    assert "has not been evaluated" in text
    assert ModelCard.load(tmp_path / "README.md").data.license == "other"
    assert trained_corpora(RECORD)[-1] == "polnear-spans"


@pytest.mark.parametrize(("corpus", "licence"), [("starter", "apache-2.0"), ("files", "unknown")])
def test_the_card_of_other_data(tmp_path: Path, corpus: str, licence: str) -> None:
    record = {**RECORD, "run": {"articles": {corpus: 40}}}
    fields, text = card_of(tmp_path, record)
    assert fields["license"] == licence
    assert "research use" not in text


def test_a_local_encoder_is_no_base_model(tmp_path: Path) -> None:
    config = {**RECORD["config"], "encoder": {"name": str(tmp_path)}}  # type: ignore[dict-item]
    fields, _ = card_of(tmp_path, {**RECORD, "config": config})
    assert "base_model" not in fields


def test_the_card_of_a_model_trained_on_from_another(tmp_path: Path) -> None:
    before = {"model": "news 0.1.0 0af3", "corpora": ["basil"], "encoder": "some/encoder"}
    run = {"articles": {"files": 40}, "started_from": before}
    fields, text = card_of(tmp_path, {**RECORD, "run": run})
    assert fields["base_model"] == "some/encoder"
    assert fields["license"] == "other"
    assert "| trained on from | news 0.1.0 0af3 |" in text
    assert "| encoder | some/encoder |" in text
    assert "all-MiniLM" not in text  # the config's encoder was not used
    run["started_from"] = {"model": "news", "corpora": [], "encoder": None}
    fields, text = card_of(tmp_path, {**RECORD, "run": run})
    assert "base_model" not in fields
    assert "| encoder |" not in text


def test_a_figure_of_few_positives_is_not_shown() -> None:
    figure = {"value": 0.5, "interval": [0.4, 0.6], "support": 29}
    measured = {"headline": {"allegation_f1": figure, "tags_macro_f1": figure}}
    assert cell(measured, "allegation_f1") == "–"
    assert cell(measured, "tags_macro_f1") == "50.0† (40.0–60.0)"
    assert cell(measured, "source_macro_f1") == "–"


def test_a_name_cannot_break_a_table() -> None:
    assert table(["a"], [["x|y\nz"]]).splitlines()[-1] == "| x\\|y z |"


def test_figures_have_one_size(tmp_path: Path) -> None:
    from matplotlib.image import imread

    draw_confusion("topic", ["a rather long label"] * 2, [[1, 2], [3, 4]], tmp_path / "a.png")
    names = draw_figures(
        {
            "tasks": {
                "topic/war and peace": {
                    "confusion": {"labels": ["no", "yes"], "counts": [[5, 0], [0, 0]]},
                    "reliability": [{"confidence": 1.0, "accuracy": 1.0, "count": 5}],
                    "expected_calibration_error": 0.0,
                },
                "tags/war": {},
            }
        },
        tmp_path / "figures",
        "dev-",
    )
    assert names == [
        "dev-topic-war-and-peace-confusion.png",
        "dev-topic-war-and-peace-reliability.png",
    ]
    sizes = {imread(tmp_path / "figures" / name).shape[:2] for name in names}
    sizes.add(imread(tmp_path / "a.png").shape[:2])
    assert sizes == {(round(SIZE[1] * DOTS_PER_INCH), round(SIZE[0] * DOTS_PER_INCH))}
