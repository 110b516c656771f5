"""The recipe, run for real with a tiny encoder: folder, resume, repeat, distribute, continue."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import REPOSITORY, tiny_overrides
from hydra import compose, initialize_config_dir
from safetensors.torch import load_file

from stance.card import write_card
from stance.corpora import read_corpus
from stance.errors import StanceError
from stance.evaluation import measure
from stance.losses import LossWeights
from stance.records import Article, Sentence
from stance.schema import DEFAULT, Schema
from stance.tagger import Tagger, model_name
from stance.training import (
    TENSORBOARD,
    StanceTrainer,
    build_model,
    calibrate,
    check_select_by,
    class_weights,
    is_whole,
    read_training,
    select_by,
    start_point,
    started_from,
    train,
    training_arguments,
)
from stance.training_data import Augmentation, WindowDataset, make_example


def composed(*overrides: str):
    with initialize_config_dir(str(REPOSITORY / "configs"), version_base="1.3"):
        return compose("train", overrides=list(overrides))


def script(encoder: Path, output: Path, *extra: str) -> list[str]:
    return [str(REPOSITORY / "scripts" / "train.py"), *tiny_overrides(encoder, output), *extra]


def call(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )


def outcome(folder: Path) -> dict:
    """What must be the same in two equal runs."""
    run = read_training(folder)["run"]
    return {name: run[name] for name in ("steps", "best_score", "best_step", "selection")}


def test_a_model_folder_is_data(tiny_model: Path):
    names = {path.name for path in tiny_model.iterdir()}
    assert names >= {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "schema.json",
        "calibration.json",
        "training.json",
    }
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl"))]
    config = json.loads((tiny_model / "config.json").read_text())
    assert config["trained"] == ["allegation", "source", "stance"]


def test_a_run_is_judged_by_facets_of_ones_own_too():
    schema = Schema.from_dict({"facets": {"tone": {"labels": ["calm", "angry"]}}, "tags": {}})
    assert select_by(schema) == ["tags_macro_f1", "tone_macro_f1", "favor_against_f1"]


def test_a_run_can_be_judged_by_each_figure_and_by_nothing_else():
    schema = Schema.from_dict(
        {
            "facets": {
                "tone": {"labels": ["calm", "angry"]},
                "topic": {"labels": ["war", "money"], "kind": "multi"},
                "rumour": {"labels": [False, True]},
            },
            "tags": {"rant": {"tone": "angry"}},
        }
    )
    labels = {"tone": "calm", "topic": ["war"], "rumour": True}
    spans = {track: [[0, 3]] for track in schema.spans}
    sentence = {"start": 0, "end": 9, "stance": ["favor"], "speaker": "Ora", "spans": spans}
    article = Article.from_dict(
        {"text": "Ora sang.", "targets": ["Ora"], "sentences": [sentence | labels]}
    )
    figures = measure([article], [article], schema, resamples=0)["headline"]
    check_select_by(composed(f"trainer.select_by=[{','.join(figures)}]"), schema)
    with pytest.raises(StanceError, match=r"select_by: there is no figure 'tone_f1'") as caught:
        check_select_by(composed("trainer.select_by=[tone_macro_f1,tone_f1]"), schema)
    known = str(caught.value).split("(there are ")[1].removesuffix(")")
    assert known.split(", ") == sorted(figures)


def test_trials_of_one_process_log_into_folders_of_their_own(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("stance.training._tensorboard", ["of/an/earlier/one"])
    monkeypatch.setenv(TENSORBOARD, "of/an/earlier/one")
    for trial in "01":
        training_arguments(composed(f"output={tmp_path}/{trial}"))
        assert os.environ[TENSORBOARD] == f"{tmp_path}/{trial}/tensorboard"
    monkeypatch.setenv(TENSORBOARD, "of/the/user")
    training_arguments(composed(f"output={tmp_path}/2"))
    assert os.environ[TENSORBOARD] == "of/the/user"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_bfloat16_without_a_gpu_is_the_processors(tmp_path: Path):
    arguments = training_arguments(composed(f"output={tmp_path}", "+trainer.arguments.bf16=true"))
    assert arguments.bf16
    assert arguments.use_cpu or torch.backends.mps.is_available()


def test_early_stopping_goes_on_waiting_after_a_resume(tiny_encoder: Path, tmp_path: Path):
    def steps(output: Path, limit: int, checkpoint: str | None = None) -> int:
        cfg = composed(
            *tiny_overrides(tiny_encoder, output),
            f"+trainer.arguments.max_steps={limit}",
            "trainer.arguments.eval_steps=1",
            "trainer.arguments.save_steps=1",
            "trainer.early_stopping_patience=3",
        )
        model, encoder, _ = build_model(cfg, DEFAULT, tmp_path / "tokenizer")
        article = read_corpus("starter", None, "train")[0]
        examples = [make_example(article, DEFAULT, encoder, "starter/0")]
        trainer = StanceTrainer(
            cfg=cfg,
            model=model,
            dataset=WindowDataset(examples, DEFAULT, encoder, Augmentation(), seed=1),
            encoder=encoder,
            weights=LossWeights(),
            selection=[],  # so every score is 0, and the first evaluation is the best
        )
        trainer.train(resume_from_checkpoint=checkpoint)
        return trainer.state.global_step

    assert steps(tmp_path / "undisturbed", 9) == 4
    assert steps(tmp_path / "resumed", 2) == 2
    checkpoint = tmp_path / "resumed" / "checkpoints" / "checkpoint-2"
    assert steps(tmp_path / "resumed", 9, str(checkpoint)) == 4


def test_frozen_layers_keep_their_weights(tiny_encoder: Path, tmp_path: Path):
    steps = ("trainer.freeze_layers=1", "+trainer.arguments.max_steps=2")
    folder = train(composed(*tiny_overrides(tiny_encoder, tmp_path / "run"), *steps))
    before = load_file(tiny_encoder / "model.safetensors")
    after = load_file(folder / "model.safetensors")
    changed = {
        name
        for name, tensor in before.items()
        if f"encoder.{name}" in after
        and not torch.equal(tensor, after[f"encoder.{name}"][: len(tensor)])
    }
    assert changed
    assert all(name.startswith("encoder.layer.1.") for name in changed)


def test_more_frozen_layers_than_there_are(tiny_encoder: Path, tmp_path: Path):
    with pytest.raises(StanceError, match="freeze_layers=2: the encoder has 2 layers"):
        train(composed(*tiny_overrides(tiny_encoder, tmp_path), "trainer.freeze_layers=2"))


def test_the_loaded_model_predicts_what_the_trained_one_did(tiny_model: Path):
    from stance.calibration import Calibration

    selection = read_corpus("starter", None, "selection")
    tagger = Tagger.from_pretrained(tiny_model)
    tagger.calibration = Calibration()  # the figures of the run are those before calibration
    figures = measure(selection, list(tagger.tag_many(selection)), tagger.schema, resamples=0)
    best = max(read_training(tiny_model)["run"]["selection"], key=lambda row: row["score"])
    for name in ("tags_macro_f1", "source_macro_f1", "favor_against_f1"):
        assert figures["headline"][name]["value"] == pytest.approx(best[name], abs=1e-4)


def test_calibration_looks_at_neighbours_and_spans(tiny_model: Path):
    tagger = Tagger.from_pretrained(tiny_model)
    articles = read_corpus("starter", None, "selection") + read_corpus("starter", None, "dev")
    text = "Mayor Ana Brod said so."
    spanned = Article(text, sentences=(Sentence(0, 23, text, spans={"source": ((0, 14),)}),))
    fitted = calibrate(tagger, [*articles, *[spanned] * 100])
    source = np.array(fitted.following["source"])
    assert (np.diag(source) > source.mean(0)).all()  # a source often goes on
    assert set(fitted.following) == {"source", "allegation"}
    assert set(fitted.weights) == {"source", "allegation", "stance", "spans/source"}
    fitted.check(tagger.schema, where="fitted")
    one = replace(articles[0], sentences=(articles[0].sentences or ())[:1])
    assert calibrate(tagger, [one]).following == {}


def test_killed_and_resumed_equals_undisturbed(tiny_encoder: Path, tmp_path: Path):
    more = (
        "evaluation.enabled=false",
        "trainer.arguments.num_train_epochs=2",
        "trainer.arguments.eval_steps=0.25",
        "trainer.arguments.save_steps=0.25",
    )
    train(composed(*tiny_overrides(tiny_encoder, tmp_path / "a"), *more))

    interrupted = script(tiny_encoder, tmp_path / "b", *more, "resume=true")
    process = subprocess.Popen(
        [sys.executable, *interrupted],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    checkpoints = tmp_path / "b" / "checkpoints"
    give_up = time.monotonic() + 200
    while not any(is_whole(path) for path in checkpoints.glob("checkpoint-*")):
        assert process.poll() is None
        assert time.monotonic() < give_up
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "b" / "model").exists()
    assert call([sys.executable, *interrupted], tmp_path).returncode == 0
    assert outcome(tmp_path / "b" / "model") == outcome(tmp_path / "a" / "model")
    weights = [(tmp_path / run / "model" / "model.safetensors").read_bytes() for run in "ab"]
    assert weights[0] == weights[1]


def test_two_runs_with_one_seed_are_equal(tiny_encoder: Path, tiny_model: Path, tmp_path: Path):
    folder = train(composed(*tiny_overrides(tiny_encoder, tmp_path)))
    assert outcome(folder) == outcome(tiny_model)
    assert (folder / "model.safetensors").read_bytes() == (
        tiny_model / "model.safetensors"
    ).read_bytes()


def test_another_seed_is_another_run(tiny_encoder: Path, tiny_model: Path, tmp_path: Path):
    folder = train(composed(*tiny_overrides(tiny_encoder, tmp_path), "seed=14"))
    assert (folder / "model.safetensors").read_bytes() != (
        tiny_model / "model.safetensors"
    ).read_bytes()


def test_two_processes_share_the_work_and_reach_the_same(tiny_encoder: Path, tmp_path: Path):
    more = ("evaluation.enabled=false", "trainer.arguments.num_train_epochs=3")
    alone = train(
        composed(*tiny_overrides(tiny_encoder, tmp_path / "1"), *more, "trainer.batch_tokens=640")
    )
    command = script(tiny_encoder, tmp_path / "2", *more, "trainer.batch_tokens=320")
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]
    done = subprocess.run(
        [sys.executable, *launcher, *command],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = read_training(alone)["run"], read_training(tmp_path / "2" / "model")["run"]
    assert two["windows"] == one["windows"]
    assert two["steps"] == pytest.approx(one["steps"], rel=0.15)
    assert two["best_score"] == pytest.approx(one["best_score"], abs=0.1)


def test_continue_from_a_model_with_a_facet_of_ones_own(tiny_model: Path, tmp_path: Path, caplog):
    rows = [
        ("The minister said the bridge was safe.", "calm"),
        ("Thieves! They stole every lamp in the harbour!", "angry"),
    ]
    labels = tmp_path / "labels.csv"
    lines = [f'"{text} ({n})",{tone}' for n in range(40) for text, tone in rows]
    labels.write_text("text,tone\n" + "\n".join(lines) + "\n", encoding="utf-8")
    schema = tmp_path / "schema.yaml"
    schema.write_text(
        "facets:\n  tone: {labels: [calm, angry]}\ntags:\n  rant: {tone: angry}\n", encoding="utf-8"
    )
    cfg = composed(
        "corpus=files",
        f"corpus.files.train={labels}",
        "schema=file",
        f"schema.file={schema}",
        f"init_from={tiny_model}",
        f"output={tmp_path / 'out'}",
        "debug=tiny",
        "corpus.limit=1.0",
        "trainer.batch_tokens=320",
        "trainer.learning_rate=1e-3",
        "trainer.head_learning_rate=5e-3",
        "trainer.arguments.num_train_epochs=30",
        "trainer.select_by=[]",
        "encoding.max_tokens=100",
    )
    folder = train(cfg)
    assert f"encoding: is that of {tiny_model}, whatever the config says" in caplog.text
    tagger = Tagger.from_pretrained(folder)
    assert [facet.name for facet in tagger.schema.facets] == ["tone"]
    said: dict[str, tuple[str, ...] | None] = {}
    for text, tone in rows:
        whole = {"text": f"{text} (99)", "sentences": [{"start": 0, "end": len(text) + 5}]}
        (sentence,) = tagger.tag(whole).sentences or ()
        said[tone] = sentence.tags
    assert said == {"calm": (), "angry": ("rant",)}
    training = read_training(folder)
    before = training["run"]["started_from"]
    assert before == {
        "model": model_name(tiny_model),
        "corpora": ["starter"],
        "encoder": read_training(tiny_model)["config"]["encoder"]["name"],
    }
    card = write_card(folder, training, {}).read_text(encoding="utf-8")
    assert f"| trained on from | {before['model']} |" in card
    assert f"| encoder | {before['encoder']} |" in card
    assert started_from(composed(f"init_from={folder}")) == {
        "model": model_name(folder),
        "corpora": ["files", "starter"],
        "encoder": before["encoder"],
    }


def test_tracks_in_another_order_are_another_models(tiny_model: Path, tmp_path: Path):
    cfg = composed(f"init_from={tiny_model}")
    turned = replace(DEFAULT, spans=DEFAULT.spans[::-1])
    with pytest.raises(StanceError, match=r"source, cue, content\) are not those of the schema"):
        build_model(cfg, turned, tmp_path)


@pytest.mark.parametrize("kept", [None, 0, 1000], ids=["no file", "empty", "cut off"])
def test_an_encoder_without_readable_weights(tiny_encoder: Path, tmp_path: Path, kept: int | None):
    folder = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    weights = folder / "model.safetensors"
    start = weights.read_bytes()[:kept]
    weights.unlink()
    if kept is not None:
        weights.write_bytes(start)
    cfg = composed(*tiny_overrides(folder, tmp_path))
    with pytest.raises(StanceError, match="encoder: the encoder's weights cannot be read: "):
        build_model(cfg, DEFAULT, tmp_path / "tokenizer")


def test_checkpoints_of_another_config_are_refused(tiny_encoder: Path, tmp_path: Path):
    cfg = composed(*tiny_overrides(tiny_encoder, tmp_path), "resume=true")
    assert start_point(cfg) is None
    other = composed(*tiny_overrides(tiny_encoder, tmp_path), "resume=true", "seed=99")
    with pytest.raises(StanceError, match=r"another config \(differs in seed\)"):
        start_point(other)


def test_half_a_checkpoint_is_not_resumed_from(tmp_path: Path):
    assert not is_whole(tmp_path)
    for name in ("model.safetensors", "optimizer.pt", "scheduler.pt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "trainer_state.json").write_text('{"epoch": 1')
    assert not is_whole(tmp_path)
    (tmp_path / "trainer_state.json").write_text('{"epoch": 1}')
    assert is_whole(tmp_path)


def test_class_weights_average_one_over_the_labels():
    counts = {"source": np.array([60.0, 30.0, 10.0]), "cue": np.array([0.0, 0.0])}
    for kind in ("balanced", "sqrt"):
        weights = class_weights(counts, kind)
        assert set(weights) == {"source"}
        assert np.dot(weights["source"], counts["source"]) == pytest.approx(100)
        assert weights["source"][2] > weights["source"][0]
    assert class_weights(counts, "none") == {}
    with pytest.raises(StanceError, match="class_weights"):
        class_weights(counts, "heavy")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["corpus=news", "corpus.dir=/nowhere"], "/nowhere/fakes.train.jsonl: there is no such"),
        (["encoder.name=/nowhere"], "/nowhere: there is no such encoder folder"),
        (["init_from=/nowhere/model"], "/nowhere/model: there is no such model folder"),
        (["encoding.max_tokens=1000"], "encoding.max_tokens=1000 is more than"),
        (["trainer.select_by=[tone_f1]"], "trainer.select_by: there is no figure 'tone_f1'"),
        (["+trainer.arguments.seed=3"], "trainer.arguments.seed is set by the package"),
        (["+trainer.arguments.no_such=3"], "trainer.arguments: .*no_such"),
        (["+encoder.overrides.no_such=3"], "encoder.overrides: the config of .* has no 'no_such'"),
    ],
)
def test_wrong_settings_are_one_clear_sentence(tiny_encoder, tmp_path, overrides, message):
    cfg = composed(*tiny_overrides(tiny_encoder, tmp_path), *overrides)
    with pytest.raises(StanceError, match=message):
        train(cfg)
