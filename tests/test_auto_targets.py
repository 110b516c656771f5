"""Targets that nobody named: an article's main actors and its main claim."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from conftest import REPOSITORY
from hypothesis import given, settings
from hypothesis import strategies as st

from stance.auto_targets import actors, add_targets, main_claim, mentions, propose, same_name
from stance.cli import main
from stance.corpora import read_corpus
from stance.errors import StanceError
from stance.readers import read_articles
from stance.records import Article

TEXT = (
    "The mayor of Kelm, Ana Brod, denied on Monday that the council had sold the harbour.\n\n"
    "Brod said the Kelm Harbour Trust was wrong. The Kelm Harbour Trust has accused her of lying. "
    "In Vellmouth, Brod was asked again. The Russian army was not there. Brod has refused to go. "
    "The army did not answer, the Kelm Harbour Trust did."
)


def test_main_actors_and_claim():
    targets = propose(Article(TEXT, title="Brod denies harbour sale | The Mole"))
    assert [(target.kind, target.text) for target in targets] == [
        ("entity", "Russian army"),
        ("entity", "Ana Brod"),
        ("entity", "Kelm Harbour Trust"),
        ("claim", "Brod denies harbour sale"),
    ]


def test_the_snippet_of_the_page(capsys):
    page = (REPOSITORY / "docs" / "targets.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"<!-- auto -->\n```python\n(.*?)```", page, re.DOTALL)
    exec(code, {})
    assert capsys.readouterr().out.splitlines() == [
        "entity Ana Brod",
        "entity Kelm Harbour Trust",
        "claim Brod blames trust for harbour sale",
    ]


def test_a_place_is_no_actor():
    text = "Rain fell in Kelm. Nothing moved in Kelm. Ana Brod stayed near Kelm. Brod has slept."
    assert actors(Article(text))[0] == "Ana Brod"


def test_members_are_those_they_belong_to_and_adjectives_their_nation():
    text = (
        "Then the LKB fighters came. LKB fighters burned it. LKB was blamed. Russian jets passed."
    )
    assert actors(Article(text)) == ["LKB", "Russia"]


def test_an_abbreviation_that_the_text_keeps_to_is_the_name():
    long = "The Kelm Harbour Owners (KEHO) met. "
    assert actors(Article(long + "They say KEHO has lost. " * 6)) == ["KEHO"]
    assert actors(Article(long * 3 + "They say KEHO has lost. " * 6)) == ["Kelm Harbour Owners"]


def test_variants_of_one_actor_take_one_place():
    text = (
        "The Nordian regime fell. Then regime forces fled. Then regime fighters hid. "
        "Ana Brod cheered. They saw Olo Venn."
    )
    assert sorted(actors(Article(text))) == ["Ana Brod", "Nordian regime", "Olo Venn"]
    text = "Then the Syrian regime fell. The regime forces fled."
    groups = [mention.name for mention in mentions(text) if mention.is_group]
    assert groups == ["Syrian regime", "Syrian regime"]


def test_two_persons_of_one_family_are_two_actors():
    text = "Ida Brod sued Emil Brod. Ida Brod said so. Emil Brod said no. It rained."
    assert set(actors(Article(text))) == {"Emil Brod", "Ida Brod"}


def test_a_nation_without_its_apostrophe_and_a_name_that_ends_in_one():
    text = "Then Syrias north was quiet. They saw the Bank of England there."
    assert sorted(actors(Article(text))) == ["Bank of England", "Syria"]


def test_who_only_reports_and_news_media_stand_behind():
    told = "They saw Ana Brod. They saw Olo Venn. Brod says so. Brod told them. Then Venn left."
    assert actors(Article(told + " Venn left again."))[0] == "Olo Venn"
    paper = "They all read about it in the Kelm Daily Times. They saw that it was Ana Brod."
    assert actors(Article(paper))[0] == "Ana Brod"


def test_many_mentions_in_one_sentence_count_once():
    text = (
        "They all saw that it was Ana Brod, only Brod and again Brod. "
        "Then they saw that it was Olo Venn. All of them knew that it was Venn."
    )
    assert actors(Article(text))[0] == "Olo Venn"


def test_own_targets_are_kept_and_not_repeated():
    own = {"text": TEXT, "targets": ["Mayor Brod", {"kind": "claim", "text": "It was sold."}]}
    found = add_targets(Article.from_dict(own), "auto")
    names = [target.text for target in found.targets]
    assert names[:2] == ["Mayor Brod", "It was sold."]
    assert "Ana Brod" not in names
    assert sum(target.kind == "claim" for target in found.targets) == 1
    assert [t.text for t in add_targets(Article("It rained."), ["rain"]).targets] == ["rain"]
    with pytest.raises(StanceError, match="want a list of targets or 'auto', found 'Brod'"):
        add_targets(Article(TEXT), "Brod")


def test_without_a_headline_the_first_sentence_is_the_claim():
    assert main_claim(Article(TEXT)).startswith("The mayor of Kelm")
    assert main_claim(Article("No. " + "word " * 50 + ". It rained for days.")) == (
        "It rained for days."
    )
    assert propose(Article("")) == ()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Ana Brod", "Brod", True),
        ("the Syrian regime", "Syrian government", True),
        ("Kelm Harbour Trust", "the trust", True),
        ("Kelm", "Kelm Harbour Trust", False),
        ("Ana Brod", "Olo Venn", False),
        ("…", "…", False),
    ],
)
def test_the_same_name(one: str, other: str, same: bool):
    assert same_name(one, other) is same
    assert same_name(other, one) is same


@settings(max_examples=60)
@given(st.text(alphabet="ABSYa bc.,\n“”'’-US\x00é", max_size=120), st.text(max_size=20))
def test_any_text_has_proposals_that_are_targets(text: str, title: str):
    targets = propose(Article(text, title=title))
    assert len(targets) <= 4
    assert all(target.text.strip() for target in targets)
    Article.from_dict({"text": text, "targets": [target.to_json() for target in targets]})


@pytest.mark.parametrize(("size", "seconds"), [(50_000, 2), (1_000_000, 8)])
def test_a_word_without_end_takes_no_more_time_than_other_text(size: int, seconds: float):
    """Of the processor; on a quiet one a megabyte takes two."""
    start = time.process_time()
    propose(Article("A-" * (size // 2)))
    assert time.process_time() - start < seconds


def test_most_annotated_entities_are_found():
    """Of the starter corpus; docs/targets.md has the figures of published news."""
    found = gold = 0
    for article in read_corpus("starter", None, "dev"):
        names = actors(article)
        for target in article.targets:
            if target.kind == "entity":
                gold += 1
                found += any(same_name(target.text, name) for name in names)
    assert found / gold > 0.6


def test_on_the_command_line(tiny_model: Path, in_folder: Path, capsys):
    Path("a.txt").write_text(TEXT, encoding="utf-8")
    tag = ["tag", "a.txt", "--model", str(tiny_model), "--auto-targets"]
    with pytest.raises(SystemExit) as done:
        main([*tag, "--output", "out.jsonl"])
    assert done.value.code == 0
    (article,) = read_articles("out.jsonl")
    assert "Ana Brod" in {target.text for target in article.targets}
    assert all(len(s.stance) == len(article.targets) for s in article.sentences or ())
    with pytest.raises(SystemExit) as done:
        main([*tag, "--target", "Brod"])
    assert done.value.code == 1
    assert "--auto-targets stands in place of --target" in capsys.readouterr().err
