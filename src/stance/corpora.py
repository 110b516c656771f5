"""Takes a corpus name or files of labelled articles; gives a `datasets.DatasetDict` of records.

Parts: train, selection (a fixed tenth of the training articles, for choices and early stopping),
dev (for reporting) and test where there is one. A corpus that lacks a kind of label leaves it out,
and training masks that loss.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stance.errors import RecordError, StanceError, require
from stance.readers import read_records
from stance.records import Article, Label, Sentence, Span
from stance.resources import bundled
from stance.schema import Schema
from stance.segment import segment

if TYPE_CHECKING:
    from datasets import DatasetDict

PARTS = ("train", "selection", "dev", "test")
SELECTION_SHARE = 10
"""One training article in this many is kept for choices."""


@dataclass(frozen=True)
class Corpus:
    """One labelled corpus: where its parts lie and how a line of them becomes an article.

    files: part to file name, inside the corpus folder.
    convert: makes a record out of one parsed line.
    group: the article that a record belongs to; parts are cut between groups.
    dev_share: cut the dev part out of train, one group in this many (0: it has its own file).
    """

    name: str
    files: Mapping[str, str]
    convert: Callable[[Mapping[str, Any]], Article]
    about: str
    licence: str
    group: Callable[[str], str] = lambda identifier: identifier
    dev_share: int = 0


def attribution_spans(attributions: Iterable[Mapping[str, Any]]) -> dict[str, list[Span]]:
    """The three token tracks of PolNeAR-like attributions.

    A track keeps the outermost of nested spans; a discontinuous span gives several ranges. What
    this loses: which source belongs to which content, and everything inside another span.
    """
    tracks: dict[str, list[Span]] = {"source": [], "cue": [], "content": []}
    for attribution in attributions:
        for track, spans in tracks.items():
            spans += [(int(start), int(end)) for start, end in attribution.get(track, ())]
    return {track: outermost(spans) for track, spans in tracks.items()}


def outermost(spans: Iterable[Span]) -> list[Span]:
    """The spans that lie in no other, in order; overlapping ones are cut apart."""
    kept: list[Span] = []
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if kept:
            start = max(start, kept[-1][1])
        if start < end:
            kept.append((start, end))
    return kept


def clip(spans: Iterable[Span], start: int, end: int) -> tuple[Span, ...]:
    """The parts of the spans that lie inside [start, end)."""
    return tuple((max(a, start), min(b, end)) for a, b in spans if a < end and b > start)


def _with_spans(article: Article, tracks: Mapping[str, Sequence[Span]]) -> Article:
    sentences = tuple(
        replace(
            sentence,
            spans={
                track: clip(spans, sentence.start, sentence.end) for track, spans in tracks.items()
            },
        )
        for sentence in article.sentences or ()
    )
    return replace(article, sentences=sentences)


def _plain(row: Mapping[str, Any]) -> Article:
    return Article.from_dict(row)


def _dated(row: Mapping[str, Any]) -> Article:
    """A record whose date may be American (2/28/2015)."""
    date = str(row.get("date") or "")
    if "/" in date:
        date = datetime.strptime(date, "%m/%d/%Y").date().isoformat()
    publisher = str(row.get("publisher") or "").lower()  # BASIL has both "hpo" and "HPO"
    return Article.from_dict({**row, "date": date or None, "publisher": publisher or None})


def _polnear_spans(row: Mapping[str, Any]) -> Article:
    if "sentences" in row:  # as `stance.importers` gives it
        return Article.from_dict({**row, "publisher": "polnear"})
    text = row["text"]
    sentences = tuple(Sentence(start, end, text[start:end]) for start, end in segment(text))
    article = Article.from_dict({"text": text, "id": row["id"], "publisher": "polnear"})
    article = replace(article, sentences=sentences)
    return _with_spans(article, attribution_spans(row["attributions"]))


def _newsmtsc(row: Mapping[str, Any]) -> Article:
    if "sentences" in row:  # as `stance.importers` gives it
        return Article.from_dict({**row, "publisher": "newsmtsc"})
    text = row["text"]
    targets = [
        {"text": target["mention"], "mentions": [[target["start"], target["end"]]]}
        for target in row["targets"]
    ]
    stances = [target["stance"] for target in row["targets"]]
    return Article.from_dict(
        {
            "text": text,
            "id": row["id"],
            "publisher": "newsmtsc",
            "targets": targets,
            "sentences": [{"start": 0, "end": len(text), "stance": stances}],
        }
    )


def _two(name: str) -> dict[str, str]:
    return {"train": f"{name}.train.jsonl", "dev": f"{name}.dev.jsonl"}


CORPORA: dict[str, Corpus] = {
    corpus.name: corpus
    for corpus in (
        Corpus(
            "starter",
            {"train": "train.jsonl", "dev": "dev.jsonl", "test": "test.jsonl"},
            _plain,
            "invented news articles that come with the package",
            "CC0-1.0",
        ),
        Corpus(
            "fakes",
            _two("fakes"),
            _dated,
            "FA-KES (Abu Salem et al., ICWSM 2019): the war in Syria, 15 outlets",
            "text CC-BY-4.0",
        ),
        Corpus(
            "polnear",
            _two("polnear"),
            _dated,
            "PolNeAR (Newell et al., LREC 2018): US election news 2015-16",
            "text for research use",
        ),
        Corpus(
            "bbc",
            _two("bbc"),
            _dated,
            "BBC news 2004-05 (Greene and Cunningham, ICML 2006)",
            "text for research use",
        ),
        Corpus(
            "basil",
            _two("basil"),
            _dated,
            "BASIL (Fan et al., EMNLP 2019): US politics 2010-19",
            "text for research use",
        ),
        Corpus(
            "polnear-spans",
            _two("polnear-spans"),
            _polnear_spans,
            "PolNeAR's own source, cue and content spans",
            "text for research use",
        ),
        Corpus(
            "newsmtsc",
            {"train": "newsmtsc.train.jsonl"},
            _newsmtsc,
            "NewsMTSC (Hamborg and Donnay, EACL 2021): sentences with marked mentions",
            "MIT",
            group=lambda identifier: "_".join(identifier.split("_")[:3]),
            dev_share=10,
        ),
    )
}


def group_hash(group: str) -> int:
    """A number that follows from the id of an article alone."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big")


