"""Which targets an article never mentions: one telling word of a name is enough to keep one."""

from __future__ import annotations

import unicodedata

import pytest

from stance.mentions import skip_unmentioned
from stance.records import Article, Target


@pytest.mark.parametrize(
    ("text", "name", "there"),
    [
        ("The Brods left.", "Ana Brod", True),
        ("ANA BROD LEFT", "Ana Brod", True),
        ("Orlean troops", "Orlea", True),
        ("The MWU met.", "Mill Workers Union", True),
        ("Two companies", "company lawyers", True),
        ("He told us.", "US", False),
        ("Mr Olm left.", "Mere Rovers", False),
        ("The U.S. army", "US government", True),
        ("A Nato ship", "NATO", True),
        ("the head of it", "The Guild of Orlea", False),
        ("Who are The Who?", "The Who", True),
        ("nobody", "Ana Brod", False),
        ("", "Ana Brod", False),
    ],
)
def test_a_target_with_names_is_skipped_where_none_of_them_is(
    text: str, name: str, there: bool
) -> None:
    article = Article(text, targets=(Target("It burned.", "claim", names=("Zzyzx", name)),))
    assert skip_unmentioned(article).targets[0].skipped is not there


@pytest.mark.parametrize(
    ("text", "name", "there"),
    [
        ("Erdogan left.", "Erdoğan", True),
        ("ERDOĞAN LEFT", "Tayyip Erdogan", True),
        ("Zoë's mill", "zoe", True),
        ("The İzmir council", "Izmir", True),
        ("The ÉCSU met.", "Écsi Coal Suppliers Union", True),
        ("Brod™ cars", "Brod", True),
        ("ガザ 서울", "서울", True),
        ("Zoë left.", "Zora", False),
    ],
)
def test_accents_are_the_same_however_they_are_composed(text: str, name: str, there: bool) -> None:
    for form in ("NFC", "NFD"):
        for other in ("NFC", "NFD"):
            target = Target("x", names=(unicodedata.normalize(other, name),))
            article = Article(unicodedata.normalize(form, text), targets=(target,))
            assert skip_unmentioned(article).targets[0].skipped is not there


def test_the_title_counts_and_other_targets_are_left_alone() -> None:
    article = Article(
        "It burned down.",
        title="Mill of Orlea",
        targets=(
            Target("Orlea", names=("Orlea",)),
            Target("Ana Brod"),
            Target("It", mentions=((0, 2),), names=("Ana Brod",)),
            Target("Brod", names=("Ana Brod",)),
        ),
    )
    assert [target.skipped for target in skip_unmentioned(article).targets] == [0, 0, 0, 1]
    plain = Article("It burned.", targets=(Target("Ana Brod"),))
    assert skip_unmentioned(plain) is plain
