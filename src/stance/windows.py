"""Takes an article, its sentences and targets; gives `Window`s of token ids that fit the encoder.

One window is `[CLS] target [SEP] target [SEP] … sentence [SEP] sentence [SEP]`. Every sentence is
owned by exactly one window of every target group; sentences before the owned ones are context.
Sentence windows follow Cohan et al. (EMNLP 2019), targets in the prompt GLiClass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from stance.errors import StanceError
from stance.records import Article, Span

MENTION_MARKERS = ("<mention>", "</mention>")
"""Tokens put around a target's mentions in the text; added to the vocabulary of the encoder."""


@dataclass(frozen=True)
class Encoding:
    """How articles become windows; part of the model's config, since a model is trained for it.

    max_tokens: tokens in a window, special tokens included.
    context: sentences of context before the owned ones.
    max_context_tokens: of a longer context sentence the end is kept.
    max_target_tokens: a longer target is cut.
    target_share: of the window for targets; the rest is for sentences.
    max_wide_tokens: a window whose targets need more than their share may grow to this length;
        targets that need still more are split into groups.
    wide_sentences: sentences in front of which the targets need more than their share get room for
        so many times the targets' tokens, since every window repeats the targets.
    max_window_tokens: as far as the window stays within this length.
    wide_context: sentences of context, at most, of a window whose targets need more than their
        share, since it reads many sentences of its own; None for no other limit than `context`.
    """

    max_tokens: int = 160
    context: int = 1
    max_context_tokens: int = 48
    max_target_tokens: int = 32
    target_share: float = 0.4
    max_wide_tokens: int = 256
    wide_sentences: float = 2.0
    max_window_tokens: int = 400
    wide_context: int | None = 0

    def __post_init__(self) -> None:
        if self.context < 0:
            raise StanceError(f"context is {self.context}, want a number of sentences")
        if self.max_tokens < 16 or not 0 < self.target_share < 1:
            raise StanceError(f"encoding: {self} leaves no room for sentences")

    @property
    def target_tokens(self) -> int:
        """Tokens for targets in a window that does not grow."""
        return int(self.max_tokens * self.target_share)

    @property
    def wide_target_tokens(self) -> int:
        """Tokens for targets in a window that has grown as far as it may."""
        return self.target_tokens + max(self.max_wide_tokens - self.max_tokens, 0)

    def to_dict(self) -> dict[str, Any]:
        """The encoding as plain data."""
        return dict(vars(self))

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Encoding:
        """The encoding that a model's config.json holds; fields that it lacks change no window."""
        try:
            return cls(**{"wide_sentences": 0.0, "wide_context": None, **fields})
        except TypeError as error:
            raise StanceError(
                f"the model's encoding cannot be read, maybe it is of a newer version: {error}"
            ) from error


@dataclass(frozen=True)
class SpecialTokens:
    """Token ids that frame a window."""

    cls: int
    sep: int
    pad: int
    mention: tuple[int, int]

    @classmethod
    def from_dict(cls, ids: Mapping[str, Any]) -> SpecialTokens:
        """The ids as a model's config.json holds them."""
        try:
            first, second = ids["mention"]
            return cls(ids["cls"], ids["sep"], ids["pad"], (first, second))
        except (KeyError, TypeError, ValueError) as error:
            raise StanceError(f"the model's special tokens cannot be read: {error!r}") from error


@dataclass(frozen=True)
class Tokens:
    """One tokenised text: ids, and each token's offsets in the article (-1, -1 for a marker).

    mentions: for every target with mentions here, the positions of its tokens.
    """

    ids: list[int]
    offsets: list[Span]
    mentions: Mapping[int, list[int]] = field(default_factory=dict)

    def cut(self, limit: int, *, keep_end: bool = False) -> Tokens:
        """The first (or last) `limit` tokens."""
        if len(self.ids) <= limit:
            return self
        first = len(self.ids) - limit if keep_end else 0
        mentions = {
            target: [p - first for p in positions if first <= p < first + limit]
            for target, positions in self.mentions.items()
        }
        return Tokens(
            self.ids[first : first + limit], self.offsets[first : first + limit], mentions
        )


@dataclass(frozen=True)
class Window:
    """One row of a batch.

    sentences: article sentence number, token range, and whether this window owns it.
    targets: article target number and token positions (its name in front and its mentions).
    offsets: (N, 2) offsets in the article of every token, -1 for those outside sentences.
    truncated: owned sentences that were cut to fit.
    first_group: the facet logits of the other groups of the same sentences do not count.
    """

    input_ids: list[int]
    sentences: list[tuple[int, Span, bool]]
    targets: list[tuple[int, list[int]]]
    offsets: NDArray[np.int32]
    truncated: frozenset[int]
    first_group: bool

    def __len__(self) -> int:
        return len(self.input_ids)


