"""Takes the files of an archive; gives the plan: which ranges of them make which part.

The plan follows from the input and the size of a part alone. To make it every table is read once,
which gives what cannot be known otherwise: line numbers for messages, the number of records for the
time left, and ids that occur twice. Files that are one article each are only listed: their path is
their id.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from stance.errors import RecordError, StanceError
from stance.readers import OnError, Record, Slice, duplicate, read_slice
from stance.records import Article
from stance.storage import File, printable, suffix_of


@dataclass(frozen=True)
class Part:
    """Ranges of files that are labelled together.

    duplicates: of the records (counted from 0) whose id an earlier record of the job has, the
    place of that one.
    """

    number: int
    slices: tuple[Slice, ...]
    records: int
    duplicates: Mapping[int, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of its files, without their endings."""
        return f"part-{self.number:05d}"

    def to_json(self) -> dict[str, Any]:
        """The part as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Part:
        """The part that `to_json` wrote."""
        return cls(
            number=data["number"],
            slices=tuple(Slice(**piece) for piece in data["slices"]),
            records=data["records"],
            duplicates={int(record): place for record, place in data["duplicates"].items()},
        )


def make_plan(
    files: Sequence[File], size: int, tell: Callable[[int], None] = lambda records: None
) -> list[Part]:
    """Parts of `size` records, broken ones counted, in the order of the files.

    Needs 32 bytes of memory for every record with an id.

    Args:
        tell: is told of every record that was read.

    Raises:
        StanceError: a file cannot be read, or its server does not tell its length.
    """
    ids = _Ids(files)
    parts: list[Part] = []
    slices: list[Slice] = []
    count = 0
    for number, file in enumerate(files):
        # What is appended to a file while the job runs does not belong to it.
        end = file.size if suffix_of(file.path) in (".jsonl", ".csv") else None
        if end is not None and end < 0:
            raise StanceError(
                f"{printable(file.path)}: the server does not tell its length: fetch it first"
            )
        rest = Slice(file.path, 0, end, 1, file.name)
        first = True
        for record in read_slice(rest):
            if count >= size and record.start is not None:
                if not first:
                    slices.append(replace(rest, end=record.start))
                    rest = replace(rest, start=record.start, line=record.line or 1)
                parts.append(Part(len(parts), tuple(slices), count))
                slices, count = [], 0
            identifier = _identifier(record)
            if identifier is not None:
                ids.add(identifier, len(parts), count, number, record.line or 0)
            first = False
            count += 1
            tell(1)
        slices.append(rest)
    parts.append(Part(len(parts), tuple(slices), count))
    duplicates = ids.duplicates()
    return [replace(part, duplicates=duplicates.get(part.number, {})) for part in parts]


def read_part(part: Part, on_error: OnError) -> Iterator[Article]:
    """The articles of a part; `on_error` is given its broken records, duplicate ids among them.

    Raises:
        StanceError: a file cannot be read, or is not what it was when the plan was made.
    """
    count = 0
    for piece in part.slices:
        for record in read_slice(piece):
            count += 1
            try:
                article = record.make()
                first = part.duplicates.get(count - 1)
                if first is not None:
                    raise duplicate(str(article.id), first)
            except RecordError as error:
                on_error(record.reject(error))
                continue
            yield article
    if count != part.records:
        raise StanceError(
            f"{printable(part.slices[0].path)}: the input has changed since the job was planned"
        )


def _identifier(record: Record) -> str | None:
    """The id that a record takes: a broken one takes none."""
    if record.id is not None:
        return record.id
    try:
        return record.make().id
    except RecordError:
        return None


class _Ids:
    """Holds a hash of every id (16 bytes) and where it stands (16 bytes)."""

    def __init__(self, files: Sequence[File]) -> None:
        self._files = files
        self._hashes = bytearray()
        self._places = array("I")

    def add(self, identifier: str, part: int, record: int, file: int, line: int) -> None:
        """Note an id of record number `record` of a part."""
        self._hashes += hashlib.blake2b(identifier.encode(), digest_size=16).digest()
        self._places.extend((part, record, file, line))

    def duplicates(self) -> dict[int, dict[int, str]]:
        """By part and record: the place of the first record of the same id."""
        result: dict[int, dict[int, str]] = {}
        if not self._places:
            return result
        hashes = np.frombuffer(self._hashes, dtype="S16")
        places = np.frombuffer(self._places, dtype=np.uint32).reshape(-1, 4)
        order = np.argsort(hashes, kind="stable")
        again = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]]) + 1
        first = last = -1
        for position in again.tolist():
            if position != last + 1:
                first = position - 1
            last = position
            part, record, _, _ = places[order[position]].tolist()
            result.setdefault(part, {})[record] = self._place(*places[order[first]].tolist()[2:])
        return {part: dict(sorted(records.items())) for part, records in result.items()}

    def _place(self, file: int, line: int) -> str:
        path = printable(self._files[file].path)
        return f"{path}:{line}" if line else path
