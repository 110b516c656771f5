"""Spans: the best sequence of labels, in whole words, with weights that find more of the gold."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stance import spans
from stance.records import Span
from stance.schema import FloatArray
from stance.spans import NEVER, LabelledSpans, Words, best_labels, decode_spans

TEXT = "The ox, he"
OFFSETS = [(0, 3), (4, 6), (6, 7), (8, 10)]
LETTERS = [(2 * n, 2 * n + 1) for n in range(8)]
PIECES = [(0, 2), (2, 4), (4, 5), (5, 9), (10, 14)]


def array(offsets: list[Span]) -> np.ndarray:
    return np.array(offsets, dtype=np.int32).reshape(-1, 2)


def spans_of(
    text: str,
    offsets: list[Span],
    labels: list[int],
    weights: tuple[float, float, float] = (1, 1, 1),
) -> tuple[Span, ...]:
    """The spans where each token's label has one logit more than the others."""
    logits = np.zeros((len(labels), 1, 3), dtype=np.float32)
    logits[np.arange(len(labels)), 0, labels] = 1
    return decode_spans(text, [(array(offsets), logits)], ["cue"], {"cue": weights})[0]["cue"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([1, 2, 0, 2], ((0, 6),)),  # no span begins with I
        ([1, 2, 0, 1], ((0, 6), (8, 10))),
        ([0, 0, 0, 0], ()),
        ([1, 2, 2, 2], ((0, 10),)),
    ],
)
def test_spans_begin_with_b_and_go_on_with_i(labels: list[int], expected: tuple[Span, ...]):
    assert spans_of(TEXT, OFFSETS, labels) == expected


def test_no_span_begins_right_behind_another():
    logits = np.zeros((4, 1, 3), dtype=np.float32)
    logits[:, 0] = [[0, 5, 0], [0, 5, 4], [0, 5, 4], [9, 0, 0]]
    found = decode_spans(TEXT, [(array(OFFSETS), logits)], ["cue"], {})
    assert found == [{"cue": ((0, 7),)}]


def test_no_span_cuts_a_word():
    assert spans_of("Ilmo-Sarr said", PIECES, [1, 0, 0, 0, 0]) == ((0, 4),)
    assert spans_of("Ilmo-Sarr said", PIECES, [1, 1, 2, 2, 0]) == ((0, 9),)
    assert spans_of("Ilmo-Sarr said", PIECES, [0, 1, 0, 0, 0]) == ()


def test_weights_decide_where_probabilities_are_near():
    assert spans_of(TEXT, OFFSETS, [0, 1, 0, 0], (1, 0.2, 1)) == ()
    assert spans_of(TEXT, OFFSETS, [1, 0, 2, 0], (1, 1, 9)) == ((0, 10),)


def test_markers_are_no_words():
    offsets = array([(-1, -1), (0, 1), (-1, -1), (2, 3), (3, 4), (-1, -1)])
    (words,) = Words.of("a bc", [offsets])
    assert words.first.tolist() == [1, 3]
    assert words.end.tolist() == [1, 4]
    assert [len(words.first) for words in Words.of("", [array([]), array([])])] == [0, 0]


def test_a_word_ends_with_its_sentence():
    pieces = [array([(0, 1), (1, 2)]), array([]), array([(2, 3), (4, 5)])]
    words = Words.of("abc d", pieces)
    assert [(w.first.tolist(), w.start.tolist(), w.end.tolist()) for w in words] == [
        ([0], [0], [2]),
        ([], [], []),
        ([0, 1], [2, 4], [3, 5]),
    ]


def test_sentences_and_tracks_keep_apart():
    logits = np.zeros((2, 2, 3), dtype=np.float32)
    logits[:, :, 0] = 2
    logits[0, 1, 1] = 5
    pieces = [
        (array([(0, 1), (2, 3)]), logits),
        (array([]), logits[:0]),
        (array([(4, 5)]), logits[:1]),
    ]
    found = decode_spans("a b c", pieces, ["source", "cue"], {})
    assert found == [
        {"source": (), "cue": ((0, 1),)},
        {"source": (), "cue": ()},
        {"source": (), "cue": ((4, 5),)},
    ]
    assert decode_spans("", [], ["source"], {}) == []
    assert decode_spans("\x00", [(array([]), logits[:0])], ["source"], {}) == [{"source": ()}]
    assert decode_spans("a b c", pieces, [], {}) == [{}, {}, {}]


def labellings(length: int) -> list[str]:
    """All sequences of labels that are allowed."""
    every = map("".join, itertools.product("OBI", repeat=length))
    return [s for s in every if not any(bad in "O" + s for bad in ("OI", "BB", "IB"))]


@given(
    st.lists(
        st.lists(st.tuples(*[st.integers(-8, 8)] * 2), min_size=1, max_size=6),
        min_size=1,
        max_size=3,
    )
)
def test_the_best_allowed_sequence_is_found(rows: list[list[tuple[int, int]]]):
    scores: FloatArray = np.full((len(rows), max(map(len, rows)), 2), NEVER, dtype=np.float32)
    for number, row in enumerate(rows):
        scores[number, : len(row)] = row
    for inside, row in zip(best_labels(scores), rows, strict=True):
        value = {
            labels: sum(
                pair["BI".index(x)] for x, pair in zip(labels, row, strict=True) if x != "O"
            )
            for labels in labellings(len(row))
        }
        assert not inside[len(row) :].any()
        pattern = [bool(x) for x in inside[: len(row)]]
        found = [labels for labels in value if [x != "O" for x in labels] == pattern]
        assert len(found) == 1
        assert value[found[0]] == max(value.values())


def labelled(shift: float, seed: int = 3, count: int = 60) -> LabelledSpans:
    """Sentences with two spans each, whose logits of B are too small by `shift`."""
    rng = np.random.default_rng(seed)
    text = " ".join("abcdefgh")
    offsets = array(LETTERS)
    labels = np.array([1, 2, 0, 0, 0, 1, 0, 0])
    result = LabelledSpans(("source", "cue"))
    for _ in range(count):
        logits = rng.normal(0, 1, (8, 2, 3)).astype(np.float32)
        logits[np.arange(8), 0, labels] += 4
        logits[:, 0, 1] -= shift
        result.add(text, offsets, logits, {"source": ((0, 3), (10, 11)), "cue": ((0, 1),)})
    return result


def test_fitted_weights_make_up_for_what_the_logits_lack():
    fitted = labelled(shift=4).fit_weights()
    assert list(fitted) == ["source"]  # of the other there are too few
    outside, begin, _ = fitted["source"]
    assert outside == 1
    assert begin > 3
    fresh, expected = labelled(shift=4, seed=5), [((0, 3), (10, 11))] * 60
    exact = {}
    for name, weights in (("plain", {}), ("fitted", fitted)):
        found = [
            decode_spans("a b c d e f g h", [(array(LETTERS), logits)], ("source", "cue"), weights)
            for logits in fresh.logits
        ]
        exact[name] = sum(f[0]["source"] == e for f, e in zip(found, expected, strict=True))
    assert exact["fitted"] > exact["plain"] + 20


def test_fitting_ends_at_the_largest_weight(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(spans, "LARGEST", 1.0)
    _, begin, within = labelled(shift=8).fit_weights()["source"]
    assert np.abs(np.log([begin, within])).max() <= 1
