"""Takes padded window batches; gives logits, from PyTorch or ONNX Runtime behind one interface."""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stance.cores import default_threads
from stance.errors import StanceError, require
from stance.int8_weights import INT8_FILE
from stance.schema import FloatArray
from stance.storage import file_hash

if TYPE_CHECKING:
    from stance.model import StanceModel

ONNX_FILES = {
    "onnx-vnni": "model.vnni.onnx",
    "onnx-int8": INT8_FILE,
    "onnx": "model.onnx",
}
"""Backends of ONNX Runtime with their file in a model folder, the preferred one first."""

VNNI_RUNTIME = (1, 24, 2)
"""The first version of ONNX Runtime that has all operators of `model.vnni.onnx` and reads another
file's weights in a folder of links, such as the Hub's cache."""

WEIGHTS_HASH = "stance.weights.sha256"
"""Metadata of `model.vnni.onnx`: the hash of `model.int8.onnx`, of which it reads places."""

VNNI_FLAGS = {"avx512_vnni", "avx_vnni"}
"""What Linux calls the instructions that multiply bytes and add without overflow."""

SHORT_RUN = 100
"""Batches of a run that is too short to open more sessions, which take a third of a second each."""

SESSIONS = 8
"""How many sessions there are at most: each holds the model's weights."""

BACKENDS = ("auto", "torch", *ONNX_FILES)
DTYPES = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class Logits:
    """facets (B, S, facet labels), stance (B, S, T, stances), spans (B, N, tracks, O/B/I)."""

    facets: FloatArray
    stance: FloatArray
    spans: FloatArray


class Runtime(Protocol):
    """What runs the model's graph; `batch` is what `stance.windows.pad` gives.

    workers: how many threads of one stream of articles call `run` at the same time.
    batch_tokens: padded tokens in a batch that suit it best.
    """

    workers: int
    batch_tokens: int

    def run(self, batch: Mapping[str, NDArray[Any]]) -> Logits:
        """Logits of one padded batch."""

    def settle(self) -> None:
        """Do what is worth its time in a long run; who reads the articles calls it now and then."""


class TorchRuntime:
    """Holds the model in PyTorch, in evaluation mode while it runs."""

    workers = 1
    batch_tokens = 1024

    def __init__(self, model: StanceModel, *, bfloat16: bool = False) -> None:
        self.model = model
        self.bfloat16 = bfloat16

    @classmethod
    def load(
        cls,
        folder: str | Path,
        device: str = "auto",
        threads: int | None = None,
        dtype: str = "float32",
    ) -> TorchRuntime:
        """Load a model folder onto `auto` (CUDA or MPS where there is one), `cpu`, `cuda`, …

        Args:
            threads: of the CPU, for this whole process; None leaves them to PyTorch.
            dtype: float32, bfloat16 (autocast), or auto: bfloat16 where the processor has it.

        Raises:
            StanceError: the folder's weights cannot be read, or there is no such device.
            MissingExtra: torch or transformers is not installed.
        """
        torch = require("torch", "train")
        require("transformers", "train")
        from stance.model import StanceModel

        if threads:
            torch.set_num_threads(threads)
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
        try:
            model = model.to(torch.device(device))
        except (AssertionError, RuntimeError) as error:
            raise StanceError(f"device={device} cannot be used: {error}") from error
        if dtype == "auto":
            dtype = "bfloat16" if has_bfloat16(device) else "float32"
        return cls(model, bfloat16=dtype == "bfloat16")

    def run(self, batch: Mapping[str, NDArray[Any]]) -> Logits:
        """Logits of one padded batch, as float32 arrays."""
        import torch

        device = self.model.device
        training = self.model.training
        self.model.eval()  # type: ignore[no-untyped-call]
        mixed = torch.autocast(device.type, torch.bfloat16, enabled=self.bfloat16)
        with torch.inference_mode(), mixed:
            output = self.model(
                **{name: torch.from_numpy(array).to(device) for name, array in batch.items()}
            )
        self.model.train(training)
        return Logits(*(_numpy(value) for value in output.to_tuple()))

    def settle(self) -> None:
        """Nothing: the model is ready."""


class OnnxRuntime:
    """Holds sessions of ONNX Runtime on the CPU; needs neither torch nor transformers.

    Each batch has one thread, and as many batches run at once as there are threads: nothing waits
    for the slowest part of a product, nor for what else the process computes. In a long run the
    threads have sessions of their own, since a session gives the memory that one thread freed
    to the next, whose core then waits for the other core's cache.
    """

    batch_tokens = 384

    def __init__(self, path: Path, workers: int = 1) -> None:
        self.path = path
        self.workers = workers
        self.stamp = _stamp(path)
        self.session = _open_session(path)
        self.idle = [self.session] * workers
        self.fresh: list[Any] = []
        self.settled = workers == 1
        self.batches = 0
        self.lock = Lock()

    @classmethod
    def load(cls, path: str | Path, threads: int | None = None) -> OnnxRuntime:
        """Load an ONNX file that `stance.export` wrote, from the folder that it was written into.

        Args:
            threads: batches at once; None takes the cores that this process may use (see
                `stance.cores`).

        Raises:
            StanceError: the file is missing or is no such graph.
        """
        runtime = cls(Path(path), threads or default_threads())
        wanted = runtime.session.get_modelmeta().custom_metadata_map.get(WEIGHTS_HASH)
        if wanted:
            weights = Path(path).with_name(ONNX_FILES["onnx-int8"])
            if file_hash(weights) != wanted:
                raise StanceError(
                    f"{path} was made for another {weights.name}; remove it, or run "
                    "scripts/export.py with int8.method=keep"
                )
        return runtime

    def run(self, batch: Mapping[str, NDArray[Any]]) -> Logits:
        """Logits of one padded batch."""
        with self.lock:
            self.batches += 1
            # Last in, first out: a thread that goes on gets the session that it had.
            session = self.idle.pop() if self.idle else None
            if session is self.session and self.fresh:
                session = self.fresh.pop()
        if session is None:  # more threads at once than there were to be
            return Logits(*self.session.run(None, dict(batch)))
        try:
            return Logits(*session.run(None, dict(batch)))
        finally:
            with self.lock:
                self.idle.append(session)

    def settle(self) -> None:
        """Open more sessions once there have been many batches, at most `SESSIONS` in all."""
        with self.lock:
            if self.settled or self.batches < SHORT_RUN:
                return
            self.settled = True
        count = min(self.workers, SESSIONS)
        sessions = [self.session]
        # A model that was written anew in the meantime would label otherwise.
        while len(sessions) < count and _stamp(self.path) == self.stamp:
            try:
                sessions.append(_open_session(self.path))
            except StanceError:  # no memory for more: those that are there do the work
                break
        places = [sessions[n % len(sessions)] for n in range(self.workers)]
        with self.lock:
            self.fresh = [session for session in places if session is not self.session]


