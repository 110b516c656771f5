"""Takes a contestant's name and articles; labels them in a process of its own and tells its times.

    python -m stance.contestants '{"name": "onnx-int8", "model": "…", "articles": "…", …}'

One line of JSON for each thing measured goes to standard output. `stance.benchmark` runs this.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from stance.baselines import labelled
from stance.errors import MissingExtra, StanceError
from stance.readers import read_articles
from stance.records import Article, Sentence, Target, without_labels
from stance.runtime import Logits, Runtime, choose_backend
from stance.schema import DEFAULT
from stance.tagger import Tagger, find_model

FEW = 30
"""Training articles for SetFit, which is meant for few examples."""


@dataclass(frozen=True)
class Task:
    """What one process measures.

    name: of the contestant. model: our model folder. encoder: a folder with the same encoder, bare.
    attribution, stance: folders of sequence classifiers for the pipelines; None: untrained heads on
    the encoder, which are as fast but say nothing.
    train: labelled articles for those that are fitted here. weights: Hub ids or folders by
    contestant. articles: the file to label. targets: how many targets at a time, in turn.
    """

    name: str
    model: str
    encoder: str
    articles: str
    targets: Sequence[int]
    threads: int
    train: str | None = None
    dev: str | None = None
    attribution: str | None = None
    stance: str | None = None
    weights: Mapping[str, str] | None = None


class Contestant(Protocol):
    """Labels articles that come with sentences and targets."""

    def label(self, articles: Sequence[Article]) -> list[Article]:
        """The articles with facets and stances; labels without meaning where it was not trained."""


class NotRun(Exception):
    """The contestant's package or weights are not there; the message says which."""


class Timed:
    """A runtime that notes its padded tokens, and the seconds in which it runs any batch."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.workers = runtime.workers
        self.batch_tokens = runtime.batch_tokens
        self.lock = Lock()
        self.running = 0
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.tokens = 0
        self.seconds = 0.0

    def run(self, batch: Mapping[str, Any]) -> Logits:
        """What the runtime gives."""
        with self.lock:
            if not self.running:
                self.started = time.perf_counter()
            self.running += 1
        try:
            return self.runtime.run(batch)
        finally:
            with self.lock:
                self.running -= 1
                self.tokens += batch["input_ids"].size
                if not self.running:
                    self.seconds += time.perf_counter() - self.started

    def settle(self) -> None:
        """What the runtime does between batches."""
        self.runtime.settle()


class Ours:
    """This package on one backend.

    skipping: give every target its own text as its name, so that articles without it skip it.
    context: sentences read before those of a window; None takes the model's own setting.
    """

    def __init__(
        self, backend: str, task: Task, *, skipping: bool = False, context: int | None = None
    ) -> None:
        self.skipping = skipping
        self.backend = choose_backend(find_model(task.model), backend)
        tagger = Tagger.from_pretrained(
            task.model, backend=self.backend, threads=task.threads, context=context
        )
        self.timed = Timed(tagger.runtime)
        self.tagger = tagger.on(self.timed)

    def label(self, articles: Sequence[Article]) -> list[Article]:
        """The articles, tagged."""
        if self.skipping:
            articles = [
                replace(a, targets=tuple(replace(t, names=(t.text,)) for t in a.targets))
                for a in articles
            ]
        return list(self.tagger.tag_many(articles))


@dataclass
class Pipeline:
    """transformers' pipeline: one pass a sentence for attribution, one a sentence and target.

    ordered: sort the texts by length first.
    """

    attribution: Any
    stance: Any
    ordered: bool
    trained: bool

    def label(self, articles: Sequence[Article]) -> list[Article]:
        sentences = [s for article in articles for s in article.sentences or ()]
        labels = iter(self._run(self.attribution, [{"text": s.text} for s in sentences]))
        pairs = [
            {"text": sentence.text, "text_pair": target.text}
            for sentence, target in pairs_of(articles)
        ]
        stances = iter(self._run(self.stance, pairs))
        if not self.trained:
            return list(articles)
        return [
            labelled(
                article,
                [facets_of(next(labels)) for _ in article.sentences or ()],
                [[next(stances) for _ in article.targets] for _ in article.sentences or ()],
                DEFAULT,
            )
            for article in articles
        ]

    def _run(self, pipeline: Any, texts: list[dict[str, str]]) -> list[str]:
        if not texts:
            return []
        order = list(range(len(texts)))
        if self.ordered:
            order.sort(key=lambda i: sum(map(len, texts[i].values())))
        found = pipeline([texts[i] for i in order], batch_size=32, truncation=True)
        result = [""] * len(texts)
        for place, row in zip(order, found, strict=True):
            result[place] = row["label"]
        return result


ATTRIBUTIONS = [f"{source}/{bit}" for source in ("official", "other", "narrator") for bit in (0, 1)]
"""The pipelines' joint labels of source and allegation."""


