"""Takes an article; gives its main actors and its main claim as targets, by rules alone.

Names come from the cast that also resolves speakers (`stance.speakers.cast`), groups without a name
("the Syrian army", "rebels") from a list of nouns. All are ranked by how often and how early they
stand, by the headline, and by whether they act, only report, or are a place. No model is needed.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from stance.errors import StanceError
from stance.records import Article, Target, with_targets
from stance.segment import segment
from stance.speakers.cast import Cast, blank_headlines
from stance.speakers.words import FUNCTION_WORDS, JOINTS, POSSESSIVE, is_saying

AUTO = "auto"
"""What stands for the targets that `propose` finds, in place of a list of them."""

LIMIT = 3
"""Entities that are proposed for an article at most."""

CLAIM_WORDS = 40
"""A longer sentence is no claim: the encoding cuts targets, and the rest would not be read."""

LEAD = 6
"""Sentences at the beginning that may be the claim where there is no headline."""

BESIDE = re.compile(r" [|–—-] |; ?")
"""Ends a headline: the name of the site or a second headline follows."""

_NATIONS = (
    "Afghanistan: Afghan; Australia: Australian; Britain: British; Canada: Canadian; "
    "China: Chinese; Egypt: Egyptian; England: English; Europe: European; France: French; "
    "Germany: German; Greece: Greek; India: Indian; Iran: Iranian; Iraq: Iraqi; Ireland: Irish; "
    "Israel: Israeli; Italy: Italian; Japan: Japanese; Jordan: Jordanian; Lebanon: Lebanese; "
    "Mexico: Mexican; Pakistan: Pakistani; Palestine: Palestinian; Russia: Russian; "
    "Saudi Arabia: Saudi; Scotland: Scottish; Spain: Spanish; Syria: Syrian; Turkey: Turkish; "
    "Ukraine: Ukrainian; United States: American; Wales: Welsh"
)
NATIONS = {
    adjective: nation for nation, adjective in (pair.split(": ") for pair in _NATIONS.split("; "))
}
"""Nations by the adjective for what is theirs: "Russian jets" are Russia's."""

GROUPS = frozenset(
    "activists administration army campaign coalition commission fighters forces government "
    "groups immigrants industry insurgents military militants militia migrants movement "
    "opposition organisations organizations party protesters rebels refugees regime supporters "
    "team terrorists troops".split()
)
"""Nouns for those who act together; in the measured corpora few others were annotated."""

MEMBERS = GROUPS & set(
    "activists fighters forces groups insurgents militants organisations organizations supporters "
    "terrorists troops".split()
)
"""Nouns for those who belong to a body: "ISIL fighters" are ISIL."""

KINDS = frozenset(
    "air armed federal foreign government human international labour local military moderate "
    "opposition political presidential rebel regime ruling security state suicide terrorist".split()
)
"""Words in small letters that belong to the name of a group: "terrorist groups"."""

AGENCIES = frozenset("afp ap reuters associated agencies photo updated published".split())
"""Words of names that stand over an article rather than in it."""

MEDIA = frozenset("agency journal news observatory post radio television times tv".split())
"""Words in the names of those who report what others do."""

SENTENCE_END = re.compile(r"[.!?][”\"']?\s|\n")
WORD = re.compile(r"[^\W_][\w’'.\-]*")
GROUP = re.compile(
    r"\b((?:(?:(?:[A-Z]\.){1,9}|[A-Z][\w\-]{0,40}(?:['’]s?)?|"
    + "|".join(sorted(KINDS))
    + r") ){0,3})("
    + "|".join(sorted(GROUPS))
    + r")\b"
)
_AREA = "province city town village countryside district area region suburb suburbs county airport"
PLACE_BEFORE = re.compile(
    r"\b(?:(?:in|at|near|outside|inside|around|across|to)|"
    rf"(?:{_AREA.replace(' ', '|')}|northern|southern|eastern|western|central|rural)(?: of)?)"
    r" (?:the )?$",
    re.IGNORECASE,
)
PLACE_AFTER = re.compile(rf"(?:['’]s?)? (?:{_AREA.replace(' ', '|')})\b", re.IGNORECASE)
ACTS = re.compile(r" (?:(?:who|which|also|then) )?([a-z]+)")
AUXILIARIES = frozenset("has have had is are was were will would could can may did does do".split())


@dataclass(frozen=True)
class Mention:
    """A place in the text where an actor is named: `name` is the same for all forms of one."""

    start: int
    end: int
    name: str
    is_group: bool


def add_targets(
    article: Article, targets: str | Sequence[str | Mapping[str, object] | Target]
) -> Article:
    """The article with these targets after its own; `"auto"` stands for what `propose` finds.

    Raises:
        RecordError: a target is not one.
        StanceError: another string than "auto".
    """
    if not isinstance(targets, str):
        return with_targets(article, targets)
    if targets != AUTO:
        raise StanceError(f"targets: want a list of targets or {AUTO!r}, found {targets!r}")
    return with_targets(article, propose(article))


