"""Takes JSONL, Parquet, CSV, text and HTML files; gives `Article`s, or a reason for each reject."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, time
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from stance.errors import RecordError, StanceError, require
from stance.records import Article

SUFFIXES = (".jsonl", ".parquet", ".csv", ".txt", ".html", ".htm")
JSON_COLUMNS = ("targets", "sentences")
"""Columns of a CSV file whose cells hold JSON."""

OnError = Callable[[RecordError], None]


def read_articles(
    source: str | Path | BinaryIO, *, on_error: OnError | None = None
) -> Iterator[Article]:
    """Articles of a file, of every readable file in a folder, or of a JSONL stream, one by one.

    Args:
        source: a path, or an open binary stream of JSON lines such as `sys.stdin.buffer`.
        on_error: is given each broken record, and reading goes on; without it the first is raised.

    Raises:
        StanceError: the path is missing or of an unknown kind, or a folder has nothing to read.
        RecordError: naming file, line, field and reason; also for a file that holds no record (a
            stream may be empty, and so may a Parquet file).
    """
    seen: dict[str, str] = {}
    for path, line, raw, make in _records(source):
        try:
            article = make()
            if article.id is not None:
                place = f"{path}:{line}" if line else str(path)
                if article.id in seen:
                    raise RecordError(
                        f"{article.id!r} is also the id of {seen[article.id]}", field="id"
                    )
                seen[article.id] = place
        except RecordError as error:
            placed = error.at(path, line, raw)
            if on_error is None:
                raise placed from None
            on_error(placed)
            continue
        yield article


def read_records(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Line number (1-based; for tables the row) and plain data of each row of one table file.

    Raises:
        StanceError: the file is missing, empty, or neither .jsonl, .csv nor .parquet.
        RecordError: a line that cannot be parsed.
    """
    if not path.is_file():
        raise StanceError(f"{path}: there is no such file")
    if path.suffix.lower() not in _TABLES:
        raise StanceError(f"{path}: want a file ending in {', '.join(_TABLES)}")
    count = 0
    for line, raw, parse in _TABLES[path.suffix.lower()](path):
        count += 1
        try:
            row = parse()
            if not isinstance(row, Mapping):
                raise RecordError("want a JSON object")
        except RecordError as error:
            raise error.at(path, line, raw) from None
        yield line, row
    if not count:
        raise StanceError(f"{path}: the file is empty")


Row = tuple[int, str, Callable[[], Any]]
"""Line number, the raw record, and what parses it (raising `RecordError`)."""


def _records(
    source: str | Path | BinaryIO, folder: Path | None = None
) -> Iterator[tuple[str, int | None, str, Callable[[], Article]]]:
    """Place of each record, the raw record, and what makes the article (or `RecordError`).

    Files of a `folder` that are one article have their path inside it as id.
    """
    if not isinstance(source, (str, Path)):
        for line, raw, parse in _json_lines(source):
            yield "standard input", line, raw, partial(_article, parse)
        return
    path = Path(source)
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        if not files:
            raise StanceError(f"{path}: no file in this folder ends in {', '.join(SUFFIXES)}")
        for file in files:
            yield from _records(file, path)
        return
    if not path.is_file():
        raise StanceError(f"{path}: there is no such file or folder")
    suffix = path.suffix.lower()
    place = _printable(path)
    if suffix in (".txt", ".html", ".htm"):
        read = read_text if suffix == ".txt" else read_html
        yield place, None, "", partial(_read_file, read, path, folder)
        return
    if suffix not in SUFFIXES:
        raise StanceError(f"{path}: want a file ending in {', '.join(SUFFIXES)}")
    count = 0
    try:
        for line, raw, parse in _TABLES[suffix](path):
            count += 1
            yield place, line, raw, partial(_article, parse)
        if not count and suffix != ".parquet":
            raise RecordError("the file is empty")
    except RecordError as error:
        yield place, error.line, "", partial(_fail, error)


def _fail(error: RecordError) -> NoReturn:
    raise error


def _article(parse: Callable[[], Any]) -> Article:
    return Article.from_dict(parse())


def _read_file(read: Callable[[Path], Article], path: Path, folder: Path | None) -> Article:
    article = read(path)
    if folder is None:
        return article
    return replace(article, id=_printable(path.relative_to(folder).with_suffix("")))


def _printable(path: Path | str) -> str:
    """A path as a string that UTF-8 can write, though its bytes may be none."""
    return os.fsencode(path).decode("utf-8", "backslashreplace").replace(os.sep, "/")


def read_text(path: Path) -> Article:
    """A UTF-8 text file as one article; its name without the ending is the id."""
    text = _decode(path.read_bytes()).replace("\r\n", "\n")
    return Article(text=text, id=_printable(path.stem))


def read_html(path: Path) -> Article:
    """The article of an HTML page, by trafilatura (extra `html`): text, title, date, publisher.

    Raises:
        RecordError: the page has no article text.
        MissingExtra: trafilatura is not installed.
    """
    trafilatura = require("trafilatura", "html")
    page = path.read_bytes()
    document = trafilatura.bare_extraction(page, with_metadata=True, include_comments=False)
    if document is None or not (document.text or "").strip():
        raise RecordError("no article text found in the page")
    article = Article.from_dict(
        {
            "id": _printable(path.stem),
            "title": document.title,
            "publisher": document.sitename or document.hostname,
            "text": document.text,
        }
    )
    try:
        return replace(article, date=Article.from_dict({"text": "", "date": document.date}).date)
    except RecordError:
        return article


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecordError(f"invalid UTF-8 at byte {error.start}") from None


