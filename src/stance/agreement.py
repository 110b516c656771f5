"""Takes two files of labels of the same articles; gives their agreement and what they differ in.

Articles are joined by id, sentences by start and end, targets by kind and text. What only one file
has enters no figure and is accounted for.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stance.corpora import check_labels, labels_of
from stance.errors import RecordError, StanceError
from stance.evaluation import collect, headline
from stance.readers import read_records
from stance.records import Article, Sentence
from stance.schema import DEFAULT, Schema

MAX_LENGTH = 50_000_000
"""No article has a sentence that ends after so many characters."""


def nominal_alpha(units: Sequence[Sequence[Hashable]]) -> float | None:
    """Krippendorff's alpha for nominal data, any number of observers, missing values left out.

    From the coincidence matrix: K. Krippendorff, "Computing Krippendorff's Alpha-Reliability"
    (2011), https://repository.upenn.edu/asc_papers/43, section D.

    Args:
        units: for every unit the values that observers gave it, in any order.

    Returns:
        1 for perfect agreement, 0 for that of chance, below 0 for systematic disagreement; None
        where it is undefined: no two values to compare, or all of them the same.
    """
    # A unit with fewer than two values has nothing to be paired with.
    pairable = [values for values in units if len(values) > 1]
    number = {value: n for n, value in enumerate(dict.fromkeys(v for vs in pairable for v in vs))}
    if len(number) < 2:
        return None
    counts: NDArray[np.float64] = np.zeros((len(pairable), len(number)))
    for row, values in enumerate(pairable):
        for value in values:
            counts[row, number[value]] += 1
    # The ordered pairs of values within a unit, each unit weighted by one less than its values.
    weights = 1 / (counts.sum(1) - 1)
    coincidences = np.einsum("u,ui,uj->ij", weights, counts, counts)
    coincidences -= np.diag(weights @ counts)
    totals = coincidences.sum(1)
    n = totals.sum()
    observed = 1 - np.trace(coincidences) / n
    expected = 1 - (totals * (totals - 1)).sum() / (n * (n - 1))
    return float(1 - observed / expected)


def read_labels(path: str | Path) -> dict[str, Article]:
    """The labelled articles of one file by id: records, with their text or without (stand-off).

    A stand-off record has no `text`; its offsets are into a text that somebody else holds, and
    blanks stand in for it.

    Raises:
        StanceError: no such file, or an empty one.
        RecordError: naming file, line, field and reason; also for a missing or repeated id.
    """
    articles: dict[str, Article] = {}
    for line, row in read_records(Path(path)):
        try:
            article = Article.from_dict(row if "text" in row else _with_blanks(row))
            if article.id is None:
                raise RecordError("the field is missing, and articles are joined by it", field="id")
            if article.id in articles:
                raise RecordError(f"{article.id!r} stands in the file twice", field="id")
        except RecordError as error:
            raise error.at(path, line) from None
        articles[article.id] = article
    return articles


def is_standoff(article: Article) -> bool:
    """Whether blanks stand in for the text of an article that `read_labels` gave."""
    return not article.text.strip()


def _with_blanks(row: Mapping[str, Any]) -> dict[str, Any]:
    """The record with blanks in place of its text, and without what would repeat parts of it."""
    sentences = row.get("sentences")
    if not isinstance(sentences, (list, tuple)):
        raise RecordError("there is neither a text nor a list of sentences", field="sentences")
    ends = [s.get("end") for s in sentences if isinstance(s, Mapping)]
    length = max((end for end in ends if isinstance(end, int)), default=0)
    if length > MAX_LENGTH:
        raise RecordError(f"a sentence ends at {length}: no text is so long", field="sentences")
    targets = row.get("targets")
    if isinstance(targets, (list, tuple)):
        targets = [_without(target, "mentions") for target in targets]
    return {
        **row,
        "text": " " * length,
        "targets": targets,
        "sentences": [_without(sentence, "text") for sentence in sentences],
    }


def _without(value: Any, name: str) -> Any:
    return {k: v for k, v in value.items() if k != name} if isinstance(value, Mapping) else value


@dataclass(frozen=True)
class Unmatched:
    """What enters no figure: an article, sentence or target of one file, or two different texts.

    file: "a" or "b", whichever has it; "both" for an article whose texts differ.
    """

    id: str
    field: Literal["article", "text", "sentence", "target"]
    file: Literal["a", "b", "both"]
    start: int | None = None
    end: int | None = None
    target: str | None = None


@dataclass(frozen=True)
class Joined:
    """What two files have in common.

    a, b: the same articles with the same sentences and targets in the same order, each with its
        own labels.
    numbers: for every article, the numbers that its sentences have in file a, from 0.
    unmatched: what was left out.
    """

    a: tuple[Article, ...]
    b: tuple[Article, ...]
    numbers: tuple[tuple[int, ...], ...]
    unmatched: tuple[Unmatched, ...]


def join(a: Mapping[str, Article], b: Mapping[str, Article]) -> Joined:
    """Join two files of labels, in the order of the first.

    Raises:
        StanceError: they have no sentence in common.
    """
    pairs: list[tuple[Article, Article]] = []
    numbers: list[tuple[int, ...]] = []
    unmatched: list[Unmatched] = []
    for id, first in a.items():
        second = b.get(id)
        if second is None:
            unmatched.append(Unmatched(id, "article", "a"))
        elif _texts_differ(first, second):
            unmatched.append(Unmatched(id, "text", "both"))
        else:
            pair, own, left_out = _join_article(id, first, second)
            pairs.append(pair)
            numbers.append(own)
            unmatched += left_out
    unmatched += [Unmatched(id, "article", "b") for id in b if id not in a]
    if not any(numbers):
        raise StanceError(
            f"the two files have no sentence in common ({len(a)} and {len(b)} articles, of which "
            f"{len(a.keys() & b.keys())} have the same id)"
        )
    return Joined(
        tuple(first for first, _ in pairs),
        tuple(second for _, second in pairs),
        tuple(numbers),
        tuple(unmatched),
    )


def _texts_differ(first: Article, second: Article) -> bool:
    known = not is_standoff(first) and not is_standoff(second)
    return known and first.text != second.text


def _join_article(
    id: str, first: Article, second: Article
) -> tuple[tuple[Article, Article], tuple[int, ...], list[Unmatched]]:
    targets = [{(t.kind, t.text): n for n, t in enumerate(x.targets)} for x in (first, second)]
    sentences = [
        {(s.start, s.end): n for n, s in enumerate(x.sentences or ())} for x in (first, second)
    ]
    left_out: list[Unmatched] = []
    files: tuple[Literal["a", "b"], ...] = ("a", "b")
    for file, own, other in zip(files, targets, targets[::-1], strict=True):
        left_out += [
            Unmatched(id, "target", file, target=key[1]) for key in own if key not in other
        ]
    for file, spans, others in zip(files, sentences, sentences[::-1], strict=True):
        left_out += [Unmatched(id, "sentence", file, *key) for key in spans if key not in others]
    shared_targets = [key for key in targets[0] if key in targets[1]]
    shared_sentences = [key for key in sentences[0] if key in sentences[1]]
    one, two = (
        _restricted(x, [own[key] for key in shared_targets], [s[key] for key in shared_sentences])
        for x, own, s in zip((first, second), targets, sentences, strict=True)
    )
    return (one, two), tuple(sentences[0][key] for key in shared_sentences), left_out


def _restricted(article: Article, targets: Sequence[int], sentences: Sequence[int]) -> Article:
    """The article with these of its targets and sentences, in this order."""
    number = {old: new for new, old in enumerate(targets)}

    def with_new_numbers(sentence: Sentence) -> Sentence:
        kept = (s for s in sentence.stance if s.target in number)
        renumbered = (replace(s, target=number[s.target]) for s in kept)
        return replace(sentence, stance=tuple(sorted(renumbered, key=lambda s: s.target)))

    return replace(
        article,
        targets=tuple(article.targets[n] for n in targets),
        sentences=tuple(with_new_numbers((article.sentences or ())[n]) for n in sentences),
    )


@dataclass(frozen=True)
class Judgement:
    """One label of one sentence as both files have it; None where a file gives none.

    sentence: its number in file a, from 0, as in messages about records.
    field: a facet, "stance" (with its target) or "speaker".
    a, b: the labels; of a facet with several labels, the tuple of them in alphabetical order.
    text: the sentence, where one of the files has it.
    """

    id: str
    sentence: int
    start: int
    end: int
    field: str
    target: str | None
    a: str | bool | tuple[str | bool, ...] | None
    b: str | bool | tuple[str | bool, ...] | None
    text: str = ""


def judgements(joined: Joined) -> Iterator[Judgement]:
    """Every label of every joined sentence, in the order of the articles."""
    for one, two, numbers in zip(joined.a, joined.b, joined.numbers, strict=True):
        rows = zip(numbers, one.sentences or (), two.sentences or (), strict=True)
        for number, first, second in rows:
            text = first.text.strip() or second.text.strip()
            for field, target, a, b in _labels(first, second, one):
                yield Judgement(
                    one.id or "", number, first.start, first.end, field, target, a, b, text
                )


def _labels(
    first: Sentence, second: Sentence, article: Article
) -> Iterator[tuple[str, str | None, Any, Any]]:
    for name in dict.fromkeys((*first.facets, *second.facets)):
        yield name, None, _facet(first, name), _facet(second, name)
    for number, target in enumerate(article.targets):
        a, b = first.stance_toward(number), second.stance_toward(number)
        if a is not None or b is not None:
            yield "stance", target.text, a and a.label, b and b.label
    if first.speaker is not None or second.speaker is not None:
        yield "speaker", None, first.speaker, second.speaker


def _facet(sentence: Sentence, name: str) -> str | bool | tuple[str | bool, ...] | None:
    label = sentence.facets.get(name)
    if label is None:
        return None
    return tuple(sorted(labels_of(label))) if isinstance(label.label, tuple) else label.label


def figures(joined: Joined, schema: Schema = DEFAULT) -> dict[str, Any]:
    """All figures of the agreement of two files as plain data.

    Returns:
        `articles`, `sentences`: how many were joined.
        `fields`: for every facet, "stance" (per sentence-target pair) and "speaker": `units` (how
        many have a label in both files), `equal` (the share of them with the same label, None
        without units), `only_one` (how many have a label in one file alone) and, but for the
        speaker, `alpha` (of whole sets of labels where a facet has several).
        `scores`: figures of one file scored against the other (`stance.evaluation.headline`), the
        same whichever of the two is taken as gold; `no_scores`: why there are none, else None.
    """
    by_field: dict[str, list[Judgement]] = {}
    for judgement in judgements(joined):
        by_field.setdefault(judgement.field, []).append(judgement)
    last = [name for name in ("stance", "speaker") if name in by_field]
    order = [name for name in by_field if name not in last] + last
    fields = {name: _field_figures(name, by_field[name]) for name in order}
    scores, reason = _scores(joined, schema)
    return {
        "articles": len(joined.a),
        "sentences": sum(map(len, joined.numbers)),
        "fields": fields,
        "scores": scores,
        "no_scores": reason,
    }


def _field_figures(name: str, rows: Sequence[Judgement]) -> dict[str, Any]:
    units = [(row.a, row.b) for row in rows if row.a is not None and row.b is not None]
    result: dict[str, Any] = {
        "units": len(units),
        "equal": float(np.mean([a == b for a, b in units])) if units else None,
        "only_one": len(rows) - len(units),
    }
    if name != "speaker":
        result["alpha"] = nominal_alpha(units)
    return result


def _scores(joined: Joined, schema: Schema) -> tuple[dict[str, float], str | None]:
    try:
        check_labels(joined.a, schema, "A")
        check_labels(joined.b, schema, "B")
    except StanceError as error:
        return {}, str(error)
    tasks = collect(joined.a, joined.b, schema)
    if not tasks:
        return {}, "the schema has none of the labels that are in both files"
    return {name: float(value[0]) for name, value in headline(tasks).items()}, None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `stance agreement`."""
    parser.description = (
        "Compare two files of labels of the same articles (records with or without their text): "
        "Krippendorff's alpha, scores of one against the other, and the disagreements. Articles "
        "are joined by id, sentences by start and end."
    )
    parser.add_argument("a", metavar="A", help="labels: .jsonl, .csv or .parquet")
    parser.add_argument("b", metavar="B", help="other labels of the same articles")
    parser.add_argument(
        "--show", type=int, default=10, metavar="N", help="print so many disagreements (default 10)"
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="write all disagreements, and what only one file has, there as JSON lines",
    )
    parser.add_argument(
        "--schema",
        metavar="FILE",
        help="schema of the labels, for the scores (default: the package's own)",
    )


