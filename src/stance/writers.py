"""Takes tagged articles; gives JSONL and Parquet files.

Both forms are read back by `stance.readers` into equal articles.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self

from stance.errors import StanceError, require
from stance.records import Article, Label, Sentence
from stance.schema import Facet, Schema

BATCH_ROWS = 50
GROUP_ROWS = 1_000
GROUP_BYTES = 64_000_000
"""A row group of Parquet ends with the batch that reaches so many rows or so many bytes."""


class JsonlWriter:
    """Writes one record a line, UTF-8; a context manager.

    A file appears under its name when the block ends well, and not at all when it fails.

    Args:
        target: a path, or an open binary stream (which stays open).
        probs: write the probabilities of all labels, not only the score of the one given.

    Raises:
        StanceError: the file cannot be opened.
    """

    def __init__(self, target: str | Path | BinaryIO, *, probs: bool = False) -> None:
        self._probs = probs
        self._stack = ExitStack()
        self._stream = self._stack.enter_context(output_stream(target))

    def write(self, article: Article) -> None:
        """Add one article."""
        self._stream.write(_json(article.to_dict(probs=self._probs)).encode() + b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)


class ParquetWriter:
    """Writes a Parquet file (extra `parquet`) with all probabilities; a context manager.

    Every file of one schema has the same columns (`arrow_schema`). Memory is bounded by one row
    group. A file appears under its name when the block ends well, and not at all when it fails.

    Args:
        target: a path, or an open binary stream (which stays open).
        schema: names the facets, tags, stance labels and tracks that get columns; what an article
            has beyond them goes into the columns `extra_json`.

    Raises:
        StanceError: the file cannot be opened.
        MissingExtra: pyarrow is not installed.
    """

    def __init__(self, target: str | Path | BinaryIO, schema: Schema) -> None:
        self._pyarrow = require("pyarrow", "parquet")
        parquet = require("pyarrow.parquet", "parquet")
        self._schema = schema
        self._columns = arrow_schema(schema)
        self._rows: list[dict[str, Any]] = []
        self._waiting = 0
        self._batches: list[Any] = []
        self._stack = ExitStack()
        stream = self._stack.enter_context(output_stream(target))
        self._file = self._stack.enter_context(
            parquet.ParquetWriter(stream, self._columns, compression="zstd")
        )

    def write(self, article: Article) -> None:
        """Add one article."""
        self._rows.append(_article_row(article, self._schema))
        self._waiting += len(article.text)
        if len(self._rows) < BATCH_ROWS and self._waiting < GROUP_BYTES // 8:
            return
        self._end_batch()
        rows = sum(batch.num_rows for batch in self._batches)
        size = sum(batch.nbytes for batch in self._batches)
        if rows >= GROUP_ROWS or size >= GROUP_BYTES:
            self._end_group()

    def _end_batch(self) -> None:
        self._batches.append(
            self._pyarrow.RecordBatch.from_pylist(self._rows, schema=self._columns)
        )
        self._rows, self._waiting = [], 0

    def _end_group(self) -> None:
        self._file.write_table(self._pyarrow.Table.from_batches(self._batches, self._columns))
        self._batches = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._stack:
            if error is not None:
                self._stack.__exit__(kind, error, trace)
                return
            if self._rows:
                self._end_batch()
            if self._batches:
                self._end_group()


def open_writer(
    target: str | Path | BinaryIO,
    form: Literal["jsonl", "parquet"],
    schema: Schema,
    *,
    probs: bool = False,
) -> JsonlWriter | ParquetWriter:
    """The writer of one form; `probs` is for JSONL, Parquet always has them."""
    if form == "jsonl":
        return JsonlWriter(target, probs=probs)
    return ParquetWriter(target, schema)


def arrow_schema(schema: Schema) -> Any:
    """The `pyarrow.Schema` of the Parquet files of a model with this schema."""
    pa = require("pyarrow", "parquet")
    spans = pa.list_(pa.list_(pa.int64()))
    text, double = pa.string(), pa.float64()

    def struct(names: Iterable[str], kind: Any) -> Any:
        return pa.struct([(name, kind) for name in names])

    def scored(label: Any, names: Iterable[str]) -> list[tuple[str, Any]]:
        return [("label", label), ("score", double), ("probs", struct(names, double))]

    sentence = [
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("text", text),
        ("truncated", pa.bool_()),
    ]
    sentence.append(("tags", pa.list_(text)))
    # Parquet has no struct without fields: a schema without tags or tracks has no such column.
    if schema.tags:
        sentence.append(("tag_probs", struct((tag.name for tag in schema.tags), double)))
    for facet in schema.facets:
        label = pa.list_(text) if facet.kind == "multi" else pa.bool_() if _boolean(facet) else text
        sentence.append((facet.name, pa.struct(scored(label, _keys(facet)))))
    if schema.stance:
        stance = [("target", pa.int64()), *scored(text, schema.stance)]
        sentence.append(("stance", pa.list_(pa.struct(stance))))
    sentence.append(("speaker", text))
    if schema.spans:
        sentence.append(("spans", struct(schema.spans, spans)))
    sentence.append(("extra_json", text))
    target = [
        *(("kind", text), ("text", text), ("mentions", spans)),
        *(("names", pa.list_(text)), ("skipped", pa.bool_())),
    ]
    return pa.schema(
        [
            *((name, text) for name in ("id", "title", "date", "publisher", "text")),
            ("targets", pa.list_(pa.struct(target))),
            ("sentences", pa.list_(pa.struct(sentence))),
            ("model", text),
            ("extra_json", text),
        ]
    )


@contextmanager
def output_stream(target: str | Path | BinaryIO) -> Iterator[BinaryIO]:
    """A binary stream; a file is written beside its place and moved there when all is well."""
    if not isinstance(target, (str, Path)):
        yield target
        target.flush()
        return
    path = Path(target)
    device = path.exists() and not path.is_file()
    path = path if device else path.resolve()
    unfinished = path if device else path.with_name(f"{path.name}.unfinished")
    try:
        stream = unfinished.open("wb")
    except OSError as error:
        raise StanceError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        with stream:
            yield stream
        if not device:
            unfinished.replace(path)
    except BaseException:
        if not device:
            unfinished.unlink(missing_ok=True)
        raise


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _boolean(facet: Facet) -> bool:
    return all(isinstance(label, bool) for label in facet.labels)


def _keys(facet: Facet) -> list[str]:
    """The facet's labels as the keys of its `probs`."""
    return [json.dumps(label) if isinstance(label, bool) else label for label in facet.labels]


