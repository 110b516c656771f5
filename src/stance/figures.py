"""Takes the figures that `evaluation.measure` gives; gives PNG files of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stance.errors import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = (5.0, 4.2)
"""Inches; every figure has the same."""
DOTS_PER_INCH = 150
BLUE = "#2b6cb0"
GREY = "#718096"


def draw_figures(measured: Mapping[str, Any], folder: Path, prefix: str) -> list[str]:
    """Draw the confusion matrix and the reliability diagram of every facet and of stance.

    Args:
        measured: what `evaluation.measure` gives.
        folder: where the PNG files go; made if it is not there.
        prefix: begins the name of every file, such as "dev-".

    Returns:
        The names of the files.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names: list[str] = []
    for task, figures in measured["tasks"].items():
        if task.startswith(("tags/", "spans/")) or task == "speaker":
            continue
        stem = prefix + re.sub(r"[^\w-]+", "-", task)
        confusion = figures["confusion"]
        names.append(f"{stem}-confusion.png")
        draw_confusion(task, confusion["labels"], confusion["counts"], folder / names[-1])
        if figures.get("reliability"):
            names.append(f"{stem}-reliability.png")
            draw_reliability(
                task,
                figures["reliability"],
                figures["expected_calibration_error"],
                folder / names[-1],
            )
    return names


def draw_confusion(
    title: str, labels: Sequence[str], counts: Sequence[Sequence[int]], path: Path
) -> None:
    """A confusion matrix: the numbers are counts, the colour is the share of the gold label."""
    matrix = np.array(counts, dtype=float)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    figure = _figure()
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(matrix.shape):
        # Many labels leave room for the count alone.
        share = f"\n{100 * shares[row, column]:.0f} %" if len(labels) <= 5 else ""
        axes.text(
            column,
            row,
            f"{int(matrix[row, column])}{share}",
            ha="center",
            va="center",
            fontsize=10 if len(labels) <= 5 else 7,
            color="white" if shares[row, column] > 0.55 else "black",
        )
    short = [label if len(label) <= 18 else label[:17] + "…" for label in labels]
    crowded = max(map(len, short)) * len(short) > 40
    axes.set_xticks(
        range(len(labels)),
        short,
        rotation=45 if crowded else 0,
        ha="right" if crowded else "center",
        rotation_mode="anchor" if crowded else None,
    )
    axes.set_yticks(range(len(labels)), short)
    axes.set_xlabel("predicted")
    axes.set_ylabel("gold")
    axes.set_title(title)
    figure.colorbar(image, ax=axes, label="share of the gold label", shrink=0.9)
    figure.savefig(path)


def draw_reliability(
    title: str, bins: Sequence[Mapping[str, float]], error: float, path: Path
) -> None:
    """Accuracy over confidence, with the share of judgements in every bin below it."""
    confidence = np.array([entry["confidence"] for entry in bins])
    accuracy = np.array([entry["accuracy"] for entry in bins])
    counts = np.array([entry["count"] for entry in bins])
    # A bin's mean lies inside it, so its number tells where its bar belongs.
    number = np.minimum((confidence * 10).astype(int), 9)
    figure = _figure()
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="as it should be")
    upper.plot(confidence, accuracy, color=BLUE, marker="o", label="measured")
    upper.set_xlim(0, 1)
    upper.set_ylim(0, 1.03)
    upper.set_ylabel("accuracy")
    upper.set_title(f"{title}: expected calibration error {100 * error:.1f} %")
    upper.legend(loc="upper left", frameon=False)
    lower.bar((number + 0.5) / 10, counts / counts.sum(), width=0.09, color=BLUE)
    lower.set_ylim(0, 1)
    lower.set_xlabel("probability of the label given")
    lower.set_ylabel("share")
    for axes in (upper, lower):
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
    figure.savefig(path)


def draw_speeds(result: Mapping[str, Any], path: Path) -> None:
    """Draw the sentences per second of a benchmark, a group of bars for each number of targets.

    Args:
        result: what `stance.benchmark.summarize` gives.
    """
    rows = {name: row for name, row in result["contestants"].items() if "not_run" not in row}
    figure = _figure()
    axes = figure.subplots()
    axes.set_yscale("log")
    axes.set_ylabel("sentences per second")
    axes.set_title("speed by number of targets")
    width = 0.8 / max(len(rows), 1)
    for number, (name, row) in enumerate(rows.items()):
        speeds = list(row["speed"].values())
        middle = np.array([speed["median"] for speed in speeds])
        low = middle - [speed["low"] for speed in speeds]
        high = [speed["high"] for speed in speeds] - middle
        places = np.arange(len(speeds)) + (number - (len(rows) - 1) / 2) * width
        axes.bar(places, middle, width, yerr=np.stack([low, high]), label=name, ecolor=GREY)
        axes.set_xticks(np.arange(len(speeds)), [str(count) for count in row["speed"]])
    axes.legend(fontsize=7, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.12), frameon=False)
    axes.yaxis.grid(True, alpha=0.3)
    axes.set_axisbelow(True)
    figure.savefig(path)


def draw_memory(samples: Sequence[tuple[float, float]], title: str, path: Path) -> None:
    """Draw the resident memory of a process over time.

    Args:
        samples: seconds since its start, and MB (10^6 bytes).
    """
    figure = _figure()
    axes = figure.subplots()
    axes.plot([s / 60 for s, _ in samples], [size for _, size in samples], color=BLUE)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("minutes")
    axes.set_ylabel("resident memory in MB")
    axes.set_title(title)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    figure.savefig(path)


def _figure() -> Figure:
    """An empty white figure. It has a canvas of its own: nothing of pyplot's state is touched."""
    require("matplotlib", "train")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure
