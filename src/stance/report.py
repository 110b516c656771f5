"""Takes a model folder and a Hydra config; gives its figures as JSON, report, page and card."""

from __future__ import annotations

import json
import logging
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from stance import baselines
from stance.card import (
    NOTES,
    calibration_rows,
    corpus_rows,
    headline_rows,
    label_rows,
    publisher_rows,
    table,
    write_card,
)
from stance.config import load_part, plain
from stance.errors import StanceError
from stance.evaluation import by_group, measure, mistakes
from stance.evaluation_page import error_row, render
from stance.figures import draw_figures
from stance.records import Article
from stance.schema import Schema
from stance.tagger import DEFAULT_MODEL, Tagger, find_model

logger = logging.getLogger(__name__)

Corpora = Mapping[str, Sequence[Article]]

MIN_PUBLISHER_SENTENCES = 100
"""Publishers with fewer sentences stand in metrics.json alone."""

WORST = 20
"""Errors of each corpus and task on the page."""


@dataclass(frozen=True)
class Predictions:
    """Gold articles of one part, and what each predictor makes of them, all by corpus."""

    gold: Corpora
    by_predictor: Mapping[str, Corpora]


def evaluate(cfg: DictConfig) -> Path:
    """Evaluate the model `cfg.model`, print the headline table, and write everything.

    Without a config for `corpus` the corpora are those that the model was trained on.

    Returns:
        The path of the report.

    Raises:
        StanceError: a missing model, corpus or label, in one sentence.
    """
    if OmegaConf.is_missing(cfg, "model"):
        raise StanceError("model: want a folder or a Hub id, such as model=outputs/full/model")
    name = str(cfg.model)
    elsewhere = name == DEFAULT_MODEL or name.count("/") == 1
    if not cfg.output and not Path(name).is_dir() and elsewhere:
        # The installed package, or the cache of the Hub, whose files other programs share.
        raise StanceError(f"output: want a folder for the report, as {name} is no local folder")
    folder = find_model(str(cfg.model))
    if cfg.get("corpus") is None:
        corpus = _training_record(folder).get("config", {}).get("corpus")
        if not corpus:
            raise StanceError(
                f"{folder}: it has no training.json that names its corpora; set corpus=news, say"
            )
        cfg = OmegaConf.merge(cfg, {"corpus": corpus})  # type: ignore[assignment]
    output = Path(cfg.output) if cfg.output else folder
    metrics = evaluate_model(folder, cfg, output=output)
    print_headline(metrics)
    return output / "report.md"


def evaluate_model(folder: Path, cfg: DictConfig, *, output: Path | None = None) -> dict[str, Any]:
    """Measure a model and the baselines on the configured corpora.

    Args:
        folder: a model folder.
        cfg: with `corpus`, `evaluation` (as in configs/evaluate.yaml), `seed`.
        output: where metrics.json, report.md, evaluation.html, figures/ and README.md go; the model
            folder if None.

    Returns:
        What metrics.json holds. `parts`: for each part `all` (the corpora with facet labels
        together), `corpora` (each by itself), `apart` (those of them that are not in `all`), each
        with the figures of the model and of the baselines; `publishers` (of the model alone).

    Raises:
        StanceError: a missing file, or gold labels that do not fit the model's schema.
    """
    settings = cfg.evaluation
    tagger = Tagger.from_pretrained(
        folder,
        backend=str(settings.backend),
        threads=cfg.get("threads"),
        batch_tokens=settings.batch_tokens,
        context=settings.get("context"),
    )
    parts = {str(part): load_gold(folder, cfg, str(part), tagger) for part in plain(settings.parts)}
    fitted = fit_baselines(folder, cfg, tagger.schema)
    metrics: dict[str, Any] = {
        "model": tagger.name,
        "command": _command(),
        "config": {
            "corpus": plain(cfg.corpus),
            "evaluation": plain(settings),
            "seed": int(cfg.seed),
        },
        "parts": {},
    }
    errors: list[dict[str, Any]] = []
    for part, gold in parts.items():
        logger.info("tagging the %s part of %s", part, ", ".join(gold))
        tagged = {name: list(tagger.tag_many(articles)) for name, articles in gold.items()}
        predicted: dict[str, Corpora] = {"model": tagged}
        for baseline, predictor in fitted.items():
            predicted[baseline] = {name: predictor.predict(gold[name]) for name in gold}
        metrics["parts"][part] = measure_part(
            Predictions(gold, predicted),
            tagger.schema,
            resamples=int(settings.resamples),
            seed=int(cfg.seed),
        )
        errors += [
            error_row(mistake, gold[name], part=part, corpus=name, texts=plain(settings.texts))
            for name in gold
            for mistake in mistakes(gold[name], tagged[name], tagger.schema, WORST)
        ]
    write_report(folder, metrics, errors, output or folder)
    return metrics


