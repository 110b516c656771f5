"""Takes phrases in the order of the article; gives the names that they mean.

A full name stands for itself, a surname or an acronym for the full name, and a pronoun or "the
company" for who was heard last and fits. Whoever stays unnamed gets a short description.
"""

from __future__ import annotations

from collections.abc import Sequence

from stance.speakers.cast import Cast, cut_title
from stance.speakers.phrases import first_subject
from stance.speakers.words import (
    AGENT_ENDINGS,
    DAYS,
    DETERMINERS,
    DOCUMENTS,
    FUNCTION_WORDS,
    GROUP_NOUNS,
    LINKS,
    NAME,
    NAMED_ELSEWHERE,
    NOBODY,
    OFFICES,
    PAIR,
    POSSESSIVE,
    POSSESSIVE_PRONOUNS,
    PREPOSITIONS,
    PRONOUNS,
    REPORTS,
    SOURCES,
    SPEAKING_NOUNS,
    STATE_BODIES,
    STUDIES,
    VAGUE_NOUNS,
)

BEFORE_PHRASE = LINKS | PREPOSITIONS | DAYS | {"on"}
"""What a phrase may begin with that is no part of it."""
UNNAMED_DOCUMENTS = DOCUMENTS - STUDIES
"""What is said and stands for nobody where its author is not told."""