def run(options: argparse.Namespace) -> int:
    """Print the agreement of two files; status 0, whatever it is.

    Raises:
        StanceError: a file that cannot be read or written, or nothing in common.
    """
    if options.show < 0:
        raise StanceError(f"--show: want 0 or more, found {options.show}")
    schema = Schema.load(options.schema) if options.schema else DEFAULT
    joined = join(read_labels(options.a), read_labels(options.b))
    different = [row for row in judgements(joined) if row.a != row.b]
    if options.output:
        _write(options.output, different, joined.unmatched)
    lines = [
        f"A: {options.a}",
        f"B: {options.b}",
        *_account(joined.unmatched, options.show),
        "",
        *_table(figures(joined, schema)),
        "",
        *_disagreements(different, options.show),
    ]
    print("\n".join(lines))
    return 0


def _write(path: str, different: Sequence[Judgement], unmatched: Sequence[Unmatched]) -> None:
    rows = [asdict(row) for row in different]
    for row in rows:
        if not row["text"]:
            del row["text"]
    for item in unmatched:
        plain = {name: value for name, value in asdict(item).items() if value is not None}
        rows.append({**plain, "file": {"a": "A", "b": "B"}.get(item.file, item.file)})
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    try:
        Path(path).write_text(lines, encoding="utf-8")
    except OSError as error:
        raise StanceError(f"{path}: cannot be written: {error.strerror}") from error


