"""Takes articles and a model; gives Label Studio tasks, and records from what came of them.

`stance annotate export`, `import` and `config`: docs/annotating.md walks through the loop.
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from stance.errors import StanceError
from stance.importers import Options, import_file
from stance.jobs import Counts, label, read_inputs
from stance.label_studio import labelling_config, to_task
from stance.records import Article
from stance.schema import DEFAULT, Schema
from stance.standoff import write_files
from stance.tagger import Tagger, find_model, read_config

TARGETS = 3
"""Targets that a labelling config offers when nobody says how many there are."""


def uncertainty(article: Article) -> float:
    """How unsure the model is of an article, from 0 to 1.

    The mean over its sentences of the mean over their labels (each facet, and the stance toward
    each target) of one minus the probability of the label given: least confidence (Lewis and Gale,
    SIGIR 1994), so that neither long articles nor those with many targets come first for that.
    """
    rows: list[float] = []
    for sentence in article.sentences or ():
        scores = [facet.score for facet in sentence.facets.values()]
        scores += [stance.score for stance in sentence.stance]
        known = [1 - score for score in scores if score is not None]
        if known:
            rows.append(sum(known) / len(known))
    return sum(rows) / len(rows) if rows else 0.0


def most_uncertain(articles: Iterable[Article], limit: int | None) -> list[tuple[float, Article]]:
    """The `limit` articles (None: all) of which the model is least sure, with their uncertainty.

    Equally uncertain ones keep their order. Holds no more than `limit` articles.
    """
    ranked = ((-uncertainty(article), number, article) for number, article in enumerate(articles))

    def rank(entry: tuple[float, int, Article]) -> tuple[float, int]:
        return entry[:2]

    first = sorted(ranked, key=rank) if limit is None else heapq.nsmallest(limit, ranked, key=rank)
    return [(-score, article) for score, _, article in first]


def export(
    tagger: Tagger,
    inputs: Sequence[str | Path],
    output: str | Path,
    *,
    targets: Sequence[Any] = (),
    limit: int | None = None,
    utf16: bool = False,
) -> Counts:
    """Label articles, and write tasks and (beside them, as .xml) the labelling config.

    Args:
        inputs: files, folders, or `-`, as for `stance tag`.
        targets: added to every article's own.
        limit: so many tasks at most.
        utf16: count offsets in UTF-16 code units.

    Raises:
        StanceError: an input is missing, no article has a sentence, or a file cannot be written.
    """
    path = Path(output)
    if path.suffix != ".json":
        raise StanceError(f"{path}: tasks are JSON: want a name ending in .json")
    counts = Counts()
    empty = 0

    def with_sentences() -> Iterable[Article]:
        nonlocal empty
        for article in label(tagger, read_inputs(inputs, counts), targets, counts):
            if article.sentences:
                yield article
            else:
                empty += 1

    chosen = most_uncertain(with_sentences(), limit)
    if not chosen:
        raise StanceError("there is no article with a sentence in it: nothing was written")
    offered = max(len(article.targets) for _, article in chosen)
    tasks = [
        to_task(article, tagger.schema, offered, score=1 - score, utf16=utf16)
        for score, article in chosen
    ]
    config = path.with_suffix(".xml")
    write_files(
        {
            path: json.dumps(tasks, ensure_ascii=False, indent=1) + "\n",
            config: labelling_config(tagger.schema, offered),
        }
    )
    left = f", {empty} articles without a sentence left out" if empty else ""
    print(
        f"{path}: {len(tasks)} tasks of {counts.articles} articles{left}; the most uncertain "
        f"first ({chosen[0][0]:.3f} to {chosen[-1][0]:.3f})"
    )
    print(f"{config}: the labelling config, for up to {offered} targets")
    return counts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The sub-commands and their options."""
    commands = parser.add_subparsers(required=True, metavar="ACTION", dest="action")
    out = commands.add_parser(
        "export",
        help="articles to Label Studio tasks",
        description="Label articles and write them as Label Studio tasks with the model's labels "
        "as predictions, the most uncertain articles first, and the labelling config beside them.",
    )
    out.add_argument("input", nargs="+", metavar="ARTICLES", help="as for stance tag")
    out.add_argument(
        "--model", default="default", help="a model folder, or a Hub id; default: the package's own"
    )
    out.add_argument("--output", required=True, metavar="TASKS.json")
    for name, metavar in (("--target", "NAME"), ("--claim", "SENTENCE")):
        out.add_argument(name, action="append", default=[], metavar=metavar, help="(repeatable)")
    out.add_argument("--limit", type=_positive, metavar="N", help="so many articles at most")
    out.add_argument(
        "--utf16",
        action="store_true",
        help="count offsets in UTF-16 code units, for "
        "tools that do (Label Studio counts code points)",
    )
    out.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    back = commands.add_parser(
        "import",
        help="a Label Studio export to records",
        description="Write the articles of a Label Studio export (JSON) as records with the "
        "annotators' labels.",
    )
    back.add_argument("input", metavar="EXPORT.json")
    back.add_argument("--output", required=True, metavar="RECORDS.jsonl")
    back.add_argument(
        "--annotator",
        metavar="WHO",
        help="id or e-mail address, where tasks have several annotations",
    )
    config = commands.add_parser(
        "config",
        help="the labelling config",
        description="Write the labelling config (XML) of a schema.",
    )
    config.add_argument(
        "--targets",
        type=int,
        default=TARGETS,
        metavar="N",
        help=f"stances to ask for (default: {TARGETS})",
    )
    config.add_argument("--output", metavar="CONFIG.xml", help="default: standard output")
    for command in (back, config):
        of = command.add_mutually_exclusive_group()
        of.add_argument("--schema", metavar="FILE", help="default: the three-way schema")
        of.add_argument("--model", help="take the schema of this model")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("want a number of 1 or more")
    return number


def run(options: argparse.Namespace) -> int:
    """Carry out a sub-command; the exit status is 1 where records were rejected."""
    if options.action == "export":
        targets: list[Any] = [*options.target]
        targets += [{"kind": "claim", "text": claim} for claim in options.claim]
        tagger = Tagger.from_pretrained(options.model, device=options.device)
        counts = export(
            tagger,
            options.input,
            options.output,
            targets=targets,
            limit=options.limit,
            utf16=options.utf16,
        )
        return 1 if counts.rejects else 0
    schema = _schema(options)
    if options.action == "import":
        chosen = Options(schema=schema, annotator=options.annotator)
        count, rejects = import_file("label_studio", options.input, options.output, chosen)
        print(f"{options.output}: {count} articles, {rejects} tasks left out")
        return 1 if rejects else 0
    config = labelling_config(schema, max(0, options.targets))
    if options.output is None:
        sys.stdout.write(config)
    else:
        write_files({Path(options.output): config})
    return 0


def _schema(options: argparse.Namespace) -> Schema:
    if options.schema:
        return Schema.load(options.schema)
    if options.model:
        folder = find_model(options.model)
        return Schema.from_dict(read_config(folder)["schema"], where=f"{folder}: schema")
    return DEFAULT
