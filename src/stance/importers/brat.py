"""Takes brat stand-off files, as PolNeAR has them; gives articles with the three span tracks."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from stance.corpora import attribution_spans, clip
from stance.errors import RecordError
from stance.importers.files import Options, Rows, lines_of, read_text
from stance.records import Article, Sentence
from stance.segment import segment

_SPAN_LINE = re.compile(r"T\d+\t(\S+) (\d+ \d+(?:;\d+ \d+)*)\t(.*)", re.DOTALL)
_POLNEAR_NAME = re.compile(r"(.+?)_(\d{4}-\d{2}-\d{2})_")
TRACKS = ("source", "cue", "content")


def rows(path: Path, _: Options) -> Rows:
    """The one article of a file."""
    yield None, partial(_article, path)


def _article(path: Path) -> Article:
    """An .ann file with its text: beside it, or in `../text` without the annotator's name."""
    name, annotator = path.stem, None
    text_path = path.with_suffix(".txt")
    if not text_path.is_file() and "_" in path.stem:
        name, _, annotator = path.stem.rpartition("_")
        text_path = path.parent.parent / "text" / f"{name}.txt"
    if not text_path.is_file():
        raise RecordError(f"its text is neither beside it nor at {text_path}")
    text = read_text(text_path)
    attributions = _attributions(lines_of(read_text(path)), text)
    record: dict[str, Any] = {"id": name, "text": text}
    if annotator:
        several = len(list(path.parent.glob(f"{glob.escape(name)}_????.ann"))) > 1
        record["id"] = f"polnear-{path.stem if several else name}"
        record["annotator"] = annotator
        found = _POLNEAR_NAME.match(name)
        if found:
            record["publisher"], record["date"] = found[1], found[2]
    article = Article.from_dict({**record, "attributions": attributions})
    tracks = attribution_spans(attributions)
    sentences = tuple(
        Sentence(
            start,
            end,
            text[start:end],
            spans={track: clip(spans, start, end) for track, spans in tracks.items()},
        )
        for start, end in segment(text)
    )
    return replace(article, sentences=sentences)


def _attributions(lines: Sequence[str], text: str) -> list[dict[str, list[list[int]]]]:
    """Source, cue and content ranges of each attribution; those of no attribution by themselves."""
    spans: dict[str, tuple[str, list[list[int]]]] = {}
    events: list[tuple[int, str]] = []
    for number, line in enumerate(lines, 1):
        if line.startswith("T"):
            key = line.split("\t", 1)[0]
            spans[key] = _span(line, number, text)
        elif line.startswith("E"):
            events.append((number, line))
    used: set[str] = set()
    attributions: list[dict[str, list[list[int]]]] = []
    for number, line in events:
        keys = [part.rpartition(":")[2] for part in line.partition("\t")[2].split()]
        missing = [key for key in keys if key not in spans]
        if missing:
            raise RecordError(f"there is no annotation {missing[0]}", line=number)
        used.update(keys)
        attributions.append(_tracks_of([spans[key] for key in keys]))
    alone = [span for key, span in spans.items() if key not in used and span[0] in TRACKS]
    return [*filter(None, attributions), *(_tracks_of([span]) for span in alone)]


def _tracks_of(spans: Iterable[tuple[str, list[list[int]]]]) -> dict[str, list[list[int]]]:
    tracks: dict[str, list[list[int]]] = {}
    for kind, ranges in spans:
        if kind in TRACKS:
            tracks.setdefault(kind, []).extend(ranges)
    return tracks


def _span(line: str, number: int, text: str) -> tuple[str, list[list[int]]]:
    """Type (lower case) and ranges of a T line, checked against the text that it repeats."""
    match = _SPAN_LINE.fullmatch(line)
    if not match:
        raise RecordError("not a line of id, type with offsets, and text", line=number)
    ranges = [[int(offset) for offset in pair.split()] for pair in match[2].split(";")]
    if any(not start < end <= len(text) for start, end in ranges):
        raise RecordError(f"{match[2]} leaves the text of {len(text)} characters", line=number)
    # brat writes blanks for line breaks, and between the ranges.
    if " ".join(text[start:end] for start, end in ranges).split() != match[3].split():
        raise RecordError(f"{match[3]!r} is not the text at {match[2]}", line=number)
    return match[1].lower(), ranges