def propose(article: Article) -> tuple[Target, ...]:
    """Up to three entities, the main one first, and one claim.

    Actors that the article's own targets name already are left out, and so is the claim if the
    article has one.
    """
    known = [target.text for target in article.targets]
    entities = [
        Target(name)
        for name in actors(article)
        if not any(same_name(name, other) for other in known)
    ]
    claim = main_claim(article)
    if claim is None or any(target.kind == "claim" for target in article.targets):
        return tuple(entities)
    return (*entities, Target(claim, "claim"))


def actors(article: Article) -> list[str]:
    """The names of the main actors, the main one first, none twice in other words."""
    title = article.title or ""
    # Some texts begin with their headline, whose capitals would pass for names.
    text = article.text.replace(title, " " * len(title), 1) if title else article.text
    by_name: dict[str, list[Mention]] = {}
    for mention in mentions(text):
        by_name.setdefault(mention.name, []).append(mention)
    ends = [match.end() for match in SENTENCE_END.finditer(text)]
    headline = {bare(word) for word in WORD.findall(first_line(article))}
    ranks = {name: rank(text, found, ends, headline) for name, found in by_name.items()}
    chosen: list[str] = []
    for name in sorted(ranks, key=lambda name: (-ranks[name], name)):
        form = usual_form(text, by_name[name])
        if not any(repeats(form, other) or variants(form, other) for other in chosen):
            chosen.append(form)
        if len(chosen) == LIMIT:
            break
    return chosen


def rank(text: str, found: Sequence[Mention], ends: Sequence[int], headline: set[str]) -> float:
    """How much of a main actor somebody is.

    The weights are rounded ones of a softmax over each article's actors, fitted so that those whom
    the annotators chose are likely (ListNet, Cao et al. 2007), on 1,286 training articles of four
    news corpora.

    Args:
        found: the mentions of one actor, in order.
        ends: where the text's sentences end, in order.
        headline: its words in small letters.
    """
    name, count = found[0].name, len(found)
    heads = {bare(WORD.findall(text[mention.start : mention.end])[-1]) for mention in found}
    after = [text[mention.end : mention.end + 40] for mention in found]
    # A sentence that names somebody twice says no more of their weight than one that does once.
    sentences = len({bisect_right(ends, mention.start) for mention in found})
    value = 1.2 * math.log(sentences) - 0.3 * math.log(1 + found[0].start / 200)
    value += 0.7 * (not headline.isdisjoint(heads | {last_word(name)}))
    value += 0.7 * sum(map(acts, after)) / count - 0.9 * sum(map(tells, after)) / count
    value -= 1.5 * sum(is_place(text, mention) for mention in found) / count
    value -= 1.1 * (not MEDIA.isdisjoint(name_words(name)))
    if found[0].is_group:
        return value + (2.0 if " " in name else 0.9)
    return value + 0.6 * (" " in name)


def usual_form(text: str, found: Sequence[Mention]) -> str:
    """The name of an actor, or the form that the text uses far more often in its place.

    A name that is written out once and "IAAF" from then on is IAAF. Shorter abbreviations have too
    many meanings to be a target.
    """
    name = found[0].name
    if found[0].is_group or name in NATIONS.values():
        return name
    forms = Counter(POSSESSIVE.sub("", text[m.start : m.end]).strip() for m in found)
    form, count = forms.most_common(1)[0]
    whole = sum(forms[other] for other in forms if name in other)
    return form if len(form) > 3 and count > 4 * whole and not same_name(form, name) else name


def mentions(text: str) -> list[Mention]:
    """Everybody who is named in the text, in order."""
    cast = Cast(text)
    groups = [
        Mention(match.start(), match.end(), group_name(cast, match[1].split(), match[2]), True)
        for match in GROUP.finditer(blank_headlines(text))
    ]
    # "The army" is the Syrian army if that is the army named most often, as are "regime forces".
    named = Counter(group.name for group in groups if " " in group.name)
    full = {last_word(name): name for name, _ in reversed(named.most_common())}
    found: list[Mention] = []
    for group in groups:
        body, _, head = group.name.partition(" ")
        if head in MEMBERS and body.isupper():
            found.append(Mention(group.start, group.end, cast.full_name(body), False))
        else:
            short = body if head in MEMBERS and body in full else group.name
            found.append(replace(group, name=full.get(short, group.name)))
    starts = [group.start for group in groups]
    for start, end, name in cast.mentions:
        words = without_nation(name.split())
        nation = nation_of(words[-1])
        before = bisect_right(starts, start) - 1
        if before >= 0 and start < groups[before].end and nation is None:
            continue
        full_name = nation or " ".join(without_nation(cast.full_name(" ".join(words)).split()))
        if AGENCIES.isdisjoint(full_name.lower().split()):
            found.append(Mention(start, end, full_name, False))
    return sorted(found, key=lambda mention: mention.start)


