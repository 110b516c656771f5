"""Labelling an archive: whole parts, jobs that are taken up again, broken and strange records."""

from __future__ import annotations

import errno
import fcntl
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from conftest import REPOSITORY
from hydra import compose, initialize_config_dir

from stance import Article, StanceError
from stance.errors import MissingExtra
from stance.jobs import Counts, check_apart, open_rejects, read_inputs, tag_files
from stance.jobs.folder import locked
from stance.jobs.plan import make_plan
from stance.jobs.progress import Progress
from stance.jobs.run import _model as model_of_job
from stance.jobs.run import run
from stance.readers import SUFFIXES, read_articles
from stance.schema import DEFAULT
from stance.storage import File, list_files

ORDINARY = int(os.environ.get("STANCE_ORDINARY", "1000"))
"""Ordinary articles beside the broken and the strange ones."""


def article(number: int) -> dict[str, Any]:
    sentences = [f"The mayor of Kelm closed bridge {n} on day {number}." for n in range(number % 4)]
    return {"id": f"a{number}", "text": " ".join(sentences), "targets": ["Kelm"]}


def write_lines(path: Path, *lines: dict[str, Any] | bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    rows = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(rows) + b"\n")
    return path


@pytest.fixture
def archive(in_folder: Path) -> Path:
    """Forty articles in a folder of JSONL, CSV, Parquet and text files."""
    folder = in_folder / "archive"
    write_lines(folder / "a.jsonl", *(article(n) for n in range(20)))
    rows = [f"c{n},Rain fell {n} times.\n" for n in range(8)]
    (folder / "b.csv").write_text("id,text\n" + "".join(rows))
    table = pyarrow.table({"id": [f"p{n}" for n in range(8)], "text": ["The mayor left."] * 8})
    pyarrow.parquet.write_table(table, folder / "c.parquet", row_group_size=3)
    for n in range(4):
        (folder / f"d{n}.txt").write_text("“It is a lie,” said Ana Brule.")
    return folder


def label(model: Path, *overrides: str) -> Counts:
    """`stance run` with a part size that makes several parts of few articles."""
    with initialize_config_dir(str(REPOSITORY / "configs"), version_base="1.3"):
        settings = [f"model={model}", "output=out", "threads=1", "part_articles=9", *overrides]
        return run(compose("tag", overrides=settings))


def command(model: Path, *overrides: str) -> list[str]:
    settings = [f"model={model}", "output=out", "threads=1", "part_articles=9", *overrides]
    return [sys.executable, str(REPOSITORY / "scripts" / "tag.py"), *settings]


def parts(folder: Path | str = "out") -> list[Path]:
    return sorted(Path(folder).glob("part-*"))


def labelled(folder: Path | str = "out") -> list[Article]:
    return [article for path in parts(folder) for article in read_articles(path)]


