"""Takes tables of VAST (Allaway and McKeown, EMNLP 2020); gives an article a comment and topic."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from stance.errors import RecordError
from stance.importers.files import Cells, Options, Rows, judged, read_text, stance_of, table
from stance.records import Article

LABELS: dict[int, str | None] = {0: "against", 1: "favor", 2: "neutral"}


def rows(path: Path, _: Options) -> Rows:
    """One article a row."""
    return table(read_text(path), partial(_article, path.stem), ("post", "label"), tabs=False)


def _article(stem: str, line: int, row: Cells) -> Article:
    """A comment and one topic; `new_topic` is the crowd's correction of the topic."""
    names = [name for name in ("new_topic", "topic_str", "topic") if row.get(name, "").strip()]
    if not names:
        raise RecordError("there is no topic", field="new_topic")
    stance = stance_of(row["label"], LABELS, "label")
    kept = ("author", "arc_id", "ori_topic", "type_idx", "seen?", "Qte", "Sarc")
    extra = {name.rstrip("?").lower(): row[name] for name in kept if row.get(name)}
    identifier = f"vast-{row.get('new_id') or f'{stem}-{line}'}"
    return judged(row["post"], [row[names[0]].strip()], [stance], id=identifier, **extra)
