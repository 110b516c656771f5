"""Takes labelled articles, gives how many pairs a narratives file would skip, rightly and wrongly.

    python scripts/measure_skipping.py --corpus-dir corpora --split dev

The targets of every article are taken as its narratives: an entity with its name, a claim with the
article's entities and the capitalised names in the claim. Wrongly skipped are pairs of sentence and
target with gold favor or against. What is saved are pairs of an article and another one's target.
"""

import argparse
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stance.corpora import read_corpus
from stance.mentions import skip_unmentioned
from stance.narratives import Narratives
from stance.records import Article, Target, with_targets

CORPORA = ("fakes", "polnear", "bbc", "basil")
NAME = re.compile(r"[A-Z][\w-]+(?:\s+[A-Z][\w-]+)*")


def narratives(targets: Sequence[Target]) -> tuple[Target, ...]:
    """The targets with the names that a narratives file would give them."""
    entities = [target.text for target in targets if target.kind == "entity"]
    claims = [target.text for target in targets if target.kind == "claim"]
    about = {
        claim: list(dict.fromkeys([*entities, *(set(NAME.findall(claim)) - {"The", "A", "An"})]))
        for claim in claims
    }
    names = dict.fromkeys([*entities, *(name for own in about.values() for name in own)])
    made = Narratives.from_dict(
        {
            "entities": list(names),
            "claims": [{"text": text, "about": own} for text, own in about.items() if own],
        }
    )
    wanted = {(target.kind, target.text) for target in targets}
    return tuple(target for target in made.targets if (target.kind, target.text) in wanted)


def skipped(article: Article, targets: Sequence[Target]) -> set[tuple[str, str]]:
    """Kind and text of those of the targets that the article skips."""
    bare = with_targets(replace(article, targets=()), targets)
    return {(t.kind, t.text) for t in skip_unmentioned(bare).targets if t.skipped}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus-dir", type=Path, default=os.environ.get("STANCE_CORPUS_DIR"))
    parser.add_argument("--split", default="dev")
    options = parser.parse_args()
    archive = [
        (name, article, narratives(article.targets))
        for name in CORPORA
        for article in read_corpus(name, options.corpus_dir, options.split)
        if article.targets
    ]
    gold, lost = dict.fromkeys(CORPORA, 0), dict.fromkeys(CORPORA, 0)
    for name, article, targets in archive:
        gone = skipped(article, targets)
        for sentence in article.sentences or ():
            for stance in sentence.stance:
                if stance.label in ("favor", "against"):
                    target = article.targets[stance.target]
                    gold[name] += 1
                    lost[name] += (target.kind, target.text) in gone
    for name in CORPORA:
        print(f"{name}: {lost[name]} of {gold[name]} favor and against skipped")
    share = sum(lost.values()) / max(sum(gold.values()), 1)
    print(f"all: {sum(lost.values())} of {sum(gold.values())} ({share:.2%})")
    for text, same in (("the same corpus", True), ("other corpora", False)):
        pairs = saved = 0
        for name, article, own in archive:
            known = {(target.kind, target.text) for target in own}
            others = {
                (target.kind, target.text): target
                for other, _, targets in archive
                for target in targets
                if (other == name) == same and (target.kind, target.text) not in known
            }
            pairs += len(others)
            saved += len(skipped(article, list(others.values())))
        print(f"targets of {text}: {saved} of {pairs} pairs skipped ({saved / max(pairs, 1):.1%})")


if __name__ == "__main__":
    main()
