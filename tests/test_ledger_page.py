"""The page of a ledger shows its figures, leads to their sentences, and lets nothing run."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from page_checks import EVIL, Page, check
from test_ledger import ARCHIVE, COUNCIL, MILL, article, call, tags, write

from stance.errors import StanceError
from stance.ledger import Ledger, Where
from stance.ledger_page import SENTENCES, Pages, render, write_page
from stance.page import PageWriter
from stance.schema import Schema


def page_of(path: Path, where: Where = Where(), **options: Any) -> Page:  # noqa: B008
    with Ledger(path) as ledger:
        return check(render(ledger, where, **options))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("ledger") / "archive.parquet", ARCHIVE)


@pytest.fixture(scope="module")
def page(archive: Path) -> Page:
    return page_of(archive)


def test_figures_with_intervals_and_expected_counts(page: Page, archive: Path) -> None:
    assert "3 articles with 5 sentences: 7 pairs of sentence and target judged" in page.text
    assert "2 skipped because the article does not mention the target" in page.text
    with Ledger(archive) as ledger:
        for row in (*ledger.table(), *ledger.table("publisher"), *ledger.allegations()):
            for figure in (row.against, row.favor):
                shown = f"{figure.count} ({figure.low:.0f}–{figure.high:.0f}) ~"
                assert f"{shown}{figure.expected:,.1f}" in page.text


def test_charts_tell_in_words_what_they_show(page: Page) -> None:
    told = [str(chart["aria-label"]) for chart in page.all("svg")]
    assert f"Stance toward the targets: {MILL}: 3 against, 1 in favor; {COUNCIL}: 0" in told[0]
    for by in ("by tag", "by speaker", "by publisher", "over time"):
        assert sum(f"Stance toward {MILL} {by}" in text for text in told) == 1
    assert any("Ana Brod: 2 against, 0 in favor; Piet Olm: 1 against" in text for text in told)
    assert any("2026-01: 1 against, 0 in favor; 2026-02: 1 against" in text for text in told)


def test_months_without_articles_have_their_place(tmp_path: Path) -> None:
    later = replace(ARCHIVE[2], date="2026-05-02")
    page = page_of(write(tmp_path / "gap.parquet", [*ARCHIVE, later]))
    assert all(month in page.text for month in ("2026-01", "2026-03", "2026-05"))


def test_allegations_stand_with_their_sentences(page: Page) -> None:
    start = page.text.index("Ana Brod about Mill owners")
    allegation = page.text[start : page.text.index("Piet Olm about Mill owners")]
    assert "They lie, said Brod. against 0.90 · Courier · 2026-02-10T08:00 · a2, 0–20" in allegation
    assert "“They burned it,” Brod said. against 0.80 · Courier" in allegation
    assert allegation.index("They lie") < allegation.index("They burned")  # the surest first


def test_every_figure_leads_to_its_sentences(page: Page) -> None:
    """What the script picks for a button gives as many rows as the button's figure says."""
    assert [row["cells"][0]["text"] for row in page.data["rows"]] == [
        *["2026-01-05"] * 2,
        *["2026-02-10T08:00"] * 2,
        "",
    ]
    buttons = re.findall(r'data-picked="(.*?)">([\d,]+)', page.html)
    assert len(buttons) == len(page.all("button")) - 2  # all again, show more
    fields = {"since": "month", "until": "month"}
    for picked, shown in buttons:
        wanted = json.loads(unescape(picked)).items()
        found = [
            row
            for row in page.data["rows"]
            if all(
                value in row["tag"] if field == "tag" else value == row[fields.get(field, field)]
                for field, value in wanted
            )
        ]
        assert len(found) == int(shown)


def test_conditions_are_told(archive: Path) -> None:
    page = page_of(archive, Where(speaker="", publisher="Courier"))
    assert "Only: speaker none, publisher Courier." in page.text
    assert [row["target"] for row in page.data["rows"]] == [COUNCIL]


def test_a_page_for_another_tag_has_no_allegations(archive: Path) -> None:
    page = page_of(archive, Where(tag="background"))
    assert "This page is about sentences with another tag." in page.text
    assert "No allegation takes a stance" not in page.text
    assert "about Mill owners" not in page.text
    assert [row["tag"] for row in page.data["rows"]] == [["background"]] * 2
    page = page_of(archive, Where(tag="allegation"))
    assert "Ana Brod about Mill owners" in page.text
    assert "another tag" not in page.text


def test_an_empty_ledger_has_a_page(tmp_path: Path) -> None:
    page = page_of(write(tmp_path / "empty.parquet", []))
    assert "No sentence was judged toward a target." in page.text
    assert "No allegation takes a stance toward a target." in page.text
    assert page.data["rows"] == page.all("svg") == []