def read_corpus(name: str, folder: str | Path | None, part: str) -> list[Article]:
    """The articles of one part of a registered corpus.

    Args:
        folder: where the corpus files lie; None for the bundled starter corpus.
        part: train, selection, dev or test.

    Raises:
        StanceError: no such corpus, part or file; `RecordError` for a broken line.
    """
    corpus = CORPORA.get(name)
    if corpus is None:
        raise StanceError(f"there is no corpus {name!r} (there are {', '.join(CORPORA)})")
    if part not in PARTS:
        raise StanceError(f"there is no part {part!r} (there are {', '.join(PARTS)})")
    root = bundled("data/starter") if name == "starter" else Path(folder or ".")
    if part in ("dev", "test") and part in corpus.files:
        return list(_read(corpus, root / corpus.files[part]))
    if part == "test" or (part == "dev" and not corpus.dev_share):
        raise StanceError(f"the corpus {name!r} has no part {part!r}")
    articles = list(_read(corpus, root / corpus.files["train"]))
    return _cut(articles, part, corpus.group, corpus.dev_share)


def _read(corpus: Corpus, path: Path) -> Iterator[Article]:
    if not path.is_file():
        raise StanceError(
            f"{path}: there is no such file; set corpus.dir (or the environment variable "
            f"STANCE_CORPUS_DIR) to the folder with the files of {corpus.name!r}"
        )
    for line, row in read_records(path):
        try:
            yield corpus.convert(row)
        except RecordError as error:
            raise error.at(path, line) from None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RecordError(
                f"not a record of {corpus.name}: {error!r}", path=path, line=line
            ) from error