def facets_of(label: str) -> dict[str, str | bool]:
    """Source and allegation from a joint label; an untrained head's LABEL_n says narrator."""
    source, _, bit = label.partition("/")
    return {"source": source if bit else "narrator", "allegation": bit == "1"}


def pipelines(ordered: bool) -> Callable[[Task], Contestant]:
    """A contestant that is transformers' text-classification pipeline."""

    def build(task: Task) -> Contestant:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

        torch.set_num_threads(task.threads)
        models = []
        for folder, count in ((task.attribution, len(ATTRIBUTIONS)), (task.stance, 3)):
            name = folder or task.encoder
            extra = {} if folder else {"num_labels": count}
            model = AutoModelForSequenceClassification.from_pretrained(name, **extra)
            models.append(
                pipeline(
                    "text-classification",
                    model=model,
                    tokenizer=AutoTokenizer.from_pretrained(name),
                )
            )
        attribution, stance = models
        return Pipeline(attribution, stance, ordered, bool(task.attribution and task.stance))

    return build


@dataclass
class Fitted:
    """A baseline of `stance.baselines`, fitted on the training articles."""

    baseline: Any

    def label(self, articles: Sequence[Article]) -> list[Article]:
        found: list[Article] = self.baseline.predict(articles)
        return found


def tfidf(task: Task) -> Contestant:
    """TF-IDF with logistic regression."""
    from stance.baselines import fit

    if task.train is None:
        raise NotRun("no training articles")
    return Fitted(fit("tfidf", list(read_articles(Path(task.train))), DEFAULT))


@dataclass
class SetFit:
    """SetFit's predict with the same encoder: a sentence, or a sentence with a target, is a text.

    The heads are fitted on `FEW` training articles without contrastive training of the encoder,
    so its speed is SetFit's own and its quality a lower bound.
    """

    attribution: Any
    stance: Any

    def label(self, articles: Sequence[Article]) -> list[Article]:
        """The articles with both models' labels."""
        sentences = [s.text for article in articles for s in article.sentences or ()]
        joint = iter(self.attribution.predict(sentences, show_progress_bar=False))
        pairs = _pair_texts(articles)
        stances = iter(self.stance.predict(pairs, show_progress_bar=False) if pairs else ())
        return [
            labelled(
                article,
                [facets_of(str(next(joint))) for _ in article.sentences or ()],
                [[str(next(stances)) for _ in article.targets] for _ in article.sentences or ()],
                DEFAULT,
            )
            for article in articles
        ]


def pairs_of(articles: Sequence[Article]) -> list[tuple[Sentence, Target]]:
    """Every sentence with every target, in order."""
    return [
        (sentence, target)
        for article in articles
        for sentence in article.sentences or ()
        for target in article.targets
    ]


def _pair_texts(articles: Sequence[Article]) -> list[str]:
    return [f"{target.text}: {sentence.text}" for sentence, target in pairs_of(articles)]


def setfit(task: Task) -> Contestant:
    """SetFit on the same encoder."""
    try:
        from setfit import SetFitModel
    except Exception as error:
        raise NotRun(f"the package setfit cannot be imported ({error})") from error
    import torch

    torch.set_num_threads(task.threads)
    if task.train is None:
        raise NotRun("no training articles")
    articles = list(read_articles(Path(task.train)))[:FEW]
    texts, joint, stances = [], [], []
    for article in articles:
        for sentence in article.sentences or ():
            texts.append(sentence.text)
            allegation = int(bool(sentence.facets["allegation"].label))
            joint.append(f"{sentence.facets['source'].label}/{allegation}")
            stances += [stance.label for stance in sentence.stance]
    models = []
    for inputs, labels in ((texts, joint), (_pair_texts(articles), stances)):
        model = SetFitModel.from_pretrained(task.encoder)
        model.fit(inputs, labels, num_epochs=1, show_progress_bar=False)
        models.append(model)
    return SetFit(*models)


def absent(package: str, what: str) -> Callable[[Task], Contestant]:
    """A contestant that runs where the user has its package and weights."""

    def build(task: Task) -> Contestant:
        weights = (task.weights or {}).get(package)
        if not weights:
            raise NotRun(f"{what}: weights.{package} is not set")
        return ZeroShot.load(package, weights, task.threads)

    return build