def test_what_articles_bring_is_text_and_nothing_else(page: Page, tmp_path: Path) -> None:
    odd = EVIL + "\0 $\\frac{$ \u202e مرحبا 火 _"
    schema = Schema.from_dict(
        {
            "facets": {"mood": {"labels": ["a", "b"]}},
            "tags": {"allegation": {"mood": "a"}, odd: {"mood": "b"}},
        }
    )
    probs = {"allegation": 0.6, odd: 0.7}
    sentence = {"text": odd, "speaker": odd, "tags": list(probs), "tag_probs": probs}
    one = article(
        [sentence | {"stance": [(0.2, 0.7, 0.1)]}],
        targets=[odd],
        publisher=odd,
        title=odd,
        id=odd,
        date="2026-01-05",
    )
    path = write(tmp_path / "odd.parquet", [one], schema)
    found = page_of(path)
    assert {tag for tag, _ in found.elements} <= {tag for tag, _ in page.elements}
    assert [len(found.all(tag)) for tag in ("script", "style", "main")] == [2, 1, 1]
    names = {name for _, attributes in found.elements for name in attributes}
    assert names <= {name for _, attributes in page.elements for name in attributes}
    (row,) = found.data["rows"]
    assert [row[field] for field in ("target", "speaker", "publisher")] == [odd] * 3
    assert odd.split("\0")[0] in found.text


def test_sentences_link_to_the_pages_of_their_articles(tmp_path: Path) -> None:
    """Relative, so that the folder can move; only where there is one such page without doubt."""
    same = [replace(ARCHIVE[0], id=id) for id in ("b/1", "b-1")]
    articles = [ARCHIVE[0], replace(ARCHIVE[1], id="år 2/x"), *same, replace(ARCHIVE[0], id="c")]
    pages = PageWriter(tmp_path / "all pages")
    for one in articles[:-1]:
        pages.write(one)
    path = write(tmp_path / "archive.parquet", articles)
    html = tmp_path / "pages" / "ledger.html"
    with Ledger(path) as ledger:
        write_page(ledger, html, pages=tmp_path / "all pages")
    found = check(html.read_text(encoding="utf-8"))
    links: dict[str, str] = {}
    for row in found.data["rows"]:
        sentence = row["cells"][-1]
        if sentence["link"]:
            name, fragment = sentence["link"].split("#:~:text=")
            assert (html.parent / unquote(name)).is_file()
            assert unquote(fragment) == sentence["text"]
            links[sentence["note"].split(", ")[0]] = name
    assert links == {"a1": "../all%20pages/a1.html", "år 2/x": "../all%20pages/%C3%A5r-2-x.html"}
    hrefs = {str(a["href"]).split("#:")[0] for a in found.all("a")}
    assert {href for href in hrefs if not href.startswith("#")} <= set(links.values())
    with Ledger(path) as ledger, pytest.raises(StanceError, match="no such folder of article"):
        write_page(ledger, html, pages=tmp_path / "none")


def test_no_sentence_links_to_a_page_whose_name_two_articles_had(tmp_path: Path) -> None:
    """The second one's page has a number, which stays when the ledger counts only one of them."""
    pages = PageWriter(tmp_path / "pages")
    for id in ("b/1", "b-1"):
        pages.write(replace(ARCHIVE[0], id=id))
    assert (tmp_path / "pages" / "b-1-2.html").is_file()
    path = write(tmp_path / "archive.parquet", [replace(ARCHIVE[0], id="b-1")])
    page = page_of(path, pages=Pages(tmp_path / "pages", tmp_path / "ledger.html"))
    assert [row["cells"][-1]["link"] for row in page.data["rows"]] == [None] * 2


def test_the_place_of_a_long_sentence_is_found_by_its_ends(tmp_path: Path) -> None:
    text = "Well-fed, the mill owners said " + "and said " * 20 + "that they knew nothing, at all."
    sentence = {"text": text} | tags(0.1, 0.9, 0.1) | {"stance": [(0.1, 0.8, 0.1)]}
    one = article([sentence], targets=[MILL], id="long")
    PageWriter(tmp_path / "long.html").write(one)
    places = Pages(tmp_path, tmp_path / "ledger.html")
    page = page_of(write(tmp_path / "long.parquet", [one]), pages=places)
    link = page.data["rows"][0]["cells"][-1]["link"]
    assert link == (
        "long.html#:~:text=Well%2Dfed%2C%20the%20mill%20owners%20said,they%20knew%20nothing%2C%20at%20all."
    )


def test_of_many_sentences_the_surest_are_listed(tmp_path: Path) -> None:
    sentence = {"text": "They lie."} | tags(0.1, 0.9, 0.1)
    surest = [sentence | {"stance": [(0.1, 0.8, 0.1)]}] * SENTENCES
    weak = [sentence | {"stance": [(0.2, 0.5, 0.3)]}] * 2
    path = write(tmp_path / "many.parquet", [article([*weak, *surest], id="m", targets=[MILL])])
    page = page_of(path)
    assert f"The {SENTENCES:,} of which the model is surest" in page.text
    assert len(page.data["rows"]) == SENTENCES
    assert {row["cells"][3]["text"] for row in page.data["rows"]} == {"− against 0.80"}


def test_the_command(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    html = tmp_path / "new" / "ledger.html"
    assert call(str(archive), "--html", str(html), "--target", MILL) == 0
    assert capsys.readouterr().out == f"{html}\n"
    assert f"Only: target {MILL}." in Page(html.read_text(encoding="utf-8")).text
    assert call(str(archive), "--html", str(html), "--by", "tag") == 1
    assert "--html shows everything" in capsys.readouterr().err
    assert call(str(archive), "--pages", str(tmp_path)) == 1
    assert "--pages goes with --html" in capsys.readouterr().err
    assert call(str(archive), "--html", str(tmp_path)) == 1
    assert "cannot be written" in capsys.readouterr().err
