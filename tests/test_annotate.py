"""Articles go to Label Studio with the model's labels and come back with a person's."""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from stance import Tagger
from stance.annotate import add_arguments, most_uncertain, run, uncertainty
from stance.errors import RecordError, StanceError
from stance.label_studio import from_task, labelling_config, to_task, utf16_positions
from stance.readers import read_articles
from stance.records import Article
from stance.schema import DEFAULT, Schema

TEXT = (
    "The harbour office closed the north quay 🚢 on Friday.\n\n"
    "“Nobody had touched that crane 😀 since March,” said Ana Brod. She denied any neglect."
)
SCHEMA = Schema.from_dict(
    {
        "facets": {
            "mood": {"labels": ["glad", "sad"]},
            "topics": {"labels": ["weather", "mills"], "kind": "multi"},
            "allegation": {"labels": [False, True]},
        },
        "tags": {"sad_news": {"mood": "sad"}, "rest": "fallback"},
        "spans": ["cue"],
    }
)


def article(**fields: Any) -> Article:
    """An article with labels of the default schema, two targets and two emoji."""
    crane, denial = TEXT.index("“Nobody"), TEXT.index("She denied")
    said, ana = TEXT.index("said"), TEXT.index("Ana Brod")
    stance = [
        {"target": 0, "label": "neutral", "score": 0.6},
        {"target": 1, "label": "against", "score": 0.9},
    ]

    def labels(source: str, score: float, allegation: bool) -> dict[str, Any]:
        return {
            "source": {"label": source, "score": score},
            "allegation": {"label": allegation, "score": 0.75},
            "stance": stance,
            "tags": ["official_statement"] if source == "official" else ["background"],
        }

    record = {
        "id": "crane",
        "title": "Crane falls",
        "text": TEXT,
        "desk": {"n": 3},
        "targets": ["the harbour office", {"kind": "claim", "text": "There was neglect."}],
        "sentences": [
            {"start": 0, "end": TEXT.index("\n"), **labels("narrator", 0.9, False)},
            {
                "start": crane,
                "end": denial - 1,
                **labels("official", 0.5, False),
                "speaker": "Ana Brod",
                "spans": {
                    "source": [[ana, ana + 8]],
                    "cue": [[said, said + 4]],
                    "content": [[crane, said - 1]],
                },
            },
            {"start": denial, "end": len(TEXT), **labels("official", 0.8, False)},
        ],
        "model": "tiny 0.1",
        **fields,
    }
    return Article.from_dict(record)


def done(task: dict[str, Any], *, by: Any = 1, **fields: Any) -> dict[str, Any]:
    """The task as Label Studio exports it once somebody has submitted its prediction."""
    task = copy.deepcopy(task)
    (prediction,) = task["predictions"]
    annotation = {
        "id": 9,
        "completed_by": by,
        "was_cancelled": False,
        "ground_truth": False,
        "result": copy.deepcopy(prediction["result"]),
        **fields,
    }
    return {"id": 4, "annotations": [annotation], "drafts": [], "meta": {}, **task}


def results(task: dict[str, Any]) -> list[dict[str, Any]]:
    return task["annotations"][0]["result"]


def find(task: dict[str, Any], key: str, name: str) -> dict[str, Any]:
    """The result of a control for a region."""
    (row,) = [r for r in results(task) if r["id"] == key and r["from_name"] == name]
    return row


def command(*words: str) -> int:
    parser = argparse.ArgumentParser(prog="stance annotate")
    add_arguments(parser)
    return run(parser.parse_args(words))


# What Label Studio itself says of tasks and config


@pytest.fixture(scope="module")
def interface() -> Any:
    """Label Studio's own reader of labelling configs."""
    return pytest.importorskip("label_studio_sdk.label_interface").LabelInterface


def assert_valid(interface: Any, schema: Schema, targets: int, tasks: list[dict[str, Any]]) -> None:
    config = interface(labelling_config(schema, targets))
    config.validate()
    for task in tasks:
        assert config.validate_task({"data": task["data"]})
        for prediction in task["predictions"]:
            assert config.validate_prediction(prediction, return_errors=True) == []
    assert config.generate_sample_task()