def rejects(folder: Path | str = "out") -> list[dict[str, Any]]:
    paths = sorted(Path(folder).glob("rejects/part-*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


class Untagged:
    """Stands for a tagger: gives articles without sentences, and keeps the ids it was given."""

    schema = DEFAULT

    def __init__(self) -> None:
        self.given: list[str | None] = []

    def tag_many(self, articles: Iterable[Article], targets: Any = ()) -> Iterator[Article]:
        for article in articles:
            self.given.append(article.id)
            yield replace(article, sentences=())


@pytest.fixture
def two_files(in_folder: Path) -> Untagged:
    """Articles a0 and a1 in in/a.jsonl, a1 and a2 in in/b.jsonl, and what does not tag them."""
    write_lines(Path("in/a.jsonl"), article(0), article(1))
    write_lines(Path("in/b.jsonl"), article(1), article(2))
    return Untagged()


def rejected(path: Path | str = "rejects.jsonl") -> list[tuple[str, int, str, str]]:
    """Path, line, field and reason of every line of a rejects file."""
    rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
    return [(row["path"], row["line"], row["field"], row["reason"]) for row in rows]


@pytest.mark.parametrize(
    ("entry", "written"),
    [
        ("in", "in"),
        ("in", "in/out.jsonl"),
        ("in", "in/new/folder"),
        ("in", "other/../in/out.jsonl"),
        ("link", "in/out.jsonl"),
        (".", "out.parquet"),
        ("in/*.jsonl", "in/a.jsonl"),
        ("in/*.jsonl", "in/new.jsonl"),
        ("i?/*", "in/new"),
        ("in/**/*.jsonl", "in/a.jsonl"),
        ("in/**/*.jsonl", "in/new.jsonl"),
        ("in/**/*.jsonl", "in/2026/01/new.jsonl"),
        ("in/**", "in/2026/new.jsonl"),
    ],
)
def test_what_is_written_is_no_part_of_the_input(two_files: Untagged, entry: str, written: str):
    Path("link").symlink_to("in")
    with pytest.raises(StanceError) as caught:
        check_apart(["-", entry], None, Path(written))
    assert str(caught.value) == f"{written}: the output is part of the input {entry}"


@pytest.mark.parametrize(
    ("entry", "written"),
    [
        ("in/a.jsonl", "in/a.jsonl"),
        ("in/a.jsonl", "in/out.jsonl"),
        ("in", "in.jsonl"),
        ("in/*.jsonl", "in/out.parquet"),
        ("in/*.jsonl", "in/2026/out.jsonl"),
        ("in/**/*.jsonl", "out.jsonl"),
        ("-", "-"),
        ("s3://in/*.jsonl", "s3:/in/out.jsonl"),
        ("in", None),
        ("in", io.BytesIO()),
    ],
)
def test_what_is_written_beside_the_input(two_files: Untagged, entry: str, written: Any):
    check_apart([entry], written)


def test_a_file_with_brackets_in_its_name_is_no_pattern(two_files: Untagged):
    shutil.copy("in/a.jsonl", "in/x[1].jsonl")
    check_apart(["in/x[1].jsonl"], "in/x1.jsonl")
    with pytest.raises(StanceError, match="the output is part of the input"):
        check_apart(["in/y[1].jsonl"], "in/y1.jsonl")


def test_labels_and_rejects_are_two_files(two_files: Untagged):
    with pytest.raises(StanceError, match=r"^out.jsonl: labels and rejects cannot be one file$"):
        tag_files(two_files, ["in/a.jsonl"], "out.jsonl", rejects="out.jsonl")
    assert two_files.given == []
    assert not Path("out.jsonl").exists()


def test_a_file_takes_the_place_of_the_one_that_was_read(two_files: Untagged):
    counts = tag_files(two_files, ["in/a.jsonl"], "in/a.jsonl")
    assert counts == Counts(articles=2)
    assert [(a.id, a.sentences) for a in read_articles("in/a.jsonl")] == [("a0", ()), ("a1", ())]


@pytest.mark.parametrize("entry", ["in", "in/*.jsonl"])
def test_nothing_is_read_when_the_output_is_part_of_the_input(two_files: Untagged, entry: str):
    before = Path("in/a.jsonl").read_bytes()
    for output, rejects in [("in/a.jsonl", None), ("out.jsonl", "in/a.jsonl")]:
        with pytest.raises(StanceError, match=r"in/a.jsonl: the output is part of the input in"):
            tag_files(two_files, [entry], output, rejects=rejects)
    assert two_files.given == []
    assert Path("in/a.jsonl").read_bytes() == before
    assert not Path("out.jsonl").exists()


def test_a_missing_input_is_told_before_anything_is_labelled(two_files: Untagged):
    Path("out.jsonl").write_text("older")
    with pytest.raises(StanceError, match=r"^in/c.jsonl: there is no such file or folder$"):
        tag_files(two_files, ["in/a.jsonl", "in/c.jsonl"], "out.jsonl")
    assert two_files.given == []
    assert Path("out.jsonl").read_text() == "older"


def test_a_missing_reader_is_told_before_anything_is_labelled(
    two_files: Untagged, monkeypatch: pytest.MonkeyPatch
):
    Path("in/z.html").write_text("<p>Rain fell.</p>")
    monkeypatch.setitem(sys.modules, "trafilatura", None)
    with pytest.raises(MissingExtra, match=r"needs the package 'trafilatura': pip install"):
        tag_files(two_files, ["in"], "out.jsonl")
    assert two_files.given == []


def test_an_id_of_an_earlier_input_makes_a_reject(
    two_files: Untagged, monkeypatch: pytest.MonkeyPatch
):
    lines = b"".join(json.dumps(article(n)).encode() + b"\n" for n in (2, 3))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    inputs = ["in/a.jsonl", "in/b.jsonl", "-"]
    counts = tag_files(two_files, inputs, "out.jsonl", rejects="rejects.jsonl")
    assert counts == Counts(articles=4, rejects=2)
    assert [a.id for a in read_articles("out.jsonl")] == ["a0", "a1", "a2", "a3"]
    assert rejected() == [
        ("in/b.jsonl", 1, "id", "'a1' is also the id of in/a.jsonl:2"),
        ("standard input", 1, "id", "'a2' is also the id of in/b.jsonl:2"),
    ]


def test_files_of_one_name_in_two_folders_are_two_articles(two_files: Untagged):
    for place in ("x/y", "z"):
        Path(place).mkdir(parents=True)
        Path(place, "a.txt").write_text("It rained.")
        Path(place, f"{place[-1]}.txt").write_text("It rained.")
    assert [a.id for a in read_inputs(["x", "z/a.txt", "z/z.txt"], Counts())] == [
        *("y/a", "y/y"),
        *("a", "z"),
    ]
    counts = Counts()
    found = [a.id for a in read_inputs(["x/y/a.txt", "z", "x/y/y.txt", "z/a.txt"], counts)]
    assert found == ["x/y/a", "z/a", "z", "y"]
    assert counts.rejects == 1  # one file, asked for twice
    assert [a.id for a in read_inputs(["z/a.txt", "z/a.txt"], counts)] == ["a"]


def test_a_rejects_file_holds_the_broken_records(two_files: Untagged):
    write_lines(Path("in/b.jsonl"), b'{"id": "b0"}', article(2), b"caf\xe9")
    counts = Counts()
    with open_rejects("rejects.jsonl", ["in"]) as stream:
        assert [a.id for a in read_inputs(["in"], counts, stream)] == ["a0", "a1", "a2"]
    assert counts.rejects == 2
    assert rejected() == [
        ("in/b.jsonl", 1, "text", "the field is missing"),
        ("in/b.jsonl", 3, "", "invalid UTF-8 at byte 3"),
    ]
    with open_rejects(None, ["in"]) as stream:
        assert stream is None


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("in/a.jsonl", "in/a.jsonl: the rejects would take the place of the input"),
        ("link.jsonl", "link.jsonl: the rejects would take the place of the input"),
        ("more/new.jsonl", "more/new.jsonl: the output is part of the input more"),
        ("nowhere/r.jsonl", "nowhere/r.jsonl: No such file or directory"),
        ("/dev/full/r.jsonl", "/dev/full/r.jsonl: Not a directory"),
    ],
)
def test_a_rejects_file_that_is_refused(two_files: Untagged, path: str, message: str):
    before = Path("in/a.jsonl").read_bytes()
    Path("link.jsonl").symlink_to("in/a.jsonl")
    Path("more").mkdir()
    with pytest.raises(StanceError) as caught, open_rejects(path, ["-", "in/a.jsonl", "more"]):
        pass
    assert str(caught.value) == message
    assert Path("in/a.jsonl").read_bytes() == before


