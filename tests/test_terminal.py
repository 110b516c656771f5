"""The table of an article on a terminal shows what it brings, and obeys none of it."""

from __future__ import annotations

import io
import unicodedata

from rich.console import Console

from stance.errors import RecordError
from stance.records import Article
from stance.terminal import TableWriter

CONTROLS = "".join(map(chr, [*range(32), *range(127, 160)]))


def shown(article: Article) -> str:
    screen = io.StringIO()
    TableWriter(Console(file=screen, width=400)).write(article)
    return screen.getvalue()


def test_control_characters_do_not_reach_the_terminal() -> None:
    odd = "\x1b[2JBrod\x1b]0;mine\x07 " + CONTROLS
    sentence = {"start": 0, "end": len(odd), "speaker": odd, "tags": ["background"]}
    article = Article.from_dict(
        {"text": odd, "title": odd, "publisher": odd, "targets": [odd], "sentences": [sentence]}
    )
    for given in (article, Article(odd, id=odd)):
        assert {c for c in shown(given) if unicodedata.category(c) == "Cc"} == {"\n"}
    assert shown(article).count("\ufffd[2JBrod\ufffd]0;mine\ufffd") == 5


def test_markup_in_an_article_is_text() -> None:
    text = "[red]It [/]rained[/red] \\"
    sentence = {"start": 0, "end": len(text), "speaker": "[bold]Brod", "tags": ["background"]}
    table = shown(Article.from_dict({"text": text, "title": text, "sentences": [sentence]}))
    assert table.count(text) == 2
    assert "[bold]Brod" in table


def test_an_error_tells_the_name_of_a_field_without_what_a_terminal_would_obey() -> None:
    error = RecordError("is no label", field="\x1b[2J.probs", path="a.jsonl", line=2)
    assert str(error) == r"a.jsonl:2: \x1b[2J.probs: is no label"
