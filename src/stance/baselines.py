"""Takes labelled articles; gives simple predictors that a trained model has to beat.

Every baseline has `predict(articles)`, which gives copies with the same sentences and its own
labels in place of all that were there; what it cannot say it leaves out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from stance.corpora import labels_of
from stance.errors import StanceError, require
from stance.records import Article, Label, LabelValue, Sentence, Stance, Target
from stance.schema import Facet, Schema

RANDOM_STATE = 13

STRENGTH = 5.0
"""C of the logistic regressions. On the selection parts of fakes and polnear, balanced weights: 5
beats 1 for stance (10 was not tried), and for the facets 3 and 10 differ little and beat 1."""

TOKEN = r"(?u)\b\w+\b|[\"“”?!]"
"""Words, and the marks that tell quotations and questions."""


class Baseline(Protocol):
    """What `fit` gives."""

    def predict(self, articles: Sequence[Article]) -> list[Article]:
        """Copies of the articles that carry the baseline's labels and no others."""


def fit(name: str, train: Sequence[Article], schema: Schema) -> Baseline:
    """Fit one of `BASELINES` on labelled articles.

    Raises:
        StanceError: there is no such baseline.
    """
    if name not in BASELINES:
        raise StanceError(f"there is no baseline {name!r} (there are {', '.join(BASELINES)})")
    return BASELINES[name](train, schema)


def labelled(
    article: Article,
    facets: Sequence[Mapping[str, LabelValue]],
    stances: Sequence[Sequence[str]],
    schema: Schema,
) -> Article:
    """The article with these labels alone: per sentence its facets and its stance per target."""
    sentences = []
    for sentence, own, row in zip(article.sentences or (), facets, stances, strict=True):
        known = schema.facets_of_tags() <= set(own)
        sentences.append(
            Sentence(
                sentence.start,
                sentence.end,
                sentence.text,
                tags=tuple(schema.tags_of(own)) if known else None,
                facets={name: Label(label) for name, label in own.items()},
                stance=tuple(Stance(number, label) for number, label in enumerate(row)),
            )
        )
    return replace(article, sentences=tuple(sentences))


def _facet_examples(train: Sequence[Article], facet: Facet) -> tuple[list[str], list[Label]]:
    """Text and label of every sentence that has one for the facet."""
    pairs = [
        (sentence.text, sentence.facets[facet.name])
        for article in train
        for sentence in article.sentences or ()
        if facet.name in sentence.facets
    ]
    return [text for text, _ in pairs], [label for _, label in pairs]


# Majority


@dataclass(frozen=True)
class Majority:
    """Says the same of every sentence: the most frequent label of each facet and of stance."""

    schema: Schema
    facets: Mapping[str, LabelValue]
    stance: str | None

    def predict(self, articles: Sequence[Article]) -> list[Article]:
        """Copies of the articles, labelled."""
        result = []
        for article in articles:
            count = len(article.sentences or ())
            row = [self.stance] * len(article.targets) if self.stance else []
            result.append(labelled(article, [self.facets] * count, [row] * count, self.schema))
        return result


def fit_majority(train: Sequence[Article], schema: Schema) -> Majority:
    """Count the labels; of equally frequent ones the first in the schema's order."""
    facets: dict[str, LabelValue] = {}
    for facet in schema.facets:
        _, labels = _facet_examples(train, facet)
        if not labels:
            continue
        if facet.kind == "single":
            counts = Counter(label.label for label in labels)
            facets[facet.name] = max(facet.labels, key=lambda label: counts[label])
        else:
            sets = Counter(frozenset(labels_of(label)) for label in labels)
            common = max(sets, key=lambda held: (sets[held], sorted(map(str, held))))
            facets[facet.name] = tuple(str(label) for label in facet.labels if label in common)
    stances = Counter(
        stance.label
        for article in train
        for sentence in article.sentences or ()
        for stance in sentence.stance
    )
    stance = max(schema.stance, key=lambda label: stances[label]) if stances else None
    return Majority(schema, facets, stance)


# TF-IDF


