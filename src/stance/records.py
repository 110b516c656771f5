"""Takes one article as plain data (the JSON form); gives an `Article`, and back without loss.

All offsets are Unicode code points into the article's text, end exclusive.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Literal

from stance.errors import RecordError

Span = tuple[int, int]
LabelValue = str | bool | tuple[str, ...]

ARTICLE_FIELDS = ("id", "title", "date", "publisher", "text", "targets", "sentences", "model")
SENTENCE_FIELDS = ("start", "end", "text", "truncated", "tags", "stance", "speaker", "spans")
LABEL_FIELDS = frozenset({"label", "score", "probs"})
MAX_DEPTH = 100
"""Unknown fields are carried along up to this depth of objects and lists."""


@dataclass(frozen=True)
class Label:
    """A label with its calibrated probability; a gold label has neither score nor probs.

    `probs` gives the probability of every label of the facet (`true` and `false` as words).
    """

    label: LabelValue
    score: float | None = None
    probs: Mapping[str, float] | None = None

    def to_json(self) -> Any:
        """`{"label", "score"}`, or the plain label where there is no score."""
        plain = list(self.label) if isinstance(self.label, tuple) else self.label
        if self.score is None and self.probs is None:
            return plain
        data: dict[str, Any] = {"label": plain, "score": self.score}
        if self.probs is not None:
            data["probs"] = dict(self.probs)
        return data


@dataclass(frozen=True)
class Stance:
    """The stance of a sentence toward the article's target number `target`."""

    target: int
    label: str
    score: float | None = None
    probs: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Target:
    """What a stance is toward: an entity or a claim, with its mentions in the text if known.

    `names` are what an article has to mention for the target to be looked at: an entity's own name
    and aliases, for a claim those of the entities it is about. A target with names of which the
    article has none is `skipped`: it was not encoded, and no sentence has a stance toward it.
    """

    text: str
    kind: Literal["entity", "claim"] = "entity"
    mentions: tuple[Span, ...] = ()
    names: tuple[str, ...] = ()
    skipped: bool = False

    def to_json(self) -> dict[str, Any]:
        """The target as plain data."""
        data: dict[str, Any] = {"kind": self.kind, "text": self.text}
        if self.mentions:
            data["mentions"] = [list(span) for span in self.mentions]
        if self.names:
            data["names"] = list(self.names)
        if self.skipped:
            data["skipped"] = True
        return data


@dataclass(frozen=True)
class Sentence:
    """A span of the article with what is known about it; None where a field is not known."""

    start: int
    end: int
    text: str
    truncated: bool = False
    tags: tuple[str, ...] | None = None
    facets: Mapping[str, Label] = field(default_factory=dict)
    stance: tuple[Stance, ...] = ()
    speaker: str | None = None
    spans: Mapping[str, tuple[Span, ...]] | None = None
    tag_probs: Mapping[str, float] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def stance_toward(self, target: int) -> Stance | None:
        """The stance toward target number `target`, or None."""
        for stance in self.stance:
            if stance.target == target:
                return stance
        return None


@dataclass(frozen=True)
class Article:
    """One article. Only `text` is required; `sentences` is None until somebody segments it."""

    text: str
    id: str | None = None
    title: str | None = None
    date: str | None = None
    publisher: str | None = None
    targets: tuple[Target, ...] = ()
    sentences: tuple[Sentence, ...] | None = None
    model: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self, *, probs: bool = True) -> dict[str, Any]:
        """The record: plain data in the one JSON form.

        Args:
            probs: write the probabilities of all labels where they are known.
        """
        data: dict[str, Any] = {}
        for name in ("id", "title", "date", "publisher"):
            value = getattr(self, name)
            if value is not None:
                data[name] = value
        data.update(self.extra)
        data["text"] = self.text
        if self.targets:
            data["targets"] = [target.to_json() for target in self.targets]
        if self.sentences is not None:
            data["sentences"] = [
                _sentence_to_json(sentence, len(self.targets), probs) for sentence in self.sentences
            ]
        if self.model is not None:
            data["model"] = self.model
        return data

    def check(self) -> None:
        """Look at an article that was made by hand: its text, targets and sentences.

        Raises:
            RecordError: naming what `from_dict` would not have taken.
        """
        _string(self.text, "text")
        for number, target in enumerate(self.targets):
            _target(target.to_json(), f"targets[{number}]", self.text)
        before = 0
        for number, sentence in enumerate(self.sentences or ()):
            where = f"sentences[{number}]"
            start, end = _span([sentence.start, sentence.end], where, self.text)
            _check_bounds(start, end, sentence.text, self.text, before, where)
            before = end

    @classmethod
    def from_dict(cls, data: object) -> Article:
        """Check plain data and make an article; raises `RecordError` that names the wrong field."""
        if not isinstance(data, Mapping):
            raise RecordError(f"want a JSON object, found {_kind(data)}")
        if "text" not in data:
            raise RecordError("the field is missing", field="text")
        text = _string(data["text"], "text")
        targets = _targets(data.get("targets"), text)
        sentences = _sentences(data.get("sentences"), text, len(targets))
        extra = {key: value for key, value in data.items() if key not in ARTICLE_FIELDS}
        _check_json("", extra)
        return cls(
            text=text,
            id=_identifier(data.get("id")),
            title=_optional_string(data, "title"),
            date=_date(data.get("date")),
            publisher=_optional_string(data, "publisher"),
            targets=targets,
            sentences=sentences,
            model=_optional_string(data, "model"),
            extra=extra,
        )


