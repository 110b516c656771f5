"""Takes tagged articles as files; gives who says what about whom, counted, with its sentences.

DuckDB (extra `ledger`) reads the Parquet parts and does the counting. The bootstrap needs no
articles: a cell's resampled total follows from how many articles have which count, so it draws
from that histogram (the ordinary bootstrap over articles, exactly), and memory does not grow with
the archive.
"""

from __future__ import annotations

import csv
import glob
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import Field, astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np

from stance.cores import default_threads
from stance.errors import StanceError, require
from stance.readers import read_articles
from stance.schema import DEFAULT
from stance.writers import ParquetWriter

By = Literal["target", "tag", "speaker", "publisher", "month"]

ALLEGATION = "allegation"
"""The tag of `Ledger.allegations`."""

RESAMPLES = 1000
MEMORY = "512MB"
"""What DuckDB may hold in memory; beyond that it uses a temporary folder."""

_DATE = (
    "coalesce(try_strptime(left(date, 10), ['%Y-%m-%d', '%G-W%V-%u']), "
    "try_strptime(left(date, 8), ['%Y%m%d', '%GW%V%u']))"
)
"""The day of every form of ISO 8601 date that a record may have."""

_PAIRS = f"""
CREATE VIEW archive AS
    SELECT *, filename AS file, file_row_number AS line, strftime({_DATE}, '%Y-%m') AS month
    FROM records;
CREATE VIEW pairs AS
    SELECT file, line, id, title, publisher, date, month,
           s.start, s."end", s.text AS sentence, s.speaker, s.tags, {{tag_probs}} AS tag_probs,
           targets[t.target + 1].text AS target, targets[t.target + 1].kind AS kind,
           t.label, t.score, t.probs.favor AS p_favor, t.probs.against AS p_against
    FROM (SELECT *, unnest(s.stance) AS t FROM (SELECT *, unnest(sentences) AS s FROM archive));
CREATE VIEW skipped AS
    SELECT file, line, publisher, month, t.text AS target, t.kind AS kind, size
    FROM (SELECT *, unnest(targets) AS t, coalesce(len(sentences), 0) AS size FROM archive)
    WHERE t.skipped;
"""


@dataclass(frozen=True)
class Where:
    """Which pairs of sentence and target count; None for all of them, "" for those without one.

    since, until: months as 2026-01, both included.
    """

    target: str | None = None
    tag: str | None = None
    speaker: str | None = None
    publisher: str | None = None
    since: str | None = None
    until: str | None = None

    def __post_init__(self) -> None:
        for month in (self.since, self.until):
            if month is not None and not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", month):
                raise StanceError(f"{month!r} is not a month such as 2026-01")


@dataclass(frozen=True)
class Figure:
    """How many sentences: those with the label, and the sum of the label's probabilities.

    Both with their 95 % interval over articles. What was tagged without probabilities has no
    expected count (None).
    """

    count: int
    low: float
    high: float
    expected: float | None
    expected_low: float | None
    expected_high: float | None


@dataclass(frozen=True)
class Row:
    """One cell of a table: a target, and one tag, speaker, publisher or month.

    by: None in a table by target, and for sentences that have no such value.
    articles, sentences: those judged toward the target.
    skipped: articles that do not mention the target; None where a table cannot tell.
    """

    target: str
    kind: str
    by: str | None
    articles: int
    sentences: int
    skipped: int | None
    favor: Figure
    against: Figure


@dataclass(frozen=True)
class Evidence:
    """A sentence behind a figure. `article` is the id, else file and row (1-based)."""

    article: str
    start: int
    end: int
    text: str
    title: str | None
    publisher: str | None
    date: str | None
    speaker: str | None
    tags: tuple[str, ...]
    target: str
    kind: str
    stance: str
    score: float | None


@dataclass(frozen=True)
class Totals:
    """Articles and sentences, pairs of sentence and target judged, and pairs skipped."""

    articles: int
    sentences: int
    pairs: int
    skipped: int


