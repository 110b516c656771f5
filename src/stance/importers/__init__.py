"""Takes published corpora and tools' exports in their own layouts; gives labelled `Article`s.

Every format is a function from one file to what makes its articles. What a format does not say is
left unknown, and training masks it. docs/importing.md tells where each corpus is to be had, what
its layout was checked against, and what becomes of its labels.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stance.corpora import to_rows
from stance.errors import RecordError, StanceError, require
from stance.importers import basil, brat, conll, newsmtsc, tweets, vast
from stance.importers.files import Options, Rows, find_files, isolated
from stance.label_studio import read_export
from stance.readers import OnError
from stance.records import Article
from stance.writers import JsonlWriter

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["FORMATS", "Options", "import_articles", "import_dataset", "import_file", "run"]


@dataclass(frozen=True)
class Format:
    """One layout: what files of a folder are of it, and how one of them is read."""

    patterns: tuple[str, ...]
    rows: Callable[[Path, Options], Rows]


def import_articles(
    name: str,
    source: str | Path,
    options: Options | None = None,
    *,
    on_error: OnError | None = None,
) -> Iterator[Article]:
    """The articles of a file, or of all files of that format in a folder, one by one.

    Args:
        name: a key of `FORMATS`.
        on_error: is given each broken record, and reading goes on; without it the first is raised.

    Raises:
        StanceError: no such format, or nothing of it at `source`.
        RecordError: naming file, line, field and reason; also for an id that comes twice.
    """
    if name not in FORMATS:
        raise StanceError(f"there is no format {name!r} (there are {', '.join(FORMATS)})")
    seen: dict[str, str] = {}
    for path in find_files(Path(source), FORMATS[name].patterns):
        for line, make in isolated(FORMATS[name].rows, path, options or Options()):
            try:
                article = make()
                if article.id is not None:
                    if article.id in seen:
                        raise RecordError(
                            f"{article.id!r} is also the id of {seen[article.id]}", field="id"
                        )
                    seen[article.id] = f"{path}:{line}" if line else str(path)
            except RecordError as error:
                placed = error.at(path, error.line or line)
                if on_error is None:
                    raise placed from None
                on_error(placed)
                continue
            yield article


def import_dataset(name: str, source: str | Path, options: Options | None = None) -> Dataset:
    """The same as a `datasets.Dataset` of records, a row an article (extra `train`)."""
    datasets = require("datasets", "train")
    dataset: Dataset = datasets.Dataset.from_list(
        to_rows(import_articles(name, source, options), name)
    )
    return dataset


def import_file(
    name: str, source: str | Path, output: str | Path, options: Options | None = None
) -> tuple[int, int]:
    """Write the articles as JSONL; returns how many, and how many broken records were told.

    Raises:
        StanceError: as `import_articles`; also where no article is left, and then there is no file.
    """
    rejects: list[RecordError] = []

    def reject(error: RecordError) -> None:
        rejects.append(error)
        print(f"stance: {error}", file=sys.stderr)

    count = 0
    with JsonlWriter(output) as writer:
        for article in import_articles(name, source, options, on_error=reject):
            writer.write(article)
            count += 1
        if not count:
            raise StanceError(f"{source}: no article could be read as {name}: nothing was written")
    return count, len(rejects)


def run(cfg: Any) -> None:
    """`python scripts/import_data.py format=… input=… output=…` (configs/import_data.yaml)."""
    from stance.config import load_schema, plain

    output = Path(str(cfg.output))
    if output.suffix != ".jsonl":
        raise StanceError(f"{output}: the output is JSON lines: want a name ending in .jsonl")
    output.parent.mkdir(parents=True, exist_ok=True)
    columns = plain(cfg.columns)
    if columns is not None and not (
        isinstance(columns, dict) and all(isinstance(number, int) for number in columns.values())
    ):
        raise StanceError("columns: want numbers by track, such as {source: 1, cue: 2, content: 3}")
    annotator = None if cfg.annotator is None else str(cfg.annotator)
    options = Options(load_schema(cfg), columns, annotator)
    count, rejects = import_file(str(cfg.format), str(cfg.input), output, options)
    print(f"{output}: {count} articles, {rejects} broken records")
    if rejects:
        sys.exit(1)


def _label_studio(path: Path, options: Options) -> Rows:
    for make in read_export(path, options.schema, annotator=options.annotator):
        yield None, make


FORMATS: dict[str, Format] = {
    "polnear": Format(("*.ann",), brat.rows),
    "newsmtsc": Format(("*.jsonl",), newsmtsc.rows),
    "semeval2016": Format(("*.txt", "*.csv"), tweets.semeval),
    "tweeteval": Format(("*_text.txt",), tweets.tweeteval),
    "vast": Format(("*.csv",), vast.rows),
    "basil": Format(("articles/**/*.json",), basil.rows),
    "conll": Format(("*.conll", "*.bio", "*.iob"), conll.rows),
    "label_studio": Format(("*.json",), _label_studio),
}