def test_tasks_are_valid_for_label_studio(interface: Any):
    assert_valid(interface, DEFAULT, 2, [to_task(article(), DEFAULT, 2, score=0.4)])


def test_tasks_of_other_schemas_are_valid(interface: Any):
    record = {
        "text": "Rain stopped the mill.",
        "sentences": [
            {"start": 0, "end": 22, "mood": "sad", "topics": ["weather", "mills"], "spans": {}}
        ],
    }
    task = to_task(Article.from_dict(record), SCHEMA, 0)
    assert_valid(interface, SCHEMA, 0, [task])
    assert from_task(done(task), SCHEMA) == Article.from_dict(record)


def test_label_studio_rejects_what_is_wrong(interface: Any):
    """The check above would see a mistake."""
    task = to_task(article(), DEFAULT, 2)
    task["predictions"][0]["result"][1]["value"]["choices"] = ["nobody"]
    config = interface(labelling_config(DEFAULT, 2))
    assert config.validate_prediction(task["predictions"][0], return_errors=True)


def test_the_config_follows_the_schema():
    config = ElementTree.fromstring(labelling_config(DEFAULT, 2))
    controls = {
        node.get("name"): [choice.get("value") for choice in node]
        for node in config.iter("Choices")
    }
    assert controls == {
        "source": ["official", "other", "narrator"],
        "allegation": ["false", "true"],
        "stance_1": ["favor", "against", "neutral"],
        "stance_2": ["favor", "against", "neutral"],
    }
    labels = [label.get("value") for label in config.iter("Label")]
    assert labels == ["sentence", "source", "cue", "content"]
    kinds = {
        node.get("name"): node.get("choice")
        for node in ElementTree.fromstring(labelling_config(SCHEMA, 0)).iter("Choices")
    }
    assert kinds == {"mood": "single-radio", "topics": "multiple", "allegation": "single-radio"}


def test_names_that_the_config_needs_are_told():
    data = {"facets": {"region": {"labels": ["north", "south"]}}, "tags": {}}
    with pytest.raises(StanceError, match="facet 'region': the labelling config has a control"):
        labelling_config(Schema.from_dict(data), 0)


# Offsets


def test_offsets_are_code_points_as_in_label_studio():
    task = to_task(article(), DEFAULT, 2)
    for row in task["predictions"][0]["result"]:
        value = row["value"]
        if row["type"] == "labels":
            assert TEXT[value["start"] : value["end"]] == value["text"]


def test_utf16_offsets_are_those_of_a_browser():
    task = done(to_task(article(), DEFAULT, 2, utf16=True))
    units = TEXT.encode("utf-16-le")
    for row in results(task):
        value = row["value"]
        if row["type"] == "labels":
            piece = units[2 * value["start"] : 2 * value["end"]]
            assert piece.decode("utf-16-le") == value["text"]
    assert results(task)[0]["value"]["end"] == TEXT.index("\n") + 1  # 🚢 is two units
    assert from_task(task, DEFAULT) == article()
    assert utf16_positions("a🚢b") == [0, 1, 3, 4]


# The way back


@pytest.mark.parametrize("utf16", [False, True])
def test_what_was_not_changed_comes_back_as_it_was(utf16: bool):
    assert from_task(done(to_task(article(), DEFAULT, 5, utf16=utf16)), DEFAULT) == article()


def test_a_record_without_labels_comes_back_as_it_was():
    bare = Article.from_dict(
        {"text": TEXT, "targets": ["x"], "sentences": [{"start": 0, "end": 10}]}
    )
    assert from_task(done(to_task(bare, DEFAULT, 1)), DEFAULT) == bare


def test_corrections_replace_labels_and_their_scores():
    task = done(to_task(article(), DEFAULT, 2))
    find(task, "s0", "source")["value"]["choices"] = ["official"]
    find(task, "s1", "stance_2")["value"]["choices"] = ["favor"]
    results(task).remove(find(task, "s2", "stance_1"))
    find(task, "s1", "speaker")["value"]["text"] = [" A. Brod "]
    record = from_task(task, DEFAULT).to_dict()
    first, second, third = record["sentences"]
    assert first["source"] == "official"
    assert first["allegation"] == {"label": False, "score": 0.75}
    assert first["tags"] == ["official_statement"]
    assert second["stance"] == [
        {"target": 0, "label": "neutral", "score": 0.6},
        {"target": 1, "label": "favor", "score": None},
    ]
    assert second["speaker"] == "A. Brod"
    assert [row["target"] for row in third["stance"]] == [1]
    assert record["desk"] == {"n": 3}
    assert Article.from_dict(record).to_dict() == record


