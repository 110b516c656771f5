"""Takes a schema as YAML or JSON; gives the facets a model learns and the rule of every tag.

Facets are learned, tags are derived: a model gives one distribution per facet, and a tag is a
conjunction of facet labels, or the fallback where no other tag holds.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stance.errors import StanceError, require

FacetLabel = str | bool
FloatArray = NDArray[np.float32]

RESERVED = frozenset(
    {"start", "end", "text", "truncated", "tags", "tag_probs", "stance", "speaker", "spans"}
    | {"extra_json"}
)
"""Keys of a sentence record and columns of its Parquet form that no facet may be named after."""


@dataclass(frozen=True)
class Facet:
    """One learned property of a sentence: `single` (softmax) or `multi` (a sigmoid per label)."""

    name: str
    labels: tuple[FacetLabel, ...]
    kind: Literal["single", "multi"] = "single"

    def index(self, label: object) -> int:
        """Position of `label`; raises `StanceError` for one that the facet does not have."""
        for position, known in enumerate(self.labels):
            if known == label and isinstance(known, bool) == isinstance(label, bool):
                return position
        known_labels = ", ".join(json.dumps(known) for known in self.labels)
        raise StanceError(
            f"label {json.dumps(label, default=str)} is not one of the labels of facet "
            f"{self.name!r} ({known_labels})"
        )

    def outcomes(self) -> list[frozenset[int]]:
        """Every set of labels (as positions) that a sentence can carry."""
        positions = range(len(self.labels))
        if self.kind == "single":
            return [frozenset({position}) for position in positions]
        return [
            frozenset(position for position, held in zip(positions, held_by, strict=True) if held)
            for held_by in itertools.product((False, True), repeat=len(self.labels))
        ]


@dataclass(frozen=True)
class Tag:
    """A name for the sentences whose facets carry, for each facet of `when`, one of its labels.

    `when` is None for the fallback: no other tag holds.
    """

    name: str
    when: Mapping[str, tuple[FacetLabel, ...]] | None


@dataclass(frozen=True)
class Schema:
    """Facets, tags, the stance labels and the token tracks, in the order of the model's logits."""

    facets: tuple[Facet, ...]
    tags: tuple[Tag, ...]
    stance: tuple[str, ...] = ("favor", "against", "neutral")
    spans: tuple[str, ...] = ("source", "cue", "content")

    @property
    def width(self) -> int:
        """Number of facet logits: the labels of all facets side by side."""
        return sum(len(facet.labels) for facet in self.facets)

    def slices(self) -> Iterator[tuple[Facet, slice]]:
        """Each facet with its columns among the facet logits."""
        start = 0
        for facet in self.facets:
            yield facet, slice(start, start + len(facet.labels))
            start += len(facet.labels)

    def facet(self, name: str) -> Facet:
        """The facet called `name`; raises `StanceError` if there is none."""
        for facet in self.facets:
            if facet.name == name:
                return facet
        raise StanceError(
            f"the schema has no facet {name!r} (it has {', '.join(f.name for f in self.facets)})"
        )

    def tags_of(self, labels: Mapping[str, object]) -> list[str]:
        """The tags of a sentence with these facet labels (a set of labels for a multi facet).

        A facet that is missing from `labels` is unknown: a tag that asks for it does not hold.
        """
        held = {
            name: set(label) if isinstance(label, (set, frozenset, tuple, list)) else {label}
            for name, label in labels.items()
        }
        named = [
            tag.name
            for tag in self.tags
            if tag.when is not None
            and all(held.get(facet, set()) & set(wanted) for facet, wanted in tag.when.items())
        ]
        return named or [tag.name for tag in self.tags if tag.when is None]

    def facets_of_tags(self) -> set[str]:
        """Names of the facets that some tag asks for."""
        return {name for tag in self.tags for name in tag.when or ()}

    def tag_probabilities(self, facet_probabilities: FloatArray) -> FloatArray:
        """Probability of every tag, facets taken as independent.

        Args:
            facet_probabilities: (..., width), the facets' probabilities side by side.

        Returns:
            (..., number of tags) in the order of `tags`.
        """
        asked = self.facets_of_tags()
        used = [(facet, columns) for facet, columns in self.slices() if facet.name in asked]
        result = np.zeros((*facet_probabilities.shape[:-1], len(self.tags)), dtype=np.float32)
        names = [tag.name for tag in self.tags]
        for outcome in itertools.product(*(facet.outcomes() for facet, _ in used)):
            probability = np.ones(facet_probabilities.shape[:-1], dtype=np.float32)
            labels: dict[str, object] = {}
            for (facet, columns), positions in zip(used, outcome, strict=True):
                part = facet_probabilities[..., columns]
                labels[facet.name] = {facet.labels[position] for position in positions}
                if facet.kind == "single":
                    probability = probability * part[..., next(iter(positions))]
                else:
                    for position in range(len(facet.labels)):
                        held = part[..., position]
                        probability = probability * (held if position in positions else 1 - held)
            for name in self.tags_of(labels):
                result[..., names.index(name)] += probability
        return result

    def to_dict(self) -> dict[str, Any]:
        """The schema as plain data; `from_dict` reads it back.

        Facets and tags are lists: their order is that of the logits, and writers of JSON may sort
        the keys of a mapping.
        """
        return {
            "facets": [
                {"name": facet.name, "labels": list(facet.labels), "kind": facet.kind}
                for facet in self.facets
            ],
            "tags": [
                {
                    "name": tag.name,
                    "when": "fallback"
                    if tag.when is None
                    else {name: list(labels) for name, labels in tag.when.items()},
                }
                for tag in self.tags
            ],
            "stance": list(self.stance),
            "spans": list(self.spans),
        }

    @classmethod
    def from_dict(cls, data: object, *, where: str = "schema") -> Schema:
        """Check plain data and make a schema; raises `StanceError` that names the wrong entry."""
        if not isinstance(data, Mapping):
            raise StanceError(f"{where}: want a mapping with 'facets' and 'tags'")
        unknown = set(data) - {"facets", "tags", "stance", "spans"}
        if unknown:
            raise StanceError(f"{where}: unknown entry {min(map(str, unknown))!r}")
        facets = tuple(
            _facet(str(name), entry, where) for name, entry in _entries(data, "facets", where)
        )
        if not facets:
            raise StanceError(f"{where}: facets: at least one facet is needed")
        by_name = {facet.name: facet for facet in facets}
        tags = tuple(
            _tag(str(name), rule, by_name, where) for name, rule in _entries(data, "tags", where)
        )
        if sum(tag.when is None for tag in tags) > 1:
            raise StanceError(f"{where}: tags: only one tag can be the fallback")
        return cls(
            facets=facets,
            tags=tags,
            stance=_names(data, "stance", cls.stance, where),
            spans=_names(data, "spans", cls.spans, where),
        )

    @classmethod
    def load(cls, path: str | Path) -> Schema:
        """Read a schema from a .json file, or a .yaml file (which needs the extra `train`)."""
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
            if path.suffix == ".json":
                data = json.loads(text)
            else:
                data = require("yaml", "train").safe_load(text)
        except FileNotFoundError:
            raise StanceError(f"{path}: there is no such schema file") from None
        except StanceError:
            raise
        except Exception as error:
            raise StanceError(f"{path}: not a schema: {error}") from error
        return cls.from_dict(data, where=str(path))

    def save(self, path: str | Path) -> None:
        """Write the schema as JSON."""
        Path(path).write_text(
            json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )


