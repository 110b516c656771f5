"""Takes an article with sources labelled; gives each sentence's possible speakers with evidence.

A name may be a sentence's speaker because a phrase of the sentence means it, because it stands
there at all, or because it speaks in the sentence before or after. Each such piece of evidence has
a weight, and the name whose pieces weigh most together is the speaker.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from stance.records import Sentence
from stance.speakers.cast import Cast, mask_quotations, tokenize
from stance.speakers.floor import Floor
from stance.speakers.phrases import candidate_phrases, is_word
from stance.speakers.words import (
    BEFORE_OBJECTS,
    CLOSES,
    INSIDE,
    POSSESSIVE_PRONOUNS,
    PRONOUNS,
)

NARRATOR = "narrator"
LOOK_AHEAD = 20
"""The first speaker of an article is looked for in this many sentences."""
VERBS = ("strong", "weak", "according")
"""What the places begin with that name a speaker beyond doubt."""

_WEIGHTS = (
    # where the phrase stands that means the name
    "span: 0.9; span, further: 0.4; "
    "strong inverted: 2.5; according: 1.4; strong subject: 1.5; strong subject, further: 1; "
    "weak inverted: 0.7; weak subject: 0.9; weak subject, further: 0.5; reportedly: 1.7; "
    "reaction: 0.4; first: 0.4; "
    # how it means the name
    "name: 1; role: -0.4; unnamed: 0.8; possessive: 0.3; new name: 0.5; the unnamed: 0.2; "
    "pronoun: -0.3; mention: 0.5; mention in span: 1.1; mention outside spans: -0.9; "
    "mention after preposition: -0.5; "
    # who speaks before and after
    "before, same label: 0.6; before, other label: 0.1; before, quoted: -0.2; "
    "before, all quoted: 0.8; "
    "after, runs on: 3.1; after, part quoted: 0.5; after, all quoted: -0.3; nobody before: 1.5; "
    # what is known of the name
    "one word: -0.6; one word, group: -1.1; one word, person: -1; "
    "spoke with this label: 0.4; spoke with the other label: -0.7"
)
WEIGHTS = {
    piece: float(weight) for piece, weight in (pair.split(": ") for pair in _WEIGHTS.split("; "))
}
"""How much each piece of evidence speaks for a name (`scripts/fit_speakers.py`)."""


def weight(pieces: Iterable[str]) -> float:
    """What pieces of evidence weigh together, the same to the last bit in any order."""
    return math.fsum(WEIGHTS.get(piece, 0) for piece in pieces)


def is_narrator(sentence: Sentence) -> bool:
    """Whether the sentence is the narrator's own, or its source is not labelled."""
    label = sentence.facets.get("source")
    return label is None or label.label == NARRATOR


