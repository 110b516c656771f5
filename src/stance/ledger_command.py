"""Takes the options of `stance ledger`; gives tables on the terminal, CSV files or a page."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, cast, get_args

from stance.errors import StanceError
from stance.ledger import ALLEGATION, By, Evidence, Ledger, Row, Where, write_csv
from stance.ledger_page import shown, write_page

TABLES = (*get_args(By), "allegations")
SHOWN = 20
"""Rows of a table on the terminal."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `stance ledger`."""
    parser.description = (
        "Count over tagged articles which sentences favor or attack each target, and who alleges "
        "what about whom; conditions narrow it down, --sentences lists what is behind a figure."
    )
    parser.add_argument("output", metavar="OUTPUT", help="what stance run or stance tag wrote")
    parser.add_argument(
        "--by", choices=TABLES, help="one table; default: target and allegations, with --csv all"
    )
    parser.add_argument("--target", metavar="TEXT")
    parser.add_argument("--tag")
    parser.add_argument("--speaker", metavar="NAME", help='"" for sentences without one')
    parser.add_argument("--publisher", metavar="NAME", help='"" for articles without one')
    parser.add_argument("--from", dest="since", metavar="MONTH", help="such as 2026-01")
    parser.add_argument("--to", dest="until", metavar="MONTH", help="this month included")
    parser.add_argument("--sentences", action="store_true", help="list the sentences")
    parser.add_argument(
        "--stance",
        choices=("favor", "against", "neutral"),
        help="of the sentences listed; default: favor and against",
    )
    parser.add_argument(
        "--limit", type=int, metavar="N", help=f"rows; default: {SHOWN}, in CSV all"
    )
    parser.add_argument("--csv", metavar="FOLDER", help="write CSV files there")
    parser.add_argument("--html", metavar="FILE", help="write a page with charts there")
    parser.add_argument(
        "--pages", metavar="FOLDER", help="of article pages that the page of --html links to"
    )


def run(options: argparse.Namespace) -> int:
    """Carry out `stance ledger`."""
    if options.stance and not options.sentences:
        raise StanceError("--stance goes with --sentences")
    if options.limit is not None and options.limit < 1:
        raise StanceError("--limit: want a number of 1 or more")
    if options.pages and not options.html:
        raise StanceError("--pages goes with --html")
    if options.html and not options.csv and (options.by or options.sentences or options.limit):
        raise StanceError("--html shows everything: leave out --by, --sentences and --limit")
    where = Where(**{field.name: getattr(options, field.name) for field in fields(Where)})
    with Ledger(options.output) as ledger:
        if options.csv is not None:
            _write(ledger, where, options)
        if options.html is not None:
            print(write_page(ledger, options.html, where, pages=options.pages))
        if options.csv is None and options.html is None:
            _print(ledger, where, options)
    return 0


def _names(options: argparse.Namespace, otherwise: Sequence[str]) -> Sequence[str]:
    if options.by:
        return [options.by]
    if options.tag not in (None, ALLEGATION):
        otherwise = [name for name in otherwise if name != "allegations"]
    return [] if options.sentences else otherwise


def _table(ledger: Ledger, name: str, where: Where, limit: int | None) -> list[Row]:
    if name == "allegations":
        return ledger.allegations(where, limit=limit)
    return ledger.table(cast(By, name), where, limit=limit)


def _write(ledger: Ledger, where: Where, options: argparse.Namespace) -> None:
    folder = Path(options.csv)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StanceError(f"{folder}: cannot be written: {error.strerror}") from error
    for name in _names(options, TABLES):
        path = folder / f"{name}.csv"
        print(path, write_csv(path, Row, _table(ledger, name, where, options.limit)))
    if options.sentences:
        path = folder / "sentences.csv"
        found = ledger.sentences(where, options.stance, limit=options.limit)
        print(path, write_csv(path, Evidence, found))


def _print(ledger: Ledger, where: Where, options: argparse.Namespace) -> None:
    from rich.console import Console

    console = Console()
    totals = ledger.totals(where)
    console.print(
        f"{totals.articles:,} articles, {totals.sentences:,} sentences; {totals.pairs:,} pairs of "
        f"sentence and target judged, {totals.skipped:,} skipped (article without the target)",
        highlight=False,
    )
    limit = options.limit or SHOWN
    for name in _names(options, ("target", "allegations")):
        console.print(_rich_table(name, _table(ledger, name, where, limit)))
    if options.sentences:
        console.print(_rich_sentences(ledger.sentences(where, options.stance, limit=limit)))


def _rich_table(name: str, rows: Iterable[Row]) -> Any:
    """Counts with their intervals, and the expected count."""
    from rich.table import Table
    from rich.text import Text

    from stance.terminal import plain

    group = "speaker" if name == "allegations" else name
    title = {"target": "Stance toward each target", "allegations": "Who alleges what about whom"}
    table = Table(
        title=title.get(name, f"Stance toward each target by {name}"),
        caption="(95 % interval over articles) ~ expected",
        title_justify="left",
        caption_justify="left",
        pad_edge=False,
    )
    table.add_column("target", ratio=2)
    if group != "target":
        table.add_column(group, ratio=1)
    for column in ("favor", "against", "sentences", "articles", "skipped"):
        table.add_column(column, justify="right")
    for row in rows:
        cells = [Text(plain(row.target) + (" (claim)" if row.kind == "claim" else ""))]
        if group != "target":
            cells.append(Text("–" if row.by is None else plain(row.by)))
        cells += [Text(shown(figure)) for figure in (row.favor, row.against)]
        counts = (row.sentences, row.articles, row.skipped)
        cells += [Text("" if count is None else f"{count:,}") for count in counts]
        table.add_row(*cells)
    return table


def _rich_sentences(found: Iterable[Evidence]) -> Any:
    from rich.table import Table
    from rich.text import Text

    from stance.terminal import plain

    table = Table("article", "who", "stance", pad_edge=False, show_lines=True)
    table.add_column("sentence", ratio=1)
    for row in found:
        score = "" if row.score is None else f" {row.score:.2f}"
        who = [row.publisher, row.date, row.speaker]
        table.add_row(
            Text(f"{plain(row.article)}\n{row.start}–{row.end}"),
            Text("\n".join(plain(part) for part in who if part)),
            Text(f"{row.stance}{score}\n{plain(row.target)}\n{plain(' '.join(row.tags))}".rstrip()),
            Text(plain(row.text)),
        )
    return table
