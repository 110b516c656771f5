"""Takes NewsMTSC (Hamborg and Donnay, EACL 2021) as JSON lines; gives a sentence an article.

Both forms are read: the published one, and the one for the Hugging Face Hub with a target a line.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from stance.errors import RecordError
from stance.importers.files import Options, Rows, get, judged, stance_of
from stance.readers import parse_json
from stance.records import Article

POLARITIES: dict[int, str | None] = {
    2: "against",
    4: "neutral",
    6: "favor",
    -1: "against",
    0: "neutral",
    1: "favor",
}
"""NewsMTSC has 2, 4 and 6 as published, and -1, 0 and 1 in its form for the Hugging Face Hub."""


def rows(path: Path, _: Options) -> Rows:
    """One article a line."""
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if line.strip():
            yield number, partial(_article, line)


def _article(line: bytes) -> Article:
    row = parse_json(line)
    on_hub = isinstance(row, Mapping) and "sentence_normalized" not in row and "mention" in row
    text = get(row, "sentence" if on_hub else "sentence_normalized")
    targets: list[Any] = []
    stances: list[str | None] = []
    further: list[Any] = []
    for number, target in enumerate([row] if on_hub else get(row, "targets", list)):
        place = "" if on_hub else f"targets[{number}]."
        try:
            start, end = get(target, "from", int), get(target, "to", int)
            mention = get(target, "mention")
            if text[start:end] != mention:
                raise RecordError(
                    f"{mention!r} is not the text from {start} to {end}", field="mention"
                )
            stances.append(stance_of(get(target, "polarity", object), POLARITIES, "polarity"))
        except RecordError as error:
            raise RecordError(error.reason, field=f"{place}{error.field}".rstrip(".")) from None
        targets.append({"text": mention, "mentions": [[start, end]]})
        further.append(target.get("further_mentions") or [])
    # Found automatically, and not what the annotators judged: kept, but not as mentions.
    extra = {"further_mentions": further} if any(further) else {}
    identifier = get(row, "id" if on_hub else "primary_gid", (str, int))
    return judged(text, targets, stances, id=identifier, **extra)
