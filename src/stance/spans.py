"""Takes the O/B/I logits of tokens; gives spans, and the weights with which they are found best.

Each word has the label of its first token. Of all sequences of labels in which a span begins with
B, goes on with I, and ends before the next one begins, the most probable is taken (Viterbi, Error
bounds for convolutional codes, IEEE Transactions on Information Theory 1967).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stance.records import Span
from stance.schema import FloatArray

NEVER = np.float32(-1e9)
"""The score of a span's label behind the last word of a sentence."""

TOGETHER = 256
"""So many sentences are padded to one length."""

STEPS = (1.0, 0.5, 0.25)
"""By how much a weight's logarithm is changed in the search for the best, one after the other."""
LARGEST = 5.0
"""No weight's logarithm is further from 0."""
FEW_SPANS = 100
"""Below so many labelled spans of a track there is nothing to fit."""

Pieces = Sequence[tuple[NDArray[np.int32], FloatArray]]
"""Of every sentence its tokens' offsets (n, 2) and logits (n, tracks, 3)."""


@dataclass(frozen=True)
class Words:
    """The words of one sentence: the number of each one's first token, its start and its end."""

    first: NDArray[np.int64]
    start: NDArray[np.int32]
    end: NDArray[np.int32]

    @classmethod
    def of(cls, text: str, pieces: Sequence[NDArray[np.int32]]) -> list[Words]:
        """The words of sentences whose tokens have these offsets (n, 2).

        Tokens are of one word if they stand together and the characters at the seam are letters or
        digits.
        """
        sizes = np.array([len(offsets) for offsets in pieces], dtype=np.int64)
        offsets = np.concatenate(pieces)
        tokens = (offsets[:, 0] >= 0).nonzero()[0]  # the others are markers
        start, end = offsets[tokens, 0], offsets[tokens, 1]
        row = np.repeat(np.arange(len(pieces)), sizes)[tokens]
        begins = np.ones(len(tokens), dtype=bool)
        begins[1:] = (start[1:] != end[:-1]) | (row[1:] != row[:-1])
        for place in (~begins).nonzero()[0].tolist():
            seam = int(start[place])
            begins[place] = not text[seam - 1 : seam + 1].isalnum()
        last = np.append(begins[1:], True) if len(tokens) else begins
        first = (tokens - (np.cumsum(sizes) - sizes)[row])[begins]
        start, end = start[begins], end[last]
        cuts = np.searchsorted(row[begins], range(len(pieces) + 1)).tolist()
        return [cls(first[a:b], start[a:b], end[a:b]) for a, b in pairwise(cuts)]


def decode_spans(
    text: str, pieces: Pieces, tracks: Sequence[str], weights: Mapping[str, Sequence[float]]
) -> list[dict[str, tuple[Span, ...]]]:
    """The spans of every sentence of an article, by track.

    Args:
        text: the article's; offsets point into it.
        pieces: of every sentence its tokens' offsets (n, 2), -1 for markers, and logits
            (n, tracks, 3) of O, B and I.
        weights: of a track, what multiplies the probabilities of O, B and I; 1 where it is missing.
    """
    if not tracks:
        return [{} for _ in pieces]
    result: list[dict[str, tuple[Span, ...]]] = []
    for first in range(0, len(pieces), TOGETHER):
        result += _decode(text, pieces[first : first + TOGETHER], tracks, weights)
    return result


def _decode(
    text: str, pieces: Pieces, tracks: Sequence[str], weights: Mapping[str, Sequence[float]]
) -> list[dict[str, tuple[Span, ...]]]:
    result: list[dict[str, tuple[Span, ...]]] = [dict.fromkeys(tracks, ()) for _ in pieces]
    words = Words.of(text, [offsets for offsets, _ in pieces])
    scores = word_scores([logits for _, logits in pieces], words)
    added = np.stack([log_weights(weights.get(track, (1, 1, 1))) for track in tracks])
    scores = (scores + added[:, None]).reshape(len(words) * len(tracks), *scores.shape[2:])
    inside = best_labels(scores)
    for column, track in enumerate(tracks):
        found: dict[int, list[Span]] = {}
        for row, span in read_runs(inside[column :: len(tracks)], words):
            found.setdefault(row, []).append(span)
        for row, spans in found.items():
            result[row][track] = tuple(spans)
    return result


def word_scores(logits: Sequence[FloatArray], words: Sequence[Words]) -> FloatArray:
    """How much more probable B and I are than O: (sentences, tracks, words, 2), logarithms.

    Args:
        logits: of every sentence (tokens, tracks, 3).
    """
    length = max((len(sentence.first) for sentence in words), default=0)
    tracks = logits[0].shape[1] if logits else 0
    scores = np.full((len(words), tracks, length, 2), NEVER, dtype=np.float32)
    for row, (values, sentence) in enumerate(zip(logits, words, strict=True)):
        by_track = values[sentence.first].transpose(1, 0, 2)
        scores[row, :, : len(sentence.first)] = by_track[..., 1:] - by_track[..., :1]
    return scores