def _entries(data: Mapping[Any, Any], key: str, where: str) -> Sequence[tuple[Any, Any]]:
    """Names with their entries, from a mapping (as people write it) or a list with `name`s."""
    given = data.get(key, {})
    if isinstance(given, Mapping):
        return list(given.items())
    if not isinstance(given, (list, tuple)) or not all(
        isinstance(entry, Mapping) and "name" in entry for entry in given
    ):
        raise StanceError(f"{where}: {key}: want a mapping of names")
    names = [entry["name"] for entry in given]
    if len(set(names)) < len(names):
        raise StanceError(f"{where}: {key}: a name stands there twice")
    if key == "tags":
        return [(entry["name"], entry.get("when")) for entry in given]
    return [
        (entry["name"], {name: value for name, value in entry.items() if name != "name"})
        for entry in given
    ]


def _names(
    data: Mapping[Any, Any], key: str, default: tuple[str, ...], where: str
) -> tuple[str, ...]:
    entry = data.get(key)
    if entry is None:
        return default
    if isinstance(entry, str) or not isinstance(entry, Sequence):
        raise StanceError(f"{where}: {key}: want a list of names")
    if not all(isinstance(name, str) for name in entry) or len(set(entry)) != len(entry):
        raise StanceError(f"{where}: {key}: want different names")
    return tuple(entry)


