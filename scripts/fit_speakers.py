"""Takes labelled corpora; gives the weights of the evidence for speakers, and the F1 with them.

    python scripts/fit_speakers.py --corpus-dir corpora

The package's model tags the training articles. For every sentence that has a speaker and that the
model gives to somebody, the names found are weighed as `stance.speakers.evidence` does, and the
weights are those under which the right names (`same_speaker`) are most probable among all:
conditional logistic regression with an L2 penalty. Who spoke before is decided with the weights
that the package has, so run it again until nothing changes. The model was trained on these
articles, so their sources are righter than elsewhere; the F1 is measured on the selection part.
Needs the extra `train`.
"""

import argparse
import math
import os
from collections import Counter
from collections.abc import Iterator

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from stance import Article, Tagger
from stance.corpora import read_corpus
from stance.evaluation import measure
from stance.records import without_labels
from stance.speakers import same_speaker
from stance.speakers.evidence import WEIGHTS, Hearing, is_narrator

CORPORA = ("fakes", "polnear", "bbc", "basil")
RARE = 15
PENALTY = 3.0

Choice = list[tuple[frozenset[str], bool]]
"""The names of one sentence: the evidence for each, and whether it is the right one."""


def choices(gold: Article, tagged: Article) -> Iterator[Choice]:
    """The sentences of an article in which right and wrong names were found."""
    hearing = Hearing(tagged.text, tagged.sentences or ())
    for number, (wanted, found) in enumerate(
        zip(gold.sentences or (), tagged.sentences or (), strict=True)
    ):
        if wanted.speaker and not is_narrator(found):
            names = [
                (frozenset(pieces), same_speaker(wanted.speaker, name))
                for name, pieces in hearing.evidence(number).items()
            ]
            if len({right for _, right in names}) == 2:
                yield names
        hearing.speaker(number)


def fit(sentences: list[Choice]) -> dict[str, float]:
    """The weight of every piece of evidence that is not rare."""
    counts = Counter(piece for names in sentences for pieces, _ in names for piece in pieces)
    known = sorted(piece for piece, count in counts.items() if count >= RARE)
    column = {piece: number for number, piece in enumerate(known)}
    most = max(map(len, sentences))
    given = np.zeros((len(sentences), most, len(known)), dtype=np.float32)
    present, right = (np.full((len(sentences), most), -math.inf) for _ in range(2))
    for row, names in enumerate(sentences):
        for place, (pieces, is_right) in enumerate(names):
            given[row, place, [column[piece] for piece in pieces if piece in column]] = 1
            present[row, place] = 0
            right[row, place] = 0 if is_right else -math.inf

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        scores = given @ weights
        every = logsumexp(scores + present, axis=1, keepdims=True)
        true = logsumexp(scores + right, axis=1, keepdims=True)
        change = np.exp(scores + present - every) - np.exp(scores + right - true)
        gradient = np.tensordot(change, given, axes=2) + PENALTY * weights
        return float((every - true).sum() + PENALTY / 2 * (weights**2).sum()), gradient

    found = minimize(loss, np.zeros(len(known)), jac=True, method="L-BFGS-B")
    return dict(zip(known, found.x.tolist(), strict=True))


def main() -> None:
    """Print the weights, and what they change."""
    parser = argparse.ArgumentParser(description="Fit the weights of the evidence for speakers.")
    parser.add_argument("--corpus-dir", default=os.environ.get("STANCE_CORPUS_DIR"))
    folder = parser.parse_args().corpus_dir
    tagger = Tagger.from_pretrained()

    def tagged(part: str) -> tuple[list[Article], list[Article]]:
        gold = [article for name in CORPORA for article in read_corpus(name, folder, part)]
        return gold, list(tagger.tag_many(map(without_labels, gold)))

    def f1() -> float:
        gold, found = tagged("selection")
        return 100 * float(measure(gold, found, tagger.schema)["headline"]["speaker_f1"]["value"])

    before = f1()
    sentences = [choice for pair in zip(*tagged("train"), strict=True) for choice in choices(*pair)]
    weights = fit(sentences)
    for piece, value in sorted(weights.items(), key=lambda item: -item[1]):
        print(f"{piece}: {value:.1f}")
    WEIGHTS.clear()
    WEIGHTS.update({piece: round(value, 1) for piece, value in weights.items()})
    print(f"{len(sentences)} sentences; speaker F1 on selection {f1():.1f}, before {before:.1f}")


if __name__ == "__main__":
    main()
