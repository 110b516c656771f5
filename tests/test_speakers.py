"""Who said it: labelled sources in, the speaker's name for every sentence out."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stance.records import Article, Label, Sentence
from stance.speakers import same_speaker, speakers
from stance.speakers.cast import Cast, mask_quotations

SOURCES = {"O": "official", "P": "other", "N": "narrator"}


def article(*lines: str) -> Article:
    """An article of sentences that begin with their source's letter: "O The mayor said …"."""
    text, sentences = "", []
    for line in lines:
        letter, body = line.split(" ", 1)
        text += " " if text else ""
        start, text = len(text), text + body
        facets = {"source": Label(SOURCES[letter])}
        sentences.append(Sentence(start, len(text), body, facets=facets))
    return Article(text, sentences=tuple(sentences))


def said(*lines: str) -> list[str | None]:
    return speakers(article(*lines))


def test_narrator_has_no_speaker() -> None:
    assert said("N The mill burned down.", "O Mayor Ana Brod said it was arson.") == [
        None,
        "Ana Brod",
    ]


def test_sentence_without_source_label_has_no_speaker() -> None:
    text = "Ana Brod said so."
    assert speakers(Article(text, sentences=(Sentence(0, len(text), text),))) == [None]


def test_article_without_sentences_gives_nothing() -> None:
    assert speakers(Article("Ana Brod said so.")) == []


@pytest.mark.parametrize(
    "sentence",
    [
        "Ana Brod said the mill was safe.",
        "On Monday Ana Brod said the mill was safe.",
        "“The mill is safe,” said Ana Brod.",
        "The mill, said Ana Brod on Tuesday, is safe.",
        "The mill is safe, according to Ana Brod.",
        "Ana Brod, a baker from Lund, said the mill was safe.",
        "Ana Brod (D-Lund) told reporters that the mill was safe.",
        "One neighbour of the mill, Ana Brod, said it was safe.",
        "Ana Brod, a baker from the town of Lund said the mill was safe.",
        "Ana Brod of the Lund Bakers League said the mill was safe.",
        "Foreign Secretary Ana Brod denied that the mill was unsafe.",
        "Nordia Rep. Ana Brod vowed to reopen the mill.",
        "The mayor of Lund, Ana Brod, urged owners to shut the mill.",
        "Ana Brod's statement called the mill safe.",
    ],
)
def test_name_beside_a_verb_of_saying(sentence: str) -> None:
    assert said(f"O {sentence}") == ["Ana Brod"]


@pytest.mark.parametrize(
    "sentence",
    [
        "Ana Brod a Lund resident said the mill was safe.",
        "The mill in Lund is safe Ana Brod said.",
        "The chairman of the Lund Bakers Council Ana Brod said the mill was safe.",
    ],
)
def test_lost_commas(sentence: str) -> None:
    assert said(f"P {sentence}") == ["Ana Brod"]


def test_words_inside_a_quotation_do_not_name_the_source() -> None:
    assert said("P “Tom Hale said it was arson,” Ana Brod recalled.") == ["Ana Brod"]


def test_surname_stands_for_the_full_name() -> None:
    assert said("O Ana Brod called for calm.", "O Brod said help was near.")[1] == "Ana Brod"


def test_acronym_stands_for_the_name_it_was_introduced_with() -> None:
    lines = "O The League of Lund Bakers (LLB) warned of fire.", "O LLB said mills were old."
    assert said(*lines)[1] == "League of Lund Bakers"


def test_initials_stand_for_a_name() -> None:
    lines = "O The Lund Bakers Association warned of fire.", "O The LBA said mills were old."
    assert said(*lines)[1] == "Lund Bakers Association"


def test_short_form_of_an_organisation() -> None:
    lines = (
        "N The Nordian Observatory for Mills was shut.",
        "O The Observatory said it regretted it.",
    )
    assert said(*lines)[1] == "Nordian Observatory for Mills"


def test_pronoun_is_the_last_person_and_it_the_last_group() -> None:
    lines = [
        "O The Lund Bakers Association said mills were old.",
        "P Ana Brod said hers was new.",
        "P She added that it was safe.",
        "O It said inspections would follow.",
    ]
    assert said(*lines)[2:] == ["Ana Brod", "Lund Bakers Association"]


def test_pronoun_may_mean_the_subject_of_a_narrated_sentence() -> None:
    assert said("N Ana Brod left the mill at noon.", "P She said it was safe.")[1] == "Ana Brod"


