"""Takes an article with sources (and source spans) labelled; gives the speaker of every sentence.

A resolver over what the model labelled, in four steps. `Cast` reads the whole article for its
names, their kinds, and the roles they are introduced with. `candidate_phrases` gives, for one
sentence, the noun phrases that may be its source: the model's span, "according to …", the subject
of a verb of saying outside the quotation, the subject of the sentence. `Floor` turns a phrase into
a name: surnames and acronyms into the full name, pronouns and definite descriptions into who spoke
last and fits. `Hearing` weighs the evidence for each name, the neighbouring sentences' included.
"""

from __future__ import annotations

import re

from stance.records import Article
from stance.speakers.evidence import Hearing
from stance.speakers.words import POSSESSIVE, TITLES

__all__ = ["same_speaker", "speakers"]


def speakers(article: Article) -> list[str | None]:
    """The speaker of every sentence; None for the narrator's and where nobody is found.

    Args:
        article: with sentences that have the facet `source`; source spans help where they are.
    """
    sentences = article.sentences or ()
    hearing = Hearing(article.text, sentences)
    return [hearing.speaker(number) for number in range(len(sentences))]


def same_speaker(one: str, other: str) -> bool:
    """Whether two names of a speaker mean the same one.

    At least half of the longer name's words (without titles) are shared, or both have at most four
    words and the same last one.
    """
    left, right = words_without_titles(one), words_without_titles(other)
    if not left or not right:
        return False
    if 2 * len(set(left) & set(right)) >= max(len(left), len(right)):
        return True
    return max(len(left), len(right)) <= 4 and left[-1] == right[-1]


def words_without_titles(name: str) -> list[str]:
    """The words of a name in small letters; the titles as well if there is nothing else."""
    words = [POSSESSIVE.sub("", word) for word in re.findall(r"[\w’'\-]+", name.lower())]
    kept = [word for word in words if word not in TITLES | {"the", "a", "an"}]
    return kept or words
