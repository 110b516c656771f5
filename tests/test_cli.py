"""The command `stance tag` and the script, as somebody types them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY
from test_jobs import Untagged

from stance.cli import main
from stance.readers import read_articles

TEXT = "The council denied the claim. “It is a lie,” said Ana Brule. It rained all day."


def stance(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    return int(exit_.value.code or 0)


@pytest.fixture
def untagged(monkeypatch: pytest.MonkeyPatch) -> Untagged:
    """Stands in the place of every model."""
    tagger = Untagged()
    monkeypatch.setattr("stance.tagger.Tagger.from_pretrained", lambda *_, **__: tagger)
    return tagger


def test_jsonl_and_parquet(tiny_model: Path, in_folder: Path, capsys: pytest.CaptureFixture[str]):
    Path("a.txt").write_text(TEXT, encoding="utf-8")
    args = ("tag", "a.txt", "--model", tiny_model, "--target", "Ana Brule", "--claim", "It is wet.")
    assert stance(*args, "--output", "out.jsonl") == 0
    assert stance(*args, "--output", "out.parquet") == 0
    (one,) = read_articles("out.jsonl")
    (other,) = read_articles("out.parquet")
    assert one.id == "a"
    assert [target.kind for target in one.targets] == ["entity", "claim"]
    assert [s.tags for s in one.sentences or ()] == [s.tags for s in other.sentences or ()]
    assert all(s.facets["source"].probs is None for s in one.sentences or ())
    assert all(s.facets["source"].probs for s in other.sentences or ())
    assert capsys.readouterr().out == ""


def test_a_table_for_people(tiny_model: Path, in_folder: Path, capsys: pytest.CaptureFixture[str]):
    Path("a.txt").write_text(TEXT, encoding="utf-8")
    assert (
        stance("tag", "a.txt", "--model", tiny_model, "--target", "Ana Brule", "--format", "table")
        == 0
    )
    shown = capsys.readouterr().out
    assert "[1] Ana Brule" in shown
    assert "It rained" in shown


def test_a_filter_in_a_pipe(tiny_model: Path, tmp_path: Path):
    lines = [{"id": n, "text": TEXT, "note": "é"} for n in range(3)]
    given = "\n".join(json.dumps(line) for line in lines).encode()
    done = subprocess.run(
        [sys.executable, "-m", "stance", "tag", "-", "--model", str(tiny_model)],
        input=given,
        capture_output=True,
        cwd=tmp_path,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(r["id"], r["note"], len(r["sentences"])) for r in records] == [
        (str(n), "é", 3) for n in range(3)
    ]


def test_broken_records_are_told_and_the_rest_is_labelled(
    tiny_model: Path, in_folder: Path, capsys: pytest.CaptureFixture[str]
):
    Path("in.jsonl").write_bytes(
        b'{"id": "1", "text": "It rained."}\n{"id": "2", "text": "cut\n'
        b'{"id": "3"}\n\xff\n{"id": "4", "text": "It snowed.", "date": "1/2/2020"}\n'
        b'{"id": "5", "text": "It froze."}\n'
    )
    args = ("tag", "in.jsonl", "--model", tiny_model, "--output", "out.jsonl")
    assert stance(*args, "--rejects", "rejects.jsonl") == 1
    assert [article.id for article in read_articles("out.jsonl")] == ["1", "5"]
    told = capsys.readouterr().err
    for place in ("in.jsonl:2", "in.jsonl:3: text", "in.jsonl:4", "in.jsonl:5: date"):
        assert place in told
    rejects = [json.loads(line) for line in Path("rejects.jsonl").read_text().splitlines()]
    assert [reject["line"] for reject in rejects] == [2, 3, 4, 5]
    assert all(reject["reason"] and reject["raw"] for reject in rejects)


@pytest.mark.parametrize("options", [("--format", "table"), ("--output", "pages/")])
def test_rejects_are_written_beside_tables_and_pages(
    untagged: Untagged, in_folder: Path, capsys: pytest.CaptureFixture[str], options: list[str]
):
    Path("in.jsonl").write_text('{"id": "1", "text": "Rain."}\n{"id": "2"}\n')
    Path("more.jsonl").write_text('{"id": "1", "text": "It snowed."}\n')
    inputs = ("in.jsonl", "more.jsonl")
    format = () if "--format" in options else ("--format", "html")
    assert stance("tag", *inputs, *options, *format, "--rejects", "rejects.jsonl") == 1
    rows = [json.loads(line) for line in Path("rejects.jsonl").read_text().splitlines()]
    assert [(row["path"], row["line"], row["reason"]) for row in rows] == [
        ("in.jsonl", 2, "the field is missing"),
        ("more.jsonl", 1, "'1' is also the id of in.jsonl:1"),
    ]
    assert untagged.given == ["1"]
    assert "stance: 2 records were rejected" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "html", "--output", "in"], "in: the output is part of the input in"),
        (["--output", "in/a.html"], "in/a.html: the output is part of the input in"),
        (["--output", "in/a.jsonl"], "in/a.jsonl: the output is part of the input in"),
        (["--format", "table", "--rejects", "in/r.jsonl"], "in/r.jsonl: the output is part of the"),
        (["--format", "table", "--rejects", "/dev/full"], "/dev/full: cannot be written: No space"),
        (["--output", "a.html", "--rejects", "/dev/full"], "/dev/full: cannot be written: No sp"),
    ],
)
def test_what_is_refused_of_outputs_and_rejects(untagged, in_folder, capsys, options, message):
    Path("in").mkdir()
    Path("in/a.jsonl").write_text('{"id": "1", "text": "Rain."}\n{"id": "2"}\n')
    assert stance("tag", "in", *options) == 1
    told = capsys.readouterr().err
    assert f"stance: {message}" in told
    assert "Traceback" not in told
    assert [path.name for path in Path("in").iterdir()] == ["a.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.txt"], "missing.txt: there is no such file or folder"),
        (["empty"], "empty: no file in this folder"),
        (["a.doc"], "a.doc: want a file ending in"),
        (["empty.jsonl"], "empty.jsonl: the file is empty"),
        (["a.txt", "--format", "parquet"], "parquet needs a file"),
        (["a.txt", "--output", "out.xlsx"], "'xlsx' is not one of"),
        (["a.txt", "--output", "no/such/out.jsonl"], "no/such"),
    ],
)
def test_one_clear_sentence(tiny_model, in_folder, capsys, arguments, message):
    Path("empty").mkdir()
    Path("a.doc").write_text("x")
    Path("a.txt").write_text(TEXT)
    Path("empty.jsonl").write_text("")
    assert stance("tag", *arguments, "--model", tiny_model) == 1
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told


def test_the_script_labels_a_folder(tiny_model: Path, tmp_path: Path):
    (tmp_path / "in").mkdir()
    for name in ("b", "a"):
        (tmp_path / "in" / f"{name}.txt").write_text(TEXT)
    done = subprocess.run(
        [
            sys.executable,
            str(REPOSITORY / "scripts" / "tag.py"),
            f"model={tiny_model}",
            "input=in",
            "output=out/tagged.jsonl",
            "targets=[Ana Brule, {kind: claim, text: It rained}]",
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "2 articles, 6 sentences, 0 rejects" in done.stdout
    assert [a.id for a in read_articles(tmp_path / "out" / "tagged.jsonl")] == ["a", "b"]


def test_hydra_commands_tell_errors_in_one_sentence(tmp_path: Path):
    command = ["train", "corpus=files", "corpus.files.train=nowhere.csv", "output=out"]
    done = subprocess.run(
        [sys.executable, "-m", "stance", *command],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "stance: nowhere.csv: there is no such file" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_and_version(capsys: pytest.CaptureFixture[str]):
    assert stance("--version") == 0
    assert "stance-news" in capsys.readouterr().out
    assert stance("tag", "--help") == 0
    assert "--target" in capsys.readouterr().out
    assert isinstance(sys.stdout, io.TextIOBase)
