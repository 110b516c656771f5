"""Takes tagged articles; gives a readable table on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stance.records import Article, Sentence

COLORS = {"official_statement": "cyan", "allegation": "red", "background": "dim"}
STANCES = {
    "favor": "[green]+ favor[/]",
    "against": "[red]− against[/]",
    "neutral": "[dim]· neutral[/]",
}


class TableWriter:
    """Prints every article as a table: tags, source, stance toward each target, the sentence."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing is held open."""

    def write(self, article: Article) -> None:
        """Print one article."""
        self.console.print(article_table(article))


def article_table(article: Article) -> Table:
    """The table of one tagged article."""
    title = " · ".join(filter(None, (article.title or article.id, article.publisher, article.date)))
    table = Table(title=escape(title) or None, title_justify="left", pad_edge=False, expand=True)
    table.add_column("tags", no_wrap=True)
    table.add_column("source", no_wrap=True)
    for target in article.targets:
        table.add_column(escape(_short(target.text, 24)), max_width=24, min_width=11)
    table.add_column("sentence", ratio=1)
    for sentence in article.sentences or ():
        table.add_row(*_cells(sentence, len(article.targets)))
    return table


def _cells(sentence: Sentence, targets: int) -> list[str]:
    tags = "\n".join(f"[{COLORS.get(tag, 'none')}]{escape(tag)}[/]" for tag in sentence.tags or ())
    source = sentence.facets.get("source")
    cells = [tags, "" if source is None else _scored(escape(str(source.label)), source.score)]
    for number in range(targets):
        stance = sentence.stance_toward(number)
        if stance is None:
            cells.append("")
        else:
            cells.append(_scored(STANCES.get(stance.label, escape(stance.label)), stance.score))
    text = " ".join(sentence.text.split())
    cells.append(escape(text) + (" [yellow](cut)[/]" if sentence.truncated else ""))
    return cells


def _scored(label: str, score: float | None) -> str:
    return label if score is None else f"{label} [dim]{score:.2f}[/]"


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
