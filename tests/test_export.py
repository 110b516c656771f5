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
from conftest import LOOSE, REPOSITORY
from hydra import compose, initialize_config_dir

from stance.corpora import read_corpus
from stance.errors import StanceError
from stance.export import Limits, Reference, check, equal_labels, export, quantize, sample, trace
from stance.model import StanceModel
from stance.runtime import (
    ONNX_FILES,
    OnnxRuntime,
    choose_backend,
    has_bfloat16,
    load_runtime,
    without_vnni,
)
from stance.tagger import Tagger
from stance.vnni import write_vnni
from stance.windows import pad

needs_vnni = pytest.mark.skipif(bool(without_vnni()), reason="no VNNI, or an old ONNX Runtime")
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
    written = {
        name: file for name, file in ONNX_FILES.items() if name != "onnx-vnni" or not without_vnni()
    }
    assert set(record["checks"]) == {"torch", *written}
    for name, file in written.items():
        assert record["bytes"][name] == (exported / file).stat().st_size
    assert record["bytes"]["onnx-int8"] < record["bytes"]["onnx"]


@pytest.mark.parametrize("method", ["dynamic", "matmul_nbits"])
def test_other_kinds_of_int8_label_much_the_same(exported, tmp_path, articles, method):
    model = StanceModel.from_pretrained(str(exported), attn_implementation="eager")
    trace(model, tmp_path / "raw.onnx")
    settings = {"method": method, "reduce_range": True, "block_size": 32}
    quantize(tmp_path / "raw.onnx", tmp_path / "int8.onnx", model, settings)
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


def test_the_number_of_threads_changes_no_bit(exported, articles):
    one, three = (
        Tagger.from_pretrained(exported, backend="onnx", threads=threads) for threads in (1, 3)
    )
    assert (one.runtime.workers, three.runtime.workers) == (1, 3)
    for (_, left), (_, right) in zip(one.logits(articles), three.logits(articles), strict=True):
        np.testing.assert_array_equal(left.facets, right.facets)
        np.testing.assert_array_equal(left.stance, right.stance)


def test_a_long_run_gives_every_thread_a_session_of_its_own_and_changes_no_bit(
    exported, articles, monkeypatch
):
    monkeypatch.setattr("stance.runtime.SHORT_RUN", 3)
    one, three = (
        Tagger.from_pretrained(exported, backend="onnx", threads=threads, batch_tokens=1)
        for threads in (1, 3)
    )
    stream = [*articles] * 5
    wanted = [logits.stance for _, logits in one.logits(stream)]
    assert {id(session) for session in three.runtime.idle} == {id(three.runtime.session)}
    found = [logits.stance for _, logits in three.logits(stream)]
    assert len(three.runtime.idle) == len(set(map(id, three.runtime.idle))) == 3
    assert set(map(id, one.runtime.idle)) == {id(one.runtime.session)}
    for left, right in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(left, right)


def test_there_are_no_more_sessions_than_weights_may_be_held_and_none_of_another_model(
    exported, tmp_path, monkeypatch
):
    monkeypatch.setattr("stance.runtime.SHORT_RUN", 0)
    monkeypatch.setattr("stance.runtime.SESSIONS", 2)
    path = shutil.copyfile(exported / "model.onnx", tmp_path / "model.onnx")
    many, changed = OnnxRuntime.load(path, threads=5), OnnxRuntime.load(path, threads=5)
    many.settle()
    assert len(many.fresh) == 2
    assert len(set(map(id, many.fresh))) == 1
    many.settle()
    assert len(many.fresh) == 2
    path.write_bytes(path.read_bytes() + b"\0")
    changed.settle()
    assert not changed.fresh


def test_more_threads_than_places_share_the_first_session(exported, articles):
    tagger = Tagger.from_pretrained(exported, backend="onnx", threads=1)
    tagger.runtime.idle.clear()
    batch = pad(tagger.windows(articles[0])[:1], 0)
    logits = tagger.runtime.run(batch)
    assert np.isfinite(logits.facets).all()
    assert tagger.runtime.idle == []


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


