"""Takes a model folder; gives its graph as ONNX files beside the weights, in float32 and 8 bits.

The graph is that of `StanceModel.forward`, pooling and heads included. What is written was compared
with PyTorch on labelled articles first; a file that labels otherwise is not written.
"""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from stance.config import load_part, plain
from stance.errors import StanceError, require
from stance.evaluation import measure
from stance.records import Article
from stance.runtime import ONNX_FILES, OnnxRuntime, without_vnni
from stance.schema import Schema
from stance.tagger import Tagger, find_model, read_config, read_export, weights_hash
from stance.vnni import write_vnni
from stance.windows import pad

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from stance.model import StanceModel

logger = logging.getLogger(__name__)

OPSET = 17
METHODS = ("weights", "dynamic", "matmul_nbits", "keep", "none")
SAMPLE = 128
"""Windows on which activations are measured for `model.vnni.onnx`."""

INPUTS = {
    "input_ids": {0: "batch", 1: "length"},
    "attention_mask": {0: "batch", 1: "length"},
    "sentence_mask": {0: "batch", 1: "sentences", 2: "length"},
    "target_mask": {0: "batch", 1: "targets", 2: "length"},
}
OUTPUTS = {
    "facet_logits": {0: "batch", 1: "sentences"},
    "stance_logits": {0: "batch", 1: "sentences", 2: "targets"},
    "span_logits": {0: "batch", 1: "length"},
}
"""The axes of the graph's inputs and outputs that may have any length."""


