"""The article page in real headless Chromium: what a reader sees, clicks, types and prints."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_checks import EVIL, WIDTHS, Visits

from stance.page import render
from stance.records import Article


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Opens an article's page from disk; it asks for nothing but itself."""
    visits = Visits(browser)

    def open_article(article: Article, width: int = 1400, scheme: str = "light") -> Any:
        path = tmp_path / "page.html"
        path.write_text(render(article), encoding="utf-8")
        return visits.open(path, width, scheme)

    yield open_article
    visits.close()
    assert {url.split(":")[0] for url in visits.requests} == {"file"}
    assert all(url.endswith("page.html") for url in visits.requests)


def article(count: int = 6, **fields: Any) -> Article:
    """Invented sentences that take turns in tags, speakers and stances."""
    kinds = [
        (["official_statement", "allegation"], "official", True, "Ana Brod", "against"),
        (["background"], "narrator", False, None, "neutral"),
        (["allegation"], "other", True, "Olo Venn", "favor"),
    ]
    text, sentences = "", []
    for number in range(count):
        tags, source, allegation, speaker, stance = kinds[number % 3]
        body = f"Sentence {number} says that the harbour office of Kelm kept its tests to itself."
        start = len(text)
        text += body + ("\n\n" if number % 4 == 3 else " ")
        sentences.append(
            {
                "start": start,
                "end": start + len(body),
                "tags": tags,
                "source": {"label": source, "score": 0.55 if number == 3 else 0.9},
                "allegation": {"label": allegation, "score": 0.8},
                "stance": [
                    {"target": 0, "label": stance, "score": 0.5 if number == 3 else 0.9},
                    {"target": 1, "label": "neutral", "score": 0.7},
                ],
                "speaker": speaker,
            }
        )
    targets = ["Harbour Office", {"kind": "claim", "text": "The office hid the water tests."}]
    record = {"id": "a1", "title": "Kelm waits", "publisher": "The Mole", "date": "2026-02-03"}
    return Article.from_dict(
        record | {"text": text, "targets": targets, "sentences": sentences} | fields
    )


def shown(page: Any) -> list[int]:
    """Numbers of the sentences that the filters leave."""
    return [
        number
        for number, sentence in enumerate(page.locator(".s").all())
        if "out" not in str(sentence.get_attribute("class")).split()
    ]


def test_filters_by_tag_target_and_speaker(open_page):
    page = open_page(article())
    assert shown(page) == [0, 1, 2, 3, 4, 5]
    page.get_by_label("background").uncheck()
    assert shown(page) == [0, 2, 3, 5]
    page.get_by_label("speaker").select_option("Olo Venn")
    assert shown(page) == [2, 5]
    assert page.locator("#count").inner_text() == "2 of 6 sentences"
    page.get_by_label("speaker").select_option("")
    page.get_by_label("background").check()
    assert "against" in page.locator(".s").nth(0).get_attribute("class")
    page.get_by_label("only where a stance is taken").check()
    assert shown(page) == [0, 2, 3, 5]
    page.get_by_label("stance toward").select_option("1")
    assert shown(page) == []
    assert page.locator(".s.against, .s.favor").count() == 0


def test_pointing_shows_the_details(open_page):
    page = open_page(article())
    page.locator(".s").nth(3).hover()
    told = page.locator("#facts").inner_text()
    for line in ("official statement, allegation", "Ana Brod", "official 0.55 (unsure)"):
        assert line in told
    assert re.search(r"Harbour Office\s+against 0.50 \(unsure\)", told)
    page.locator(".strip .bar").nth(2).click()
    assert "Olo Venn" in page.locator("#facts").inner_text()


