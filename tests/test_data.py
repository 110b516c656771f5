"""The data files are well-formed, their parts apart from each other, and as the card says."""

from __future__ import annotations

import re
from collections import Counter
from itertools import chain, combinations, pairwise
from pathlib import Path

import pytest
from conftest import REPOSITORY

from stance.agreement import figures, is_standoff, join, judgements, read_labels
from stance.corpora import check_labels
from stance.evaluation import gold_tags
from stance.readers import read_articles
from stance.records import Article
from stance.schema import DEFAULT
from stance.standoff import attach, read_annotations

DATA = REPOSITORY / "data"
PARTS = ("train", "dev", "test")
SIDES = ("starter-a", "starter-b")
ANNOTATIONS = sorted((DATA / "annotations").glob("*.jsonl"))
SIMILAR = 0.45
"""From this TF-IDF cosine on two articles are near-duplicates."""


@pytest.fixture(scope="module")
def starter() -> dict[str, list[Article]]:
    return {part: list(read_articles(DATA / "starter" / f"{part}.jsonl")) for part in PARTS}


@pytest.fixture(scope="module")
def sides() -> list[dict[str, Article]]:
    return [read_labels(DATA / "agreement" / f"{side}.jsonl") for side in SIDES]


def annotated(path: Path) -> list[Article]:
    """The articles of a stand-off file, a text of x in place of their own."""
    corpus = path.name.split(".")[0]
    return [
        Article.from_dict(attach(annotation, corpus, "x" * annotation.length, None))
        for annotation in read_annotations(path)
    ]


def test_every_data_file_is_known_to_these_tests():
    found = {path.relative_to(DATA).as_posix() for path in DATA.rglob("*.jsonl")}
    assert found == {
        *(f"starter/{part}.jsonl" for part in PARTS),
        *(f"agreement/{side}.jsonl" for side in SIDES),
        *(f"annotations/{path.name}" for path in ANNOTATIONS),
        # tests/test_further_targets.py and tests/test_soft_standoff.py look into these.
        *(f"further_targets/{name}.train.jsonl" for name in ("fakes", "polnear", "bbc", "basil")),
        *(f"soft_labels/{name}.standoff.jsonl" for name in ("fakes", "polnear", "bbc", "basil")),
        "examples/ceasefire.jsonl",
    }


# Every labelled file


def labelled(path: Path) -> list[Article]:
    """The articles of any labelled data file, which the readers have checked field by field."""
    if path.parent.name == "annotations":
        return annotated(path)
    return list(read_labels(path).values())


LABELLED = [
    *(DATA / "starter" / f"{part}.jsonl" for part in PARTS),
    *(DATA / "agreement" / f"{side}.jsonl" for side in SIDES),
    *ANNOTATIONS,
]


