"""Takes an article with sources (and source spans) labelled; gives the speaker of every sentence.

A resolver of rules over what the model labelled, in three steps. `Cast` reads the whole article for
its names, their kinds, and the roles they are introduced with. `candidate_phrases` gives, for one
sentence, the noun phrases that may be its source, best first: the model's span, "according to …",
the subject of a verb of saying outside the quotation, the subject of the sentence. `Floor` turns a
phrase into a name: surnames and acronyms into the full name, pronouns and definite descriptions
into who spoke last and fits. Sentences of a running quotation share its speaker.
"""

from __future__ import annotations

import re

from stance.records import Article, Sentence
from stance.speakers.cast import Cast, mask_quotations, quotation_chains, tokenize
from stance.speakers.floor import Floor
from stance.speakers.phrases import candidate_phrases
from stance.speakers.words import POSSESSIVE, TITLES

__all__ = ["same_speaker", "speakers"]

NARRATOR = "narrator"


def speakers(article: Article) -> list[str | None]:
    """The speaker of every sentence; None for the narrator's and where nobody is found.

    Args:
        article: with sentences that have the facet `source`; source spans help where they are.
    """
    sentences = list(article.sentences or ())
    masked = mask_quotations(article.text)
    floor = Floor(Cast(article.text))
    found: list[str | None] = [None] * len(sentences)
    for chain in quotation_chains(masked, sentences):
        named: dict[int, str] = {}
        for i in chain:
            words = tokenize(masked[sentences[i].start : sentences[i].end])
            if is_narrator(sentences[i]):
                floor.hear_subject(words)
                continue
            resolved = map(floor.resolve, candidate_phrases(sentences[i], article.text, words))
            if name := next(filter(None, resolved), None):
                named[i] = name
                floor.give_to(name)
        # A part of a quotation before its speaker is named is that speaker's too.
        nearest = next(iter(named.values()), floor.speaker)
        for i in chain:
            found[i] = nearest = named.get(i, nearest)
    # A headline without a name has the speaker of the first sentence that has one.
    first = next((name for name in found if name is not None), None)
    return [
        None if is_narrator(sentence) else name or first
        for sentence, name in zip(sentences, found, strict=True)
    ]


def is_narrator(sentence: Sentence) -> bool:
    """Whether the sentence is the narrator's own, or its source is not labelled."""
    label = sentence.facets.get("source")
    return label is None or label.label == NARRATOR


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
