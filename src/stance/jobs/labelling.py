"""Takes files or folders of articles and a model; gives one file of tagged articles."""

from __future__ import annotations

import glob
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast, get_args

from stance.errors import RecordError, StanceError
from stance.readers import SUFFIXES, read_articles, require_readers, tell_apart
from stance.records import Article
from stance.storage import is_url, list_files
from stance.tagger import Tagger
from stance.writers import open_writer

Format = Literal["jsonl", "parquet"]


@dataclass
class Counts:
    """What a job did: articles labelled, sentences in them, records rejected."""

    articles: int = 0
    sentences: int = 0
    rejects: int = 0

    @property
    def records(self) -> int:
        """Records that were read."""
        return self.articles + self.rejects

    def add(self, other: Counts) -> None:
        """Add what another part of the job did."""
        self.articles += other.articles
        self.sentences += other.sentences
        self.rejects += other.rejects


def output_format(output: str | Path | None, given: str | None) -> Format:
    """`given`, or what the ending of the output file says; raises `StanceError` for another one."""
    name = given or (Path(output).suffix.lstrip(".") if output else "jsonl")
    if name not in get_args(Format):
        raise StanceError(f"the output format {name!r} is not one of {', '.join(get_args(Format))}")
    return cast(Format, name)


def read_inputs(
    inputs: Sequence[str | Path], counts: Counts, rejects: BinaryIO | None = None
) -> Iterator[Article]:
    """Articles of all inputs (`-` is standard input); broken records are told and passed over.

    An id that an earlier record has, of whichever input, makes a record a broken one.

    Args:
        rejects: takes every broken record as a JSON line: path, line, field, reason, raw.

    Raises:
        StanceError: an input is missing, which is found before the first one is read.
        MissingExtra: so is what reads one of its files.
    """

    def reject(error: RecordError) -> None:
        counts.rejects += 1
        print(f"stance: {error}", file=sys.stderr)
        if rejects is not None:
            rejects.write(reject_line(error))

    listed = [None if str(i) == "-" else list_files(str(i), SUFFIXES) for i in inputs]
    every = [file for found in listed for file in found or ()]
    require_readers(every)
    files = iter(tell_apart(every))
    seen: dict[str, str] = {}
    for found in listed:
        source = sys.stdin.buffer if found is None else list(islice(files, len(found)))
        yield from read_articles(source, on_error=reject, seen=seen)


def check_apart(inputs: Sequence[str | Path], *written: Any) -> None:
    """Raise `StanceError` if a file or folder that is written would be read, too.

    A file may be written in the place of the one that is read: it appears when all is done.
    """
    for place in (Path(path) for path in written if isinstance(path, (str, Path))):
        for entry in map(str, inputs):
            if entry == "-" or is_url(entry):
                continue
            inside = os.path.isdir(entry) and place.resolve().is_relative_to(Path(entry).resolve())
            pattern = glob.has_magic(entry) and not os.path.isfile(entry)
            if inside or (pattern and _matches(place, entry)):
                raise StanceError(f"{place}: the output is part of the input {entry}")


def _matches(place: Path, pattern: str) -> bool:
    """Whether a glob finds a path, which need not be there yet."""
    absolute = os.path.abspath(place)
    return _fit(Path(absolute).parts, Path(os.path.abspath(pattern)).parts) or absolute in map(
        os.path.abspath, glob.iglob(pattern, recursive=True)
    )


def _fit(names: Sequence[str], patterns: Sequence[str]) -> bool:
    """Whether names fit patterns one by one; `**` stands for any number of them."""
    if not patterns:
        return not names
    if patterns[0] == "**":
        return any(_fit(names[number:], patterns[1:]) for number in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], patterns[0]) and _fit(names[1:], patterns[1:])


@contextmanager
def open_rejects(
    path: str | Path | None, inputs: Sequence[str | Path] = (), output: Any = None
) -> Iterator[BinaryIO | None]:
    """The file for broken records, None without a path.

    Raises:
        StanceError: it cannot be written, is one of the inputs, or is where the labels go.
    """
    if path is None:
        yield None
        return
    check_apart(inputs, path)
    if isinstance(output, (str, Path)) and Path(output).resolve() == Path(path).resolve():
        raise StanceError(f"{path}: labels and rejects cannot be one file")
    if any(os.path.exists(path) and os.path.samefile(path, i) for i in inputs if os.path.isfile(i)):
        raise StanceError(f"{path}: the rejects would take the place of the input")
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(open(path, "wb"))
        except OSError as error:
            raise StanceError(f"{error.filename}: {error.strerror}") from error
        try:
            yield stream
        finally:
            try:
                stream.close()
            except OSError as error:
                raise StanceError(f"{path}: cannot be written: {error.strerror}") from error


def reject_line(error: RecordError) -> bytes:
    """A broken record as a line of a rejects file: path, line, field, reason, raw."""
    row = {
        "path": error.path,
        "line": error.line,
        "field": error.field,
        "reason": error.reason,
        "raw": error.raw,
    }
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def label(
    tagger: Tagger, articles: Iterable[Article], targets: str | Sequence[Any], counts: Counts
) -> Iterator[Article]:
    """Tag a stream and count it."""
    for article in tagger.tag_many(articles, targets):
        counts.articles += 1
        counts.sentences += len(article.sentences or ())
        yield article


def tag_files(
    tagger: Tagger,
    inputs: Sequence[str | Path],
    output: str | Path | BinaryIO,
    *,
    targets: str | Sequence[Any] = (),
    format: Format = "jsonl",
    probs: bool = False,
    rejects: str | Path | None = None,
) -> Counts:
    """Label all articles of the inputs and write them to one file.

    Args:
        inputs: files, folders, globs, URLs, or `-` for JSON lines on standard input.
        output: a path, or an open binary stream (JSONL only).
        targets: added to every article's own targets.
        probs: write all probabilities (Parquet always has them).
        rejects: a JSONL file for the broken records.

    Raises:
        StanceError: an input is missing, the output is part of it, or it cannot be written.
    """
    check_apart(inputs, output)
    counts = Counts()
    try:
        with ExitStack() as stack:
            rejected = stack.enter_context(open_rejects(rejects, inputs, output))
            writer = open_writer(output, format, tagger.schema, probs=probs)
            stack.enter_context(writer)
            for article in label(tagger, read_inputs(inputs, counts, rejected), targets, counts):
                writer.write(article)
    except BrokenPipeError:
        raise
    except OSError as error:
        place = output if isinstance(output, (str, Path)) else getattr(output, "name", "the output")
        raise StanceError(f"{place}: cannot be written: {error.strerror or error}") from error
    return counts