def test_definite_description_is_who_was_introduced_with_it() -> None:
    lines = [
        "O Foreign Secretary Ana Brod said talks would go on.",
        "P Tom Hale said they would not.",
        "O The foreign secretary said nothing more.",
    ]
    assert said(*lines)[2] == "Ana Brod"


def test_company_is_who_was_introduced_as_one() -> None:
    lines = [
        "O Halvex Mills, a company in Lund, announced cuts.",
        "P Tom Hale called them cruel.",
        "O The company said it had no choice.",
    ]
    assert said(*lines)[2] == "Halvex Mills"


def test_running_quotation_has_one_speaker() -> None:
    lines = ["P “The mill is old.", "P It will burn,” said Ana Brod.", "P “We all know it.”"]
    assert said(*lines) == ["Ana Brod"] * 3


def test_quotation_after_a_colon_runs_on() -> None:
    lines = ['O Tom Hale said: "It is safe.', 'O It was never at risk."']
    assert said(*lines) == ["Tom Hale"] * 2


@pytest.mark.parametrize(
    ("sentence", "speaker"),
    [
        ("Shells hit two farms on Thursday activists said.", "activists"),
        ("Several Treasury officials warned of a deficit.", "Treasury officials"),
        ("A source at the ministry confirmed the raid.", "source at ministry"),
        ("The raid was over by noon, local residents said.", "local residents"),
    ],
)
def test_unnamed_source_is_described(sentence: str, speaker: str) -> None:
    assert said(f"P {sentence}") == [speaker]


def test_reportedly_without_a_source_is_reports() -> None:
    assert said("P The mill was reportedly sold.") == ["reports"]


def test_two_speakers_of_one_sentence() -> None:
    assert said("O Ana Brod and Tom Hale said they agreed.") == ["Ana Brod and Tom Hale"]


def test_sentence_without_a_name_goes_on_with_the_speaker_before() -> None:
    lines = "O Ana Brod said the mill was lost.", "O There had been warnings for years."
    assert said(*lines)[1] == "Ana Brod"


def test_headline_has_the_first_speaker() -> None:
    assert said("O More help on its way", "O Ana Brod said help was near.")[0] == "Ana Brod"


def test_name_beside_a_verb_that_is_none_of_saying() -> None:
    lines = "O Tom Hale said mills were safe.", "O Ana Brod marvelled at that."
    assert said(*lines)[1] == "Ana Brod"


def test_who_spoke_with_the_other_label_does_not_go_on() -> None:
    lines = [
        "O Mayor Ana Brod said the mill was lost.",
        "P Tom Hale said it was not.",
        "O Deputies from Lund agreed with Ana Brod.",
    ]
    assert said(*lines)[2] != "Tom Hale"


def test_quotation_that_runs_on_belongs_to_who_is_named_in_its_next_sentence() -> None:
    lines = ["P Tom Hale said so.", "P “The mill is old.", "P It will burn,” said Ana Brod."]
    assert said(*lines)[1] == "Ana Brod"


def test_source_within_a_sentence_about_somebody_else() -> None:
    assert said("P Mr. Hale, officials said, had left the mill.") == ["officials"]


def test_where_it_was_written_is_no_speaker() -> None:
    assert said("O LUND — Ana Brod said the mill was safe.") == ["Ana Brod"]


def test_party_and_state_after_a_name() -> None:
    sentence = "O Senator Ana Brod, Democrat of Nordia, said the mill was safe."
    assert said(sentence) == ["Ana Brod"]


def test_spokesman_is_named_by_his_group() -> None:
    lines = [
        "O The Lund Bakers Association warned of fire.",
        "O A spokesman said mills were old.",
        "O A spokeswoman for Halvex Group said hers were new.",
    ]
    assert said(*lines)[1:] == ["Lund Bakers Association spokesman", "Halvex Group spokeswoman"]


def test_spokesman_of_a_body_without_a_name_is_not_the_last_speakers() -> None:
    lines = [
        "O “It is safe,” the mill's director, Ana Brod, said.",
        "O A spokesman for the water ministry said that no letter had come.",
        "O He would not say more.",
    ]
    assert said(*lines) == ["Ana Brod", *["water ministry spokesman"] * 2]


