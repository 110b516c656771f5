"""Takes soft labels of published articles; keeps them without text, and joins them to the articles.

`data/soft_labels/<corpus>.standoff.jsonl` begins with a line that names the labels of each facet
and of stance. Then comes an article a line: its id, the SHA-256 of its text, a hash of its targets
and of where its sentences are, `further` targets (see `stance.standoff.apart`), and probabilities
in thousandths: of each sentence for a facet, of each sentence and target for stance. The last label
of those that exclude one another is left out; it has what is left of 1000.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stance.errors import RecordError, StanceError
from stance.readers import read_records
from stance.records import Article, Target, with_targets
from stance.schema import Facet, Schema
from stance.standoff import apart, sha256, together
from stance.tagger import label_key
from stance.training_data import SoftLabels
from stance.writers import output_stream

SUFFIX = ".standoff.jsonl"


def header(schema: Schema) -> dict[str, Any]:
    """The first line of a file."""
    return {"labels": {facet.name: list(facet.labels) for facet in _facets(schema)}}


def write_standoff(path: Path, articles: Iterable[tuple[Article, Article]], schema: Schema) -> None:
    """Write the file of a corpus, of articles and the same with a model's probabilities."""
    with output_stream(path) as stream:
        for row in chain([header(schema)], (standoff_row(*pair, schema) for pair in articles)):
            line = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
            stream.write(f"{line}\n".encode())


def standoff_row(article: Article, tagged: Article, schema: Schema) -> dict[str, Any]:
    """The line of one article.

    Args:
        article: as it is trained on.
        tagged: the same with a model's probabilities; its targets begin with those of `article`.

    Raises:
        StanceError: the article has no id to be joined by.
    """
    if article.id is None:
        start = article.text[:20]
        raise StanceError(f"the article {start!r} has no id to be joined by; set text=true")
    sentences, own = tagged.sentences or (), len(article.targets)
    *facets, stances = _facets(schema)
    has_stances = all(len(sentence.stance) == len(tagged.targets) for sentence in sentences)
    return {
        "id": article.id,
        "sha256": sha256(article.text),
        "layout": layout(article),
        "further": [apart(target.text, article.text) for target in tagged.targets[own:]],
        **{
            facet.name: [_thousandths(s.facets[facet.name].probs, facet) for s in sentences]
            for facet in facets
            if all(facet.name in s.facets for s in sentences)
        },
        **(
            {"stance": [[_thousandths(s.probs, stances) for s in row.stance] for row in sentences]}
            if has_stances
            else {}
        ),
    }


def layout(article: Article) -> str:
    """A hash of an article's targets, in their order, and of where its sentences are."""
    targets = [[target.kind, target.text] for target in article.targets]
    sentences = [[sentence.start, sentence.end] for sentence in article.sentences or ()]
    return sha256(json.dumps([targets, sentences]))[:16]


def join_standoff(
    articles: Sequence[Article], path: Path, schema: Schema
) -> tuple[list[Article], list[SoftLabels | None]]:
    """Join the lines of a file to articles by id; see `stance.soft_labels.join_soft_labels`.

    Raises:
        StanceError: naming the file, for other labels than the schema's, or if no line is of one of
            the articles; naming the line too, where the article has another text, other sentences
            or other targets than those labelled.
    """
    rows = iter(read_records(path))
    first = next(rows, (1, {}))[1].get("labels")
    if not isinstance(first, Mapping):
        raise StanceError(f"{path}:1: the labels are not named")
    known = [facet for facet in _facets(schema) if facet.name in first]
    for facet in known:
        if list(facet.labels) != first[facet.name]:
            raise StanceError(
                f"{path}:1: soft labels of {facet.name!r} are of {first[facet.name]}, those of the "
                f"schema are {list(facet.labels)}; set corpus.soft_labels=null"
            )
    by_id = {str(row.get("id")): (line, row) for line, row in rows}
    joined: list[Article] = []
    soft: list[SoftLabels | None] = []
    for article in articles:
        labels = None
        line, row = by_id.get(article.id or "", (0, None))
        if row is not None:
            try:
                article, labels = _join(article, row, known, schema)
            except RecordError as error:
                raise error.at(path, line) from None
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise RecordError(f"not soft labels: {error!r}", path=path, line=line) from error
        joined.append(article)
        soft.append(labels)
    if all(labels is None for labels in soft):
        raise StanceError(f"{path}: no line is of an article that is trained on")
    return joined, soft


def _join(
    article: Article, row: Mapping[str, Any], known: Sequence[Facet], schema: Schema
) -> tuple[Article, SoftLabels]:
    if sha256(article.text) != row["sha256"]:
        raise RecordError(f"article {article.id} is not the text that was labelled", field="sha256")
    if layout(article) != row["layout"]:
        raise RecordError(
            f"article {article.id} has other targets or sentences than those that were labelled; "
            "set corpus.further_targets as it was, or corpus.soft_labels=null",
            field="layout",
        )
    count = len(article.sentences or ())
    further = [Target(together(target, article.text)) for target in row["further"]]
    article = with_targets(article, further)
    soft = SoftLabels.unknown(count, len(article.targets), schema)
    names = {facet.name for facet in known}
    for facet, part in schema.slices():
        if facet.name in names and facet.name in row:
            soft.facets[:, part] = _probabilities(row[facet.name], facet, (count,))
    if "stance" in names and "stance" in row:
        shape = (count, len(article.targets))
        soft.stance[:] = _probabilities(row["stance"], Facet("stance", schema.stance), shape)
    return article, soft


def _facets(schema: Schema) -> list[Facet]:
    """The facets of a schema, and its stances as one more."""
    return [*schema.facets, Facet("stance", schema.stance)]


def _thousandths(probs: Mapping[str, float] | None, facet: Facet) -> list[int]:
    labels = facet.labels[:-1] if facet.kind == "single" else facet.labels
    return [round(1000 * (probs or {})[label_key(label)]) for label in labels]


def _probabilities(numbers: Any, facet: Facet, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """(*shape, labels) float of thousandths; those of a single facet add up to 1."""
    columns = len(facet.labels) - (facet.kind == "single")
    given = np.asarray(numbers, dtype=np.float32).reshape(-1, columns) / np.float32(1000)
    if len(given) != math.prod(shape):
        raise ValueError(f"{len(given)} for {math.prod(shape)} of {facet.name}")
    given = given.reshape(*shape, columns)
    if ((given < 0) | (given > 1)).any():
        raise ValueError(f"thousandths of {facet.name} below 0 or above 1000")
    if facet.kind != "single":
        return given
    rest = np.maximum(1 - given.sum(-1, keepdims=True), 0)
    whole = np.concatenate([given, rest], -1)
    return np.asarray(whole / whole.sum(-1, keepdims=True), dtype=np.float32)