def _article_row(article: Article, schema: Schema) -> dict[str, Any]:
    return {
        "id": article.id,
        "title": article.title,
        "date": article.date,
        "publisher": article.publisher,
        "text": article.text,
        "targets": [
            {
                "kind": target.kind,
                "text": target.text,
                "mentions": target.mentions,
                "names": target.names,
                "skipped": target.skipped,
            }
            for target in article.targets
        ],
        "sentences": None
        if article.sentences is None
        else [_sentence_row(sentence, schema) for sentence in article.sentences],
        "model": article.model,
        "extra_json": _json(article.extra) if article.extra else None,
    }


def _sentence_row(sentence: Sentence, schema: Schema) -> dict[str, Any]:
    """A sentence as its columns; what has none, or does not fit into its own, is extra."""
    row: dict[str, Any] = {
        "start": sentence.start,
        "end": sentence.end,
        "text": sentence.text,
        "truncated": sentence.truncated,
        "tags": sentence.tags,
        "speaker": sentence.speaker,
    }
    extra = dict(sentence.extra)
    facets = {facet.name: facet for facet in schema.facets}
    for name, label in sentence.facets.items():
        if name in facets and _fits(label, facets[name]):
            row[name] = {"label": label.label, "score": label.score, "probs": _dict(label.probs)}
        else:
            extra[name] = label.to_json()
    if sentence.tag_probs is not None:
        fits = _within(sentence.tag_probs, [tag.name for tag in schema.tags])
        (row if fits else extra)["tag_probs"] = dict(sentence.tag_probs)
    if sentence.spans is not None:
        fits = _within(sentence.spans, schema.spans)
        (row if fits else extra)["spans"] = dict(sentence.spans)
    if sentence.stance:
        fits = all(_within(stance.probs or {}, schema.stance) for stance in sentence.stance)
        (row if fits else extra)["stance"] = [
            {
                "target": stance.target,
                "label": stance.label,
                "score": stance.score,
                "probs": _dict(stance.probs),
            }
            for stance in sentence.stance
        ]
    row["extra_json"] = _json(extra) if extra else None
    return row


def _within(data: Mapping[str, Any], names: Sequence[str]) -> bool:
    """Whether there is a struct with these names (none without names) that holds the data."""
    return bool(names) and set(data) <= set(names)


def _dict(data: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if data is None else dict(data)


def _fits(label: Label, facet: Facet) -> bool:
    """Whether the label has the type of the facet's column, and its probs the names."""
    want = tuple if facet.kind == "multi" else bool if _boolean(facet) else str
    return isinstance(label.label, want) and _within(label.probs or {}, _keys(facet))
