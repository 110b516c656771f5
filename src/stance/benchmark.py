"""Takes a Hydra config; gives a table and a diagram of how fast this and other tools label.

Every contestant runs in processes of its own, the rounds interleaved, so that a slow minute of the
machine meets all of them. Medians stand in the table, with the range of the rounds.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from omegaconf import DictConfig

from stance.card import table
from stance.config import plain
from stance.contestants import CONTESTANTS
from stance.cores import default_threads
from stance.corpora import read_corpus
from stance.encoders import EncoderSource, encoder_folder
from stance.errors import StanceError, require
from stance.figures import draw_speeds
from stance.readers import read_articles
from stance.records import Article
from stance.schema import DEFAULT
from stance.tagger import find_model, read_config
from stance.writers import open_writer

SIZE = 2048
"""Rows and columns of the matrices whose product is the machine's peak."""


def benchmark(cfg: DictConfig) -> Path:
    """Measure the contestants of `configs/benchmark.yaml`.

    Returns:
        The output folder, with `benchmark.json`, `benchmark.md` and `benchmark.png`.

    Raises:
        StanceError: no such contestant, or one of them broke.
    """
    require("onnx", "export")
    names = plain(cfg.contestants)
    for name in names:
        if name not in CONTESTANTS:
            raise StanceError(f"contestants: there is no {name!r} (there are {list(CONTESTANTS)})")
    threads = int(cfg.threads or default_threads())
    model = find_model(str(cfg.model))
    output = Path(str(cfg.output))
    output.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="stance-benchmark-") as scratch:
        articles = take(read_input(cfg), int(cfg.sentences))
        files = {
            "articles": _write(articles, Path(scratch) / "articles.jsonl"),
            "train": _write(read_corpus("starter", None, "train"), Path(scratch) / "train.jsonl"),
            "dev": _write(read_corpus("starter", None, "dev"), Path(scratch) / "dev.jsonl"),
        }
        shared = {
            "model": str(model),
            "encoder": str(encoder_folder(EncoderSource(**plain(cfg.encoder)))),
            "targets": plain(cfg.targets),
            "threads": threads,
            "attribution": cfg.attribution,
            "stance": cfg.stance,
            "weights": plain(cfg.weights),
            **files,
        }
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        peaks: list[dict[str, float]] = []
        for number in range(int(cfg.rounds)):
            peaks.append(machine_peak(threads))
            for name in names:
                # The quality is the same in every round.
                task = shared | {"name": name} | ({"dev": None} if number else {})
                runs[name].append(run_contestant(task))
                print(f"round {number + 1}: {name}: {_brief(runs[name][-1])}", flush=True)
    count = sum(len(article.sentences or ()) for article in articles)
    result = summarize(runs, peaks, count, read_config(model))
    result["settings"] = {"threads": threads, "sentences": count, "rounds": int(cfg.rounds)}
    result["settings"]["command"] = f"python scripts/benchmark.py model={cfg.model}"
    (output / "benchmark.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    (output / "benchmark.md").write_text(render(result), encoding="utf-8")
    draw_speeds(result, output / "benchmark.png")
    return output


def read_input(cfg: DictConfig) -> list[Article]:
    """The articles to label: a file of the user, or the bundled corpus."""
    if cfg.input:
        return list(read_articles(Path(str(cfg.input))))
    return read_corpus("starter", None, "train")


def take(articles: Sequence[Article], sentences: int) -> list[Article]:
    """Articles, repeated if need be, until there are so many sentences; ids made unique.

    Raises:
        StanceError: there is no sentence to take.
    """
    known = [article for article in articles if article.sentences]
    if not known:
        raise StanceError("input: there is no article with sentences to label")
    taken: list[Article] = []
    count = 0
    while count < sentences:
        article = known[len(taken) % len(known)]
        taken.append(replace(article, id=f"{len(taken):06}"))
        count += len(article.sentences or ())
    return taken


def _write(articles: Sequence[Article], path: Path) -> str:
    with open_writer(path, "jsonl", DEFAULT) as writer:
        for article in articles:
            writer.write(article)
    return str(path)


def run_contestant(task: Mapping[str, Any]) -> dict[str, Any]:
    """Start a process and gather its lines; `cold` is the time to its first labelled article.

    Raises:
        StanceError: the process failed; its last words are in the message.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "stance.contestants", json.dumps(task)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    result: dict[str, Any] = {"speeds": {}}
    assert process.stdout is not None
    for line in process.stdout:
        if not line.startswith("{"):
            continue
        values = json.loads(line)
        if values.pop("first", False):
            result["cold"] = time.perf_counter() - started
        elif "targets" in values:
            result["speeds"][int(values.pop("targets"))] = values
        else:
            result |= values
    errors = process.stderr.read() if process.stderr else ""
    if process.wait():
        raise StanceError(f"contestant {task['name']} failed: {errors.strip().splitlines()[-1:]}")
    return result


def _brief(run: Mapping[str, Any]) -> str:
    if "not_run" in run:
        return f"not run: {run['not_run']}"
    seconds = {count: round(row["seconds"], 2) for count, row in run["speeds"].items()}
    return f"seconds by targets {seconds}, cold {run['cold']:.2f} s, {run['peak_mb']:.0f} MB"


def summarize(
    runs: Mapping[str, Sequence[Mapping[str, Any]]],
    peaks: Sequence[Mapping[str, float]],
    sentences: int,
    config: Mapping[str, Any],
) -> dict[str, Any]:
    """Medians and ranges over the rounds.

    Returns:
        `peak`: operations per second of the fastest product of each kind; `contestants`: for each
        sentences/s by number of targets, cold start in s, peak memory in MB, quality, and for ours
        the share of the peak that the model's own time reached.
    """
    peak = {kind: spread([row[kind] for row in peaks]) for kind in ("float32", "int8")}
    rows: dict[str, Any] = {}
    for name, rounds in runs.items():
        if "not_run" in rounds[0]:
            rows[name] = {"not_run": rounds[0]["not_run"]}
            continue
        row: dict[str, Any] = {
            "speed": {
                count: spread([sentences / run["speeds"][count]["seconds"] for run in rounds])
                for count in rounds[0]["speeds"]
            },
            "cold": spread([run["cold"] for run in rounds]),
            "peak_mb": spread([run["peak_mb"] for run in rounds]),
            "quality": rounds[0].get("quality"),
        }
        if "model_seconds" in next(iter(rounds[0]["speeds"].values())):
            # With 8-bit weights alone the products are in float32.
            backend = next(iter(rounds[0]["speeds"].values()))["backend"]
            kind = "int8" if backend == "onnx-vnni" else "float32"
            row["share_of_peak"] = {
                count: spread(
                    [
                        operations(run["speeds"][count]["tokens"], config)
                        / run["speeds"][count]["model_seconds"]
                        / peaks[number][kind]
                        for number, run in enumerate(rounds)
                    ]
                )
                for count in rounds[0]["speeds"]
            }
        rows[name] = row
    return {"peak": peak, "contestants": rows}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and greatest."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def operations(tokens: int, config: Mapping[str, Any]) -> float:
    """Multiplications and additions in the encoder's matrices for so many padded tokens.

    Without those of attention itself, pooling and heads, so a share of the peak is a lower bound.
    """
    encoder = config["encoder"]
    width, inner = int(encoder["hidden_size"]), int(encoder["intermediate_size"])
    layer = 2 * (4 * width * width + 2 * width * inner)
    return float(tokens) * layer * int(encoder["num_hidden_layers"])


def machine_peak(threads: int) -> dict[str, float]:
    """Operations per second of the fastest 2048³ product in ONNX Runtime, float32 and int8."""
    rng = np.random.default_rng(0)
    left = rng.standard_normal((SIZE, SIZE)).astype(np.float32)
    right = rng.standard_normal((SIZE, SIZE)).astype(np.float32)
    bytes_left = rng.integers(0, 128, (SIZE, SIZE)).astype(np.uint8)
    bytes_right = rng.integers(-64, 64, (SIZE, SIZE)).astype(np.int8)
    graphs = {
        "float32": [_product("MatMul", left, right, threads)],
        "int8": [
            _product("MatMulInteger", bytes_left, bytes_right, threads),
            _nbits(left, right, threads),
        ],
    }
    return {kind: max(map(_rate, sessions)) for kind, sessions in graphs.items()}


def _session(
    nodes: Any, constants: Any, given: np.ndarray[Any, Any], kind: int, threads: int
) -> Any:
    import onnxruntime
    from onnx import TensorProto, helper

    dtype = TensorProto.UINT8 if given.dtype == np.uint8 else TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "product",
        [helper.make_tensor_value_info("left", dtype, [SIZE, SIZE])],
        [helper.make_tensor_value_info("out", kind, [SIZE, SIZE])],
        constants,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    )
    model.ir_version = 9
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return (
        onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        ),
        {"left": given},
    )


def _product(
    operator: str, left: np.ndarray[Any, Any], right: np.ndarray[Any, Any], threads: int
) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    kind = TensorProto.INT32 if operator == "MatMulInteger" else TensorProto.FLOAT
    node = helper.make_node(operator, ["left", "right"], ["out"])
    return _session([node], [numpy_helper.from_array(right, "right")], left, kind, threads)


def _nbits(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any], threads: int) -> Any:
    """The product with 8-bit weights in blocks and 8-bit activations."""
    from onnx import TensorProto, helper, numpy_helper

    block = 32
    blocks = right.T.reshape(SIZE, SIZE // block, block)
    scales = np.abs(blocks).max(-1) / 127
    rows = (np.round(blocks / scales[..., None]) + 128).clip(0, 255).astype(np.uint8)
    node = helper.make_node(
        "MatMulNBits",
        ["left", "rows", "scales"],
        ["out"],
        domain="com.microsoft",
        K=SIZE,
        N=SIZE,
        bits=8,
        block_size=block,
        accuracy_level=4,
    )
    constants = [
        numpy_helper.from_array(rows, "rows"),
        numpy_helper.from_array(scales.reshape(-1).astype(np.float32), "scales"),
    ]
    return _session([node], constants, left, TensorProto.FLOAT, threads)


def _rate(prepared: Any) -> float:
    """Operations per second, the best of several runs."""
    session, inputs = prepared
    session.run(None, inputs)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        session.run(None, inputs)
        times.append(time.perf_counter() - started)
    return 2.0 * SIZE**3 / min(times)


def render(result: Mapping[str, Any]) -> str:
    """The table as Markdown."""
    rows = result["contestants"]
    ran = {name: row for name, row in rows.items() if "not_run" not in row}
    counts = list(next(iter(ran.values()))["speed"]) if ran else []
    base = ran.get("pipeline")
    header = [
        "contestant",
        *(f"{n} targets" for n in counts),
        "cold start",
        "memory",
        "tags",
        "favor/against",
    ]
    lines = []
    for name, row in rows.items():
        if "not_run" in row:
            lines.append([name, *["not run"] * len(counts), "–", "–", "–", "–"])
            continue
        speeds = [_speed(row["speed"][n], base and base["speed"][n]) for n in counts]
        quality = row["quality"] or {}
        lines.append(
            [
                name,
                *speeds,
                f"{row['cold']['median']:.1f} s",
                f"{row['peak_mb']['median']:.0f} MB",
                *(
                    f"{100 * quality[figure]:.1f}" if figure in quality else "–"
                    for figure in ("tags_macro_f1", "favor_against_f1")
                ),
            ]
        )
    settings, peak = result["settings"], result["peak"]
    text = [
        f"Sentences per second, median of {settings['rounds']} interleaved rounds (range), and how "
        f"many times the pipeline's; {settings['sentences']} sentences, {settings['threads']} "
        f"threads. `{settings['command']}`",
        "",
        table(header, lines),
        "",
        f"Peak of this machine (2048³): {peak['float32']['median'] / 1e9:.0f} GFLOP/s in float32, "
        f"{peak['int8']['median'] / 1e9:.0f} GOP/s in int8.",
    ]
    for name, row in ran.items():
        if "share_of_peak" in row:
            shares = ", ".join(
                f"{100 * share['median']:.0f} % with {n}"
                for n, share in row["share_of_peak"].items()
            )
            text.append(f"{name}: encoder matrices at {shares} targets of that peak.")
    text += [
        f"{name}: not run, {row['not_run']}." for name, row in rows.items() if "not_run" in row
    ]
    return "\n".join(text) + "\n"


def _speed(speed: Mapping[str, float], base: Mapping[str, float] | None) -> str:
    shown = f"{speed['median']:.0f} ({speed['low']:.0f}–{speed['high']:.0f})"
    return shown + (f", {speed['median'] / base['median']:.1f}×" if base else "")