class Failing(io.RawIOBase):
    """A stream that takes nothing."""

    name = "<pipe>"

    def __init__(self, number: int) -> None:
        self._number = number

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        raise OSError(self._number, os.strerror(self._number))


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_full_disk_is_one_sentence(two_files: Untagged, form: Any):
    full = "cannot be written: No space left on device"
    with pytest.raises(StanceError, match=f"^/dev/full: {full}$"):
        tag_files(two_files, ["in/a.jsonl"], "/dev/full", format=form)
    with pytest.raises(StanceError, match=f"^<pipe>: {full}$"):
        tag_files(two_files, ["in/a.jsonl"], Failing(errno.ENOSPC), format=form)


def test_a_full_disk_of_the_rejects_is_one_sentence(two_files: Untagged):
    write_lines(Path("in/a.jsonl"), b"caf\xe9", article(0))
    with pytest.raises(StanceError, match=r"^/dev/full: cannot be written: No space left on dev"):
        tag_files(two_files, ["in/a.jsonl"], "out.jsonl", rejects="/dev/full")
    assert [a.id for a in read_articles("out.jsonl")] == ["a0"]


def test_a_reader_that_has_gone_is_no_full_disk(two_files: Untagged):
    with pytest.raises(BrokenPipeError):
        tag_files(two_files, ["in/a.jsonl"], Failing(errno.EPIPE))