def load_gold(folder: Path, cfg: DictConfig, part: str, tagger: Tagger) -> dict[str, list[Article]]:
    """The gold articles of a part, by corpus.

    Raises:
        StanceError: naming the model folder, the corpus, and the label or facet that does not fit.
    """
    try:
        gold = load_part(cfg, part, tagger.schema)
    except StanceError as error:
        raise StanceError(f"{folder} cannot be evaluated on this corpus: {error}") from error
    for name, articles in gold.items():
        labels = _kinds_of_labels(articles)
        if not labels & _heads(tagger):
            known = ", ".join(sorted(_heads(tagger)))
            found = ", ".join(sorted(labels)) or "no labels"
            raise StanceError(
                f"{folder} cannot be evaluated on the corpus {name!r}: the model was trained to "
                f"give {known}, and the corpus has {found}"
            )
    return gold


def _kinds_of_labels(articles: Sequence[Article]) -> set[str]:
    """Facets, "stance" and "spans", as far as the articles have labels for them."""
    kinds: set[str] = set()
    for article in articles:
        for sentence in article.sentences or ():
            kinds.update(sentence.facets)
            if sentence.stance:
                kinds.add("stance")
            if sentence.spans is not None:
                kinds.add("spans")
    return kinds


def _heads(tagger: Tagger) -> set[str]:
    """Of the model's facets, "stance" and "spans" those that had labels in training."""
    return {head.split("/")[0] for head in tagger.heads}


def fit_baselines(folder: Path, cfg: DictConfig, schema: Schema) -> dict[str, baselines.Baseline]:
    """The baselines of `cfg.evaluation.baselines`, fitted on the train part of all corpora."""
    names = [str(name) for name in plain(cfg.evaluation.baselines) or []]
    if not names:
        return {}
    try:
        train = [a for articles in load_part(cfg, "train", schema).values() for a in articles]
    except StanceError as error:
        raise StanceError(
            f"{folder}: the baselines cannot be fitted (evaluation.baselines=[] leaves them out): "
            f"{error}"
        ) from error
    fitted = {}
    for name in names:
        logger.info("fitting the baseline %s on %d articles", name, len(train))
        fitted[name] = baselines.fit(name, train, schema)
    return fitted


def measure_part(
    predictions: Predictions, schema: Schema, *, resamples: int, seed: int
) -> dict[str, Any]:
    """The figures of one part; see `evaluate_model`."""
    gold = predictions.gold
    facets = {facet.name for facet in schema.facets}
    together = [name for name in gold if _kinds_of_labels(gold[name]) & facets] or list(gold)

    def scope(names: Sequence[str]) -> dict[str, Any]:
        figures = {
            predictor: measure(
                [article for name in names for article in gold[name]],
                [article for name in names for article in by_corpus[name]],
                schema,
                resamples=resamples,
                seed=seed,
            )
            for predictor, by_corpus in predictions.by_predictor.items()
        }
        model = figures.pop("model")
        return {"corpora": list(names), "model": model, "baselines": figures}

    corpora = {name: scope([name]) for name in gold}
    publishers: dict[str, Any] = {}
    for name, articles in gold.items():
        groups = [f"{name}/{article.publisher or 'unknown'}" for article in articles]
        publishers |= by_group(
            articles, predictions.by_predictor["model"][name], schema, groups.__getitem__
        )
    return {
        "all": scope(together),
        "corpora": corpora,
        "apart": {name: corpora[name] for name in gold if name not in together},
        "publishers": publishers,
    }


