"""Takes labelled articles; gives the windows of an epoch as padded batches of tensors and labels.

Everything random (target order, dropped and foreign targets, batch order) follows from the seed,
the epoch and the article alone, so that a resumed run sees what the undisturbed one would have.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from stance.corpora import labels_of
from stance.model import BIO
from stance.records import Article, Sentence
from stance.schema import Facet, Schema
from stance.windows import Tokens, Window, WindowEncoder, front_tokens, pad

IGNORE = -100
"""A label with this value gives no loss."""


@dataclass(frozen=True)
class Augmentation:
    """What happens to an article's targets in training.

    shuffle: a new order every epoch.
    drop: probability of leaving out a target (one always stays).
    none: probability of a window without any target.
    foreign: probability of adding a target of another article, neutral in every sentence; only
        where no word of four letters or more of its name stands in the text.
    recut: cut the article into windows at other places every epoch.
    context: sentences of context before the owned ones, as in `Encoding`. With 0 every sentence is
        seen once an epoch, the first ones of a window without what stands before them.
    """

    shuffle: bool = True
    drop: float = 0.1
    none: float = 0.0
    foreign: float = 0.2
    recut: bool = True
    context: int = 0


@dataclass(frozen=True)
class SoftLabels:
    """Another model's probabilities, NaN where it gives none.

    facets: (sentences, schema.width) float, the facets side by side.
    stance: (sentences, targets, stances) float.
    """

    facets: NDArray[np.float32]
    stance: NDArray[np.float32]

    @classmethod
    def unknown(cls, sentences: int, targets: int, schema: Schema) -> SoftLabels:
        """No soft labels for so many sentences and targets."""
        return cls(
            np.full((sentences, schema.width), np.nan, dtype=np.float32),
            np.full((sentences, targets, len(schema.stance)), np.nan, dtype=np.float32),
        )


@dataclass(frozen=True)
class Example:
    """One tokenised article with its labels as numbers (`IGNORE` where unknown).

    facets: (sentences, number of facets) int; for a multi facet a bit set of the labels.
    stance: (sentences, targets) int.
    spans: per sentence the ranges of each track, or None where spans are not annotated.
    soft: what a larger model says of the same sentences and targets.
    """

    key: str
    text: str
    sentences: list[Tokens]
    targets: list[Tokens]
    names: list[str]
    facets: NDArray[np.int64]
    stance: NDArray[np.int64]
    spans: list[Mapping[str, Sequence[tuple[int, int]]] | None]
    soft: SoftLabels


def facet_number(facet: Facet, sentence: Sentence) -> int:
    """A sentence's label of a facet as a number: position, bit set (multi), or `IGNORE`."""
    label = sentence.facets.get(facet.name)
    if label is None:
        return IGNORE
    if facet.kind == "single":
        return facet.index(label.label)
    return sum(1 << facet.index(value) for value in labels_of(label))


def make_example(
    article: Article,
    schema: Schema,
    encoder: WindowEncoder,
    key: str,
    soft: SoftLabels | None = None,
) -> Example:
    """Tokenise an article and turn its labels into numbers; raises `StanceError` (wrong label)."""
    sentences = article.sentences or ()
    facets = np.full((len(sentences), len(schema.facets)), IGNORE, dtype=np.int64)
    stance = np.full((len(sentences), len(article.targets)), IGNORE, dtype=np.int64)
    for row, sentence in enumerate(sentences):
        for column, facet in enumerate(schema.facets):
            facets[row, column] = facet_number(facet, sentence)
        for label in sentence.stance:
            stance[row, label.target] = schema.stance.index(label.label)
    return Example(
        key=key,
        text=article.text.lower(),
        sentences=encoder.tokenize_sentences(article, [(s.start, s.end) for s in sentences]),
        targets=encoder.tokenize_texts([target.text for target in article.targets]),
        names=[target.text for target in article.targets],
        facets=facets,
        stance=stance,
        spans=[sentence.spans for sentence in sentences],
        soft=soft or SoftLabels.unknown(len(sentences), len(article.targets), schema),
    )