def test_an_archive_becomes_a_folder_of_parts(exported: Path, archive: Path):
    counts = label(exported, "input=archive", "targets=[Ana Brule]")
    assert [path.name for path in parts()] == [f"part-0000{n}.parquet" for n in range(5)]
    assert [a.id for a in labelled()] == [a.id for a in read_articles(archive)]
    assert [len(list(read_articles(path))) for path in parts()] == [9, 9, 9, 9, 4]
    assert all(a.targets[-1].text == "Ana Brule" for a in labelled())
    manifest = json.loads(Path("out/manifest.json").read_text())
    assert manifest["counts"] == {"articles": 40, "sentences": counts.sentences, "rejects": 0}
    assert sum(len(a.sentences or ()) for a in labelled()) == counts.sentences
    left = {path.name for path in Path("out").iterdir()} - {path.name for path in parts()}
    assert left == {"manifest.json", ".lock"}


def test_a_job_that_is_at_its_end_is_not_done_again(exported: Path, archive: Path):
    first = label(exported, "input=archive/*.jsonl", "format=jsonl")
    times = [path.stat().st_mtime_ns for path in parts()]
    assert label(exported, "input=archive/*.jsonl", "format=jsonl") == first
    assert [path.stat().st_mtime_ns for path in parts()] == times


def test_a_part_that_is_missing_is_made_again(exported: Path, archive: Path):
    label(exported, "input=archive", "format=jsonl")
    whole = [path.read_bytes() for path in parts()]
    parts()[2].unlink()
    label(exported, "input=archive", "format=jsonl")
    assert [path.read_bytes() for path in parts()] == whole


def test_labels_do_not_depend_on_where_an_article_stands(exported: Path, archive: Path):
    label(exported, "input=archive", "backend=onnx")
    label(exported, "input=archive", "backend=onnx", "part_articles=40", "output=other")
    for one, other in zip(labelled(), labelled("other"), strict=True):
        assert [s.tags for s in one.sentences or ()] == [s.tags for s in other.sentences or ()]


def test_a_parquet_data_set_in_folders(exported: Path, in_folder: Path):
    for publisher in ("Kelm%20Post", "Orlea"):
        folder = in_folder / "archive" / f"publisher={publisher}"
        folder.mkdir(parents=True)
        pyarrow.parquet.write_table(pyarrow.table({"text": ["Rain fell."]}), folder / "0.parquet")
    label(exported, "input=archive")
    assert [a.publisher for a in labelled()] == ["Kelm Post", "Orlea"]


