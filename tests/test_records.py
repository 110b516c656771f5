"""The record contract: one JSON form in and out, checked field by field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stance.errors import RecordError
from stance.records import Article, Label, Sentence, Stance, Target, with_targets

TEXT = "The minister spoke in Orlea. He called the mill fire “staged” 🔥."
GOLD: dict[str, Any] = {
    "id": "a1",
    "title": "Mill fire",
    "date": "2026-01-31",
    "publisher": "The Orlea Courier",
    "text": TEXT,
    "targets": [
        "Mill owners",
        {"kind": "claim", "text": "The fire was staged"},
        {"kind": "entity", "text": "He", "mentions": [[29, 31]]},
    ],
    "sentences": [
        {"start": 0, "end": 28, "source": "narrator", "allegation": False},
        {
            "start": 29,
            "end": 64,
            "source": "official",
            "allegation": True,
            "stance": ["against", None, "neutral"],
            "speaker": "the minister",
        },
    ],
}
TAGGED: dict[str, Any] = {
    "text": TEXT,
    "targets": [{"kind": "entity", "text": "Mill owners"}],
    "sentences": [
        {
            "start": 29,
            "end": 64,
            "text": TEXT[29:64],
            "truncated": False,
            "tags": ["official_statement", "allegation"],
            "tag_probs": {"official_statement": 0.97, "allegation": 0.91, "background": 0.01},
            "source": {
                "label": "official",
                "score": 0.97,
                "probs": {"official": 0.97, "other": 0.02, "narrator": 0.01},
            },
            "allegation": {"label": True, "score": 0.91, "probs": {"false": 0.09, "true": 0.91}},
            "stance": [
                {
                    "target": 0,
                    "label": "against",
                    "score": 0.88,
                    "probs": {"favor": 0.02, "against": 0.88, "neutral": 0.1},
                }
            ],
            "speaker": "Ana Brod",
            "spans": {"source": [[29, 31]], "cue": [[32, 38]], "content": [[39, 63]]},
        }
    ],
    "model": "stance-tiny 0.1.0",
}


def with_value(*path: str | int, value: object) -> dict[str, Any]:
    """GOLD with one value put in the place of another."""
    record: Any = json.loads(json.dumps(GOLD))
    place = record
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return dict(record)


def test_only_text_is_required() -> None:
    assert Article.from_dict({"text": "Rain fell."}) == Article("Rain fell.")
    assert Article("Rain fell.").to_dict() == {"text": "Rain fell."}


def test_gold_record_has_plain_labels() -> None:
    article = Article.from_dict(GOLD)
    assert article.targets == (
        Target("Mill owners"),
        Target("The fire was staged", "claim"),
        Target("He", "entity", ((29, 31),)),
    )
    first, second = article.sentences or ()
    assert first.facets == {"source": Label("narrator"), "allegation": Label(False)}
    assert second.stance == (Stance(0, "against"), Stance(2, "neutral"))
    assert second.stance_toward(2) == Stance(2, "neutral")
    assert second.stance_toward(1) is None
    assert second.text == "He called the mill fire “staged” 🔥."
    for sentence in article.sentences or ():
        assert article.text[sentence.start : sentence.end] == sentence.text


def test_gold_record_comes_out_as_it_went_in() -> None:
    out = Article.from_dict(GOLD).to_dict()
    assert out["targets"][0] == {"kind": "entity", "text": "Mill owners"}
    assert out["targets"][2] == GOLD["targets"][2]
    assert out["sentences"][1] == {**GOLD["sentences"][1], "text": TEXT[29:64], "truncated": False}
    assert Article.from_dict(out) == Article.from_dict(GOLD)


def test_tagged_record_comes_out_as_it_went_in() -> None:
    article = Article.from_dict(TAGGED)
    assert article.to_dict() == TAGGED
    assert article.to_dict(probs=True) == TAGGED
    sentence = (article.sentences or ())[0]
    assert sentence.facets["allegation"].label is True
    assert sentence.facets["source"].score == 0.97


def test_probs_can_be_left_out() -> None:
    sentence = Article.from_dict(TAGGED).to_dict(probs=False)["sentences"][0]
    assert sentence["source"] == {"label": "official", "score": 0.97}
    assert sentence["allegation"] == {"label": True, "score": 0.91}
    assert sentence["stance"] == [{"target": 0, "label": "against", "score": 0.88}]
    assert "tag_probs" not in sentence


def test_unknown_fields_are_kept() -> None:
    record = {
        "text": "Rain fell.",
        "url": "https://example.org/1",
        "meta": {"desk": ["north", 7, None], "ünïcode 🙂": 0.5},
        "sentences": [{"start": 0, "end": 10, "annotator": 3, "notes": {"a": [1.5]}, "seen": True}],
    }
    article = Article.from_dict(record)
    out = article.to_dict()
    assert out["url"] == record["url"]
    assert out["meta"] == record["meta"]
    assert out["sentences"][0].items() >= {"annotator": 3, "seen": True}.items()
    assert out["sentences"][0]["notes"] == {"a": [1.5]}
    assert Article.from_dict(out) == article


def test_a_facet_with_several_labels() -> None:
    article = Article.from_dict(
        {
            "text": "Rain fell.",
            "sentences": [
                {"start": 0, "end": 10, "topics": ["weather", "farming"], "moods": []},
            ],
        }
    )
    assert (article.sentences or ())[0].facets == {
        "topics": Label(("weather", "farming")),
        "moods": Label(()),
    }
    assert article.to_dict()["sentences"][0]["topics"] == ["weather", "farming"]


def test_stances_are_in_the_order_of_the_targets() -> None:
    rows = [{"target": 1, "label": "favor"}, {"target": 0, "label": "neutral"}]
    record = {
        "text": "Rain fell.",
        "targets": ["Rain", "Sun"],
        "sentences": [{"start": 0, "end": 10, "stance": rows}],
    }
    article = Article.from_dict(record)
    assert (article.sentences or ())[0].stance == (Stance(0, "neutral"), Stance(1, "favor"))
    assert article.to_dict()["sentences"][0]["stance"] == ["neutral", "favor"]


def test_absent_and_empty_are_different() -> None:
    assert Article.from_dict({"text": ""}).sentences is None
    assert Article.from_dict({"text": "", "sentences": []}).sentences == ()
    bare = {"start": 0, "end": 4}
    assert Article.from_dict({"text": "Rain", "sentences": [bare]}).sentences == (
        Sentence(0, 4, "Rain"),
    )


def test_null_is_absent() -> None:
    names = ("id", "title", "date", "publisher", "targets", "sentences", "model")
    assert Article.from_dict({"text": "Rain.", **dict.fromkeys(names)}) == Article("Rain.")


@pytest.mark.parametrize("date", ["2026-01-31", "2026-01-31T08:15:00+01:00", "2026-01-31 08:15"])
def test_iso_dates_are_kept_as_written(date: str) -> None:
    assert Article.from_dict({"text": "", "date": date}).date == date


def test_a_number_may_be_an_id() -> None:
    assert Article.from_dict({"id": 17, "text": ""}).id == "17"


def test_targets_can_be_added() -> None:
    article = Article.from_dict(GOLD)
    more = with_targets(article, ["Mill owners", {"kind": "claim", "text": "Rain fell"}, "Orlea"])
    assert more.targets == (*article.targets, Target("Rain fell", "claim"), Target("Orlea"))
    assert with_targets(article, ["Mill owners"]) is article
    with pytest.raises(RecordError, match=r"targets\[1\].text: the target is empty"):
        with_targets(article, ["Orlea", " "])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\x00",
        "A\x00B\x07\x1b[31m.",
        "שלום. \u202eevil\u202c مرحبا.",
        "市长说,大火是假的。",
        "👩‍👩‍👧‍👦 e\u0301 \u2028 \ufeff \uffff",
        "Rain fell on the mill. " * 45_000,
    ],
    ids=["empty", "nul", "control", "bidi", "chinese", "emoji", "megabyte"],
)
def test_strange_text_is_valid(text: str) -> None:
    article = Article.from_dict({"id": "x", "text": text})
    assert article.text == text
    assert Article.from_dict(json.loads(json.dumps(article.to_dict()))) == article


def test_many_targets_are_valid() -> None:
    names = [f"Person {number}" for number in range(500)]
    stance = ["neutral"] * 500
    record = {
        "text": "Rain.",
        "targets": names,
        "sentences": [{"start": 0, "end": 5, "stance": stance}],
    }
    article = Article.from_dict(record)
    assert len(article.targets) == 500
    assert article.to_dict()["sentences"][0]["stance"] == stance


@settings(deadline=None)
@given(st.text(min_size=1), st.data())
def test_offsets_are_code_points(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), min_size=2, max_size=6)))
    spans = list(zip(cuts[::2], cuts[1::2], strict=False))
    article = Article.from_dict(
        {"text": text, "sentences": [{"start": start, "end": end} for start, end in spans]}
    )
    assert [(s.start, s.end) for s in article.sentences or ()] == spans
    for sentence in article.sentences or ():
        assert article.text[sentence.start : sentence.end] == sentence.text


BROKEN: list[tuple[object, str, str]] = [
    ("Rain fell.", "", "want a JSON object, found a string"),
    ([GOLD], "", "want a JSON object, found a list"),
    ({"title": "Mill fire"}, "text", "the field is missing"),
    ({"text": None}, "text", "want a string, found null"),
    ({"text": 5}, "text", "want a string, found a number"),
    ({"text": "a\ud800b"}, "text", "lone surrogate U+D800 at character 1"),
    (with_value("title", value=["Mill"]), "title", "want a string, found a list"),
    (with_value("title", value="\udfff"), "title", "lone surrogate U+DFFF"),
    (with_value("id", value=True), "id", "want a string, found true or false"),
    (with_value("id", value=1.5), "id", "want a string"),
    (with_value("date", value="2/28/2015"), "date", "'2/28/2015' is not an ISO 8601 date"),
    (with_value("date", value="yesterday"), "date", "'yesterday' is not an ISO 8601 date"),
    (with_value("date", value="2026-02-30"), "date", "'2026-02-30' is not an ISO 8601 date"),
    (with_value("date", value=2026), "date", "want a string"),
    (with_value("targets", value="Mill owners"), "targets", "want a list, found a string"),
    (with_value("targets", 1, value=5), "targets[1]", "want a string or an object"),
    (with_value("targets", 1, "text", value=" "), "targets[1].text", "the target is empty"),
    (with_value("targets", 1, "kind", value="thing"), "targets[1].kind", "'thing' is neither"),
    (with_value("targets", 1, "size", value=1), "targets[1]", "unknown field 'size'"),
    (with_value("targets", 1, "names", value="He"), "targets[1].names", "want a list"),
    (with_value("targets", 1, "names", value=[1]), "targets[1].names", "want a string"),
    (with_value("targets", 1, "skipped", value=1), "targets[1].skipped", "want true or false"),
    (
        with_value("targets", 2, "mentions", 0, value=[60, 90]),
        "targets[2].mentions[0]",
        "[60, 90] is not a span of a text of 64 characters",
    ),
    (with_value("targets", 2, "mentions", 0, value=[3]), "targets[2].mentions[0]", "[start, end]"),
    (with_value("sentences", value={}), "sentences", "want a list, found an object"),
    (with_value("sentences", 0, value="He"), "sentences[0]", "want an object, found a string"),
    (with_value("sentences", 0, value={"end": 4}), "sentences[0].start", "the field is missing"),
    (with_value("sentences", 1, "start", value=20), "sentences[1]", "starts at 20, before the end"),
    (with_value("sentences", 1, "end", value=65), "sentences[1]", "[29, 65] is not a span"),
    (with_value("sentences", 0, "start", value=-1), "sentences[0]", "[-1, 28] is not a span"),
    (with_value("sentences", 0, "end", value=0), "sentences[0]", "[0, 0] is not a span"),
    (with_value("sentences", 0, "end", value=28.0), "sentences[0]", "want a whole number"),
    (with_value("sentences", 0, "text", value="Other"), "sentences[0].text", "from 0 to 28"),
    (with_value("sentences", 0, "truncated", value=1), "sentences[0].truncated", "true or false"),
    (with_value("sentences", 0, "tags", value="a"), "sentences[0].tags", "want a list"),
    (with_value("sentences", 0, "speaker", value=1), "sentences[0].speaker", "want a string"),
    (
        with_value("sentences", 0, "stance", value=["favor"]),
        "sentences[0].stance",
        "1 labels for 3 targets",
    ),
    (
        with_value("sentences", 0, "stance", value=[{"target": 3, "label": "favor"}]),
        "sentences[0].stance[0].target",
        "there is no target number 3",
    ),
    (
        with_value("sentences", 0, "stance", value=[{"target": 0, "label": "favor"}] * 2),
        "sentences[0].stance",
        "two labels for one target",
    ),
    (
        with_value("sentences", 0, "source", value={"label": "official", "score": 1.2}),
        "sentences[0].source.score",
        "want a probability from 0 to 1, found 1.2",
    ),
    (
        with_value("sentences", 0, "source", value={"label": 3, "score": 0.5}),
        "sentences[0].source.label",
        "3 is not a label",
    ),
    (
        with_value("sentences", 0, "source", value={"label": {"label": "official"}}),
        "sentences[0].source.label",
        "is not a label",
    ),
    (
        with_value("sentences", 0, "source", value={"label": "a", "probs": {"a": "b"}}),
        "sentences[0].source.probs.a",
        "want a probability",
    ),
    (with_value("sentences", 0, "spans", value=[]), "sentences[0].spans", "want an object"),
    (
        with_value("sentences", 0, "spans", value={"cue": [[5, 4]]}),
        "sentences[0].spans.cue[0]",
        "[5, 4] is not a span",
    ),
    ({"text": "", "meta": {"a": ["\ud800"]}}, "meta.a[0]", "lone surrogate"),
    ({"text": "", "\ud800": 1}, "", "the name of a field: lone surrogate"),
    ({"text": "", 5: 1}, "", "the name of a field: want a string, found a number"),
    ({"text": "", "views": float("nan")}, "views", "the number nan is not JSON"),
    ({"text": "", "views": float("inf")}, "views", "the number inf is not JSON"),
    ({"text": "", "raw": b"\x00"}, "raw", "a value of type bytes is not JSON"),
    (with_value("sentences", 0, "x", value={"\ud800": 1}), "sentences[0].x", "lone surrogate"),
]


@pytest.mark.parametrize(("record", "field", "reason"), BROKEN)
def test_broken_records_name_the_field(record: object, field: str, reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        Article.from_dict(record)
    assert caught.value.field == field
    assert reason in caught.value.reason
    str(caught.value).encode()


def test_a_field_that_is_nested_without_end_is_rejected() -> None:
    deep: object = 1
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(RecordError, match="nested more than 100 deep"):
        Article.from_dict({"text": "", "deep": deep})
    with pytest.raises(RecordError, match="nested more than 100 deep"):
        Article.from_dict({"text": "Rain", "sentences": [{"start": 0, "end": 4, "deep": deep}]})
