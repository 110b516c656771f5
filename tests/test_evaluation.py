"""Figures from gold and predicted articles, against hand-made examples and scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from stance.errors import StanceError
from stance.evaluation import (
    MIN_POSITIVES,
    by_group,
    expected_calibration_error,
    gold_tags,
    measure,
    reliability,
)
from stance.records import Article, Label
from stance.schema import DEFAULT, Facet, Schema, Tag

SENTENCE = "It rained. "
SOURCES = ("official", "other", "narrator")


def article(rows: Sequence[Mapping[str, Any]], targets: int = 0, publisher: str = "a") -> Article:
    """An article with a sentence per row of labels."""
    sentences = [
        {"start": i * len(SENTENCE), "end": i * len(SENTENCE) + 10, **row}
        for i, row in enumerate(rows)
    ]
    return Article.from_dict(
        {
            "text": SENTENCE * len(rows),
            "publisher": publisher,
            "targets": [f"target {i}" for i in range(targets)],
            "sentences": sentences,
        }
    )


def random_articles(count: int, seed: int) -> list[Article]:
    """Articles of ten sentences with random labels and two targets."""
    rng = np.random.default_rng(seed)
    return [
        article(
            [
                {
                    "source": str(rng.choice(SOURCES)),
                    "allegation": bool(rng.random() < 0.4),
                    "stance": [str(label) for label in rng.choice(DEFAULT.stance, size=2)],
                }
                for _ in range(10)
            ],
            targets=2,
        )
        for _ in range(count)
    ]


def values(measured: Mapping[str, Any]) -> dict[str, float]:
    return {name: figure["value"] for name, figure in measured["headline"].items()}


def test_a_hand_made_example() -> None:
    gold = [
        article(
            [
                {"source": "official", "allegation": True, "stance": ["favor"]},
                {"source": "other", "allegation": False, "stance": ["against"]},
                {"source": "narrator", "allegation": False, "stance": ["neutral"]},
                {"source": "narrator", "allegation": False, "stance": ["neutral"]},
            ],
            targets=1,
        )
    ]
    predicted = [
        article(
            [
                {"source": "official", "allegation": True, "stance": ["favor"]},
                {"source": "narrator", "allegation": True, "stance": ["favor"]},
                {"source": "narrator", "allegation": False, "stance": ["neutral"]},
                {"source": "narrator", "allegation": False, "stance": ["neutral"]},
            ],
            targets=1,
        )
    ]
    found = values(measure(gold, predicted, DEFAULT))
    assert found["source_macro_f1"] == pytest.approx((1 + 0 + 4 / 5) / 3)
    assert found["allegation_f1"] == pytest.approx(2 / 3)
    assert found["tags_macro_f1"] == pytest.approx((1 + 2 / 3 + 4 / 5) / 3)
    assert found["stance_macro_f1"] == pytest.approx((2 / 3 + 0 + 1) / 3)
    assert found["favor_against_f1"] == pytest.approx((2 / 3 + 0) / 2)


def test_macro_f1_is_that_of_scikit_learn() -> None:
    gold, predicted = random_articles(30, 1), random_articles(30, 2)
    found = values(measure(gold, predicted, DEFAULT, resamples=0))

    def flat(articles: Sequence[Article], facet: str) -> list[Any]:
        return [s.facets[facet].label for a in articles for s in a.sentences or ()]

    def stances(articles: Sequence[Article]) -> list[str]:
        return [t.label for a in articles for s in a.sentences or () for t in s.stance]

    def tags(articles: Sequence[Article]) -> np.ndarray[Any, Any]:
        return np.array(
            [
                [tag.name in (gold_tags(s.facets, DEFAULT) or ()) for tag in DEFAULT.tags]
                for a in articles
                for s in a.sentences or ()
            ]
        )

    assert found["source_macro_f1"] == pytest.approx(
        f1_score(flat(gold, "source"), flat(predicted, "source"), average="macro")
    )
    assert found["allegation_f1"] == pytest.approx(
        f1_score(flat(gold, "allegation"), flat(predicted, "allegation"))
    )
    assert found["stance_macro_f1"] == pytest.approx(
        f1_score(stances(gold), stances(predicted), average="macro")
    )
    assert found["favor_against_f1"] == pytest.approx(
        f1_score(stances(gold), stances(predicted), average="macro", labels=["favor", "against"])
    )
    assert found["tags_macro_f1"] == pytest.approx(
        f1_score(tags(gold), tags(predicted), average="macro")
    )


def test_intervals_hold_the_value_and_shrink_with_more_articles() -> None:
    widths = []
    for count in (10, 200):
        gold, predicted = random_articles(count, 1), random_articles(count, 2)
        measured = measure(gold, predicted, DEFAULT, resamples=300)
        for figure in measured["headline"].values():
            assert figure["interval"][0] <= figure["value"] <= figure["interval"][1]
        low, high = measured["headline"]["source_macro_f1"]["interval"]
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_the_same_seed_gives_the_same_intervals() -> None:
    gold, predicted = random_articles(10, 1), random_articles(10, 2)
    first = measure(gold, predicted, DEFAULT, resamples=50, seed=3)
    assert measure(gold, predicted, DEFAULT, resamples=50, seed=3) == first
    assert measure(gold, predicted, DEFAULT, resamples=50, seed=4) != first


def test_one_article_has_no_interval() -> None:
    gold = random_articles(1, 1)
    headline = measure(gold, gold, DEFAULT)["headline"]
    assert {figure["interval"] for figure in headline.values()} == {None}


def test_calibration_error_of_a_constructed_example() -> None:
    scores = np.array([0.95] * 10 + [0.55] * 10)
    correct = np.array([True] * 9 + [False] + [True] * 3 + [False] * 7)
    error = expected_calibration_error(scores, correct)
    assert error == pytest.approx(0.5 * (0.95 - 0.9) + 0.5 * (0.55 - 0.3))
    assert expected_calibration_error(np.array([]), np.array([], dtype=bool)) is None
    bins = reliability(scores, correct)
    assert [entry["count"] for entry in bins] == [10, 10]
    assert [entry["accuracy"] for entry in bins] == pytest.approx([0.3, 0.9])


def test_scores_of_predictions_give_a_calibration_error() -> None:
    gold = article([{"allegation": False}, {"allegation": True}])
    predicted = article(
        [
            {"allegation": {"label": False, "score": 0.8}},
            {"allegation": {"label": False, "score": 0.8}},
        ]
    )
    figures = measure([gold], [predicted], DEFAULT)["tasks"]["allegation"]
    assert figures["expected_calibration_error"] == pytest.approx(0.3)
    assert figures["accuracy"] == 0.5


def test_tags_follow_only_where_all_facets_are_known() -> None:
    known = {"source": Label("other"), "allegation": Label(False)}
    assert gold_tags(known, DEFAULT) == ["background"]
    assert gold_tags({"source": Label("official")}, DEFAULT) is None
    gold = article([{"source": "official"}, {"source": "other", "allegation": True}])
    measured = measure(
        [gold], [article([{"source": "official", "allegation": False}] * 2)], DEFAULT
    )
    assert np.sum(measured["tasks"]["tags/allegation"]["confusion"]["counts"]) == 1
    assert np.sum(measured["tasks"]["source"]["confusion"]["counts"]) == 2


def test_spans_are_right_only_when_they_are_the_same() -> None:
    gold = article([{"spans": {"source": [[0, 2], [3, 9]], "cue": [], "content": []}}])
    predicted = article(
        [{"spans": {"source": [[0, 2], [3, 8], [9, 10]], "cue": [], "content": []}}]
    )
    measured = measure([gold], [predicted], DEFAULT)
    assert measured["headline"]["spans_source_f1"]["value"] == pytest.approx(2 * 1 / (2 + 3))
    row = measured["tasks"]["spans/source"]["labels"]["yes"]
    assert (row["precision"], row["recall"]) == pytest.approx((1 / 3, 1 / 2))
    assert "spans/cue" not in measured["tasks"]


def test_labels_of_a_multi_facet_are_measured_one_by_one() -> None:
    schema = Schema(
        (Facet("topic", ("war", "money"), "multi"),), (Tag("war", {"topic": ("war",)}),)
    )
    gold = article([{"topic": ["war", "money"]}, {"topic": []}])
    predicted = article([{"topic": ["war"]}, {"topic": ["war"]}])
    found = values(measure([gold], [predicted], schema))
    assert found["topic_war_f1"] == pytest.approx(2 / 3)
    assert found["topic_money_f1"] == 0
    assert found["topic_macro_f1"] == pytest.approx(1 / 3)
    assert found["tags_macro_f1"] == pytest.approx(2 / 3)


def test_no_f1_of_a_label_with_few_positives() -> None:
    rows = [{"allegation": i < MIN_POSITIVES - 1} for i in range(80)]
    measured = measure([article(rows)], [article(rows)], DEFAULT)
    labels = measured["tasks"]["allegation"]["labels"]
    assert labels["true"]["f1"] is None
    assert labels["false"]["f1"] == 1
    assert measured["headline"]["allegation_f1"]["support"] == MIN_POSITIVES - 1


def test_what_the_gold_or_the_prediction_lacks_is_not_measured() -> None:
    gold = article([{"source": "other", "allegation": True}])
    measured = measure([gold], [article([{"source": "other"}])], DEFAULT)
    assert set(measured["headline"]) == {"source_macro_f1"}


def test_other_sentences_are_an_error() -> None:
    gold = article([{"source": "other"}, {"source": "other"}])
    shorter = replace(gold, sentences=(gold.sentences or ())[:1])
    with pytest.raises(StanceError, match="not the gold ones"):
        measure([gold], [shorter], DEFAULT)
    with pytest.raises(StanceError, match="0 predicted articles for 1"):
        measure([gold], [], DEFAULT)


def test_groups_are_measured_by_themselves() -> None:
    gold = [article([{"source": "other"}], publisher=name) for name in "aab"]
    groups = by_group(gold, gold, DEFAULT, lambda number: str(gold[number].publisher))
    assert {name: figures["articles"] for name, figures in groups.items()} == {"a": 2, "b": 1}