class TextClassifier:
    """Holds a vocabulary and a logistic regression over TF-IDF of its words and word pairs."""

    def __init__(self, texts: Sequence[str], labels: Sequence[str]) -> None:
        text = require("sklearn.feature_extraction.text", "train")
        linear = require("sklearn.linear_model", "train")
        self.constant = labels[0] if len(set(labels)) == 1 else None
        self.vectorizer = text.TfidfVectorizer(
            ngram_range=(1, 2),
            sublinear_tf=True,
            # A few hundred sentences hardly have a word pair twice.
            min_df=2 if len(texts) >= 500 else 1,
            token_pattern=TOKEN,
        )
        self.regression = linear.LogisticRegression(
            C=STRENGTH, class_weight="balanced", max_iter=1000, random_state=RANDOM_STATE
        )
        if self.constant is None:
            self.regression.fit(self.vectorizer.fit_transform(texts), labels)

    def predict(self, texts: Sequence[str]) -> list[str]:
        """A label per text."""
        if self.constant is not None or not texts:
            return [self.constant or ""] * len(texts)
        found = self.regression.predict(self.vectorizer.transform(texts))
        return [str(label) for label in found]


class FacetClassifier:
    """Holds the classifiers of one facet: one if it is single, one for each label if multi."""

    def __init__(self, facet: Facet, texts: Sequence[str], labels: Sequence[Label]) -> None:
        self.facet = facet
        if facet.kind == "single":
            targets = [[str(facet.index(label.label)) for label in labels]]
        else:
            targets = [
                [str(int(own in labels_of(label))) for label in labels] for own in facet.labels
            ]
        self.classifiers = [TextClassifier(texts, target) for target in targets]

    def predict(self, texts: Sequence[str]) -> list[LabelValue]:
        """A label, or a tuple of labels, per text."""
        columns = [classifier.predict(texts) for classifier in self.classifiers]
        if self.facet.kind == "single":
            return [self.facet.labels[int(number)] for number in columns[0]]
        return [
            tuple(
                str(label)
                for label, held in zip(self.facet.labels, row, strict=True)
                if held == "1"
            )
            for row in zip(*columns, strict=True)
        ]


@dataclass(frozen=True)
class TfIdf:
    """Judges each facet by the sentence, and stance by the sentence with its target."""

    schema: Schema
    facets: Mapping[str, FacetClassifier]
    stance: TextClassifier | None

    def predict(self, articles: Sequence[Article]) -> list[Article]:
        """Copies of the articles, labelled."""
        sentences = [(a, s) for a in articles for s in a.sentences or ()]
        texts = [sentence.text for _, sentence in sentences]
        columns = {name: model.predict(texts) for name, model in self.facets.items()}
        rows = [{name: column[i] for name, column in columns.items()} for i in range(len(texts))]
        pairs = [pair_text(s, target) for a, s in sentences for target in a.targets]
        stances = self.stance.predict(pairs) if self.stance else []
        result = []
        first_row = first_pair = 0
        for article in articles:
            count = len(article.sentences or ())
            width = len(article.targets) if self.stance else 0
            own = [
                stances[first_pair + i * width : first_pair + (i + 1) * width] for i in range(count)
            ]
            result.append(labelled(article, rows[first_row : first_row + count], own, self.schema))
            first_row, first_pair = first_row + count, first_pair + count * width
        return result


def fit_tfidf(train: Sequence[Article], schema: Schema) -> TfIdf:
    """Logistic regression for each facet and for stance."""
    facets: dict[str, FacetClassifier] = {}
    for facet in schema.facets:
        texts, labels = _facet_examples(train, facet)
        if labels:
            facets[facet.name] = FacetClassifier(facet, texts, labels)
    pairs = [
        (pair_text(sentence, article.targets[stance.target]), stance.label)
        for article in train
        for sentence in article.sentences or ()
        for stance in sentence.stance
    ]
    stance = TextClassifier(*map(list, zip(*pairs, strict=True))) if pairs else None
    return TfIdf(schema, facets, stance)


def pair_text(sentence: Sentence, target: Target) -> str:
    """The sentence, the target's words marked as such, and how much of the target occurs in it.

    The last is what makes it more than sentiment: a target of which nothing occurs is mostly
    judged neutral. For marked mentions it is whether one lies in the sentence.
    """
    stop_words: frozenset[str] = require(
        "sklearn.feature_extraction.text", "train"
    ).ENGLISH_STOP_WORDS
    every = re.findall(r"\w+", target.text.lower())
    words = [word for word in every if word not in stop_words] or every
    if target.mentions:
        share = float(any(sentence.start <= a < sentence.end for a, _ in target.mentions))
    else:
        present = set(re.findall(r"\w+", sentence.text.lower()))
        share = len(present & set(words)) / max(1, len(set(words)))
    marked = " ".join(f"target_{word}" for word in words)
    return f"{sentence.text} {marked} {target.kind}_share_{min(4, int(share * 5))}"