def test_sentences_can_be_cut_joined_and_spans_moved():
    task = done(to_task(article(), DEFAULT, 2))
    second, third = find(task, "s1", "region"), find(task, "s2", "region")
    end = third["value"]["end"]
    task["annotations"][0]["result"] = [row for row in results(task) if row["id"] != "s2"]
    for row in results(task):
        if row["id"] == "s1":
            row["value"]["end"] = end
            if isinstance(row["value"]["text"], str):
                row["value"]["text"] = TEXT[second["value"]["start"] : end]
    new = TEXT.index("Nobody")
    value = {"start": new, "end": new + 6, "text": "Nobody", "labels": ["source"]}
    results(task).append(
        {"id": "x1", "from_name": "region", "to_name": "text", "type": "labels", "value": value}
    )
    results(task).remove(find(task, "s1-cue-0", "region"))
    first, joined = from_task(task, DEFAULT).sentences or ()
    assert joined.text.endswith("She denied any neglect.")
    assert joined.facets["source"].label == "official"
    assert joined.facets["source"].score is None
    spans = {track: [TEXT[a:b] for a, b in found] for track, found in (joined.spans or {}).items()}
    assert spans == {
        "source": ["Nobody", "Ana Brod"],
        "cue": [],
        "content": ["“Nobody had touched that crane 😀 since March,”"],
    }
    assert first.spans is None


def test_a_span_over_two_sentences_is_cut_in_two():
    task = done(to_task(article(), DEFAULT, 2))
    row = find(task, "s1-content-0", "region")
    row["value"] |= {"end": len(TEXT), "text": TEXT[row["value"]["start"] :]}
    _, second, third = from_task(task, DEFAULT).sentences or ()
    assert (second.spans or {})["content"] == ((second.start, second.end),)
    assert (third.spans or {})["content"] == ((third.start, third.end),)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t.pop("data"), 'want a task with "data": export in the form "JSON"'),
        (lambda t: t["data"].pop("text"), "data.text: want a string, found null"),
        (lambda t: t.update(annotations=[]), "annotations: nobody has annotated the task"),
        (
            lambda t: t["annotations"][0].update(was_cancelled=True),
            "annotations: the task was skipped by its annotator",
        ),
        (
            lambda t: find(t, "s0", "source")["value"].update(choices=["police"]),
            "annotations[0].result: source: police is none of official, other, narrator",
        ),
        (
            lambda t: find(t, "s0", "source")["value"].update(choices=["official", "other"]),
            "annotations[0].result: source: official, other are more than one of official",
        ),
        (
            lambda t: find(t, "s0", "source").update(from_name="mood"),
            "annotations[0].result[1].from_name: the schema has nothing for the control 'mood'",
        ),
        (
            lambda t: find(t, "s0", "stance_2").update(from_name="stance_3"),
            "annotations[0].result[4].from_name: stance_3: the article has 2 targets",
        ),
        (
            lambda t: find(t, "s0", "region")["value"].update(labels=["person"]),
            "annotations[0].result[0].value.labels: 'person' is none of sentence, source, cue",
        ),
        (
            lambda t: find(t, "s0", "region")["value"].update(end="9"),
            "annotations[0].result: the region 'The harbour office",
        ),
        (
            lambda t: t["data"].update(text=TEXT.replace("quay", "northern quay")),
            "data.sentences[0].text: is not the article's text from 0 to 53",
        ),
        (
            lambda t: results(t).remove(find(t, "s1", "region")),
            "annotations[0].result: labels of a sentence on a region that is none ('“Nobody",
        ),
        (
            lambda t: [
                r["value"].update(end=60, text=TEXT[:60]) for r in results(t) if r["id"] == "s0"
            ],
            "annotations[0].result: two sentences overlap: 'The harbour office",
        ),
        (
            lambda t: results(t).append({"type": "relation", "from_id": "s0", "to_id": "s1"}),
            "annotations[0].result[19]: a relation between regions has no place in a record",
        ),
        (
            lambda t: t["data"]["record"]["sentences"][0].update(start=-1),
            "data.sentences[0]: [-1, 53] is not a span",
        ),
    ],
)
def test_wrong_exports_are_told(change: Callable[[dict[str, Any]], Any], reason: str):
    task = done(to_task(article(), DEFAULT, 2))
    change(task)
    with pytest.raises(RecordError) as error:
        from_task(task, DEFAULT)
    assert reason in str(error.value)


