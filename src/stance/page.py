"""Takes a tagged article; gives one self-contained HTML page of it.

The page needs no network and works from disk. Everything that comes from the article is escaped,
and its content security policy allows this page's own script and styles alone, by their hash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from stance.document import document
from stance.errors import StanceError
from stance.records import Article, Sentence

SIGNS = "●▲○■◆★"
"""A sign for each tag beside its colour, for readers and prints without colours."""

COLOURS = len(SIGNS)
UNSURE = 0.6
"""Labels with a lower probability are shown as unsure."""

STRIP = 1000
"""Width of the strip in units of its own."""


def render(article: Article, *, unsure: float = UNSURE) -> str:
    """The page of one article.

    Args:
        article: tagged, or with gold labels (which have no scores).
        unsure: labels of a lower probability get a question mark.
    """
    tags = tag_names(article)
    title = article.title or article.id or "Article"
    about = [article.publisher, article.date, article.model]
    speakers = sorted({s.speaker for s in article.sentences or () if s.speaker})
    rows = [facts(article, sentence, tags, unsure) for sentence in article.sentences or ()]
    return document(
        title,
        [
            f"<header><h1>{escape(title)}</h1>",
            f'<p class="quiet">{escape(" · ".join(filter(None, about)))}</p>',
            _key(tags),
            _controls(article, tags, speakers),
            _strip(article, tags),
            "</header>",
            '<main><div id="reading"><article>'
            + "".join(_text(article, tags, unsure))
            + "</article></div>",
            f'<div id="table" class="scroll" hidden>{_table(article, tags)}</div>',
            '<aside aria-live="polite"><p class="quiet noprint">Point at a sentence, or go through '
            'them with the arrow keys.</p><dl class="facts" id="facts"></dl></aside></main>',
        ],
        rows,
        style="page.css",
        script="page.js",
    )


class PageWriter:
    """Writes a page for every article: into one file for one article, else into a folder.

    Args:
        target: a path that ends in `.html` (one article only), or a folder.

    Raises:
        StanceError: a second article for one file, or nothing can be written there.
    """

    def __init__(self, target: str | Path) -> None:
        self.target = Path(target)
        self.written: set[str] = set()

    def write(self, article: Article) -> None:
        """Write the page of one article."""
        single = self.target.suffix.lower() in (".html", ".htm")
        if single and self.written:
            raise StanceError(
                f"{self.target}: one file holds one article; give --output a folder for several"
            )
        path = self.target if single else self.target / f"{self._name(article)}.html"
        self.written.add(path.stem)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(render(article), encoding="utf-8")
        except OSError as error:
            raise StanceError(f"{path}: {error.strerror}") from error

    def _name(self, article: Article) -> str:
        """A file name from the id that no other page has."""
        name = page_name(article.id)
        unique, number = name, 2
        while unique in self.written:
            unique, number = f"{name}-{number}", number + 1
        return unique


def page_name(id: str | None) -> str:
    """What the page of an article is called, without `.html`, if no other has that name."""
    return re.sub(r"[^\w.-]+", "-", id or "").strip("-.")[:80] or "article"


def tag_names(article: Article) -> list[str]:
    """The tags of the article's sentences, those of the default schema in their order first."""
    known = ["official_statement", "allegation", "background"]
    found = {tag for sentence in article.sentences or () for tag in sentence.tags or ()}
    return [tag for tag in known if tag in found] + sorted(found - set(known))


def colour(tag: str, tags: Sequence[str]) -> int:
    """The number of a tag's colour and sign; the default schema's tags always have the same."""
    known = {"official_statement": 0, "allegation": 1, "background": 2}
    return known.get(tag, (3 + tags.index(tag)) % COLOURS)


def facts(
    article: Article, sentence: Sentence, tags: Sequence[str], unsure: float
) -> dict[str, Any]:
    """What the page's script knows of a sentence."""
    lines = [("tags", ", ".join(sentence.tags or ()) or "none")]
    if sentence.speaker:
        lines.append(("speaker", sentence.speaker))
    for name, label in sentence.facets.items():
        lines.append((name, _scored(_shown(label.label), label.score, unsure)))
    for stance in sentence.stance:
        target = article.targets[stance.target].text
        lines.append((target, _scored(stance.label, stance.score, unsure)))
    if sentence.truncated:
        lines.append(("note", "cut to fit the model"))
    return {
        "tags": list(sentence.tags or ()),
        "speaker": sentence.speaker or "",
        "stance": [
            {"target": s.target, "label": s.label, "score": _score(s.score)}
            for s in sentence.stance
        ],
        "facts": lines,
    }


def _shown(label: object) -> str:
    if isinstance(label, tuple):
        return ", ".join(map(str, label)) or "none"
    return (
        {True: "yes", False: "no"}.get(label, str(label)) if isinstance(label, bool) else str(label)
    )


def _score(score: float | None) -> str:
    return "" if score is None else f"{score:.2f}"


def _scored(label: str, score: float | None, unsure: float) -> str:
    if score is None:
        return label
    return f"{label} {score:.2f}" + (" (unsure)" if score < unsure else "")


