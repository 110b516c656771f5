"""Takes the record of a training run and its figures; gives the model card `README.md`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stance.corpora import CORPORA, trained_corpora, trained_encoder
from stance.errors import require
from stance.evaluation import MIN_POSITIVES
from stance.schema import Schema

RESEARCH = "text for research use"

LABELS = {
    "starter": "articles invented and labelled by language models under written guidelines",
    "fakes": "labelled by language models under written guidelines",
    "polnear": "labelled by language models under written guidelines",
    "bbc": "labelled by language models under written guidelines",
    "basil": "labelled by language models under written guidelines",
    "polnear-spans": "the source, cue and content spans of PolNeAR's own annotators",
    "newsmtsc": "the stances of NewsMTSC's own annotators, toward marked mentions",
}

NOTES = (
    f"Macro-F1 is the mean of the F1 of the labels. –: not measured, or fewer than "
    f"{MIN_POSITIVES} positives. †: one of the labels has fewer than {MIN_POSITIVES} positives. "
    "In brackets: 95 % intervals, bootstrap over articles."
)


def write_card(folder: Path, training: Mapping[str, Any], metrics: Mapping[str, Any]) -> Path:
    """Write the model card of a model folder.

    Args:
        folder: the model folder; its `schema.json` is read.
        training: what `training.json` holds: run, config, versions.
        metrics: what `report.evaluate_model` gives; empty if nothing was measured.

    Returns:
        The path of the card.
    """
    schema = Schema.load(folder / "schema.json")
    corpora = trained_corpora(training)
    config = training.get("config", {})
    name = str(config.get("name") or folder.resolve().name)
    parts = [
        _metadata(name, corpora, training, metrics),
        f"# {name}\n\n" + _purpose(schema),
        "## Use\n\n" + _use(),
        "## Training data\n\n" + _data(corpora, training),
        "## How the labels were made\n\n" + _labels(corpora, training),
        "## Figures\n\n" + _figures(metrics),
        "## Intended use, and misuse\n\n" + _intended(),
        "## Limits\n\n" + _limits(corpora),
        "## Licence\n\n" + _licence(corpora),
        "## Training run\n\n" + _run(training),
    ]
    path = folder / "README.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def _metadata(
    name: str, corpora: Sequence[str], training: Mapping[str, Any], metrics: Mapping[str, Any]
) -> str:
    """The YAML block, in the form of `huggingface_hub.ModelCardData`."""
    hub = require("huggingface_hub", "train")
    fields: dict[str, Any] = {
        "language": "en",
        "library_name": "stance",
        "pipeline_tag": "text-classification",
        "tags": ["news", "attribution", "stance-detection", "quotation", "sentence-classification"],
        "model_name": name,
    }
    # Owner and name; a local path is of no use to a reader.
    encoder = str(trained_encoder(training) or "")
    if re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", encoder) and not Path(encoder).exists():
        fields["base_model"] = encoder
    if restricted(corpora):
        fields |= {"license": "other", "license_name": "weights-trained-on-research-use-text"}
    elif all(corpus in CORPORA for corpus in corpora) and corpora:
        fields["license"] = "apache-2.0"
    else:
        fields["license"] = "unknown"
    if results := [hub.EvalResult(**result) for result in _results(metrics)]:
        fields["eval_results"] = results
    return f"---\n{hub.ModelCardData(**fields).to_yaml()}\n---"


def _results(metrics: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The headline figures over all corpora of each part, as fields of an `EvalResult`."""
    for part, scopes in metrics.get("parts", {}).items():
        scope = scopes["all"]
        measured = scope["model"]
        for figure in shown_figures(measured["headline"]):
            if cell(measured, figure) != "–":
                yield {
                    "task_type": "text-classification",
                    "task_name": "attribution and stance of news sentences",
                    "dataset_type": "-".join(scope["corpora"]),
                    "dataset_name": ", ".join(scope["corpora"]),
                    "dataset_split": part,
                    "metric_type": "f1",
                    "metric_name": figure_name(figure),
                    "metric_value": round(100 * measured["headline"][figure]["value"], 1),
                }


def restricted(corpora: Iterable[str]) -> bool:
    """Whether any of the corpora has text that is for research use alone."""
    return any(CORPORA[name].licence == RESEARCH for name in corpora if name in CORPORA)


def _purpose(schema: Schema) -> str:
    facets = "\n".join(
        f"- `{facet.name}`: {', '.join(str(label).lower() for label in facet.labels)}"
        + (" (any number of them)" if facet.kind == "multi" else "")
        for facet in schema.facets
    )
    tags = ", ".join(f"`{tag.name}`" for tag in schema.tags)
    spans = f"- spans of attributions: {', '.join(schema.spans)}\n" if schema.spans else ""
    if any(facet.name == "source" for facet in schema.facets):
        spans += "- the speaker's name, by rules over the labels\n"
    return (
        "Labels every sentence of an English news article, read in its context:\n\n"
        f"{facets}\n"
        f"- stance toward each given target (an entity or a claim): {', '.join(schema.stance)}\n"
        f"{spans}\n"
        f"The tags {tags} follow from the facets by the rules in `schema.json`. Probabilities are "
        "calibrated by temperature on articles held out of training."
    )


