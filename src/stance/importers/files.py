"""Takes files in the layouts of others; gives their texts, table rows, fields and stances.

What the formats of this package share.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from stance.errors import RecordError, StanceError
from stance.readers import parse_json
from stance.records import Article
from stance.schema import DEFAULT, Schema


@dataclass(frozen=True)
class Options:
    """What some formats ask for beyond the file.

    schema: the facets and tracks that a Label Studio export is read with.
    columns: of a CoNLL file, track to column number (from 0, or from the end with -1); None takes
        every column whose cells are like O, B-source, I-source.
    annotator: whose work to take from a Label Studio export.
    """

    schema: Schema = DEFAULT
    columns: Mapping[str, int] | None = None
    annotator: str | None = None


Make = Callable[[], Article]
Rows = Iterator[tuple[int | None, Make]]
"""For each record of a file its line, and what makes the article (or raises `RecordError`)."""
Cells = Mapping[str, str]


def find_files(source: Path, patterns: Iterable[str]) -> list[Path]:
    """The file itself, or the files of a folder that are like one of the patterns."""
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise StanceError(f"{source}: there is no such file or folder")
    found = {path for pattern in patterns for path in source.rglob(pattern) if path.is_file()}
    if not found:
        raise StanceError(f"{source}: no file in this folder is like {' or '.join(patterns)}")
    return sorted(found)


def isolated(rows: Callable[[Path, Options], Rows], path: Path, options: Options) -> Rows:
    """The rows of a file; an error of the file itself comes as the last one."""
    try:
        yield from rows(path, options)
    except RecordError as error:
        yield error.line, partial(_fail, error)


def _fail(error: RecordError) -> Article:
    raise error


def read_text(path: Path, *, latin1: bool = False) -> str:
    """The text of a file, line ends as they are; with `latin1` what is no UTF-8 is that."""
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if latin1:
            return data.decode("latin-1")
        raise RecordError(f"invalid UTF-8 at byte {error.start}") from None


def read_json(path: Path) -> Any:
    """What a JSON file holds; raises `RecordError` that names the file."""
    try:
        return parse_json(path.read_bytes())
    except FileNotFoundError:
        raise RecordError(f"there is no {path}") from None
    except RecordError as error:
        raise RecordError(f"{path.name}: {error.reason}") from None


def lines_of(text: str) -> list[str]:
    """Lines without their ends (only \\n and \\r\\n end a line: tweets hold other separators)."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines[:-1] if lines[-1] == "" else lines


def table(
    text: str, convert: Callable[[int, Cells], Article], columns: Sequence[str], *, tabs: bool
) -> Rows:
    """Rows of a table with a header; tab-separated ones have no quotation marks of their own."""
    csv.field_size_limit(2**31 - 1)
    form: Any = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if tabs else {"strict": True}
    reader = csv.reader(io.StringIO(text, newline=""), **form)
    header: list[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise RecordError(f"not CSV from here on: {error}", line=line) from None
        if cells is None:
            break
        if header is None:
            header = cells
            missing = [name for name in columns if name not in header]
            if missing:
                found = ", ".join(map(ascii, header))
                raise RecordError(f"there is no column {missing[0]!r} (but {found})", line=line)
        elif cells:
            yield line, partial(_table_row, header, cells, partial(convert, line))
    if header is None:
        raise RecordError("the file is empty")


def _table_row(
    header: Sequence[str], cells: Sequence[str], convert: Callable[[Cells], Article]
) -> Article:
    if len(cells) != len(header):
        raise RecordError(f"{len(cells)} cells for {len(header)} columns")
    return convert(dict(zip(header, cells, strict=True)))


def get(row: object, name: str, kind: type | tuple[type, ...] = str) -> Any:
    """A field of a JSON object, of that type; raises `RecordError` that names it."""
    if not isinstance(row, Mapping):
        raise RecordError("want a JSON object")
    if name not in row:
        raise RecordError("the field is missing", field=name)
    if not isinstance(row[name], kind) or isinstance(row[name], bool):
        raise RecordError(f"{row[name]!r} is not of the right type", field=name)
    return row[name]


WORDS: dict[str, str | None] = {
    **dict.fromkeys(("favor", "favour", "pro", "positive", "pos"), "favor"),
    **dict.fromkeys(("against", "con", "negative", "neg"), "against"),
    **dict.fromkeys(("neutral", "none", "neither", "neu"), "neutral"),
    "unknown": None,
}
"""Names of stances in the corpora; SemEval's test data without labels has UNKNOWN."""


def stance_of(value: object, codes: Mapping[int, str | None], field: str) -> str | None:
    """The stance that a word, or a number by `codes`, stands for."""
    word = str(value).strip().lower()
    try:
        stance = codes[int(float(word))] if re.fullmatch(r"-?\d+(\.0*)?", word) else WORDS[word]
    except KeyError:
        known = ", ".join([*map(str, codes), *WORDS])
        raise RecordError(f"{value!r} is none of {known}", field=field) from None
    return stance


def judged(
    text: str, targets: Sequence[Any], stances: Sequence[str | None], **fields: Any
) -> Article:
    """An article whose text is one sentence, since the stance was judged of all of it."""
    body = text.strip()
    if not body:
        raise RecordError("the text is empty", field="text")
    start = text.index(body)
    sentence = {"start": start, "end": start + len(body), "stance": list(stances)}
    record = {**fields, "text": text, "targets": list(targets), "sentences": [sentence]}
    return Article.from_dict(record)
