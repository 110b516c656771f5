"""Takes a tagged article; gives one self-contained HTML page of it.

The page needs no network and works from disk. Everything that comes from the article is escaped,
and its content security policy allows this page's own script and styles alone, by their hash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

from stance.document import document
from stance.errors import StanceError
from stance.records import Article, Sentence
from stance.schema import DEFAULT, Schema

SIGNS = "●▲■◆★✚"
"""A sign for each tag beside its colour, for readers and prints without colours."""

UNSURE = 0.6
"""Labels with a lower probability are shown as unsure."""

STRIP = 1000
"""Width of the strip in units of its own."""

HEIGHTS = (18, 26, 22, 14, 24, 16)
"""Of the strip's bars by tag: a second sign here too."""
REST_HEIGHT = 9


@dataclass(frozen=True)
class Look:
    """How a tag looks: the ending of its style classes, and its sign."""

    style: str
    sign: str

    @property
    def mark(self) -> str:
        """The sign in the tag's colour; what reads pages aloud passes over it."""
        return f'<span class="sign e{self.style}" aria-hidden="true">{self.sign}</span>'


REST = Look("r", "○")
"""Of the fallback tag, which is not marked in the text."""

Looks = Mapping[str, Look]
"""The tags of a page in the order of the schema, with their looks."""


def render(article: Article, schema: Schema = DEFAULT, *, unsure: float = UNSURE) -> str:
    """The page of one article.

    Args:
        article: tagged, or with gold labels (which have no scores).
        schema: the model's; the order of its tags says which colour and sign each has.
        unsure: labels of a lower probability get a question mark.
    """
    article = _with_tags(article, schema)
    tags = looks(article, schema)
    title = article.title or article.id or "Article"
    about = [article.publisher, article.date, article.model]
    speakers = sorted({s.speaker for s in article.sentences or () if s.speaker})
    rows = [facts(article, sentence, unsure) for sentence in article.sentences or ()]
    return document(
        title,
        [
            f"<header><h1>{escape(title)}</h1>",
            f'<p class="quiet">{escape(" · ".join(filter(None, about)))}</p>',
            _key(tags),
            _controls(article, tags, speakers),
            '<p class="quiet printed" id="choice"></p>',
            _strip(article, tags),
            "</header>",
            '<main><div id="reading"><article>'
            + "".join(_text(article, tags, unsure))
            + "</article></div>",
            f'<div id="table" class="scroll" hidden>{_table(article, unsure)}</div>',
            '<aside id="details" aria-live="polite"><p class="quiet" id="hint">Point at a '
            "sentence, or go through them with the arrow keys.</p>"
            '<dl class="facts" id="facts"></dl></aside></main>',
        ],
        rows,
        style="page.css",
        script="page.js",
    )


class PageWriter:
    """Writes a page for every article: into one file for one article, else into a folder.

    Args:
        target: a path that ends in `.html` (one article only), or a folder.
        schema: see `render`.

    Raises:
        StanceError: a second article for one file, or nothing can be written there.
    """

    def __init__(self, target: str | Path, schema: Schema = DEFAULT) -> None:
        self.target = Path(target)
        self.schema = schema
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
            path.write_text(render(article, self.schema), encoding="utf-8")
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


def _with_tags(article: Article, schema: Schema) -> Article:
    """The article with tags where its sentences have facets only, as gold labels do."""
    asked = schema.facets_of_tags()
    sentences = tuple(
        replace(
            sentence,
            tags=tuple(schema.tags_of({name: a.label for name, a in sentence.facets.items()})),
        )
        if sentence.tags is None and asked <= sentence.facets.keys()
        else sentence
        for sentence in article.sentences or ()
    )
    return replace(article, sentences=sentences)


