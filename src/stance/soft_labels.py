"""Takes a model and training articles; gives its probabilities as soft labels, and joins them.

Knowledge distillation: a large model tags the training articles once (`write_soft_labels`), and a
small one learns from its probabilities beside the gold labels (`load_soft_labels`; the loss is in
`stance.losses`). Between the two lie ordinary records, as tagging writes them with probabilities.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig

from stance.auto_targets import propose
from stance.config import load_part
from stance.errors import RecordError, StanceError
from stance.readers import duplicate, read_records
from stance.records import Article, Target, with_targets, without_labels
from stance.schema import Facet, Schema
from stance.soft_standoff import SUFFIX, join_standoff, write_standoff
from stance.tagger import Tagger, label_key
from stance.training_data import SoftLabels
from stance.writers import JsonlWriter

logger = logging.getLogger(__name__)

LOG_EVERY = 500
"""Articles between two lines of the log."""

ROUNDING = 0.01
"""The probabilities of a facet may add up to so much more or less than 1."""

Records = Mapping[str, Sequence[tuple[int, Article]]]
"""Records with their lines, by the key of their article."""


def write_soft_labels(cfg: DictConfig) -> Path:
    """Tag the train part of every corpus of the config, one file of records for each.

    The model sees the sentences and targets as they are given, and no labels. A file that is there
    is kept, so that a run that was stopped goes on with the corpus it was at.

    Returns:
        The folder, `output`.

    Raises:
        StanceError: no such model or corpus, or a wrong setting.
    """
    tagger = Tagger.from_settings(cfg)
    if cfg.temperature is not None:
        if float(cfg.temperature) <= 0:
            raise StanceError(f"temperature={cfg.temperature} must be above 0")
        temperatures = dict.fromkeys(tagger.heads, float(cfg.temperature))
        tagger.calibration = replace(tagger.calibration, temperatures=temperatures)
    output = Path(str(cfg.output))
    output.mkdir(parents=True, exist_ok=True)
    for name, articles in load_part(cfg, "train", tagger.schema).items():
        path = output / f"{name}{'.jsonl' if cfg.text else SUFFIX}"
        if path.is_file() and not cfg.overwrite:
            logger.info("%s: is there already and is kept (overwrite=true writes it anew)", path)
            continue
        bare = [without_labels(article) for article in articles if article.sentences]
        extra, seed = int(cfg.extra_targets), int(cfg.seed)
        asked = (with_extra_targets(article, extra, seed) for article in bare)
        tagged = _logged(tagger.tag_many(asked), name, len(bare))
        if cfg.text:
            with JsonlWriter(path, probs=True) as writer:
                for article in tagged:
                    writer.write(article)
        else:
            write_standoff(path, zip(bare, tagged, strict=True), tagger.schema)
    return output


def _logged(articles: Iterable[Article], name: str, count: int) -> Iterator[Article]:
    for number, article in enumerate(articles, 1):
        if number % LOG_EVERY == 0 or number == count:
            logger.info("%s: %d of %d articles", name, number, count)
        yield article


def with_extra_targets(article: Article, number: int, seed: int) -> Article:
    """The article with so many further entities, drawn from those that rules find in it.

    Fewer where they find fewer (see `stance.auto_targets.propose`). The draw follows from the seed
    and the article alone.
    """
    if not number:
        return article
    found = [target for target in propose(article) if target.kind == "entity"]
    rng = random.Random(f"{seed}/{_key(article)}")
    return with_targets(article, rng.sample(found, min(number, len(found))))


def load_soft_labels(
    folder: Path, articles: Mapping[str, Sequence[Article]], schema: Schema
) -> tuple[dict[str, list[Article]], dict[str, list[SoftLabels | None]]]:
    """Join the soft labels of a folder to training articles.

    Args:
        folder: holds `<corpus>.jsonl`, `<corpus>.parquet` or, without text,
            `<corpus>.standoff.jsonl`; a corpus without a file has none.
        articles: by corpus.

    Returns:
        The articles by corpus, with the targets that only a record has added to it; and for each
        article its soft labels, or None (corpora without a file are left out).

    Raises:
        StanceError: there is no file for any of the corpora; see also `join_soft_labels`.
    """
    joined = {name: list(part) for name, part in articles.items()}
    soft: dict[str, list[SoftLabels | None]] = {}
    for name, part in articles.items():
        paths = [folder / f"{name}{suffix}" for suffix in (".jsonl", ".parquet", SUFFIX)]
        path = next((path for path in paths if path.is_file()), None)
        if path is not None:
            join = join_standoff if path.name.endswith(SUFFIX) else join_soft_labels
            joined[name], soft[name] = join(part, path, schema)
            found = sum(labels is not None for labels in soft[name])
            logger.info("%s: soft labels of %d of %d articles", path, found, len(part))
    if not soft:
        raise StanceError(
            f"{folder}: there are no soft labels (<corpus>.jsonl or .parquet) of "
            f"{', '.join(articles)}"
        )
    return joined, soft


def join_soft_labels(
    articles: Sequence[Article], path: Path, schema: Schema
) -> tuple[list[Article], list[SoftLabels | None]]:
    """Join the records of one file to articles by id, or by text where they have none.

    Targets are matched by kind and text. Targets that only the record has are added to the article;
    its labels stay. Records of other articles are passed over: a file may hold more than the part
    of a corpus that is trained on.

    Returns:
        The articles, and the soft labels of each, or None.

    Raises:
        StanceError: no record is of one of the articles.
        RecordError: naming file, line and field: a record is broken, has another text or other
            sentences than its article, or not the probabilities of all labels of the schema.
    """
    records = _read(path, {_key(article) for article in articles if article.sentences})
    if not records:
        raise StanceError(f"{path}: no record is of an article that is trained on")
    joined: list[Article] = []
    soft: list[SoftLabels | None] = []
    for article in articles:
        labels = None
        if article.sentences and _key(article) in records:
            line, record = _closest(article, records[_key(article)])
            try:
                article, labels = _join(article, record, schema)
            except RecordError as error:
                raise error.at(path, line) from None
        joined.append(article)
        soft.append(labels)
    return joined, soft


def _key(article: Article) -> str:
    return article.id or article.text


def _read(path: Path, wanted: set[str]) -> Records:
    """The records of the articles that are wanted; an id stands in one record only."""
    records: dict[str, list[tuple[int, Article]]] = {}
    for line, row in read_records(path):
        try:
            record = Article.from_dict(row)
            if _key(record) not in wanted:
                continue
            own = records.setdefault(_key(record), [])
            if record.id and own:
                raise duplicate(record.id, f"{path}:{own[0][0]}")
        except RecordError as error:
            raise error.at(path, line) from None
        own.append((line, record))
    return records


def _closest(article: Article, records: Sequence[tuple[int, Article]]) -> tuple[int, Article]:
    """Of several records of one text without an id, the first with most of the targets.

    A table may have a row for each target of a sentence.
    """
    own = set(_numbered(article.targets))
    return max(records, key=lambda entry: len(own.intersection(_numbered(entry[1].targets))))


def _numbered(targets: Sequence[Target]) -> Iterator[tuple[str, str, int]]:
    """Kind and text of every target, and how many of the same stand before it."""
    before: Counter[tuple[str, str]] = Counter()
    for target in targets:
        key = (target.kind, target.text)
        yield (*key, before[key])
        before[key] += 1


def _join(article: Article, record: Article, schema: Schema) -> tuple[Article, SoftLabels]:
    if record.text != article.text:
        raise RecordError(f"is not the text of the training article {article.id!r}", field="text")
    given = record.sentences or ()
    if [(s.start, s.end) for s in given] != [(s.start, s.end) for s in article.sentences or ()]:
        raise RecordError(
            f"start or end elsewhere than those of the training article {_name(article)}",
            field="sentences",
        )
    article = with_targets(article, [target for target in record.targets if not target.skipped])
    place = {key: number for number, key in enumerate(_numbered(article.targets))}
    columns = [place.get(key) for key in _numbered(record.targets)]
    soft = SoftLabels.unknown(len(given), len(article.targets), schema)
    stances = Facet("stance", schema.stance)
    for row, sentence in enumerate(given):
        for facet, part in schema.slices():
            label = sentence.facets.get(facet.name)
            if label is not None:
                where = f"sentences[{row}].{facet.name}"
                soft.facets[row, part] = _probabilities(label.probs, facet, where)
        for stance in sentence.stance:
            column = columns[stance.target]
            if column is not None:
                where = f"sentences[{row}].stance"
                soft.stance[row, column] = _probabilities(stance.probs, stances, where)
    return article, soft


def _name(article: Article) -> str:
    return "of the same text" if article.id is None else repr(article.id)


def _probabilities(
    probs: Mapping[str, float] | None, facet: Facet, where: str
) -> NDArray[np.float32]:
    """Probabilities in the order of the labels; those of a single facet add up to 1."""
    if probs is None:
        raise RecordError("there are no probabilities; tag with probs=true", field=where)
    names = [label_key(label) for label in facet.labels]
    if set(probs) != set(names):
        raise RecordError(
            f"probabilities of {', '.join(probs)}; want those of {', '.join(names)}", field=where
        )
    values = np.array([probs[name] for name in names], dtype=np.float32)
    if facet.kind == "single":
        total = float(values.sum())
        if abs(total - 1) > ROUNDING:
            raise RecordError(f"the probabilities add up to {total:.3f}, not to 1", field=where)
        values /= total
    return values
