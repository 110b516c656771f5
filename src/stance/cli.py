"""Takes the command line; gives the commands of `stance`: tag, ledger, annotate, train, …"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from stance import __version__
from stance.errors import StanceError

HYDRA = {
    "train": "train a model (Hydra overrides, such as experiment=starter)",
    "evaluate": "evaluate a model folder (model=FOLDER corpus=…)",
    "run": "label files into one file or a folder of parts (input=… output=… model=…)",
    "export": "write a model's ONNX files, float32 and 8 bits (model=FOLDER)",
    "prepare-data": "join our labels with your copy of a corpus (corpus=… source=…)",
    "import-data": "read a published corpus or a tool's export (format=… input=… output=…)",
}
"""Commands that take Hydra overrides: the same entry points as the scripts."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the command `stance`; a wrong input is one sentence and exit status 1."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] in HYDRA:
        _hydra(words[0], words[1:])
        return
    options = parser_of(words[0] if words else "").parse_args(words)
    try:
        status = options.function(options)
    except StanceError as error:
        print(f"stance: {error}", file=sys.stderr)
        status = 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)


def parser_of(command: str) -> argparse.ArgumentParser:
    """The parser; of the rarer commands only the one that was given is imported."""
    parser = argparse.ArgumentParser(
        prog="stance",
        description="Tags news sentences: who is speaking, what is alleged, which stance is taken.",
    )
    parser.add_argument("--version", action="version", version=f"stance-news {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    tag = commands.add_parser(
        "tag",
        help="label articles",
        description="Label articles: .txt, .html, .jsonl, .csv, .parquet, folders of them, "
        "or - for JSON lines on standard input.",
    )
    tag.add_argument("input", nargs="+", metavar="INPUT")
    tag.add_argument(
        "--model",
        default="default",
        help="a model folder, or a Hugging Face Hub id; without it the package's own model",
    )
    tag.add_argument(
        "--target", action="append", default=[], metavar="NAME", help="an entity (repeatable)"
    )
    tag.add_argument(
        "--claim", action="append", default=[], metavar="SENTENCE", help="a claim (repeatable)"
    )
    tag.add_argument(
        "--narratives",
        metavar="FILE",
        help="entities and claims of a whole archive (YAML); each article skips those it is not "
        "about",
    )
    tag.add_argument(
        "--auto-targets",
        action="store_true",
        help="each article's main actors and main claim as targets",
    )
    tag.add_argument(
        "--format",
        choices=("table", "jsonl", "parquet", "html"),
        help="default: table on a terminal, what the ending of --output says, else jsonl",
    )
    tag.add_argument(
        "--output", metavar="FILE", help="default: standard output; html: a file or a folder"
    )
    tag.add_argument("--probs", action="store_true", help="probabilities of all labels in JSONL")
    tag.add_argument("--rejects", metavar="FILE", help="write broken records there as JSON lines")
    tag.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    tag.add_argument("--backend", default="auto", help="auto, torch, onnx, onnx-int8 or onnx-vnni")
    tag.add_argument("--threads", type=int, help="of the CPU; default: those we may use")
    tag.add_argument(
        "--context",
        type=int,
        metavar="N",
        help="sentences read before those of a window; default: the model's own; 0 is faster",
    )
    tag.set_defaults(function=_tag)
    for name, module_name, text in (
        ("agreement", "agreement", "agreement of two label files"),
        ("annotate", "annotate", "Label Studio tasks out, corrections back in"),
        ("ledger", "ledger_command", "who says what about whom, over many tagged articles"),
    ):
        other = commands.add_parser(name, help=text)
        if command == name:
            module = importlib.import_module(f"stance.{module_name}")
            module.add_arguments(other)
            other.set_defaults(function=module.run)
    for name, text in HYDRA.items():
        commands.add_parser(name, help=text)
    return parser


def _hydra(command: str, words: list[str]) -> None:
    from stance import entry

    function = {
        "train": entry.train,
        "evaluate": entry.evaluate,
        "run": entry.tag,
        "export": entry.export,
        "prepare-data": entry.prepare_data,
        "import-data": entry.import_data,
    }[command]
    try:
        function(words)
    except StanceError as error:
        print(f"stance: {error}", file=sys.stderr)
        sys.exit(1)


def _tag(options: argparse.Namespace) -> int:
    from stance.auto_targets import AUTO
    from stance.jobs import (
        Counts,
        check_apart,
        label,
        open_rejects,
        output_format,
        read_inputs,
        tag_files,
    )
    from stance.tagger import Tagger

    claims = [{"kind": "claim", "text": claim} for claim in options.claim]
    targets: Any = [*options.target, *claims]
    if options.narratives:
        from stance.narratives import Narratives

        targets += Narratives.load(options.narratives).targets
    if options.auto_targets:
        if targets:
            raise StanceError(
                "--auto-targets stands in place of --target, --claim and --narratives"
            )
        targets = AUTO
    format = options.format
    if format is None:
        on_terminal = options.output is None and sys.stdout.isatty()
        is_page = str(options.output).lower().endswith((".html", ".htm"))
        format = "table" if on_terminal else "html" if is_page else None
        format = format or output_format(options.output, None)
    if format in ("parquet", "html") and options.output is None:
        raise StanceError(f"{format} needs a file: give --output FILE.{format}")
    if format == "table" and options.output is not None:
        raise StanceError("a table is for the terminal: leave out --output, or use --format jsonl")
    tagger = Tagger.from_pretrained(
        options.model,
        backend=options.backend,
        device=options.device,
        threads=options.threads,
        context=options.context,
    )
    if format in ("table", "html"):
        from stance.page import PageWriter
        from stance.terminal import TableWriter

        counts = Counts()
        is_page = format == "html"
        writer = PageWriter(options.output, tagger.schema) if is_page else TableWriter()
        check_apart(options.input, options.output)
        with open_rejects(options.rejects, options.input, options.output) as rejected:
            articles = read_inputs(options.input, counts, rejected)
            for article in label(tagger, articles, targets, counts):
                writer.write(article)
    else:
        counts = tag_files(
            tagger,
            options.input,
            options.output or sys.stdout.buffer,
            targets=targets,
            format=format,
            probs=options.probs,
            rejects=options.rejects,
        )
    if counts.rejects:
        print(f"stance: {counts.rejects} records were rejected", file=sys.stderr)
    return 1 if counts.rejects else 0
