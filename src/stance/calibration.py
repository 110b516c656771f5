"""Takes logits with gold labels; gives what decides between labels, and uses it.

Temperature scaling (Guo et al., On Calibration of Modern Neural Networks, ICML 2017) makes
probabilities honest. The most probable label is not the one that serves macro-F1 best where labels
are rare, so probabilities are multiplied by a weight before the highest is taken. Labels of
neighbouring sentences go together, so those of an article are decided in order (Viterbi, Error
bounds for convolutional codes, IEEE Transactions on Information Theory 1967).
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stance.errors import StanceError
from stance.schema import Facet, FloatArray, Schema

FOLLOWING = 0.2
"""How much the label of the sentence before counts, beside what the model says of the sentence."""
FEW_LABELS = 50
"""To fewer labels no temperature is fitted."""
FEW_OF_ONE = 30
"""Where a label is rarer, no weights are fitted."""
FEW_PAIRS = 500
"""From fewer pairs of neighbouring sentences nothing is learned about which label follows which."""
RESAMPLES = 20
SHRINKAGE = 1000
"""So many labels leave half of the (logarithmic) weights that they ask for."""


@dataclass(frozen=True)
class Calibration:
    """What was fitted for facets, "stance" and "spans/<track>"; else nothing changes.

    temperatures: divide the logits.
    weights: multiply the probabilities when a label is chosen; the probabilities stay as they are.
    following: `following[name][a][b]` is added to the logarithm of label b behind a label a.
    """

    temperatures: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    following: Mapping[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict)

    def choose(self, name: str, probs: FloatArray) -> NDArray[np.int64]:
        """The number of the label to give, from probabilities (..., labels)."""
        best: NDArray[np.int64] = self._weighted(name, probs).argmax(-1)
        return best

    def choose_in_order(self, name: str, probs: FloatArray) -> NDArray[np.int64]:
        """The numbers of the labels of an article's sentences, from probabilities (n, labels).

        Where it was fitted, what the sentences around have counts as well.
        """
        following = self.following.get(name)
        if following is None:
            return self.choose(name, probs)
        scores = np.log(np.maximum(self._weighted(name, probs), 1e-9))
        return best_sequence(scores, np.asarray(following, dtype=scores.dtype))

    def _weighted(self, name: str, probs: FloatArray) -> FloatArray:
        weights = self.weights.get(name)
        return probs if weights is None else probs * np.asarray(weights, dtype=np.float32)

    def temperature(self, name: str) -> float:
        """The temperature that divides the logits of a facet or of "stance"."""
        return self.temperatures.get(name, 1.0)

    def facet_probabilities(self, logits: FloatArray, schema: Schema) -> FloatArray:
        """Probabilities of all facets side by side, from logits of the same shape (..., width)."""
        result = np.empty_like(logits)
        for facet, columns in schema.slices():
            scaled = logits[..., columns] / np.float32(self.temperature(facet.name))
            result[..., columns] = probabilities(scaled, facet)
        return result

    def stance_probabilities(self, logits: FloatArray) -> FloatArray:
        """Probabilities of the stances, from logits of the same shape (..., stances)."""
        return softmax(logits / np.float32(self.temperature("stance")))

    def span_weights(self, tracks: Iterable[str]) -> dict[str, tuple[float, ...]]:
        """The weights of O, B and I of those of the tracks for which they were fitted."""
        named = {track: self.weights.get(f"spans/{track}") for track in tracks}
        return {track: weights for track, weights in named.items() if weights}

    def only(self, names: Container[str]) -> Calibration:
        """What was fitted for these facets, "stance" and "spans/<track>"."""
        return Calibration(
            {name: value for name, value in self.temperatures.items() if name in names},
            {name: value for name, value in self.weights.items() if name in names},
            {name: value for name, value in self.following.items() if name in names},
        )

    def over(self, other: Calibration) -> Calibration:
        """This calibration, and what the other has for that which was not fitted here."""
        return Calibration(
            {**other.temperatures, **self.temperatures},
            {**other.weights, **self.weights},
            {**other.following, **self.following},
        )

    def check(self, schema: Schema, where: str) -> None:
        """Raise `StanceError` if something does not fit the labels of a schema, or is no number."""
        labels = {facet.name: len(facet.labels) for facet in schema.facets}
        labels |= {"stance": len(schema.stance)} | {f"spans/{track}": 3 for track in schema.spans}
        for name, count in labels.items():
            temperature = self.temperature(name)
            if not (np.isfinite(temperature) and temperature > 0):
                raise StanceError(f"{where}: temperature of {name}: want a number above 0")
            weights = np.asarray(self.weights.get(name, (1,) * count))
            if weights.shape != (count,) or not (np.isfinite(weights) & (weights > 0)).all():
                raise StanceError(f"{where}: weights of {name}: want {count} numbers above 0")
            rows = self.following.get(name, ((0,) * count,) * count)
            is_square = [len(row) for row in rows] == [count] * count
            if not is_square or not np.isfinite(rows).all():
                raise StanceError(
                    f"{where}: following of {name}: want {count} rows of {count} numbers"
                )

    def save(self, path: str | Path) -> None:
        """Write as JSON."""
        data = {
            "temperatures": dict(self.temperatures),
            "weights": {name: list(weights) for name, weights in self.weights.items()},
            "following": {name: [list(r) for r in rows] for name, rows in self.following.items()},
        }
        Path(path).write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """Read JSON; a missing file is no calibration. Raises `StanceError` if it is broken."""
        path = Path(path)
        if not path.is_file():
            return cls()
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                {str(name): float(value) for name, value in data["temperatures"].items()},
                {
                    str(name): tuple(float(weight) for weight in weights)
                    for name, weights in data.get("weights", {}).items()
                },
                {
                    str(name): tuple(tuple(float(value) for value in row) for row in rows)
                    for name, rows in data.get("following", {}).items()
                },
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StanceError(f"{path}: not a calibration: {error!r}") from error


def softmax(logits: FloatArray) -> FloatArray:
    """Softmax over the last axis, which may be empty."""
    if not logits.size:
        return logits
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    result: FloatArray = shifted / shifted.sum(-1, keepdims=True)
    return result


def probabilities(logits: FloatArray, facet: Facet) -> FloatArray:
    """Softmax for a single facet, a sigmoid per label for a multi facet."""
    if facet.kind == "single":
        return softmax(logits)
    result: FloatArray = (1 / (1 + np.exp(-logits))).astype(np.float32)
    return result


def best_sequence(scores: FloatArray, following: FloatArray) -> NDArray[np.int64]:
    """The labels (n,) with the highest sum of scores (n, labels) and of what follows what.

    Args:
        following: (labels, labels); `following[a, b]` counts where b stands behind a.
    """
    best = np.zeros(len(scores), dtype=np.int64)
    if not len(scores):
        return best
    before = np.zeros(scores.shape, dtype=np.int64)
    total = scores[0]
    for row in range(1, len(scores)):
        ways = total[:, None] + following
        before[row] = ways.argmax(0)
        total = ways.max(0) + scores[row]
    best[-1] = total.argmax()
    for row in range(len(scores) - 1, 0, -1):
        best[row - 1] = before[row, best[row]]
    return best


def fit_following(labels: Iterable[Sequence[int]], classes: int) -> tuple[tuple[float, ...], ...]:
    """What a label adds to the logarithm of the one that follows it, for `best_sequence`.

    How much more frequent a label is behind another than anywhere (logarithm), by `FOLLOWING`.

    Args:
        labels: class numbers of neighbouring sentences, in order, an article after the other.

    Returns:
        A row for each label; empty for fewer than `FEW_PAIRS` pairs.
    """
    pairs = np.ones((classes, classes))
    for article in labels:
        np.add.at(pairs, (list(article[:-1]), list(article[1:])), 1)
    if pairs.sum() - pairs.size < FEW_PAIRS:
        return ()
    expected = pairs.sum(1, keepdims=True) * pairs.sum(0) / pairs.sum()
    added = FOLLOWING * np.log(pairs / expected)
    return tuple(tuple(float(value) for value in row) for row in added)


def fit_temperature(logits: FloatArray, labels: NDArray[np.int64]) -> float:
    """The temperature that minimises the negative log-likelihood, by golden-section search.

    Args:
        logits: (n, classes).
        labels: (n,) class numbers.

    Returns:
        A temperature from 0.2 to 5; 1 for fewer than `FEW_LABELS` labels.
    """
    if len(labels) < FEW_LABELS:
        return 1.0
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        scaled = logits.astype(np.float64) / np.exp(log_temperature)
        scaled -= scaled.max(-1, keepdims=True)
        picked = scaled[rows, labels] - np.log(np.exp(scaled).sum(-1))
        return float(-picked.mean())

    low, high = float(np.log(0.2)), float(np.log(5.0))
    ratio = (np.sqrt(5) - 1) / 2
    for _ in range(40):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def fit_weights(
    probs: FloatArray, labels: NDArray[np.int64], counted: Sequence[int] | None = None
) -> tuple[float, ...]:
    """Decision weights that give the best macro-F1, held back where there is little to learn from.

    The geometric mean of the best weights of `RESAMPLES` bootstrap samples (bagging, Breiman 1996),
    drawn toward 1 by the exponent n / (n + `SHRINKAGE`).

    Args:
        probs: (n, classes).
        labels: (n,) class numbers.
        counted: the classes whose F1 enters the mean; all by default.

    Returns:
        A weight for every class; all 1 where a class has fewer than `FEW_OF_ONE` labels.
    """
    classes = int(probs.shape[-1])
    if np.bincount(labels, minlength=classes).min() < FEW_OF_ONE:
        return (1.0,) * classes
    rng = np.random.default_rng(0)
    logs = []
    for _ in range(RESAMPLES):
        drawn = rng.integers(0, len(labels), len(labels))
        found = np.log(_best_weights(probs[drawn], labels[drawn], counted))
        logs.append(found - found.mean())
    weights = np.exp(np.mean(logs, axis=0) * len(labels) / (len(labels) + SHRINKAGE))
    return tuple(float(weight) for weight in weights)


def _best_weights(
    probs: FloatArray, labels: NDArray[np.int64], counted: Sequence[int] | None
) -> NDArray[np.float64]:
    """Weights from 1/3 to 3 by coordinate search over a grid."""
    classes = probs.shape[-1]
    wanted = list(range(classes) if counted is None else counted)
    weights = np.ones(classes)

    def macro_f1(candidate: NDArray[np.float64]) -> float:
        found = (probs * candidate).argmax(-1)
        confusion = np.bincount(labels * classes + found, minlength=classes**2)
        confusion = confusion.reshape(classes, classes)
        both = confusion.sum(0) + confusion.sum(1)
        f1 = 2 * np.diag(confusion) / np.maximum(both, 1)
        return float(f1[wanted].mean())

    best = macro_f1(weights)
    for _ in range(2):
        for position in range(classes):
            for value in np.geomspace(1 / 3, 3, 17):
                candidate = weights.copy()
                candidate[position] = value
                score = macro_f1(candidate)
                if score > best:
                    best, weights = score, candidate
    return weights