def turn_facets(path: Path, changed: Path) -> None:
    """Write a graph that labels as another model of the same shape."""
    import onnx
    from onnx import numpy_helper

    proto = onnx.load(path, load_external_data=False)
    for tensor in proto.graph.initializer:
        if tensor.name.endswith("facet_head.bias"):
            turned = numpy_helper.to_array(tensor)[::-1] * 50 + np.arange(5, dtype=np.float32)
            tensor.CopyFrom(numpy_helper.from_array(turned, tensor.name))
    onnx.save(proto, changed)


def test_a_file_that_labels_otherwise_is_refused(exported, tiny_encoder, tmp_path, articles):
    turn_facets(exported / "model.onnx", tmp_path / "model.onnx")
    reference = Reference.of(exported, articles)
    with pytest.raises(StanceError, match=r"model\.onnx is not written: equal is [\d.]+ %"):
        check(reference, {"onnx": tmp_path / "model.onnx"}, Limits())
    report = check(reference, {"onnx": tmp_path / "model.onnx"}, ANY)
    assert report["onnx"]["equal"] < 99


@needs_vnni
def test_8_bit_products_label_much_the_same_whatever_the_batch(exported, articles):
    exact = Tagger.from_pretrained(exported, backend="onnx")
    tagger = Tagger.from_pretrained(exported, backend="onnx-vnni")
    found = list(tagger.tag_many(articles))
    alone = list(tagger.on(tagger.runtime, batch_tokens=1).tag_many(articles))
    assert equal_labels(exact.tag_many(articles), found) > 90
    assert equal_labels(found, alone) >= 99.8
    difference = [
        np.abs(one.stance - other.stance).max()
        for (_, one), (_, other) in zip(
            exact.logits(articles), tagger.logits(articles), strict=True
        )
    ]
    assert 0 < max(difference) < 0.5


@needs_vnni
def test_the_graph_of_8_bit_products_has_no_matrices_of_its_own(exported):
    import onnx

    proto = onnx.load(exported / "model.vnni.onnx", load_external_data=False)
    outside = [t for t in proto.graph.initializer if t.external_data]
    assert {
        entry.value for t in outside for entry in t.external_data if entry.key == "location"
    } == {"model.int8.onnx"}
    inside = [t for t in proto.graph.initializer if not t.external_data]
    assert max(np.prod(tuple(t.dims), dtype=int) for t in inside) < 2000
    kinds = {node.op_type for node in proto.graph.node}
    assert {"If", "MatMulIntegerToFloat", "LayerNormalization", "Gelu"} <= kinds
    assert not kinds & {"SkipLayerNormalization", "BiasGelu", "Attention"}


@needs_vnni
def test_the_graph_of_8_bit_products_masks_only_where_there_is_padding(exported):
    import onnx

    proto = onnx.load(exported / "model.vnni.onnx", load_external_data=False)
    choices = [node for node in proto.graph.node if node.op_type == "If"]
    assert len(choices) == 2
    for choice in choices:
        operators = {a.name: a.g.node[0] for a in choice.attribute}
        assert {name: len(node.input) for name, node in operators.items()} == {
            "then_branch": 4,
            "else_branch": 3,
        }

    tagger = Tagger.from_pretrained(exported, backend="onnx-vnni")
    windows = [w for a in read_corpus("starter", None, "dev")[:3] for w in tagger.windows(a)]
    short, long = min(windows, key=len), max(windows, key=len)
    alone = tagger.runtime.run(pad([short], 0))
    beside = tagger.runtime.run(pad([short, long], 0))
    length, count = alone.spans.shape[1], alone.facets.shape[1]
    assert length < len(long)
    np.testing.assert_allclose(beside.spans[0, :length], alone.spans[0], atol=1e-4)
    np.testing.assert_allclose(beside.facets[0, :count], alone.facets[0], atol=1e-4)


def test_a_graph_without_fused_attention_is_refused(exported, tmp_path):
    trace(
        StanceModel.from_pretrained(str(exported), attn_implementation="eager"),
        tmp_path / "raw.onnx",
    )
    with pytest.raises(StanceError, match="no fused attention whose weights are constants"):
        write_vnni(
            tmp_path / "raw.onnx",
            tmp_path / "vnni.onnx",
            sample(Tagger.from_pretrained(exported), read_corpus("starter", None, "dev")[:1]),
        )