def test_a_job_goes_on_with_the_backend_that_it_began_with(
    exported: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
):
    label(exported, "input=archive/a.jsonl", "backend=onnx", "format=jsonl")
    whole = [path.read_bytes() for path in parts()]
    parts()[0].unlink()
    label(exported, "input=archive/a.jsonl", "format=jsonl")  # auto would take a file of 8 bits
    assert [path.read_bytes() for path in parts()] == whole

    shutil.copytree(exported, "model")
    Path("model/model.vnni.onnx").write_bytes(b"a graph")
    monkeypatch.setattr("stance.runtime.without_vnni", lambda: None)
    with pytest.raises(StanceError, match="ONNX Runtime cannot load it"):
        label(Path("model"), "input=archive/a.jsonl", "output=other")
    monkeypatch.setattr("stance.runtime.without_vnni", lambda: "a processor with VNNI")
    with pytest.raises(
        StanceError, match=r"begun with backend=onnx-vnni, which cannot be used here"
    ):
        label(Path("model"), "input=archive/a.jsonl", "output=other")
    label(Path("model"), "input=archive/a.jsonl", "output=other", "resume=false")
    assert len(labelled("other")) == 20


def test_a_graph_without_weights_of_its_own_is_known_by_those_that_it_reads(
    exported: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(exported, "model")
    Path("model/model.vnni.onnx").write_bytes(b"a graph")
    before = model_of_job(Path("model"), "onnx-vnni")
    other = bytearray(Path("model/model.int8.onnx").read_bytes())
    other[-1] ^= 1
    Path("model/model.int8.onnx").write_bytes(other)
    assert model_of_job(Path("model"), "onnx-vnni") != before


def test_what_differs_from_the_job_in_the_folder_is_named(
    exported: Path, archive: Path, tiny_model: Path
):
    label(exported, "input=archive/a.jsonl")
    Path("out/notes.txt").write_text("mine")
    for overrides, name in [
        (["targets=[Kelm]"], "targets"),
        (["format=jsonl"], "format"),
        (["part_articles=5"], "part_articles"),
        (["backend=torch"], "model"),
        (["input=archive/b.csv"], "input"),
    ]:
        with pytest.raises(StanceError, match=rf"what differs: {name} \(it was .*resume=false"):
            label(exported, "input=archive/a.jsonl", *overrides)
    with (archive / "a.jsonl").open("a") as stream:
        stream.write('{"text": "It snowed."}\n')
    with pytest.raises(StanceError, match="what differs: input"):
        label(exported, "input=archive/a.jsonl")
    assert len(labelled()) == 20
    label(exported, "input=archive/a.jsonl", "part_articles=30", "resume=false")
    assert [path.name for path in parts()] == ["part-00000.parquet"]
    assert len(labelled()) == 21
    assert Path("out/notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["output=archive/out"], "archive/out: the output is part of the input archive"),
        (["output=archive/new"], "archive/new: the output is part of the input archive"),
        (["output=archive"], "archive: the output is part of the input archive"),
        (["input=link", "output=archive/new"], "the output is part of the input link"),
        (["input=archive/**", "output=archive/new"], "the output is part of the input archive/**"),
        (["input=other", "output=mine"], "the output folder is part of the input"),
        (["output=/dev/null/out.jsonl"], "/dev/null: cannot be made: File exists"),
        (["threads=0", "output=out.jsonl"], "threads is 0, want a number above 0"),
        (["input=nowhere", "output=new"], "there is no such file or folder"),
        (["input=archive/*.doc", "output=new"], "no file in this folder ends in"),
        (["output=mine"], "no manifest.json of a job"),
        (["output=/dev/null/out"], "/dev/null/out: cannot be written: Not a directory"),
        (["engine=spark"], "engine is 'spark', want one of local, ray"),
        (["engine=ray", "output=out.jsonl"], "engine=ray writes a folder of parts"),
        (["rejects=r.jsonl"], "a job has its own"),
        (["format=csv"], "the output format 'csv' is not one of jsonl, parquet"),
    ],
)
def test_one_clear_sentence(exported: Path, archive: Path, overrides: list[str], message: str):
    Path("mine").mkdir()
    Path("mine/part-00000.parquet").write_text("mine")
    Path("archive/out").mkdir()
    Path("archive/out/a.jsonl").write_text('{"text": "Rain."}\n')
    Path("link").symlink_to("archive")
    Path("mine/a.jsonl").write_text('{"text": "Rain."}\n')
    Path("other").mkdir()
    Path("other/link").symlink_to("../mine")
    with pytest.raises(StanceError, match=re.escape(message)):
        label(exported, "input=archive", *overrides)
    assert Path("mine/part-00000.parquet").read_text() == "mine"