def test_of_several_annotators_one_has_to_be_named():
    task = done(to_task(article(), DEFAULT, 2), by={"id": 1, "email": "ana@example.org"})
    other = copy.deepcopy(task["annotations"][0]) | {"completed_by": 2}
    other["result"][1]["value"]["choices"] = ["other"]
    task["annotations"].append(other)
    with pytest.raises(RecordError, match=r"2 annotations, of 1, 2, ana@example\.org: say whose"):
        from_task(task, DEFAULT)
    assert from_task(task, DEFAULT, "ana@example.org") == article()
    (first, *_) = from_task(task, DEFAULT, "2").sentences or ()
    assert first.facets["source"].label == "other"
    with pytest.raises(RecordError, match="no annotation of 'ben'"):
        from_task(task, DEFAULT, "ben")
    other["ground_truth"] = True
    (first, *_) = from_task(task, DEFAULT).sentences or ()
    assert first.facets["source"].label == "other"


# The most uncertain first


def test_uncertainty_is_the_mean_of_what_is_left_to_certainty():
    one, two = ({"source": {"label": "other", "score": score}} for score in (0.9, 0.5))
    sentences = [{"start": 0, "end": 3, **one}, {"start": 4, "end": 7, **two}]
    text = "One two three"
    assert uncertainty(Article.from_dict({"text": text, "sentences": sentences})) == pytest.approx(
        (0.1 + 0.5) / 2
    )
    gold = [{"start": 0, "end": 3, "source": "other"}]
    assert uncertainty(Article.from_dict({"text": text, "sentences": gold})) == 0
    # More labels in a sentence do not make it count for more.
    stance = [{"target": 0, "label": "favor", "score": 0.7}]
    sentences[0] |= {"stance": stance}
    record = {"text": text, "targets": ["x"], "sentences": sentences}
    assert uncertainty(Article.from_dict(record)) == pytest.approx((0.2 + 0.5) / 2)


@pytest.mark.parametrize("limit", [None, 3])
def test_the_most_uncertain_come_first_and_ties_keep_their_order(limit: int | None):
    def scored(name: str, score: float) -> Article:
        sentence = {"start": 0, "end": 1, "source": {"label": "other", "score": score}}
        return Article.from_dict({"id": name, "text": "a", "sentences": [sentence]})

    given = [scored("a", 0.9), scored("b", 0.4), scored("c", 0.9), scored("d", 0.6)]
    chosen = most_uncertain(given, limit)
    assert [found.id for _, found in chosen] == ["b", "d", "a", "c"][: limit or 4]
    assert chosen[0][0] == pytest.approx(0.6)


# The commands, with a real model