@pytest.mark.parametrize("path", LABELLED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_records_are_labelled_in_full_and_by_the_schema(path):
    articles = labelled(path)
    check_labels(articles, DEFAULT, path.name)
    ids = [article.id for article in articles]
    assert len(set(ids)) == len(ids)
    for article in articles:
        assert 1 <= len(article.targets) <= 4, article.id
        assert "claim" in {target.kind for target in article.targets}, article.id
        keys = [(target.kind, target.text) for target in article.targets]
        assert len(set(keys)) == len(keys), article.id
        assert article.sentences, article.id
        for sentence in article.sentences:
            assert set(sentence.facets) == {"source", "allegation"}
            assert [stance.target for stance in sentence.stance] == [*range(len(article.targets))]
            narrator = sentence.facets["source"].label == "narrator"
            assert (sentence.speaker is None) == narrator, (article.id, sentence.start)
            assert sentence.speaker is None or sentence.speaker == sentence.speaker.strip() != ""


def test_examples_can_be_read():
    articles = list(read_articles(DATA / "examples"))
    assert articles
    assert all(article.text.strip() for article in articles)


# The starter corpus


def test_the_starter_corpus_has_the_size_that_was_asked_for(starter):
    articles = [*chain.from_iterable(starter.values())]
    assert len(articles) >= 100
    assert sum(len(article.sentences) for article in articles) >= 2000
    assert all(article.extra["topic"] and article.extra["style"] for article in articles)
    assert all(article.title and article.publisher and article.date for article in articles)


def test_sentences_cover_the_text_but_for_white_space(starter):
    for article in chain.from_iterable(starter.values()):
        edges = [0, *chain.from_iterable((s.start, s.end) for s in article.sentences)]
        gaps = [*pairwise([*edges, len(article.text)])][::2]
        assert not any(article.text[start:end].strip() for start, end in gaps), article.id
        for sentence in article.sentences:
            assert sentence.text == sentence.text.strip() != "", (article.id, sentence.start)


def test_parts_share_no_id_topic_publisher_or_target(starter):
    def traits(article: Article) -> set[tuple[str, str]]:
        names = {(target.kind, target.text.lower()) for target in article.targets}
        own = {"id": article.id, "topic": article.extra["topic"], "publisher": article.publisher}
        return names | {(kind, str(value).lower()) for kind, value in own.items()}

    of_part = {part: set().union(*map(traits, articles)) for part, articles in starter.items()}
    for one, two in combinations(PARTS, 2):
        assert not of_part[one] & of_part[two]


def test_no_article_is_the_near_duplicate_of_one_of_another_part(starter):
    from sklearn.feature_extraction.text import TfidfVectorizer

    articles = [*chain.from_iterable(starter.values())]
    part = [name for name in PARTS for _ in starter[name]]
    vectors = TfidfVectorizer(ngram_range=(1, 2)).fit_transform(a.text for a in articles)
    cosines = (vectors @ vectors.T).toarray()
    across = {
        (articles[i].id, articles[j].id): cosines[i, j]
        for i, j in combinations(range(len(articles)), 2)
        if part[i] != part[j]
    }
    assert max(across.values()) < SIMILAR, max(across, key=across.__getitem__)
    card = (DATA / "README.md").read_text(encoding="utf-8")
    assert f"is {max(across.values()):.2f}, where near-duplicates" in card


def absent(article: Article) -> list[int]:
    """Numbers of the targets that every sentence is neutral toward."""
    return [
        number
        for number in range(len(article.targets))
        if all(s.stance_toward(number).label == "neutral" for s in article.sentences)
    ]


def test_some_targets_are_not_what_their_article_is_about(starter):
    for articles in starter.values():
        assert sum(map(len, map(absent, articles))) >= 3
    for article in chain.from_iterable(starter.values()):
        for number in absent(article):
            assert article.targets[number].text not in article.text
        assert len(absent(article)) < len(article.targets)


# The labels of the two annotators


def test_both_annotators_labelled_the_sentences_and_targets_of_the_corpus(starter, sides):
    corpus = {article.id: article for article in chain.from_iterable(starter.values())}
    for side in sides:
        assert all(map(is_standoff, side.values()))
        joined = join(corpus, side)
        assert len(joined.a) == len(corpus)
        assert not joined.unmatched


# The data card


def table(name: str) -> dict[str, list[str]]:
    """The rows of the card's tables between two comments, by their first cell."""
    card = (DATA / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(f"<!-- {name} -->\n(.*)<!-- /{name} -->", card, re.DOTALL)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in block.splitlines() if line]
    return {name: cells for name, *cells in rows if name not in ("", "---")}


def by_part(counts: dict[str, Counter[str]], name: str) -> list[str]:
    numbers = [counts[part][name] for part in PARTS]
    return [f"{number:,}" for number in (*numbers, sum(numbers))]


def test_label_counts_are_those_of_the_card(starter):
    counts: dict[str, Counter[str]] = {}
    for part, articles in starter.items():
        found = counts[part] = Counter({"articles": len(articles)})
        for article in articles:
            found["target: not what the article is about"] += len(absent(article))
            found.update(f"target: {target.kind}" for target in article.targets)
            for sentence in article.sentences:
                found["sentences"] += 1
                found["speaker: given"] += sentence.speaker is not None
                found["sentence-target pairs"] += len(sentence.stance)
                found.update(f"stance: {stance.label}" for stance in sentence.stance)
                found[f"source: {sentence.facets['source'].label}"] += 1
                found[f"allegation: {str(sentence.facets['allegation'].label).lower()}"] += 1
                found.update(f"tag: {tag}" for tag in gold_tags(sentence.facets, DEFAULT))
    card = table("counts")
    names = set().union(*counts.values())
    assert set(card) == names
    assert {name: card[name] for name in names} == {name: by_part(counts, name) for name in names}


def test_outlets_and_topics_of_the_card_are_those_of_the_articles(starter):
    kinds = table("kinds").values()
    sums = [sum(int(row[column]) for row in kinds) for column in range(4)]
    articles = [len(starter[part]) for part in PARTS]
    assert sums == [*articles, sum(articles)]
    card = (DATA / "README.md").read_text(encoding="utf-8")
    for part in PARTS:
        (topics,) = re.findall(rf"- \*\*{part}\*\*: (.*)\.\n", card)
        assert sorted(topics.split("; ")) == sorted(a.extra["topic"] for a in starter[part])


def test_agreement_is_that_of_the_card(sides):
    card = table("agreement")
    found = figures(join(*sides))
    for name, row in found["fields"].items():
        alpha, equal, units = card[name.replace("stance", "stance (sentence-target pairs)")]
        assert alpha == (f"{row['alpha']:.3f}" if "alpha" in row else "")
        assert (equal, units) == (f"{row['equal']:.1%}".replace("%", " %"), f"{row['units']:,}")
    assert {name: card[name] for name in found["scores"]} == {
        name: [f"{100 * value:.1f}"] for name, value in found["scores"].items()
    }


def test_adjudication_is_that_of_the_card(starter, sides):
    corpus = {article.id: article for article in chain.from_iterable(starter.values())}
    differed: Counter[str] = Counter()
    settled_for_a: Counter[str] = Counter()
    final = {(r.id, r.start, r.field, r.target): r.a for r in judgements(join(corpus, sides[0]))}
    for row in judgements(join(*sides)):
        a, b, settled = (
            label.replace("’", "'") if isinstance(label, str) else label
            for label in (row.a, row.b, final.get((row.id, row.start, row.field, row.target)))
        )
        differed[row.field] += a != b
        settled_for_a[row.field] += settled == a != b
    card = table("adjudication")
    for field in ("source", "allegation", "stance", "speaker"):
        row = card[field.replace("stance", "stance (sentence-target pairs)")]
        assert row[:2] == [f"{differed[field]:,}", f"{settled_for_a[field]:,}"]
        assert int(row[0]) == sum(map(int, row[1:4]))