def without_labels(article: Article) -> Article:
    """The article with its targets and the bounds of its sentences, and nothing said of them."""
    if article.sentences is None:
        return article
    sentences = tuple(Sentence(s.start, s.end, s.text) for s in article.sentences)
    return replace(article, sentences=sentences)


def with_targets(article: Article, targets: Sequence[str | Mapping[str, Any] | Target]) -> Article:
    """The article with these targets added after its own (those it already has are not repeated).

    Raises `RecordError` for a target that is not one.
    """
    known = [(target.kind, target.text) for target in article.targets]
    added: list[Target] = []
    for number, entry in enumerate(targets):
        plain = entry.to_json() if isinstance(entry, Target) else entry
        target = _target(plain, f"targets[{number}]", article.text)
        if (target.kind, target.text) not in known:
            known.append((target.kind, target.text))
            added.append(target)
    return replace(article, targets=article.targets + tuple(added)) if added else article


def _sentence_to_json(sentence: Sentence, targets: int, probs: bool) -> dict[str, Any]:
    data: dict[str, Any] = {
        "start": sentence.start,
        "end": sentence.end,
        "text": sentence.text,
        "truncated": sentence.truncated,
    }
    if sentence.tags is not None:
        data["tags"] = list(sentence.tags)
    if probs and sentence.tag_probs is not None:
        data["tag_probs"] = dict(sentence.tag_probs)
    for name, label in sentence.facets.items():
        data[name] = (label if probs else replace(label, probs=None)).to_json()
    if sentence.stance:
        data["stance"] = _stance_to_json(sentence.stance, targets, probs)
    if sentence.speaker is not None:
        data["speaker"] = sentence.speaker
    if sentence.spans is not None:
        data["spans"] = {
            track: [list(span) for span in spans] for track, spans in sentence.spans.items()
        }
    data.update(sentence.extra)
    return data


def _stance_to_json(stances: Sequence[Stance], targets: int, probs: bool) -> list[Any]:
    if all(stance.score is None and stance.probs is None for stance in stances):
        plain: list[str | None] = [None] * targets
        for stance in stances:
            plain[stance.target] = stance.label
        return plain
    rows: list[Any] = []
    for stance in stances:
        row: dict[str, Any] = {
            "target": stance.target,
            "label": stance.label,
            "score": stance.score,
        }
        if probs and stance.probs is not None:
            row["probs"] = dict(stance.probs)
        rows.append(row)
    return rows


def _kind(value: object) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "a string",
        bool: "true or false",
        int: "a number",
        float: "a number",
        type(None): "null",
    }
    return names.get(type(value), type(value).__name__)


