"""Soft labels without text: there and back, what does not fit, and the bundled files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stance.errors import RecordError, StanceError
from stance.records import Article, Label, Sentence, Stance, Target
from stance.resources import bundled
from stance.schema import DEFAULT, Facet, Schema
from stance.soft_labels import load_soft_labels
from stance.soft_standoff import SUFFIX, join_standoff, write_standoff
from stance.standoff import read_annotations

TEXT = "Ora Min said the dam was safe for now, whatever the council of the town may say. It rained."
SOURCE = {"official": 0.5, "other": 0.25, "narrator": 0.25}
ALLEGATION = {"false": 0.9994, "true": 0.0006}
FAVOR = {"favor": 0.625, "against": 0.125, "neutral": 0.25}


def article(*targets: Target, stances: int = 0) -> Article:
    """Sentences with the probabilities above, with stances toward the first targets."""
    labels = {
        "source": Label("official", 0.5, SOURCE),
        "allegation": Label(False, 0.9994, ALLEGATION),
    }
    stance = tuple(Stance(number, "favor", 0.625, FAVOR) for number in range(stances))
    spans = [(0, 80), (81, 91)]
    return Article(
        TEXT,
        id="dam",
        targets=targets,
        sentences=tuple(
            Sentence(start, end, TEXT[start:end], facets=labels, stance=stance)
            for start, end in spans
        ),
    )


OWN = (Target("Ora Min"), Target("The dam was safe", "claim"))
FURTHER = Target("said the dam was safe for now, whatever the council of the town may say")
"""A target in words of the text, which the file may not hold."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / f"files{SUFFIX}"
    write_standoff(path, [(article(*OWN), article(*OWN, FURTHER, stances=3))], DEFAULT)
    return path


def test_they_come_back_to_a_thousandth_and_hold_no_text(path: Path):
    written = path.read_text(encoding="utf-8")
    assert "dam was safe" not in written
    assert "rained" not in written
    other = replace(article(*OWN), id="another")
    joined, (soft, none) = join_standoff([article(*OWN), other], path, DEFAULT)
    assert none is None
    assert joined[0].targets == (*OWN, FURTHER)
    assert joined[0].sentences == article(*OWN).sentences
    assert joined[1] == other
    assert soft is not None
    wanted = [[*SOURCE.values(), 0.999, 0.001]] * 2
    np.testing.assert_allclose(soft.facets, wanted, atol=1e-6)
    np.testing.assert_allclose(soft.stance, [[list(FAVOR.values())] * 3] * 2, atol=1e-6)


def test_a_folder_may_hold_them(path: Path):
    _, soft = load_soft_labels(path.parent, {"files": [article(*OWN)]}, DEFAULT)
    assert soft["files"][0] is not None


def test_facets_that_the_file_does_not_have_have_none(path: Path):
    tone = Schema.from_dict({"facets": {"tone": {"labels": ["calm", "loud"]}}, "tags": {}})
    _, (soft,) = join_standoff([article(*OWN)], path, tone)
    assert soft is not None
    assert np.isnan(soft.facets).all()
    assert not np.isnan(soft.stance).any()


def test_each_label_of_a_multi_facet_has_its_own(tmp_path: Path):
    schema = Schema(facets=(Facet("topic", ("war", "money"), "multi"),), tags=())
    path = tmp_path / f"files{SUFFIX}"
    probs = {"war": 0.75, "money": 0.5}
    bare = article()
    tagged = replace(
        bare,
        sentences=tuple(
            replace(s, facets={"topic": Label(("war",), 0.75, probs)}) for s in bare.sentences or ()
        ),
    )
    write_standoff(path, [(bare, tagged)], schema)
    _, (soft,) = join_standoff([bare], path, schema)
    assert soft is not None
    np.testing.assert_allclose(soft.facets, [[0.75, 0.5]] * 2, atol=1e-6)


def changed(path: Path, **fields: Any) -> Path:
    first, second = path.read_text(encoding="utf-8").splitlines()
    row = json.dumps({**json.loads(second), **fields})
    path.write_text(f"{first}\n{row}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sha256": "0"}, "sha256: article dam is not the text that was labelled"),
        ({"layout": "0"}, "layout: article dam has other targets or sentences .* set corpus.furth"),
        ({"source": [[500, 250]]}, "not soft labels: "),
        ({"source": [[500, 250], [500, 2500]]}, "not soft labels: .*below 0 or above 1000"),
        ({"source": [[500], [250, 1]]}, "not soft labels: "),
        ({"stance": [[]]}, "not soft labels: "),
    ],
)
def test_a_line_that_does_not_fit_is_named(path: Path, fields, message):
    with pytest.raises(RecordError, match=rf"files{SUFFIX}:2: {message}"):
        join_standoff([article(*OWN)], changed(path, **fields), DEFAULT)


def test_other_targets_or_sentences_are_named(path: Path):
    for other in (article(*OWN[::-1]), article(*OWN, FURTHER), without_the_last(article(*OWN))):
        with pytest.raises(RecordError, match=r":2: layout: article dam has other targets or sent"):
            join_standoff([other], path, DEFAULT)


def without_the_last(article: Article) -> Article:
    return replace(article, sentences=(article.sentences or ())[:-1])


def test_articles_without_an_id_or_of_another_file(path: Path):
    nobody = replace(article(*OWN), id=None)
    with pytest.raises(StanceError, match=r"'Ora Min said the dam' has no id to be joined by"):
        write_standoff(path.with_name("other"), [(nobody, nobody)], DEFAULT)
    with pytest.raises(StanceError, match="no line is of an article that is trained on"):
        join_standoff([nobody], path, DEFAULT)


def test_a_teacher_without_stances_gives_none(tmp_path: Path):
    path = tmp_path / f"files{SUFFIX}"
    write_standoff(path, [(article(*OWN), article(*OWN))], DEFAULT)
    _, (soft,) = join_standoff([article(*OWN)], path, DEFAULT)
    assert soft is not None
    assert np.isnan(soft.stance).all()
    assert not np.isnan(soft.facets).any()


def test_labels_of_another_schema_are_named(path: Path):
    facets = {"source": {"labels": ["police", "other"]}}
    schema = Schema.from_dict({"facets": facets, "tags": {}})
    with pytest.raises(StanceError, match=r":1: soft labels of 'source' are of .*official"):
        join_standoff([article(*OWN)], path, schema)
    path.write_text('{"id": "dam"}\n', encoding="utf-8")
    with pytest.raises(StanceError, match=":1: the labels are not named"):
        join_standoff([article(*OWN)], path, DEFAULT)


@pytest.mark.parametrize("corpus", ["fakes", "polnear", "bbc", "basil"])
def test_the_bundled_ones_belong_to_labelled_training_articles(corpus: str):
    known = {
        annotation.id: annotation
        for annotation in read_annotations(bundled("data/annotations") / f"{corpus}.train.jsonl")
    }
    path = bundled("data/soft_labels") / f"{corpus}{SUFFIX}"
    first, *rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert list(first["labels"]) == ["source", "allegation", "stance"]
    assert len(rows) > 100
    for row in rows:
        own = known[row["id"]]
        count = len(own.sentences)
        assert row["sha256"] == own.sha256
        assert np.shape(row["source"]) == (count, 2)
        assert np.shape(row["allegation"]) == (count, 1)
        sentences, targets, columns = np.shape(row["stance"])
        assert (sentences, columns) == (count, 2)
        assert len(row["layout"]) == 16
        assert targets >= len(own.targets) + len(row["further"])
