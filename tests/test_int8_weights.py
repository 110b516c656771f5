"""The 8-bit weights as PyTorch reads them where a model folder has no others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from stance.corpora import read_corpus
from stance.errors import StanceError
from stance.export import equal_labels
from stance.int8_weights import INT8_FILE, read_weights
from stance.model import StanceModel
from stance.records import without_labels
from stance.runtime import choose_backend
from stance.storage import file_hash
from stance.tagger import Tagger, copy_model, find_model, model_name

STEP = 1 / 127
"""One step of 8 bits, of the largest weight among those that share a scale."""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's model as its wheel carries it, without the weights for PyTorch."""
    folder = tmp_path_factory.mktemp("bare") / "model"
    copy_model(find_model("default"), folder)
    (folder / "model.safetensors").unlink(missing_ok=True)
    return folder


def test_every_weight_is_there_and_close(exported):
    whole = StanceModel.from_pretrained(exported).state_dict()
    read = read_weights(exported / INT8_FILE)
    assert read.keys() == whole.keys()
    for name, weights in whole.items():
        values = torch.tensor(read[name])
        assert values.shape == weights.shape, name
        error = (values - weights).abs().max()
        assert error <= 0.51 * STEP * weights.abs().max(), name


def test_pytorch_labels_with_them_as_onnx_runtime_does(bare):
    articles = [without_labels(article) for article in read_corpus("starter", None, "dev")[:6]]
    labelled = [
        list(Tagger.from_pretrained(bare, backend=backend).tag_many(articles))
        for backend in ("torch", "onnx-int8")
    ]
    assert sum(len(article.sentences) for article in articles) > 50
    assert equal_labels(*labelled) >= 99.9


def test_the_model_keeps_its_name_without_its_other_weights(bare):
    whole = find_model("default")
    assert model_name(bare) == model_name(whole)
    record = json.loads((bare / "export.json").read_text())
    assert record["weights"] == file_hash(whole / "model.safetensors")
    assert model_name(bare).endswith(record["weights"][:8])


def test_options_of_transformers_are_kept(bare):
    model = StanceModel.from_pretrained(bare, attn_implementation="eager")
    assert model.encoder.config._attn_implementation == "eager"
    assert model.name_or_path == str(bare)
    assert not model.training
    assert choose_backend(bare, "torch") == "torch"


def test_a_file_of_another_model_is_told(exported, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(exported, folder)
    (folder / "model.safetensors").unlink()
    config = json.loads((folder / "config.json").read_text())
    config["encoder"]["num_hidden_layers"] += 1
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(StanceError, match=rf"{INT8_FILE}: it has no weights 'encoder\."):
        Tagger.from_pretrained(folder, backend="torch")
    (folder / "export.json").write_text("{")
    with pytest.raises(StanceError, match=r"export\.json: not JSON"):
        model_name(folder)
    (folder / INT8_FILE).write_bytes(b"no graph")
    with pytest.raises(StanceError, match=f"{INT8_FILE}: not an ONNX file"):
        Tagger.from_pretrained(folder, backend="torch")