WHAT: dict[tuple[str, str], str] = {
    ("article", "a"): "articles only in A",
    ("article", "b"): "articles only in B",
    ("text", "both"): "articles whose texts differ",
    ("sentence", "a"): "sentences only in A",
    ("sentence", "b"): "sentences only in B",
    ("target", "a"): "targets only in A",
    ("target", "b"): "targets only in B",
}


def _account(unmatched: Sequence[Unmatched], show: int) -> list[str]:
    """What was not compared: how much of each kind, and the first of each."""
    lines = []
    for (field, file), what in WHAT.items():
        found = [_place(item) for item in unmatched if (item.field, item.file) == (field, file)]
        if found:
            more = f" and {len(found) - show:,} more" if len(found) > show else ""
            names = f": {', '.join(found[:show])}{more}" if show else ""
            lines.append(f"not compared: {len(found):,} {what}{names}")
    return lines


def _place(item: Unmatched) -> str:
    if item.field == "sentence":
        return f"{item.id} [{item.start}, {item.end}]"
    if item.field == "target":
        return f"{item.id} {_printed(item.target)}"
    return item.id


def _table(found: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{found['articles']:,} articles, {found['sentences']:,} sentences in both",
        "",
        f"{'':24}{'alpha':>8}{'equal':>10}{'labels':>10}{'only in one':>14}",
    ]
    for name, row in found["fields"].items():
        alpha = "" if name == "speaker" else _number(row["alpha"], "{:.3f}")
        equal = _number(row["equal"], "{:.1%}")
        lines.append(f"{name:24}{alpha:>8}{equal:>10}{row['units']:>10,}{row['only_one']:>14,}")
    lines.append("")
    if found["no_scores"]:
        return [*lines, f"no scores of A against B: {found['no_scores']}"]
    lines.append("scores of A against B, the same as of B against A")
    return [*lines, *(f"{name:24}{100 * value:>8.1f}" for name, value in found["scores"].items())]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _disagreements(different: Sequence[Judgement], show: int) -> list[str]:
    sentences = len({(row.id, row.sentence) for row in different})
    count = f"{len(different):,} labels differ, in {sentences:,} sentences (numbered from 0)"
    lines = [count]
    for row in different[:show]:
        toward = f" {_printed(row.target)}" if row.target is not None else ""
        lines.append(
            f"{row.id} sentence {row.sentence} {row.field}{toward}: "
            f"{_printed(row.a)} | {_printed(row.b)}"
        )
        if row.text:
            lines.append(f"    {_printed(row.text)}")
    if len(different) > show > 0:
        lines.append(f"… and {len(different) - show:,} more (--output FILE.jsonl writes all)")
    return lines


def _printed(value: object) -> str:
    """A value as JSON, which no control character in it can escape; - for a label not given."""
    return "-" if value is None else json.dumps(value, ensure_ascii=False)