def test_monitoring_group_is_the_observatory() -> None:
    lines = (
        "O The Nordian Observatory for Mills counted ten fires.",
        "O Two more were put out, a monitoring group said.",
    )
    assert said(*lines)[1] == "Nordian Observatory for Mills"


def test_two_groups_are_one_subject() -> None:
    assert said("P Tenant groups and village teachers said mills were old.") == [
        "Tenant groups and village teachers"
    ]


def test_span_of_the_model_is_evidence() -> None:
    text = "The mill was unsafe to Ana Brod and to Tom Hale."
    start = text.index("Tom Hale")
    sentence = Sentence(
        0,
        len(text),
        text,
        facets={"source": Label("other")},
        spans={"source": ((start, start + len("Tom Hale")),)},
    )
    assert speakers(Article(text, sentences=(sentence,))) == ["Tom Hale"]


def test_span_of_the_model_tells_which_name_speaks() -> None:
    text = "Ana Brod said the mill that Ole Hahn built in Vik was safe Press Nord reported."
    labelled = Sentence(0, len(text), text, facets={"source": Label("official")})
    start = text.index("Press Nord")
    spanned = replace(labelled, spans={"source": ((start, start + 10),)})
    assert speakers(Article(text, sentences=(labelled,))) == ["Ana Brod"]
    assert speakers(Article(text, sentences=(spanned,))) == ["Press Nord"]


def test_definite_description_of_nobody_known_is_described() -> None:
    assert said("O The line's director said the ferry was safe.") == ["line's director"]
    assert said(
        "O The senator's office said he would vote for it.",
        "O “I remember her laugh,” the lobbyist said.",
    ) == ["senator's office", "lobbyist"]


def test_mask_keeps_offsets() -> None:
    text = 'He said "no" and “never”.\n\n"Yes'
    masked = mask_quotations(text)
    assert len(masked) == len(text)
    assert [part for part in masked.split() if part.isprintable()] == ["He", "said", "and"]


def test_cast_tells_people_from_groups() -> None:
    cast = Cast("Ana Brod met the Lund Bakers Association and Nordia's army in Orlea.")
    assert not cast.is_group("Ana Brod")
    assert cast.is_group("Lund Bakers Association")


PIECES = st.sampled_from(
    "said told “ ” \" '' , . : ; ( ) \n the a he it they according to quoted by of and Ana Brod "
    "Lund Council LBA who which that Mr Secretary of State reports on Monday 14,000 al-Hale ’s "
    "-based statement \x00 \x01 spokesman week".split(" ")
)
TEXTS = st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=60).map(" ".join))


@given(text=TEXTS, cuts=st.lists(st.integers(0, 200), max_size=6), data=st.data())
@settings(max_examples=300, deadline=None)
def test_any_text_gives_one_entry_per_sentence(
    text: str, cuts: list[int], data: st.DataObject
) -> None:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    sentences = []
    for start, end in pairwise(edges):
        label = data.draw(st.sampled_from(list(SOURCES.values())))
        spans = {"source": ((start, end),)} if data.draw(st.booleans()) else None
        facets = {"source": Label(label)}
        sentences.append(Sentence(start, end, text[start:end], facets=facets, spans=spans))
    found = speakers(Article(text, sentences=tuple(sentences)))
    assert len(found) == len(sentences)
    for sentence, name in zip(sentences, found, strict=True):
        assert name is None or (name and sentence.facets["source"].label != "narrator")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Ana Brod", "ana brod", True),
        ("Ana Brod", "Mr. Brod", True),
        ("Foreign Secretary Ana Brod", "Ana Brod", True),
        ("Ana Brod's", "Ana Brod", True),
        ("activists", "Lund activists", True),
        ("Lund Bakers Association", "Lund Bakers", True),
        ("Nordian Observatory for Mills and Old Barns", "Observatory", False),
        ("Ana Brod", "Tom Hale", False),
        ("Ana Brod", "", False),
    ],
)
def test_same_speaker(one: str, other: str, same: bool) -> None:
    assert same_speaker(one, other) is same
    assert same_speaker(other, one) is same


def test_speakers_do_not_depend_on_the_seed_of_hashes() -> None:
    script = """if True:
        from stance.corpora import read_corpus
        from stance.speakers import speakers
        print([speakers(article) for article in read_corpus("starter", None, "train")])
    """

    def output(seed: int) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
        return subprocess.check_output([sys.executable, "-c", script], env=environment, text=True)

    first = output(0)
    assert first == output(1)
    assert len(first) > 1000
