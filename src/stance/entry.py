"""Takes the command line of a Hydra script; gives what one function of the library makes of it.

`scripts/*.py` and the commands `stance train` and `stance evaluate` are these same entry points.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stance.errors import StanceError, require
from stance.resources import bundled


def run(
    config_name: str, function: Callable[[Any], Any], arguments: list[str] | None = None
) -> None:
    """Compose `configs/<config_name>.yaml` with the overrides given, and call `function` with it.

    A `StanceError` is printed as one sentence, and the exit status is 1; it is 130 for Ctrl-C.
    """
    hydra = require("hydra", "jobs" if config_name == "tag" else "train")
    if arguments is not None:
        sys.argv = [f"stance {config_name}", *arguments]

    def checked(cfg: Any) -> Any:
        try:
            return function(cfg)
        except StanceError as error:
            logging.getLogger("stance").debug("%s", error, exc_info=True)
            print(f"stance: {error}", file=sys.stderr)
            sys.exit(1)
        except KeyboardInterrupt:
            print("stance: interrupted", file=sys.stderr)
            sys.exit(130)

    hydra.main(version_base="1.3", config_path=str(bundled("configs")), config_name=config_name)(
        checked
    )()


def train(arguments: list[str] | None = None) -> None:
    """Train a model and evaluate it (`configs/train.yaml`).

    What a sweeper is given back is the best score on the selection part.
    """
    if any("sweep=" in word for word in arguments or sys.argv):
        Path("outputs/sweeps").mkdir(parents=True, exist_ok=True)  # for the sweep's database

    def train_and_evaluate(cfg: Any) -> float:
        from stance.training import read_training
        from stance.training import train as train_model

        folder = train_model(cfg)
        if not is_first_process():
            return 0.0
        training = read_training(folder)
        if cfg.evaluation.enabled:
            from stance.report import evaluate_model, print_headline

            print_headline(evaluate_model(folder, cfg))
        else:
            from stance.card import write_card

            write_card(folder, training, {})
        print(f"model: {folder}")
        return float(training["run"]["best_score"] or 0)

    run("train", train_and_evaluate, arguments)


def evaluate(arguments: list[str] | None = None) -> None:
    """Measure a model folder beside the baselines (`configs/evaluate.yaml`)."""

    def evaluate_folder(cfg: Any) -> None:
        from stance.report import evaluate as evaluate_config

        evaluate_config(cfg)

    run("evaluate", evaluate_folder, arguments)


def tag(arguments: list[str] | None = None) -> None:
    """Label files (`configs/tag.yaml`); status 1 if records were rejected."""

    def tag_config(cfg: Any) -> None:
        from stance.jobs.run import run as run_job

        counts = run_job(cfg)
        print(f"{counts.articles} articles, {counts.sentences} sentences, {counts.rejects} rejects")
        if counts.rejects:
            sys.exit(1)

    run("tag", tag_config, arguments)


def soft_labels(arguments: list[str] | None = None) -> None:
    """Write a model's probabilities for the training articles (`configs/soft_labels.yaml`)."""

    def write(cfg: Any) -> None:
        from stance.soft_labels import write_soft_labels

        print(f"soft labels: {write_soft_labels(cfg)}")

    run("soft_labels", write, arguments)


def export(arguments: list[str] | None = None) -> None:
    """Write the ONNX files of a model folder (`configs/export.yaml`)."""

    def export_folder(cfg: Any) -> None:
        from stance.export import export as export_model
        from stance.export import print_record

        print_record(export_model(cfg))

    run("export", export_folder, arguments)


def bundle(arguments: list[str] | None = None) -> None:
    """Make the model that the package carries (`configs/bundle.yaml`)."""

    def make_bundle(cfg: Any) -> None:
        from stance.bundle import bundle as make
        from stance.export import print_record

        print_record(make(cfg))

    run("bundle", make_bundle, arguments)


def benchmark(arguments: list[str] | None = None) -> None:
    """Time a model beside what one would otherwise take (`configs/benchmark.yaml`)."""

    def measure_speed(cfg: Any) -> None:
        from stance.benchmark import benchmark as run_benchmark

        output = run_benchmark(cfg)
        print((output / "benchmark.md").read_text(encoding="utf-8"))

    run("benchmark", measure_speed, arguments)


def training_speed(arguments: list[str] | None = None) -> None:
    """Time our training step beside the usual one (`configs/training_speed.yaml`)."""

    def measure_training(cfg: Any) -> None:
        from stance.training_speed import measure

        print(measure(cfg))

    run("training_speed", measure_training, arguments)


def prepare_data(arguments: list[str] | None = None) -> None:
    """Join our labels with the user's copy of a corpus (`configs/prepare_data.yaml`)."""

    def join(cfg: Any) -> Any:
        from stance.standoff import prepare

        return prepare(cfg)

    run("prepare_data", join, arguments)


def import_data(arguments: list[str] | None = None) -> None:
    """Read a published corpus or a tool's export (`configs/import_data.yaml`)."""

    def convert(cfg: Any) -> Any:
        from stance.importers import run as run_import

        return run_import(cfg)

    run("import_data", convert, arguments)


def is_first_process() -> bool:
    """Whether this is the only process or the first one of a distributed run."""
    return os.environ.get("RANK", "0") == "0"