def looks(article: Article, schema: Schema) -> Looks:
    """The looks of the tags that the article's sentences have.

    A tag of the schema looks the same on all pages; tags that it does not know come after them.
    """
    found = {tag for sentence in article.sentences or () for tag in sentence.tags or ()}
    known = [tag.name for tag in schema.tags]
    fallback = {tag.name for tag in schema.tags if tag.when is None}
    names = [*known, *sorted(found.difference(known))]
    marked = [name for name in names if name not in fallback]
    count = len(SIGNS)
    return {
        name: REST
        if name in fallback
        # Where colours begin again, signs are one further on, so that no two tags look the same.
        else Look(str((n := marked.index(name)) % count), SIGNS[(n + n // count) % count])
        for name in names
        if name in found
    }


def facts(article: Article, sentence: Sentence, unsure: float) -> dict[str, Any]:
    """What the page's script knows of a sentence."""
    lines = [("tags", _words(", ".join(sentence.tags or ())) or "none")]
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
            {
                "target": s.target,
                "label": s.label,
                "shown": _scored(s.label, s.score, unsure),
                "unsure": s.score is not None and s.score < unsure,
            }
            for s in sentence.stance
        ],
        "facts": lines,
    }


def _shown(label: object) -> str:
    if isinstance(label, bool):
        return "yes" if label else "no"
    return ", ".join(map(str, label)) or "none" if isinstance(label, tuple) else str(label)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _scored(label: str, score: float | None, unsure: float) -> str:
    if score is None:
        return label
    return f"{label} {score:.2f}" + (" (unsure)" if score < unsure else "")


def is_unsure(sentence: Sentence, unsure: float) -> bool:
    """Whether a facet of the sentence has a probability below the threshold."""
    scores = [label.score for label in sentence.facets.values() if label.score is not None]
    return bool(scores) and min(scores) < unsure


def main_tag(sentence: Sentence, tags: Looks) -> Look | None:
    """The look of a sentence: of several tags that of the last one in the schema's order."""
    own = [look for tag, look in tags.items() if tag in (sentence.tags or ())]
    return own[-1] if own else None


def _text(article: Article, tags: Looks, unsure: float) -> Iterator[str]:
    """The article's text, every sentence marked; the arrow keys lead from the first one on."""
    place = 0
    for number, sentence in enumerate(article.sentences or ()):
        yield escape(article.text[place : sentence.start])
        look = main_tag(sentence, tags)
        classes = ["s"] if look is None else ["s", f"c{look.style}"]
        if is_unsure(sentence, unsure):
            classes.append("unsure")
        signs = "".join(
            look.mark
            for tag, look in tags.items()
            if tag in (sentence.tags or ()) and look is not REST
        )
        body = escape(article.text[sentence.start : sentence.end])
        stop = -1 if number else 0
        yield f'<span class="{" ".join(classes)}" tabindex="{stop}">{signs}{body}</span>'
        place = sentence.end
    yield escape(article.text[place:])


def _key(tags: Looks) -> str:
    items = [f"<li>{look.mark} {escape(_words(tag))}</li>" for tag, look in tags.items()]
    items += ["<li>+ favors the target</li>", "<li>− against it</li>", "<li>? unsure</li>"]
    return f'<ul class="key">{"".join(items)}</ul>'


def _controls(article: Article, tags: Iterable[str], speakers: Sequence[str]) -> str:
    targets = [
        (str(number), target.text)
        for number, target in enumerate(article.targets)
        if not target.skipped
    ]
    skipped = len(article.targets) - len(targets)
    note = f"targets skipped, since not mentioned: {skipped}" if skipped else ""
    boxes = "".join(
        f'<label><input type="checkbox" class="tag" value="{escape(tag)}" checked> '
        f"{escape(_words(tag))}</label>"
        for tag in tags
    )
    return (
        '<div class="controls">'
        f"<label>stance toward {_select('target', targets, 'no target', bool(targets))}</label>"
        f'<span class="quiet">{note}</span>'
        f"<label{'' if targets else ' hidden'}>"
        '<input type="checkbox" id="taken"> only where a stance is taken</label>'
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


def _strip(article: Article, tags: Looks) -> str:
    """The article's course: a bar a sentence, as wide as it is long, with a mark for its stance."""
    sentences = article.sentences or ()
    total = sum(s.end - s.start for s in sentences) or 1
    bars, marks = [], []
    left = 0.0
    for number, sentence in enumerate(sentences, 1):
        width = STRIP * (sentence.end - sentence.start) / total
        look = main_tag(sentence, tags)
        kind = (look or REST).style
        height = REST_HEIGHT if kind == REST.style else HEIGHTS[int(kind)]
        bars.append(
            f'<rect class="bar k{kind}" x="{left:.1f}" y="{30 - height}" width="{width:.1f}" '
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


def _table(article: Article, unsure: float) -> str:
    facets = list(dict.fromkeys(name for s in article.sentences or () for name in s.facets))
    rows = []
    for number, sentence in enumerate(article.sentences or (), 1):
        labels = [sentence.facets.get(name) for name in facets]
        cells = [
            str(number),
            _words(", ".join(sentence.tags or ())),
            *("" if a is None else _scored(_shown(a.label), a.score, unsure) for a in labels),
            sentence.speaker or "",
        ]
        told = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        body = escape(" ".join(sentence.text.split()))
        rows.append(f'<tr>{told}<td class="stance"></td><td>{body}</td></tr>')
    names = ["no.", "tags", *facets, "speaker", "stance", "sentence"]
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
