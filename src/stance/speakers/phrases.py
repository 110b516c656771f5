"""Takes the words of a sentence; gives the noun phrases that may be its source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile

from stance.records import Sentence
from stance.speakers.cast import tokenize
from stance.speakers.words import (
    BEFORE_VERB,
    BOUNDARIES,
    DAYS,
    DETERMINERS,
    DOCUMENTS,
    FUNCTION_WORDS,
    INSIDE,
    INVERTING_VERBS,
    LINKS,
    MAX_WORDS,
    OPENERS,
    PREPOSITIONS,
    PRONOUNS,
    REACTIONS,
    REPORTS,
    SOURCES,
    STRONG_VERBS,
    is_saying,
)

# Joined once: they are asked of every word.
BEFORE_INVERTED = BEFORE_VERB | BOUNDARIES | SOURCES | DOCUMENTS
"""What stands before "said" and is its subject, or none of what is said."""
NO_SUBJECT = PREPOSITIONS | {"to", "on"}
"""What behind a verb begins no subject of it."""
BETWEEN = BEFORE_VERB | DAYS
"""What may stand between a subject and its verb."""
NO_APPOSITION = BOUNDARIES | PREPOSITIONS | {"a", "an", "former"}
"""What a part between commas that is the subject does not begin with."""
NEXT_PHRASE = DETERMINERS | PREPOSITIONS - {"of"}
"""What begins something else behind the first word of a subject."""


def candidate_phrases(
    sentence: Sentence, text: str, words: Sequence[str]
) -> Iterator[tuple[str, list[str]]]:
    """The noun phrases that may be the source of a sentence, each with where it was found."""
    for start, end in sentence.spans.get("source", ()) if sentence.spans else ():
        yield "span", tokenize(text[start:end])[:MAX_WORDS]
    lowered = [word.lower() for word in words]
    if not {"reportedly", "allegedly"}.isdisjoint(lowered):
        yield "reportedly", [REPORTS]
    for place, word in enumerate(words):
        strength = "strong" if lowered[place] in STRONG_VERBS else "weak"
        if lowered[place] == "according":
            yield "according", phrase_after(words, place + 1)
        elif not is_saying(word):
            continue
        elif place and is_inverted(words, place):
            yield f"{strength} inverted", phrase_after(words, place)
        elif lowered[place - 1] != "to":  # an infinitive has no subject of its own
            for phrase in subjects_before(words, place):
                yield f"{strength} subject", phrase
    for place in range(1, len(words)):
        if lowered[place] in ("from", "by", "among") and lowered[place - 1] in REACTIONS:
            yield "reaction", phrase_after(words, place)
    yield "first", first_subject(words)


def is_inverted(words: Sequence[str], place: int) -> bool:
    """Whether the subject follows its verb, and not an object or what is said."""
    verb, before = words[place].lower(), words[place - 1]
    phrase = phrase_after(words, place) if can_invert(verb) else []
    if not phrase:
        return False
    begin = phrase[0].lower()
    is_named = phrase[0][0].isupper() or phrase[-1][0].isupper()
    if not (is_named or begin in DETERMINERS or begin in SOURCES):
        return False
    is_told = verb in ("told", "asked")
    if before == INSIDE:
        return phrase[0][0].isupper() or not is_told
    rest = words[place + 1 + len(phrase) :]
    if before == "," and not is_told:
        ends = not rest or rest[0] in (".", ",", INSIDE)
        return ends and not first_bare_name(pieces_before(words, place - 1))
    # Where marks are lost only the end of the sentence tells: "… said the head of the council."
    is_last = not rest or rest[0] in (".", "who", "which")
    is_subject = before.lower() in BEFORE_INVERTED
    return is_last and verb == "said" and before[0].islower() and not is_subject


def can_invert(word: str) -> bool:
    """Whether a verb may stand before its subject."""
    return not INVERTING_VERBS.isdisjoint((word, word[:-1], word[:-2]))


def phrase_after(words: Sequence[str], place: int) -> list[str]:
    """The words of the noun phrase that begins after the word at `place`."""
    end = start = place + 1
    if start < len(words) and words[start].lower() in NO_SUBJECT:
        return []
    while end < min(len(words), place + 14):
        word, before = words[end].lower(), words[end - 1].lower()
        if word == "by" or (word in ("from", "in") and before in DOCUMENTS):
            start = end + 1  # "a report by the council": who wrote it
        elif ends_phrase(word) or (end > start and begins_next_phrase(words[end], before)):
            break
        end += 1
    further = list(takewhile(is_word, words[end + 1 : end + 7]))
    if end > start and words[end - 1][0].islower() and words[end : end + 1] == [","]:
        return bare_name(further) or list(words[start:end])  # "said the mayor, Ana Brod"
    return list(words[start:end])


def ends_phrase(word: str) -> bool:
    """Whether a word in small letters ends a noun phrase wherever it stands."""
    return (
        not (word[0].isalnum() or word == "&")
        or word in DAYS
        or (word in BOUNDARIES and word != "and")
    )


def begins_next_phrase(word: str, before: str) -> bool:
    """Whether a word after the first one of a noun phrase begins something else."""
    if word.lower() in DETERMINERS:
        return before not in PREPOSITIONS and before != "and"
    return is_saying(word) or word.lower() in ("in", "at")


def is_word(word: str) -> bool:
    """Whether a token is a word and no mark."""
    return word[0].isalnum()


def subjects_before(words: Sequence[str], place: int) -> Iterator[list[str]]:
    """Candidates for the subject of the verb at `place`."""
    end = place
    while end and (words[end - 1].lower() in BETWEEN or words[end - 1].endswith("ly")):
        end -= 1
    if end < place and words[end].lower() in DAYS and words[end - 1 : end] == ["on"]:
        end -= 1
    if not end:
        return
    if words[end - 1] == ",":
        yield from subjects_of_pieces(pieces_before(words, end - 1))
        return
    if words[end - 1].lower() in ("and", "but", "or", "then"):
        yield first_subject(words[:end])
        return
    phrase = phrase_before(words, end)
    opening = end - len(phrase)
    if phrase and opening > 1 and words[opening - 1] == ",":
        # An apposition that no comma closes: "Ana Brod, a spokeswoman for the group said".
        is_short = len(phrase) == 1 or phrase[-1][0].islower()
        last = phrase[-1].lower()
        is_other = last in SOURCES or last in PRONOUNS  # "…, officials said"
        if (is_short or phrase[0][0].islower()) and not is_other:
            yield first_bare_name(pieces_before(words, opening - 1))
    yield phrase


def subjects_of_pieces(pieces: Sequence[list[str]]) -> Iterator[list[str]]:
    """Candidates for a subject that commas divide from its verb: "Ana Brod, a judge, said"."""
    if len(pieces) > 1:
        yield first_bare_name(pieces)
    for piece in reversed(pieces[:-1] if len(pieces) > 1 else pieces):
        if piece[0].lower() not in NO_APPOSITION:
            yield phrase_before(piece, len(piece))


def pieces_before(words: Sequence[str], end: int) -> list[list[str]]:
    """The parts between commas that end at `end`, back to another mark."""
    pieces: list[list[str]] = [[]]
    for place in range(end - 1, max(-1, end - 1 - MAX_WORDS), -1):
        if words[place] == ",":
            pieces.append([])
        elif words[place] in (".", ";", "—", INSIDE):
            break
        else:
            pieces[-1].append(words[place])
    return [piece[::-1] for piece in reversed(pieces) if piece]


def bare_name(piece: Sequence[str]) -> list[str]:
    """The name that a piece between commas is, with titles and what "of" or "from" adds to it."""
    begin = next((n for n, word in enumerate(piece) if word.lower() not in LINKS), 0)
    end = begin
    while end < len(piece) and piece[end][0].isupper():
        end += 1
    is_whole = end == len(piece) or piece[end].lower() in ("of", "from", "with", "at")
    is_opener = end > begin and piece[begin].lower() in FUNCTION_WORDS
    return list(piece[begin:end]) if 1 < end - begin <= 6 and is_whole and not is_opener else []


def first_bare_name(pieces: Sequence[Sequence[str]]) -> list[str]:
    """The first of the pieces that is a name."""
    return next(filter(None, map(bare_name, pieces)), [])


def phrase_before(words: Sequence[str], end: int) -> list[str]:
    """The noun phrase that ends at `end`, with those that "of", "for", "in" join before it."""
    start = noun_phrase_start(words, end)
    while start > 1 and words[start - 1].lower() in PREPOSITIONS and end - start < 14:
        is_source = words[start].lower() in SOURCES or words[end - 1].lower() in SOURCES
        further = noun_phrase_start(words, start - 1)
        if further == start - 1 or (is_source and words[start - 1].lower() != "of"):
            break
        start = further
    if start == end or words[start] == "The":
        return list(words[start:end])
    # Without commas an apposition follows the name at once: "Ana Brod a resident said".
    name = start
    while name and words[name - 1][0].isupper() and start - name < 4:
        name -= 1
    begins = name < start and (not name or words[name - 1] in (INSIDE, "."))
    if start - name > 1 or (begins and words[start].lower() in DETERMINERS):
        start = name
    return list(words[start:end])


def noun_phrase_start(words: Sequence[str], end: int) -> int:
    """Where the noun phrase without prepositions begins that ends at `end`."""
    start = end
    if end and words[end - 1].lower() in PRONOUNS:
        return end - 1
    while start and end - start < 9:
        word, lowered = words[start - 1], words[start - 1].lower()
        if lowered in DETERMINERS and not (lowered == "that" and start == end):
            return start - 1
        if not (word[0].isalnum() or word == "&") or lowered in PREPOSITIONS or lowered in DAYS:
            break
        if lowered in BOUNDARIES and not joins_nouns(words, start - 1, end):
            break
        is_participle = word[0].islower() and word.endswith("ed") and "-" not in word
        if lowered.endswith("ly") or is_participle:
            break
        near = {other.lower() for other in words[max(0, start - 3) : start]}
        is_long = end - start > 2 and word[0].islower() and words[start][0].islower()
        if is_long and words[start] != "and" and DETERMINERS.isdisjoint(near):
            break
        start -= 1
    return start


def joins_nouns(words: Sequence[str], place: int, end: int) -> bool:
    """Whether an "and" joins two nouns of one subject."""
    if words[place].lower() != "and" or not 0 < place < end - 1:
        return False
    left, right = words[place - 1], words[place + 1]
    is_plural = left[-1] == "s" and words[end - 1][-1] == "s"
    return (left[0].isupper() and right[0].isupper()) or is_plural


def first_subject(words: Sequence[str]) -> list[str]:
    """The first noun phrase of a sentence, after an introduction that ends with a comma."""
    start = 0
    words = words[:MAX_WORDS]
    if words and words[0].lower() in OPENERS and "," in words:
        start = words.index(",") + 1
    while start < len(words) and (
        not words[start][0].isalnum()
        or words[start].lower() in LINKS
        or words[start].endswith("ly")
    ):
        start += 1
    end = start
    while end < len(words) and (words[end][0].isalnum() or words[end] == "&"):
        word = words[end].lower()
        if word in BEFORE_VERB or word in BOUNDARIES or is_saying(words[end]):
            break
        if end > start:
            is_lower = words[end][0].islower()
            if word in NEXT_PHRASE or words[end - 1].lower() in SOURCES:
                break
            if is_lower and word.endswith(("ed", "ly")):
                break
            if is_lower and end - start > 1 and words[end - 1][0].islower():
                break
        end += 1
    return list(words[start:end])
