"""Takes an article's text; gives its names and roles (`Cast`) and the text without quotations.

A quotation's words do not say who speaks, so it is masked first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

from stance.speakers.words import (
    ABBREVIATIONS,
    APPOSITION,
    BRACKETS,
    CLITIC,
    CLOSES,
    CONTROL,
    DAYS,
    FUNCTION_WORDS,
    GROUP_WORDS,
    INSIDE,
    JOINTS,
    MAX_WORDS,
    MONITORS,
    NAME,
    NO_ROLE,
    OFFICES,
    OPENS,
    PLACES,
    POSSESSIVE,
    QUOTATION_MARK,
    TOKEN,
    is_saying,
)


def mask_quotations(text: str) -> str:
    """The text with its quotations blanked by control characters, offsets kept.

    Straight marks open after a space and close before one; where that does not tell, they take
    turns. A paragraph's end closes whatever is open: the next one opens anew if it runs on.
    """
    text = CONTROL.sub(" ", text)
    parts: list[str] = []
    place, is_open = 0, False
    for match in QUOTATION_MARK.finditer(text):
        mark, between = match[0], text[place : match.start()]
        parts.append(INSIDE * len(between) if is_open else between)
        place = match.end()
        before = text[match.start() - 1 : match.start()].strip()
        after = text[place : place + 1].strip()
        if mark == "\n":
            is_open = False
            parts.append(mark)
            continue
        if mark in ("“", "``", "‘‘", "”", "’’"):
            is_open = mark in ("“", "``", "‘‘")
        else:
            is_open = bool(after) if bool(before) != bool(after) else not is_open
        parts.append((OPENS if is_open else CLOSES) * len(mark))
    rest = text[place:]
    return "".join(parts) + (INSIDE * len(rest) if is_open else rest)


def tokenize(body: str) -> list[str]:
    """Words and marks of a sentence without brackets; a quotation is one mark."""
    body = BRACKETS.sub(" ", body)
    if "'" in body or "’" in body:
        body = CLITIC.sub(r"\1", body)
    return [INSIDE if word[0] <= CLOSES else word for word in TOKEN.findall(body)]


class Cast:
    """The names of an article: full forms, kinds, and the words they are introduced with.

    mentions: start and end of each run of capitalised words that holds a name, with that name.
    """

    def __init__(self, text: str) -> None:
        self.common = set(re.findall(r"\b[a-z]{3,}\b", text))
        self.inner = set(re.findall(r"[a-z,] ([A-Z][\w’'\-]*)", text))
        runs = [(match, *cut_title(match[0])) for match in NAME.finditer(blank_headlines(text))]
        self.counts = Counter(name for _, name, _ in runs)  # what `trailing_name` goes by
        runs = [(match, self.trailing_name(name), office) for match, name, office in runs]
        runs = [run for run in runs if self.is_name(run[1]) and len(run[1].split()) < 9]
        self.mentions = [(match.start(), match.end(), name) for match, name, _ in runs]
        self.counts = Counter(name for _, name, _ in runs)
        self.people = {name for _, name, office in runs if office}
        self.roles: dict[str, set[str]] = {name: set() for name in self.counts}
        self.acronyms: dict[str, str] = {}
        self.by_word: dict[str, list[str]] = {}
        self.by_role: dict[str, list[str]] = {}
        self.known: dict[str, str] = {}
        for match, name, _ in runs:
            self.read_introduction(text, match, name)
        for name in self.counts:
            self.add_to_indexes(name)

    def read_introduction(self, text: str, match: re.Match[str], name: str) -> None:
        """Note the roles and the acronym that the text around a name gives it."""
        self.roles[name].update(introducing_words(text, match, name))
        if bracket := re.match(r" \(([A-Z][A-Za-z]{1,8})\)", text[match.end() : match.end() + 12]):
            self.acronyms[bracket[1]] = name

    def add_to_indexes(self, name: str) -> None:
        """Make a name found by its words, its initials and its roles."""
        words = name.split()
        for word in set(words) if len(words) > 1 else ():
            self.by_word.setdefault(word, []).append(name)
        initials = "".join(word[0] for word in words if word[0].isupper())
        if len(initials) > 1 and initials in self.counts:
            self.acronyms.setdefault(initials, name)
        if self.is_group(name):
            self.roles[name].update(name.lower().split())
            if not MONITORS.isdisjoint(self.roles[name]):
                self.roles[name].add("monitor")
        for role in self.roles[name]:
            self.by_role.setdefault(role, []).append(name)

    def is_name(self, name: str) -> bool:
        """Whether capitalised words are a name and no common word that begins a sentence."""
        words = name.lower().split()
        if not words or words[0] in DAYS or words[-1] in DAYS - {"may", "march"}:
            return False
        if len(words) == 1:
            is_common = words[0] in self.common or words[0] in FUNCTION_WORDS
            is_new = name not in self.inner and words[0].endswith(("ing", "ted"))
            return not is_common and not is_new
        if len(words) > 5 and JOINTS.isdisjoint(words):
            return False
        return not any(
            part[0].isupper() and (part.lower() in FUNCTION_WORDS or is_saying(part))
            for part in name.split()
        )

    def is_group(self, name: str) -> bool:
        """Whether a name is an organisation's or state's; people are the default."""
        words = [word.lower() for word in name.split()]
        if name in self.people or words[-1].startswith("spokes"):  # "Halvex Group spokesman"
            return False
        return (
            not GROUP_WORDS.isdisjoint(words)
            or words[0] in PLACES
            or not JOINTS.isdisjoint(words)
            or (name.isupper() and len(words) == 1)
            or (name[0].islower() and name.endswith("s"))
        )

    def trailing_name(self, run: str) -> str:
        """The last of two names that stand side by side, as where commas are lost."""
        words = run.split()
        for place in range(1, min(len(words), 8)):
            left, right = " ".join(words[:place]), " ".join(words[place:])
            is_whole = " " in right or right.isupper()  # never a surname from its first name
            is_frequent = left in self.counts or self.counts[right] > 2
            if is_whole and right in self.counts and is_frequent:
                return right
        if words and words[-1].lower() not in GROUP_WORDS:
            group = max((n for n, w in enumerate(words) if w.lower() in GROUP_WORDS), default=99)
            if 2 <= len(words) - 1 - group <= 3 and JOINTS.isdisjoint(words[group:]):
                return " ".join(words[group + 1 :])
            joint = max((n for n, word in enumerate(words) if word in ("of", "for")), default=99)
            if len(words) - joint > 3 + ("the" in words[joint:]):
                return " ".join(words[max(joint + 2, len(words) - 3) :])
        return run

    def full_name(self, name: str) -> str:
        """The longer name of the article that this one stands for."""
        if name not in self.known:
            long = self.acronyms.get(name) or ABBREVIATIONS.get(name)
            self.known[name] = long or self.longer_name(name.split()) or name
        return self.known[name]

    def longer_name(self, words: list[str]) -> str | None:
        """The best known name that has all these words, if it is a longer one."""
        if not words:
            return None
        bare = words[-1].removesuffix("s")
        named = self.by_word.get(bare, ())
        if words[-1] not in self.by_word and any(name.endswith(bare) for name in named):
            words = [*words[:-1], bare]  # a possessive that has lost its apostrophe
        # "Brod" is Ana Brod before it is the Brod Institute, and that before Brod Adams.
        ranks: dict[str, tuple[bool, bool, int]] = {}
        for other in self.by_word.get(words[-1], ())[:50]:
            parts = other.split()
            if len(words) < len(parts) < 8 and set(words) <= set(parts):
                is_group, is_last = self.is_group(other), parts[-1] == words[-1]
                if is_group or is_last or parts[:1] == words:
                    fits = is_group or parts[0] == words[0]
                    ranks[other] = (is_last and not is_group, fits, self.counts[other])
        return max(ranks, key=ranks.__getitem__) if ranks else None

    def name_in_role(self, head: str, words: Sequence[str], heard: Sequence[str]) -> str | None:
        """The name introduced with a description: "the foreign secretary", "the company"."""
        ranks = {
            name: 10 * sum(word.lower() in self.roles[name] for word in words)
            + min(self.counts[name], 9)
            + 12 * (self.full_name(name) in heard)
            + 5 * (head in name.lower().split())
            for name in self.by_role.get(head, ())[:100]
        }
        return self.full_name(max(ranks, key=ranks.__getitem__)) if ranks else None


def introducing_words(text: str, match: re.Match[str], name: str) -> Iterator[str]:
    """The words around a name that may say who that is, in small letters."""
    before = re.split(r"[^\w\s\-’']|\n", text[max(0, match.start() - 50) : match.start()])[-1]
    words = before.split()[-4:] + match[0].split()[: -len(name.split())]
    stops = [n for n, word in enumerate(words) if word.lower() in NO_ROLE or is_saying(word)]
    yield from (word.lower() for word in words[max(stops, default=-1) + 1 :])
    after = text[match.end() : match.end() + 90]
    told = APPOSITION.match(after)
    if told and (after[0] == "," or told[0].startswith((" a ", " an ", " the", " is ", " who"))):
        yield from (word.lower() for word in told[1].split()[:8])


def blank_headlines(text: str) -> str:
    """The text with blanks for lines in which most words are capitalised."""
    lines = text.split("\n")
    for number, line in enumerate(lines):
        words = line.split()
        if len(words) > 3 and sum(word[0].isupper() for word in words) > 0.6 * len(words):
            lines[number] = " " * len(line)
    return "\n".join(lines)


@lru_cache(maxsize=1024)
def cut_title(run: str) -> tuple[str, bool]:
    """A run of capitalised words without what stands before the name, and whether it had an office.

    "Foreign Secretary Ana Brod" gives "Ana Brod"; "House of Lords" stays.
    """
    words = POSSESSIVE.sub("", run).strip(" .").split()[-MAX_WORDS:]
    office = False
    for place in range(len(words) - 1, -1, -1):
        if words[place].lower().strip(".") in OFFICES:
            rest = words[place + (3 if words[place + 1 : place + 3] == ["of", "State"] else 1) :]
            if rest and rest[0][0].isupper() and rest[-1].lower() not in GROUP_WORDS:
                words, office = rest, True
            break
    based = [n for n, word in enumerate(words) if re.search("-(?:based|run|led|backed)$", word)]
    words = words[max(based, default=-1) + 1 :]
    if words and words[-1] in ("Jr", "Sr"):
        words = words[:-1]
    joint = next((n for n, word in enumerate(words) if n > 1 and word in ("of", "for")), None)
    if joint and GROUP_WORDS.isdisjoint(word.lower() for word in words[:joint]):
        # "Ana Brod of Nordia" is a person, "Human Rights League of Nordia" is a name.
        words = words[:joint]
    while words and (words[0].lower() in FUNCTION_WORDS or words[0].lower() == "former"):
        words = words[1:]
    return " ".join(words), office
