"""Takes tagged articles; gives a readable table on a terminal."""

from __future__ import annotations

from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from stance.errors import CONTROL
from stance.records import Article, Sentence

COLORS = {"official_statement": "cyan", "allegation": "red", "background": "dim"}
STANCES = {"favor": "[green]+ favor[/]", "against": "[red]− against[/]"}


class TableWriter:
    """Prints every article as a table: labels on the left, the sentence on the right."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()

    def write(self, article: Article) -> None:
        """Print one article."""
        self.console.print(article_table(article))


def article_table(article: Article) -> Group:
    """Title, numbered targets, and a row a sentence; readable from 60 columns on."""
    title = " · ".join(filter(None, (article.title or article.id, article.publisher, article.date)))
    lines = [Text(plain(title), style="bold")] if title else []
    lines += [
        Text(f"[{number}] {plain(target.text)}" + (" (claim)" if target.kind == "claim" else ""))
        for number, target in enumerate(article.targets, 1)
        if not target.skipped
    ]
    skipped = sum(target.skipped for target in article.targets)
    if skipped:
        lines.append(Text(f"targets skipped, since not mentioned: {skipped}", style="dim"))
    table = Table(show_header=False, pad_edge=False, expand=True, show_lines=True)
    table.add_column("labels", no_wrap=True)
    table.add_column("sentence", ratio=1)
    for sentence in article.sentences or ():
        text = escape(plain(sentence.text))
        table.add_row(_labels(sentence), text + (" [yellow](cut)[/]" if sentence.truncated else ""))
    return Group(*lines, table)


def plain(text: str) -> str:
    """A text on one line, without what a terminal would obey."""
    return CONTROL.sub("\ufffd", " ".join(text.split()))


def _labels(sentence: Sentence) -> str:
    """Tags, source, and every stance that is not neutral."""
    lines = [f"[{COLORS.get(tag, 'none')}]{escape(tag)}[/]" for tag in sentence.tags or ()]
    source = sentence.facets.get("source")
    if source is not None:
        lines.append(_scored(escape(str(source.label)), source.score))
    if sentence.speaker:
        lines.append(f"[italic]{escape(plain(sentence.speaker))}[/]")
    lines += [
        _scored(
            f"\\[{stance.target + 1}] {STANCES.get(stance.label, escape(stance.label))}",
            stance.score,
        )
        for stance in sentence.stance
        if stance.label != "neutral"
    ]
    return "\n".join(lines)


def _scored(label: str, score: float | None) -> str:
    return label if score is None else f"{label} [dim]{score:.2f}[/]"