def write_report(
    folder: Path,
    metrics: Mapping[str, Any],
    errors: Sequence[dict[str, Any]],
    output: Path,
) -> None:
    """Write metrics.json, report.md, evaluation.html, figures/*.png, and the run's card.

    Args:
        folder: the model folder; the card is written where it holds the record of its run.
        errors: rows for the page, see `evaluation_page.error_row`.
    """
    output.mkdir(parents=True, exist_ok=True)
    pictures = output / "figures"
    # Figures of an earlier evaluation, of other parts, would look like this one's.
    shutil.rmtree(pictures, ignore_errors=True)
    names = {
        part: draw_figures(scopes["all"]["model"], pictures, f"{part}-")
        for part, scopes in metrics["parts"].items()
    }
    (output / "metrics.json").write_text(
        json.dumps(metrics, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    (output / "report.md").write_text(report_text(metrics, names), encoding="utf-8")
    publishers = {part: _with_sentences(s["publishers"]) for part, s in metrics["parts"].items()}
    page = render(metrics, errors, publishers)
    (output / "evaluation.html").write_text(page, encoding="utf-8")
    training = _training_record(folder)
    if training and output == folder:
        write_card(folder, training, metrics)


def report_text(metrics: Mapping[str, Any], pictures: Mapping[str, Sequence[str]]) -> str:
    """The report in Markdown.

    Args:
        metrics: what `evaluate_model` gives.
        pictures: for each part the names of its files in figures/.
    """
    parts = [f"# Evaluation of {metrics['model']}", NOTES]
    for part, scopes in metrics["parts"].items():
        together = scopes["all"]
        parts += [f"## Part {part}", _headline_section(together)]
        parts += [_headline_section(scope) for scope in scopes["apart"].values()]
        parts += ["### By label", table(*label_rows(together["model"]))]
        for name, scope in scopes["apart"].items():
            parts += [f"#### {name}", table(*label_rows(scope["model"]))]
        parts += ["### Calibration", table(*calibration_rows(together["model"]))]
        parts += [f"![{Path(name).stem}](figures/{name})" for name in pictures.get(part, ())]
        if len(scopes["corpora"]) > 1:
            parts += ["### By corpus", table(*corpus_rows(scopes["corpora"]))]
        publishers = _with_sentences(scopes["publishers"])
        if publishers:
            parts += [
                "### By publisher",
                f"F1 in percent; publishers with {MIN_PUBLISHER_SENTENCES} sentences or more.",
                table(*publisher_rows(publishers)),
            ]
    parts += [
        "## How it was made",
        f"```\n{metrics['command']}\n```",
        f"```yaml\n{OmegaConf.to_yaml(metrics['config']).strip()}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _with_sentences(publishers: Mapping[str, Any]) -> dict[str, Any]:
    """The publishers that have enough sentences to be shown."""
    return {
        name: figures
        for name, figures in publishers.items()
        if figures["sentences"] >= MIN_PUBLISHER_SENTENCES
    }


def _headline_section(scope: Mapping[str, Any]) -> str:
    header, rows = headline_rows(scope)
    model = scope["model"]
    return (
        f"{', '.join(scope['corpora'])}: {model['articles']} articles, "
        f"{model['sentences']} sentences.\n\n{table(header, rows)}"
    )


def print_headline(metrics: Mapping[str, Any]) -> None:
    """Print the headline tables to the terminal."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for part, scopes in metrics["parts"].items():
        for scope in (scopes["all"], *scopes["apart"].values()):
            header, rows = headline_rows(scope)
            shown = Table(title=f"{part}: {', '.join(scope['corpora'])}")
            for number, name in enumerate(header):
                shown.add_column(name, justify="right" if number else "left")
            for row in rows:
                shown.add_row(*row)
            console.print(shown)


def _training_record(folder: Path) -> dict[str, Any]:
    """`training.json` of a model folder; empty if there is none."""
    path = folder / "training.json"
    if not path.is_file():
        return {}
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StanceError(f"{path}: not JSON: {error}") from None
    return record


def _command() -> str:
    program, *arguments = sys.argv
    start = ["python"] if program.endswith(".py") else []
    return " ".join([*start, program, shlex.join(arguments)]).strip()
