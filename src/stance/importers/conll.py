"""Takes CoNLL-like files, a token a line with BIO columns; gives articles with their spans."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from stance.errors import RecordError
from stance.importers.files import Options, Rows, lines_of, read_text
from stance.records import Article

_BIO = re.compile(r"O|[BIESLU]-(.+)")
_BARE = re.compile(r"[OBIESLU](-.+)?")
DOCUMENT = "-DOCSTART-"

Token = tuple[int, list[str]]
"""Line number and cells."""


def rows(path: Path, options: Options) -> Rows:
    """An article for each -DOCSTART-, or one for a file without any."""
    documents: list[list[list[Token]]] = [[[]]]
    for number, line in enumerate(lines_of(read_text(path)), 1):
        if line.startswith(DOCUMENT):
            documents.append([[]])
        elif line.strip():
            cells = line.split("\t") if "\t" in line else line.split()
            documents[-1][-1].append((number, cells))
        elif documents[-1][-1]:
            documents[-1].append([])
    kept = [[sentence for sentence in document if sentence] for document in documents]
    kept = [document for document in kept if document]
    if not kept:
        raise RecordError("the file is empty")
    tokens = [token for document in kept for sentence in document for token in sentence]
    tracks = _bio_columns(tokens, options.columns)
    for number, document in enumerate(kept, 1):
        identifier = path.stem if len(kept) == 1 else f"{path.stem}-{number}"
        width = len(tokens[0][1])
        yield document[0][0][0], partial(_article, document, tracks, width, identifier)


def _bio_columns(
    tokens: Sequence[Token], given: Mapping[str, int] | None
) -> list[tuple[int, str | None]]:
    """Number and track of each column that is read (None: its labels name the track)."""
    width = len(tokens[0][1])
    if given:
        for name, column in given.items():
            if not -width <= column < width or column % width == 0:
                raise RecordError(f"columns.{name}: there is no label column {column} of {width}")
        return [(column % width, name) for name, column in given.items()]
    found = [
        column
        for column in range(1, width)
        if all(len(cells) != width or _BIO.fullmatch(cells[column]) for _, cells in tokens)
    ]
    if not found:
        raise RecordError(
            "no column holds only labels like O, B-source, I-source: say which to read (columns), "
            "such as {source: 1, cue: 2, content: 3}"
        )
    return [(column, None) for column in found]


def _article(
    document: Sequence[Sequence[Token]],
    columns: Sequence[tuple[int, str | None]],
    width: int,
    identifier: str,
) -> Article:
    """Tokens joined by blanks, a sentence a line, with the spans of their labels."""
    text = ""
    sentences: list[dict[str, Any]] = []
    for tokens in document:
        text += "\n" if text else ""
        start = len(text)
        spans: dict[str, list[list[int]]] = {name: [] for _, name in columns if name}
        inside: dict[int, str | None] = {}
        for position, (line, cells) in enumerate(tokens):
            if len(cells) != width:
                raise RecordError(f"{len(cells)} columns, not {width}", line=line)
            text += " " if position else ""
            span = [len(text), len(text) + len(cells[0])]
            text += cells[0]
            for column, name in columns:
                if not _BARE.fullmatch(cells[column]):
                    raise RecordError(f"{cells[column]!r} is no label like O, B or I", line=line)
                prefix, _, kind = cells[column].partition("-")
                track = None if prefix == "O" else name or kind.lower()
                if track and (prefix in "BSU" or inside.get(column) != track):
                    spans.setdefault(track, []).append(list(span))
                elif track:
                    spans[track][-1][1] = span[1]
                inside[column] = None if prefix in "ESLU" else track
        sentences.append({"start": start, "end": len(text), "spans": spans})
    names = dict.fromkeys(name for sentence in sentences for name in sentence["spans"])
    for sentence in sentences:
        sentence["spans"] = {name: sentence["spans"].get(name, []) for name in names}
    return Article.from_dict({"id": identifier, "text": text, "sentences": sentences})
