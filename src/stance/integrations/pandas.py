"""Takes a DataFrame of articles; gives a DataFrame of their labelled sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stance.errors import RecordError, require
from stance.records import Article, Sentence, Target
from stance.tagger import Tagger

if TYPE_CHECKING:
    import pandas

FIELDS = ("title", "targets")
"""Columns that are read where the frame has them: a headline, and an article's own targets."""


def tag_frame(
    frame: pandas.DataFrame,
    tagger: Tagger,
    text: str = "text",
    targets: str | Sequence[str | Mapping[str, Any] | Target] = (),
) -> pandas.DataFrame:
    """Label every article of a frame.

    Args:
        frame: one article a row; its columns `title` and `targets` are read if there are any.
        text: the column with the articles' texts.
        targets: added to every article's own, or "auto".

    Returns:
        One row a sentence and target, or a sentence where the article has no target, under the
        index of the article's row, so that `frame.join(tagged)` has its columns too. Columns:
        `number` of the sentence in the article, `start`, `end`, `sentence` (its text), `tags` (a
        list), `speaker`, for each facet its label and its probability (`source`, `source_score`),
        `target`, `target_kind`, `stance`, `stance_score`.

    Raises:
        RecordError: there is no such column, or a row is no article; the message names the row.
        MissingExtra: pandas is not installed.
    """
    pd = require("pandas", "pandas")
    if text not in frame.columns:
        there = ", ".join(repr(str(name)) for name in frame.columns)
        raise RecordError(f"there is no column {text!r} (the columns are {there})", field=text)
    facets = [facet.name for facet in tagger.schema.facets]
    index: list[Any] = []
    rows: list[dict[str, Any]] = []
    for label, article in zip(
        frame.index, tagger.tag_many(_articles(frame, text), targets), strict=True
    ):
        for number, sentence in enumerate(article.sentences or ()):
            for row in sentence_rows(article, sentence, facets):
                index.append(label)
                rows.append({"number": number, **row})
    names = ["number", "start", "end", "sentence", "tags", "speaker"]
    names += [name for facet in facets for name in (facet, f"{facet}_score")]
    names += ["target", "target_kind", "stance", "stance_score"]
    made = (
        pd.MultiIndex.from_tuples(index, names=frame.index.names)
        if frame.index.nlevels > 1
        else pd.Index(index, name=frame.index.name, dtype=frame.index.dtype)
    )
    tagged: pandas.DataFrame = pd.DataFrame(rows, index=made, columns=names)
    return tagged


def _articles(frame: pandas.DataFrame, text: str) -> Iterator[Article]:
    columns = {"text": text, **{name: name for name in FIELDS if name in frame.columns}}
    names = list(frame.columns)
    for name in columns.values():
        if names.count(name) > 1:
            raise RecordError("two columns have this name", field=str(name))
    for label, *cells in frame[list(columns.values())].itertuples(name=None):
        record = dict(zip(columns, map(_value, cells), strict=True))
        try:
            yield Article.from_dict(record)
        except RecordError as error:
            raise RecordError(error.reason, field=f"row {label!r}: {error.field}") from None


def _value(cell: Any) -> Any:
    """A cell as plain data: lists from arrays, as Parquet files give them, and None for missing."""
    value = cell.tolist() if hasattr(cell, "tolist") else cell
    if isinstance(value, list):
        return [_value(part) for part in value]
    if isinstance(value, dict):
        return {name: part for name, old in value.items() if (part := _value(old)) is not None}
    missing = value is require("pandas", "pandas").NA or value != value
    return None if missing else value


def sentence_rows(
    article: Article, sentence: Sentence, facets: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """The rows of one sentence: one for each stance, or one without."""
    row: dict[str, Any] = {
        "start": sentence.start,
        "end": sentence.end,
        "sentence": sentence.text,
        "tags": list(sentence.tags or ()),
        "speaker": sentence.speaker,
    }
    for name in facets:
        if (label := sentence.facets.get(name)) is not None:
            row |= {name: label.label, f"{name}_score": label.score}
    if not sentence.stance:
        yield row
    for stance in sentence.stance:
        target = article.targets[stance.target]
        yield row | {
            "target": target.text,
            "target_kind": target.kind,
            "stance": stance.label,
            "stance_score": stance.score,
        }
