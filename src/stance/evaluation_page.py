"""Takes the figures of an evaluation and its worst errors; gives one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from stance import charts
from stance.card import (
    NOTES,
    calibration_rows,
    corpus_rows,
    headline_rows,
    label_rows,
    publisher_rows,
)
from stance.document import document, filters, table
from stance.evaluation import Mistake
from stance.records import Article

SHADES = (0.05, 0.2, 0.4, 0.6, 0.8)
"""Shares of a gold label from which a field of its confusion matrix is darker."""

WIDTH = 340
"""Of a chart in CSS pixels: what a telephone shows."""


def error_row(
    mistake: Mistake, gold: Sequence[Article], *, part: str, corpus: str, texts: Collection[str]
) -> dict[str, Any]:
    """A wrong label as a row of the page's list.

    Args:
        gold: the articles that the mistake's numbers are of.
        texts: corpora whose texts may stand on the page; of others it tells id and offsets.
    """
    article = gold[mistake.article]
    sentences = article.sentences or ()
    sentence = sentences[mistake.sentence]
    place = f"{article.id or f'article {mistake.article + 1}'}, {sentence.start}–{sentence.end}"
    shown: dict[str, Any] = {"text": place}
    target = "" if mistake.target is None else f"target {mistake.target + 1}"
    if corpus in texts:
        before = sentences[mistake.sentence - 1].text if mistake.sentence else ""
        shown = {
            "before": " ".join(before.split()),
            "text": " ".join(sentence.text.split()),
            "note": place,
        }
        if mistake.target is not None:
            target = article.targets[mistake.target].text
    return {
        "part": part,
        "corpus": corpus,
        "task": mistake.task,
        "gold": mistake.gold,
        "predicted": mistake.predicted,
        "score": mistake.score,
        "cells": [
            corpus,
            mistake.task,
            {"text": target, "style": "about"},
            {"text": mistake.gold, "style": "gold"},
            {"text": f"{mistake.predicted} {mistake.score:.2f}", "style": "given"},
            shown,
        ],
    }


def render(
    metrics: Mapping[str, Any], errors: Sequence[dict[str, Any]], publishers: Mapping[str, Any]
) -> str:
    """The page of a model's evaluation.

    Args:
        metrics: what `report.evaluate_model` gives.
        errors: rows that `error_row` made.
        publishers: for every part those with sentences enough to be shown, with their figures.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    title = f"Evaluation of {metrics['model']}"
    body = [f"<header><h1>{escape(title)}</h1>", f'<p class="quiet">{escape(NOTES)}</p>']
    body += ["</header><main>"]
    for part, scopes in metrics["parts"].items():
        body += [f"<section><h2>Part {escape(part)}</h2>"]
        body += _part(part, scopes, publishers[part])
        body += ["</section>"]
    body += [
        '<section id="errors"><h2>The worst errors</h2><p class="quiet">Of every corpus and task '
        "the wrong labels that the model was surest of, with the probability that it gave them. "
        "Above a sentence, smaller, the one before it. Of corpora whose texts may not be shown "
        "here stand id and offsets.</p>",
        filters(
            {
                "part": "part",
                "corpus": "corpus",
                "task": "task",
                "gold": "gold label",
                "predicted": "model’s label",
            },
            "errors",
        ),
        "</section><section><h2>How it was made</h2>",
        f"<pre>{escape(metrics['command'])}</pre></section></main>",
    ]
    data = {
        "columns": ["corpus", "task", "target", "gold", "model", "sentence"],
        "things": "errors",
        "rows": sorted(errors, key=lambda row: -row["score"]),
    }
    return document(title, body, data, style="report.css", script="report.js")