def _use() -> str:
    return (
        "```python\n"
        "from stance import Tagger\n\n"
        'tagger = Tagger.from_pretrained("path/to/this/folder")\n'
        'article = tagger.tag(text, targets=["White Helmets"])\n'
        "```"
    )


def _data(corpora: Sequence[str], training: Mapping[str, Any]) -> str:
    counts = training.get("run", {}).get("articles", {})
    rows = []
    for name in corpora:
        known = CORPORA.get(name)
        rows.append(
            [
                name,
                known.about if known else "files of the person who trained the model",
                known.licence if known else "not known to this card",
                str(counts.get(name, "as above" if name == "polnear-spans" else "")),
            ]
        )
    if not rows:
        return "The record of the run does not name its training data."
    return table(["corpus", "what it is", "licence", "training articles"], rows)


def _labels(corpora: Sequence[str], training: Mapping[str, Any]) -> str:
    lines = [
        f"- {name}: {LABELS.get(name, 'labels of the person who trained the model')}"
        for name in corpora
    ]
    corpus = training.get("config", {}).get("corpus", {})
    if further := corpus.get("further_targets"):
        lines.append(
            f"- further targets of {', '.join(further)}: labelled once by language models under "
            "the same guidelines"
        )
    if corpus.get("soft_labels"):
        lines.append(
            "- soft labels: the probabilities that a larger model, trained on such labels, gives "
            "the training sentences"
        )
    if any("language models" in LABELS.get(name, "") for name in corpora):
        lines.append(
            "\nWhere language models made the labels, agreement among annotators tells how "
            "consistently the guidelines can be applied. It does not tell how far people would "
            "agree, and neither do the figures below."
        )
    return "\n".join(lines)


def _figures(metrics: Mapping[str, Any]) -> str:
    texts = []
    for part, scopes in metrics.get("parts", {}).items():
        for scope in (scopes["all"], *scopes["apart"].values()):
            header, rows = headline_rows(scope)
            texts.append(
                f"Part `{part}` of {', '.join(scope['corpora'])}: "
                f"{scope['model']['articles']} articles, {scope['model']['sentences']} sentences."
                f"\n\n{table(header, rows)}"
            )
    if not texts:
        return "This model has not been evaluated."
    texts.append(
        f"{NOTES} `majority` says the most frequent label, `tfidf` is a logistic regression on "
        "words and word pairs fitted on the same training articles, `quotation` a rule from verbs "
        "of saying, quotation marks and words for roles. Figures by label, corpus and publisher "
        "stand in the report of the evaluation, `report.md`."
    )
    return "\n\n".join(texts)


def _intended() -> str:
    return (
        "Intended: to search, count and compare in collections of news who is given a voice, what "
        "is attributed to whom, and how sources and outlets speak of an entity or a claim, with "
        "samples of the labels checked by a reader.\n\n"
        "A label says what a sentence does, not whether it is true. `official_statement` is no "
        "mark of reliability, `allegation` no mark of falsehood, and a stance is that of the "
        "sentence, which may report it only. Not intended: to check facts, to rate or rank people "
        "or outlets by single labels, to moderate or remove content, or to decide about a person."
    )


def _limits(corpora: Sequence[str]) -> str:
    lines = [
        "- English only.",
        "- News prose. Headlines, transcripts, social media and other genres were not measured.",
        "- Topics, outlets and times other than those of the training data can do worse; the "
        "figures by corpus and publisher show how far they spread.",
        "- Stance is the hardest of the labels; irony and blame that is only implied are often "
        "missed.",
        "- Rare labels have wide intervals.",
    ]
    if set(corpora) == {"starter"}:
        lines.append("- Trained on invented articles alone: expect less on real news.")
    if "polnear-spans" in corpora:
        lines.append(
            "- Of nested spans the outermost was learned, so a source inside another's words is "
            "not found, and which source belongs to which content is not said."
        )
    return "\n".join(lines)


def _licence(corpora: Sequence[str]) -> str:
    code = "The code of the package is under Apache-2.0."
    if restricted(corpora):
        names = ", ".join(
            name for name in corpora if name in CORPORA and CORPORA[name].licence == RESEARCH
        )
        return (
            f"{code} These weights were trained on text that is for research use and belongs to "
            f"its publishers ({names}). Whether and how they may be used beyond research depends "
            "on that text's terms; the licence of the code does not settle it."
        )
    if all(corpus in CORPORA for corpus in corpora) and corpora:
        return (
            f"{code} So are these weights; the licences of the training data stand in the table "
            "above."
        )
    return f"{code} The terms of the weights depend on training data that this card knows not."


