"""The pages of a ledger and of an evaluation in real headless Chromium."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_checks import EVIL, WIDTHS, Visits
from test_evaluation_page import GOLD, predicted
from test_evaluation_page import article as gold_article
from test_ledger import MILL, article, tags, write

from stance.evaluation import mistakes
from stance.evaluation_page import error_row
from stance.evaluation_page import render as render_evaluation
from stance.ledger import Ledger
from stance.ledger_page import SENTENCES, write_page
from stance.page import PageWriter
from stance.report import Predictions, measure_part
from stance.schema import DEFAULT

CLAIM = "The mill owners burned the grain themselves to raise the price."
WHO = [("Ana Brod", "Courier"), (None, "The Evening Lamp"), ("Piet Olm", None)]


@pytest.fixture(scope="module")
def ledger_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an archive with more sentences than are listed; some of its articles have pages."""
    folder = tmp_path_factory.mktemp("ledger")
    articles = []
    for number in range(SENTENCES // 20 + 1):
        speaker, publisher = WHO[number % 3]
        sentence = {"text": f"They burned it in {number}, and they lie.", "speaker": speaker}
        sentence |= tags(0.9 if number % 2 else 0.1, 0.8, 0.1)
        stances = [{"stance": [(0.1, 0.8, 0.1), (0.7, 0.1, 0.2)]}] * 10
        articles.append(
            article(
                [sentence | stance for stance in stances],
                id=f"a{number}",
                title=f"Story {number}",
                publisher=publisher,
                date=None if number % 9 == 0 else f"2026-{number % 7 + 1:02}-05",
                targets=[MILL, {"kind": "claim", "text": CLAIM}],
            )
        )
    evil = tags(0.1, 0.9, 0.1) | {"text": EVIL, "speaker": EVIL, "stance": [(0.0, 0.99, 0.01)]}
    articles.append(article([evil], id="evil", title=EVIL, publisher=EVIL, targets=[EVIL]))
    pages = PageWriter(folder / "pages")
    for one in (articles[1], articles[-1]):
        pages.write(one)
    with Ledger(write(folder / "tagged.parquet", articles)) as ledger:
        return write_page(ledger, folder / "ledger.html", pages=folder / "pages")


@pytest.fixture(scope="module")
def evaluation_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    gold = [gold_article(GOLD)] * 20 + [gold_article(GOLD, [EVIL] * 3, id=EVIL, targets=[EVIL])]
    found = [predicted()] * 20 + [predicted([EVIL] * 3, id=EVIL, targets=[EVIL])]
    corpora = {"starter": gold, "news": gold}
    tagged = {"starter": found, "news": found}
    scopes = measure_part(Predictions(corpora, {"model": tagged}), DEFAULT, resamples=20, seed=1)
    metrics = {"model": "tiny", "command": "stance evaluate", "parts": {"dev": scopes}}
    errors = [
        error_row(wrong, gold, part="dev", corpus=name, texts=["starter"])
        for name in corpora
        for wrong in mistakes(gold, found, DEFAULT, 21)
    ]
    path = tmp_path_factory.mktemp("evaluation") / "evaluation.html"
    html = render_evaluation(metrics, errors, {"dev": scopes["publishers"]})
    path.write_text(html, encoding="utf-8")
    return path


@pytest.fixture
def open_page(browser: Any) -> Iterator[Any]:
    """Opens a page from disk; nothing but pages may be fetched."""
    visits = Visits(browser)
    yield visits.open
    visits.close()
    assert visits.requests
    assert all(re.fullmatch(r"file:.*\.html(#.*)?", url) for url in visits.requests)


def box(page: Any, name: str) -> Any:
    """The selection of this name."""
    return page.get_by_role("combobox", name=name, exact=True)


def count(page: Any) -> str:
    return str(page.locator("#count").inner_text())


def test_filters_of_the_sentences(open_page: Any, ledger_page: Path) -> None:
    page = open_page(ledger_page)
    assert count(page) == "5000 of 5000 sentences, the first 100 shown"
    box(page, "speaker").select_option("Piet Olm")
    first = int(count(page).split()[0])
    assert page.locator("#list tr").count() == 100
    assert {row.split("\t")[2] for row in page.locator("#list tr").all_inner_texts()} == {
        "Piet Olm"
    }
    box(page, "from").select_option("2026-03")
    box(page, "to").select_option("2026-04")
    assert 0 < int(count(page).split()[0]) < first
    page.get_by_label("words").fill("story burned 9")
    assert "9" in page.locator("#list tr").first.inner_text()
    page.get_by_role("button", name="all again").click()
    assert count(page).startswith("5000 of 5000")
    box(page, "publisher").select_option(label="none")
    assert page.locator("#list tr").first.locator("td").nth(1).inner_text() == ""


def test_the_target_is_chosen_for_the_whole_page(open_page: Any, ledger_page: Path) -> None:
    page = open_page(ledger_page)
    assert page.locator("#by-tag figure:visible").count() == 3
    box(page, "target").select_option(CLAIM)
    assert page.locator("#by-tag figure:visible").count() == 1
    assert page.locator("#targets tbody tr:visible").count() == 1
    headings = page.locator("#allegations h3:visible").all_inner_texts()
    assert headings
    assert all(f"about {CLAIM}" in heading for heading in headings)
    assert {row.split("\t")[4] for row in page.locator("#list tr").all_inner_texts()} == {CLAIM}


def test_a_figure_leads_to_its_sentences_and_on_to_the_article(
    open_page: Any, ledger_page: Path
) -> None:
    page = open_page(ledger_page)
    page.get_by_label("words").fill("nothing")
    row = page.locator("#allegations article").filter(has_text="Ana Brod about Mill owners")
    button = row.get_by_role("button").first
    shown = button.inner_text().split()[0].replace(",", "")
    button.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.textContent") == "The sentences"
    assert page.get_by_label("words").input_value() == ""
    assert box(page, "stance").input_value() == "=against"
    assert count(page).split()[0] == shown
    page.get_by_role("button", name="all again").click()
    page.get_by_label("words").fill("burned Story 1 a1,")
    page.locator("#list a").first.click()
    page.wait_for_url(re.compile(r"pages/a1\.html"))
    assert page.locator("h1").inner_text() == "Story 1"


def test_five_thousand_sentences_are_filtered_in_no_time(open_page: Any, ledger_page: Path) -> None:
    """From the choice to the finished layout; the median of five choices.

    Of each the fastest of three, since the other tests are at work on the same processor.
    """
    page = open_page(ledger_page)
    code = """(value) => {
      const start = performance.now();
      const select = document.querySelector("[data-field=speaker]");
      select.value = value;
      select.dispatchEvent(new Event("change"));
      document.body.getBoundingClientRect();
      return performance.now() - start;
    }"""
    values = ["=Ana Brod", "", "=Piet Olm", "=", ""]
    rounds = [[page.evaluate(code, value) for value in values] for _ in range(3)]
    fastest = [min(times) for times in zip(*rounds, strict=True)]
    assert statistics.median(fastest) < 100


def test_the_keyboard_is_enough(open_page: Any, ledger_page: Path) -> None:
    page = open_page(ledger_page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.field") == "target"
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.value") != ""
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.hash") == "#targets"
    assert page.evaluate(outline) == "solid"
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("#by-tag table").is_visible()
    page.get_by_role("button", name="all again").focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="show more").focus()
    page.keyboard.press("Enter")
    assert page.locator("#list tr").count() == 200
    assert page.evaluate("document.activeElement.rowIndex") == 101


def test_the_errors_of_an_evaluation(open_page: Any, evaluation_page: Path) -> None:
    page = open_page(evaluation_page)
    assert page.locator("svg.chart").count() == 3
    box(page, "task").select_option("stance")
    box(page, "corpus").select_option("starter")
    assert count(page) == "21 of 126 errors"
    cells = page.locator("#list tr").first.locator("td").all_inner_texts()
    assert cells[:5] == ["starter", "stance", "Mill owners", "against", "favor 0.65"]
    assert "They burned the mill, said Olm." in cells[5]
    box(page, "corpus").select_option("news")
    assert "They burned" not in page.locator("#list").inner_text()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["ledger_page", "evaluation_page"])
