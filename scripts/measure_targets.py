"""Takes labelled corpora; gives how well automatic targets find the annotators' targets.

    python scripts/measure_targets.py --corpus-dir corpora --part dev

An annotator's entity is found if one of the (at most three) proposals has the same last word or at
least half of the longer name's words; a proposal is right if it finds an entity. A claim is a
sentence in other words than the annotators', so for it the mean share of words in common is given
(F1 of the sets of words without function words).
"""

import argparse
import os

from stance.auto_targets import actors, content_words, main_claim, same_name
from stance.corpora import read_corpus
from stance.records import Article

CORPORA = ("fakes", "polnear", "bbc", "basil")


def overlap(one: str, other: str) -> float:
    """F1 of the content words of two sentences."""
    left, right = content_words(one), content_words(other)
    return 2 * len(left & right) / max(1, len(left) + len(right))


def row(name: str, articles: list[Article]) -> str:
    """A line of the table: recall, precision, proposals an article, words of the claim."""
    gold = found = proposed = right = 0
    claims: list[float] = []
    for article in articles:
        entities = [target.text for target in article.targets if target.kind == "entity"]
        names = actors(article)
        gold += len(entities)
        found += sum(any(same_name(entity, name) for name in names) for entity in entities)
        proposed += len(names)
        right += sum(any(same_name(entity, name) for entity in entities) for name in names)
        claims += [
            overlap(target.text, main_claim(article) or "")
            for target in article.targets
            if target.kind == "claim"
        ]
    cells = [
        name,
        str(len(articles)),
        str(gold),
        f"{100 * found / gold:.1f}",
        f"{100 * right / proposed:.1f}",
        f"{proposed / len(articles):.2f}",
        f"{100 * sum(claims) / len(claims):.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Measure automatic targets on labelled corpora.")
    parser.add_argument("--corpus-dir", default=os.environ.get("STANCE_CORPUS_DIR"))
    parser.add_argument("--part", default="dev")
    arguments = parser.parse_args()
    header = ["corpus", "articles", "entities", "found", "right", "proposals", "claim's words"]
    print(f"| {' | '.join(header)} |\n|{' --- |' * len(header)}")
    parts = {name: read_corpus(name, arguments.corpus_dir, arguments.part) for name in CORPORA}
    for name, articles in parts.items():
        print(row(name, articles), flush=True)
    print(row("together", [article for articles in parts.values() for article in articles]))


if __name__ == "__main__":
    main()