class WindowEncoder:
    """Holds the tokenizer and turns articles into windows.

    The tokenizer is a `tokenizers.Tokenizer`; text that looks like a special token is plain text.
    """

    def __init__(self, tokenizer: Tokenizer, special: SpecialTokens, encoding: Encoding) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True
        self.tokenizer = tokenizer
        self.special = special
        self.encoding = encoding

    @classmethod
    def from_folder(
        cls, folder: str | Path, special: SpecialTokens, encoding: Encoding
    ) -> WindowEncoder:
        """Read `tokenizer.json` of a model folder."""
        path = Path(folder) / "tokenizer.json"
        if not path.is_file():
            raise StanceError(f"{path}: the model folder has no tokenizer")
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # its exceptions have no common class but this
            raise StanceError(f"{path}: not a tokenizer: {error}") from error
        return cls(tokenizer, special, encoding)

    def tokenize_texts(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenise texts that stand alone, such as targets; offsets are the text's own."""
        return [
            Tokens(list(encoded.ids), list(encoded.offsets))
            for encoded in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        ]

    def tokenize_sentences(self, article: Article, spans: Sequence[Span]) -> list[Tokens]:
        """Tokenise the sentences of an article, mention markers included."""
        pieces = self.tokenizer.encode_batch(
            [article.text[start:end] for start, end in spans], add_special_tokens=False
        )
        mentions = sorted(
            (start, end, number)
            for number, target in enumerate(article.targets)
            for start, end in target.mentions
        )
        tokens: list[Tokens] = []
        for (start, end), piece in zip(spans, pieces, strict=True):
            ids = list(piece.ids)
            offsets = [(start + a, start + b) for a, b in piece.offsets]
            inside = [m for m in mentions if m[0] < end and m[1] > start] if mentions else []
            tokens.append(self._mark(ids, offsets, inside) if inside else Tokens(ids, offsets))
        return tokens

    def _mark(
        self, ids: list[int], offsets: list[Span], mentions: Sequence[tuple[int, int, int]]
    ) -> Tokens:
        """Put the markers around each mention and note which tokens belong to which target."""
        opening, closing = self.special.mention
        out_ids: list[int] = []
        out_offsets: list[Span] = []
        positions: dict[int, list[int]] = {}
        open_until: dict[int, int] = {}
        for token, (start, end) in zip(ids, offsets, strict=True):
            for number in [n for n, until in open_until.items() if start >= until]:
                del open_until[number]
                positions[number].append(len(out_ids))
                out_ids.append(closing)
                out_offsets.append((-1, -1))
            for mention_start, mention_end, number in mentions:
                overlaps = mention_start < end and start < mention_end
                if overlaps and number not in open_until:
                    open_until[number] = mention_end
                    positions.setdefault(number, []).append(len(out_ids))
                    out_ids.append(opening)
                    out_offsets.append((-1, -1))
            for number in open_until:
                positions[number].append(len(out_ids))
            out_ids.append(token)
            out_offsets.append((start, end))
        for number in open_until:
            positions[number].append(len(out_ids))
            out_ids.append(closing)
            out_offsets.append((-1, -1))
        return Tokens(out_ids, out_offsets, positions)

    def windows(
        self,
        sentences: Sequence[Tokens],
        targets: Sequence[Tokens] | Mapping[int, Tokens],
        order: Sequence[int] | None = None,
    ) -> list[Window]:
        """Pack sentences and targets into windows.

        Args:
            sentences: the article's sentences, in order.
            targets: the article's targets, by number.
            order: which targets stand in front and in which order; all of them by default.

        Returns:
            The windows, group of targets after group of targets; none for no sentences.
        """
        chosen = list(range(len(targets)) if order is None else order)
        result: list[Window] = []
        for number, group in enumerate(self.groups([(n, targets[n]) for n in chosen])):
            room = self.size(group) - 1 - front_tokens(group)
            for first, last in self.cut(sentences, room, self.context(group)):
                result.append(self.window(sentences, group, first, last, first_group=number == 0))
        return result

    def groups(self, targets: Sequence[tuple[int, Tokens]]) -> list[list[tuple[int, Tokens]]]:
        """Numbered targets in groups that leave room for sentences; one empty group for none."""
        room = self.encoding.wide_target_tokens
        limit = min(self.encoding.max_target_tokens, self.encoding.target_tokens - 1)
        groups: list[list[tuple[int, Tokens]]] = [[]]
        filled = 0
        for number, whole in targets:
            tokens = whole.cut(limit)
            if groups[-1] and filled + len(tokens.ids) + 1 > room:
                groups.append([])
                filled = 0
            groups[-1].append((number, tokens))
            filled += len(tokens.ids) + 1
        return groups

    def size(self, group: Sequence[tuple[int, Tokens]]) -> int:
        """Tokens that a window with this group of targets in front may have."""
        front = front_tokens(group)
        more = front - self.encoding.target_tokens
        if more <= 0:
            return self.encoding.max_tokens
        wanted = 1 + int(front * (1 + self.encoding.wide_sentences))
        return max(self.encoding.max_tokens + more, min(wanted, self.encoding.max_window_tokens))

    def context(self, group: Sequence[tuple[int, Tokens]]) -> int:
        """Sentences of context that a window with this group of targets in front reads."""
        limit = self.encoding.wide_context
        if limit is None or front_tokens(group) <= self.encoding.target_tokens:
            return self.encoding.context
        return min(limit, self.encoding.context)

    def cut(self, sentences: Sequence[Tokens], room: int, before: int) -> Iterator[tuple[int, int]]:
        """Ranges of owned sentences [first, last), each as long as `room` tokens and context allow.

        `before` are the sentences of context in front of each range.

        Every sentence is in exactly one range; one that is too long has a range of its own.
        """
        first = 0
        while first < len(sentences):
            context = sentences[max(0, first - before) : first]
            used = sum(min(len(t.ids), self.encoding.max_context_tokens) + 1 for t in context)
            used += len(sentences[first].ids) + 1
            last = first + 1
            while last < len(sentences) and used + len(sentences[last].ids) < room:
                used += len(sentences[last].ids) + 1
                last += 1
            yield first, last
            first = last

    def window(
        self,
        sentences: Sequence[Tokens],
        group: Sequence[tuple[int, Tokens]],
        first: int,
        last: int,
        *,
        first_group: bool = True,
    ) -> Window:
        """The window that owns the sentences [first, last), with a group of numbered targets."""
        ids = [self.special.cls]
        target_positions: list[tuple[int, list[int]]] = []
        for number, tokens in group:
            target_positions.append((number, list(range(len(ids), len(ids) + len(tokens.ids)))))
            ids += [*tokens.ids, self.special.sep]
        offsets: list[Span] = [(-1, -1)] * len(ids)
        rows: list[tuple[int, Span, bool]] = []
        truncated: set[int] = set()
        in_group = dict(target_positions)
        room, context = self.size(group) - len(ids), self.context(group)
        for number, tokens in self._fitted(sentences, first, last, room, context):
            start = len(ids)
            ids += [*tokens.ids, self.special.sep]
            offsets += [*tokens.offsets, (-1, -1)]
            owned = first <= number < last
            rows.append((number, (start, start + len(tokens.ids)), owned))
            if owned and len(tokens.ids) < len(sentences[number].ids):
                truncated.add(number)
            for target, positions in tokens.mentions.items():
                if target in in_group:
                    in_group[target] += [start + position for position in positions]
        return Window(
            input_ids=ids,
            sentences=rows,
            targets=target_positions,
            offsets=np.asarray(offsets, dtype=np.int32).reshape(-1, 2),
            truncated=frozenset(truncated),
            first_group=first_group,
        )

    def _fitted(
        self, sentences: Sequence[Tokens], first: int, last: int, room: int, before: int
    ) -> list[tuple[int, Tokens]]:
        """The owned sentences and as much as fits of the `before` ones, in order."""
        chosen: list[tuple[int, Tokens]] = []
        for number in range(first, last):
            tokens = sentences[number].cut(max(room - 1, 1))
            chosen.append((number, tokens))
            room -= len(tokens.ids) + 1
        for number in range(first - 1, max(-1, first - 1 - before), -1):
            limit = min(self.encoding.max_context_tokens, room - 1)
            if limit < 1:
                break
            tokens = sentences[number].cut(limit, keep_end=True)
            chosen.insert(0, (number, tokens))
            room -= len(tokens.ids) + 1
        return chosen


def front_tokens(group: Sequence[tuple[int, Tokens]]) -> int:
    """Tokens of the targets in front of a window, each with the separator behind it."""
    return sum(len(tokens.ids) + 1 for _, tokens in group)


def pad(windows: Sequence[Window], pad_id: int) -> dict[str, NDArray[Any]]:
    """A batch of windows as the arrays that the model's graph takes.

    Returns:
        input_ids and attention_mask (B, N) int64, sentence_mask (B, S, N) and target_mask
        (B, T, N) float32 with 1 where a token belongs to the sentence or target. S and T are at
        least 1; unused rows are all zero.
    """
    length = max(len(window) for window in windows)
    rows = max(1, max(len(window.sentences) for window in windows))
    targets = max(1, max(len(window.targets) for window in windows))
    input_ids = np.full((len(windows), length), pad_id, dtype=np.int64)
    attention_mask = np.zeros((len(windows), length), dtype=np.int64)
    sentence_mask = np.zeros((len(windows), rows, length), dtype=np.float32)
    target_mask = np.zeros((len(windows), targets, length), dtype=np.float32)
    for b, window in enumerate(windows):
        input_ids[b, : len(window)] = window.input_ids
        attention_mask[b, : len(window)] = 1
        for s, (_, (start, end), _) in enumerate(window.sentences):
            sentence_mask[b, s, start:end] = 1
        for t, (_, positions) in enumerate(window.targets):
            target_mask[b, t, positions] = 1
    return {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "sentence_mask": sentence_mask,
        "target_mask": target_mask,
    }