def test_nothing_is_wider_than_the_screen(
    open_page: Any, request: pytest.FixtureRequest, name: str, width: int
) -> None:
    page = open_page(request.getfixturevalue(name), width)
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    widths = page.locator("svg.chart").evaluate_all("(all) => all.map((e) => e.clientWidth)")
    assert all(330 < chart <= 358 for chart in widths)  # so that text has its size


CONTRASTS = """() => {
  const parse = (c) => {
    const n = c.match(/[\\d.]+/g).map(Number);
    return n.length < 4 ? [...n, 1] : n;
  };
  const light = (c) => {
    const [r, g, b] = c.slice(0, 3).map((v) => v / 255)
      .map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c[3] === 1) return c;
      if (c[3] > 0) throw new Error("a translucent ground");
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const e of document.querySelectorAll("body *")) {
    const box = e.getBoundingClientRect();
    const text = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    const mark = e.matches("path[class*=-bar]");
    if (!box.width || !box.height || !(text || mark)) continue;
    const style = getComputedStyle(e);
    if (style.opacity < 1) throw new Error("opacity");
    const [a, b] = [light(parse(e.closest("svg") ? style.fill : style.color)), light(ground(e))]
      .sort((x, y) => y - x);
    found.push([(a + .05) / (b + .05), mark ? "mark" : e.tagName.toLowerCase(), `${e.className}`]);
  }
  return found;
}"""
"""Contrast of every visible text, in charts too, and of every bar, with what is behind it."""


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_contrast_is_that_of_wcag_aa(
    open_page: Any, ledger_page: Path, evaluation_page: Path, scheme: str
) -> None:
    found = []
    for path in (ledger_page, evaluation_page):
        page = open_page(path, scheme="dark" if scheme == "print" else scheme)
        page.evaluate("for (const e of document.querySelectorAll('details')) e.open = true")
        if scheme == "print":
            page.emulate_media(media="print")
        found += page.evaluate(CONTRASTS)
    assert {"h1", "p", "td", "th", "text", "small", "mark"} <= {kind for _, kind, _ in found}
    assert [row for row in found if row[0] < (3 if row[1] == "mark" else 4.5)] == []


