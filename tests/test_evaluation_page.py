"""The page of an evaluation: the report's figures, and errors with text where that is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from page_checks import EVIL, Page, check

from stance.evaluation import mistakes
from stance.evaluation_page import error_row, render
from stance.records import Article
from stance.report import Predictions, measure_part
from stance.schema import DEFAULT

TEXTS = ("The mayor denied it.", "They burned the mill, said Olm.", "Rain fell.")


def article(
    rows: Sequence[Mapping[str, Any]], texts: Sequence[str] = TEXTS, **about: Any
) -> Article:
    """An article whose sentences have these labels, toward one target."""
    text, sentences = "", []
    for row, sentence in zip(rows, texts, strict=True):
        sentences.append({"start": len(text), "end": len(text) + len(sentence), **row})
        text += sentence + " "
    record = {"id": "a1", "publisher": "Courier", "targets": ["Mill owners"]}
    return Article.from_dict(record | {"text": text, "sentences": sentences} | about)


GOLD = [
    {"source": "official", "allegation": False, "stance": ["neutral"]},
    {"source": "other", "allegation": True, "stance": ["against"]},
    {"source": "narrator", "allegation": False, "stance": ["neutral"]},
]


def label(value: str | bool, score: float) -> dict[str, Any]:
    return {"label": value, "score": score}


def predicted(texts: Sequence[str] = TEXTS, **about: Any) -> Article:
    """Wrong in two sources, an allegation and a stance."""
    rows = [
        (label("other", 0.6), label(False, 0.9), "neutral", 0.8),
        (label("narrator", 0.9), label(False, 0.7), "favor", 0.65),
        (label("narrator", 0.8), label(False, 0.9), "neutral", 0.9),
    ]
    labelled = [
        {
            "source": source,
            "allegation": allegation,
            "stance": [{"target": 0, "label": stance, "score": score}],
        }
        for source, allegation, stance, score in rows
    ]
    return article(labelled, texts, **about)


def page_of(
    corpora: Mapping[str, tuple[Sequence[Article], Sequence[Article]]], texts: Sequence[str]
) -> Page:
    """The page of a part `dev`, as the evaluation makes it."""
    gold = {name: pair[0] for name, pair in corpora.items()}
    found = {name: pair[1] for name, pair in corpora.items()}
    scopes = measure_part(
        Predictions(gold, {"model": found, "majority": found}), DEFAULT, resamples=20, seed=1
    )
    metrics = {"model": f"tiny {EVIL}", "command": f"stance {EVIL}", "parts": {"dev": scopes}}
    errors = [
        error_row(wrong, gold[name], part="dev", corpus=name, texts=texts)
        for name in gold
        for wrong in mistakes(gold[name], found[name], DEFAULT, 20)
    ]
    return check(render(metrics, errors, {"dev": scopes["publishers"]}))


def test_the_surest_mistakes_of_every_task() -> None:
    gold, found = [article(GOLD)] * 2, [article(GOLD), predicted()]
    wrong = mistakes(gold, found, DEFAULT, 1)
    assert [(m.task, m.article, m.sentence, m.target) for m in wrong] == [
        ("source", 1, 1, None),
        ("allegation", 1, 1, None),
        ("stance", 1, 1, 0),
    ]
    assert [(m.gold, m.predicted, m.score) for m in wrong] == [
        ("other", "narrator", 0.9),
        ("true", "false", 0.7),
        ("against", "favor", 0.65),
    ]
    assert len(mistakes(gold, found, DEFAULT, 5)) == 4
    assert mistakes(gold, gold, DEFAULT, 5) == []


def test_tables_matrices_and_diagrams_of_the_report() -> None:
    page = page_of({"starter": ([article(GOLD)] * 20, [predicted()] * 20)}, ["starter"])
    for wanted in ("Part dev", "20 articles, 60 sentences", "tags macro-F1", "majority", "Courier"):
        assert wanted in page.text
    assert "official00 %20100 %00 %other" in page.text  # gold official: 20 times other
    told = [str(chart["aria-label"]) for chart in page.all("svg")]
    assert len(told) == 3
    assert "Reliability of source: confidence 0.60, accuracy 0.00 of 20; " in told[0]
    assert "confidence 0.80, accuracy 1.00 of 20" in told[0]


def test_errors_stand_side_by_side_with_gold() -> None:
    page = page_of({"starter": ([article(GOLD)], [predicted()])}, ["starter"])
    first = page.data["rows"][0]
    assert [first[field] for field in ("task", "gold", "predicted", "score")] == [
        *("source", "other", "narrator", 0.9)
    ]
    assert first["cells"][-1] == {
        "before": "The mayor denied it.",
        "text": "They burned the mill, said Olm.",
        "note": "a1, 21–52",
    }
    stance = next(row for row in page.data["rows"] if row["task"] == "stance")
    assert stance["cells"][2]["text"] == "Mill owners"
    assert [row["score"] for row in page.data["rows"]] == [0.9, 0.7, 0.65, 0.6]


def test_of_other_corpora_there_are_no_texts() -> None:
    pair = ([article(GOLD)], [predicted()])
    page = page_of({"news": pair}, ["starter"])
    shown = str(page.data) + page.text
    for text in (*TEXTS, "Mill owners"):
        assert text not in shown
    row = page.data["rows"][0]
    assert row["cells"][-1] == {"text": "a1, 21–52"}
    both = page_of({"news": pair, "starter": pair}, ["starter"])
    assert {row["corpus"] for row in both.data["rows"] if TEXTS[1] in str(row)} == {"starter"}


def test_what_comes_from_elsewhere_is_text_and_nothing_else() -> None:
    plain = page_of({"starter": ([article(GOLD)], [predicted()])}, ["starter"])
    odd: dict[str, Any] = {"id": EVIL, "publisher": EVIL, "targets": [EVIL]}
    texts = [EVIL] * 3
    page = page_of({EVIL: ([article(GOLD, texts, **odd)], [predicted(texts, **odd)])}, [EVIL])
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in plain.elements]
    assert page.text.count(EVIL) > 4
    assert page.data["rows"][0]["cells"][-1]["text"] == EVIL
