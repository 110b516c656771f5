"""ONNX files label as PyTorch does, whatever the batch, and need neither torch nor transformers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from hydra import compose, initialize_config_dir

from stance.corpora import read_corpus
from stance.errors import StanceError
from stance.export import Limits, check, equal_labels, export, quantize, sample, trace
from stance.model import StanceModel
from stance.runtime import ONNX_FILES, OnnxRuntime, has_bfloat16, load_runtime
from stance.tagger import Tagger

ANY = Limits(float_equal=0, int8_equal=0, batch_equal=0, tags_loss=100)


def settings(model: Path, *overrides: str):
    with initialize_config_dir(str(REPOSITORY / "configs"), version_base="1.3"):
        return compose("export", overrides=[f"model={model}", *overrides])


@pytest.fixture(scope="module")
def articles():
    return read_corpus("starter", None, "dev")[:6]


def test_the_files_tell_how_they_were_made(exported):
    record = json.loads((exported / "export.json").read_text())
    assert record["nodes"]["Attention"] == 2
    assert record["nodes"]["SkipLayerNormalization"] == 4
    assert record["opset"] == 17
    assert set(record["checks"]) == {"torch", "onnx", "onnx-int8"}
    for name, file in ONNX_FILES.items():
        assert record["bytes"][name] == (exported / file).stat().st_size
    assert record["bytes"]["onnx-int8"] < record["bytes"]["onnx"]


@pytest.mark.parametrize("method", ["dynamic", "static", "matmul_nbits"])
def test_other_kinds_of_int8_label_much_the_same(exported, tmp_path, articles, method):
    model = StanceModel.from_pretrained(str(exported), attn_implementation="eager")
    trace(model, tmp_path / "raw.onnx")
    settings = {"method": method, "reduce_range": True, "block_size": 32}
    batches = sample(exported, articles)
    quantize(tmp_path / "raw.onnx", tmp_path / "int8.onnx", model, settings, batches)
    tagger = Tagger.from_pretrained(exported, backend="onnx")
    int8 = tagger.on(OnnxRuntime.load(tmp_path / "int8.onnx"))
    assert equal_labels(tagger.tag_many(articles), int8.tag_many(articles)) > 80


def test_float_logits_are_those_of_pytorch(exported, articles):
    torch_tagger = Tagger.from_pretrained(exported, backend="torch")
    onnx_tagger = Tagger.from_pretrained(exported, backend="onnx")
    for (_, one), (_, other) in zip(
        torch_tagger.logits(articles), onnx_tagger.logits(articles), strict=True
    ):
        np.testing.assert_allclose(one.facets, other.facets, atol=1e-4)
        np.testing.assert_allclose(one.stance, other.stance, atol=1e-4)
        for (_, left), (_, right) in zip(one.spans, other.spans, strict=True):
            np.testing.assert_allclose(left, right, atol=1e-4)


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_labels_do_not_depend_on_batch_order_or_threads(exported, articles, backend):
    tagger = Tagger.from_pretrained(exported, backend=backend, threads=1)
    wanted = list(tagger.tag_many(articles))
    alone = list(tagger.on(tagger.runtime, batch_tokens=1).tag_many(articles))
    backwards = list(tagger.tag_many(articles[::-1]))[::-1]
    two = Tagger.from_pretrained(exported, backend=backend, threads=2)
    for other in (alone, backwards, list(two.tag_many(articles))):
        assert equal_labels(wanted, other) == 100


def test_blocks_of_weights_make_int8_independent_of_the_batch(exported, articles):
    tagger = Tagger.from_pretrained(exported, backend="onnx-int8")
    alone = tagger.on(tagger.runtime, batch_tokens=1)
    for (_, one), (_, other) in zip(tagger.logits(articles), alone.logits(articles), strict=True):
        np.testing.assert_allclose(one.stance, other.stance, atol=1e-4)


def test_tagging_needs_neither_torch_nor_transformers(exported):
    code = (
        "import sys; from stance import Tagger; "
        f"t = Tagger.from_pretrained({str(exported)!r}); "
        "print(type(t.runtime).__name__, len(t.tag('Rain fell. Ana left.').sentences), "
        "sorted({'torch', 'transformers', 'hydra', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split(maxsplit=2) == ["OnnxRuntime", "2", "[]\n"]


def test_auto_takes_the_fastest_that_is_there(exported, tiny_model):
    assert isinstance(load_runtime(exported), OnnxRuntime)
    assert not isinstance(load_runtime(tiny_model), OnnxRuntime)
    with pytest.raises(StanceError, match=r"model\.onnx: there is no such file"):
        load_runtime(tiny_model, "onnx")
    with pytest.raises(StanceError, match="backend is 'tensorrt', want one of auto, torch"):
        load_runtime(exported, "tensorrt")
    with pytest.raises(StanceError, match="dtype is 'int4', want one of auto, float32, bfloat16"):
        load_runtime(tiny_model, dtype="int4")
    with pytest.raises(StanceError, match="runs on the CPU, not on 'cuda'"):
        load_runtime(exported, "onnx", device="cuda")


@pytest.mark.parametrize("device", ["cuda", "gpu"])
def test_a_device_that_is_not_there_is_one_sentence(tiny_model, device):
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(StanceError, match=f"^device={device} cannot be used: "):
        Tagger.from_pretrained(tiny_model, device=device)


def test_bfloat16_is_for_pytorch_on_request(tiny_model, articles):
    exact = Tagger.from_pretrained(tiny_model, backend="torch")
    rounded = Tagger.from_pretrained(tiny_model, backend="torch", dtype="bfloat16")
    auto = load_runtime(tiny_model, "torch", dtype="auto")
    assert not exact.runtime.bfloat16
    assert auto.bfloat16 == has_bfloat16("cpu")
    ((_, one),) = exact.logits(articles[:1])
    ((_, other),) = rounded.logits(articles[:1])
    assert other.facets.dtype == np.float32
    assert 0 < np.abs(one.facets - other.facets).max() < 0.2


def test_a_broken_file_is_one_sentence(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(StanceError, match=r"model\.onnx: ONNX Runtime cannot load it"):
        OnnxRuntime.load(path)


def test_a_file_that_labels_otherwise_is_refused(exported, tiny_encoder, tmp_path, articles):
    """The graph of another model of the same shape."""
    import onnx
    from onnx import numpy_helper

    proto = onnx.load(exported / "model.onnx")
    for tensor in proto.graph.initializer:
        if tensor.name.endswith("facet_head.bias"):
            tensor.CopyFrom(
                numpy_helper.from_array(numpy_helper.to_array(tensor)[::-1] + 5, tensor.name)
            )
    onnx.save(proto, tmp_path / "model.onnx")
    with pytest.raises(StanceError, match=r"model\.onnx is not written: equal is [\d.]+ %"):
        check(exported, {"onnx": tmp_path / "model.onnx"}, articles, Limits())
    report = check(exported, {"onnx": tmp_path / "model.onnx"}, articles, ANY)
    assert report["onnx"]["equal"] < 99


def test_nothing_is_left_of_a_refused_export(tiny_model, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    with pytest.raises(StanceError, match=r"int8\.method is 'int4'"):
        export(settings(folder, "int8.method=int4"))
    with pytest.raises(StanceError, match="is not written"):
        export(settings(folder, "limits.float_equal=100.1", "int8.method=none"))
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        path.name for path in tiny_model.iterdir()
    )