@pytest.mark.parametrize("output", ["s3://news/out", "s3://news/out.jsonl"])
def test_the_output_is_no_url(in_folder: Path, output: str):
    with pytest.raises(StanceError) as caught:
        label(Path("no-model"), "input=archive", f"output={output}")
    assert str(caught.value) == f"{output}: the output is a local folder or file, not a URL"
    assert list(in_folder.iterdir()) == []


def test_a_file_system_without_locks_is_named(in_folder: Path, monkeypatch: pytest.MonkeyPatch):
    def flock(stream: Any, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with (
        pytest.raises(StanceError, match=r"^out: cannot be written: No locks available$"),
        locked(Path("out")),
    ):
        pytest.fail("the folder is not ours")


def test_a_length_that_a_server_does_not_tell(two_files: Untagged):
    """Where a table ends has to be known; a file that is one article, or Parquet, says it."""
    Path("in/c.txt").write_text("Rain.")
    pyarrow.parquet.write_table(pyarrow.table({"text": ["Rain."] * 3}), "in/d.parquet")
    known = list_files("in", SUFFIXES)
    unknown = [replace(file, size=-1) for file in known]
    assert make_plan(unknown[2:], 2) == make_plan(known[2:], 2)
    assert [part.records for part in make_plan(unknown[2:], 2)] == [2, 2]
    for file in (unknown[0], File("https://news.example/all.csv", "all.csv", -1, "")):
        with pytest.raises(StanceError) as caught:
            make_plan([known[1], file], 2)
        message = "the server does not tell its length: fetch it first"
        assert str(caught.value) == f"{file.path}: {message}"


def test_the_second_of_two_jobs_is_refused(exported: Path, archive: Path):
    with (
        locked(Path("out")),
        pytest.raises(StanceError, match="out: another job is writing into this folder"),
    ):
        label(exported, "input=archive")
    assert label(exported, "input=archive").articles == 40


def test_an_id_that_occurs_twice_is_found_over_files_and_parts(exported: Path, in_folder: Path):
    lines = [article(n) for n in range(12)]
    write_lines(Path("in/a.jsonl"), b'{"id": "a3", "text": 1}', *lines)
    write_lines(Path("in/b.jsonl"), {"id": "new", "text": "Rain."}, article(3), article(3))
    Path("in/a3.txt").write_text("Rain.")
    counts = label(exported, "input=in", "part_articles=5")
    assert counts == Counts(articles=13, sentences=counts.sentences, rejects=4)
    first = f"'a3' is also the id of {in_folder}/in/a.jsonl:5"
    assert [(Path(r["path"]).name, r["line"], r["reason"]) for r in rejects()] == [
        ("a.jsonl", 1, "want a string, found a number"),
        ("a3.txt", None, first),
        ("b.jsonl", 2, first),
        ("b.jsonl", 3, first),
    ]
    assert [r["raw"] for r in rejects()][2:] == [json.dumps(article(3))] * 2


def broken(kind: int, number: int) -> tuple[bytes, str]:
    """A line of one of twelve kinds, and the reason for which it is rejected."""
    name = f"broken {number}"
    text = '"text": "Rain fell. It was wet."'
    lines = [
        (f'{{"id": "{name}", {text}, "title": "caf'.encode() + b'\xe9"}', "invalid UTF-8"),
        (f'{{"id": "{name}", "text": "Rain'.encode(), "not JSON"),
        (f'["{name}"]'.encode(), "want a JSON object, found a list"),
        (f'{{"id": "{name}", "title": "Rain"}}'.encode(), "the field is missing"),
        (f'{{"id": "{name}", "text": {number}}}'.encode(), "want a string, found a number"),
        (f'{{"id": "a{number % 99}", {text}}}'.encode(), "is also the id of"),
        (
            b'{"text": "Rain", "sentences": [{"start": 0, "end": 3}, {"start": 2, "end": 4}]}',
            "before the end of the one before it",
        ),
        (f'{{{text}, "sentences": [{{"start": 0, "end": 99}}]}}'.encode(), "is not a span"),
        (f'{{"id": "{name}", "text": "Rain \\ud83d"}}'.encode(), "lone surrogate"),
        (f'{{"id": "{name}", {text}, "date": "31.1.2026"}}'.encode(), "is not an ISO 8601 date"),
        (f'{{"id": "{name}", {text}, "targets": [""]}}'.encode(), "the target is empty"),
        (f'{{"id": "{name}", {text}, "score": NaN}}'.encode(), "NaN is not JSON"),
    ]
    return lines[kind]


def strange(kind: int, number: int) -> dict[str, Any]:
    """A record of one of twelve kinds that looks wrong and is not; the costly kinds are rarer."""
    many = 500 if number < 12 else 5
    words = 200_000 if number < 12 else 600
    return {
        "id": f"strange {number}",
        **[
            {"text": ""},
            {"text": "   \n\t "},
            {"text": "Rain " + "fell " * words + "."},
            {"text": "Rain fell.", "targets": [f"Target {n}" for n in range(many)]},
            {"text": "\x00Rain\x07 fell.\x1b It\x00 was wet."},
            {"text": "\u202eRain fell.\u202c \u200fIt was wet."},
            {"text": "大火是假的。河水是红色的。"},
            {"text": "🔥\u2028🔥 e\u0301\u0301\u0301. \U0010ffff"},
            {"text": "Rain fell.", "sentences": []},
            {"text": "Rain fell.", "sentences": [{"start": 5, "end": 6}]},
            {"text": "x" * 3_000, "title": "", "publisher": "\ufeff"},
            {"text": "Rain.", "targets": [{"text": "Rain", "mentions": [[0, 4]]}], "a.b": [[{}]]},
        ][kind],
    }


def test_broken_records_are_rejected_and_all_others_labelled(exported: Path, in_folder: Path):
    """A thousand broken records of twelve kinds and a thousand strange ones among ordinary ones."""
    lines: list[Any] = [article(n) for n in range(ORDINARY)]
    reasons: dict[str, str] = {}
    for number in range(1_000):
        line, reason = broken(number % 12, number)
        reasons[line.decode("utf-8", "backslashreplace")] = reason
        place = 100 + number * (len(lines) - 100) // 1_000
        lines[place:place] = [line, strange(number % 12, number)]
    write_lines(Path("in.jsonl"), *lines)
    counts = label(exported, "input=in.jsonl", "part_articles=300", "format=jsonl")
    assert (counts.articles, counts.rejects) == (ORDINARY + 1_000, 1_000)
    valid = [line for line in lines if isinstance(line, dict)]
    assert [a.id for a in labelled()] == [line["id"] for line in valid]
    for found, given in zip(labelled(), valid, strict=True):
        assert found.text == given["text"]
        assert len(found.targets) == len(given.get("targets", ()))
        assert found.sentences is not None
        for sentence in found.sentences:
            assert sentence.tags
            assert len(sentence.stance) == len(found.targets)
    assert [r["line"] for r in rejects()] == [
        number for number, line in enumerate(lines, 1) if isinstance(line, bytes)
    ]
    for row in rejects():
        assert reasons[row["raw"]] in row["reason"]


@pytest.fixture
def small_then_large(in_folder: Path) -> None:
    """A part of some kilobytes, and one of half a megabyte."""
    large = {"id": "large", "text": "Rain fell. " * 50_000, "sentences": [{"start": 0, "end": 10}]}
    write_lines(Path("in/a.jsonl"), *(article(n) for n in range(9)), large)


def check_that_the_disk_was_full(done: subprocess.CompletedProcess[str], reason: str) -> None:
    assert done.returncode == 1
    assert f"out: part-00001 cannot be written: {reason}" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in parts()] == ["part-00000.jsonl"]
    assert len(labelled()) == 9


