"""Takes a file of 8-bit weights that `stance.export` wrote; gives them under PyTorch's names.

The wheel of this package carries its model in this form alone, a base install being for tagging;
PyTorch, and training that starts from the model, read it from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stance.errors import StanceError, require
from stance.schema import FloatArray

INT8_FILE = "model.int8.onnx"

ROOT = "model."
"""What the exporter puts before the names of the model's parameters."""


def read_weights(path: Path) -> dict[str, FloatArray]:
    """The parameters of a BERT-like model, as its `state_dict` names them.

    Each differs from what was exported by at most half a step of 8 bits: a 254th of the largest
    weight in its block (of 32 as a rule) or, for embeddings, in its row.

    Raises:
        StanceError: the file cannot be read.
        MissingExtra: `onnx` is not installed.
    """
    onnx = require("onnx", "train")
    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:  # its exceptions have no common class but this
        raise StanceError(f"{path}: not an ONNX file: {error}") from error
    constants = {tensor.name: tensor for tensor in graph.initializer}
    found = {
        name.removeprefix(ROOT).removesuffix(".int8"): constant_matrix(
            constants, name.removesuffix(".int8")
        )
        for name in constants
        if name.startswith(ROOT) and not name.endswith((".scale", ".shape"))
    }
    users = {name: node for node in graph.node for name in node.input}
    for node in graph.node:
        name = node.input[1] if node.op_type in ("MatMul", "Attention") else ""
        if name not in constants and f"{name}.int8" not in constants:
            continue
        weights = constant_matrix(constants, name)
        if node.op_type == "MatMul":
            found[f"{module_name(node.name)}.weight"] = weights.T
            continue
        # The three projections are one matrix; what reads their result tells the layer.
        layer = module_name(users[node.output[0]].name).removesuffix(".output.dense")
        biases = constant_matrix(constants, node.input[2])
        for place, kind in enumerate(("query", "key", "value")):
            found[f"{layer}.self.{kind}.weight"] = np.split(weights, 3, axis=1)[place].T
            found[f"{layer}.self.{kind}.bias"] = np.split(biases, 3)[place]
    return {name: np.ascontiguousarray(values) for name, values in found.items()}


def module_name(node: str) -> str:
    """The module that a node of the graph was: `/model/facet_head/MatMul` is `facet_head`'s."""
    return node.rpartition("/")[0].replace("/", ".").removeprefix(f".{ROOT}")


def constant_matrix(constants: Mapping[str, Any], name: str) -> FloatArray:
    """A constant as float32, whether it is stored so or in 8 bits, in blocks or rows with scales.

    Args:
        constants: the graph's, by name.
    """
    from onnx import numpy_helper

    stored = constants.get(f"{name}.int8")
    if stored is None:
        return np.asarray(numpy_helper.to_array(constants[name]), np.float32)
    values = numpy_helper.to_array(stored).astype(np.float32)
    values *= numpy_helper.to_array(constants[f"{name}.scale"])
    return values.reshape(-1, values.shape[-1])
