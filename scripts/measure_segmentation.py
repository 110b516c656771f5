"""Takes articles with gold sentences (JSONL), gives a table of sentence segmenters.

    python scripts/measure_segmentation.py --corpus-dir corpora --split dev

The files are ``<corpus>.<split>.jsonl`` with the fields ``text`` and
``sentences: [{"start", "end"}, ...]``. A boundary is the end offset of a sentence; the end of the
article is not counted, because nobody can miss it. Every candidate is given the text paragraph by
paragraph (`stance.segment.paragraphs`), so that the figures compare sentence rules and not the
treatment of line breaks. Speed is megabytes of UTF-8 over processor time, on one core.
"""

import argparse
import importlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from typing import Any

from stance.segment import paragraphs, segment

Segmenter = Callable[[str], list[tuple[int, int]]]
"""Text to sentence spans."""

Splitter = Callable[[str], Iterable[str]]
"""One paragraph to its sentences as strings; white space may be lost or altered."""

CORPORA = ("fakes", "polnear", "bbc", "basil")
MIN_SECONDS = 1.0


@dataclass(frozen=True)
class Article:
    text: str
    ends: frozenset[int]


@dataclass
class Counts:
    predicted: int = 0
    gold: int = 0
    right: int = 0

    def add(self, predicted: set[int], gold: set[int]) -> None:
        self.predicted += len(predicted)
        self.gold += len(gold)
        self.right += len(predicted & gold)

    def __str__(self) -> str:
        precision = self.right / max(self.predicted, 1)
        recall = self.right / max(self.gold, 1)
        f1 = 2 * self.right / max(self.predicted + self.gold, 1)
        return f"{100 * precision:.1f} / {100 * recall:.1f} / {100 * f1:.2f}"


def located(paragraph: str, sentences: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Spans of sentences that a library returned as strings, found by what is not white space."""
    offsets = [i for i, character in enumerate(paragraph) if not character.isspace()]
    done = 0
    for sentence in sentences:
        size = min(len("".join(sentence.split())), len(offsets) - done)
        if size:
            yield offsets[done], offsets[done + size - 1] + 1
            done += size


def by_paragraph(split: Splitter) -> Segmenter:
    def segmenter(text: str) -> list[tuple[int, int]]:
        return [
            (start + left, start + right)
            for start, end in paragraphs(text)
            for left, right in located(text[start:end], split(text[start:end]))
        ]

    return segmenter


def _pysbd() -> Splitter:
    segmenter = importlib.import_module("pysbd").Segmenter(language="en", clean=False)
    return lambda text: segmenter.segment(text)


def _sentencex() -> Splitter:
    library = importlib.import_module("sentencex")
    return lambda text: library.segment("en", text)


def _blingfire() -> Splitter:
    library = importlib.import_module("blingfire")
    return lambda text: library.text_to_sentences(text).split("\n")


def _segtok() -> Splitter:
    library = importlib.import_module("segtok.segmenter")
    return lambda text: library.split_single(text)


def _syntok() -> Splitter:
    library = importlib.import_module("syntok.segmenter")

    def split(text: str) -> list[str]:
        # Tokens may be normalised, their places may not: cut the text where sentences begin.
        starts = [s[0].offset for p in library.process(text) for s in p if s]
        edges = [0, *starts[1:], len(text)]
        return [text[left:right] for left, right in pairwise(edges)]

    return split


def _sentence_splitter() -> Splitter:
    splitter = importlib.import_module("sentence_splitter").SentenceSplitter(language="en")
    return lambda text: splitter.split(text)


def _spacy() -> Splitter:
    nlp = importlib.import_module("spacy").blank("en")
    nlp.add_pipe("sentencizer")
    return lambda text: (sentence.text for sentence in nlp(text).sents)


def _nupunkt() -> Splitter:
    library = importlib.import_module("nupunkt")
    return lambda text: library.sent_tokenize(text)


CANDIDATES: dict[str, Callable[[], Splitter]] = {
    "sentencex": _sentencex,
    "blingfire": _blingfire,
    "syntok": _syntok,
    "pysbd": _pysbd,
    "segtok": _segtok,
    "sentence-splitter": _sentence_splitter,
    "spacy": _spacy,
    "nupunkt": _nupunkt,
}


def read(path: Path) -> list[Article]:
    with path.open(encoding="utf-8") as lines:
        records: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [
        Article(record["text"], frozenset(sentence["end"] for sentence in record["sentences"]))
        for record in records
    ]


def inner(ends: Iterable[int], text: str) -> set[int]:
    """The ends that lie before the end of the article."""
    return set(ends) - {len(text.rstrip())}


def score(segmenter: Segmenter, articles: Iterable[Article]) -> Counts:
    counts = Counts()
    for article in articles:
        predicted = inner((end for _, end in segmenter(article.text)), article.text)
        counts.add(predicted, inner(article.ends, article.text))
    return counts


def speed(segmenter: Segmenter, articles: list[Article]) -> float:
    """Megabytes of UTF-8 a second of processor time: whole passes, at least `MIN_SECONDS` long."""
    megabytes = sum(len(article.text.encode()) for article in articles) / 1e6
    passes = 0
    start = time.process_time()
    while (seconds := time.process_time() - start) < MIN_SECONDS:
        for article in articles:
            segmenter(article.text)
        passes += 1
    return passes * megabytes / seconds


def row(name: str, segmenter: Segmenter, parts: dict[str, list[Article]]) -> str:
    together = [article for articles in parts.values() for article in articles]
    scores = [str(score(segmenter, articles)) for articles in (*parts.values(), together)]
    return " | ".join(["", name, *scores, f"{speed(segmenter, together):.2f}", ""]).strip()


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare sentence segmenters with gold sentences.")
    parser.add_argument("--corpus-dir", type=Path, default=os.environ.get("STANCE_CORPUS_DIR"))
    parser.add_argument("--split", default="dev")
    parser.add_argument("--corpora", nargs="+", default=CORPORA)
    arguments = parser.parse_args()
    if arguments.corpus_dir is None:
        parser.error("--corpus-dir is required (or set STANCE_CORPUS_DIR)")

    parts = {
        corpus: read(arguments.corpus_dir / f"{corpus}.{arguments.split}.jsonl")
        for corpus in arguments.corpora
    }
    header = ["segmenter", *parts, "together", "MB/s"]
    print("precision / recall / F1 of inner sentence boundaries, in percent\n")
    print(f"| {' | '.join(header)} |")
    print(f"|{' --- |' * len(header)}")
    print(row("stance.segment", segment, parts), flush=True)
    for name, load in CANDIDATES.items():
        try:
            label = f"{name} {version(name)}"
        except PackageNotFoundError:
            print(f"| {name} | not installed{' |' * (len(header) - 1)}")
            continue
        print(row(label, by_paragraph(load()), parts), flush=True)


if __name__ == "__main__":
    main()