def test_a_full_disk_leaves_earlier_parts_as_they_are(exported: Path, small_then_large: None):
    """Files may not grow beyond 200 blocks, which meets the process as a full disk does."""
    words = command(exported, "input=in", "format=jsonl")
    script = 'ulimit -f 200; exec "$@"'
    done = subprocess.run(
        ["bash", "-c", script, "job", *words], capture_output=True, text=True, check=False
    )
    check_that_the_disk_was_full(done, "File too large")
    assert label(exported, "input=in", "format=jsonl").articles == 10
    assert [a.id for a in labelled()][-1] == "large"


def test_a_small_disk_and_one_that_is_read_only(exported: Path, small_then_large: None):
    words = command(exported, "input=in", "format=jsonl", "output=disk/out")
    script = (
        "mkdir disk && mount -t tmpfs -o size=300k none disk || exit 9; "
        '"$@" 2> full; cp -r disk/out out; mount -o remount,ro disk; "$@" 2> readonly; exit 1'
    )
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "bash", "-c", script, "job", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 1 or "unshare" in done.stderr:
        pytest.skip("mounting a small file system is not allowed here")
    done.stderr = Path("full").read_text()
    check_that_the_disk_was_full(done, "No space left on device")
    assert "disk/out: cannot be written: Read-only file system" in Path("readonly").read_text()