@dataclass
class ZeroShot:
    """An NLI cross-encoder or GLiClass that reads every sentence with hypotheses as labels."""

    pipeline: Any
    package: str

    @classmethod
    def load(cls, package: str, weights: str, threads: int) -> ZeroShot:
        import torch

        torch.set_num_threads(threads)
        if package == "gliclass":
            try:
                from gliclass import GLiClassModel, ZeroShotClassificationPipeline
            except ImportError as error:
                raise NotRun(f"the package gliclass cannot be imported ({error})") from error
            from transformers import AutoTokenizer

            model = GLiClassModel.from_pretrained(weights)
            tokenizer = AutoTokenizer.from_pretrained(weights)
            return cls(
                ZeroShotClassificationPipeline(
                    model, tokenizer, classification_type="single-label", device="cpu"
                ),
                package,
            )
        from transformers import pipeline

        return cls(pipeline("zero-shot-classification", model=weights), package)

    def label(self, articles: Sequence[Article]) -> list[Article]:
        result = []
        for article in articles:
            facets, stances = [], []
            for sentence in article.sentences or ():
                facets.append(facets_of(self._best(sentence.text, ATTRIBUTIONS)))
                stances.append(
                    [
                        DEFAULT.stance[
                            self._number(
                                sentence.text,
                                [f"{label} toward {target.text}" for label in DEFAULT.stance],
                            )
                        ]
                        for target in article.targets
                    ]
                )
            result.append(labelled(article, facets, stances, DEFAULT))
        return result

    def _number(self, text: str, labels: list[str]) -> int:
        return labels.index(self._best(text, labels))

    def _best(self, text: str, labels: list[str]) -> str:
        if self.package == "gliclass":
            found = self.pipeline(text, labels, threshold=0.0)[0]
            return str(max(found, key=lambda row: row["score"])["label"])
        return str(self.pipeline(text, labels)["labels"][0])


def news_sentiment(task: Task) -> Contestant:
    """NewsSentiment (NewsMTSC's own classifier), for stance alone."""
    try:
        from NewsSentiment import TargetSentimentClassifier
    except Exception as error:
        raise NotRun(f"the package NewsSentiment cannot be imported ({error})") from error
    return NewsSentiment(TargetSentimentClassifier())


@dataclass
class NewsSentiment:
    """Sentiment toward a target that stands at the sentence's begin; it needs a mention."""

    classifier: Any

    def label(self, articles: Sequence[Article]) -> list[Article]:
        names = {"positive": "favor", "negative": "against", "neutral": "neutral"}
        result = []
        for article in articles:
            stances = [
                [
                    names[
                        self.classifier.infer_from_text("", target.text, " " + sentence.text)[0][
                            "class_label"
                        ]
                    ]
                    for target in article.targets
                ]
                for sentence in article.sentences or ()
            ]
            result.append(labelled(article, [{}] * len(stances), stances, DEFAULT))
        return result


CONTESTANTS: dict[str, Callable[[Task], Contestant]] = {
    "pipeline": pipelines(ordered=False),
    "pipeline-sorted": pipelines(ordered=True),
    "setfit": setfit,
    "tfidf": tfidf,
    "torch": partial(Ours, "torch"),
    "onnx": partial(Ours, "onnx"),
    "onnx-int8": partial(Ours, "onnx-int8"),
    "onnx-vnni": partial(Ours, "onnx-vnni"),
    "skipping": partial(Ours, "auto", skipping=True),
    "without-context": partial(Ours, "auto", context=0),
    "gliclass": absent("gliclass", "GLiClass"),
    "nli": absent("nli", "an NLI cross-encoder"),
    "newssentiment": news_sentiment,
}


def with_count(article: Article, names: Sequence[str], count: int) -> Article:
    """The article with its first `count` targets, filled up with other names."""
    targets = [*article.targets, *(Target(name) for name in names)][:count]
    return replace(without_labels(article), targets=tuple(targets))


def peak_megabytes() -> float:
    """The highest resident memory of this process so far.

    Linux hands the figure of `getrusage` down from the parent, so its own one is read there.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) * 1024 / 1e6
    import resource

    scale = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def tell(**values: Any) -> None:
    """One line of JSON for the parent."""
    print(json.dumps(values), flush=True)


def main(task: Task) -> None:
    """Measure one contestant: first article, then all of them with each number of targets."""
    articles = list(read_articles(Path(task.articles)))
    names = [target.text for article in articles for target in article.targets]
    try:
        contestant = CONTESTANTS[task.name](task)
    except (NotRun, MissingExtra, StanceError) as error:
        tell(not_run=str(error))
        return
    contestant.label([with_count(articles[0], names, 1)])
    tell(first=True)
    for count in task.targets:
        batch = [with_count(article, names, count) for article in articles]
        if isinstance(contestant, Ours):
            contestant.timed.reset()
        started = time.perf_counter()
        contestant.label(batch)
        seconds = time.perf_counter() - started
        row: dict[str, Any] = {"targets": count, "seconds": seconds}
        if isinstance(contestant, Ours):
            row |= {
                "tokens": contestant.timed.tokens,
                "model_seconds": contestant.timed.seconds,
                "backend": contestant.backend,
            }
        tell(**row)
    tell(peak_mb=peak_megabytes())
    if task.dev is not None:
        from stance.evaluation import measure

        gold = list(read_articles(Path(task.dev)))
        bare = [with_count(article, names, len(article.targets)) for article in gold]
        found = contestant.label(bare)
        if any(sentence.facets or sentence.stance for a in found for sentence in a.sentences or ()):
            headline = measure(gold, found, DEFAULT, resamples=0)["headline"]
            tell(quality={name: figure["value"] for name, figure in headline.items()})


if __name__ == "__main__":
    main(Task(**json.loads(sys.argv[1])))
