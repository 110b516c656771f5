"""Takes a ledger; gives it as one self-contained HTML page with charts, tables and sentences."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from html import escape
from itertools import islice
from json import dumps
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from stance import charts
from stance.document import document, filters
from stance.errors import StanceError
from stance.ledger import ALLEGATION, By, Evidence, Figure, Ledger, Row, Where
from stance.page import page_name

TARGETS = 8
"""Targets with charts of their own."""
GROUPS = 8
"""Bars in a chart at most."""
TABLE = 200
"""Rows of the table of targets."""
FIRST = 12
"""Of them so many are shown at once, the others unfold."""
ALLEGATIONS = 12
QUOTED = 3
"""Sentences shown with an allegation."""
SENTENCES = 5000
"""Sentences in the list."""

WIDTH = 340
"""Of a chart in CSS pixels: what a telephone shows."""

EVERYTHING = Where()

GROUPED: Mapping[By, str] = {
    "tag": "By tag",
    "speaker": "By speaker",
    "publisher": "By publisher",
    "month": "Over time",
}


COUNTED: Mapping[By, str] = {
    "tag": "A sentence with two tags counts under both.",
    "speaker": f"At most {GROUPS} a chart. Speakers are counted by name as each article gives it.",
    "publisher": f"At most {GROUPS} a chart.",
    "month": "Articles without date stand in the figures alone.",
}
"""What a reader has to know of the charts."""


@dataclass(frozen=True)
class Pages:
    """Where article pages lie, and where the page is that links to them.

    folder: of pages that `PageWriter` wrote.
    """

    folder: Path
    here: Path

    def link(self, evidence: Evidence, names: Mapping[str, int]) -> str | None:
        """Relative address of a sentence on its article's page; None if there is no such page.

        names: how many articles have which page name; where two have the same, none is linked.
        """
        name = page_name(evidence.article)
        path = self.folder / f"{name}.html"
        again = self.folder / f"{name}-2.html"  # written where two articles had this name
        if names[name] > 1 or again.is_file() or not path.is_file():
            return None
        try:
            way = os.path.relpath(path.resolve(), self.here.resolve().parent)
        except ValueError:  # on another drive
            return path.resolve().as_uri() + _fragment(evidence.text)
        return quote(Path(way).as_posix()) + _fragment(evidence.text)


def _fragment(text: str) -> str:
    """A text fragment (WICG): the browser scrolls to these words."""
    words = text.split()
    parts = [words] if len(words) <= 12 else [words[:5], words[-5:]]
    ends = [quote(" ".join(part), safe="").replace("-", "%2D") for part in parts]
    return "#:~:text=" + ",".join(ends)


def write_page(
    ledger: Ledger, path: str | Path, where: Where = EVERYTHING, *, pages: str | Path | None = None
) -> Path:
    """Write the page of a ledger.

    Args:
        where: which pairs count.
        pages: a folder of article pages, as `stance tag --format html` writes them; the sentences
            link to those that are there.

    Raises:
        MissingExtra: matplotlib is not installed.
        StanceError: there is no such folder, or the page cannot be written.
    """
    path = Path(path)
    if pages is not None and not Path(pages).is_dir():
        raise StanceError(f"{pages}: there is no such folder of article pages")
    html = render(ledger, where, pages=Pages(Path(pages), path) if pages is not None else None)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise StanceError(f"{path}: cannot be written: {error.strerror}") from error
    return path


def render(ledger: Ledger, where: Where = EVERYTHING, *, pages: Pages | None = None) -> str:
    """The page as a string; see `write_page`."""
    targets = ledger.table("target", where, limit=TABLE + 1)
    more_targets, targets = len(targets) > TABLE, targets[:TABLE]
    asked = where.tag in (None, ALLEGATION)
    alleged = [
        (row, _quoted(ledger, where, row))
        for row in (ledger.allegations(where, limit=ALLEGATIONS) if asked else ())
    ]
    found = list(ledger.sentences(where, limit=SENTENCES + 1, surest=True))
    more_sentences, found = len(found) > SENTENCES, sorted(found[:SENTENCES], key=_order)
    quoted = [evidence for _, some in alleged for evidence in some]
    names: dict[str, int] = {}
    for article in {evidence.article for evidence in (*found, *quoted)}:
        names[page_name(article)] = names.get(page_name(article), 0) + 1

    def link(evidence: Evidence) -> str | None:
        return pages.link(evidence, names) if pages else None

    charted = targets[:TARGETS]
    body = [
        *_head(ledger, where, targets),
        "<main>",
        *_targets(targets, more_targets),
        *_groups(ledger, where, charted),
        *_allegations(alleged, link, asked=asked),
        '<section id="sentences"><h2 tabindex="-1">The sentences</h2>',
        _told_sentences(more_sentences),
        filters(
            {
                "tag": "tag",
                "speaker": "speaker",
                "publisher": "publisher",
                "stance": "stance",
                "since": "from",
                "until": "to",
            },
            "sentences",
        ),
        "</section></main>",
    ]
    data = {
        "columns": ["date", "publisher", "speaker", "stance", "target", "tags", "sentence"],
        "things": "sentences",
        "rows": [_listed(evidence, link(evidence)) for evidence in found],
    }
    return document("The ledger", body, data, style="report.css", script="report.js")


def _quoted(ledger: Ledger, where: Where, row: Row) -> list[Evidence]:
    """The surest sentences behind an allegation."""
    narrowed = replace(where, target=row.target, tag=ALLEGATION, speaker=row.by or "")
    found = ledger.sentences(narrowed, surest=True)
    return list(islice((one for one in found if one.kind == row.kind), QUOTED))


def _order(evidence: Evidence) -> tuple[Any, ...]:
    return (evidence.date is None, evidence.date or "", evidence.article, evidence.start)


# What stands on the page


def _head(ledger: Ledger, where: Where, targets: Sequence[Row]) -> Iterator[str]:
    totals = ledger.totals(where)
    yield "<header><h1>Who says what about whom</h1>"
    yield (
        f"<p>{totals.articles:,} articles with {totals.sentences:,} sentences: "
        f"{totals.pairs:,} pairs of sentence and target judged, {totals.skipped:,} skipped "
        "because the article does not mention the target. Skipped is not neutral: these pairs "
        "are in no other figure.</p>"
    )
    told = [
        f"{name.name} {getattr(where, name.name) or 'none'}"
        for name in fields(where)
        if getattr(where, name.name) is not None
    ]
    if told:
        yield f"<p>Only: {escape(', '.join(told))}.</p>"
    yield (
        '<p class="quiet">Figures are sentences that favor a target or are against it. In brackets '
        "and as a thin line: the 95 % interval over articles, what other articles of the same kind "
        "might have given. After ~ and as a diamond (over time a crossbar): the expected number, "
        "the sum of the label’s probabilities. Neither knows of mistakes that the model makes "
        "throughout. A stance is that of the sentence, which may only report it.</p>"
    )
    options = "".join(
        f'<option value="{escape("=" + text)}">{escape(text)}</option>'
        for text in dict.fromkeys(row.target for row in targets)
    )
    if options:
        yield (
            '<div class="controls whole" role="group" aria-label="The whole page"><label>target '
            '<select class="filter" data-field="target"><option value="">all</option>'
            f"{options}</select></label>"
            '<nav aria-label="Sections"><a href="#targets">targets</a> '
            + " ".join(
                f'<a href="#by-{by}">{escape(title.lower())}</a>' for by, title in GROUPED.items()
            )
            + ' <a href="#allegations">allegations</a> <a href="#sentences">sentences</a></nav>'
            "</div>"
        )
    yield "</header>"


def _targets(rows: Sequence[Row], more: bool) -> Iterator[str]:
    yield '<section id="targets"><h2>Stance toward each target</h2>'
    if not rows:
        yield "<p>No sentence was judged toward a target.</p></section>"
        return
    bars = [(_target(row), row) for row in rows[:GROUPS]]
    yield '<div class="beside">'
    yield _bars("targets", "Stance toward the targets", bars, _most(rows[:GROUPS]))
    yield _table("target", rows[:FIRST]) + "</div>"
    if rest := rows[FIRST:]:
        yield f"<details><summary>{len(rest)} more targets</summary>"
        yield _table("target", rest) + "</details>"
    if more:
        yield (
            f'<p class="quiet">The {TABLE} targets with most favor and against; '
            "<code>stance ledger … --csv FOLDER</code> writes all.</p>"
        )
    yield "</section>"


def _groups(ledger: Ledger, where: Where, targets: Sequence[Row]) -> Iterator[str]:
    """A section for tags, speakers, publishers and months, with a chart for each target."""
    for by, title in GROUPED.items() if targets else ():
        found: dict[tuple[str, str], list[Row]] = {}
        for target in targets:
            limit = None if by == "month" else 2 * GROUPS  # a claim may have an entity's name
            rows = ledger.table(by, replace(where, target=target.target), limit=limit)
            own = [row for row in rows if row.kind == target.kind]
            found[target.target, target.kind] = own if by == "month" else own[:GROUPS]
        every = [row for rows in found.values() for row in rows if row.by or by != "month"]
        top, months = _most(every), _months(every) if by == "month" else []
        yield f'<section id="by-{by}"><h2>{title}</h2><div class="multiples">'
        for number, (key, rows) in enumerate(found.items()):
            yield f'<figure data-target="{escape(key[0])}"><figcaption>'
            yield f"{escape(_target(rows[0]) if rows else key[0])}</figcaption>"
            name, told = f"{by}-{number}", f"Stance toward {key[0]} {title.lower()}"
            if by == "month":
                yield _course(name, told, months, {row.by: row for row in rows}, top)
            else:
                yield _bars(name, told, [(_value(by, row), row) for row in rows], top)
            yield "</figure>"
        rows = [row for some in found.values() for row in _in_time(some, by)]
        yield (
            f'</div><p class="quiet">All charts of this section have one scale. {COUNTED[by]}</p>'
            f"<details><summary>The figures</summary>{_table(by, rows)}</details></section>"
        )


def _in_time(rows: list[Row], by: By) -> list[Row]:
    return sorted(rows, key=lambda row: row.by or "~") if by == "month" else rows


def _allegations(
    alleged: Sequence[tuple[Row, Sequence[Evidence]]], link: Any, *, asked: bool
) -> Iterator[str]:
    yield '<section id="allegations"><h2>Who alleges what about whom</h2>'
    if not asked:
        yield "<p>This page is about sentences with another tag.</p>"
    elif not alleged:
        yield "<p>No allegation takes a stance toward a target.</p>"
    for row, sentences in alleged:
        who = row.by or "Unnamed speakers"
        picked = {"tag": ALLEGATION, "speaker": row.by or "", "target": row.target}
        yield f'<article data-target="{escape(row.target)}">'
        yield f"<h3><bdi>{escape(who)}</bdi> about <bdi>{escape(_target(row))}</bdi></h3>"
        yield (
            f"<p>{_button(row.against, picked | {'stance': 'against'})} against, "
            f"{_button(row.favor, picked | {'stance': 'favor'})} in favor</p>"
        )
        for evidence in sentences:
            yield f"<blockquote><p>{escape(' '.join(evidence.text.split()))}</p><footer>"
            score = "" if evidence.score is None else f" {evidence.score:.2f}"
            about = [f"{evidence.stance}{score}", evidence.publisher, evidence.date]
            yield escape(" · ".join(part for part in about if part))
            yield f" · {_place(evidence, link(evidence))}</footer></blockquote>"
        yield "</article>"
    yield "</section>"


def _told_sentences(more: bool) -> str:
    which = (
        f"The {SENTENCES:,} of which the model is surest; <code>stance ledger … --sentences "
        "--csv FOLDER</code> writes all. "
        if more
        else ""
    )
    return (
        f'<p class="quiet">{which}Every sentence that favors a target or is against it, by date. '
        "A sentence stands here once for each of its targets.</p>"
    )


def _place(evidence: Evidence, link: str | None) -> str:
    where = escape(f"{evidence.article}, {evidence.start}–{evidence.end}")
    return where if link is None else f'<a href="{escape(link)}">{where}</a>'


def _listed(evidence: Evidence, link: str | None) -> dict[str, Any]:
    """A row of the list: the values that filters look at, and its cells."""
    score = "" if evidence.score is None else f" {evidence.score:.2f}"
    place = f"{evidence.article}, {evidence.start}–{evidence.end}"
    return {
        "target": evidence.target,
        "tag": list(evidence.tags) or [""],
        "speaker": evidence.speaker or "",
        "publisher": evidence.publisher or "",
        "stance": evidence.stance,
        "month": _month(evidence.date),
        "cells": [
            {"text": evidence.date or "", "style": "nowrap"},
            evidence.publisher or "",
            evidence.speaker or "",
            {"text": f"{'+' if evidence.stance == 'favor' else '−'} {evidence.stance}{score}"}
            | {"style": evidence.stance},
            {"text": evidence.target, "style": "about"},
            ", ".join(tag.replace("_", " ") for tag in evidence.tags),
            {
                "text": " ".join(evidence.text.split()),
                "note": " · ".join(filter(None, [evidence.title, place])),
                "link": link,
            },
        ],
    }


def _month(date: str | None) -> str:
    """The month of any ISO 8601 date that a record may have."""
    try:
        day = datetime.fromisoformat(date or "")
    except ValueError:
        return ""
    return f"{day.year:04}-{day.month:02}"


# Tables


def _target(row: Row) -> str:
    return row.target + (" (claim)" if row.kind == "claim" else "")


def _value(by: By, row: Row) -> str:
    """How a cell's tag, speaker, publisher or month is called."""
    if not row.by:
        return {"speaker": "unnamed", "month": "no date"}.get(by, f"no {by}")
    return row.by.replace("_", " ") if by == "tag" else row.by


