"""A page shows the article as it was, needs no network, and lets nothing of it run."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from stance.corpora import read_corpus
from stance.errors import StanceError
from stance.page import PageWriter, is_unsure, looks, render
from stance.records import Article
from stance.schema import Schema

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)> ' \" & <style>*{}</style>"


class Page(HTMLParser):
    """Elements with their attributes, and the text inside every kind of element."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: dict[str, str] = {}
        self.signs = 0
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in ("meta", "input", "img"):
            self.open.append(
                "sign" if dict(attributes).get("class", "").startswith("sign") else tag
            )

    def handle_endtag(self, tag):
        if self.open:
            self.open.pop()

    def handle_data(self, data):
        for tag in set(self.open):
            if "sign" not in self.open or tag != "article":
                self.text[tag] = self.text.get(tag, "") + data


def tagged(**fields):
    text = fields.pop("text", "The mayor denied it. Rain fell.")
    record = {
        "id": "a1",
        "text": text,
        "targets": [{"kind": "entity", "text": "Mayor"}],
        "sentences": [
            {
                "start": 0,
                "end": 20,
                "tags": ["official_statement", "allegation"],
                "source": {"label": "official", "score": 0.55},
                "allegation": {"label": True, "score": 0.9},
                "stance": [{"target": 0, "label": "favor", "score": 0.8}],
                "speaker": "Ana Brod",
            },
            {"start": 21, "end": 31, "tags": ["background"]},
        ],
    }
    return Article.from_dict(record | fields)


def test_the_text_is_as_it_was():
    for article in read_corpus("starter", None, "dev")[:5]:
        assert Page(render(article)).text["article"] == article.text


def test_nothing_is_fetched_and_only_its_own_script_runs():
    html = render(tagged())
    page = Page(html)
    policy = next(a["content"] for tag, a in page.elements if a.get("http-equiv"))
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'")
    for kind, pattern in (
        ("script", r"<script>(.*?)</script>"),
        ("style", r"<style>(.*?)</style>"),
    ):
        (body,) = re.findall(pattern, html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    for tag, attributes in page.elements:
        assert tag not in ("link", "img", "iframe", "base")
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert "src" not in attributes


def test_what_the_article_brings_is_text_and_nothing_else():
    plain = Page(render(tagged(title="t", publisher="p")))
    article = tagged(
        title=EVIL,
        publisher=EVIL,
        id=EVIL,
        text=EVIL + " tail and more",
        targets=[{"kind": "claim", "text": EVIL}],
        sentences=[
            {
                "start": 0,
                "end": len(EVIL),
                "tags": [EVIL],
                "source": {"label": "official", "score": 0.9},
                "stance": [{"target": 0, "label": "against", "score": 0.8}],
                "speaker": EVIL,
            }
        ],
    )
    page = Page(render(article))
    assert page.text["article"] == article.text
    assert page.text["h1"] == EVIL
    kinds = {tag for tag, _ in page.elements}
    assert kinds <= {tag for tag, _ in plain.elements}
    assert sum(tag == "script" for tag, _ in page.elements) == 2
    assert not any("onerror" in attributes for _, attributes in page.elements)
    data = re.search(r'id="data">(.*?)</script>', render(article), re.DOTALL)
    assert json.loads(data[1])[0]["speaker"] == EVIL


def test_signs_stand_beside_colours():
    html = render(tagged())
    assert '<span class="s c1 unsure" tabindex="0">' in html
    assert html.count('aria-hidden="true">●</span>') == 2  # in the key and at the sentence
    assert html.count('aria-hidden="true">▲</span>') == 2


FOUR = Schema.from_dict(
    {
        "facets": {"topic": {"labels": ["war", "sport", "weather", "other"]}},
        "tags": {
            "war news": {"topic": "war"},
            "sport news": {"topic": "sport"},
            "weather news": {"topic": "weather"},
            "rest": "fallback",
        },
    }
)


def test_colours_and_signs_follow_the_schema():
    """A tag looks the same on every page of a model, whatever else is there."""
    sentences = [{"start": 0, "end": 20, "tags": ["sport news"]}, {"start": 21, "end": 31}]
    one = looks(tagged(sentences=sentences), FOUR)
    assert {tag: look.sign for tag, look in one.items()} == {"sport news": "▲"}
    sentences = [
        {"start": 0, "end": 20, "tags": ["unheard", "weather news", "sport news"]},
        {"start": 21, "end": 31, "tags": ["rest"]},
    ]
    both = looks(tagged(sentences=sentences), FOUR)
    assert list(both) == ["sport news", "weather news", "rest", "unheard"]
    assert both["sport news"] == one["sport news"]
    assert both["rest"].sign == "○"
    many = tagged(sentences=[{"start": 0, "end": 20, "tags": [f"t{n}" for n in range(20)]}])
    assert len(set(looks(many, FOUR).values())) == 20


def test_gold_labels_have_the_tags_of_their_facets():
    sentences = [
        {"start": 0, "end": 20, "topic": "war"},
        {"start": 21, "end": 31, "topic": "other"},
    ]
    html = render(tagged(sentences=sentences, targets=[]), FOUR)
    assert '<span class="s c0" tabindex="0">' in html
    assert '<span class="s cr" tabindex="-1">' in html
    assert "war news" in html
    assert "war news" not in render(tagged(sentences=sentences, targets=[]))


def test_unsure_is_a_probability_below_the_threshold():
    first, second = tagged().sentences
    assert is_unsure(first, 0.6)
    assert not is_unsure(first, 0.5)
    assert not is_unsure(second, 0.99)


def test_strange_articles_have_pages():
    assert "<main>" in render(Article.from_dict({"text": "", "sentences": []}))
    bidi = render(Article.from_dict({"text": "مرحبا \u202eabc", "sentences": []}))
    assert "مرحبا" in bidi
    gold = read_corpus("starter", None, "test")[0]
    assert "(unsure)" not in render(gold)


def test_one_file_or_a_folder(tmp_path):
    writer = PageWriter(tmp_path / "page.html")
    writer.write(tagged())
    assert "<h1>a1</h1>" in (tmp_path / "page.html").read_text()
    with pytest.raises(StanceError, match="one file holds one article"):
        writer.write(tagged())
    pages = PageWriter(tmp_path / "pages")
    for identifier in ("a/b", "a-b", None, "../../x"):
        pages.write(tagged(id=identifier))
    names = sorted(path.name for path in (tmp_path / "pages").iterdir())
    assert names == ["a-b-2.html", "a-b.html", "article.html", "x.html"]
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StanceError, match=r"Not a directory|File exists"):
        PageWriter(blocked).write(tagged())


def test_a_page_of_sixty_sentences_is_small():
    articles = read_corpus("starter", None, "train")
    longest = max(articles, key=lambda article: len(article.sentences))
    assert len(longest.sentences) > 25
    assert len(render(longest).encode()) < 200_000
