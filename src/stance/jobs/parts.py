"""Takes a part of the plan and a tagger; gives its files in the job folder, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from stance.errors import RecordError, StanceError
from stance.jobs.folder import settle
from stance.jobs.labelling import Counts, Format, label, reject_line
from stance.jobs.plan import Part, read_part
from stance.tagger import Tagger
from stance.writers import open_writer


@dataclass(frozen=True)
class Settings:
    """What a worker has to know, as plain data.

    unfinished: the folder, inside `output`, where files are written before they are moved.
    """

    model: str
    backend: str
    device: str
    threads: int | None
    dtype: str
    batch_tokens: int | None
    context: int | None
    targets: str | Sequence[Any]
    format: Format
    probs: bool
    output: str
    unfinished: str

    def load(self) -> Tagger:
        """The tagger; raises `StanceError` if the model cannot be loaded."""
        return Tagger.from_settings(self)


def write_part(
    tagger: Tagger,
    part: Part,
    settings: Settings,
    tell: Callable[[int, int], None] = lambda records, sentences: None,
) -> Counts:
    """Label one part. Its batches follow from its articles alone, so every run gives the same.

    Args:
        tell: is told of every article, and of the sentences in it.

    Raises:
        StanceError: its files cannot be read or written; nothing of it is in the folder then.
    """
    output, counts = Path(settings.output), Counts()
    try:
        # Of its own for every attempt: a worker that was given up may still be writing.
        with TemporaryDirectory(prefix=part.name, dir=settings.unfinished) as attempt:
            data = Path(attempt, f"{part.name}.{settings.format}")
            rejects = Path(attempt, "rejects")
            done = Path(attempt, "done")
            with (
                rejects.open("wb") as rejected,
                open_writer(data, settings.format, tagger.schema, probs=settings.probs) as writer,
            ):

                def reject(error: RecordError) -> None:
                    counts.rejects += 1
                    rejected.write(reject_line(error))
                    tell(1, 0)

                articles = read_part(part, reject)
                for article in label(tagger, articles, settings.targets, counts):
                    writer.write(article)
                    tell(1, len(article.sentences or ()))
            done.write_text(json.dumps(asdict(counts)), encoding="ascii")
            if counts.rejects:
                (output / "rejects").mkdir(exist_ok=True)
                settle(rejects, output / "rejects" / f"{part.name}.jsonl")
            settle(data, output / data.name)
            # The counts come last: they say that the others are there.
            settle(done, output / "done" / f"{part.name}.json")
    except OSError as error:
        trouble = error.strerror or error
        raise StanceError(f"{output}: {part.name} cannot be written: {trouble}") from error
    return counts