@pytest.fixture
def articles(in_folder: Path) -> Path:
    path = in_folder / "articles.jsonl"
    rows = [
        {"id": "crane", "text": TEXT, "targets": ["the harbour office"], "desk": "north"},
        {"id": "rain", "text": "Rain fell. The mayor blamed the mill for it."},
        {"id": "nothing", "text": "  "},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_export_and_import(tiny_model: Path, articles: Path, capsys: pytest.CaptureFixture[str]):
    options = ["--target", "Ana Brod", "--claim", "The mill is to blame."]
    status = command(
        "export", str(articles), "--model", str(tiny_model), "--output", "tasks.json", *options
    )
    said = capsys.readouterr().out
    assert status == 0
    assert "tasks.json: 2 tasks of 3 articles, 1 articles without a sentence left out" in said
    assert "tasks.xml: the labelling config, for up to 3 targets" in said
    tasks = json.loads(Path("tasks.json").read_text(encoding="utf-8"))
    tagger = Tagger.from_pretrained(tiny_model)
    assert Path("tasks.xml").read_text(encoding="utf-8") == labelling_config(tagger.schema, 3)
    scores = [task["predictions"][0]["score"] for task in tasks]
    assert scores == sorted(scores)
    assert tasks[0]["data"]["target_1"]
    claims = {task["data"][f"target_{n}"] for task in tasks for n in (1, 2, 3)}
    assert {"the claim “The mill is to blame.”", "–"} <= claims

    # Nothing changed: the same records as the model gave.
    Path("export.json").write_text(json.dumps([done(task) for task in tasks]), encoding="utf-8")
    status = command(
        "import", "export.json", "--output", "records.jsonl", "--model", str(tiny_model)
    )
    assert status == 0
    targets = ["Ana Brod", {"kind": "claim", "text": "The mill is to blame."}]
    tagged = {
        found.id: found.to_dict(probs=False)
        for found in tagger.tag_many(read_articles(articles), targets)
    }
    back = [found.to_dict() for found in read_articles("records.jsonl")]
    assert len(back) == 2
    for record in back:
        assert record == tagged[record["id"]]


def test_exported_tasks_are_valid_for_label_studio(
    interface: Any, tiny_model: Path, articles: Path
):
    words = ["--model", str(tiny_model), "--output", "tasks.json", "--target", "Ana Brod"]
    command("export", str(articles), *words)
    tasks = json.loads(Path("tasks.json").read_text(encoding="utf-8"))
    assert len(tasks) == 2
    assert_valid(interface, Tagger.from_pretrained(tiny_model).schema, 2, tasks)


def test_limit_takes_the_most_uncertain(tiny_model: Path, articles: Path):
    words = ["export", str(articles), "--model", str(tiny_model), "--output"]
    command(*words, "all.json")
    command(*words, "one.json", "--limit", "1", "--utf16")
    every = json.loads(Path("all.json").read_text(encoding="utf-8"))
    (first,) = json.loads(Path("one.json").read_text(encoding="utf-8"))
    assert first["data"]["record"]["id"] == every[0]["data"]["record"]["id"]


def test_import_goes_on_after_a_task_that_is_wrong(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
):
    task = done(to_task(article(), DEFAULT, 2))
    tasks = [{**task, "annotations": []}, task]
    Path("export.json").write_text(json.dumps(tasks), encoding="utf-8")
    assert command("import", "export.json", "--output", "records.jsonl") == 1
    captured = capsys.readouterr()
    assert "export.json: [0].annotations: nobody has annotated the task" in captured.err
    assert "records.jsonl: 1 articles, 1 tasks left out" in captured.out
    assert list(read_articles("records.jsonl")) == [article()]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("id,text\n1,x\n", "export.json: not JSON"),
        (
            '{"text": "x"}',
            'export.json: not a list of tasks: export the project in the form "JSON"',
        ),
        ('[{"text": "x", "source": "other"}]', 'export.json: [0]: want a task with "data"'),
    ],
)
def test_files_that_are_no_export_are_told(
    in_folder: Path, capsys: pytest.CaptureFixture[str], content: str, reason: str
):
    Path("export.json").write_text(content, encoding="utf-8")
    with pytest.raises(StanceError, match="nothing was written"):
        command("import", "export.json", "--output", "records.jsonl")
    assert reason in capsys.readouterr().err
    assert not Path("records.jsonl").exists()


def test_config_of_a_schema(in_folder: Path, capsys: pytest.CaptureFixture[str]):
    Path("mine.json").write_text(json.dumps(SCHEMA.to_dict()), encoding="utf-8")
    assert command("config", "--schema", "mine.json", "--targets", "1") == 0
    assert capsys.readouterr().out == labelling_config(SCHEMA, 1)
    command("config", "--output", "default.xml")
    assert Path("default.xml").read_text(encoding="utf-8") == labelling_config(DEFAULT, 3)