@dataclass(frozen=True)
class Row:
    """One window with the labels of its sentences, pairs and tokens."""

    window: Window
    facets: NDArray[np.int64]
    stance: NDArray[np.int64]
    spans: NDArray[np.int64]
    soft: SoftLabels


class WindowDataset(Dataset[Row]):
    """The windows of an epoch's articles; `set_epoch` draws, cuts and augments them anew.

    shares: by the corpus (what stands before the `/` of a key) the share of its articles that an
        epoch draws, all of them where it is not named.
    lengths: tokens of every window, with its own targets in front.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        schema: Schema,
        encoder: WindowEncoder,
        augmentation: Augmentation,
        seed: int,
        shares: Mapping[str, float] | None = None,
    ) -> None:
        self.shares = shares or {}
        self.examples = examples
        self.schema = schema
        self.encoder = WindowEncoder(
            encoder.tokenizer,
            encoder.special,
            replace(encoder.encoding, context=augmentation.context, wide_context=None),
        )
        self.augmentation = augmentation
        self.seed = seed
        self.neutral = schema.stance.index("neutral") if "neutral" in schema.stance else None
        self.donors = [
            (name, tokens)
            for example in examples
            for name, tokens in zip(example.names, example.targets, strict=True)
        ]
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Cut the articles for this epoch, and make its targets from here on."""
        self.epoch = epoch
        self.index: list[tuple[int, int, int]] = []
        self.lengths: list[int] = []
        for number, example in enumerate(self.examples):
            if not self._drawn(example):
                continue
            group = self.encoder.groups(list(enumerate(example.targets)))[0]
            front = front_tokens(group)
            for first, last in self._cut(example, front):
                self.index.append((number, first, last))
                length = 1 + front + sum(len(t.ids) + 1 for t in example.sentences[first:last])
                self.lengths.append(min(length, self.encoder.size(group)))

    def _drawn(self, example: Example) -> bool:
        share = self.shares.get(example.key.split("/")[0], 1.0)
        if share >= 1:
            return True
        rng = random.Random(f"{self.seed}/{self.epoch}/{example.key}/share")
        return rng.random() < share

    def _cut(self, example: Example, front: int) -> list[tuple[int, int]]:
        """Ranges of owned sentences behind so many tokens of targets.

        With `recut` the first one ends at a random place.
        """
        encoding = self.encoder.encoding
        if front and self.augmentation.foreign:
            front += front // len(example.targets)
        taken = 1 + min(front, encoding.target_tokens)
        rng = random.Random(f"{self.seed}/{self.epoch}/{example.key}")
        room, start = encoding.max_tokens - taken, 0
        if self.augmentation.recut and len(example.sentences) > 1:
            first_room = rng.uniform(0.2, 1.0) * room
            start = next(self.encoder.cut(example.sentences, int(first_room), 0))[1]
        rest = list(self.encoder.cut(example.sentences[start:], room, encoding.context))
        head = [(0, start)] if start else []
        return head + [(start + first, start + last) for first, last in rest]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: int) -> Row:
        number, first, last = self.index[index]
        rng = random.Random(f"{self.seed}/{self.epoch}/{self.examples[number].key}/{first}")
        targets = self._targets(rng, number)
        return self._label(number, self._window(number, first, last, targets))

    def _targets(self, rng: random.Random, number: int) -> list[tuple[int, Tokens]]:
        """The targets of one window after augmentation; foreign ones are numbered after its own."""
        example, augmentation = self.examples[number], self.augmentation
        if augmentation.none and rng.random() < augmentation.none:
            return []
        targets = list(enumerate(example.targets))
        if augmentation.shuffle:
            rng.shuffle(targets)
        if len(targets) > 1 and augmentation.drop:
            kept = [target for target in targets if rng.random() >= augmentation.drop]
            targets = kept or targets[:1]
        if self.neutral is not None and targets and rng.random() < augmentation.foreign:
            name, tokens = self.donors[rng.randrange(len(self.donors))]
            own = {known.casefold() for known in example.names}
            if name.casefold() not in own and is_foreign(name, example.text):
                targets.insert(
                    rng.randrange(len(targets) + 1) if augmentation.shuffle else len(targets),
                    (len(example.targets), tokens),
                )
        return self.encoder.groups(targets)[0]

    def _window(
        self, number: int, first: int, last: int, targets: Sequence[tuple[int, Tokens]]
    ) -> Window:
        return self.encoder.window(self.examples[number].sentences, targets, first, last)

    def _label(self, number: int, window: Window) -> Row:
        example = self.examples[number]
        rows = [row for row, _, _ in window.sentences]
        own = len(example.targets)
        facets = example.facets[rows]
        stance = np.full((len(rows), len(window.targets)), IGNORE, dtype=np.int64)
        soft = SoftLabels.unknown(len(rows), len(window.targets), self.schema)
        soft.facets[:] = example.soft.facets[rows]
        for column, (target, _) in enumerate(window.targets):
            if target < own:
                stance[:, column] = example.stance[rows, target]
                soft.stance[:, column] = example.soft.stance[rows, target]
            elif self.neutral is not None:
                stance[:, column] = self.neutral
        return Row(window, facets, stance, self._span_labels(example, window), soft)

    def _span_labels(self, example: Example, window: Window) -> NDArray[np.int64]:
        """(N, tracks) of O, B, I for the tokens of sentences whose spans are annotated."""
        tracks = self.schema.spans
        labels = np.full((len(window), len(tracks)), IGNORE, dtype=np.int64)
        for row, (start, end), _ in window.sentences:
            annotated = example.spans[row]
            if annotated is None:
                continue
            labels[start:end] = BIO.index("O")
            offsets = window.offsets[start:end]
            for column, track in enumerate(tracks):
                for span_start, span_end in annotated.get(track, ()):
                    inside = np.flatnonzero(
                        (offsets[:, 0] < span_end) & (offsets[:, 1] > span_start)
                    )
                    labels[start + inside, column] = BIO.index("I")
                    if len(inside) and offsets[inside[0], 0] >= span_start:
                        labels[start + inside[0], column] = BIO.index("B")
        return labels