def nation_of(word: str) -> str | None:
    """The nation that an adjective, or a possessive that has lost its apostrophe, stands for."""
    if word.endswith("s") and word[:-1] in NATIONS.values():
        return word[:-1]
    return NATIONS.get(word)


def without_nation(words: list[str]) -> list[str]:
    """The words of a name without the nation around it: "Syria's Idlib" gives Idlib."""
    nations = NATIONS.values()
    owners = [number for number, word in enumerate(words[:-1]) if word.endswith(("'s", "’s"))]
    words = words[owners[-1] + 1 :] if owners else words
    while len(words) > 1 and (words[0] in nations or words[0].removesuffix("s") in nations):
        words = words[1:]
    is_last = len(words) > 1 and words[-1].removesuffix("s") in nations
    # "Bank of England" is whole, "Kelm Syria" are two places whose comma is lost.
    return words[:-1] if is_last and words[-2] not in JOINTS else words


def group_name(cast: Cast, before: Sequence[str], head: str) -> str:
    """The noun with what belongs to it: "the late Syrian government forces" without "the late"."""
    capitals = [number for number, word in enumerate(before) if word[0].isupper()]
    if not capitals:
        return " ".join([*before, head])
    word = POSSESSIVE.sub("", before[capitals[-1]])
    if word.removesuffix("s") in NATIONS.keys() | cast.inner:
        word = word.removesuffix("s")  # a possessive that has lost its apostrophe
    rest = [*before[capitals[-1] + 1 :], head]
    if word.lower() in KINDS:
        return " ".join([word.lower(), *rest])
    is_name = word in NATIONS or word in cast.inner or "-" in word or word.isupper()
    is_name = is_name and word.lower() not in FUNCTION_WORDS
    return " ".join([word, *rest] if is_name else rest)


def is_place(text: str, mention: Mention) -> bool:
    """Whether the words around a mention say that something happens there."""
    before = text[max(0, mention.start - 24) : mention.start]
    return bool(PLACE_BEFORE.search(before) or PLACE_AFTER.match(text, mention.end))


def acts(after: str) -> bool:
    """Whether what follows a name is a verb."""
    match = ACTS.match(after)
    return match is not None and (
        match[1] in AUXILIARIES or is_saying(match[1]) or match[1].endswith("ed")
    )


def tells(after: str) -> bool:
    """Whether what follows a name is a verb of saying: who only reports is no topic."""
    match = ACTS.match(after)
    return match is not None and is_saying(match[1], nouns=False)


def main_claim(article: Article) -> str | None:
    """The headline, or else the first sentence of four to forty words; None where neither is.

    In the measured corpora the headline has more words of the annotators' claim than any sentence
    of the text that rules chose (docs/targets.md).
    """
    headline = BESIDE.split(" ".join((article.title or "").split()))[0]
    starts = (article.text[start:end] for start, end in segment(article.text)[:LEAD])
    for sentence in (headline, *(" ".join(start.split()) for start in starts)):
        if 4 <= len(sentence.split()) <= CLAIM_WORDS:
            return sentence
    return None


def content_words(text: str) -> set[str]:
    """The words of a text in small letters without the small ones."""
    return {bare(word) for word in WORD.findall(text)} - FUNCTION_WORDS


def first_line(article: Article) -> str:
    """The headline: the title, or else a short first line."""
    if article.title:
        return article.title
    line = article.text.strip().split("\n", 1)[0]
    return line if len(line) <= 150 else ""


def bare(word: str) -> str:
    """A word in small letters without possessive and marks."""
    return POSSESSIVE.sub("", word).lower().strip(".-’'")


def name_words(name: str) -> list[str]:
    """The words of a name in small letters, without articles."""
    words = [bare(word) for word in WORD.findall(name)]
    return [word for word in words if word not in ("the", "a", "an")] or words


def last_word(name: str) -> str:
    """The head of a name: a surname, the noun of a group."""
    return name_words(name)[-1]


def same_name(one: str, other: str) -> bool:
    """Whether two names mean the same: the same last word, or half of the longer one's words."""
    left, right = name_words(one), name_words(other)
    if not left or not right:
        return False
    shared = len(set(left) & set(right))
    return left[-1] == right[-1] or 2 * shared >= max(len(left), len(right))


def variants(one: str, other: str) -> bool:
    """Whether two names are forms of one: the same name, but no two persons of one family."""
    left, right = name_words(one), name_words(other)
    family = len(left) == len(right) == 2 and left[0] != right[0] and left[1] not in GROUPS
    return same_name(one, other) and not family


def repeats(one: str, other: str) -> bool:
    """Whether two proposals are one actor: all words of the shorter are in the longer one."""
    left, right = set(name_words(one)), set(name_words(other))
    return left <= right or right <= left