def log_weights(weights: Sequence[float]) -> FloatArray:
    """What weights of O, B and I (3,) add to the scores of B and I (2,)."""
    logs = np.log(np.asarray(weights, dtype=np.float64))
    return np.asarray(logs[1:] - logs[:1], dtype=np.float32)


def best_labels(scores: FloatArray) -> NDArray[np.bool_]:
    """Which words are in a span (sentences, words), from scores (sentences, words, 2).

    A span never begins right behind another, so spans are the runs of words that are in one.
    """
    inside = np.zeros(scores.shape[:2], dtype=bool)
    # Where O is the best label of every word, it is the best sequence as well.
    rows = np.nonzero((scores > 0).any((1, 2)))[0]
    if not len(rows):
        return inside
    begin, within = np.moveaxis(scores[rows].transpose(1, 0, 2), 2, 0)
    length = len(begin)
    ends = np.empty(begin.shape, dtype=bool)  # the best way to O comes from B or I
    short = np.empty(begin.shape, dtype=bool)  # the best way to I, or out of it, comes from B
    o, b, i = np.zeros_like(begin[0]), begin[0], np.full_like(begin[0], NEVER)
    for word in range(1, length):
        short[word] = b >= i
        span = np.maximum(b, i)
        ends[word] = span > o
        o, b, i = np.maximum(o, span), o + begin[word], span + within[word]
    outside, first = o >= np.maximum(b, i), b >= i
    for word in range(length - 1, -1, -1):
        inside[rows, word] = ~outside
        if word:
            # Before O stands what led to it; before B always O; before I always B or I.
            outside = np.where(outside, ~ends[word], first)
            first = short[word]
    return inside


def read_runs(inside: NDArray[np.bool_], words: Sequence[Words]) -> Iterator[tuple[int, Span]]:
    """Sentence and span of every run of True in an array (sentences, words); no empty spans."""
    around = np.pad(inside, ((0, 0), (1, 1)))
    rows, first = np.nonzero(around[:, 1:-1] & ~around[:, :-2])
    last = np.nonzero(around[:, 1:-1] & ~around[:, 2:])[1]
    for row, begin, end in zip(rows.tolist(), first.tolist(), last.tolist(), strict=True):
        span = int(words[row].start[begin]), int(words[row].end[end])
        if span[0] < span[1]:
            yield row, span


class LabelledSpans:
    """Sentences with labelled spans, of which the weights are fitted that find these best."""

    def __init__(self, tracks: Sequence[str]) -> None:
        self.tracks = tracks
        self.words: list[Words] = []
        self.logits: list[FloatArray] = []
        self.gold: list[Mapping[str, Sequence[Span]]] = []

    def add(
        self,
        text: str,
        offsets: NDArray[np.int32],
        logits: FloatArray,
        spans: Mapping[str, Sequence[Span]],
    ) -> None:
        """Add a sentence: its tokens' offsets (n, 2) and logits (n, tracks, 3), and its spans."""
        self.words += Words.of(text, [offsets])
        self.logits.append(logits)
        self.gold.append(spans)

    def fit_weights(self) -> dict[str, tuple[float, float, float]]:
        """Of every track the weights of O, B and I that give the best F1 of exact spans.

        By coordinate search over B and I; a track with fewer than `FEW_SPANS` spans is left out.
        """
        return {
            track: self._fit(column, track)
            for column, track in enumerate(self.tracks)
            if sum(len(spans.get(track, ())) for spans in self.gold) >= FEW_SPANS
        }

    def _fit(self, column: int, track: str) -> tuple[float, float, float]:
        scores = word_scores([logits[:, [column]] for logits in self.logits], self.words)[:, 0]
        gold = {
            (row, (start, end))
            for row, spans in enumerate(self.gold)
            for start, end in spans.get(track, ())
        }

        def f1(added: tuple[float, ...]) -> float:
            inside = best_labels(scores + np.asarray(added, np.float32))
            found = set(read_runs(inside, self.words))
            return 2 * len(found & gold) / (len(found) + len(gold))

        chosen: tuple[float, ...] = (0.0, 0.0)
        best = f1(chosen)
        for step in STEPS:
            moved = True
            while moved:
                moved = False
                for place in (0, 1):
                    for change in (-step, step):
                        other = tuple(v + change * (n == place) for n, v in enumerate(chosen))
                        value = f1(other) if abs(other[place]) <= LARGEST else 0.0
                        if value > best:
                            best, chosen, moved = value, other, True
        begin, within = np.exp(chosen).tolist()
        return (1.0, begin, within)