def _reject_constant(name: str) -> None:
    raise RecordError(f"{name} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        field = twice.encode("utf-8", "backslashreplace").decode()
        raise RecordError("the field stands twice in one object", field=field)
    return data


def parse_json(data: bytes) -> Any:
    """Strict JSON: UTF-8, no NaN, no field twice; raises `RecordError`."""
    text = _decode(data)
    try:
        return json.loads(text, parse_constant=_reject_constant, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise RecordError(f"not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise RecordError("not JSON that can be read: nested too deeply") from None
    except ValueError:
        raise RecordError("not JSON that can be read: a number has too many digits") from None


def _json_lines(stream: Iterable[bytes]) -> Iterator[Row]:
    for number, data in enumerate(stream, 1):
        data = data.rstrip(b"\r\n")
        if data.strip():
            raw = data.decode("utf-8", "backslashreplace")
            yield number, raw, partial(parse_json, data)


def _jsonl_rows(path: Path) -> Iterator[Row]:
    with path.open("rb") as stream:
        yield from _json_lines(stream)


def _csv_rows(path: Path) -> Iterator[Row]:
    """Rows of a CSV file with a header; cells of `targets` and `sentences` hold JSON.

    The number of a row is that of its first line. After a mistake in the quotation marks nobody
    knows where the next row starts, so reading ends there.
    """
    csv.field_size_limit(2**31 - 1)
    with path.open("rb") as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
        rows = csv.reader(text, strict=True)
        header: list[str] | None = None
        while True:
            line = rows.line_num + 1
            try:
                cells = next(rows, None)
            except csv.Error as error:
                raise RecordError(f"not CSV from here on: {error}", path=path, line=line) from None
            if cells is None:
                return
            if header is None:
                header = cells
                _check_columns(header, path)
            elif cells:
                raw = ",".join(cells).encode("utf-8", "surrogateescape")
                parse = partial(_csv_record, header, cells)
                yield line, raw.decode("utf-8", "backslashreplace"), parse


def _check_columns(names: Sequence[str], path: Path) -> None:
    if "text" not in names:
        columns = ", ".join(map(ascii, names))
        raise RecordError(
            f"there is no column 'text' (the columns are {columns})", field="text", path=path
        )
    twice = [name for name in names if name and names.count(name) > 1]
    if twice:
        raise RecordError(f"two columns are called {twice[0]!a}", path=path)


def _csv_record(header: list[str], cells: list[str]) -> dict[str, Any]:
    if len(cells) != len(header):
        raise RecordError(f"{len(cells)} cells for {len(header)} columns")
    record: dict[str, Any] = {}
    for name, cell in zip(header, cells, strict=True):
        try:
            cell.encode("utf-8")
        except UnicodeEncodeError as error:
            raise RecordError(f"invalid UTF-8 at character {error.start}", field=name) from None
        if cell == "" and name != "text":
            continue
        if name in JSON_COLUMNS:
            try:
                record[name] = parse_json(cell.encode())
            except RecordError as error:
                raise RecordError(error.reason, field=name) from None
        else:
            record[name] = cell
    return record


def _parquet_rows(path: Path) -> Iterator[Row]:
    """Rows of a Parquet file (extra `parquet`), a batch at a time."""
    parquet = require("pyarrow.parquet", "parquet")
    pyarrow = require("pyarrow", "parquet")
    try:
        file = parquet.ParquetFile(path)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise RecordError(f"not a Parquet file: {error}", path=path) from None
    number = 0
    with file:
        _check_columns(file.schema_arrow.names, path)
        batches = file.iter_batches(batch_size=256)
        while True:
            try:
                batch = next(batches, None)
                rows = [] if batch is None else batch.to_pylist()
            except (pyarrow.ArrowException, OSError, ValueError) as error:
                raise RecordError(
                    f"not Parquet from here on: {error}", path=path, line=number + 1
                ) from None
            if batch is None:
                return
            for row in rows:
                number += 1
                yield number, "", partial(parquet_record, row)


def parquet_record(row: Mapping[str, Any]) -> dict[str, Any]:
    """The record of one Parquet row: nulls are absent fields, `extra_json` is unpacked."""
    record = _unpacked(_without_nulls(row))
    sentences = record.get("sentences")
    if isinstance(sentences, list):
        record["sentences"] = [
            _unpacked(sentence) if isinstance(sentence, dict) else sentence
            for sentence in sentences
        ]
    return record


def _unpacked(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with the object in its `extra_json` (if it is one) as fields of their own."""
    packed = record.get("extra_json")
    try:
        extra = json.loads(packed) if isinstance(packed, str) else None
    except (ValueError, RecursionError):
        extra = None
    if not isinstance(extra, dict):
        return dict(record)
    return {**extra, **{name: part for name, part in record.items() if name != "extra_json"}}


def _without_nulls(value: Any) -> Any:
    """Plain data of a Parquet cell: nulls are left out of objects, dates are ISO strings."""
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, dict):
        return {
            name: part if name == "stance" and isinstance(part, list) else _without_nulls(part)
            for name, part in value.items()
            if part is not None
        }
    if isinstance(value, list):
        return [_without_nulls(part) for part in value]
    return value


_TABLES: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _jsonl_rows,
    ".csv": _csv_rows,
    ".parquet": _parquet_rows,
}