def _cut(
    articles: Sequence[Article], part: str, group: Callable[[str], str], dev_share: int
) -> list[Article]:
    """Cut train into train, selection and (for `dev_share`) dev, by the hash of the group."""
    hashes = [group_hash(group(article.id or article.text)) for article in articles]
    where = ["train"] * len(articles)
    for number, value in enumerate(hashes):
        if value % SELECTION_SHARE == 0:
            where[number] = "selection"
        elif dev_share and value % dev_share == 1:
            where[number] = "dev"
    if articles and "selection" not in where:
        where = ["selection" if v == min(hashes) else w for v, w in zip(hashes, where, strict=True)]
    return [article for article, own in zip(articles, where, strict=True) if own == part]


def read_files(paths: Sequence[str | Path], schema: Schema) -> list[Article]:
    """Labelled articles from a user's own files (.jsonl, .csv, .parquet).

    A row without `sentences` is one sentence: its labels are the columns named after the schema's
    facets, and `target` with `stance` for one target.

    Raises:
        StanceError: naming the file, line and field; also where no row carries any label.
    """
    articles: list[Article] = []
    for path in paths:
        for line, row in read_records(Path(path)):
            try:
                articles.append(_own(row, schema))
                _check_article(articles[-1], schema)
            except RecordError as error:
                raise error.at(path, line) from None
    names = [facet.name for facet in schema.facets]
    labelled = any(
        set(sentence.facets) & set(names) or sentence.stance or sentence.spans is not None
        for article in articles
        for sentence in article.sentences or ()
    )
    if not labelled:
        raise StanceError(
            f"{', '.join(map(str, paths))}: no labels found; want 'sentences' with labels, or "
            f"columns named {', '.join(names)}, or 'target' and 'stance'"
        )
    return articles


def _own(row: Mapping[str, Any], schema: Schema) -> Article:
    row = dict(row)
    if row.get("sentences") is not None:
        return Article.from_dict(row)
    facets = {
        facet.name: row.pop(facet.name)
        for facet in schema.facets
        if row.get(facet.name) not in (None, "")
    }
    target, stance = row.pop("target", None), row.pop("stance", None)
    if stance and not target:
        raise RecordError("there is a stance but no 'target'", field="stance")
    if target:
        row["targets"] = [target]
    article = Article.from_dict(row)
    text = article.text
    span = (len(text) - len(text.lstrip()), len(text.rstrip()))
    if span[0] >= span[1]:
        raise RecordError("the text is empty", field="text")
    sentence: dict[str, Any] = {
        "start": span[0],
        "end": span[1],
        **{name: _parse_label(value, schema.facet(name).labels) for name, value in facets.items()},
    }
    if target and stance:
        sentence["stance"] = [stance]
    return Article.from_dict({**article.to_dict(), "sentences": [sentence]})


def _parse_label(value: object, labels: Sequence[str | bool]) -> object:
    """A label as a table gives it: true and false may be words, several labels a JSON list."""
    if isinstance(value, str):
        if any(isinstance(label, bool) for label in labels):
            return {"true": True, "false": False}.get(value.strip().lower(), value)
        if value.startswith("["):
            try:
                return json.loads(value)
            except ValueError:
                return value
    return value


def check_labels(articles: Iterable[Article], schema: Schema, where: str) -> None:
    """Raise `StanceError` for the first label that the schema does not have."""
    for number, article in enumerate(articles):
        try:
            _check_article(article, schema)
        except RecordError as error:
            raise StanceError(f"{where}: article {article.id or number}: {error}") from None