def is_foreign(name: str, text: str) -> bool:
    """Whether no word of four letters or more of a target's name stands in the (lowered) text."""
    words = [word.strip(".,'\"’“”()") for word in name.lower().split()]
    long = [word for word in words if len(word) >= 4] or words
    return not any(word in text for word in long)


class Collator:
    """Pads rows into the tensors of the model's graph, with the labels beside them.

    Adds `facet_labels` (B, S, facets), `stance_labels` (B, S, T), `span_labels` (B, N, tracks), and
    of the soft labels `soft_facets` (B, S, width) and `soft_stance` (B, S, T, stances).
    """

    def __init__(self, pad_id: int) -> None:
        self.pad_id = pad_id

    def __call__(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        arrays = pad([row.window for row in rows], self.pad_id)
        size, targets, length = arrays["target_mask"].shape
        sentences = arrays["sentence_mask"].shape[1]
        facets = np.full((size, sentences, rows[0].facets.shape[1]), IGNORE, dtype=np.int64)
        stance = np.full((size, sentences, targets), IGNORE, dtype=np.int64)
        spans = np.full((size, length, rows[0].spans.shape[1]), IGNORE, dtype=np.int64)
        width, stances = rows[0].soft.facets.shape[-1], rows[0].soft.stance.shape[-1]
        soft_facets = np.full((size, sentences, width), np.nan, dtype=np.float32)
        soft_stance = np.full((size, sentences, targets, stances), np.nan, dtype=np.float32)
        for b, row in enumerate(rows):
            facets[b, : len(row.facets)] = row.facets
            stance[b, : row.stance.shape[0], : row.stance.shape[1]] = row.stance
            spans[b, : len(row.spans)] = row.spans
            soft_facets[b, : len(row.facets)] = row.soft.facets
            soft_stance[b, : row.stance.shape[0], : row.stance.shape[1]] = row.soft.stance
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return tensors | {
            "facet_labels": torch.from_numpy(facets),
            "stance_labels": torch.from_numpy(stance),
            "span_labels": torch.from_numpy(spans),
            "soft_facets": torch.from_numpy(soft_facets),
            "soft_stance": torch.from_numpy(soft_stance),
        }


class TokenBudgetBatches(Sampler[list[int]]):
    """Batches of windows of like length, each at most `budget` padded tokens, in a random order.

    The number of batches is that of epoch 0 in every epoch. Each of `world` processes takes every
    n-th batch; the first ones are seen again where that is needed for all to have the same number.
    """

    def __init__(
        self, dataset: WindowDataset, budget: int, seed: int, rank: int = 0, world: int = 1
    ) -> None:
        self.dataset = dataset
        self.budget = budget
        self.seed = seed
        self.rank = rank
        self.world = world
        self.epoch = 0
        self.count = len(self._pack(random.Random(seed)))

    def set_epoch(self, epoch: int) -> None:
        """Shuffle anew, and make the epoch's targets."""
        self.epoch = epoch
        self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        return -(-self.count // self.world)

    def __iter__(self) -> Iterator[list[int]]:
        batches = self.epoch_batches()
        batches = list(islice(cycle(batches), len(self) * self.world))
        yield from batches[self.rank :: self.world]

    def epoch_batches(self) -> list[list[int]]:
        """All batches of this epoch, over all processes; every window stands in one of them."""
        rng = random.Random(f"{self.seed}/{self.epoch}")
        batches = self._pack(rng)
        while len(batches) > self.count:
            batches.sort(key=len, reverse=True)
            last = batches.pop()
            batches[-1] = batches[-1] + last
        while len(batches) < self.count:
            batches.sort(key=len)
            longest = batches.pop()
            batches += [longest[::2], longest[1::2] or longest]
        rng.shuffle(batches)
        return batches

    def _pack(self, rng: random.Random) -> list[list[int]]:
        """Windows by length, with some noise so that their company changes, cut by the budget."""
        lengths = self.dataset.lengths
        order = sorted(range(len(lengths)), key=lambda i: lengths[i] * rng.uniform(0.9, 1.1))
        batches: list[list[int]] = []
        longest = 0
        for number in order:
            longest = max(longest, lengths[number])
            if not batches or (len(batches[-1]) + 1) * longest > self.budget:
                batches.append([])
                longest = lengths[number]
            batches[-1].append(number)
        return batches


def label_counts(examples: Sequence[Example], schema: Schema) -> dict[str, NDArray[np.float64]]:
    """How often each label occurs: by facet, for "stance", and for each "spans/<track>".

    Of a track the number of spans, and of sentences whose spans are annotated.
    """
    counts: dict[str, NDArray[np.float64]] = {}
    for column, facet in enumerate(schema.facets):
        values = np.concatenate([example.facets[:, column] for example in examples])
        values = values[values != IGNORE]
        if facet.kind == "multi":
            counts[facet.name] = np.array(
                [float(np.sum(values >> bit & 1)) for bit in range(len(facet.labels))]
            )
        else:
            counts[facet.name] = np.bincount(values, minlength=len(facet.labels)).astype(float)
    stances = np.concatenate([example.stance.ravel() for example in examples])
    stances = stances[stances != IGNORE]
    counts["stance"] = np.bincount(stances, minlength=len(schema.stance)).astype(float)
    for track in schema.spans:
        counts[f"spans/{track}"] = np.array(
            [
                float(
                    sum(len(s.get(track, ())) for e in examples for s in e.spans if s is not None)
                ),
                float(sum(s is not None for e in examples for s in e.spans)),
            ]
        )
    return counts


def soft_heads(examples: Sequence[Example], schema: Schema) -> set[str]:
    """The facets, and "stance", that some example has soft labels of."""
    heads = {
        facet.name
        for facet, columns in schema.slices()
        if not all(np.isnan(example.soft.facets[:, columns]).all() for example in examples)
    }
    if not all(np.isnan(example.soft.stance).all() for example in examples):
        heads.add("stance")
    return heads


def to_inputs(batch: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a batch that the model's graph takes."""
    names = ("input_ids", "attention_mask", "sentence_mask", "target_mask")
    return {name: batch[name] for name in names}