def test_the_keyboard_is_enough(open_page):
    page = open_page(article())
    reached = []
    for _ in range(9):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.value"))
        if page.evaluate("document.activeElement.classList.contains('s')"):
            break
    wanted = ["target", "taken", "speaker", "official_statement", "allegation", "background"]
    assert reached[:7] == [*wanted, "view"]
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement === document.querySelectorAll('.s')[1]")
    assert "narrator" in page.locator("#facts").inner_text()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Shift+Tab")  # one stop for all sentences: back at the button
    page.keyboard.press("Enter")
    assert page.locator("#table").is_visible()
    assert not page.locator("#reading").is_visible()
    page.locator("#taken").focus()
    page.keyboard.press("Space")
    assert page.locator("tbody tr:visible").count() == 4


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_screen(open_page, width, tmp_path):
    page = open_page(article(12), width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.screenshot(path=tmp_path / "page.png")
    page.get_by_role("button", name="table").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert (tmp_path / "page.png").stat().st_size > 10_000


def test_on_a_telephone_the_details_leave_the_sentence_in_sight(open_page):
    page = open_page(article(12), 390)
    page.locator(".s").nth(0).focus()
    for _ in range(5):
        page.keyboard.press("ArrowDown")
        sentence = page.evaluate("document.activeElement.getBoundingClientRect().bottom")
        assert sentence <= page.locator("aside").bounding_box()["y"]


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
  const ancestors = function* (e) { for (; e; e = e.parentElement) yield getComputedStyle(e); };
  const ground = (e) => {
    for (const style of ancestors(e)) {
      const c = parse(style.backgroundColor);
      if (c[3] === 1) return c;
      if (c[3] > 0) throw new Error("a translucent ground");
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const e of document.querySelectorAll("body *")) {
    const box = e.getBoundingClientRect();
    if (!box.width || !box.height || e.closest("script, svg")) continue;
    if ([...ancestors(e)].some((style) => style.opacity < 1)) throw new Error("opacity");
    const text = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    for (const pseudo of [null, "::before", "::after"]) {
      const style = getComputedStyle(e, pseudo);
      const added = !["none", "normal"].includes(style.content) && style.display !== "none";
      if (pseudo ? !added : !text) continue;
      const [a, b] = [light(parse(style.color)), light(ground(e))].sort((x, y) => y - x);
      found.push([(a + .05) / (b + .05), `${e.tagName}.${e.className}${pseudo || ""}`]);
    }
  }
  return found;
}"""
"""Contrast of every visible text, and of every sign that a style adds, with what is behind it."""


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_contrast_is_that_of_wcag_aa(open_page, scheme):
    many = [f"tag {number}" for number in range(9)]
    sentences = [s.text for s in article(12).sentences or ()]
    record = article(12).to_dict()
    for number, sentence in enumerate(record["sentences"]):
        sentence["tags"] += [many[number % 9]]
    page = open_page(Article.from_dict(record), scheme="dark" if scheme == "print" else scheme)
    page.locator(".s").nth(3).focus()
    if scheme == "print":
        page.emulate_media(media="print")
    else:
        page.get_by_label("speaker").select_option("Ana Brod")
    found = page.evaluate(CONTRASTS)
    page.evaluate("byId('speaker').value = ''; update(); byId('view').click()")
    found += page.evaluate(CONTRASTS)
    kinds = {kind.split(".")[0] for _, kind in found}
    assert {"H1", "P", "SPAN", "TD", "TH", "LI"} <= kinds
    assert any(kind.endswith("::after") for _, kind in found)
    assert any(kind.endswith("::before") for _, kind in found)
    assert len(found) > 10 * len(sentences)
    assert [pair for pair in found if pair[0] < 4.5] == []


def test_colours_never_stand_alone(open_page):
    """Tags have signs, stances signs and other lines, doubt a question mark."""
    page = open_page(article())
    sentences = page.locator(".s")
    assert [sentences.nth(n).locator(".sign").all_inner_texts() for n in range(3)] == [
        ["●", "▲"],
        [],
        ["▲"],
    ]

    def added(number: int, pseudo: str) -> str:
        code = f"(e) => getComputedStyle(e, '::{pseudo}').content"
        return str(sentences.nth(number).evaluate(code)).strip('"').strip()

    assert [added(n, "after") for n in range(4)] == ["−", "none", "+", "−?"]
    assert [added(n, "before") for n in range(4)] == ["none", "none", "none", "?"]
    lines = [
        sentences.nth(n).evaluate("(e) => getComputedStyle(e).textDecorationStyle") for n in (0, 2)
    ]
    assert lines == ["double", "solid"]
    heights = [page.locator(".bar").nth(n).get_attribute("height") for n in range(3)]
    assert len(set(heights)) == 2
    marks = [page.locator(".mark").nth(n).bounding_box()["height"] for n in (0, 2)]
    assert marks[0] != marks[1]


def test_it_prints_the_text_and_no_controls(open_page, tmp_path):
    page = open_page(article(60), scheme="dark")
    page.emulate_media(media="print")
    assert not page.locator(".controls").is_visible()
    assert not page.locator("aside").is_visible()
    assert page.locator("#choice").inner_text() == "Stance toward: Harbour Office"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    pdf = page.pdf(path=tmp_path / "page.pdf", format="A4")
    assert pdf.startswith(b"%PDF")
    pages = len(re.findall(rb"/Type\s*/Page\b", pdf))
    assert 2 <= pages <= 5


def test_what_an_article_brings_does_not_run(open_page):
    text = EVIL + " It rained."
    page = open_page(
        Article.from_dict(
            {
                "id": EVIL,
                "title": EVIL,
                "publisher": EVIL,
                "text": text,
                "targets": [EVIL],
                "sentences": [
                    {
                        "start": 0,
                        "end": len(EVIL),
                        "tags": [EVIL],
                        "source": {"label": EVIL, "score": 0.9},
                        "stance": [{"target": 0, "label": "favor", "score": 0.9}],
                        "speaker": EVIL,
                    }
                ],
            }
        )
    )
    page.get_by_label("speaker").select_option(EVIL)
    page.locator(".s").focus()
    page.get_by_role("button", name="table").click()
    assert page.evaluate("window.evil") is None
    assert page.locator("h1").inner_text() == " ".join(EVIL.split())
    assert page.locator("article").text_content().endswith(text)
    assert page.locator("img, [style], [onfocus]").count() == 0
    assert page.locator("style").count() == 1
    assert page.locator("#facts dd").last.inner_text() == "favor 0.90"


def test_a_page_of_sixty_sentences_is_small_and_fast(open_page):
    sixty = article(60)
    assert len(render(sixty).encode()) < 400_000
    page = open_page(sixty)
    seconds = []
    for _ in range(5):
        page.reload()
        seconds.append(
            page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000
        )
    assert 0 < statistics.median(seconds) < 0.3
