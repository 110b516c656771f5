"""A schema file names facets and tags; tags and their probabilities follow from the facets."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from stance.errors import StanceError
from stance.schema import DEFAULT, Facet, Schema, Tag

CONFIGS = Path(__file__).parents[1] / "configs" / "schema"
FACETS = {
    "source": {"labels": ["official", "other", "narrator"]},
    "allegation": {"labels": [False, True]},
}
FOUR_WAY = Schema.load(CONFIGS / "four_way.yaml")
TOPICS = Schema.from_dict(
    {
        "facets": {
            "topics": {"labels": ["weather", "mills", "sport"], "kind": "multi"},
            "mood": {"labels": ["glad", "sad", "flat"]},
            "unused": {"labels": ["a", "b"]},
        },
        "tags": {
            "outdoors": {"topics": ["weather", "sport"]},
            "sad_mills": {"topics": "mills", "mood": ["sad", "flat"]},
            "rest": "fallback",
        },
    }
)


def test_the_default_schema_is_the_one_in_the_configs() -> None:
    assert Schema.load(CONFIGS / "default.yaml") == DEFAULT


def test_every_schema_in_the_configs_loads() -> None:
    for path in CONFIGS.glob("*.yaml"):
        if path.name == "file.yaml":  # names a file of the user's
            continue
        assert Schema.load(path).facets == DEFAULT.facets


def test_from_dict() -> None:
    schema = Schema.from_dict({"facets": FACETS, "tags": {"said": {"source": "other"}}})
    assert schema.facets == (
        Facet("source", ("official", "other", "narrator")),
        Facet("allegation", (False, True)),
    )
    assert schema.tags == (Tag("said", {"source": ("other",)}),)
    assert schema.stance == ("favor", "against", "neutral")
    assert schema.spans == ("source", "cue", "content")
    assert schema.facet("allegation").index(True) == 1
    assert schema.width == 5
    assert [(facet.name, columns) for facet, columns in schema.slices()] == [
        ("source", slice(0, 3)),
        ("allegation", slice(3, 5)),
    ]


@pytest.mark.parametrize("schema", [DEFAULT, FOUR_WAY, TOPICS])
def test_save_and_load(tmp_path: Path, schema: Schema) -> None:
    assert Schema.from_dict(schema.to_dict()) == schema
    schema.save(tmp_path / "schema.json")
    assert Schema.load(tmp_path / "schema.json") == schema
    content = yaml.safe_dump(schema.to_dict(), sort_keys=False)
    (tmp_path / "schema.yaml").write_text(content, encoding="utf-8")
    assert Schema.load(tmp_path / "schema.yaml") == schema


@pytest.mark.parametrize(
    ("source", "allegation", "three", "four"),
    [
        ("official", False, ["official_statement"], ["official_statement"]),
        ("official", True, ["official_statement", "allegation"], None),
        ("other", False, ["background"], ["other_statement"]),
        ("other", True, ["allegation"], None),
        ("narrator", False, ["background"], None),
        ("narrator", True, ["allegation"], None),
    ],
)
def test_tags_of(source: str, allegation: bool, three: list[str], four: list[str] | None) -> None:
    labels = {"source": source, "allegation": allegation}
    assert DEFAULT.tags_of(labels) == three
    assert FOUR_WAY.tags_of(labels) == (four or three)


def test_tags_of_several_labels() -> None:
    assert TOPICS.tags_of({"topics": ["mills", "sport"], "mood": "flat"}) == [
        "outdoors",
        "sad_mills",
    ]
    assert TOPICS.tags_of({"topics": ("mills",), "mood": "glad"}) == ["rest"]
    assert TOPICS.tags_of({"topics": set(), "mood": "sad"}) == ["rest"]


def test_an_unknown_facet_gives_no_tag() -> None:
    assert DEFAULT.tags_of({"allegation": True}) == ["allegation"]
    assert DEFAULT.tags_of({"source": "official"}) == ["official_statement"]
    assert DEFAULT.tags_of({}) == ["background"]
    assert Schema.from_dict({"facets": FACETS}).tags_of({"source": "official"}) == []


def brute_force(schema: Schema, row: Any) -> list[float]:
    """Sum over all labellings of a sentence, written out facet by facet and label by label."""
    choices: list[list[tuple[str, Any, float]]] = []
    for facet, columns in schema.slices():
        p = [float(value) for value in row[columns]]
        if facet.kind == "single":
            choices.append(
                [(facet.name, label, q) for label, q in zip(facet.labels, p, strict=True)]
            )
            continue
        sets = []
        for size in range(len(p) + 1):
            for held in itertools.combinations(range(len(p)), size):
                q = np.prod([p[i] if i in held else 1 - p[i] for i in range(len(p))])
                sets.append((facet.name, {facet.labels[i] for i in held}, float(q)))
        choices.append(sets)
    total = dict.fromkeys((tag.name for tag in schema.tags), 0.0)
    for outcome in itertools.product(*choices):
        weight = float(np.prod([q for _, _, q in outcome]))
        for name in schema.tags_of({facet: label for facet, label, _ in outcome}):
            total[name] += weight
    return list(total.values())


@settings(deadline=None)
@given(st.sampled_from([DEFAULT, FOUR_WAY, TOPICS]), st.data())
def test_tag_probabilities_are_the_sum_over_all_labellings(
    schema: Schema, data: st.DataObject
) -> None:
    row = np.zeros(schema.width, dtype=np.float32)
    for facet, columns in schema.slices():
        count = len(facet.labels)
        weights = data.draw(st.lists(st.floats(0, 1, width=32), min_size=count, max_size=count))
        values = np.array(weights, dtype=np.float32)
        if facet.kind == "single":
            values = (values + 0.01) / (values + 0.01).sum()
        row[columns] = values
    found = schema.tag_probabilities(row)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, brute_force(schema, row), atol=1e-5)


def test_background_is_neither_official_nor_allegation() -> None:
    probabilities = np.array([[[0.7, 0.2, 0.1, 0.6, 0.4], [0.0, 0.3, 0.7, 1.0, 0.0]]], np.float32)
    official, allegation, background = np.moveaxis(DEFAULT.tag_probabilities(probabilities), -1, 0)
    np.testing.assert_allclose(official, [[0.7, 0.0]], atol=1e-6)
    np.testing.assert_allclose(allegation, [[0.4, 0.0]], atol=1e-6)
    np.testing.assert_allclose(background, (1 - official) * (1 - allegation), atol=1e-6)


def test_the_four_way_background_is_the_narrators() -> None:
    probabilities = np.array([0.5, 0.3, 0.2, 0.6, 0.4], np.float32)
    names = [tag.name for tag in FOUR_WAY.tags]
    result = dict(zip(names, FOUR_WAY.tag_probabilities(probabilities), strict=True))
    assert result["other_statement"] == pytest.approx(0.3 * 0.6)
    assert result["background"] == pytest.approx(0.2 * 0.6)


def test_tags_of_a_single_fallback_are_certain() -> None:
    schema = Schema.from_dict({"facets": FACETS, "tags": {"sentence": "fallback"}})
    assert schema.tag_probabilities(np.zeros((2, 5), np.float32)).tolist() == [[1.0], [1.0]]


def test_a_label_that_the_facet_does_not_have() -> None:
    with pytest.raises(StanceError) as caught:
        DEFAULT.facet("allegation").index("true")
    assert str(caught.value) == (
        "label \"true\" is not one of the labels of facet 'allegation' (false, true)"
    )
    with pytest.raises(StanceError, match=r"has no facet 'mood' \(it has source, allegation\)"):
        DEFAULT.facet("mood")


def facets(**entries: Any) -> dict[str, Any]:
    return {"facets": entries, "tags": {}}


def tags(**rules: Any) -> dict[str, Any]:
    return {"facets": FACETS, "tags": rules}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "s: want a mapping with 'facets' and 'tags'"),
        ({"facets": FACETS, "tag": {}}, "s: unknown entry 'tag'"),
        ({"tags": {}}, "s: facets: at least one facet is needed"),
        ({"facets": ["source"]}, "s: facets: want a mapping of names"),
        (facets(mood=["a", "b"]), "s: facets.mood: want 'labels' (a list)"),
        (facets(mood={"labels": ["a", "b"], "sort": 1}), "s: facets.mood: unknown entry 'sort'"),
        (facets(mood={"labels": ["a", "a"]}), "s: facets.mood: want different labels"),
        (facets(mood={"labels": ["a"]}), "s: facets.mood: want different labels, two or more"),
        (facets(mood={"labels": ["a", 2]}), "s: facets.mood: label 2 is neither a word"),
        (facets(mood={"labels": ["a", {}]}), "s: facets.mood: label {} is neither a word"),
        (
            facets(mood={"labels": [True, False, "unclear"]}),
            "s: facets.mood: true and false do not go with other labels (put yes, no",
        ),
        (facets(mood={"labels": [True], "kind": "multi"}), "s: facets.mood: true and false"),
        (facets(mood={"labels": ["a", "b"], "kind": "any"}), "s: facets.mood: kind is 'any'"),
        (
            facets(mood={"labels": list("abcdefghijklm"), "kind": "multi"}),
            "s: facets.mood: a facet of kind 'multi' can have at most 12 labels",
        ),
        (facets(stance={"labels": ["a", "b"]}), "s: facets.stance: the name is taken"),
        (facets(tag_probs={"labels": ["a", "b"]}), "s: facets.tag_probs: the name is taken"),
        (facets(extra_json={"labels": ["a", "b"]}), "s: facets.extra_json: the name is taken"),
        (tags(said="rest"), "s: tags.said: want 'fallback' or a mapping"),
        (tags(said={}), "s: tags.said: want 'fallback' or a mapping"),
        (tags(said={"mood": "a"}), "s: tags.said: there is no facet 'mood'"),
        (tags(said={"source": []}), "s: tags.said: facet 'source': want a label"),
        (tags(said={"source": "none"}), 's: tags.said: label "none" is not one of the labels'),
        (tags(said={"allegation": "true"}), 's: tags.said: label "true" is not one of the labels'),
        (tags(a="fallback", b="fallback"), "s: tags: only one tag can be the fallback"),
        ({**tags(), "stance": "favor"}, "s: stance: want a list of names"),
        ({**tags(), "stance": ["a", "a"]}, "s: stance: want different names"),
        ({**tags(), "spans": [{}]}, "s: spans: want different names"),
    ],
)
def test_errors_name_the_entry(data: object, message: str) -> None:
    with pytest.raises(StanceError) as caught:
        Schema.from_dict(data, where="s")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("schema.json", b'{"facets": ', "not a schema: "),
        ("schema.yaml", b"facets: [", "not a schema: "),
        ("schema.yaml", b"caf\xe9: 1", "not a schema: "),
        ("schema.yaml", b"", "want a mapping with 'facets' and 'tags'"),
        ("schema.yaml", json.dumps(tags(a="b")).encode(), "tags.a: want 'fallback'"),
    ],
)
def test_errors_name_the_file(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(StanceError) as caught:
        Schema.load(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_a_schema_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StanceError, match=r"missing\.yaml: there is no such schema file"):
        Schema.load(tmp_path / "missing.yaml")
    with pytest.raises(StanceError, match="not a schema"):
        Schema.load(tmp_path)