class Hearing:
    """An article that is read sentence by sentence, and who has spoken so far.

    words, phrases: of each sentence, without quotations; a narrator's has no phrases.
    labels: the source labels that each speaker has had.
    """

    def __init__(self, text: str, sentences: Sequence[Sentence]) -> None:
        self.text = text
        self.sentences = sentences
        self.masked = mask_quotations(text)
        self.cast = Cast(text)
        self.floor = Floor(self.cast)
        self.starts = [start for start, _, _ in self.cast.mentions]
        self.labels: dict[str, set[object]] = {}
        self.last_label: object = None
        self.words = [tokenize(self.masked[s.start : s.end]) for s in sentences]
        self.phrases = [
            [] if is_narrator(s) else list(candidate_phrases(s, text, words))
            for s, words in zip(sentences, self.words, strict=True)
        ]

    def speaker(self, number: int) -> str | None:
        """The speaker of a sentence, to be asked in the order of the text."""
        sentence = self.sentences[number]
        if is_narrator(sentence):
            self.floor.hear_subject(self.words[number])
            return None
        found = self.evidence(number)
        if not found:
            return None
        name = max(found, key=lambda name: weight(found[name]))
        self.floor.give_to(name)
        self.last_label = sentence.facets["source"].label
        self.labels.setdefault(name, set()).add(self.last_label)
        return name

    def evidence(self, number: int) -> dict[str, set[str]]:
        """All names that may be the speaker of a sentence, with what speaks for and against."""
        found: dict[str, set[str]] = {}
        places: set[str] = set()
        for place, phrase in self.phrases[number]:
            if name := self.floor.resolve(phrase):
                rank = f"{place}, further" if place in places else place
                places.add(place)
                found.setdefault(name, set()).update((rank, form(phrase, name, self.cast)))
        self.add_mentions(number, found)
        self.add_neighbours(number, found)
        label = self.sentences[number].facets["source"].label
        for name, pieces in found.items():
            if " " not in name:
                kind = "group" if self.cast.is_group(name) else "person"
                pieces.add(f"one word, {kind}" if name in self.cast.counts else "one word")
            if name in self.labels:
                is_same = label in self.labels[name]
                pieces.add("spoke with this label" if is_same else "spoke with the other label")
        return found

    def add_mentions(self, number: int, found: dict[str, set[str]]) -> None:
        """Add the names that stand in a sentence outside its quotations."""
        sentence = self.sentences[number]
        spans = (sentence.spans or {}).get("source", ())
        first = bisect_left(self.starts, sentence.start)
        for start, end, name in self.cast.mentions[first : bisect_left(self.starts, sentence.end)]:
            if self.masked[start] <= CLOSES:
                continue
            pieces = found.setdefault(self.cast.full_name(name), set())
            pieces.add("mention")
            before = self.text[max(sentence.start, start - 20) : start].lower().split()[-1:]
            if not BEFORE_OBJECTS.isdisjoint(before):
                pieces.add("mention after preposition")
            if spans:
                is_inside = any(begin < end and start < close for begin, close in spans)
                pieces.add("mention in span" if is_inside else "mention outside spans")

    def add_neighbours(self, number: int, found: dict[str, set[str]]) -> None:
        """Add who speaks in the sentences around."""
        words = self.words[number]
        kind = "" if INSIDE not in words else "part " if any(map(is_word, words)) else "all "
        if before := self.floor.speaker:
            label = self.sentences[number].facets["source"].label
            change = "same label" if label == self.last_label else "other label"
            pieces = {f"before, {change}", f"before, {kind}quoted"}
            found.setdefault(before, set()).update(pieces)
            if kind and (after := self.named_at(number + 1)):
                runs_on = self.masked[self.sentences[number + 1].start] == INSIDE
                pieces = {f"after, {kind}quoted", *(["after, runs on"] if runs_on else [])}
                found.setdefault(after, set()).update(pieces)
        else:
            later = map(self.named_at, range(number + 1, number + LOOK_AHEAD))
            if after := next(filter(None, later), None):
                found.setdefault(after, set()).add("nobody before")

    def named_at(self, number: int) -> str | None:
        """Whom a verb of saying names in a sentence, as far as no pronoun stands for the name."""
        for place, phrase in self.phrases[number] if number < len(self.phrases) else ():
            if place.startswith(VERBS) and (name := self.floor.resolve(phrase)):
                return None if form(phrase, name, self.cast) == "pronoun" else name
        return None


def form(phrase: Sequence[str], name: str, cast: Cast) -> str:
    """How a phrase means a name: as a name, a role, a pronoun, a description of nobody known."""
    words = [word for word in phrase if is_word(word)]
    if not words:
        return "no words"
    first, last = words[0].lower(), words[-1].lower()
    if first in PRONOUNS or last in PRONOUNS:
        return "pronoun"
    if first in POSSESSIVE_PRONOUNS:
        return "possessive"
    if name.split(" and ")[0] in cast.counts:
        capitals = [word for word in words if word[0].isupper()]
        return "name" if any(word in name for word in capitals) else "role"
    if name[0].isupper():
        return "new name"
    return "the unnamed" if first == "the" else "unnamed"