def test_killed_at_any_moment_and_taken_up_again(exported: Path, tmp_path: Path):
    """What `scripts/crash_test.py` does, with fewer moments."""
    script = REPOSITORY / "scripts" / "crash_test.py"
    done = subprocess.run(
        [sys.executable, str(script), str(exported), "--moments", "3", "--articles", "120"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("equal") == 3


def test_progress_says_how_fast_and_how_long():
    with Progress("labelling", total=2_000, done=500) as progress:
        progress.add(100, 2_500)
        line = progress.line()
    assert line.startswith("labelling: 600 of 2,000 articles, ")
    assert "sentences/s" in line
    assert line.endswith("left")


def test_an_archive_on_s3(exported: Path, archive: Path, monkeypatch: pytest.MonkeyPatch):
    """A real server of S3 in this process."""
    server = pytest.importorskip("moto.server")
    boto3 = pytest.importorskip("boto3")
    pytest.importorskip("s3fs")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    try:
        address = "http://{}:{}".format(*running.get_host_and_port())
        for name, value in {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        bucket = boto3.client("s3")
        bucket.create_bucket(Bucket="news")
        for path in archive.iterdir():
            bucket.upload_file(str(path), "news", f"2026/{path.name}")
        assert label(exported, "input=s3://news/2026").articles == 40
        assert label(exported, "input=s3://news/2026").articles == 40
        assert label(exported, "input=s3://news/*/*.csv", "output=csv").articles == 8
        with pytest.raises(StanceError, match="s3://news/2027: there is no such file or folder"):
            label(exported, "input=s3://news/2027", "output=none")
    finally:
        running.stop()
    label(exported, "input=archive", "output=local")
    assert [a.to_dict() for a in labelled()] == [a.to_dict() for a in labelled("local")]
