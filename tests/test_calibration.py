"""Temperatures: what was scaled comes back, and probabilities stay probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stance.calibration import (
    FEW_PAIRS,
    Calibration,
    best_sequence,
    fit_following,
    fit_temperature,
    fit_weights,
    softmax,
)
from stance.errors import StanceError
from stance.evaluation import expected_calibration_error
from stance.schema import DEFAULT


def sample(temperature: float, size: int = 20000) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `temperature` times too sharp for the labels drawn from them."""
    rng = np.random.default_rng(5)
    honest = rng.normal(0, 1.5, (size, 3)).astype(np.float32)
    labels = (softmax(honest).cumsum(-1) < rng.random((size, 1))).sum(-1).clip(max=2)
    return honest * np.float32(temperature), labels


def test_what_was_not_fitted_stays_as_it_was():
    before = Calibration(
        {"source": 2.0, "stance": 3.0, "tone": 0.5},
        {"source": (1, 2, 3), "spans/cue": (1, 2, 3)},
        {"source": ((0.0,) * 3,) * 3},
    )
    new = Calibration({"stance": 1.5}, {"stance": (2, 1, 1)})
    assert new.over(before.only({"source", "stance", "spans/cue"})) == Calibration(
        {"source": 2.0, "stance": 1.5},
        {"source": (1, 2, 3), "spans/cue": (1, 2, 3), "stance": (2, 1, 1)},
        {"source": ((0.0,) * 3,) * 3},
    )


@given(
    st.lists(st.tuples(*[st.integers(-9, 9)] * 3), max_size=5),
    st.tuples(*[st.tuples(*[st.integers(-4, 4)] * 3)] * 3),
)
def test_the_best_sequence_of_labels_is_found(
    rows: list[tuple[int, int, int]], following: tuple[tuple[int, int, int], ...]
):
    scores = np.array(rows, dtype=np.float32).reshape(-1, 3)

    def value(labels: Sequence[int]) -> int:
        return sum(row[label] for row, label in zip(rows, labels, strict=True)) + sum(
            following[one][next_one] for one, next_one in pairwise(labels)
        )

    found = best_sequence(scores, np.array(following, dtype=np.float32)).tolist()
    assert value(found) == max(map(value, product(range(3), repeat=len(rows))))


def test_a_doubtful_label_goes_with_its_neighbours():
    rows = fit_following([[0] * 400 + [1] * 400] * 2, 2)
    assert rows[0][0] > 0 > rows[0][1]
    probs = np.array([[0.9, 0.1], [0.48, 0.52], [0.9, 0.1]], dtype=np.float32)
    alone, together = Calibration(), Calibration(following={"allegation": rows})
    assert alone.choose_in_order("allegation", probs).tolist() == [0, 1, 0]
    assert together.choose_in_order("allegation", probs).tolist() == [0, 0, 0]
    assert together.choose_in_order("allegation", probs[:0]).tolist() == []


def test_nothing_is_learned_from_few_neighbours():
    assert fit_following([[0, 1]] * (FEW_PAIRS - 1), 2) == ()
    assert fit_following([[0, 1]] * FEW_PAIRS, 2) != ()
    assert fit_following([[0]] * 5000, 2) == ()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_is_found(temperature: float):
    logits, labels = sample(temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)


def test_scaling_lowers_the_calibration_error():
    logits, labels = sample(2.5)
    correct = logits.argmax(-1) == labels
    before = expected_calibration_error(softmax(logits).max(-1).astype(float), correct)
    scaled = logits / np.float32(fit_temperature(logits, labels))
    after = expected_calibration_error(softmax(scaled).max(-1).astype(float), correct)
    assert before is not None
    assert after is not None
    assert after < 0.02 < before


def test_weights_raise_the_macro_f1_of_a_rare_label():
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(5)
    labels = (rng.random(20000) < 0.05).astype(int)
    evidence = rng.normal(labels * 1.5, 1.0)
    odds = 0.05 / 0.95 * np.exp(1.5 * evidence - 1.125)
    probs = np.stack([1 / (1 + odds), odds / (1 + odds)], -1).astype(np.float32)
    half = len(labels) // 2
    weights = fit_weights(probs[:half], labels[:half])
    plain = f1_score(labels[half:], probs[half:].argmax(-1), average="macro")
    calibration = Calibration(weights={"allegation": weights})
    chosen = f1_score(
        labels[half:], calibration.choose("allegation", probs[half:]), average="macro"
    )
    assert chosen > plain + 0.02


