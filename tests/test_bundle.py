"""The model that the package carries: how it is made, and that it labels without anything else."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import LOOSE, REPOSITORY
from hydra import compose, initialize_config_dir
from safetensors.torch import load_file

from stance.bundle import bundle
from stance.calibration import Calibration
from stance.corpora import read_corpus
from stance.errors import StanceError
from stance.export import equal_labels
from stance.model import StanceModel
from stance.records import Article, Target, without_labels
from stance.runtime import WEIGHTS_HASH, without_vnni
from stance.tagger import Tagger, find_model
from stance.training import train

ARTICLE = (
    "The fishers' union accused the harbour authority of Kelm on Monday of having forged the water "
    "tests. Its director, Ilse Maarn, rejected the accusation. The harbour lies on the western "
    "bank of the river."
)


def settings(name: str, *overrides: str):
    with initialize_config_dir(str(REPOSITORY / "configs"), version_base="1.3"):
        return compose(name, overrides=list(overrides))


@pytest.fixture(scope="module")
def tiny_bundle(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bundle")
    cfg = settings(
        "bundle",
        f"model={tiny_model}",
        f"output={root}/assets/tiny",
        f"report={root}/report",
        "evaluation.baselines=[]",
        "evaluation.resamples=0",
        *LOOSE,
    )
    return bundle(cfg)


def test_a_bundle_is_a_model_folder_of_data(tiny_bundle):
    assert {path.name for path in tiny_bundle.iterdir()} == {
        "README.md",
        "calibration.json",
        "config.json",
        "export.json",
        "model.int8.onnx",
        "model.safetensors",
        "schema.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "training.json",
        *([] if without_vnni() else ["model.vnni.onnx"]),
    }
    assert not any(path.name.startswith("bundle-") for path in tiny_bundle.parent.iterdir())
    config = json.loads((tiny_bundle / "training.json").read_text())["config"]
    assert "output" not in config
    assert "checkpoints" not in config
    assert config["name"] == "stance-minilm"
    assert (tiny_bundle.parents[1] / "report" / "report.md").is_file()
    card = (tiny_bundle / "README.md").read_text()
    assert "## Known failures" in card
    assert "Tagger.from_pretrained()" in card


def test_both_of_its_forms_hold_the_same_numbers(tiny_bundle, tiny_model):
    rounded = load_file(tiny_bundle / "model.safetensors")
    whole = load_file(tiny_model / "model.safetensors")
    assert {tensor.dtype for tensor in rounded.values()} == {torch.bfloat16}
    for name, tensor in whole.items():
        assert torch.equal(rounded[name], tensor.to(torch.bfloat16))
    model = StanceModel.from_pretrained(tiny_bundle)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_a_bundle_is_not_made_of_itself(tiny_bundle):
    with pytest.raises(StanceError, match="of itself"):
        bundle(settings("bundle", f"model={tiny_bundle}", f"output={tiny_bundle}"))


def test_the_packages_model_labels_without_torch_or_a_download(tmp_path):
    code = (
        "import sys, stance\n"
        f"article = stance.Tagger.from_pretrained().tag({ARTICLE!r}, targets=['Ilse Maarn'])\n"
        "for s in article.sentences:\n"
        "    print(s.facets['source'].label, s.facets['allegation'].label)\n"
        "print([n for n in ('torch', 'transformers', 'huggingface_hub') if n in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    first, second, third, loaded = done.stdout.splitlines()
    assert first == "official True"
    assert second.startswith("official")
    assert third == "narrator False"
    assert loaded == "[]"


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    return Tagger.from_pretrained()


@pytest.fixture(scope="module")
def articles() -> list[Article]:
    """Articles with sentences and targets, but without labels."""
    return [without_labels(article) for article in read_corpus("starter", None, "dev")]


def labels(tagged: list[Article]) -> list[tuple[object, ...]]:
    return [
        tuple(label.label for label in sentence.facets.values())
        for article in tagged
        for sentence in article.sentences or ()
    ]


def share(left: list[object], right: list[object]) -> float:
    assert len(left) == len(right)
    return sum(a == b for a, b in zip(left, right, strict=True)) / len(left)


@pytest.fixture(scope="module")
def tagged(tagger: Tagger, articles: list[Article]) -> list[Article]:
    return list(tagger.tag_many(articles))


@pytest.fixture(scope="module")
def exact(articles: list[Article]) -> list[Article]:
    return list(Tagger.from_pretrained(backend="torch").tag_many(articles))


@pytest.mark.parametrize(
    "backend",
    [
        "onnx-int8",
        pytest.param(
            "onnx-vnni",
            marks=pytest.mark.skipif(
                bool(without_vnni()), reason="no VNNI, or an old ONNX Runtime"
            ),
        ),
    ],
)
def test_8_bits_label_as_float32_does_whatever_the_batch(articles, exact, backend):
    tagger = Tagger.from_pretrained(backend=backend)
    found = list(tagger.tag_many(articles))
    alone = tagger.on(tagger.runtime, batch_tokens=1)
    assert equal_labels(exact, found) >= 99
    assert equal_labels(alone.tag_many(articles), found) >= 99.8


def test_its_graph_for_vnni_finds_the_weights_that_lie_beside_it():
    import onnx
    from onnx import numpy_helper

    folder = find_model("default")
    content = (folder / "model.int8.onnx").read_bytes()
    weights = onnx.load_model_from_string(content).graph.initializer
    bytes_of = {tensor.name: numpy_helper.to_array(tensor).tobytes() for tensor in weights}
    proto = onnx.load(folder / "model.vnni.onnx", load_external_data=False)
    compared = 0
    for tensor in proto.graph.initializer:
        place = {entry.key: entry.value for entry in tensor.external_data}
        if place:
            assert place["location"] == "model.int8.onnx"
            start, length = int(place["offset"]), int(place["length"])
            assert content[start : start + length] == bytes_of.get(
                tensor.name, content[start:][:length]
            )
            compared += tensor.name in bytes_of
    assert compared > 50
    hashes = {entry.value for entry in proto.metadata_props if entry.key == WEIGHTS_HASH}
    assert hashes == {hashlib.sha256(content).hexdigest()}


def test_the_order_of_targets_does_not_matter(tagger, articles, tagged):
    turned = [replace(a, targets=a.targets[::-1]) for a in articles]
    same = [
        before.label == after.label
        for a, b in zip(tagged, tagger.tag_many(turned), strict=True)
        for s, t in zip(a.sentences or (), b.sentences or (), strict=True)
        for before, after in zip(s.stance, t.stance[::-1], strict=True)
    ]
    assert len(same) > 500
    assert all(same)


@pytest.mark.xfail(strict=True, reason="90 % (docs/evaluation.md, Targets that disturb)")
def test_targets_do_not_change_the_tags(tagger, articles, tagged):
    without = [replace(a, targets=()) for a in articles]
    assert share(labels(tagged), labels(list(tagger.tag_many(without)))) >= 0.98


def test_a_target_that_the_article_is_not_about_is_neutral(tagger, articles):
    strange = (Target("Ministry of Fisheries of Ostrava"), Target("Ulrika Pembroke-Quist"))
    foreign = [replace(a, targets=strange) for a in articles]
    found = [
        stance.label
        for article in tagger.tag_many(foreign)
        for sentence in article.sentences or ()
        for stance in sentence.stance
    ]
    assert found.count("neutral") / len(found) >= 0.98


def test_training_starts_from_it(tmp_path):
    (tmp_path / "mine.csv").write_text(
        "text,tone\n"
        + "".join(f"Roof {n} is fine.,calm\nRoof {n} is on fire!,loud\n" for n in range(12))
    )
    (tmp_path / "schema.yaml").write_text(
        "facets:\n  source: {labels: [official, other, narrator]}\n"
        "  tone: {labels: [calm, loud]}\ntags: {loud: {tone: loud}}\n"
    )
    cfg = settings(
        "train",
        "init_from=default",
        "corpus=files",
        f"corpus.files.train={tmp_path}/mine.csv",
        "schema=file",
        f"schema.file={tmp_path}/schema.yaml",
        "+trainer.arguments.max_steps=1",
        "trainer.arguments.eval_strategy=no",
        "trainer.arguments.save_strategy=no",
        "trainer.arguments.report_to=[]",
        f"output={tmp_path}/run",
    )
    folder = train(cfg)
    assert find_model(folder) == folder
    sentence = (Tagger.from_pretrained(folder).tag(ARTICLE).sentences or ())[0]
    assert sentence.facets["source"].label == "official"  # as the package's model has it
    assert set(sentence.facets) == {"source", "tone"}
    # Too few labels to fit anything: what the package's model had stays, but for allegation.
    kept = Calibration.load(folder / "calibration.json")
    before = Calibration.load(find_model("default") / "calibration.json")
    assert set(before.weights) - set(kept.weights) == {"allegation"}
    assert kept == before.only({*kept.weights, "source", "stance"})