def _labels(entry: object, where: str) -> tuple[FacetLabel, ...]:
    values = entry if isinstance(entry, Sequence) and not isinstance(entry, str) else [entry]
    for value in values:
        if not isinstance(value, (str, bool)):
            raise StanceError(
                f"{where}: label {value!r} is neither a word nor true or false "
                "(put numbers and dates in quotation marks)"
            )
    return tuple(values)


def _facet(name: str, entry: object, where: str) -> Facet:
    where = f"{where}: facets.{name}"
    if name in RESERVED:
        raise StanceError(f"{where}: the name is taken by the record form")
    if not isinstance(entry, Mapping) or "labels" not in entry:
        raise StanceError(f"{where}: want 'labels' (a list) and perhaps 'kind'")
    unknown = set(entry) - {"labels", "kind"}
    if unknown:
        raise StanceError(f"{where}: unknown entry {min(map(str, unknown))!r}")
    labels = _labels(entry["labels"], where)
    kind = entry.get("kind", "single")
    if kind not in ("single", "multi"):
        raise StanceError(f"{where}: kind is {kind!r}, want 'single' or 'multi'")
    words = sum(isinstance(label, str) for label in labels)
    if words != len(labels) and (words or kind == "multi"):
        raise StanceError(
            f"{where}: true and false do not go with other labels "
            "(put yes, no, on and off in quotation marks)"
        )
    if len(set(labels)) != len(labels) or len(labels) < (2 if kind == "single" else 1):
        raise StanceError(f"{where}: want different labels, two or more for kind 'single'")
    if kind == "multi" and len(labels) > 12:
        raise StanceError(f"{where}: a facet of kind 'multi' can have at most 12 labels")
    return Facet(name, labels, kind)


def _tag(name: str, rule: object, facets: Mapping[str, Facet], where: str) -> Tag:
    where = f"{where}: tags.{name}"
    if rule == "fallback":
        return Tag(name, None)
    if not isinstance(rule, Mapping) or not rule:
        raise StanceError(f"{where}: want 'fallback' or a mapping of a facet to its label")
    when: dict[str, tuple[FacetLabel, ...]] = {}
    for facet_name, wanted in rule.items():
        facet = facets.get(str(facet_name))
        if facet is None:
            raise StanceError(f"{where}: there is no facet {facet_name!r}")
        when[facet.name] = _labels(wanted, where)
        if not when[facet.name]:
            raise StanceError(f"{where}: facet {facet_name!r}: want a label or a list of labels")
        for label in when[facet.name]:
            try:
                facet.index(label)
            except StanceError as error:
                raise StanceError(f"{where}: {error}") from None
    return Tag(name, when)


DEFAULT = Schema(
    facets=(
        Facet("source", ("official", "other", "narrator")),
        Facet("allegation", (False, True)),
    ),
    tags=(
        Tag("official_statement", {"source": ("official",)}),
        Tag("allegation", {"allegation": (True,)}),
        Tag("background", None),
    ),
)
"""The three-way schema, as `configs/schema/default.yaml` (a test holds the two together)."""
