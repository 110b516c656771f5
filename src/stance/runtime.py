"""Takes padded window batches; gives logits, from PyTorch behind one small interface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stance.errors import StanceError, require
from stance.schema import FloatArray

if TYPE_CHECKING:
    from stance.model import StanceModel


@dataclass(frozen=True)
class Logits:
    """facets (B, S, facet labels), stance (B, S, T, stances), spans (B, N, tracks, O/B/I)."""

    facets: FloatArray
    stance: FloatArray
    spans: FloatArray


class Runtime(Protocol):
    """What runs the model's graph; `batch` is what `stance.windows.pad` gives."""

    def run(self, batch: Mapping[str, NDArray[Any]]) -> Logits:
        """Logits of one padded batch."""


class TorchRuntime:
    """Holds the model in PyTorch, in evaluation mode while it runs."""

    def __init__(self, model: StanceModel) -> None:
        self.model = model

    @classmethod
    def load(cls, folder: str | Path, device: str = "auto") -> TorchRuntime:
        """Load a model folder onto `auto` (CUDA or MPS where there is one), `cpu`, `cuda`, …

        Raises:
            StanceError: the folder's weights cannot be read.
            MissingExtra: torch or transformers is not installed.
        """
        torch = require("torch", "train")
        require("transformers", "train")
        from stance.model import StanceModel

        try:
            model = StanceModel.from_pretrained(str(folder))
        except (OSError, ValueError, RuntimeError) as error:
            raise StanceError(f"{folder}: the model cannot be loaded: {error}") from error
        if device == "auto":
            device = "cpu"
            if torch.cuda.is_available():
                device = "cuda"
            elif torch.backends.mps.is_available():
                device = "mps"
        return cls(model.to(torch.device(device)))

    def run(self, batch: Mapping[str, NDArray[Any]]) -> Logits:
        """Logits of one padded batch, in float32."""
        import torch

        device = self.model.device
        training = self.model.training
        self.model.eval()  # type: ignore[no-untyped-call]
        with torch.inference_mode():
            output = self.model(
                **{name: torch.from_numpy(array).to(device) for name, array in batch.items()}
            )
        self.model.train(training)
        return Logits(*(_numpy(value) for value in output.to_tuple()))


def _numpy(value: Any) -> FloatArray:
    array: FloatArray = value.float().cpu().numpy().astype(np.float32, copy=False)
    return array