@pytest.mark.parametrize("name", ["ledger_page", "evaluation_page"])
def test_it_prints_everything_but_controls(
    open_page: Any, request: pytest.FixtureRequest, name: str
) -> None:
    page = open_page(request.getfixturevalue(name), scheme="dark")
    page.get_by_label("words").fill("mill")
    page.emulate_media(media="print")
    assert page.locator(".controls:visible").count() == 0
    assert page.locator("#choice").inner_text() == "Only: words mill"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    opened = "[...document.querySelectorAll('details')].map((e) => e.open)"
    page.evaluate(f"addEventListener('beforeprint', () => window.seen = {opened})")
    assert page.pdf(format="A4").startswith(b"%PDF")
    assert set(page.evaluate("window.seen")) == {True}
    assert set(page.evaluate(opened)) == {False}


def test_what_articles_bring_does_not_run(
    open_page: Any, ledger_page: Path, evaluation_page: Path
) -> None:
    for path in (ledger_page, evaluation_page):
        page = open_page(path)
        if path == ledger_page:
            box(page, "target").select_option(EVIL)
            box(page, "speaker").select_option(EVIL)
        else:
            page.get_by_label("words").fill("window.evil")
        assert page.locator("#list tr").first.is_visible()
        assert page.evaluate("window.evil") is None
        assert page.locator("img, [style], [onfocus]").count() == 0
        assert page.locator("style").count() == 1
        assert EVIL in page.locator("#list tr").first.inner_text()