def _check_article(article: Article, schema: Schema) -> None:
    """Raise `RecordError` naming the field of the first label that the schema does not have."""
    facets = {facet.name: facet for facet in schema.facets}
    for position, sentence in enumerate(article.sentences or ()):
        place = f"sentences[{position}]"
        for name in facets:
            if name in sentence.extra:
                reason = f"{sentence.extra[name]!r} is not a label"
                raise RecordError(reason, field=f"{place}.{name}")
        for name, label in sentence.facets.items():
            facet = facets.get(name)
            if facet is None:
                continue
            try:
                for value in labels_of(label):
                    facet.index(value)
                if facet.kind == "single" and isinstance(label.label, tuple):
                    raise StanceError(f"facet {name!r} takes one label, not a list")
            except StanceError as error:
                raise RecordError(str(error), field=f"{place}.{name}") from None
        for stance in sentence.stance:
            if stance.label not in schema.stance:
                reason = f"{stance.label!r} is not one of {', '.join(schema.stance)}"
                raise RecordError(reason, field=f"{place}.stance")


def labels_of(label: Label) -> tuple[str | bool, ...]:
    """The label or labels of a facet as a tuple."""
    return label.label if isinstance(label.label, tuple) else (label.label,)


def join_spans(articles: Sequence[Article], others: Iterable[Article]) -> list[Article]:
    """Give the articles the spans that the same articles (by id and text) carry elsewhere."""
    tracks: dict[str | None, tuple[str, dict[str, list[Span]]]] = {}
    for other in others:
        merged: dict[str, list[Span]] = {}
        for sentence in other.sentences or ():
            for track, own in (sentence.spans or {}).items():
                merged.setdefault(track, []).extend(own)
        tracks[other.id] = (other.text, merged)
    joined: list[Article] = []
    for article in articles:
        text, spans = tracks.get(article.id, ("", {}))
        joined.append(_with_spans(article, spans) if text == article.text else article)
    return joined


def to_rows(articles: Iterable[Article], corpus: str) -> list[dict[str, Any]]:
    """Articles as rows of one shape, for `datasets.Dataset.from_list`."""
    rows = []
    for article in articles:
        record = article.to_dict()
        names = sorted({n for s in article.sentences or () for n in s.facets})
        for sentence in record.get("sentences", []):
            for name in (*names, "stance", "speaker", "spans"):
                sentence.setdefault(name, None)
        rows.append({"corpus": corpus, **record})
    # from_list takes its columns from the first row alone.
    columns = dict.fromkeys(name for row in rows for name in row)
    return [{name: row.get(name) for name in columns} for row in rows]


def load_dataset(name: str, folder: str | Path | None = None) -> DatasetDict:
    """One registered corpus as a `datasets.DatasetDict` of records, a row an article.

    Args:
        name: a key of `CORPORA`.
        folder: where its files lie; not needed for starter.

    Raises:
        StanceError: no such corpus or file, or a broken line.
    """
    datasets = require("datasets", "train")
    if name not in CORPORA:
        raise StanceError(f"there is no corpus {name!r} (there are {', '.join(CORPORA)})")
    corpus = CORPORA[name]
    parts = ["train", "selection"]
    parts += [part for part in ("dev", "test") if part in corpus.files]
    if corpus.dev_share:
        parts.append("dev")
    result: DatasetDict = datasets.DatasetDict(
        {
            part: datasets.Dataset.from_list(to_rows(read_corpus(name, folder, part), name))
            for part in parts
        }
    )
    return result


def trained_corpora(training: Mapping[str, Any]) -> list[str]:
    """Names of the corpora that a model learned from, by its `training.json`.

    PolNeAR's spans come with its articles; those of the model that it started from count too.
    """
    names = [str(name) for name in training.get("run", {}).get("articles", {})]
    corpus = training.get("config", {}).get("corpus", {})
    if "polnear" in names and corpus.get("polnear_spans") and "polnear-spans" not in names:
        names.append("polnear-spans")
    before = (training.get("run", {}).get("started_from") or {}).get("corpora", ())
    return [*names, *(name for name in before if name not in names)]


def trained_encoder(training: Mapping[str, Any]) -> str | None:
    """Name of the encoder that a model began with, by its `training.json`.

    Of a chain of models, each trained on from the one before, it is that of the first.
    """
    before = training.get("run", {}).get("started_from")
    own = training.get("config", {}).get("encoder", {})
    name: str | None = before.get("encoder") if before else own.get("name")
    return name
