"""Takes SemEval-2016 Task 6 (Mohammad et al.) or TweetEval's form of it; gives articles."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from stance.errors import RecordError
from stance.importers.files import (
    WORDS,
    Cells,
    Options,
    Rows,
    judged,
    lines_of,
    read_text,
    stance_of,
    table,
)
from stance.records import Article

CLAIM = "Climate Change is a Real Concern"
TWEETEVAL_TARGETS = {
    "abortion": "Legalization of Abortion",
    "atheism": "Atheism",
    "climate": CLAIM,
    "feminist": "Feminist Movement",
    "hillary": "Hillary Clinton",
}
"""TweetEval's folders and the targets of SemEval-2016 that they stand for."""
TWEETEVAL_MAPPING: dict[int, str | None] = {0: "neutral", 1: "against", 2: "favor"}

_HASHTAG = re.compile(r"\s*#SemST\b")


def _tweet(text: str, target: str, stance: str | None, identifier: str, **extra: Any) -> Article:
    """A tweet without the hashtag of the shared task, which its annotators did not see."""
    kind = "claim" if target.strip() == CLAIM else "entity"
    targets = [{"kind": kind, "text": target.strip()}]
    return judged(_HASHTAG.sub("", text).strip(), targets, [stance], id=identifier, **extra)


def semeval(path: Path, _: Options) -> Rows:
    """Tables of SemEval: tab-separated, or with commas (the release with sentiment)."""
    text = read_text(path, latin1=True)
    tabs = "\t" in text.split("\n", 1)[0]
    convert = partial(_semeval_row, path.stem)
    return table(text, convert, ("Target", "Tweet", "Stance"), tabs=tabs)


def _semeval_row(stem: str, line: int, row: Cells) -> Article:
    stance = stance_of(row["Stance"], {}, "Stance")
    extra = {
        name.lower().replace(" ", "_"): cell
        for name, cell in row.items()
        if name not in ("ID", "Target", "Tweet", "Stance") and name
    }
    identifier = f"semeval2016-{row.get('ID') or f'{stem}-{line}'}"
    return _tweet(row["Tweet"], row["Target"], stance, identifier, **extra)


def tweeteval(path: Path, _: Options) -> Rows:
    """`<part>_text.txt` with `<part>_labels.txt` beside it, in a folder named after its target."""
    if not path.name.endswith("_text.txt"):
        raise RecordError("want a file <part>_text.txt, with <part>_labels.txt beside it")
    part, topic = path.name.removesuffix("_text.txt"), path.resolve().parent.name
    if topic not in TWEETEVAL_TARGETS:
        raise RecordError(f"the folder {topic!r} is none of {', '.join(TWEETEVAL_TARGETS)}")
    beside = path.with_name(f"{part}_labels.txt")
    if not beside.is_file():
        raise RecordError(f"there is no {beside.name} beside it")
    tweets, labels = lines_of(read_text(path)), lines_of(read_text(beside))
    if len(tweets) != len(labels):
        raise RecordError(f"{len(tweets)} tweets, but {len(labels)} labels in {beside.name}")
    codes = _tweeteval_mapping(path.resolve().parent)
    for number, (tweet, label) in enumerate(zip(tweets, labels, strict=True), 1):
        yield number, partial(_tweeteval_row, tweet, label, codes, topic, f"{part}-{number}")


def _tweeteval_row(
    tweet: str, label: str, codes: Mapping[int, str | None], topic: str, name: str
) -> Article:
    stance = stance_of(label, codes, "label")
    return _tweet(tweet, TWEETEVAL_TARGETS[topic], stance, f"tweeteval-{topic}-{name}")


def _tweeteval_mapping(folder: Path) -> Mapping[int, str | None]:
    """What the numbers mean, from mapping.txt in the folder or above it."""
    for path in (folder / "mapping.txt", folder.parent / "mapping.txt"):
        if path.is_file():
            pairs = [line.split("\t") for line in lines_of(read_text(path)) if line.strip()]
            try:
                return {int(code): WORDS[word.strip().lower()] for code, word in pairs}
            except (KeyError, ValueError):
                raise RecordError(f"{path}: not lines of number, tab, stance") from None
    return TWEETEVAL_MAPPING
