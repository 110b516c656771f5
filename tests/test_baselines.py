"""What a trained model has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from stance.baselines import BASELINES, fit, pair_text, quotation_sources
from stance.errors import StanceError
from stance.evaluation import measure
from stance.records import Article, Sentence, Target
from stance.schema import DEFAULT, Facet, Schema, Tag

KINDS = [
    ("The minister said the bridge was safe.", "official", False),
    ("Residents accused the company of hiding the cracks.", "other", True),
    ("The bridge opened in June.", "narrator", False),
    ("Traffic crossed it all summer.", "narrator", False),
]


def article(lines: Sequence[tuple[str, str, bool]], favor: bool) -> Article:
    """An article with these sentences, and a stance toward the company where it is named."""
    text, sentences = "", []
    for line, source, allegation in lines:
        named = "company" in line
        sentences.append(
            {
                "start": len(text),
                "end": len(text) + len(line),
                "source": source,
                "allegation": allegation,
                "stance": [("favor" if favor else "against") if named else "neutral", "neutral"],
            }
        )
        text += line + " "
    return Article.from_dict({"text": text, "targets": ["company", "Mars"], "sentences": sentences})


PRAISE = ("Engineers praised the company for its honest work.", "other", False)
CORPUS = [article([*KINDS, PRAISE][: 4 + number % 2], favor=False) for number in range(8)] + [
    article([PRAISE, *KINDS[2:]], favor=True) for _ in range(8)
]


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_copies_have_the_same_sentences_and_no_gold_labels(name: str) -> None:
    stripped = [Article.from_dict({"text": a.text, "targets": ["company"]}) for a in CORPUS]
    assert [a.sentences for a in fit(name, CORPUS, DEFAULT).predict(stripped)] == [()] * len(CORPUS)
    marked = [
        Article.from_dict(
            {
                **CORPUS[0].to_dict(),
                "sentences": [
                    {**s, "gold": "yes", "speaker": "X", "spans": {"cue": [[0, 3]]}}
                    for s in CORPUS[0].to_dict()["sentences"]
                ],
            }
        )
    ]
    (copy,) = fit(name, CORPUS, DEFAULT).predict(marked)
    assert [(s.start, s.end, s.text) for s in copy.sentences or ()] == [
        (s.start, s.end, s.text) for s in CORPUS[0].sentences or ()
    ]
    for sentence in copy.sentences or ():
        assert set(sentence.facets) <= {"source", "allegation"}
        assert sentence.speaker is None
        assert sentence.spans is None


def test_majority_says_the_most_frequent_label() -> None:
    (copy,) = fit("majority", CORPUS, DEFAULT).predict(CORPUS[:1])
    for sentence in copy.sentences or ():
        assert sentence.facets["source"].label == "narrator"
        assert sentence.facets["allegation"].label is False
        assert sentence.tags == ("background",)
        assert [stance.label for stance in sentence.stance] == ["neutral", "neutral"]


def test_tfidf_beats_majority_where_words_tell_the_labels() -> None:
    figures = {
        name: measure(CORPUS, fit(name, CORPUS, DEFAULT).predict(CORPUS), DEFAULT)["headline"]
        for name in ("majority", "tfidf")
    }
    for figure in ("tags_macro_f1", "source_macro_f1", "stance_macro_f1", "favor_against_f1"):
        assert figures["tfidf"][figure]["value"] > figures["majority"][figure]["value"] + 0.3


def test_tfidf_gives_the_same_labels_again() -> None:
    first = fit("tfidf", CORPUS, DEFAULT).predict(CORPUS)
    assert fit("tfidf", CORPUS, DEFAULT).predict(CORPUS) == first


@pytest.mark.parametrize("name", ["majority", "tfidf"])
def test_facets_of_many_labels_and_of_one_label_are_learned(name: str) -> None:
    schema = Schema(
        (Facet("topic", ("war", "money"), "multi"), Facet("tone", ("calm", "loud"))),
        (Tag("war", {"topic": ("war",)}), Tag("rest", None)),
    )
    lines = {"Tanks rolled in.": ["war"], "Banks paid tanks.": ["war", "money"], "Rain fell.": []}
    train = [
        Article.from_dict(
            {
                "text": line,
                "sentences": [{"start": 0, "end": len(line), "topic": topics, "tone": "calm"}],
            }
        )
        for line, topics in lines.items()
    ] * 3
    found = fit(name, train, schema).predict(train)
    assert {s.facets["tone"].label for a in found for s in a.sentences or ()} == {"calm"}
    if name == "tfidf":
        labels = [s.facets["topic"].label for a in found for s in a.sentences or ()]
        assert labels[:3] == [("war",), ("war", "money"), ()]


def test_labels_that_the_training_articles_lack_are_left_out() -> None:
    train = [
        Article.from_dict({"text": "A.", "sentences": [{"start": 0, "end": 2, "source": "other"}]})
    ]
    for name in ("majority", "tfidf"):
        (copy,) = fit(name, train, DEFAULT).predict(CORPUS[:1])
        for sentence in copy.sentences or ():
            assert set(sentence.facets) == {"source"}
            assert sentence.tags is None
            assert sentence.stance == ()


def test_a_pair_tells_how_much_of_the_target_occurs() -> None:
    text = "The White Helmets came."
    sentence = Sentence(0, len(text), text)
    assert pair_text(sentence, Target("White Helmets")).endswith(
        "target_white target_helmets entity_share_4"
    )
    assert pair_text(sentence, Target("White House")).endswith("entity_share_2")
    assert pair_text(sentence, Target("It is he")).endswith("entity_share_0")
    assert pair_text(sentence, Target("They", mentions=((4, 17),))).endswith("entity_share_4")


def test_quotation_rule() -> None:
    assert quotation_sources(
        [
            "The dam broke at dawn.",
            "The dam was old, the interior minister said.",
            "“We warned them,” he added.",
            "According to residents, nobody came.",
            "“We waited all night. ",
            "Then the water took the road.” ",
            "Fog hung over the valley.",
        ]
    ) == ["narrator", "official", "official", "other", "other", "other", "narrator"]


def test_quotation_rule_follows_straight_quotation_marks() -> None:
    assert quotation_sources(
        ['"It was dark," a witness said.', '"I ran.', "I did not stop.", 'I hid."', "Rain fell."]
    ) == ["other", "other", "other", "other", "narrator"]


def test_quotation_rule_is_silent_for_another_schema() -> None:
    schema = Schema((Facet("source", ("press", "people")),), ())
    (copy,) = fit("quotation", CORPUS, schema).predict(CORPUS[:1])
    assert all(not sentence.facets for sentence in copy.sentences or ())


def test_an_unknown_baseline_is_an_error() -> None:
    with pytest.raises(StanceError, match="there is no baseline 'svm'"):
        fit("svm", CORPUS, DEFAULT)