def is_unsure(sentence: Sentence, unsure: float) -> bool:
    """Whether a facet of the sentence has a probability below the threshold."""
    scores = [label.score for label in sentence.facets.values() if label.score is not None]
    return bool(scores) and min(scores) < unsure


def main_tag(sentence: Sentence, tags: Sequence[str]) -> str | None:
    """The tag whose colour the sentence has: of several the last in the order of the tags."""
    own = [tag for tag in tags if tag in (sentence.tags or ())]
    return own[-1] if own else None


def _text(article: Article, tags: Sequence[str], unsure: float) -> Iterator[str]:
    """The article's text, every sentence marked."""
    place = 0
    for sentence in article.sentences or ():
        yield escape(article.text[place : sentence.start])
        tag = main_tag(sentence, tags)
        classes = ["s"]
        signs = ""
        if tag is not None:
            classes.append(f"c{colour(tag, tags)}")
            signs = "".join(
                f'<span class="sign e{colour(t, tags)}" aria-hidden="true">'
                f"{SIGNS[colour(t, tags)]}</span>"
                for t in tags
                if t in (sentence.tags or ()) and colour(t, tags) != 2
            )
        if is_unsure(sentence, unsure):
            classes.append("unsure")
        body = escape(article.text[sentence.start : sentence.end])
        yield f'<span class="{" ".join(classes)}" tabindex="0">{signs}{body}</span>'
        place = sentence.end
    yield escape(article.text[place:])


def _key(tags: Sequence[str]) -> str:
    items = [
        f'<li><span class="sign e{colour(tag, tags)}" aria-hidden="true">'
        f"{SIGNS[colour(tag, tags)]}</span> {escape(tag.replace('_', ' '))}</li>"
        for tag in tags
    ]
    items += ["<li>+ favors the target</li>", "<li>− against it</li>", "<li>? unsure</li>"]
    return f'<ul class="key">{"".join(items)}</ul>'


def _controls(article: Article, tags: Sequence[str], speakers: Sequence[str]) -> str:
    targets = [
        (str(number), target.text)
        for number, target in enumerate(article.targets)
        if not target.skipped
    ]
    skipped = len(article.targets) - len(targets)
    note = f"targets skipped, since not mentioned: {skipped}" if skipped else ""
    boxes = "".join(
        f'<label><input type="checkbox" class="tag" value="{escape(tag)}" checked> '
        f"{escape(tag.replace('_', ' '))}</label>"
        for tag in tags
    )
    return (
        '<div class="controls">'
        f"<label>stance toward {_select('target', targets, 'no target', bool(targets))}</label>"
        f'<span class="quiet">{note}</span>'
        f"<label>speaker {_select('speaker', [(s, s) for s in speakers], 'anybody', False)}</label>"
        f'{boxes}<button id="view" type="button" aria-pressed="false">table</button>'
        '<span class="quiet" id="count" role="status"></span></div>'
    )


def _select(name: str, options: Iterable[tuple[str, str]], nothing: str, first: bool) -> str:
    items = [f'<option value="">{nothing}</option>']
    for number, (value, text) in enumerate(options):
        chosen = " selected" if first and number == 0 else ""
        items.append(f'<option value="{escape(value)}"{chosen}>{escape(text)}</option>')
    return f'<select id="{name}">{"".join(items)}</select>'


def _strip(article: Article, tags: Sequence[str]) -> str:
    """The article's course: a bar a sentence, as wide as it is long, with a mark for its stance."""
    sentences = article.sentences or ()
    total = sum(s.end - s.start for s in sentences) or 1
    bars, marks = [], []
    left = 0.0
    for number, sentence in enumerate(sentences, 1):
        width = STRIP * (sentence.end - sentence.start) / total
        tag = main_tag(sentence, tags)
        kind = f" k{colour(tag, tags)}" if tag is not None else ""
        height = 26 if kind and kind != " k2" else 12
        bars.append(
            f'<rect class="bar{kind}" x="{left:.1f}" y="{30 - height}" width="{width:.1f}" '
            f'height="{height}"><title>{number}</title></rect>'
        )
        marks.append(
            f'<rect class="mark" x="{left:.1f}" y="33" width="{width:.1f}" height="7"></rect>'
        )
        left += width
    return (
        f'<svg class="strip" viewBox="0 0 {STRIP} 40" preserveAspectRatio="none" role="img" '
        f'aria-label="the article at a glance">{"".join(bars)}{"".join(marks)}</svg>'
    )


def _table(article: Article, tags: Sequence[str]) -> str:
    rows = []
    for number, sentence in enumerate(article.sentences or (), 1):
        own = ", ".join(tag.replace("_", " ") for tag in sentence.tags or ())
        rows.append(
            f"<tr><td>{number}</td><td>{escape(own)}</td><td>{escape(sentence.speaker or '')}</td>"
            f'<td class="stance"></td><td>{escape(" ".join(sentence.text.split()))}</td></tr>'
        )
    head = "".join(f"<th>{name}</th>" for name in ("", "tags", "speaker", "stance", "sentence"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