def _stamp(path: Path) -> list[tuple[int, int]]:
    """Times and sizes of an ONNX file and of what it may read beside it."""
    files = (path, path.with_name(ONNX_FILES["onnx-int8"]))
    return [(file.stat().st_mtime_ns, file.stat().st_size) for file in files if file.is_file()]


def _open_session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # What `stance.vnni` writes multiplies constants by their scales once, when it is loaded.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its exceptions have no common class but this
        raise StanceError(f"{path}: ONNX Runtime cannot load it: {error}") from error
    _give_back()
    return session


def _give_back() -> None:
    """Let the system have the memory that loading took and freed, 100 MB; glibc would keep it."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def has_bfloat16(device: str) -> bool:
    """Whether a processor multiplies matrices in bfloat16; False where PyTorch cannot tell."""
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: Mapping[str, Any] = {}
    if device == "cpu":
        capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "sve_bf16", "bf16"))


def has_vnni() -> bool:
    """Whether this processor is known to multiply bytes without overflow (x86 on Linux)."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return not VNNI_FLAGS.isdisjoint(flags)


def without_vnni() -> str | None:
    """What is missing here to run `model.vnni.onnx`, or None."""
    if not has_vnni():  # bytes would overflow in silence
        return "a processor with VNNI"
    import onnxruntime

    if tuple(map(int, re.findall(r"\d+", onnxruntime.__version__)[:3])) < VNNI_RUNTIME:
        return f"onnxruntime {'.'.join(map(str, VNNI_RUNTIME))} or newer"
    return None


def load_runtime(
    folder: str | Path,
    backend: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    dtype: str = "float32",
) -> Runtime:
    """The runtime of a model folder (see `choose_backend`).

    Args:
        threads: of the CPU.
        dtype: of PyTorch's matrix products: float32, bfloat16, auto (see `TorchRuntime.load`).

    Raises:
        StanceError: no such backend or dtype, no thread, or the folder has no file for it.
    """
    if dtype not in DTYPES:
        raise StanceError(f"dtype is {dtype!r}, want one of {', '.join(DTYPES)}")
    if threads is not None and threads < 1:
        raise StanceError(f"threads is {threads}, want a number above 0")
    backend = choose_backend(folder, backend, device)
    if backend == "torch":
        return TorchRuntime.load(folder, device, threads, dtype)
    return OnnxRuntime.load(Path(folder) / ONNX_FILES[backend], threads)


def choose_backend(folder: str | Path, backend: str = "auto", device: str = "auto") -> str:
    """The backend that `load_runtime` takes: torch, onnx, onnx-int8 or onnx-vnni.

    Args:
        backend: one of these; auto takes what multiplies in 8 bits if the folder has it and the
            processor VNNI, else the folder's file of 8-bit weights, else its float32 one, else
            PyTorch, and PyTorch on any device but the CPU.
        device: auto, cpu, cuda, mps; ONNX Runtime is used on the CPU.

    Raises:
        StanceError: no such backend, the folder has no file for it, or it needs VNNI.
    """
    if backend not in BACKENDS:
        raise StanceError(f"backend is {backend!r}, want one of {', '.join(BACKENDS)}")
    on_cpu = device in ("auto", "cpu")
    files = {name: Path(folder) / file for name, file in ONNX_FILES.items()}
    if backend == "auto":
        there = [name for name, path in files.items() if path.is_file()]
        if "onnx-vnni" in there and (without_vnni() or "onnx-int8" not in there):
            there.remove("onnx-vnni")
        return there[0] if there and on_cpu else "torch"
    if backend == "torch":
        return backend
    if not on_cpu:
        raise StanceError(f"backend={backend} runs on the CPU, not on {device!r}")
    if not files[backend].is_file():
        raise StanceError(f"{files[backend]}: there is no such file; scripts/export.py writes it")
    missing = without_vnni() if backend == "onnx-vnni" else None
    if missing:
        raise StanceError(f"backend=onnx-vnni needs {missing}; backend=onnx-int8 does not")
    return backend


def _numpy(value: Any) -> FloatArray:
    array: FloatArray = value.float().cpu().numpy().astype(np.float32, copy=False)
    return array
