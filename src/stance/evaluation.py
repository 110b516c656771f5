"""Takes gold and predicted articles; gives precision, recall, F1 and their bootstrap intervals.

Everything is computed from confusion matrices per article, so that a bootstrap over articles is a
matter of weighted sums. Macro-F1 is the mean of the F1 of the labels (scikit-learn's definition).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stance.corpora import labels_of
from stance.errors import StanceError
from stance.records import Article, Label, Sentence
from stance.schema import Facet, Schema
from stance.speakers import same_speaker
from stance.tagger import label_key

Counts = NDArray[np.float64]

MIN_POSITIVES = 30
"""Below this support no F1 is shown: it would say nothing."""


@dataclass(frozen=True)
class Task:
    """One thing that is measured, with its confusion matrices.

    name: a facet, "tags/<tag>", "stance", "spans/<track>" or "speaker".
    labels: names of the rows (gold) and columns (predicted).
    confusions: (articles, labels, labels).
    scores, correct: one confidence and whether the prediction was right, per judgement.
    """

    name: str
    labels: tuple[str, ...]
    confusions: Counts
    scores: NDArray[np.float64]
    correct: NDArray[np.bool_]


def collect(
    gold: Sequence[Article], predicted: Sequence[Article], schema: Schema
) -> dict[str, Task]:
    """Confusion matrices of every facet, tag, stance and span track that the gold has labels for.

    Raises:
        StanceError: the predicted articles are not the gold ones, sentence by sentence.
    """
    _same_sentences(gold, predicted)
    pairs = [
        list(zip(g.sentences or (), p.sentences or (), strict=True))
        for g, p in zip(gold, predicted, strict=True)
    ]
    tasks: dict[str, Task] = {}
    for facet in schema.facets:
        if facet.kind == "single":
            names = tuple(label_key(label) for label in facet.labels)
            tasks[facet.name] = _task(facet.name, names, pairs, _facet_rows(facet))
        else:
            for label in facet.labels:
                name = f"{facet.name}/{label_key(label)}"
                tasks[name] = _task(name, ("no", "yes"), pairs, _multi_rows(facet, label))
    for tag in schema.tags:
        name = f"tags/{tag.name}"
        tasks[name] = _task(name, ("no", "yes"), pairs, _tag_rows(tag.name, schema))
    tasks["stance"] = _task("stance", schema.stance, pairs, _stance_rows(schema))
    for track in schema.spans:
        name = f"spans/{track}"
        tasks[name] = _task(name, ("no", "yes"), pairs, _span_rows(track))
    tasks["speaker"] = _task("speaker", ("no", "yes"), _with_speakers(pairs), _speaker_rows)
    return {name: task for name, task in tasks.items() if task.confusions.sum() > 0}


Judgement = tuple[int, int, float | None]
"""Gold label number, predicted label number, and the confidence of the prediction if known."""
Rows = Callable[[Sentence, Sentence], Iterable[Judgement]]


def _same_sentences(gold: Sequence[Article], predicted: Sequence[Article]) -> None:
    if len(gold) != len(predicted):
        raise StanceError(f"{len(predicted)} predicted articles for {len(gold)} gold ones")
    for g, p in zip(gold, predicted, strict=True):
        if [(s.start, s.end) for s in g.sentences or ()] != [
            (s.start, s.end) for s in p.sentences or ()
        ]:
            raise StanceError(f"article {g.id}: the predicted sentences are not the gold ones")


def _task(
    name: str,
    labels: tuple[str, ...],
    pairs: Sequence[Sequence[tuple[Sentence, Sentence]]],
    rows: Rows,
) -> Task:
    confusions = np.zeros((len(pairs), len(labels), len(labels)))
    scores: list[float] = []
    correct: list[bool] = []
    for article, sentences in enumerate(pairs):
        for g, p in sentences:
            for expected, found, score in rows(g, p):
                confusions[article, expected, found] += 1
                if score is not None:
                    scores.append(score)
                    correct.append(expected == found)
    return Task(name, labels, confusions, np.array(scores), np.array(correct, dtype=np.bool_))


def _facet_rows(facet: Facet) -> Rows:
    def rows(gold: Sentence, predicted: Sentence) -> Iterable[Judgement]:
        expected, found = gold.facets.get(facet.name), predicted.facets.get(facet.name)
        if expected is not None and found is not None:
            yield facet.index(expected.label), facet.index(found.label), found.score

    return rows


def _multi_rows(facet: Facet, label: str | bool) -> Rows:
    def rows(gold: Sentence, predicted: Sentence) -> Iterable[Judgement]:
        expected, found = gold.facets.get(facet.name), predicted.facets.get(facet.name)
        if expected is not None and found is not None:
            held = label in labels_of(found)
            p = (found.probs or {}).get(label_key(label))
            score = None if p is None else (p if held else 1 - p)
            yield int(label in labels_of(expected)), int(held), score

    return rows


def gold_tags(facets: Mapping[str, Label], schema: Schema) -> list[str] | None:
    """The tags that follow from gold facets, or None where a facet that a tag needs is unknown."""
    if not schema.facets_of_tags() <= set(facets):
        return None
    return schema.tags_of({name: label.label for name, label in facets.items()})


def _tag_rows(tag: str, schema: Schema) -> Rows:
    def rows(gold: Sentence, predicted: Sentence) -> Iterable[Judgement]:
        expected = gold_tags(gold.facets, schema)
        found = gold_tags(predicted.facets, schema)
        if expected is not None and found is not None:
            held = tag in found
            p = (predicted.tag_probs or {}).get(tag)
            yield int(tag in expected), int(held), None if p is None else (p if held else 1 - p)

    return rows


def _stance_rows(schema: Schema) -> Rows:
    def rows(gold: Sentence, predicted: Sentence) -> Iterable[Judgement]:
        for expected in gold.stance:
            found = predicted.stance_toward(expected.target)
            if found is not None:
                yield (
                    schema.stance.index(expected.label),
                    schema.stance.index(found.label),
                    found.score,
                )

    return rows


def _span_rows(track: str) -> Rows:
    """Exact spans: a found one is right if the gold has the very same."""

    def rows(gold: Sentence, predicted: Sentence) -> Iterable[Judgement]:
        if gold.spans is None or predicted.spans is None:
            return
        expected = set(gold.spans.get(track, ()))
        found = set(predicted.spans.get(track, ()))
        yield from ((1, 1, None) for _ in expected & found)
        yield from ((1, 0, None) for _ in expected - found)
        yield from ((0, 1, None) for _ in found - expected)

    return rows


def _with_speakers(
    pairs: Sequence[Sequence[tuple[Sentence, Sentence]]],
) -> list[Sequence[tuple[Sentence, Sentence]]]:
    """The articles whose gold names speakers, the others empty; all empty if nobody was found."""
    if not any(p.speaker for article in pairs for _, p in article):
        return [()] * len(pairs)
    return [article if any(g.speaker for g, _ in article) else () for article in pairs]


def _speaker_rows(gold: Sentence, predicted: Sentence) -> Iterable[Judgement]:
    """A wrong name is one that was found without need and one that was missed."""
    if gold.speaker and predicted.speaker and same_speaker(gold.speaker, predicted.speaker):
        yield 1, 1, None
        return
    if gold.speaker:
        yield 1, 0, None
    if predicted.speaker:
        yield 0, 1, None


@dataclass(frozen=True)
class Mistake:
    """A wrong label.

    task: a facet, "facet/label" of a multi facet (no or yes), or "stance".
    article, sentence, target: their numbers; no target but of a stance.
    score: the probability that the model gave to its label.
    """

    task: str
    article: int
    sentence: int
    target: int | None
    gold: str
    predicted: str
    score: float


def mistakes(
    gold: Sequence[Article], predicted: Sequence[Article], schema: Schema, limit: int
) -> list[Mistake]:
    """The `limit` wrong labels of every facet, and of stance, that the model was surest of.

    Raises:
        StanceError: the two do not have the same sentences.
    """
    _same_sentences(gold, predicted)
    found: dict[str, list[Mistake]] = {}
    for article, (g, p) in enumerate(zip(gold, predicted, strict=True)):
        pairs = zip(g.sentences or (), p.sentences or (), strict=True)
        for sentence, (expected, given) in enumerate(pairs):
            for task, target, labels, (right, label, score) in _judged(expected, given, schema):
                if label != right and score is not None:
                    found.setdefault(task, []).append(
                        Mistake(
                            task, article, sentence, target, labels[right], labels[label], score
                        )
                    )
    return [
        mistake
        for wrong in found.values()
        for mistake in sorted(wrong, key=lambda one: -one.score)[:limit]
    ]


def _judged(
    gold: Sentence, predicted: Sentence, schema: Schema
) -> Iterable[tuple[str, int | None, tuple[str, ...], Judgement]]:
    """What is judged in a sentence: task, target, names of the labels, judgement."""
    for facet in schema.facets:
        if facet.kind == "single":
            names = tuple(label_key(label) for label in facet.labels)
            for row in _facet_rows(facet)(gold, predicted):
                yield facet.name, None, names, row
        else:
            for label in facet.labels:
                for row in _multi_rows(facet, label)(gold, predicted):
                    yield f"{facet.name}/{label_key(label)}", None, ("no", "yes"), row
    for stance in gold.stance:
        for row in _stance_rows(schema)(replace(gold, stance=(stance,)), predicted):
            yield "stance", stance.target, schema.stance, row


def f1_scores(confusions: Counts) -> Counts:
    """F1 of every label from confusion matrices (..., labels, labels); 0 where undefined."""
    right = np.diagonal(confusions, axis1=-2, axis2=-1)
    both = confusions.sum(-1) + confusions.sum(-2)
    result: Counts = np.divide(2 * right, both, out=np.zeros_like(right), where=both > 0)
    return result


def headline_parts(tasks: Mapping[str, Task]) -> dict[str, list[tuple[str, int]]]:
    """The figures that stand for a model, each with the (task, label) whose F1 it is the mean of.

    Tags macro-F1, each facet's macro-F1, the F1 of true for facets of false and true, stance
    macro-F1, favor/against F1 (mean of the two), the F1 of each span track and multi label (and the
    macro-F1 of the facet), and of speakers (over all sentences, the narrator's included).
    """
    parts: dict[str, list[tuple[str, int]]] = {}
    tags = [(name, 1) for name in tasks if name.startswith("tags/")]
    if tags:
        parts["tags_macro_f1"] = tags
    for name, task in tasks.items():
        labels = task.labels
        every = [(name, number) for number in range(len(labels))]
        if name == "stance":
            parts["stance_macro_f1"] = every
            if {"favor", "against"} <= set(labels):
                parts["favor_against_f1"] = [
                    (name, labels.index(label)) for label in ("favor", "against")
                ]
        elif name == "speaker":
            parts["speaker_f1"] = [(name, 1)]
        elif "/" not in name:
            parts[f"{name}_macro_f1"] = every
            if labels == ("false", "true"):
                parts[f"{name}_f1"] = [(name, 1)]
        elif not name.startswith("tags/"):
            parts[f"{name.replace('/', '_')}_f1"] = [(name, 1)]
            if not name.startswith("spans/"):
                parts.setdefault(f"{name.split('/')[0]}_macro_f1", []).append((name, 1))
    return parts


def headline(tasks: Mapping[str, Task], weights: Counts | None = None) -> dict[str, Counts]:
    """The figures of `headline_parts`, for every row of article weights.

    Args:
        weights: (resamples, articles) how often each article counts; once each by default.

    Returns:
        name to (resamples,).
    """
    f1: dict[str, Counts] = {}
    for name, task in tasks.items():
        if weights is None:
            summed = task.confusions.sum(0, keepdims=True)
        else:
            summed = np.einsum("ra,aij->rij", weights, task.confusions)
        f1[name] = f1_scores(summed)
    return {
        figure: np.mean([f1[name][:, label] for name, label in parts], axis=0)
        for figure, parts in headline_parts(tasks).items()
    }


def least_support(tasks: Mapping[str, Task]) -> dict[str, int]:
    """For every headline figure the gold positives of the rarest label that enters it."""
    return {
        figure: int(min(tasks[name].confusions[:, label].sum() for name, label in parts))
        for figure, parts in headline_parts(tasks).items()
    }


def bootstrap_weights(articles: int, resamples: int, seed: int) -> Counts:
    """(resamples, articles): how often each article is drawn, articles with replacement."""
    rng = np.random.default_rng(seed)
    draws: Counts = rng.multinomial(
        articles, np.full(articles, 1 / articles), size=resamples
    ).astype(np.float64)
    return draws


def expected_calibration_error(
    scores: NDArray[np.float64], correct: NDArray[np.bool_], bins: int = 15
) -> float | None:
    """Mean gap between confidence and accuracy over equal-width bins, weighted by their size.

    Guo et al. (ICML 2017). None without scores.
    """
    if not len(scores):
        return None
    number = np.minimum((scores * bins).astype(int), bins - 1)
    gaps = [
        abs(scores[number == b].mean() - correct[number == b].mean()) * np.mean(number == b)
        for b in range(bins)
        if np.any(number == b)
    ]
    return float(np.sum(gaps))


def measure(
    gold: Sequence[Article],
    predicted: Sequence[Article],
    schema: Schema,
    *,
    resamples: int = 1000,
    seed: int = 13,
) -> dict[str, Any]:
    """All figures of a set of predictions as plain data.

    Args:
        gold: articles with gold labels.
        predicted: the same articles and sentences, labelled by a model.
        resamples: bootstrap resamples of the articles for 95 % intervals; 0 for none.

    Returns:
        `articles`, `sentences`; `headline`: name to value, interval and the positives of its
        rarest label; `tasks`: name to labels with precision, recall, F1 and support, accuracy (not
        of spans), macro-F1, confusion matrix and expected calibration error. F1 is None under
        `MIN_POSITIVES` positives.

    Raises:
        StanceError: the two do not have the same sentences.
    """
    tasks = collect(gold, predicted, schema)
    point = headline(tasks)
    support = least_support(tasks)
    intervals: dict[str, list[float]] = {}
    if resamples and len(gold) > 1:
        spread = headline(tasks, bootstrap_weights(len(gold), resamples, seed))
        intervals = {
            name: [float(q) for q in np.quantile(values, (0.025, 0.975))]
            for name, values in spread.items()
        }
    return {
        "articles": len(gold),
        "sentences": sum(len(article.sentences or ()) for article in gold),
        "headline": {
            name: {
                "value": float(value[0]),
                "interval": intervals.get(name),
                "support": support[name],
            }
            for name, value in point.items()
        },
        "tasks": {name: _task_figures(task) for name, task in tasks.items()},
    }


def _task_figures(task: Task) -> dict[str, Any]:
    """Figures of one task; precision, recall and F1 by scikit-learn."""
    from sklearn.metrics import precision_recall_fscore_support

    confusion = task.confusions.sum(0)
    size = len(task.labels)
    expected, found = (axis.ravel() for axis in np.indices(confusion.shape))
    precision, recall, f1, support = precision_recall_fscore_support(
        expected,
        found,
        labels=list(range(size)),
        sample_weight=confusion.ravel(),
        zero_division=0,
    )
    shown = range(1, 2) if task.labels == ("no", "yes") else range(size)
    labels = {
        task.labels[i]: {
            "precision": float(precision[i]),
            "recall": float(recall[i]),
            "f1": float(f1[i]) if support[i] >= MIN_POSITIVES else None,
            "support": int(support[i]),
        }
        for i in shown
    }
    figures: dict[str, Any] = {
        "labels": labels,
        "confusion": {"labels": list(task.labels), "counts": confusion.astype(int).tolist()},
    }
    # Where there is none and none was found is not counted: spans and speakers have no accuracy.
    if not task.name.startswith("spans/") and task.name != "speaker":
        figures["accuracy"] = float(np.trace(confusion) / confusion.sum())
    if len(labels) > 1:
        figures["macro_f1"] = float(np.mean(f1))
    error = expected_calibration_error(task.scores, task.correct)
    if error is not None:
        figures["expected_calibration_error"] = error
        figures["reliability"] = reliability(task.scores, task.correct)
    return figures


def reliability(
    scores: NDArray[np.float64], correct: NDArray[np.bool_], bins: int = 10
) -> list[dict[str, float]]:
    """Mean confidence, accuracy and count of every filled bin, for a reliability diagram."""
    number = np.minimum((scores * bins).astype(int), bins - 1)
    return [
        {
            "confidence": float(scores[number == b].mean()),
            "accuracy": float(correct[number == b].mean()),
            "count": int(np.sum(number == b)),
        }
        for b in range(bins)
        if np.any(number == b)
    ]


def by_group(
    gold: Sequence[Article],
    predicted: Sequence[Article],
    schema: Schema,
    group: Callable[[int], str],
) -> dict[str, dict[str, Any]]:
    """Figures of each group of articles; `group` names the group of the article at a position."""
    members: dict[str, list[int]] = {}
    for number in range(len(gold)):
        members.setdefault(group(number), []).append(number)
    return {
        name: measure(
            [gold[i] for i in numbers], [predicted[i] for i in numbers], schema, resamples=0
        )
        for name, numbers in sorted(members.items())
    }
