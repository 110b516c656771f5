"""Takes a text and a target; gives where the text names the target, and which it never names.

Two rules, since their mistakes cost differently. `find_mentions` is strict: a name as written, its
last word or its initials. `skip_unmentioned` is lenient: one telling word of a name will do, since
a target that is skipped is lost, and one that is not only costs time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from stance.records import Article, Span, Target

STEM = 5
"""Words are the same if these first letters are: Russia and Russian, terrorist and terrorism."""

UNTELLING = frozenset(
    "a an and at by for from her his in its of on or other that the their this to with".split()
)
"""Words of a name that say nothing about whether a text is about it."""

_CAPITAL = re.compile(r"[A-Z\u00c0-\u00de]")
_WORD = re.compile(r"[^\W_]+")
_DOTTED = re.compile(r"\b(?:[A-Z]\.){2,}")


def find_mentions(text: str, target: Target) -> tuple[Span, ...]:
    """Spans of the text that name the target: whole words, in the order of the text.

    An entity without `names` is looked for by its text, a claim by its `names` alone. A name with
    a capital letter is found as written, one without in any case.
    """
    names = target.names or ((target.text,) if target.kind == "entity" else ())
    pattern = _pattern(names)
    return () if pattern is None else tuple(match.span() for match in pattern.finditer(text))


def skip_unmentioned(article: Article) -> Article:
    """The article with every target marked as skipped that has names and none of them in it.

    A name is there if a telling word of it is, by its first letters, or its initials are. Words in
    capitals (US, NATO) are found where the text has them with a capital (Nato, U.S.). Title and
    text count. A target whose mentions are given is not skipped.
    """
    if not any(target.names for target in article.targets):
        return article
    keys = _text_keys(f"{article.title or ''}\n{article.text}")
    targets = tuple(
        replace(
            target,
            skipped=not target.mentions
            and all(_name_keys(name).isdisjoint(keys) for name in target.names),
        )
        if target.names
        else target
        for target in article.targets
    )
    return replace(article, targets=targets)


def has_words(name: str) -> bool:
    """Whether there is anything in a name that could be found."""
    return bool(_name_keys(name))


@lru_cache(maxsize=4096)
def _pattern(names: tuple[str, ...]) -> re.Pattern[str] | None:
    forms: dict[str, None] = {}
    for name in names:
        forms.update(dict.fromkeys(_forms(name)))
    if not forms:
        return None
    return re.compile(rf"(?<!\w)(?:{'|'.join(forms)})(?!\w)")


def _forms(name: str) -> Iterator[str]:
    """Patterns of a name: as it is without an article in front, its last word, its initials."""
    words = name.split()
    if len(words) > 1 and words[0].lower() in ("the", "a", "an"):
        words = words[1:]
    if not words:
        return
    whole = r"\s+".join(map(re.escape, words))
    capitals = [word[0] for word in words if _CAPITAL.match(word)]
    yield whole if capitals else f"(?i:{whole})"
    last = words[-1]
    if 1 < len(words) <= 5 and _CAPITAL.match(last) and len(last) > 2:
        yield re.escape(last)
    if len(capitals) >= 2:
        yield re.escape("".join(capitals))


def _text_keys(text: str) -> set[str]:
    """What names are looked up in.

    Stems of all words (brod), words with a capital in capitals (NATO for Nato), and words that are
    in capitals after a sign (=MWU), so that initials are not found in Mr or Us.
    """
    words = set(_WORD.findall(_undotted(text)))
    capitalised = {word for word in words if word[0].isupper()}
    capitalised |= {word.removesuffix("s") for word in capitalised}
    keys = {_stem(word) for word in words} | {word.upper() for word in capitalised}
    return keys | {f"={word}" for word in capitalised if _acronym(word)}


@lru_cache(maxsize=4096)
def _name_keys(name: str) -> frozenset[str]:
    words = _WORD.findall(_undotted(name))
    telling = [w for w in words if len(w) > 1 and (_acronym(w) or w.lower() not in UNTELLING)]
    keys = {word if _acronym(word) else _stem(word) for word in telling or words}
    capitals = [word[0] for word in telling if word[0].isupper()]
    if len(capitals) > 1:
        keys.add("=" + "".join(capitals))
    return frozenset(keys)


def _acronym(word: str) -> bool:
    return len(word) > 1 and word.isupper()


def _undotted(text: str) -> str:
    """U.S. as US."""
    return _DOTTED.sub(lambda match: match.group().replace(".", ""), text)


def _stem(word: str) -> str:
    word = word.casefold()
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 2 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    return word[:STEM]
