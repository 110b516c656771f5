"""Takes a file of 8-bit weights; gives a graph beside it that multiplies them in 8 bits.

For processors that multiply bytes without overflow (VNNI). `model.int8.onnx` of `stance.export`
keeps the matrices in 8 bits and multiplies in float32. The graph made here has no matrices of its
own: it refers to those of that file, which ONNX Runtime turns into 8 bits with a scale for each
column, once if it is told so as in `stance.runtime` (else for every batch). Scales of activations
are measured beforehand, so that no label depends on what else is in the batch:

- behind a LayerNorm, the columns are brought to like sizes first, and the matrix takes what was
  taken from them (Xiao et al., SmoothQuant, ICML 2023);
- behind a GELU every token has a scale of its own, since a few of them are ten times as large;
- elsewhere one scale does for all.

It also spells out what ONNX Runtime runs faster apart: a LayerNorm and the sum before it, a GELU
and its bias, and attention as the operator of ONNX itself (opset 23), with a mask only where there
is padding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stance.errors import StanceError
from stance.int8_weights import constant_matrix
from stance.runtime import WEIGHTS_HASH
from stance.schema import FloatArray

OPSET = 23
SMOOTHING = 0.8
"""The exponent of a column's size with which it moves from activations into the matrix."""

INLINE = 256
"""Constants of at least so many bytes are not repeated, if the file of weights has them."""

LAST = ("/facet_head/", "/span_head/", "/stance_head/output/")
"""Parts of the names of nodes that give logits, and stay in float32."""

Batch = Mapping[str, NDArray[Any]]


def write_vnni(weights: Path, path: Path, batches: Sequence[Batch]) -> None:
    """Write the graph that multiplies in 8 bits.

    Args:
        weights: a file that `stance.export.quantize` wrote by its method `weights`; the graph
            refers to it by name, so the two have to lie in one folder.
        batches: padded windows on which activations are measured.

    Raises:
        StanceError: the file has no fused attention with 8-bit weights.
    """
    import onnx

    content = weights.read_bytes()
    proto = onnx.load_model_from_string(content)
    Builder(proto, measure_activations(proto, batches)).rewrite()
    refer(proto, weights.name, content)
    entry = proto.metadata_props.add()
    entry.key, entry.value = WEIGHTS_HASH, hashlib.sha256(content).hexdigest()
    onnx.save(proto, str(path))


def products(proto: Any) -> list[tuple[Any, str, str]]:
    """The nodes that multiply by a constant matrix, with the names of its input and of it."""
    constants = {tensor.name: len(tensor.dims) for tensor in proto.graph.initializer}
    return [
        (node, node.input[0], node.input[1])
        for node in proto.graph.node
        if node.op_type in ("MatMul", "Attention")
        and (constants.get(node.input[1]) == 2 or f"{node.input[1]}.int8" in constants)
        and not any(part in node.name for part in LAST)
    ]


def measure_activations(
    proto: Any, batches: Sequence[Batch]
) -> dict[str, tuple[FloatArray, FloatArray, float]]:
    """Least and greatest of each column of what is multiplied; first percentile of rows' greatest.

    Tokens of padding do not count.
    """
    import onnxruntime
    from onnx import ModelProto, helper

    probe = ModelProto()
    probe.CopyFrom(proto)
    names = list(dict.fromkeys(name for _, name, _ in products(proto)))
    probe.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        probe.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    rows: dict[str, list[FloatArray]] = {name: [] for name in names}
    tops: dict[str, list[FloatArray]] = {name: [] for name in names}
    for batch in batches:
        real = batch["attention_mask"] > 0
        for name, values in zip(names, session.run(names, dict(batch)), strict=True):
            tokens = values[real] if values.shape[:2] == real.shape else values
            tokens = tokens.reshape(-1, tokens.shape[-1])
            rows[name].append(np.stack([tokens.min(0), tokens.max(0)]))
            tops[name].append(tokens.max(1))
    measured = {}
    for name in names:
        stack = np.stack(rows[name])
        # One row in a hundred lies below: a row of next to nothing must not set the scale.
        floor = float(np.percentile(np.concatenate(tops[name]), 1))
        measured[name] = (stack[:, 0].min(0), stack[:, 1].max(0), floor)
    return measured