@needs_vnni
def test_a_graph_of_8_bit_products_does_not_read_other_weights(exported, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(exported, folder)
    weights = bytearray((folder / "model.int8.onnx").read_bytes())
    weights[-1] ^= 1
    (folder / "model.int8.onnx").write_bytes(weights)
    with pytest.raises(StanceError, match=r"model\.vnni\.onnx was made for another model\.int8"):
        Tagger.from_pretrained(folder)


@needs_vnni
def test_a_graph_of_8_bit_products_is_read_through_links(exported, tmp_path):
    """As the Hub's cache keeps files."""
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot").mkdir()
    for number, path in enumerate(exported.iterdir()):
        shutil.copy(path, tmp_path / "blobs" / str(number))
        (tmp_path / "snapshot" / path.name).symlink_to(Path("..") / "blobs" / str(number))
    assert choose_backend(tmp_path / "snapshot") == "onnx-vnni"
    assert Tagger.from_pretrained(tmp_path / "snapshot").tag("Rain fell.").sentences


@needs_vnni
def test_a_graph_of_8_bit_products_is_added_to_weights_that_stay(exported, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    shutil.copytree(exported, folder)
    (folder / "model.vnni.onnx").unlink()
    before = {name: (folder / name).read_bytes() for name in ("model.int8.onnx", "export.json")}
    export(settings(folder, "int8.method=keep", *LOOSE))
    assert (folder / "model.int8.onnx").read_bytes() == before["model.int8.onnx"]
    assert (folder / "model.vnni.onnx").read_bytes() == (exported / "model.vnni.onnx").read_bytes()
    record = json.loads((folder / "export.json").read_text())
    assert record["int8"] == json.loads(before["export.json"])["int8"]
    monkeypatch.setattr("stance.runtime.has_vnni", lambda: False)
    export(settings(folder, "int8.method=keep", *LOOSE))
    assert (folder / "model.vnni.onnx").read_bytes() == (exported / "model.vnni.onnx").read_bytes()
    record = json.loads((folder / "export.json").read_text())
    assert record["without_vnni"] == "it needs a processor with VNNI"


@needs_vnni
def test_a_graph_that_labels_otherwise_is_left_out_and_the_others_stay(
    exported, tmp_path, monkeypatch, caplog
):
    folder = tmp_path / "model"
    shutil.copytree(exported, folder)

    def of_another_model(weights, path, batches):
        write_vnni(weights, path, batches)
        turn_facets(path, path)

    monkeypatch.setattr("stance.export.write_vnni", of_another_model)
    export(settings(folder, *LOOSE))
    assert not (folder / "model.vnni.onnx").exists()
    assert (folder / "model.int8.onnx").exists()
    assert "without model.vnni.onnx: model.vnni.onnx is not written: equal is" in caplog.text


def test_without_vnni_the_8_bit_weights_are_taken(exported, tmp_path, monkeypatch):
    monkeypatch.setattr("onnxruntime.__version__", "1.24.2")
    folder = tmp_path / "model"
    shutil.copytree(exported, folder)
    (folder / "model.vnni.onnx").write_bytes(b"a graph")
    monkeypatch.setattr("stance.runtime.has_vnni", lambda: False)
    assert choose_backend(folder) == "onnx-int8"
    with pytest.raises(
        StanceError, match="needs a processor with VNNI; backend=onnx-int8 does not"
    ):
        choose_backend(folder, "onnx-vnni")
    monkeypatch.setattr("stance.runtime.has_vnni", lambda: True)
    assert choose_backend(folder) == "onnx-vnni"
    monkeypatch.setattr("onnxruntime.__version__", "1.24.1")
    assert choose_backend(folder) == "onnx-int8"
    with pytest.raises(StanceError, match=r"needs onnxruntime 1\.24\.2 or newer"):
        choose_backend(folder, "onnx-vnni")
    monkeypatch.undo()
    (folder / "model.int8.onnx").unlink()
    assert choose_backend(folder) == "onnx"
    with pytest.raises(StanceError, match=r"int8\.method=keep: .* has no model\.int8\.onnx"):
        export(settings(folder, "int8.method=keep"))


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