def _part(part: str, scopes: Mapping[str, Any], publishers: Mapping[str, Any]) -> Iterator[str]:
    """The report of a part; its corpora that are not in `all` have figures of their own."""
    for place, scope in enumerate((scopes["all"], *scopes["apart"].values())):
        model = scope["model"]
        yield (
            f"<h3>{escape(', '.join(scope['corpora']))}</h3><p>{model['articles']:,} articles, "
            f"{model['sentences']:,} sentences.</p>"
        )
        yield table(*headline_rows(scope))
        yield f"<details><summary>By label</summary>{table(*label_rows(model))}</details>"
        yield '<h4>Confusion matrices</h4><div class="multiples">'
        tasks = {
            task: figures
            for task, figures in model["tasks"].items()
            if not task.startswith(("tags/", "spans/")) and task != "speaker"
        }
        for task, figures in tasks.items():
            yield _confusion(task, **figures["confusion"])
        yield '</div><h4>Reliability</h4><div class="multiples">'
        for number, (task, figures) in enumerate(tasks.items()):
            if figures.get("reliability"):
                name = f"{part}-{place}-{number}"
                yield _reliability(name, task, figures)
        yield "</div>"
        yield table(*calibration_rows(model))
    if len(scopes["corpora"]) > 1:
        yield f"<h3>By corpus</h3>{table(*corpus_rows(scopes['corpora']))}"
    if publishers:
        yield '<h3>By publisher</h3><p class="quiet">F1 in percent.</p>'
        yield table(*publisher_rows(publishers))


def _confusion(task: str, labels: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """A row a gold label, a column a label of the model; the shade is the share of the row."""
    head = "".join(f'<th scope="col">{escape(label)}</th>' for label in labels)
    rows = []
    for number, (label, row) in enumerate(zip(labels, counts, strict=True)):
        cells = []
        for column, count in enumerate(row):
            share = count / max(sum(row), 1)
            shade = sum(share >= least for least in SHADES)
            right = " right" if column == number else ""
            cells.append(
                f'<td class="h{shade}{right}">{count:,}<small>{100 * share:.0f} %</small></td>'
            )
        rows.append(f'<tr><th scope="row">{escape(label)}</th>{"".join(cells)}</tr>')
    return (
        f'<figure><figcaption>{escape(task)}</figcaption><div class="scroll" tabindex="0">'
        f'<table class="confusion"><thead><tr><th scope="col">gold ↓ model →</th>{head}</tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table></div></figure>"
    )


def _reliability(name: str, task: str, figures: Mapping[str, Any]) -> str:
    """Accuracy over confidence, a dot a tenth; the bar at the bottom is its share of all labels."""
    bins = figures["reliability"]
    total = sum(entry["count"] for entry in bins)
    drawing, axes = charts.canvas(WIDTH, 260, margins=(10, 12, 40, 44))
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    axes.set_xlabel("probability of the label given", color=charts.QUIET, fontsize=charts.FONT)
    axes.set_ylabel("accuracy", color=charts.QUIET, fontsize=charts.FONT)
    axes.plot([0, 1], [0, 1], color=charts.QUIET, linewidth=1, linestyle="--")
    for entry in bins:
        tenth = min(int(entry["confidence"] * 10), 9) / 10 + 0.05
        axes.bar(tenth, entry["count"] / total, width=0.09, color=charts.LINE, linewidth=0)
    confidence = [entry["confidence"] for entry in bins]
    accuracy = [entry["accuracy"] for entry in bins]
    axes.plot(confidence, accuracy, color=charts.BLUE, linewidth=2, marker="o", markersize=5)
    told = "; ".join(
        f"confidence {entry['confidence']:.2f}, accuracy {entry['accuracy']:.2f} of "
        f"{entry['count']:,}"
        for entry in bins
    )
    error = 100 * figures["expected_calibration_error"]
    return (
        f"<figure><figcaption>{escape(task)}</figcaption>"
        f'<p class="quiet">expected calibration error {error:.1f} %; bars: share of the labels</p>'
        f"{charts.svg(drawing, name, f'Reliability of {task}: {told}')}</figure>"
    )