def test_weights_are_for_the_labels_that_count():
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(7)
    labels = rng.choice(3, size=9000, p=[0.1, 0.05, 0.85])
    probs = rng.dirichlet([1, 1, 2], size=9000).astype(np.float32)
    probs = (probs + 0.6 * np.eye(3, dtype=np.float32)[labels]) * [0.3, 0.3, 1]  # too shy
    probs = (probs / probs.sum(-1, keepdims=True)).astype(np.float32)

    def f1(weights):
        found = (probs * np.array(weights)).argmax(-1)
        return f1_score(labels, found, average=None)

    every, two = fit_weights(probs, labels), fit_weights(probs, labels, [0, 1])
    assert f1(two)[:2].mean() > f1((1, 1, 1))[:2].mean()
    assert f1(every).mean() > f1((1, 1, 1)).mean()


def test_few_labels_ask_for_little():
    rng = np.random.default_rng(5)
    labels = (rng.random(20000) < 0.2).astype(int)
    odds = 0.1 * np.exp(1.5 * rng.normal(labels * 1.5, 1.0))
    probs = np.stack([1 / (1 + odds), odds / (1 + odds)], -1).astype(np.float32)
    many = fit_weights(probs, labels)
    few = fit_weights(probs[:400], labels[:400])
    assert 1 < few[1] / few[0] < many[1] / many[0]


def test_weights_are_one_where_a_label_is_too_rare():
    assert fit_weights(np.full((100, 2), 0.5, dtype=np.float32), np.zeros(100, dtype=int)) == (1, 1)


def test_few_labels_leave_the_temperature_alone():
    logits, labels = sample(2.5, size=20)
    assert fit_temperature(logits, labels) == 1.0


@given(values=st.lists(st.floats(-60, 60, width=32), min_size=5, max_size=5))
def test_facets_are_distributions_side_by_side(values: list[float]):
    calibration = Calibration({"source": 2.0})
    probs = calibration.facet_probabilities(np.array([values], dtype=np.float32), DEFAULT)
    for _, columns in DEFAULT.slices():
        assert probs[0, columns].sum() == pytest.approx(1, abs=1e-5)
    assert ((probs >= 0) & (probs <= 1)).all()


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        (Calibration(weights={"stance": (1.0, 2.0)}), "weights of stance: want 3 numbers above 0"),
        (Calibration(weights={"spans/cue": (1.0, 0.0, 1.0)}), "weights of spans/cue: want 3"),
        (Calibration(weights={"source": (1.0, float("nan"), 1.0)}), "weights of source: want 3"),
        (Calibration(following={"allegation": ((0.0, 1.0),)}), "following of allegation: want 2"),
        (Calibration(following={"source": ()}), "following of source: want 3 rows"),
        (Calibration(following={"allegation": ((0.0, float("inf")), (0.0, 0.0))}), "want 2 rows"),
    ],
)
def test_what_does_not_fit_the_schema_is_refused(calibration: Calibration, message: str):
    with pytest.raises(StanceError, match=f"^somewhere: .*{message}"):
        calibration.check(DEFAULT, where="somewhere")
    Calibration({"source": 2.0}, {"source": (1.0, 2.0, 0.5)}).check(DEFAULT, where="somewhere")


def test_saved_and_loaded(tmp_path: Path):
    following = {"allegation": ((0.5, -1.0), (-1.0, 0.5))}
    calibration = Calibration({"stance": 1.5}, {"stance": (1.0, 2.0, 0.5)}, following)
    calibration.save(tmp_path / "calibration.json")
    assert Calibration.load(tmp_path / "calibration.json") == calibration
    (tmp_path / "older.json").write_text('{"temperatures": {"stance": 2}}')
    assert Calibration.load(tmp_path / "older.json") == Calibration({"stance": 2.0})
    assert Calibration.load(tmp_path / "missing.json").temperature("stance") == 1.0
    (tmp_path / "calibration.json").write_text('{"temperatures": 3}')
    with pytest.raises(StanceError, match="not a calibration"):
        Calibration.load(tmp_path / "calibration.json")
