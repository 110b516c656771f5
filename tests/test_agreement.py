"""Two files of labels of the same articles: alpha, scores, disagreements, what does not match."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stance.agreement import (
    Judgement,
    Unmatched,
    add_arguments,
    figures,
    join,
    judgements,
    nominal_alpha,
    read_labels,
    run,
)
from stance.errors import RecordError, StanceError
from stance.schema import Schema

TEXT = "Rain fell. The mayor blamed the mill. The mill denied it."
SPANS = [(0, 10), (11, 37), (38, 57)]
MILL = {"kind": "entity", "text": "the mill"}
SPILL = {"kind": "claim", "text": "The mill poisoned the brook."}


def article(
    id: str,
    source: Sequence[str] = ("narrator", "official", "official"),
    allegation: Sequence[bool] = (False, True, False),
    mill: Sequence[str] = ("neutral", "against", "favor"),
    speaker: Sequence[str | None] = (None, "mayor", "mill"),
    **fields: Any,
) -> dict[str, Any]:
    """A stand-off record of three labelled sentences; `fields` replace or add fields of it."""
    labels = zip(SPANS, source, allegation, mill, speaker, strict=True)
    sentences = [
        {"start": a, "end": b, "source": s, "allegation": alleged, "stance": [m], "speaker": name}
        for (a, b), s, alleged, m, name in labels
    ]
    return {"id": id, "targets": [MILL], "sentences": sentences, **fields}


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def compare(folder: Path, a: Sequence[dict[str, Any]], b: Sequence[dict[str, Any]]) -> Any:
    """The two lists of records, written to files, read and joined."""
    return join(
        read_labels(write(folder / "a.jsonl", a)), read_labels(write(folder / "b.jsonl", b))
    )


def command(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args(words))


# Krippendorff's own examples


@pytest.mark.parametrize(
    ("observers", "alpha"),
    [
        # Binary data, two observers, no missing data (his section A).
        (["0100000010", "1110010000"], 0.095),
        # Nominal data, two observers, no missing data (B).
        (["aabbdcccedda", "babbbccceddd"], 0.692),
        # Any number of observers, missing data (C and D).
        (["123321412...", "1233224125.3", ".3332342251.", "12332441251."], 0.743),
    ],
)
def test_alpha_is_that_of_krippendorffs_examples(observers, alpha):
    """K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011)."""
    units = [[value for value in unit if value != "."] for unit in zip(*observers, strict=True)]
    assert nominal_alpha(units) == pytest.approx(alpha, abs=0.0005)


def test_alpha_needs_pairs_of_values_that_vary():
    assert nominal_alpha([]) is None
    assert nominal_alpha([["a"], ["b"]]) is None
    assert nominal_alpha([["a", "a"], ["a", "a"]]) is None
    assert nominal_alpha([["a", "a"], [True, True]]) == 1
    assert nominal_alpha([["a", "b"], ["b", "a"]]) < 0


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=4), max_size=12), st.randoms())
def test_alpha_asks_neither_for_the_order_of_units_nor_for_that_of_observers(units, random):
    alpha = nominal_alpha(units)
    shuffled = [random.sample(unit, len(unit)) for unit in random.sample(units, len(units))]
    assert nominal_alpha(shuffled) == pytest.approx(alpha)
    assert alpha is None or alpha <= 1


# Two files


def test_figures_of_two_annotators(tmp_path):
    a = [article("a1"), article("a2")]
    b = [article("a1"), article("a2", source=["narrator", "other", "official"])]
    found = figures(compare(tmp_path, a, b))
    assert (found["articles"], found["sentences"]) == (2, 6)
    assert list(found["fields"]) == ["source", "allegation", "stance", "speaker"]
    assert found["fields"]["source"]["equal"] == pytest.approx(5 / 6)
    assert 0 < found["fields"]["source"]["alpha"] < 1
    assert found["fields"]["stance"] == {"units": 6, "equal": 1.0, "only_one": 0, "alpha": 1.0}
    assert found["fields"]["speaker"] == {"units": 4, "equal": 1.0, "only_one": 0}
    assert found["scores"]["favor_against_f1"] == 1
    assert found["scores"]["tags_macro_f1"] < 1


def test_scores_are_the_same_in_both_directions(tmp_path):
    a = [article("a1"), article("a2")]
    b = [article("a1", mill=["favor", "against", "neutral"]), article("a2")]
    assert figures(compare(tmp_path, a, b))["scores"] == figures(compare(tmp_path, b, a))["scores"]


def test_disagreements_name_sentence_field_and_both_labels(tmp_path):
    a = [article("a1", text=TEXT)]
    b = [
        article("a1", mill=["neutral", "neutral", "favor"], speaker=[None, "mayor", "mill's owner"])
    ]
    different = [row for row in judgements(compare(tmp_path, a, b)) if row.a != row.b]
    assert different == [
        Judgement("a1", 1, 11, 37, "stance", "the mill", "against", "neutral", TEXT[11:37]),
        Judgement("a1", 2, 38, 57, "speaker", None, "mill", "mill's owner", TEXT[38:57]),
    ]


def test_a_model_output_can_be_compared_with_plain_labels(tmp_path):
    tagged = article("a1", text=TEXT)
    for sentence in tagged["sentences"]:
        sentence["text"] = TEXT[sentence["start"] : sentence["end"]]
        sentence["source"] = {"label": sentence["source"], "score": 0.75}
        sentence["stance"] = [{"target": 0, "label": sentence["stance"][0], "score": 0.5}]
    found = figures(compare(tmp_path, [tagged], [article("a1")]))
    assert {row["equal"] for row in found["fields"].values()} == {1}


def test_targets_are_joined_by_what_they_are_and_not_by_their_place(tmp_path):
    a = article("a1", targets=[MILL, SPILL])
    b = article("a1", targets=[SPILL, MILL])
    for one, two in zip(a["sentences"], b["sentences"], strict=True):
        one["stance"], two["stance"] = [*one["stance"], "neutral"], ["neutral", *two["stance"]]
    joined = compare(tmp_path, [a], [b])
    assert not joined.unmatched
    assert figures(joined)["fields"]["stance"]["equal"] == 1


def test_labels_in_one_file_alone_are_counted_and_compared_with_nothing(tmp_path):
    bare = article("a1")
    for sentence in bare["sentences"]:
        del sentence["stance"]
    fields = figures(compare(tmp_path, [article("a1")], [bare]))["fields"]
    assert fields["stance"] == {"units": 0, "equal": None, "only_one": 3, "alpha": None}
    assert fields["source"]["only_one"] == 0


def test_what_only_one_file_has_is_accounted_for(tmp_path):
    shorter = article("a2", targets=[SPILL])
    shorter["sentences"][2]["end"] = 56
    a = [article("a1", text=TEXT), article("a2"), article("a3"), article("a4", text=TEXT)]
    b = [article("a1"), shorter, article("a4", text=TEXT + "!"), article("a5")]
    joined = compare(tmp_path, a, b)
    assert joined.unmatched == (
        Unmatched("a2", "target", "a", target="the mill"),
        Unmatched("a2", "target", "b", target="The mill poisoned the brook."),
        Unmatched("a2", "sentence", "a", 38, 57),
        Unmatched("a2", "sentence", "b", 38, 56),
        Unmatched("a3", "article", "a"),
        Unmatched("a4", "text", "both"),
        Unmatched("a5", "article", "b"),
    )
    assert joined.numbers == ((0, 1, 2), (0, 1))
    assert figures(joined)["fields"]["stance"]["units"] == 3


def test_facets_of_ones_own_need_no_schema_but_for_the_scores(tmp_path):
    def row(mood: str, topics: list[str]) -> dict[str, Any]:
        return {"id": "a1", "sentences": [{"start": 0, "end": 9, "mood": mood, "topics": topics}]}

    joined = compare(tmp_path, [row("glad", ["mills", "rain"])], [row("sad", ["rain", "mills"])])
    found = figures(joined)
    assert found["fields"]["mood"]["equal"] == 0
    assert found["fields"]["topics"]["equal"] == 1
    assert found["no_scores"] == "the schema has none of the labels that are in both files"
    moods = Schema.from_dict(
        {"facets": {"mood": {"labels": ["glad", "sad"]}}, "tags": {"rest": "fallback"}}
    )
    assert figures(joined, moods)["scores"]["mood_macro_f1"] == 0


# The command


def test_the_command_prints_figures_disagreements_and_what_does_not_match(tmp_path, capsys):
    a = write(tmp_path / "a.jsonl", [article("a1", text=TEXT), article("a2")])
    b = write(tmp_path / "b.jsonl", [article("a1", allegation=[False, False, False])])
    assert command(str(a), str(b)) == 0
    printed = capsys.readouterr().out
    assert "not compared: 1 articles only in A: a2" in printed
    assert "1 articles, 3 sentences in both" in printed
    assert "allegation                 0.000     66.7%         3             0" in printed
    assert "favor_against_f1           100.0" in printed
    assert "1 labels differ, in 1 sentences" in printed
    assert 'a1 sentence 1 allegation: true | false\n    "The mayor blamed the mill."' in printed


def test_the_output_file_has_all_differences_and_the_screen_the_first(tmp_path, capsys):
    a = write(tmp_path / "a.jsonl", [article("a1"), article("a2")])
    b = write(tmp_path / "b.jsonl", [article("a1", mill=["favor"] * 3), article("a3")])
    output = tmp_path / "out.jsonl"
    assert command(str(a), str(b), "--show", "1", "--output", str(output)) == 0
    printed = capsys.readouterr().out
    assert "sentence 0 stance" in printed
    assert "sentence 1 stance" not in printed
    assert "and 1 more" in printed
    rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [(row["id"], row["field"]) for row in rows] == [
        ("a1", "stance"),
        ("a1", "stance"),
        ("a2", "article"),
        ("a3", "article"),
    ]
    assert (rows[0]["a"], rows[0]["b"], rows[0]["target"]) == ("neutral", "favor", "the mill")
    assert (rows[2]["file"], rows[3]["file"]) == ("A", "B")


def test_labels_that_the_schema_lacks_cost_the_scores_alone(tmp_path, capsys):
    rows = [article("a1", source=["press", "press", "crowd"])]
    path = str(write(tmp_path / "a.jsonl", rows))
    assert command(path, path) == 0
    printed = capsys.readouterr().out
    assert "source                     1.000" in printed
    assert "no scores of A against B: A: article a1: sentences[0].source: " in printed


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": TEXT}, "id: the field is missing, and articles are joined by it"),
        ({"id": "a1"}, "sentences: there is neither a text nor a list of sentences"),
        ({"id": "a1", "sentences": [{"start": 4, "end": 2}]}, "is not a span of a text"),
        ({"id": "a1", "sentences": [{"start": 0, "end": 10**12}]}, "no text is so long"),
        ({"id": "a1", "sentences": [{"start": 0}]}, "sentences[0].end: the field is missing"),
        ({"id": "a1", "sentences": ["all"]}, "sentences[0]: want an object, found a string"),
        (article("a1", targets=[]), "1 labels for 0 targets"),
    ],
)
def test_a_broken_record_is_named_with_file_line_field_and_reason(tmp_path, row, reason):
    path = write(tmp_path / "a.jsonl", [article("a0"), row])
    with pytest.raises(RecordError) as error:
        read_labels(path)
    assert f"{path}:2" in str(error.value)
    assert reason in str(error.value)


def test_an_id_twice_in_a_file_is_refused(tmp_path):
    path = write(tmp_path / "a.jsonl", [article("a1"), article("a1")])
    with pytest.raises(RecordError, match=r"a\.jsonl:2: id: 'a1' stands in the file twice"):
        read_labels(path)


def test_files_with_nothing_in_common_are_refused(tmp_path):
    with pytest.raises(StanceError, match=r"no sentence in common \(1 and 1 articles, of which 0"):
        compare(tmp_path, [article("a1")], [article("a2")])


def test_an_output_that_cannot_be_written_is_one_sentence(tmp_path):
    path = str(write(tmp_path / "a.jsonl", [article("a1")]))
    with pytest.raises(StanceError, match="cannot be written: Is a directory"):
        command(path, path, "--output", str(tmp_path))