class Ledger:
    """Holds a DuckDB session over tagged articles; a context manager.

    Args:
        output: a folder of Parquet (or JSONL) parts, or one such file, as `stance run` and
            `stance tag` write them. JSONL is rewritten as Parquet in a temporary folder first; it
            has expected counts if it was written with all probabilities.

    Raises:
        StanceError: there is nothing to read, or it has no stances.
        MissingExtra: duckdb or pyarrow is not installed.
    """

    def __init__(self, output: str | Path) -> None:
        duckdb = require("duckdb", "ledger")
        self._stack = ExitStack()
        try:
            folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="stance-ledger-"))
            files = _parquet_files(Path(output), Path(folder))
            tags = _tags(files[0])
            self._database = self._stack.enter_context(
                duckdb.connect(
                    config={
                        "memory_limit": MEMORY,
                        "temp_directory": folder,
                        "threads": default_threads(),
                        "preserve_insertion_order": False,
                    }
                )
            )
            self._error: type[Exception] = duckdb.Error
            self._name = str(output)
            try:
                records = self._database.read_parquet(
                    [glob.escape(str(file)) for file in files],
                    filename=True,
                    file_row_number=True,
                    hive_partitioning=False,
                )
                records.create_view("records")
                self._database.execute(_PAIRS.format(tag_probs=tags))
            except duckdb.Error as error:
                raise self._broken(error) from error
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def totals(self, where: Where = Where()) -> Totals:
        """What the archive holds; of the conditions those on target, publisher and month count."""
        article, values = _conditions(where, _ARTICLE)
        target, more = _conditions(where, ("target", *_ARTICLE))
        ((articles, sentences),) = self._rows(
            f"SELECT count(*), coalesce(sum(len(sentences)), 0) FROM archive WHERE {article}",
            values,
        )
        ((pairs,),) = self._rows(f"SELECT count(*) FROM pairs WHERE {target}", more)
        ((skipped,),) = self._rows(
            f"SELECT coalesce(sum(size), 0) FROM skipped WHERE {target}", more
        )
        return Totals(int(articles), int(sentences), int(pairs), int(skipped))

    def table(
        self,
        by: By = "target",
        where: Where = Where(),
        *,
        limit: int | None = None,
        resamples: int = RESAMPLES,
        seed: int = 0,
    ) -> list[Row]:
        """The cells with most favor and against first.

        By tag, and where a tag is asked for, the expected count is the sum of the tag's
        probability times the stance's, over all sentences.

        Args:
            limit: so many cells at most.
            resamples: of the bootstrap over articles.

        Raises:
            StanceError: `by` is not one of its names, or the files turn out to be broken.
        """
        if by not in get_args(By):
            raise StanceError(f"by is {by!r}, want one of {', '.join(get_args(By))}")
        condition, values = _conditions(where, _ARTICLE)
        ((articles,),) = self._rows(f"SELECT count(*) FROM archive WHERE {condition}", values)
        query, values = _query(by, where, limit)
        random = np.random.default_rng(seed)
        rows = []
        for target, kind, group, found, sentences, skipped, *figures in self._rows(query, values):
            favor, against = (
                _figure(figures[first : first + 4], articles, random, resamples) for first in (0, 4)
            )
            known = skipped if by in ("target", *_ARTICLE) else None
            rows.append(Row(target, kind, group, found, sentences, known, favor, against))
        return rows

    def allegations(
        self,
        where: Where = Where(),
        *,
        limit: int | None = None,
        resamples: int = RESAMPLES,
        seed: int = 0,
    ) -> list[Row]:
        """Who alleges what about whom: sentences with the tag and a stance, by target and speaker.

        The arguments and errors are those of `table`; another tag in `where` is an error, too.
        """
        if where.tag not in (None, ALLEGATION):
            raise StanceError(
                f"allegations have the tag {ALLEGATION!r}: leave out the tag {where.tag!r}"
            )
        rows = self.table(
            "speaker",
            replace(where, tag=ALLEGATION),
            limit=limit,
            resamples=resamples,
            seed=seed,
        )
        return [row for row in rows if row.favor.count + row.against.count]

    def sentences(
        self,
        where: Where = Where(),
        stance: str | None = None,
        *,
        limit: int | None = None,
        surest: bool = False,
    ) -> Iterator[Evidence]:
        """The sentences behind the plain counts, by date, article and place.

        Args:
            stance: favor, against or neutral; None for favor and against.
            limit: so many sentences at most.
            surest: those whose stance is the most probable come first.
        """
        condition, values = _conditions(where, ("target", "tag", "speaker", *_ARTICLE))
        query = (
            "SELECT coalesce(id, file || ':' || (line + 1)) AS article, start, \"end\", "
            "sentence AS text, title, publisher, date, speaker, coalesce(tags, []) AS tags, "
            f"target, kind, label AS stance, score FROM pairs WHERE {condition} "
            "AND list_contains($stances, label) "
            f"ORDER BY {'score DESC NULLS LAST, ' if surest else ''}"
            "date NULLS LAST, file, line, start, target, kind"
        )
        values["stances"] = [stance] if stance else ["favor", "against"]
        if limit is not None:
            query, values["limit"] = query + " LIMIT $limit", limit
        names = [field.name for field in fields(Evidence)]
        for row in self._rows(query, values):
            found = dict(zip(names, row, strict=True))
            yield Evidence(**{**found, "tags": tuple(found["tags"])})

    def _rows(self, query: str, values: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
        try:
            cursor = self._database.cursor()
            cursor.execute(query, dict(values))
            while rows := cursor.fetchmany(1000):
                yield from rows
        except self._error as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> StanceError:
        return StanceError(f"{self._name}: cannot be read: {str(error).splitlines()[0]}")


_ARTICLE = ("publisher", "month")
"""Columns that are the same for all sentences of an article."""


def _conditions(where: Where, columns: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """A condition on some columns, and the values of its parameters."""
    parts, values = ["true"], {}
    for name in columns:
        wanted = None if name == "month" else getattr(where, name)
        if wanted is None:
            continue
        if name == "tag":
            parts.append("list_contains(tags, $tag)")
        elif wanted == "":
            parts.append(f"{name} IS NULL")
            continue
        else:
            parts.append(f"{name} = ${name}")
        values[name] = wanted
    if "month" in columns:
        for name, sign in (("since", ">="), ("until", "<=")):
            if getattr(where, name) is not None:
                parts.append(f"month {sign} ${name}")
                values[name] = getattr(where, name)
    return " AND ".join(parts), values


def _query(by: By, where: Where, limit: int | None) -> tuple[str, dict[str, Any]]:
    """The query of a table, and the values of its parameters.

    base: a row a pair, or a skipped article and target; held: whether it counts in the cell.
    counts: a row an article and cell. The histograms are of these.
    """
    condition, values = _conditions(where, ("target", "speaker", *_ARTICLE))
    group = "NULL::VARCHAR" if by == "target" else by
    rows, held, weight = "pairs", "true", "1"
    if where.tag is not None:
        held, weight = "coalesce(list_contains(tags, $tag), false)", "tag_probs[$tag]"
        values["tag"] = where.tag
    if by == "tag":
        rows = (
            "(SELECT *, unnest(list_distinct(list_concat(tags, map_keys(tag_probs)))) AS tag "
            "FROM pairs)"
        )
        held, weight = "coalesce(list_contains(tags, tag), false)", "tag_probs[tag]"
        if where.tag is not None:
            condition += " AND tag = $tag"
    base = (
        f"SELECT file, line, target, kind, {group} AS grp, {held} AS held, label, "
        f"{weight} * p_favor AS p_favor, {weight} * p_against AS p_against, 0 AS skipped "
        f"FROM {rows} WHERE {condition}"
    )
    if by in ("target", *_ARTICLE):
        others, _ = _conditions(where, ("target", *_ARTICLE))
        base += (
            f" UNION ALL SELECT file, line, target, kind, {group}, false, NULL, 0, 0, 1 "
            f"FROM skipped WHERE {others}"
        )
    measures = "".join(
        f", sum({label}), histogram({label}), {_complete(f'e_{label}')}, "
        f"histogram(round(e_{label}, 1))"
        for label in ("favor", "against")
    )
    query = f"""
        WITH base AS ({base}),
        counts AS (
            SELECT target, kind, grp, file, line, max(skipped) AS skipped,
                   count(*) FILTER (held) AS sentences,
                   count(*) FILTER (held AND label = 'favor') AS favor,
                   count(*) FILTER (held AND label = 'against') AS against,
                   {_complete("p_favor")} AS e_favor, {_complete("p_against")} AS e_against
            FROM base GROUP BY target, kind, grp, file, line)
        SELECT target, kind, grp, count(*) FILTER (sentences > 0), sum(sentences), sum(skipped)
               {measures}
        FROM counts GROUP BY target, kind, grp
        HAVING sum(sentences) + sum(skipped) > 0
        ORDER BY sum(favor) + sum(against) DESC, sum(sentences) DESC, target, kind,
                 grp NULLS LAST"""
    if limit is not None:
        query, values["limit"] = query + " LIMIT $limit", limit
    return query, values


def _complete(column: str) -> str:
    """SQL of a sum that is unknown where a part of it is."""
    return f"CASE WHEN count({column}) = count(*) THEN fsum({column}) END"


def _figure(
    cells: Sequence[Any], articles: int, random: np.random.Generator, resamples: int
) -> Figure:
    """From a count and the histogram of the articles' counts, and the same of the expected one."""
    count, counts, expected, expected_counts = cells
    low, high = _interval(counts, articles, random, resamples)
    if expected is None:
        return Figure(int(count), low, high, None, None, None)
    # What rounding took from the articles' sums goes back to their total.
    lost = expected - sum(value * number for value, number in expected_counts.items())
    between = _interval(expected_counts, articles, random, resamples)
    below, above = (max(0.0, round(bound + lost, 3)) for bound in between)
    return Figure(int(count), low, high, round(expected, 3), below, above)


def _interval(
    histogram: Mapping[float, int], articles: int, random: np.random.Generator, resamples: int
) -> tuple[float, float]:
    """2.5 and 97.5 % of the total of `articles` articles drawn with replacement.

    Args:
        histogram: how many articles have a value; the others have 0.
    """
    values = np.array([0.0, *sorted(histogram)])
    numbers = np.array([0, *(histogram[value] for value in sorted(histogram))])
    numbers[0] = articles - numbers.sum()
    draws = random.multinomial(articles, numbers / max(articles, 1), size=resamples)
    low, high = np.quantile(draws @ values, (0.025, 0.975))
    return round(float(low), 3), round(float(high), 3)


def _parquet_files(output: Path, folder: Path) -> list[Path]:
    """The Parquet files of an output, or what its JSONL files become in `folder`."""
    if output.is_dir():
        files = sorted(
            path
            for path in output.rglob("*")
            if path.suffix in (".parquet", ".jsonl")
            and "rejects" not in path.relative_to(output).parts
            and path.is_file()
        )
    else:
        files = [output]
        if not output.is_file():
            raise StanceError(f"{output}: there is no such file or folder")
    parquet = [file for file in files if file.suffix == ".parquet"]
    if parquet:
        return parquet
    lines = [file for file in files if file.suffix == ".jsonl"]
    if not lines:
        raise StanceError(f"{output}: want a .parquet or .jsonl file, or a folder of them")
    for number, file in enumerate(lines):
        path = folder / f"{number:06}.parquet"
        with ParquetWriter(path, DEFAULT) as writer, file.open("rb") as stream:
            # Blank lines have a number, and no article.
            rows = (row for row, line in enumerate(stream, 1) if line.strip())
            for article, row in zip(read_articles(file), rows, strict=True):
                known = article.id is not None
                writer.write(article if known else replace(article, id=f"{file}:{row}"))
    return [folder / f"{number:06}.parquet" for number in range(len(lines))]


def _tags(file: Path) -> str:
    """SQL of the tags' probabilities as a map; raises `StanceError` for a file that is not ours."""
    arrow = require("pyarrow", "ledger")
    parquet = require("pyarrow.parquet", "ledger")
    try:
        schema = parquet.read_schema(file)
        sentence = schema.field("sentences").type.value_type
        stance = sentence.field("stance").type.value_type
        stance.field("probs").type.field("favor")
        stance.field("probs").type.field("against")
        schema.field("targets").type.value_type.field("skipped")
    except (arrow.ArrowInvalid, OSError) as error:
        raise StanceError(f"{file}: not a Parquet file: {error}") from None
    except (KeyError, AttributeError):
        raise StanceError(
            f"{file}: these are no articles tagged with stances of favor and against"
        ) from None
    if sentence.get_field_index("tag_probs") < 0:
        return "map([]::VARCHAR[], []::DOUBLE[])"
    names = [field.name for field in sentence.field("tag_probs").type]
    keys = ", ".join("'" + name.replace("'", "''") + "'" for name in names)
    probs = ", ".join('s.tag_probs."' + name.replace('"', '""') + '"' for name in names)
    return f"map([{keys}], [{probs}])"


def write_csv(
    path: str | Path, kind: type[Row] | type[Evidence], rows: Iterable[Row] | Iterable[Evidence]
) -> int:
    """Write a table or sentences as CSV with a header; gives the number of rows.

    The columns of a figure are called favor, favor_low, favor_high, favor_expected, …; offsets
    are code points into the article's text; several tags are joined by a space.

    Raises:
        StanceError: the file cannot be written.
    """
    count = 0
    try:
        with open(path, "w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow([name for field in fields(kind) for name in _columns(field)])
            for row in rows:
                writer.writerow(
                    [cell for field in fields(row) for cell in _cells(getattr(row, field.name))]
                )
                count += 1
    except OSError as error:
        raise StanceError(f"{path}: cannot be written: {error.strerror}") from error
    return count


def _columns(field: Field[Any]) -> list[str]:
    if field.type != "Figure":
        return [field.name]
    return [field.name, *(f"{field.name}_{part.name}" for part in fields(Figure)[1:])]


def _cells(value: Any) -> Sequence[Any]:
    if isinstance(value, Figure):
        return astuple(value)
    return [" ".join(value) if isinstance(value, tuple) else value]
