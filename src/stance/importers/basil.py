"""Takes BASIL (Fan et al., EMNLP 2019) in either release; gives articles with their bias spans."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from stance.errors import RecordError
from stance.importers.files import Options, Rows, get, read_json, stance_of
from stance.records import Article, Span

BIAS_TYPES = {"lex": "lexical", "inf": "informational"}


def rows(path: Path, _: Options) -> Rows:
    """The one article of a file."""
    yield None, partial(_article, path)


def _article(path: Path) -> Article:
    """An article with its bias spans, `annotations/…/<name>_ann.json` beside `articles/…/`."""
    article = read_json(path)
    notes = read_json(_annotations(path))
    title = get(article, "title")
    text, sentences = _text(title, get(article, "body-paragraphs", list))
    names = [str(name) for name in get(article, "main-entities", list)]
    bias: dict[int, list[dict[str, Any]]] = {}
    for number, note in enumerate(get(notes, "phrase-level-annotations", list)):
        place = f"phrase-level-annotations[{number}]"
        try:
            where, span = _span(note, text, sentences)
            target = get(note, "target").replace("_", " ").strip()
            polarity = stance_of(get(note, "polarity"), {}, "polarity")
            kind = BIAS_TYPES.get(get(note, "bias"), get(note, "bias"))
        except RecordError as error:
            raise RecordError(error.reason, field=f"{place}.{error.field}".rstrip(".")) from None
        if target not in names:
            names.append(target)
        keep = ("aim", "quote", "speaker", "indirect-target-name")
        details = {name: note[name] for name in keep if note.get(name)}
        row = {"span": list(span), "bias": kind, "target": target, "stance": polarity, **details}
        bias.setdefault(where, []).append(row)
    labelled = [
        _sentence(span, names, bias.get(number, ()))
        for number, span in enumerate(sentences)
        if span[0] < span[1]
    ]
    record = {
        "id": f"basil-{path.stem}",
        "title": title.strip() or None,
        "date": article.get("date"),
        "publisher": str(article.get("source") or "").lower() or None,
        "text": text,
        "targets": names,
        "sentences": labelled,
    }
    return Article.from_dict(record)


def _annotations(path: Path) -> Path:
    """The annotation file of an article, in either release of the corpus."""
    parts = path.resolve().parts
    if "articles" not in parts:
        raise RecordError("the article lies in no folder 'articles' with 'annotations' beside it")
    cut = len(parts) - 1 - parts[::-1].index("articles")
    root, rest = Path(*parts[:cut]) / "annotations", Path(*parts[cut + 1 :])
    name = rest.with_name(f"{path.stem}_ann.json")
    resolved = root / "resolved" / name
    return resolved if resolved.is_file() else root / name


def _text(title: str, paragraphs: Sequence[Any]) -> tuple[str, list[Span]]:
    """Title, blank line, a paragraph a line; and where the sentences of the body are.

    Sentences are numbered through all paragraphs; spans are without outer white space, as the
    offsets of the annotations are.
    """
    text = f"{title}\n\n"
    spans: list[Span] = []
    for number, paragraph in enumerate(paragraphs):
        if not isinstance(paragraph, list) or not all(isinstance(s, str) for s in paragraph):
            raise RecordError("want a list of sentences", field=f"body-paragraphs[{number}]")
        text += "\n" if number else ""
        for position, sentence in enumerate(paragraph):
            text += " " if position else ""
            start = len(text) + len(sentence) - len(sentence.lstrip())
            spans.append((start, start + len(sentence.strip())))
            text += sentence
    return text, spans


def _span(note: object, text: str, sentences: Sequence[Span]) -> tuple[int, Span]:
    """Number of the sentence, and span in the text, of one annotation.

    In the first release some offsets do not fit the phrase given: then it is looked for.
    """
    key = get(note, "id")
    if not re.fullmatch(r"p\d+", key) or int(key[1:]) >= len(sentences):
        raise RecordError(f"{key!r} is none of the {len(sentences)} sentences", field="id")
    start, end = sentences[int(key[1:])]
    phrase, at = get(note, "txt"), get(note, "start", int)
    sentence = text[start:end]
    if not phrase or sentence[at : at + len(phrase)] != phrase or at < 0:
        phrase = phrase.strip()
        if not phrase or sentence.count(phrase) != 1:
            raise RecordError(f"{phrase!r} is not in sentence {key} (once)", field="txt")
        at = sentence.index(phrase)
    return int(key[1:]), (start + at, start + at + len(phrase))


def _sentence(
    span: Span, targets: Sequence[str], bias: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """A sentence with its bias; no stance toward whom it says nothing of, or both things."""
    row: dict[str, Any] = {"start": span[0], "end": span[1]}
    held = [{entry["stance"] for entry in bias if entry["target"] == target} for target in targets]
    row["stance"] = [next(iter(stances)) if len(stances) == 1 else None for stances in held]
    speakers = {str(entry.get("speaker")).replace("_", " ") for entry in bias} & set(targets)
    if len(speakers) == 1:
        row["speaker"] = next(iter(speakers))
    if bias:
        row["bias"] = list(bias)
    return row