class Floor:
    """Who has spoken so far, and the names that a phrase may mean."""

    def __init__(self, cast: Cast) -> None:
        self.cast = cast
        self.speaker: str | None = None
        self.heard: list[str] = []

    def give_to(self, name: str) -> None:
        """Make a name the speaker that pronouns mean from here on."""
        self.speaker = name
        self.hear(name)

    def hear(self, name: str) -> None:
        """Remember a name for pronouns."""
        if name != REPORTS:
            self.heard = [*(other for other in self.heard[-12:] if other != name), name]

    def hear_subject(self, words: Sequence[str]) -> None:
        """Remember the subject of a narrator's sentence."""
        if match := NAME.search(" ".join(first_subject(words))):
            name = self.cast.full_name(cut_title(match[0])[0])
            if self.cast.is_name(name) and (" " in name or self.cast.is_group(name)):
                self.hear(name)

    def resolve(self, phrase: Sequence[str]) -> str | None:
        """The name that a noun phrase means, or a short description; None if it means nothing."""
        if list(phrase) == [REPORTS]:
            return REPORTS
        words = [word for word in phrase if word[0].isalnum() or word == "&"]
        while words and words[0].lower() in BEFORE_PHRASE:
            words = words[1:]
        lowered = [word.lower() for word in words]
        if not words or lowered[0] in NOBODY:
            return None
        for end in (lowered[0], lowered[-1]):
            if end in PRONOUNS:
                return self.meant_by(end)
        if len(words) == 1 and (lowered[0] in FUNCTION_WORDS or lowered[0].isdigit()):
            return None
        if words[-1][0].islower() and words[-1].endswith(("'s", "’s")):
            return None  # a phrase cut off behind "the senator's"
        core = before_preposition(words)
        possessor = self.find_possessor(core)
        if possessor and core[-1].lower() in DOCUMENTS:
            return possessor
        added = words[len(core) :]
        is_signed = core[-1].lower() in DOCUMENTS and added[:1] in (["from"], ["of"], ["in"])
        if is_signed and (author := self.resolve(added[1:])):
            return author
        return self.head_name(words, core) or self.describe(words, core, possessor)

    def meant_by(self, pronoun: str) -> str | None:
        """Whom a pronoun means: the last person or the last group that was heard."""
        wants_group = pronoun in ("it", "its", "they", "their")
        fitting = (name for name in reversed(self.heard) if self.cast.is_group(name) == wants_group)
        return next(fitting, self.speaker)

    def find_possessor(self, words: Sequence[str]) -> str | None:
        """Whose a phrase says something is: "Ana Brod's spokesman", "her spokesman"."""
        first = words[0].lower()
        if first in POSSESSIVE_PRONOUNS:
            return self.meant_by(first)
        for place, word in enumerate(words[:-1]):
            runs = NAME.findall(" ".join(words[: place + 1])) if POSSESSIVE.search(word) else ()
            if runs and word[0].isupper():
                return self.cast.full_name(cut_title(runs[-1])[0]) or None
        return None

    def head_name(self, words: Sequence[str], core: Sequence[str]) -> str | None:
        """The name that a phrase ends with, or its part before a preposition."""
        joined = " ".join(words)
        if pair := PAIR.fullmatch(joined):
            both = [cut_title(part)[0] for part in pair.groups()]
            if all(map(self.cast.is_name, both)):
                return " and ".join(map(self.cast.full_name, both))
        core_end = len(" ".join(core))
        for run in NAME.finditer(joined):
            if run.end() not in (core_end, len(joined)):
                continue
            title_free, office = cut_title(run[0])
            name = self.cast.trailing_name(title_free)
            # After "chairman of the council" a name counts if it shows to be a person's.
            is_head = run.end() == core_end or office or name != title_free
            is_office = not name or name.split()[-1].lower() in OFFICES
            if is_head and not is_office and self.cast.is_name(name):
                return self.cast.full_name(name)
        return None

    def describe(
        self, words: Sequence[str], core: Sequence[str], possessor: str | None
    ) -> str | None:
        """Whom a definite description means, or a short description."""
        nouns = [w for w in core if w.lower() not in DETERMINERS and not w[0].isdigit()]
        if not nouns:
            return None
        head = nouns[-1].lower()
        is_group = head in GROUP_NOUNS
        is_definite = core[0].lower() in ("the", "this", "that", "those", "these")
        # "The Nordian group" is one of its own, "the Lund-based group" one that has spoken.
        is_own = is_group and any(w[0].isupper() and "-" not in w for w in nouns)
        points_back = is_definite and not is_own
        if points_back:
            if name := self.heard_as(head):
                return name
            if head in DOCUMENTS:
                return self.speaker
        if "monitoring" in nouns:  # "a monitoring group"
            head = "monitor"
        stands_for_name = points_back and head not in SOURCES
        if stands_for_name or head in NAMED_ELSEWHERE:
            introduced = self.cast.name_in_role(head, words, self.heard)
            if head in STATE_BODIES and (introduced is None or head not in introduced.lower()):
                return " ".join(nouns[-4:])
            if introduced:
                return introduced
        if stands_for_name and (is_group or head[-1] != "s"):
            name = self.meant_by("it" if is_group else "he")
            if name and (name[0].isupper() or not head.endswith(AGENT_ENDINGS)):
                return name
        can_speak = head.endswith(AGENT_ENDINGS) or head in SPEAKING_NOUNS
        if not can_speak or head in UNNAMED_DOCUMENTS:
            return None
        if possessor:
            return f"{possessor}'s {head}"
        if head.startswith("spokes") and len(nouns) == 1:
            group = self.find_body(words[len(core) + 1 :]) or self.meant_by("it")
            return f"{group} {head}" if group and "spokes" not in group else head
        if len(words) > len(core) and (head in VAGUE_NOUNS or words[len(core)].lower() == "of"):
            longer = [word for word in words if word.lower() not in DETERMINERS]
            if len(longer) < 8:
                return " ".join(longer)
        return " ".join(nouns[-5:])

    def find_body(self, words: Sequence[str]) -> str | None:
        """For whom a spokesman speaks, by the words behind "for": a name or a few words."""
        if named := NAME.search(" ".join(words)):
            return self.cast.full_name(cut_title(named[0])[0])
        told = [word for word in words if word.lower() not in DETERMINERS]
        return " ".join(told) if len(told) < 4 else None

    def heard_as(self, head: str) -> str | None:
        """Who was heard last with a noun in the name or description: "the council"."""
        for name in reversed(self.heard):
            is_proper = name[0].isupper() and self.cast.is_group(name)
            if head.rstrip("s") in singular_words(name) and (is_proper or head not in GROUP_NOUNS):
                return name
        return None


def before_preposition(words: Sequence[str]) -> Sequence[str]:
    """The words before the first preposition that does not follow a name."""
    for place in range(1, len(words)):
        if words[place].lower() in PREPOSITIONS and not words[place - 1][0].isupper():
            return words[:place]
    return words


def singular_words(name: str) -> set[str]:
    """The words of a description or a group's name without the plural's ending."""
    return {word.lower().rstrip("s") for word in name.split()}