def _run(training: Mapping[str, Any]) -> str:
    config, run = training.get("config", {}), training.get("run", {})
    trainer = config.get("trainer", {})
    arguments = trainer.get("arguments", {})
    settings = {
        "trained on from": (run.get("started_from") or {}).get("model"),
        "encoder": trained_encoder(training),
        "seed": config.get("seed"),
        "epochs at most": arguments.get("num_train_epochs"),
        "steps": run.get("steps"),
        "minutes": run.get("minutes"),
        "windows": run.get("windows"),
        "tokens in an epoch": run.get("tokens_per_epoch"),
        "tokens in a batch": trainer.get("batch_tokens"),
        "learning rate": trainer.get("learning_rate"),
        "learning rate of the heads": trainer.get("head_learning_rate"),
        "layer decay": trainer.get("layer_decay"),
        "weight decay": trainer.get("weight_decay"),
        "tokens in a window": config.get("encoding", {}).get("max_tokens"),
        "sentences of context": config.get("encoding", {}).get("context"),
    }
    rows = [[name, str(value)] for name, value in settings.items() if value is not None]
    versions = training.get("versions", {})
    rows += [[f"version of {name}", str(value)] for name, value in versions.items()]
    return table(["setting", "value"], rows) + "\n\nThe whole config is in `training.json`."


def headline_rows(scope: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the headline table: a row per figure, a column per predictor."""
    predictors = {"model": scope["model"], **scope["baselines"]}
    rows = []
    for figure in shown_figures(scope["model"]["headline"]):
        cells = [cell(measured, figure) for measured in predictors.values()]
        rows.append([figure_name(figure), *cells])
    return ["figure", *predictors], rows


def label_rows(measured: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: precision, recall and F1 of every label."""
    rows = []
    for task, figures in measured["tasks"].items():
        for label, row in figures["labels"].items():
            # The label of a tag or a span is only that it holds.
            rows.append(
                [
                    task,
                    "" if label == "yes" else label,
                    percent(row["precision"]),
                    percent(row["recall"]),
                    percent(row["f1"]),
                    str(row["support"]),
                ]
            )
    return ["task", "label", "precision", "recall", "F1", "support"], rows


def calibration_rows(measured: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: how far accuracy is from confidence, for what has probabilities."""
    rows = [
        [task, percent(figures["accuracy"]), percent(figures["expected_calibration_error"])]
        for task, figures in measured["tasks"].items()
        if "expected_calibration_error" in figures
    ]
    return ["task", "accuracy", "expected calibration error"], rows


def corpus_rows(corpora: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: the headline figures of every corpus."""
    figures = list(
        dict.fromkeys(f for s in corpora.values() for f in shown_figures(s["model"]["headline"]))
    )
    rows = [
        [
            name,
            str(scope["model"]["sentences"]),
            *(cell(scope["model"], figure, interval=False) for figure in figures),
        ]
        for name, scope in corpora.items()
    ]
    return ["corpus", "sentences", *map(figure_name, figures)], rows


def publisher_rows(
    publishers: Mapping[str, Mapping[str, Any]],
) -> tuple[list[str], list[list[str]]]:
    """Header and rows: of every publisher the F1 of every tag and of every stance."""
    columns = list(
        dict.fromkeys(
            (task, label)
            for measured in publishers.values()
            for task, figures in measured["tasks"].items()
            if task == "stance" or task.startswith("tags/")
            for label in figures["labels"]
        )
    )
    rows = []
    for name, measured in publishers.items():
        row = [name, str(measured["sentences"])]
        for task, label in columns:
            figures = measured["tasks"].get(task, {}).get("labels", {}).get(label, {})
            row.append(percent(figures.get("f1")))
        rows.append(row)
    names = [label if task == "stance" else task.removeprefix("tags/") for task, label in columns]
    return ["publisher", "sentences", *names], rows


def shown_figures(headline: Mapping[str, Any]) -> list[str]:
    """The figures to show: of a facet of false and true the F1 of true, not the macro-F1 too."""
    return [
        name for name in headline if not name.endswith("_macro_f1") or _single(name) not in headline
    ]


def _single(macro: str) -> str:
    return macro.removesuffix("_macro_f1") + "_f1"


def figure_name(figure: str) -> str:
    """How a headline figure is called in a table."""
    if figure == "favor_against_f1":
        return "favor/against F1"
    track = re.fullmatch(r"spans_(.+)_f1", figure)
    if track:
        return f"{track[1]} spans F1"
    return figure.replace("_macro_f1", " macro-F1").replace("_f1", " F1")


def cell(measured: Mapping[str, Any], name: str, *, interval: bool = True) -> str:
    """A headline figure in percent with its interval; see `NOTES` for the signs."""
    figure = measured["headline"].get(name)
    if figure is None:
        return "–"
    rare = figure["support"] < MIN_POSITIVES
    mean = name.endswith("_macro_f1") or name == "favor_against_f1"
    if rare and not mean:
        return "–"
    text = percent(figure["value"]) + ("†" if rare else "")
    if interval and figure["interval"]:
        low, high = figure["interval"]
        text += f" ({percent(low)}–{percent(high)})"
    return text


def percent(value: float | None) -> str:
    """A share as a percentage with one digit after the point; – for none."""
    return "–" if value is None else f"{100 * value:.1f}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are figures."""
    lines = [header, ["---"] + ["---"] * (len(header) - 1), *rows]
    return "\n".join(
        "| " + " | ".join(" ".join(str(c).split()).replace("|", "\\|") for c in line) + " |"
        for line in lines
    )