# Quotation rule

SAYING = frozenset(
    """accuse accused accuses acknowledged add added adds admitted advised agreed alleged alleges
    announced announces argue argued argues asked asserted assured believe believed believes blamed
    blames called calls charged claim claimed claims commented complained concluded condemned
    confirmed confirms criticised criticized declared declares demanded denied denies denounced
    described disclosed estimated expected expects explained explains expressed hailed hopes
    indicated informed insisted insists insisting noted notes ordered pledged pointed praised
    predicted predicts promised proposed quoted recalled recommended refused rejected rejects
    remarked replied reported reports reportedly responded revealed ruled said saying says stated
    states stressed stresses suggested suggests telling tells testified thinks thought told
    tweeted tweeting underlined urged urges urging vowed vows wants warned warns warning welcomed
    wrote writes""".split()
)
OFFICIAL = frozenset(
    """administration agency ambassador army attorney authorities authority bureau cabinet campaign
    candidate chairman chairwoman chancellor chief coalition command commander commission
    commissioner committee company congress congressman congresswoman congressional council court
    delegation department deputy diplomat director envoy executive federation foundation general
    governor government group house judge justice kremlin lawmaker lawmakers leader leaders
    legislator manager mayor military minister ministers ministry monitor nations observatory
    office officer official officials opposition organisation organization pentagon parliament
    party police premier presidency president prosecutor prosecutors rebels regime representative
    secretary senate senator senators sheriff speaker spokesman spokesperson spokeswoman state
    statement treasury union bank""".split()
)
OTHER = frozenset(
    """academic activist activists analyst analysts anonymous author boy businessman campaigners
    civilian civilians columnist commentator commentators critic critics customers doctor economist
    economists employee experts expert father fan fans friend friends girl historian journalist
    lecturer man many mother neighbour neighbor newspaper newspapers observers parents patients
    people poll polls pollster professor protester protesters refugee refugees relative relatives
    reportedly reporter researcher researchers resident residents respondents scholar scientist
    scientists some sources strategist student students supporter supporters survey survivor teacher
    villager villagers voter voters witness witnesses woman""".split()
)


class Quotation:
    """Tells the facet `source` by rule: is it speech, and is the speaker's role an official one."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.applies = any(
            facet.name == "source"
            and facet.kind == "single"
            and set(facet.labels) == {"official", "other", "narrator"}
            for facet in schema.facets
        )

    def predict(self, articles: Sequence[Article]) -> list[Article]:
        """Copies of the articles with `source` alone, or with no label where it does not apply."""
        result = []
        for article in articles:
            sentences = article.sentences or ()
            facets: list[dict[str, LabelValue]] = [{} for _ in sentences]
            if self.applies:
                texts = [sentence.text for sentence in sentences]
                facets = [{"source": label} for label in quotation_sources(texts)]
            result.append(labelled(article, facets, [[]] * len(sentences), self.schema))
        return result


def quotation_sources(sentences: Sequence[str]) -> list[str]:
    """official, other or narrator for the sentences of one article, in order.

    A sentence is speech with a verb of saying, "according to", a quotation mark, or inside a
    quotation that an earlier sentence opened. Where no word tells the speaker's role, it is the
    role of the speech before.
    """
    labels: list[str] = []
    role = "official"
    inside = False
    for text in sentences:
        words = set(re.findall(r"[a-z]+", text.lower()))
        opened = text.count("“") + (text.count('"') + inside) % 2
        still_inside = opened > text.count("”")
        quoted = inside or any(mark in text for mark in '"“”')
        if not (quoted or words & SAYING or "according to" in text.lower()):
            labels.append("narrator")
        else:
            if words & OTHER and not words & OFFICIAL:
                role = "other"
            elif words & OFFICIAL:
                role = "official"
            labels.append(role)
        inside = still_inside
    return labels


def fit_quotation(train: Sequence[Article], schema: Schema) -> Quotation:
    """The rule; it learns nothing."""
    return Quotation(schema)


BASELINES: dict[str, Callable[[Sequence[Article], Schema], Baseline]] = {
    "majority": fit_majority,
    "tfidf": fit_tfidf,
    "quotation": fit_quotation,
}