def _string(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise RecordError(f"want a string, found {_kind(value)}", field=where)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RecordError(
            f"lone surrogate U+{ord(value[error.start]):04X} at character {error.start}",
            field=where,
        ) from None
    return value


def _check_json(where: str, value: object, depth: int = 0) -> None:
    """Raise `RecordError` where a field that is only carried could not be written as JSON."""
    if depth > MAX_DEPTH:
        raise RecordError(f"nested more than {MAX_DEPTH} deep", field=where.partition(".")[0])
    if isinstance(value, str):
        _string(value, where)
    elif isinstance(value, Mapping):
        for key, part in value.items():
            _check_json(f"{where}.{_name(key, where)}".lstrip("."), part, depth + 1)
    elif isinstance(value, (list, tuple)):
        for number, part in enumerate(value):
            _check_json(f"{where}[{number}]", part, depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise RecordError(f"the number {value} is not JSON", field=where)
    elif value is not None and not isinstance(value, (bool, int, float)):
        raise RecordError(f"a value of type {_kind(value)} is not JSON", field=where)


def _name(key: object, where: str) -> str:
    """The name of a field inside `where`, which may be any string that UTF-8 can write."""
    try:
        return _string(key, where)
    except RecordError as error:
        raise RecordError(f"the name of a field: {error.reason}", field=where) from None


def _optional_string(data: Mapping[str, Any], name: str) -> str | None:
    value = data.get(name)
    return None if value is None else _string(value, name)


def _identifier(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None if value is None or value == "" else _string(value, "id")


def _date(value: object) -> str | None:
    if value is None or value == "":
        return None
    text = _string(value, "date")
    try:
        date.fromisoformat(text)
    except ValueError:
        try:
            datetime.fromisoformat(text)
        except ValueError:
            raise RecordError(
                f"{text!r} is not an ISO 8601 date such as 2026-01-31", field="date"
            ) from None
    return text


def _integer(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise RecordError(f"want a whole number, found {_kind(value)}", field=where)
    return value


def _list(value: object, where: str) -> Sequence[Any]:
    if isinstance(value, (list, tuple)):
        return value
    raise RecordError(f"want a list, found {_kind(value)}", field=where)


def _span(value: object, where: str, text: str) -> Span:
    pair = _list(value, where)
    if len(pair) != 2:
        raise RecordError("want [start, end]", field=where)
    start, end = _integer(pair[0], where), _integer(pair[1], where)
    if not 0 <= start < end <= len(text):
        raise RecordError(
            f"[{start}, {end}] is not a span of a text of {len(text)} characters", field=where
        )
    return start, end


def _target(entry: object, where: str, text: str) -> Target:
    if isinstance(entry, str):
        entry = {"text": entry}
    if not isinstance(entry, Mapping):
        raise RecordError(f"want a string or an object, found {_kind(entry)}", field=where)
    unknown = set(entry) - {"kind", "text", "mentions", "names", "skipped"}
    if unknown:
        raise RecordError(f"unknown field {min(map(str, unknown))!r}", field=where)
    name = _string(entry.get("text"), f"{where}.text")
    if not name.strip():
        raise RecordError("the target is empty", field=f"{where}.text")
    kind = entry.get("kind", "entity")
    if kind not in ("entity", "claim"):
        raise RecordError(f"{kind!r} is neither 'entity' nor 'claim'", field=f"{where}.kind")
    mentions = entry.get("mentions")
    spans = () if mentions is None else _list(mentions, f"{where}.mentions")
    names = entry.get("names")
    skipped = entry.get("skipped", False)
    if not isinstance(skipped, bool):
        raise RecordError(f"want true or false, found {_kind(skipped)}", field=f"{where}.skipped")
    return Target(
        text=name,
        kind=kind,
        mentions=tuple(
            _span(span, f"{where}.mentions[{number}]", text) for number, span in enumerate(spans)
        ),
        names=tuple(
            _string(part, f"{where}.names")
            for part in (() if names is None else _list(names, f"{where}.names"))
        ),
        skipped=skipped,
    )


def _targets(value: object, text: str) -> tuple[Target, ...]:
    if value is None:
        return ()
    return tuple(
        _target(entry, f"targets[{number}]", text)
        for number, entry in enumerate(_list(value, "targets"))
    )


def _sentences(value: object, text: str, targets: int) -> tuple[Sentence, ...] | None:
    if value is None:
        return None
    sentences: list[Sentence] = []
    before = 0
    for number, entry in enumerate(_list(value, "sentences")):
        where = f"sentences[{number}]"
        sentence = _sentence(entry, where, text, targets, before)
        before = sentence.end
        sentences.append(sentence)
    return tuple(sentences)


def _check_bounds(
    start: int, end: int, own_text: object, text: str, before: int, where: str
) -> None:
    """Raise `RecordError` if the sentence has another text, or begins before the last one ended."""
    if own_text is not None and own_text != text[start:end]:
        raise RecordError(f"is not the article's text from {start} to {end}", field=f"{where}.text")
    if start < before:
        raise RecordError(
            f"the sentence starts at {start}, before the end of the one before it ({before})",
            field=where,
        )


def _sentence(entry: object, where: str, text: str, targets: int, before: int) -> Sentence:
    if not isinstance(entry, Mapping):
        raise RecordError(f"want an object, found {_kind(entry)}", field=where)
    for name in ("start", "end"):
        if name not in entry:
            raise RecordError("the field is missing", field=f"{where}.{name}")
    start, end = _span([entry["start"], entry["end"]], where, text)
    _check_bounds(start, end, entry.get("text"), text, before, where)
    truncated = entry.get("truncated", False)
    if not isinstance(truncated, bool):
        raise RecordError(
            f"want true or false, found {_kind(truncated)}", field=f"{where}.truncated"
        )
    tags = entry.get("tags")
    speaker = entry.get("speaker")
    facets: dict[str, Label] = {}
    extra: dict[str, Any] = {}
    for key, value in entry.items():
        if key in SENTENCE_FIELDS or key == "tag_probs" or value is None:
            continue
        _check_json(f"{where}.{_name(key, where)}", value)
        label = _label(value, f"{where}.{key}")
        if label is None:
            extra[key] = value
        else:
            facets[key] = label
    return Sentence(
        start=start,
        end=end,
        text=text[start:end],
        truncated=truncated,
        tags=None
        if tags is None
        else tuple(_string(tag, f"{where}.tags") for tag in _list(tags, f"{where}.tags")),
        facets=facets,
        stance=_stances(entry.get("stance"), f"{where}.stance", targets),
        speaker=None if speaker is None else _string(speaker, f"{where}.speaker"),
        spans=_tracks(entry.get("spans"), f"{where}.spans", text),
        tag_probs=_probs(entry.get("tag_probs"), f"{where}.tag_probs"),
        extra=extra,
    )


def _label(value: object, where: str) -> Label | None:
    """A facet's label, plain or with its score; None for a value of another form."""
    if isinstance(value, (str, bool)):
        return Label(value)
    if isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value):
        return Label(tuple(value))
    if isinstance(value, Mapping) and "label" in value and set(value) <= LABEL_FIELDS:
        plain = None if isinstance(value["label"], Mapping) else _label(value["label"], where)
        if plain is None:
            raise RecordError(f"{value['label']!r} is not a label", field=f"{where}.label")
        return Label(
            plain.label,
            _score(value.get("score"), f"{where}.score"),
            _probs(value.get("probs"), f"{where}.probs"),
        )
    return None


def _score(value: object, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise RecordError(f"want a probability from 0 to 1, found {value!r}", field=where)
    return float(value)


def _probs(value: object, where: str) -> Mapping[str, float] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise RecordError(f"want an object, found {_kind(value)}", field=where)
    probs: dict[str, float] = {}
    for label, part in value.items():
        score = _score(part, f"{where}.{_name(label, where)}")
        if score is not None:
            probs[label] = score
    return probs


def _stances(value: object, where: str, targets: int) -> tuple[Stance, ...]:
    if value is None:
        return ()
    rows = _list(value, where)
    plain = not any(isinstance(row, Mapping) for row in rows)
    if plain and len(rows) != targets:
        raise RecordError(
            f"{len(rows)} labels for {targets} targets (want one label per target, in order)",
            field=where,
        )
    stances: list[Stance] = []
    for number, row in enumerate(rows):
        here = f"{where}[{number}]"
        if row is None:
            continue
        if plain:
            stances.append(Stance(number, _string(row, here)))
            continue
        if not isinstance(row, Mapping):
            raise RecordError(f"want an object, found {_kind(row)}", field=here)
        target = _integer(row.get("target"), f"{here}.target")
        if not 0 <= target < targets:
            raise RecordError(f"there is no target number {target}", field=f"{here}.target")
        stances.append(
            Stance(
                target,
                _string(row.get("label"), f"{here}.label"),
                _score(row.get("score"), f"{here}.score"),
                _probs(row.get("probs"), f"{here}.probs"),
            )
        )
    if len({stance.target for stance in stances}) != len(stances):
        raise RecordError("two labels for one target", field=where)
    return tuple(sorted(stances, key=lambda stance: stance.target))


def _tracks(value: object, where: str, text: str) -> Mapping[str, tuple[Span, ...]] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise RecordError(f"want an object, found {_kind(value)}", field=where)
    return {
        _name(track, where): tuple(
            _span(span, f"{where}.{track}[{number}]", text)
            for number, span in enumerate(_list(spans, f"{where}.{track}"))
        )
        for track, spans in value.items()
    }
