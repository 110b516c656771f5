"""Further targets: added to the right texts alone, with the labels that their file gives."""

from __future__ import annotations

import json

import pytest

from stance.errors import StanceError
from stance.further_targets import add_further_targets, further_targets_file
from stance.records import Article
from stance.resources import bundled
from stance.standoff import read_annotations, sha256

TEXT = "Ora Min praised the dam. Engineers said that it leaks. It rained."
SPANS = [(0, 24), (25, 54), (55, 65)]


def article(text: str = TEXT) -> Article:
    stances = [["favor"], ["against"], ["neutral"]]
    return Article.from_dict(
        {
            "id": "dam",
            "text": text,
            "targets": [{"kind": "claim", "text": "The dam is sound."}],
            "sentences": [
                {"start": start, "end": end, "stance": stance}
                for (start, end), stance in zip(SPANS, stances, strict=True)
            ],
        }
    )


def write(path, *targets, **changes):
    row = {"id": "dam", "sha256": sha256(TEXT), "sentences": 3, "targets": list(targets)}
    path.write_text(json.dumps(row | changes) + "\n", encoding="utf-8")
    return path


def stances(labelled: Article, target: int) -> list[str]:
    found = [s.stance_toward(target) for s in labelled.sentences or ()]
    return [stance.label for stance in found if stance]


def test_they_stand_after_the_articles_own(tmp_path):
    path = write(
        tmp_path / "targets.jsonl",
        {"text": "Ora Min", "favor": [], "against": [1]},
        {"text": ["Union of ", [25, 34]], "favor": [1], "against": [0]},
    )
    (labelled,) = add_further_targets([article()], path)
    assert [target.text for target in labelled.targets] == [
        "The dam is sound.",
        "Ora Min",
        "Union of Engineers",
    ]
    assert stances(labelled, 0) == ["favor", "against", "neutral"]
    assert stances(labelled, 1) == ["neutral", "against", "neutral"]
    assert stances(labelled, 2) == ["against", "favor", "neutral"]


def test_articles_that_are_not_named_stay_as_they_are(tmp_path):
    path = write(tmp_path / "t.jsonl", id="another")
    assert add_further_targets([article()], path) == [article()]


@pytest.mark.parametrize(
    ("targets", "changes", "message"),
    [
        ([], {"sha256": "0" * 64}, "not the text that was labelled"),
        ([], {"sentences": 4}, "not the text that was labelled"),
        ([{"text": "A", "favor": [3], "against": []}], {}, "no sentence has number 3"),
        ([{"text": "A", "favor": []}], {}, "against"),
    ],
)
def test_what_does_not_fit_is_refused_by_file_and_line(tmp_path, targets, changes, message):
    path = write(tmp_path / "t.jsonl", *targets, **changes)
    with pytest.raises(StanceError, match=rf"t\.jsonl:1.*{message}"):
        add_further_targets([article()], path)


def test_a_corpus_without_them_is_named():
    with pytest.raises(StanceError, match="'starter' has none"):
        further_targets_file("starter")


@pytest.mark.parametrize("corpus", ["fakes", "polnear", "bbc", "basil"])
def test_the_bundled_ones_belong_to_labelled_training_articles(corpus):
    folder = bundled("data/annotations")
    known = {a.id: a for a in read_annotations(folder / f"{corpus}.train.jsonl")}
    lines = further_targets_file(corpus).read_text(encoding="utf-8").splitlines()
    assert lines
    for line in lines:
        row = json.loads(line)
        own = known[row["id"]]
        assert row["sha256"] == own.sha256
        assert row["sentences"] == len(own.sentences)
        for target in row["targets"]:
            assert set(target["favor"]).isdisjoint(target["against"])
            assert target["favor"] or target["against"]
            assert max([*target["favor"], *target["against"]]) < len(own.sentences)
