"""Takes JSONL, Parquet, CSV, text and HTML files; gives `Article`s, or a reason for each reject."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, time
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple, NoReturn
from urllib.parse import unquote

from stance.errors import RecordError, StanceError, require
from stance.records import Article
from stance.storage import File, list_files, open_file, printable, suffix_of

SUFFIXES = (".jsonl", ".parquet", ".csv", ".txt", ".html", ".htm")
NEEDED = {
    ".parquet": ("pyarrow.parquet", "parquet"),
    ".html": ("trafilatura", "html"),
    ".htm": ("trafilatura", "html"),
}
"""What reads these files, with the extra that brings it."""
JSON_COLUMNS = ("targets", "sentences")
"""Columns of a CSV file whose cells hold JSON."""
NO_PARTITION = "__HIVE_DEFAULT_PARTITION__"
"""What a data set in folders calls a field that is null."""

OnError = Callable[[RecordError], None]


def read_articles(
    source: str | Path | BinaryIO | Sequence[File],
    *,
    on_error: OnError | None = None,
    seen: dict[str, str] | None = None,
) -> Iterator[Article]:
    """Articles of a file, of every readable file in a folder, or of a JSONL stream, one by one.

    Args:
        source: a path, a glob, a URL (extra `remote`), files that were listed already, or an open
            binary stream of JSON lines such as `sys.stdin.buffer`.
        on_error: is given each broken record, and reading goes on; without it the first is raised.
        seen: ids of articles that were read before, with their places; gets those read now.

    Raises:
        StanceError: the path is missing or of an unknown kind, or a folder has nothing to read.
        RecordError: naming file, line, field and reason; also for a file that holds no record (a
            stream may be empty, and so may a Parquet file).
    """
    seen = {} if seen is None else seen
    for record in _records(source):
        try:
            article = record.make()
            if article.id is not None:
                if article.id in seen:
                    raise duplicate(article.id, seen[article.id])
                seen[article.id] = record.at
        except RecordError as error:
            placed = record.reject(error)
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
    with path.open("rb") as stream:
        for row in _TABLES[path.suffix.lower()](stream, Slice(str(path))):
            count += 1
            try:
                data = row.parse()
                if not isinstance(data, Mapping):
                    raise RecordError("want a JSON object")
            except RecordError as error:
                raise error.at(path, row.line, row.raw()) from None
            yield row.line, data
    if not count:
        raise StanceError(f"{path}: the file is empty")


@dataclass(frozen=True)
class Slice:
    """A file, or a part of it.

    start, end: bytes of .jsonl and .csv, rows of .parquet (end None: all the rest); other files are
    read whole. line: number (from 1) of the first line or row. name: the path inside the folder or
    glob that the file was found in.
    """

    path: str
    start: int = 0
    end: int | None = None
    line: int = 1
    name: str = ""


@dataclass(frozen=True)
class Record:
    """One record of a file, before anybody knows whether it is an article.

    start: where in its file a `Slice` could begin with it; None where none can. line: its number
    from 1; None for a file that is one article. id: of such a file, which is known unread.
    """

    path: str
    line: int | None
    start: int | None
    make: Callable[[], Article]
    raw: Callable[[], str] = str
    id: str | None = None

    @property
    def at(self) -> str:
        """The place of the record, as messages name it."""
        return self.path if self.line is None else f"{self.path}:{self.line}"

    def reject(self, error: RecordError) -> RecordError:
        """The error with the place and the raw text of this record."""
        return error.at(self.path, self.line, self.raw())


def duplicate(identifier: str, first: str) -> RecordError:
    """The reason to reject a record whose id an earlier one, at the place `first`, has."""
    return RecordError(f"{identifier!r} is also the id of {first}", field="id")


def read_slice(part: Slice) -> Iterator[Record]:
    """The records of a file, or of a part of it, in their order; none is parsed before `make`.

    Raises:
        StanceError: the file cannot be opened, or the connection to a remote one fails.
    """
    suffix = suffix_of(part.path)
    place = printable(part.path)
    if suffix not in _TABLES:
        read = read_text if suffix == ".txt" else read_html
        make = partial(read, part.path, part.name)
        yield Record(place, None, 0, make, id=_identifier(part.path, part.name))
        return
    fields = _partitions(part.name) if suffix == ".parquet" else {}
    count = 0
    try:
        with open_file(part.path) as stream:
            for row in _TABLES[suffix](stream, part):
                count += 1
                make = partial(_article, row.parse, fields)
                yield Record(place, row.line, row.start, make, row.raw)
        if not count and not part.start and suffix != ".parquet":
            raise RecordError("the file is empty")
    except RecordError as error:
        yield Record(place, error.line, None, partial(_fail, error))
    except OSError as error:
        raise _cannot_read(place, error) from error


class _Row(NamedTuple):
    """Where a row starts (a byte, in Parquet a row), its line, what parses it, and its raw text."""

    start: int
    line: int
    parse: Callable[[], Any]
    raw: Callable[[], str]


def require_readers(files: Sequence[File]) -> None:
    """Raise `MissingExtra` now, and not hours later when the first such file is read."""
    for suffix in sorted({suffix_of(file.path) for file in files}):
        if suffix in NEEDED:
            require(*NEEDED[suffix])


def tell_apart(files: Sequence[File]) -> list[File]:
    """The files, named by their whole path where others of these texts and pages have their name.

    Such a file's name is its article's id, and those of two folders may have one name.
    """
    pages = {file for file in files if suffix_of(file.path) not in _TABLES}
    times = Counter(_identifier(path, name) for path, name in {(f.path, f.name) for f in pages})
    shared = {file for file in pages if times[_identifier(file.path, file.name)] > 1}
    return [replace(file, name=file.path) if file in shared else file for file in files]


def _records(source: str | Path | BinaryIO | Sequence[File]) -> Iterator[Record]:
    listed = list_files(str(source), SUFFIXES) if isinstance(source, (str, Path)) else source
    if isinstance(listed, Sequence):
        for file in listed:
            yield from read_slice(Slice(file.path, name=file.name))
        return
    place = "standard input"
    try:
        for row in _json_lines(listed, Slice("")):
            yield Record(place, row.line, None, partial(_article, row.parse, {}), row.raw)
    except OSError as error:
        raise _cannot_read(place, error) from error


def _fail(error: RecordError) -> NoReturn:
    raise error


def _cannot_read(place: str, error: OSError) -> StanceError:
    return StanceError(f"{place}: cannot be read: {error.strerror or error}")


def _article(parse: Callable[[], Any], fields: Mapping[str, str]) -> Article:
    data = parse()
    return Article.from_dict({**fields, **data} if fields and isinstance(data, dict) else data)


def _partitions(name: str) -> dict[str, str]:
    """Fields that the folders of a Parquet data set give, such as `publisher=Kelm%20Post`."""
    pairs = [folder.split("=", 1) for folder in PurePosixPath(name).parent.parts if "=" in folder]
    return {unquote(key): unquote(value) for key, value in pairs if value != NO_PARTITION}


def read_text(path: str | Path, name: str = "") -> Article:
    """A UTF-8 text file as one article; its name, or the one given, less the ending is the id."""
    text = _decode(_content(path)).replace("\r\n", "\n")
    return Article(text=text, id=_identifier(path, name))


def read_html(path: str | Path, name: str = "") -> Article:
    """The article of an HTML page, by trafilatura (extra `html`): text, title, date, publisher.

    Raises:
        RecordError: the page has no article text.
        MissingExtra: trafilatura is not installed.
    """
    trafilatura = require(*NEEDED[".html"])
    document = trafilatura.bare_extraction(
        _content(path), with_metadata=True, include_comments=False
    )
    if document is None or not (document.text or "").strip():
        raise RecordError("no article text found in the page")
    article = Article.from_dict(
        {
            "id": _identifier(path, name),
            "title": document.title,
            "publisher": document.sitename or document.hostname,
            "text": document.text,
        }
    )
    try:
        return replace(article, date=Article.from_dict({"text": "", "date": document.date}).date)
    except RecordError:
        return article


def _content(path: str | Path) -> bytes:
    with open_file(str(path)) as stream:
        try:
            return stream.read()
        except OSError as error:
            raise _cannot_read(printable(path), error) from error


def _identifier(path: str | Path, name: str) -> str:
    return printable(PurePosixPath(name or PurePosixPath(path).name).with_suffix("").as_posix())


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


def _json_lines(stream: BinaryIO, part: Slice) -> Iterator[_Row]:
    position = part.start
    if position:
        stream.seek(position)
    for number, line in enumerate(stream, part.line):
        start = position
        position += len(line)
        data = line.rstrip(b"\r\n")
        if data.strip():
            raw = partial(data.decode, "utf-8", "backslashreplace")
            yield _Row(start, number, partial(parse_json, data), raw)
        if part.end is not None and position >= part.end:
            return


def _csv_rows(stream: BinaryIO, part: Slice) -> Iterator[_Row]:
    """Rows of a CSV file with a header; cells of `targets` and `sentences` hold JSON.

    The number of a row is that of its first line. After a mistake in the quotation marks nobody
    knows where the next row starts, so reading ends there.
    """
    csv.field_size_limit(2**31 - 1)
    lines = _Lines(stream, part.path, 0, 1)
    header = lines.row()
    if header is None:
        return
    _check_columns(header, part.path)
    if part.start:
        lines = lines.at(part.start, part.line)
    while part.end is None or lines.position < part.end:
        start, line = lines.position, lines.line
        cells = lines.row()
        if cells is None:
            return
        if cells:
            raw = partial(_csv_raw, cells)
            yield _Row(start, line, partial(_csv_record, header, cells), raw)


class _Lines:
    """Holds the lines of a CSV file, and where the row after those that were read starts."""

    def __init__(self, stream: BinaryIO, path: str, position: int, line: int) -> None:
        self._stream = stream
        self._path = path
        self._first = line
        self._text = io.TextIOWrapper(
            stream, encoding="utf-8", errors="surrogateescape", newline=""
        )
        self._rows = csv.reader(self._decoded(), strict=True)
        self.position = position

    def _decoded(self) -> Iterator[str]:
        for line in self._text:
            start = self.position
            self.position += len(line.encode("utf-8", "surrogateescape"))
            yield line if start else line.removeprefix("\ufeff")

    @property
    def line(self) -> int:
        """Number of the line at which the next row starts."""
        return self._first + self._rows.line_num

    def row(self) -> list[str] | None:
        """The next row, None at the end; raises `RecordError` where the file stops being CSV."""
        line = self.line
        try:
            return next(self._rows, None)
        except csv.Error as error:
            raise RecordError(
                f"not CSV from here on: {error}", path=self._path, line=line
            ) from None

    def at(self, position: int, line: int) -> _Lines:
        """The same file from another place on, in place of this one."""
        self._text.detach()
        self._stream.seek(position)
        return _Lines(self._stream, self._path, position, line)


def _csv_raw(cells: Sequence[str]) -> str:
    return ",".join(cells).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _check_columns(names: Sequence[str], path: str) -> None:
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
            field = name.encode("utf-8", "backslashreplace").decode()
            raise RecordError(f"invalid UTF-8 at character {error.start}", field=field) from None
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


def _parquet_rows(stream: BinaryIO, part: Slice) -> Iterator[_Row]:
    """Rows of a Parquet file (extra `parquet`), a batch at a time.

    Batches start anew in every row group, so that a slice meets broken data at the same row as one
    who reads the whole file. The buffer keeps pyarrow from loading whole columns of a group.
    """
    parquet = require(*NEEDED[".parquet"])
    pyarrow = require("pyarrow", "parquet")
    try:
        file = parquet.ParquetFile(stream, buffer_size=1 << 20)
    except (pyarrow.ArrowInvalid, OSError) as error:
        if _of_the_disk(error):
            raise
        raise RecordError(f"not a Parquet file: {error}", path=part.path) from None
    _check_columns(file.schema_arrow.names, part.path)
    end = file.metadata.num_rows if part.end is None else part.end
    number = 0
    for group in range(file.num_row_groups):
        size = file.metadata.row_group(group).num_rows
        if number + size <= part.start:
            number += size
            continue
        batches = file.iter_batches(batch_size=256, row_groups=[group])
        while number < end:
            try:
                batch = next(batches, None)
                skipped = 0 if batch is None else min(max(0, part.start - number), batch.num_rows)
                rows = [] if batch is None else batch.slice(skipped).to_pylist()
            except (pyarrow.ArrowException, OSError, ValueError) as error:
                if _of_the_disk(error):
                    raise
                reason = f"not Parquet from here on: {error}"
                raise RecordError(reason, path=part.path, line=number + 1) from None
            if batch is None:
                break
            number += skipped
            for row in rows[: end - number]:
                number += 1
                raw = partial(json.dumps, row, ensure_ascii=False, default=str)
                yield _Row(number - 1, number, partial(parquet_record, row), raw)


def _of_the_disk(error: Exception) -> bool:
    """Whether the disk made the mistake: those of Arrow have no number."""
    return isinstance(error, OSError) and error.errno is not None


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


_TABLES: dict[str, Callable[[BinaryIO, Slice], Iterator[_Row]]] = {
    ".jsonl": _json_lines,
    ".csv": _csv_rows,
    ".parquet": _parquet_rows,
}