def export(cfg: DictConfig) -> Path:
    """Write the ONNX files of a model folder, as `configs/export.yaml` says (see `ONNX_FILES`).

    Returns:
        The folder. `export.json` in it tells how the files were made and what the checks gave.

    Raises:
        StanceError: attention was not fused, a file labels too many sentences otherwise, or there
            is no 8-bit file to keep.
    """
    require("onnx", "export")
    from stance.model import StanceModel

    folder = find_model(str(cfg.model))
    int8 = plain(cfg.int8)
    if int8["method"] not in METHODS:
        raise StanceError(f"int8.method is {int8['method']!r}, want one of {', '.join(METHODS)}")
    if int8["method"] == "keep" and not (folder / ONNX_FILES["onnx-int8"]).is_file():
        raise StanceError(f"int8.method=keep: {folder} has no {ONNX_FILES['onnx-int8']}")
    schema = Schema.from_dict(
        read_config(folder)["schema"], where=f"{folder / 'config.json'}: schema"
    )
    articles = [
        article for part in load_part(cfg, str(cfg.part), schema).values() for article in part
    ]
    # The optimizer recognises attention in its eager form alone.
    model = StanceModel.from_pretrained(str(folder), attn_implementation="eager")
    with TemporaryDirectory(prefix="export-", dir=folder) as scratch:
        raw = Path(scratch) / "raw.onnx"
        trace(model, raw)
        files = {"onnx": Path(scratch) / ONNX_FILES["onnx"]}
        nodes = fuse(raw, files["onnx"], model)
        if int8["method"] != "none":
            files["onnx-int8"] = Path(scratch) / ONNX_FILES["onnx-int8"]
            if int8["method"] == "keep":
                shutil.copy(folder / ONNX_FILES["onnx-int8"], files["onnx-int8"])
            else:
                quantize(raw, files["onnx-int8"], model, int8)
        limits = Limits(**plain(cfg.limits))
        reference = Reference.of(folder, articles)
        checks = check(reference, files, limits)
        reason = None
        if int8["method"] in ("weights", "keep") and int8["vnni"]:
            path = Path(scratch) / ONNX_FILES["onnx-vnni"]
            reason = add_vnni(reference, files["onnx-int8"], path, limits, checks)
            if reason is None:
                files["onnx-vnni"] = path
            else:
                logger.warning("without %s: %s", path.name, reason)
        record = {
            "exporter": "torch.onnx.export (TorchScript), onnxruntime.transformers.optimizer",
            "opset": OPSET,
            "weights": weights_hash(folder),
            "int8": int8 | made_before(folder) if int8["method"] == "keep" else int8,
            "nodes": nodes,
            "bytes": {name: path.stat().st_size for name, path in files.items()},
            "checks": checks,
            **({"without_vnni": reason} if reason else {}),
            "sentences_checked": sum(len(article.sentences or ()) for article in articles),
            "versions": {name: version(name) for name in ("torch", "onnx", "onnxruntime")},
        }
        # The graph that reads the other file goes first and comes last, so that it never reads
        # another's weights. Where it cannot be checked but its weights are kept, it is kept too.
        stale = {name for name in ONNX_FILES if name not in files or name == "onnx-vnni"}
        if int8["method"] == "keep" and int8["vnni"] and without_vnni():
            stale.remove("onnx-vnni")
        for name in stale:
            (folder / ONNX_FILES[name]).unlink(missing_ok=True)
        for name, path in files.items():
            path.replace(folder / ONNX_FILES[name])
    (folder / "export.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return folder


def made_before(folder: Path) -> dict[str, Any]:
    """How the 8-bit file that a folder has was made, as far as its `export.json` tells."""
    return {name: v for name, v in read_export(folder).get("int8", {}).items() if name != "vnni"}


def add_vnni(
    reference: Reference,
    weights: Path,
    path: Path,
    limits: Limits,
    checks: dict[str, dict[str, float]],
) -> str | None:
    """Write and check the graph that multiplies in 8 bits; why it cannot be had, or None."""
    reason = without_vnni()
    if reason:
        return f"it needs {reason}"
    try:
        write_vnni(weights, path, sample(reference.tagger, reference.articles))
        checks |= check(reference, {"onnx-vnni": path}, limits)
    except StanceError as error:
        return str(error)
    return None


def print_record(folder: Path) -> None:
    """What an export gave, for the terminal."""
    record = read_export(folder)
    for name, row in record["checks"].items():
        figures = ", ".join(f"{figure} {value:.2f}" for figure, value in row.items())
        size = record["bytes"].get(name)
        print(f"{name}: {figures}" + (f", {size / 1e6:.1f} MB" if size else ""))
    if "without_vnni" in record:
        print(f"onnx-vnni: not written, {record['without_vnni']}")
    print(f"model: {folder}")


def trace(model: StanceModel, path: Path) -> None:
    """Write the model's graph as it is (see `fuse`); the axes of all inputs stay free."""
    import torch

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
            outputs: tuple[torch.Tensor, ...] = self.model(*inputs).to_tuple()
            return outputs

    batch, length, sentences, targets = 2, 24, 3, 2
    sentence_mask = torch.zeros(batch, sentences, length)
    target_mask = torch.zeros(batch, targets, length)
    for row in range(sentences):
        sentence_mask[:, row, 8 + 4 * row : 12 + 4 * row] = 1
    for row in range(targets):
        target_mask[:, row, 1 + 3 * row : 3 + 3 * row] = 1
    attention_mask = torch.ones(batch, length, dtype=torch.long)
    attention_mask[1, -4:] = 0
    input_ids = torch.full((batch, length), int(model.config.get_special_tokens().sep))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing Python control flow, and of the old exporter
        torch.onnx.export(
            Plain().eval(),
            (input_ids, attention_mask, sentence_mask, target_mask),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
            dynamic_axes=INPUTS | OUTPUTS,
        )


def fuse(
    raw: Path,
    path: Path,
    model: StanceModel,
    *,
    attention: bool = True,
    embeddings: bool = True,
) -> dict[str, int]:
    """Let ONNX Runtime's optimizer fuse a traced graph of a BERT-like encoder.

    Args:
        attention: make the projections of attention part of its node; else they stay matrix
            products of their own, which can be quantised one by one.
        embeddings: the same of the tables of embeddings.

    Returns:
        How many nodes of each kind there are.

    Raises:
        StanceError: attention was not fused in every layer.
    """
    from onnxruntime.transformers import optimizer
    from onnxruntime.transformers.fusion_options import FusionOptions

    encoder = model.encoder.config
    options = FusionOptions("bert")
    options.use_multi_head_attention = not attention
    options.enable_embed_layer_norm = embeddings
    fused = optimizer.optimize_model(
        str(raw),
        model_type="bert",
        num_heads=encoder.num_attention_heads,
        hidden_size=encoder.hidden_size,
        optimization_options=options,
        opt_level=0,
    )
    nodes = Counter(node.op_type for node in fused.model.graph.node)
    found = nodes["Attention"] + nodes["MultiHeadAttention"]
    if found != encoder.num_hidden_layers:
        raise StanceError(
            f"ONNX Runtime fused attention in {found} of {encoder.num_hidden_layers} layers of "
            f"this {encoder.model_type} encoder: such a graph would be slow"
        )
    fused.save_model_to_file(str(path))
    return dict(sorted(nodes.items()))


def sample(tagger: Tagger, articles: Sequence[Article]) -> list[dict[str, np.ndarray[Any, Any]]]:
    """Batches of `SAMPLE` windows of the articles, spread evenly, for the ranges of activations."""
    windows = [window for article in articles for window in tagger.windows(article)]
    chosen = windows[:: max(1, len(windows) // SAMPLE)]
    return [
        pad(chosen[first : first + 8], tagger.encoder.special.pad)
        for first in range(0, len(chosen), 8)
    ]


def quantize(
    raw: Path,
    path: Path,
    model: StanceModel,
    settings: Mapping[str, Any],
) -> None:
    """Write the graph with 8-bit weights: the encoder's matrices and the word embeddings.

    Other stages of the graph are written beside `raw`.

    weights: 8-bit weights alone, in blocks; they become float32 when the file is loaded.
    dynamic: 8-bit activations too, one scale for a whole batch, one weight scale per channel.
    matmul_nbits: 8-bit weights in blocks, each row of activations with scales of its own, so that
    labels do not depend on what else is in the batch.
    """
    import onnx

    method = settings["method"]
    graph = raw.with_name("apart.onnx")
    fuse(raw, graph, model, attention=method == "weights", embeddings=False)
    proto = onnx.load(str(graph))
    heads = [n.name for n in proto.graph.node if n.op_type == "MatMul" and is_head(n)]
    if method == "weights":
        quantize_weights(proto, int(settings["block_size"]), heads)
    elif method == "matmul_nbits":
        from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

        quantizer = MatMulNBitsQuantizer(
            proto,
            bits=8,
            block_size=int(settings["block_size"]),
            is_symmetric=True,
            accuracy_level=4,
            nodes_to_exclude=heads,
        )
        quantizer.process()
        proto = quantizer.model.model
    else:
        from onnxruntime import quantization

        after = raw.with_name("int8.onnx")
        quantization.quantize_dynamic(
            str(graph),
            str(after),
            op_types_to_quantize=["MatMul"],
            nodes_to_exclude=heads,
            per_channel=True,
            reduce_range=bool(settings["reduce_range"]),
            weight_type=quantization.QuantType.QInt8,
            # Fused nodes have outputs whose type the quantiser cannot infer.
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
        proto = onnx.load(str(after))
    quantize_embeddings(proto)
    onnx.save(proto, str(path))


def is_head(node: Any) -> bool:
    """Whether a node of the graph belongs to a head: few weights, and all of the precision."""
    return "/encoder/" not in node.name


def quantize_weights(proto: Any, block: int, whole: Sequence[str]) -> None:
    """Store every matrix that the graph multiplies with in 8 bits, with a scale for each block.

    The casts and products with the scales depend on nothing else, so ONNX Runtime computes them
    once, when it loads the file, and multiplies in float32: a small file, as fast as a float one.

    Args:
        block: so many weights of a column share a scale; all, if their number is no multiple of it.
        whole: names of nodes whose matrices stay as they are.
    """
    from onnx import helper, numpy_helper

    matrices = {tensor.name: tensor for tensor in proto.graph.initializer if len(tensor.dims) == 2}
    nodes = []
    for node in proto.graph.node:
        name = node.input[1] if node.op_type in ("MatMul", "Attention") else ""
        if name in matrices and node.name not in whole:
            tensor = matrices.pop(name)
            rows, columns = tensor.dims
            size = block if rows % block == 0 else rows
            weights = numpy_helper.to_array(tensor).reshape(-1, size, columns)
            scales = np.maximum(np.abs(weights).max(1, keepdims=True) / 127, 1e-12)
            parts = {
                "int8": np.round(weights / scales).astype(np.int8),
                "scale": scales.astype(np.float32),
                "shape": np.array([rows, columns], dtype=np.int64),
            }
            proto.graph.initializer.remove(tensor)
            proto.graph.initializer.extend(
                numpy_helper.from_array(part, f"{name}.{kind}") for kind, part in parts.items()
            )
            nodes += [
                helper.make_node("Cast", [f"{name}.int8"], [f"{name}.float"], to=1),
                helper.make_node("Mul", [f"{name}.float", f"{name}.scale"], [f"{name}.blocks"]),
                helper.make_node("Reshape", [f"{name}.blocks", f"{name}.shape"], [name]),
            ]
        nodes.append(node)
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)


def quantize_embeddings(proto: Any) -> None:
    """Replace every large float table of a `Gather` by 8-bit rows with a scale for each row."""
    from onnx import helper, numpy_helper

    tables = {tensor.name: tensor for tensor in proto.graph.initializer}
    nodes = []
    for node in proto.graph.node:
        table = tables.get(node.input[0]) if node.op_type == "Gather" else None
        if table is None or len(table.dims) != 2 or table.dims[0] < 256:
            nodes.append(node)
            continue
        weights = numpy_helper.to_array(table)
        scales = np.maximum(np.abs(weights).max(1, keepdims=True) / 127, 1e-12).astype(np.float32)
        rows = np.round(weights / scales).astype(np.int8)
        proto.graph.initializer.remove(table)
        name, ids, out = table.name, node.input[1], node.output[0]
        proto.graph.initializer.extend(
            [
                numpy_helper.from_array(rows, f"{name}.int8"),
                numpy_helper.from_array(scales, f"{name}.scale"),
            ]
        )
        nodes += [
            helper.make_node("Gather", [f"{name}.int8", ids], [f"{out}.int8"], axis=0),
            helper.make_node("Cast", [f"{out}.int8"], [f"{out}.float"], to=1),
            helper.make_node("Gather", [f"{name}.scale", ids], [f"{out}.scale"], axis=0),
            helper.make_node("Mul", [f"{out}.float", f"{out}.scale"], [out]),
        ]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)


@dataclass(frozen=True)
class Limits:
    """What a written file must keep to, in percent."""

    float_equal: float = 99.9
    int8_equal: float = 99.0
    batch_equal: float = 99.8
    tags_loss: float = 0.5


@dataclass(frozen=True)
class Reference:
    """PyTorch's labels of some articles, which every file is compared with."""

    tagger: Tagger
    articles: Sequence[Article]
    labelled: Sequence[Article]
    tags_macro_f1: float

    @classmethod
    def of(cls, folder: Path, articles: Sequence[Article]) -> Reference:
        """Label the articles with a model folder's own weights."""
        tagger = Tagger.from_pretrained(folder, backend="torch")
        labelled = list(tagger.tag_many(articles))
        return cls(tagger, articles, labelled, tags_macro_f1(tagger, articles, labelled))


def check(
    reference: Reference, files: Mapping[str, Path], limits: Limits
) -> dict[str, dict[str, float]]:
    """Compare each file with PyTorch on labelled articles.

    Returns:
        For each file, in percent: `equal` labels (facets and stances) with PyTorch, `batch_equal`
        labels of one window a batch with those of many, and `tags_macro_f1`.

    Raises:
        StanceError: a figure is past its limit.
    """
    articles, base = reference.articles, reference.tags_macro_f1
    report: dict[str, dict[str, float]] = {"torch": {"tags_macro_f1": base}}
    for name, path in files.items():
        tagger = reference.tagger.on(OnnxRuntime.load(path))
        found = list(tagger.tag_many(articles))
        alone = list(tagger.on(tagger.runtime, batch_tokens=1).tag_many(articles))
        row = {
            "equal": equal_labels(reference.labelled, found),
            "batch_equal": equal_labels(found, alone),
            "tags_macro_f1": tags_macro_f1(tagger, articles, found),
        }
        report[name] = row
        least = limits.float_equal if name == "onnx" else limits.int8_equal
        for figure, bound in (("equal", least), ("batch_equal", limits.batch_equal)):
            if row[figure] < bound:
                raise StanceError(
                    f"{ONNX_FILES[name]} is not written: {figure} is {row[figure]:.2f} % of the "
                    f"labels, want {bound} %"
                )
        if base - row["tags_macro_f1"] > limits.tags_loss:
            raise StanceError(
                f"{ONNX_FILES[name]} is not written: tags macro-F1 falls from {base:.1f} to "
                f"{row['tags_macro_f1']:.1f}"
            )
    return report


def tags_macro_f1(tagger: Tagger, gold: Sequence[Article], found: Sequence[Article]) -> float:
    """In percent; nan where the articles have no labels for it."""
    figures = measure(gold, found, tagger.schema, resamples=0)["headline"]
    return 100 * float(figures.get("tags_macro_f1", {"value": float("nan")})["value"])


def equal_labels(left: Iterable[Article], right: Iterable[Article]) -> float:
    """Percent of the labels, facets and stances, that two taggings of the same articles share."""
    same = total = 0
    for one, other in zip(left, right, strict=True):
        for a, b in zip(one.sentences or (), other.sentences or (), strict=True):
            pairs = [(label.label, b.facets[name].label) for name, label in a.facets.items()]
            pairs += [(s.label, t.label) for s, t in zip(a.stance, b.stance, strict=True)]
            total += len(pairs)
            same += sum(x == y for x, y in pairs)
    return 100 * same / max(total, 1)
