"""Takes an article with targets; gives which of them it never mentions.

The rule is lenient: one telling word of a name will do, since a target that is skipped is lost, and
one that is not only costs time.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from functools import lru_cache

from stance.records import Article

STEM = 5
"""Words are the same if these first letters are: Russia and Russian, terrorist and terrorism."""

UNTELLING = frozenset(
    "a an and at by for from her his in its of on or other that the their this to with".split()
)
"""Words of a name that say nothing about whether a text is about it."""

_WORD = re.compile(r"[^\W_]+")
_DOTTED = re.compile(r"\b(?:[A-Z]\.){2,}")
_MARKS = re.compile("[\u0300-\u036f]+")


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
    """U.S. as US, Erdoğan as Erdogan, however its letters are composed."""
    text = unicodedata.normalize("NFC", _MARKS.sub("", unicodedata.normalize("NFD", text)))
    return _DOTTED.sub(lambda match: match.group().replace(".", ""), text)


def _stem(word: str) -> str:
    word = word.casefold()
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 2 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    return word[:STEM]