class Builder:
    """Rewrites a graph node by node."""

    def __init__(
        self, proto: Any, measured: Mapping[str, tuple[FloatArray, FloatArray, float]]
    ) -> None:
        self.proto = proto
        self.graph = proto.graph
        self.measured = measured
        self.constants = {tensor.name: tensor for tensor in self.graph.initializer}
        self.makers = {out: node for node in self.graph.node for out in node.output}
        self.users: dict[str, list[Any]] = {}
        for node in self.graph.node:
            for name in node.input:
                self.users.setdefault(name, []).append(node)
        self.products = {id(node): (given, name) for node, given, name in products(proto)}
        self.nodes: list[Any] = []
        self.done: set[str] = set()
        self.merged: set[int] = set()
        self.smooth: dict[str, FloatArray] = {}

    def rewrite(self) -> None:
        """Replace the graph's nodes."""
        attention = [node for node in self.graph.node if node.op_type == "Attention"]
        if not attention or any(id(node) not in self.products for node in attention):
            raise StanceError("there is no fused attention whose weights are constants")
        self.smooth = self.smoothing()
        for node in self.graph.node:
            if id(node) in self.merged:
                continue
            if node.op_type == "Attention":
                self.attention(node)
            elif id(node) in self.products:
                self.product(node)
            elif node.op_type == "SkipLayerNormalization":
                self.skip_norm(node)
            elif node.op_type == "BiasGelu":
                self.add(node.input[0], node.input[1], f"{node.output[0]}.sum")
                # By tanh, which is faster and off by less than what bytes tell apart.
                self.node("Gelu", [f"{node.output[0]}.sum"], node.output, approximate="tanh")
            elif f"{node.output[0]}.blocks" in node.input:
                self.dequantize(node.output[0])
            elif not self.in_blocks(node.output[0]):
                self.nodes.append(node)
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        for opset in self.proto.opset_import:
            if opset.domain == "":
                opset.version = OPSET
        self.proto.ir_version = max(self.proto.ir_version, 10)
        used = {name for node in self.nodes for name in node.input}
        kept = [tensor for tensor in self.graph.initializer if tensor.name in used]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)

    def in_blocks(self, name: str) -> bool:
        """Whether this is a step from a matrix in blocks of 8 bits to the whole one in float32."""
        matrix, _, step = name.rpartition(".")
        return step in ("float", "blocks") and f"{matrix}.int8" in self.constants

    def dequantize(self, name: str) -> None:
        """The same in one step, since every step takes the memory of all matrices in float32."""
        blocks = self.constants[f"{name}.int8"].dims
        parts = [self.table(f"{name}.{part}", blocks[-1]) for part in ("int8", "scale")]
        self.node("DequantizeLinear", parts, [name], axis=0, block_size=blocks[-2])

    def smoothing(self) -> dict[str, FloatArray]:
        """What the columns of each input behind a LayerNorm are divided by (geometric mean 1)."""
        matrices: dict[str, list[FloatArray]] = {}
        for given, name in self.products.values():
            maker = self.makers.get(given)
            if maker is not None and maker.op_type.endswith("LayerNormalization"):
                matrices.setdefault(given, []).append(constant_matrix(self.constants, name))
        found = {}
        for given, weights in matrices.items():
            low, high, _ = self.measured[given]
            size = np.maximum(np.maximum(-low, high), 1e-5)
            weight = np.maximum(np.max([np.abs(w).max(1) for w in weights], axis=0), 1e-5)
            factor = size**SMOOTHING / weight ** (1 - SMOOTHING)
            found[given] = (factor / np.exp(np.log(factor).mean())).astype(np.float32)
        return found

    def constant(self, name: str, value: Any) -> str:
        """Add a constant, once."""
        from onnx import numpy_helper

        if name not in self.done:
            self.done.add(name)
            self.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], **extra: Any) -> str:
        """Add a node; the name of its first output."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, list(inputs), list(outputs), **extra))
        return outputs[0]

    def table(self, name: str, width: int) -> str:
        """Reshape to rows of `width` columns; the name of the result."""
        shape = self.constant(f"vnni.table.{width}", np.array([-1, width]))
        return self.node("Reshape", [name, shape], [f"{name}.table"])

    def add(self, left: str, right: str, out: str) -> None:
        """Add a sum, unless it is a product's bias that the product has taken already."""
        if out not in self.done:
            self.node("Add", [left, right], [out])

    def attention(self, node: Any) -> None:
        """Three products and the operator of ONNX, for ONNX Runtime's node that has all in one."""
        from onnx import TensorProto, helper, numpy_helper

        given, name = self.products[id(node)]
        weights = constant_matrix(self.constants, name)
        bias = numpy_helper.to_array(self.constants[node.input[2]])
        if any(node.input[4:]) or any(
            a.name in ("scale", "unidirectional") and (a.f or a.i) for a in node.attribute
        ):
            raise StanceError("attention has a scale, a bias or a past of its own")
        heads = next(a.i for a in node.attribute if a.name == "num_heads")
        width = weights.shape[1] // 3
        parts = []
        for number, part in enumerate(("query", "key", "value")):
            first, last = number * width, (number + 1) * width
            out = f"{node.output[0]}.{part}"
            columns = self.node(
                "Slice",
                [
                    name,
                    self.constant(f"vnni.from.{first}", np.array([first])),
                    self.constant(f"vnni.from.{last}", np.array([last])),
                    self.constant("vnni.axis.1", np.array([1])),
                ],
                [f"{out}.columns"],
            )
            self.multiply(given, columns, weights[:, first:last], bias[first:last], out)
            parts.append(out)
        out, branches = node.output[0], {}
        # A mask takes time even where it hides nothing.
        for branch, masks in (("then_branch", [self.mask()]), ("else_branch", [])):
            result = f"{out}.{branch}"
            operator = helper.make_node(
                "Attention", [*parts, *masks], [result], q_num_heads=heads, kv_num_heads=heads
            )
            branches[branch] = helper.make_graph(
                [operator],
                result,
                [],
                [helper.make_tensor_value_info(result, TensorProto.FLOAT, None)],
            )
        self.node("If", [self.padded()], [out], name=node.name, **branches)

    def padded(self) -> str:
        """Whether any token of the batch is padding."""
        if "vnni.padded" not in self.done:
            self.done.add("vnni.padded")
            self.node("ReduceMin", ["attention_mask"], ["vnni.least"], keepdims=0)
            nothing = self.constant("vnni.nothing", np.int64(0))
            self.node("Equal", ["vnni.least", nothing], ["vnni.padded"])
        return "vnni.padded"

    def mask(self) -> str:
        """(B, 1, N, N): 0, or -10,000 for a token of padding, whatever token looks at it."""
        if "vnni.mask" in self.done:
            return "vnni.mask"
        self.done.add("vnni.mask")
        one, axis = self.constant("vnni.one", np.float32(1)), np.array([1, 2])
        place = [self.constant(f"vnni.at.{n}", np.array([n])) for n in range(3)]
        self.node("Cast", ["attention_mask"], ["vnni.real"], to=1)
        self.node("Sub", [one, "vnni.real"], ["vnni.padding"])
        far = self.constant("vnni.far", np.float32(-1e4))
        self.node("Mul", ["vnni.padding", far], ["vnni.bias"])
        self.node("Unsqueeze", ["vnni.bias", self.constant("vnni.axes", axis)], ["vnni.row"])
        self.node("Shape", ["attention_mask"], ["vnni.shape"])
        self.node("Slice", ["vnni.shape", place[0], place[1]], ["vnni.batch"])
        self.node("Slice", ["vnni.shape", place[1], place[2]], ["vnni.length"])
        shape = ["vnni.batch", place[1], "vnni.length", "vnni.length"]
        self.node("Concat", shape, ["vnni.square"], axis=0)
        return self.node("Expand", ["vnni.row", "vnni.square"], ["vnni.mask"])

    def skip_norm(self, node: Any) -> None:
        """A sum and a LayerNorm."""
        if len(node.input) < 4 or any(node.output[1:]):
            raise StanceError("the norm of a layer has no offset, or its sum is used elsewhere")
        first, skip, gamma, beta, *bias = node.input
        out = node.output[0]
        if bias:
            self.add(first, bias[0], f"{first}.sum")
            first = f"{first}.sum"
        self.node("Add", [first, skip], [f"{out}.sum"])
        epsilon = next(a.f for a in node.attribute if a.name == "epsilon")
        self.node("LayerNormalization", [f"{out}.sum", gamma, beta], [out], epsilon=epsilon)

    def product(self, node: Any) -> None:
        """A product together with the bias that its only user adds."""
        from onnx import numpy_helper

        given, name = self.products[id(node)]
        weights = constant_matrix(self.constants, name)
        out, bias = node.output[0], np.zeros(weights.shape[1], np.float32)
        users = self.users.get(out, [])
        user = users[0] if len(users) == 1 else None
        if user is not None:
            target = None
            if user.op_type == "Add":
                target, other = user.output[0], next(i for i in user.input if i != out)
            elif user.op_type == "BiasGelu":
                target, other = f"{user.output[0]}.sum", user.input[1]
            elif user.op_type == "SkipLayerNormalization" and len(user.input) == 5:
                target, other = f"{out}.sum", user.input[4]
            constant = self.constants.get(other) if target else None
            if target and constant is not None and tuple(constant.dims) == bias.shape:
                bias = numpy_helper.to_array(constant)
                self.done.add(target)
                out = target
                if user.op_type == "Add":
                    self.merged.add(id(user))
        self.multiply(given, name, weights, bias, out)

    def multiply(
        self, given: str, name: str, weights: FloatArray, bias: FloatArray, out: str
    ) -> None:
        """A product in 8 bits: of `given` and the constant `name`, whose numbers are `weights`."""
        smooth = self.smooth.get(given)
        if smooth is not None:
            weights = weights * smooth[:, None]
            factor = self.constant(f"{given}.smooth.rows", smooth[:, None])
            name = self.node("Mul", [name, factor], [f"{out}.smooth"])
        rows = self.activation(given)
        scale = np.maximum(np.abs(weights).max(0) / 127, 1e-12).astype(np.float32)
        matrix = self.node(
            "QuantizeLinear",
            [
                name,
                self.constant(f"{out}.weight_scale", scale),
                self.constant(f"{out}.weight_zero", np.zeros(len(scale), np.int8)),
            ],
            [f"{out}.weight"],
            axis=1,
        )
        inputs = [f"{given}.int8", matrix, f"{given}.scale", f"{out}.weight_scale"]
        inputs += [f"{given}.zero", ""]
        offset = self.constant(f"{out}.bias", np.asarray(bias, np.float32))
        domain = "com.microsoft"
        if not rows:
            self.node("MatMulIntegerToFloat", [*inputs, offset], [out], domain=domain)
            return
        self.node("MatMulIntegerToFloat", inputs, [f"{out}.per_row"], domain=domain)
        self.node("Mul", [f"{out}.per_row", f"{given}.row"], [f"{out}.whole"])
        self.node("Add", [f"{out}.whole", offset], [out])

    def activation(self, given: str) -> bool:
        """Add what turns an input into bytes, once; whether every row has a scale of its own."""
        maker = self.makers.get(given)
        rows = maker is not None and maker.op_type in ("Gelu", "BiasGelu", "FastGelu")
        if f"{given}.int8" in self.done:
            return rows
        self.done.add(f"{given}.int8")
        low, high, floor = self.measured[given]
        source = given
        if given in self.smooth:
            low, high = low / self.smooth[given], high / self.smooth[given]
            factor = self.constant(f"{given}.smooth.columns", 1 / self.smooth[given])
            source = self.node("Mul", [given, factor], [f"{given}.even"])
        least, most = min(float(low.min()), 0.0), max(float(high.max()), 1e-8)
        if rows:
            floor = max(floor, 1e-3 * most)
            least, most = least / floor, 1.0
        scale = np.float32((most - least) / 255)
        zero = np.uint8(np.clip(round(-least / scale), 0, 255))
        names = [self.constant(f"{given}.scale", scale), self.constant(f"{given}.zero", zero)]
        if rows:
            self.quantize_rows(given, len(low), floor, *names)
        else:
            self.node("QuantizeLinear", [source, *names], [f"{given}.int8"])
        return rows

    def quantize_rows(self, given: str, width: int, floor: float, scale: str, zero: str) -> None:
        """Turn rows of `width` columns into bytes, each by its greatest (`{given}.row`)."""
        last = self.constant("vnni.last", np.array([-1]))
        self.node("ReduceMax", [given, last], [f"{given}.top"], keepdims=1)
        bottom = self.constant(f"{given}.floor", np.float32(floor))
        self.node("Max", [f"{given}.top", bottom], [f"{given}.row"])
        self.node("Mul", [f"{given}.row", scale], [f"{given}.row.scale"])
        self.node("Reshape", [f"{given}.row.scale", last], [f"{given}.scales"])
        self.node("Shape", [f"{given}.scales"], [f"{given}.count"])
        self.node("Expand", [zero, f"{given}.count"], [f"{given}.zeros"])
        inputs = [self.table(given, width), f"{given}.scales", f"{given}.zeros"]
        self.node("QuantizeLinear", inputs, [f"{given}.table.int8"], axis=0)
        self.node("Shape", [given], [f"{given}.shape"])
        self.node("Reshape", [f"{given}.table.int8", f"{given}.shape"], [f"{given}.int8"])


def refer(proto: Any, name: str, content: bytes) -> None:
    """Let the constants that a file of this name and content holds already be read from there."""
    from onnx import TensorProto, numpy_helper

    for tensor in proto.graph.initializer:
        raw = numpy_helper.to_array(tensor).tobytes()
        start = content.find(raw) if len(raw) >= INLINE else -1
        if start < 0:
            continue
        tensor.ClearField("raw_data")
        tensor.ClearField("float_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", name), ("offset", start), ("length", len(raw))):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, str(value)
