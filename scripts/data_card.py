"""Takes data/starter and data/agreement; writes the tables of the data card, data/README.md.

Each table stands between two comments, such as `<!-- counts -->` and `<!-- /counts -->`; the rest
of the card is written by hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path

from stance.agreement import Judgement, figures, join, judgements, read_labels
from stance.corpora import read_corpus
from stance.evaluation import gold_tags
from stance.records import Article
from stance.schema import DEFAULT

DATA = Path(__file__).resolve().parents[1] / "data"
PARTS = ("train", "dev", "test")

KINDS = (
    ("press release", "press releases, rewritten or raw"),
    ("opinion column", "opinion columns"),
    ("state media", "state media"),
    ("state-media", "state media"),
    ("state news", "state media"),
    ("opposition", "opposition outlets"),
    ("court report", "court reports"),
    ("agency copy", "agency copy"),
    ("live", "live blogs"),
    ("broadcaster", "broadcasters"),
    ("feature", "long features"),
    ("tabloid", "tabloids"),
    ("local paper", "local papers"),
    ("", "other papers, magazines and trade press"),
)
"""The first of these that occurs in the `style` of an article is its kind."""

FIELDS = {
    "source": "source",
    "allegation": "allegation",
    "stance": "stance (sentence-target pairs)",
    "speaker": "speaker",
}


def main() -> None:
    """Bring all tables of the card up to date."""
    parts = {
        "train": read_corpus("starter", None, "train") + read_corpus("starter", None, "selection"),
        "dev": read_corpus("starter", None, "dev"),
        "test": read_corpus("starter", None, "test"),
    }
    raw = [read_labels(DATA / "agreement" / f"starter-{side}.jsonl") for side in "ab"]
    card = DATA / "README.md"
    text = card.read_text(encoding="utf-8")
    for name, lines in {
        "counts": counts(parts),
        "kinds": kinds(parts),
        "topics": topics(parts),
        "agreement": agreement(raw[0], raw[1]),
        "adjudication": adjudication(chain.from_iterable(parts.values()), *raw),
    }.items():
        before, rest = text.split(f"<!-- {name} -->\n")
        _, after = rest.split(f"<!-- /{name} -->\n")
        text = f"{before}<!-- {name} -->\n" + "\n".join(lines) + f"\n<!-- /{name} -->\n{after}"
    card.write_text(text, encoding="utf-8")


def table(header: Sequence[str], rows: Iterable[Sequence[str | int]]) -> list[str]:
    """Lines of a Markdown table; every column but the first is aligned to the right."""
    cells = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in rows]
    rule = ["---", *["---:"] * (len(header) - 1)]
    return ["| " + " | ".join(row) + " |" for row in ([*header], rule, *cells)]


def by_part(count: Mapping[str, Counter[str]]) -> list[str]:
    """A table with a row for everything counted and a column for every part and their sum."""
    names = dict.fromkeys(chain.from_iterable(count[part] for part in PARTS))
    rows: list[list[str | int]] = [
        [name, *(count[p][name] for p in PARTS), sum(count[p][name] for p in PARTS)]
        for name in names
    ]
    return table(["", *PARTS, "all"], rows)


def counts(parts: Mapping[str, Sequence[Article]]) -> list[str]:
    """Articles, sentences, targets and labels of every part."""
    result: dict[str, Counter[str]] = {}
    for part, articles in parts.items():
        sentences = [s for article in articles for s in article.sentences or ()]
        targets = Counter(f"target: {t.kind}" for a in articles for t in a.targets)
        found = Counter({"articles": len(articles), "sentences": len(sentences)})
        found.update({name: targets[name] for name in sorted(targets, reverse=True)})
        found["target: not what the article is about"] = sum(map(absent, articles))
        for facet in DEFAULT.facets:
            for label in facet.labels:
                name = f"{facet.name}: {str(label).lower() if label in (True, False) else label}"
                found[name] = sum(s.facets[facet.name].label == label for s in sentences)
        tags = Counter(tag for s in sentences for tag in gold_tags(s.facets, DEFAULT) or ())
        found.update({f"tag: {tag.name}": tags[tag.name] for tag in DEFAULT.tags})
        found["sentence-target pairs"] = sum(len(s.stance) for s in sentences)
        stances = Counter(stance.label for s in sentences for stance in s.stance)
        found.update({f"stance: {label}": stances[label] for label in DEFAULT.stance})
        found["speaker: given"] = sum(s.speaker is not None for s in sentences)
        result[part] = found
    return by_part(result)


def absent(article: Article) -> int:
    """How many targets every sentence of the article is neutral toward."""
    return sum(
        all(s.stance[number].label == "neutral" for s in article.sentences or ())
        for number in range(len(article.targets))
    )


def kinds(parts: Mapping[str, Sequence[Article]]) -> list[str]:
    """Articles of every kind of outlet."""
    result = {part: Counter(dict.fromkeys((name for _, name in KINDS), 0)) for part in PARTS}
    for part, articles in parts.items():
        for article in articles:
            style = str(article.extra["style"])
            result[part][next(name for word, name in KINDS if word in style)] += 1
    return by_part(result)


def topics(parts: Mapping[str, Sequence[Article]]) -> list[str]:
    """The topics of every part, a list item each."""
    return [
        f"- **{part}**: " + "; ".join(sorted(str(a.extra["topic"]) for a in parts[part])) + "."
        for part in PARTS
    ]


def agreement(a: Mapping[str, Article], b: Mapping[str, Article]) -> list[str]:
    """What `stance agreement` prints of the two annotators' labels."""
    found = figures(join(a, b))
    rows = []
    for name, row in found["fields"].items():
        alpha = f"{row['alpha']:.3f}" if "alpha" in row else ""
        rows.append([FIELDS[name], alpha, f"{100 * row['equal']:.1f} %", row["units"]])
    lines = table(["", "alpha", "equal", "labels in both"], rows)
    scores = [[name, f"{100 * value:.1f}"] for name, value in found["scores"].items()]
    return [*lines, "", *table(["one annotator scored against the other", "F1"], scores)]


def adjudication(
    corpus: Iterable[Article], a: Mapping[str, Article], b: Mapping[str, Article]
) -> list[str]:
    """On how many labels A and B differed, and whose label the corpus has; apostrophes aside."""
    settled = {article.id or "": article for article in corpus}
    final = {key(row): row.a for row in judgements(join(settled, a))}
    found: Counter[tuple[str, str]] = Counter()
    for row in judgements(join(a, b)):
        chosen, one, two = map(same_apostrophes, (final.get(key(row)), row.a, row.b))
        if one == two:
            found[row.field, "changed"] += chosen != one
        else:
            found[row.field, "differed"] += 1
            found[row.field, "A" if chosen == one else "B" if chosen == two else "neither"] += 1
    columns = ("differed", "A", "B", "neither", "changed")
    rows: list[list[str | int]] = [
        [text, *(found[name, column] for column in columns)] for name, text in FIELDS.items()
    ]
    return table(["", "A and B differed", "A's", "B's", "neither's", "agreed, yet changed"], rows)


def key(row: Judgement) -> tuple[str, int, str, str | None]:
    """What a judgement is about."""
    return row.id, row.start, row.field, row.target


def same_apostrophes(label: object) -> object:
    """The label with straight apostrophes: the corpus has a speaker's as the article has them."""
    return label.replace("’", "'") if isinstance(label, str) else label


if __name__ == "__main__":
    main()