def shown(figure: Figure) -> str:
    """A figure with its interval, and the expected number after ~."""
    text = f"{figure.count:,} ({figure.low:,.0f}–{figure.high:,.0f})"
    return text if figure.expected is None else f"{text} ~{figure.expected:,.1f}"


def _button(figure: Figure, picked: Mapping[str, str]) -> str:
    """A figure that leads to its sentences in the list."""
    if not figure.count:
        return escape(shown(figure))
    return (
        f'<button type="button" class="go" data-picked="{escape(dumps(picked))}">'
        f"{escape(shown(figure))}</button>"
    )


def _table(by: By, rows: Iterable[Row]) -> str:
    names = ["target", *([by] if by != "target" else []), "against", "favor"]
    names += ["sentences", "articles", "skipped articles"]
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    body = []
    for row in rows:
        picked = {"target": row.target}
        if by == "month":
            # The list can be narrowed from month to month alone.
            picked |= {"since": row.by or "", "until": row.by or ""}
        elif by != "target":
            picked[by] = row.by or ""
        group = f"<td>{escape(_value(by, row))}</td>" if by != "target" else ""
        skipped = "" if row.skipped is None else f"{row.skipped:,}"
        against, favor = (
            _button(figure, picked | {"stance": stance})
            for figure, stance in ((row.against, "against"), (row.favor, "favor"))
        )
        body.append(
            f'<tr data-target="{escape(row.target)}"><th scope="row">{escape(_target(row))}</th>'
            f"{group}<td>{against}</td><td>{favor}</td><td>{row.sentences:,}</td>"
            f"<td>{row.articles:,}</td><td>{skipped}</td></tr>"
        )
    return (
        '<div class="scroll" tabindex="0"><table class="figures">'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


# Charts


def _most(rows: Iterable[Row]) -> float:
    """The end of a scale that holds the figures of all rows."""
    ends = [1.0]
    for row in rows:
        for figure in (row.favor, row.against):
            ends += [figure.count, figure.high, figure.expected or 0]
    return max(ends)


def _words(named: Sequence[tuple[str, Row]]) -> str:
    return "; ".join(
        f"{name}: {row.against.count:,} against, {row.favor.count:,} in favor"
        for name, row in named
    )


def _bars(name: str, told: str, named: Sequence[tuple[str, Row]], top: float) -> str:
    """Against to the left and favor to the right of a line, a pair of bars for each name."""
    step, middle = 40, WIDTH / 2
    height = step * len(named) + 20
    drawing, axes = charts.canvas(WIDTH, height)
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    style: dict[str, Any] = {"fontsize": charts.FONT, "clip_on": False, "parse_math": False}
    axes.text(middle - 8, 13, "− against", ha="right", color=charts.AGAINST, **style)
    axes.text(middle + 8, 13, "favor +", ha="left", color=charts.FAVOR, **style)
    # Room for the longest figures at both ends.
    scale = (middle - 52) / top
    for number, (label, row) in enumerate(named):
        y = 20 + step * number
        text = charts.plain(label, 48)
        axes.text(middle, y + 13, text, ha="center", color=charts.INK, **style)
        for figure, way, colour in (
            (row.against, -1, charts.AGAINST_BAR),
            (row.favor, 1, charts.FAVOR_BAR),
        ):
            end = middle + way * scale * figure.count
            axes.barh(y + 25, end - middle, height=11, left=middle, color=colour, linewidth=0)
            low, high = (middle + way * scale * bound for bound in (figure.low, figure.high))
            axes.plot([low, high], [y + 25] * 2, color=charts.INK, linewidth=1, clip_on=False)
            last = max(figure.count, figure.high, figure.expected or 0)
            if figure.expected is not None:
                mark = middle + way * scale * figure.expected
                axes.plot(
                    [mark, mark + 3.5, mark, mark - 3.5, mark],
                    [y + 20.5, y + 25, y + 29.5, y + 25, y + 20.5],
                    color=charts.INK,
                    linewidth=1,
                    clip_on=False,
                )
            axes.text(
                middle + way * (scale * last + 8),
                y + 29,
                f"{figure.count:,}",
                ha="right" if way < 0 else "left",
                color=charts.QUIET,
                **style,
            )
    axes.plot([middle, middle], [20, height], color=charts.LINE, linewidth=1)
    return charts.svg(drawing, name, f"{told}: {_words(named)}")


def _months(rows: Iterable[Row]) -> list[str]:
    """All months from the first to the last."""
    found = sorted(row.by for row in rows if row.by)
    if not found:
        return []
    (year, month), end = map(int, found[0].split("-")), found[-1]
    months = [found[0]]
    while months[-1] < end:
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
        months.append(f"{year:04}-{month:02}")
    return months


def _course(
    name: str, told: str, months: Sequence[str], rows: Mapping[str | None, Row], top: float
) -> str:
    """Favor above and against below a line, a pair of bars for each month."""
    drawing, axes = charts.canvas(WIDTH, 150, margins=(8, 4, 20, 36))
    axes.set_ylim(-1.05 * top, 1.05 * top)
    axes.set_xlim(-0.6, max(len(months), 6) - 0.4)
    for number, month in enumerate(months):
        row = rows.get(month)
        if row is None:
            continue
        for figure, way, colour in (
            (row.favor, 1, charts.FAVOR_BAR),
            (row.against, -1, charts.AGAINST_BAR),
        ):
            axes.bar(number, way * figure.count, width=0.8, color=colour, linewidth=0)
            span = [way * figure.low, way * figure.high]
            axes.plot(
                [number] * 2, span, color=charts.INK, linewidth=1 if len(months) < 60 else 0.5
            )
            if figure.expected is not None:
                mark = [way * figure.expected] * 2
                axes.plot([number - 0.4, number + 0.4], mark, color=charts.INK, linewidth=1)
    axes.axhline(0, color=charts.LINE, linewidth=1)
    shown = sorted({0, len(months) // 2, len(months) - 1}) if len(months) > 2 else [0]
    axes.set_xticks(shown if months else [], [months[n] for n in shown] if months else [])
    axes.set_yticks([-top, 0, top], [f"−{top:,.0f}", "0", f"+{top:,.0f}"])
    if months:
        sides: tuple[Literal["left", "center", "right"], ...] = ("left", "center", "right")
        for label, side in zip(axes.get_xticklabels(), sides, strict=False):
            label.set_horizontalalignment(side)
    named = [(month, rows[month]) for month in months if month in rows]
    return charts.svg(drawing, name, f"{told}: {_words(named) or 'no dates'}")
