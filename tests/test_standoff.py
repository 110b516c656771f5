"""Labels kept apart from the text are joined with a user's copy of a corpus, or it is told why not.

The copies of FA-KES, PolNeAR, BBC and BASIL made here are invented and have the published layout.
The tests with the real files run where STANCE_CORPUS_DIR (labelled records) and STANCE_FAKES_CSV
(the FA-KES csv) say where they are.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from stance.corpora import CORPORA
from stance.errors import RecordError, StanceError
from stance.readers import read_records
from stance.records import Article
from stance.resources import bundled
from stance.standoff import (
    PARTS,
    RUN,
    SOURCES,
    account,
    apart,
    attach,
    detach,
    forms,
    join_corpus,
    json_lines,
    prepare,
    read_annotations,
    together,
    write_files,
)

TITLE = "Dam of Orlea was to hold"
LEAD = "The café quarter of Orlea stood under water on Monday."
QUOTE = '"The ministry knew of the cracks," Ana Brod said.'
TEXT = f"{TITLE}\n\n{LEAD}\n{QUOTE}\n"
CLAIM = "The ministry knew that the café quarter of Orlea stood under water."


def labelled(identifier: str, text: str, title: str | None = TITLE) -> dict[str, Any]:
    """A labelled record: two sentences, two targets, one speaker."""
    lead, quote = text.index("The caf"), text.index(QUOTE[:4])
    return {
        "id": identifier,
        "corpus": identifier.split("-")[0],
        "publisher": "orlea-courier",
        "date": "2026-01-31",
        "title": title,
        "text": text,
        "targets": [{"kind": "entity", "text": "Ministry"}, {"kind": "claim", "text": CLAIM}],
        "sentences": [
            {
                "start": lead,
                "end": text.index("Monday.") + 7,
                "source": "narrator",
                "allegation": False,
                "stance": ["neutral", "neutral"],
                "speaker": None,
            },
            {
                "start": quote,
                "end": text.index("said.") + 5,
                "source": "other",
                "allegation": True,
                "stance": ["against", "favor"],
                "speaker": "Ana Brod",
            },
        ],
    }


def annotate(folder: Path, *records: dict[str, Any]) -> Path:
    """The stand-off files of these records; the last one is the dev part."""
    corpus = records[0]["corpus"]
    rows = [detach(Article.from_dict(record)) for record in records]
    folder.mkdir(exist_ok=True)
    for part, own in (("train", rows[:-1]), ("dev", rows[-1:])):
        (folder / f"{corpus}.{part}.jsonl").write_text(json_lines(own, compact=True), "utf-8")
    return folder


def joined_records(corpus: str, source: Path, annotations: Path) -> list[dict[str, Any]]:
    joined = join_corpus(corpus, source, annotations)
    assert joined.lost == []
    return [record for part in PARTS for record in joined.records[part]]


def fakes_rows(count: int) -> list[list[str]]:
    """Invented rows of the FA-KES csv, of which each has a text of its own length."""
    header = "unit_id article_title article_content source date location labels".split()
    return [
        header,
        *(
            [str(n), f"Flood, {n}", flat(n), "orlea-courier", "1/31/2026", "Orlea", "1"]
            for n in range(count)
        ),
    ]


def flat(number: int) -> str:
    """A text on one line, as FA-KES has them."""
    return f"{LEAD} {QUOTE} {'Rain fell. ' * number}"


def fakes_csv(path: Path, rows: Sequence[Sequence[str]], encoding: str = "utf-8") -> Path:
    """A csv file with the line ends that FA-KES has."""
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows(rows)
    path.write_bytes(stream.getvalue().encode(encoding))
    return path


def fakes_records(*numbers: int) -> list[dict[str, Any]]:
    return [labelled(f"fakes-{n:03}", flat(n), f"Flood, {n}") for n in numbers]


# What is kept


def test_an_annotation_has_no_text_but_labels():
    text = f"{TITLE}\n\n{LEAD}\n{QUOTE}"
    row = detach(Article.from_dict(labelled("bbc-politics-001", text)))
    assert row.pop("sha256") == hashlib.sha256(text.encode()).hexdigest()
    assert row == {
        "id": "bbc-politics-001",
        "publisher": "orlea-courier",
        "date": "2026-01-31",
        "title": [0, 24],
        "length": 130,
        "targets": [
            {"kind": "entity", "text": "Ministry"},
            {"kind": "claim", "text": ["The ministry knew that the ", [30, 69], "."]},
        ],
        "sentences": [
            [26, 80, "narrator", False, "neutral", "neutral", None],
            [81, 130, "other", True, "against", "favor", "Ana Brod"],
        ],
    }


@given(st.lists(st.sampled_from([*"ab .", "ä", "no ", "rain fell "])).map("".join), st.data())
def test_a_label_is_put_together_again(text: str, data: st.DataObject):
    start = data.draw(st.integers(0, len(text)))
    label = data.draw(st.sampled_from(["", "They say: ", "b a "])) + text[start:] + "!"
    pieces = apart(label, text)
    assert together(pieces, text) == label
    for piece in [pieces] if isinstance(pieces, str) else pieces:
        if isinstance(piece, str):
            words = re.findall(r"\w+", piece)
            runs = [" ".join(words[n : n + RUN]) for n in range(len(words) - RUN + 1)]
            known = " ".join(re.findall(r"\w+", text))
            assert not any(f" {run} " in f" {known} " for run in runs)


def test_a_run_is_found_whatever_its_case_and_punctuation():
    text = "Rain fell. The dam of Orlea, it is said, was never built to hold."
    label = "the dam of Orlea - it is said - was never built"
    pieces = apart(label, text)
    assert pieces == ["the ", [15, 27], " - ", [29, 39], " - ", [41, 56]]
    assert together(pieces, text) == label


def test_an_article_without_labels_has_no_annotation():
    with pytest.raises(StanceError, match=r"article a: sentences\[0\]: a label is missing"):
        detach(
            Article.from_dict({"id": "a", "text": "Rain.", "sentences": [{"start": 0, "end": 5}]})
        )
    with pytest.raises(StanceError, match="no id or no sentences"):
        detach(Article.from_dict({"text": "Rain."}))


# The published layouts


def test_fakes(tmp_path: Path):
    source = fakes_csv(tmp_path / "FA-KES-Dataset.csv", fakes_rows(8))
    records = fakes_records(0, 3, 7)
    assert joined_records("fakes", source, annotate(tmp_path / "labels", *records)) == records


@pytest.mark.parametrize("inner", ["", "data"])
def test_polnear(tmp_path: Path, inner: str):
    """The second title is not the beginning of its text: it stands in metadata.tsv alone."""
    records = [
        labelled("polnear-courier_2026-01-31_dam-of-orlea", TEXT),
        labelled("polnear-courier_2026-02-01_dam-of-orlea-", TEXT, 'Dam of "Orlea"; Was to hold'),
    ]
    for part, record in zip(PARTS, records, strict=True):
        folder = tmp_path / "PolNeAR" / "data" / part / "text"
        folder.mkdir(parents=True)
        name = record["id"].removeprefix("polnear-")
        (folder / f"{name}.txt").write_text(record["text"], encoding="utf-8")
    labels = annotate(tmp_path / "labels", *records)
    source = tmp_path / "PolNeAR" / inner
    untitled = join_corpus("polnear", source, labels)
    assert [record["title"] for record in untitled.records["dev"]] == [None]
    assert account(untitled) == (
        "polnear: 2 of 2 articles matched (train 1 of 1, dev 1 of 1)\n"
        "  1 of them without a title: it is not in the source"
    )
    (tmp_path / "PolNeAR" / "data" / "metadata.tsv").write_text(
        "compartment\tfilename\tpublisher\ttitle\n"
        'dev\tcourier_2026-02-01_dam-of-orlea-\tcourier\tDam of "Orlea"; Was to hold\n',
        encoding="utf-8",
    )
    assert joined_records("polnear", source, labels) == records


@pytest.mark.parametrize("inner", ["", "bbc"])
def test_bbc(tmp_path: Path, inner: str):
    records = [
        labelled("bbc-politics-001", TEXT),
        labelled("bbc-tech-012", TEXT + "\n"),
    ]
    for record in records:
        _, category, number = record["id"].split("-")
        (tmp_path / "bbc" / category).mkdir(parents=True)
        (tmp_path / "bbc" / category / f"{number}.txt").write_text(record["text"], "utf-8")
    labels = annotate(tmp_path / "labels", *records)
    assert joined_records("bbc", tmp_path / inner, labels) == records


def basil(folder: Path, name: str, body: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    article = {"uuid": name, "title": TITLE, "source": "HPO", "body-paragraphs": body}
    (folder / f"{name}.json").write_text(json.dumps(article), encoding="utf-8")


def test_basil(tmp_path: Path):
    records = [
        labelled("basil-0a1b-2c_1", f"{TITLE}\n\n{LEAD} {QUOTE}"),
        labelled("basil-0a1b-2c_2", f"{TITLE}\n\n{LEAD}\n{QUOTE} He left."),
    ]
    basil(tmp_path / "articles" / "2010", "0a1b-2c_1", [[LEAD, QUOTE]])
    basil(tmp_path / "articles" / "2019", "0a1b-2c_2", [[LEAD], [QUOTE, "He left."]])
    labels = annotate(tmp_path / "labels", *records)
    assert joined_records("basil", tmp_path, labels) == records


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "not JSON: Expecting property name enclosed in double quotes at character 1"),
        (b"[]", "want 'title' and 'body-paragraphs', lists of sentences"),
        (b'{"title": "T", "body-paragraphs": ["S."]}', "want 'title' and 'body-paragraphs'"),
        (b'{"title": null, "body-paragraphs": [["S."]]}', "want 'title' and 'body-paragraphs'"),
    ],
)
def test_a_broken_article_of_basil(tmp_path: Path, content: bytes, reason: str):
    records = [labelled("basil-1", f"{TITLE}\n\n{LEAD} {QUOTE}"), labelled("basil-2", TEXT)]
    basil(tmp_path / "articles" / "2010", "1", [[LEAD, QUOTE]])
    (tmp_path / "articles" / "2010" / "2.json").write_bytes(content)
    joined = join_corpus("basil", tmp_path, annotate(tmp_path / "labels", *records))
    (lost,) = joined.lost
    assert (lost.kind, lost.part, lost.id) == ("unreadable", "dev", "basil-2")
    assert lost.detail.startswith(f"articles/2010/2.json: {reason}")


# Copies that are nearly the same


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("\n", " \t\n").encode(),
        lambda text: text.rstrip().encode(),
        lambda text: (text + "\n\n ").encode(),
        lambda text: text.encode("cp1252"),
        lambda text: unicodedata.normalize("NFD", text).encode(),
        lambda text: text.replace("\n", " \r\n").rstrip().encode("latin-1"),
    ],
)
def test_what_editors_and_tools_change_is_undone(tmp_path: Path, change: Callable[[str], bytes]):
    records = [labelled("bbc-sport-001", TEXT), labelled("bbc-sport-002", TEXT)]
    (tmp_path / "sport").mkdir()
    for number in ("001", "002"):
        (tmp_path / "sport" / f"{number}.txt").write_bytes(change(TEXT))
    assert joined_records("bbc", tmp_path, annotate(tmp_path / "labels", *records)) == records


def test_bytes_that_are_no_utf8_may_have_been_labelled_as_replaced(tmp_path: Path):
    """Also where the user read the file as Latin-1 and wrote it again as UTF-8."""
    rows = fakes_rows(2)
    published = fakes_csv(tmp_path / "published.csv", rows, "latin-1")
    again = tmp_path / "again.csv"
    again.write_text(published.read_text("latin-1"), "utf-8", newline="")
    records = [
        labelled(f"fakes-{n}", flat(n).replace("é", "\ufffd"), f"Flood, {n}") for n in (0, 1)
    ]
    labels = annotate(tmp_path / "labels", *records)
    assert joined_records("fakes", published, labels) == records
    assert joined_records("fakes", again, labels) == records
    records = fakes_records(0, 1)
    assert joined_records("fakes", published, annotate(tmp_path / "own", *records)) == records


@given(st.text())
def test_the_text_itself_is_its_first_form(text: str):
    found = list(forms(text))
    assert found[0] == text
    assert len(found) == len(set(found)) <= 48


# Copies that are wrong


@pytest.fixture
def partial(tmp_path: Path) -> Iterator[Any]:
    """A config for a source in which three of seven articles do not match."""
    rows = fakes_rows(6)
    rows[1 + 2][2] += "Changed. "
    rows[1 + 3][2] = rows[1 + 3][2].replace("Ana Brod", "Eva Brod")
    cfg = OmegaConf.load(REPOSITORY / "configs" / "prepare_data.yaml")
    cfg.merge_with(
        {
            "name": "fakes",
            "source": str(fakes_csv(tmp_path / "fakes.csv", rows)),
            "annotations": str(annotate(tmp_path / "labels", *fakes_records(*range(2, 8), 1))),
            "output": str(tmp_path / "out"),
        }
    )
    return cfg


def test_a_partial_source_is_told_and_nothing_is_written(
    partial: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(StanceError) as caught:
        prepare(partial)
    assert str(caught.value) == (
        f"{partial.source}: 4 of 7 labelled articles do not match: nothing was written "
        "(allow_partial=true writes the others)"
    )
    assert capsys.readouterr().out.splitlines() == [
        "fakes: 3 of 7 articles matched (train 2 of 6, dev 1 of 1)",
        "  other length: 1",
        f"    fakes-002: row 2 has {len(flat(2)) + 9} characters, not {len(flat(2))}",
        "  other text: 1",
        f"    fakes-003: row 3 has {len(flat(3))} characters, but not the same",
        "  missing: 2",
        "    fakes-006: there is no row 6, the file has 6 rows",
        "    fakes-007: there is no row 7, the file has 6 rows",
    ]
    assert not (tmp_path / "out").exists()


def test_the_others_are_written_on_request(
    partial: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    partial.allow_partial = True
    partial.unmatched = str(tmp_path / "unmatched.txt")
    prepare(partial)
    records = fakes_records(4, 5, 1)
    for part, expected in (("train", records[:2]), ("dev", records[2:])):
        path = tmp_path / "out" / f"fakes.{part}.jsonl"
        assert [row for _, row in read_records(path)] == expected
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "fakes.dev.jsonl",
        "fakes.train.jsonl",
    ]
    lines = (tmp_path / "unmatched.txt").read_text("utf-8").splitlines()
    assert [line.split("\t")[:3] for line in lines] == [
        ["train", "fakes-002", "other length"],
        ["train", "fakes-003", "other text"],
        ["train", "fakes-006", "missing"],
        ["train", "fakes-007", "missing"],
    ]
    assert capsys.readouterr().out.endswith(
        f"{tmp_path}/unmatched.txt: 4 articles that do not match\n"
        f"{tmp_path}/out/fakes.train.jsonl: 2 articles, 4 sentences\n"
        f"{tmp_path}/out/fakes.dev.jsonl: 1 articles, 2 sentences\n"
    )


def test_a_part_of_which_nothing_matches(partial: Any, tmp_path: Path):
    partial.allow_partial = True
    annotate(tmp_path / "labels", *fakes_records(4, 5, 6))
    with pytest.raises(StanceError, match="no article of the part 'dev' matches: nothing was writ"):
        prepare(partial)
    annotate(tmp_path / "labels", *fakes_records(6, 7))
    with pytest.raises(StanceError, match="none of the 2 labelled articles is in it: nothing was"):
        prepare(partial)
    assert not (tmp_path / "out").exists()


def test_a_long_list_is_cut(tmp_path: Path):
    source = fakes_csv(tmp_path / "fakes.csv", fakes_rows(0))
    joined = join_corpus("fakes", source, annotate(tmp_path / "labels", *fakes_records(*range(9))))
    assert account(joined).splitlines()[-2:] == [
        "    fakes-004: there is no row 4, the file has 0 rows",
        "    … and 4 more (unmatched=FILE lists them all)",
    ]


@pytest.mark.parametrize(
    ("corpus", "name", "content", "message"),
    [
        (
            "fakes",
            "nowhere.csv",
            None,
            "there is no such file or folder, want the file FA-KES-Data",
        ),
        ("fakes", ".", None, "want the file FA-KES-Dataset.csv, this is a folder"),
        ("fakes", "a.csv", b"", "there is no column 'article_content' in its header"),
        ("fakes", "a.csv", b"id,text\n1,Rain\n", "there is no column 'article_content' in its he"),
        (
            "fakes",
            "a.csv",
            b"article_content\nRain\n",
            "there is no column 'article_title' in its ",
        ),
        ("fakes", "a.xlsx", b"PK\x03\x04\0\0", "this is not a CSV file"),
        ("fakes", "a.csv", b'a,b\n"c"d,e\n', "not CSV from line 2 on: "),
        (
            "polnear",
            "a.zip",
            b"PK",
            "want the folder of the PolNeAR repository (data/train/text/….tx",
        ),
        ("polnear", ".", None, "there is no folder train/text in it"),
        ("bbc", ".", None, "there is no folder business in it"),
        ("basil", ".", None, "there is no folder articles in it"),
        (
            "cnn",
            ".",
            None,
            "there are no labels for a corpus 'cnn' (want fakes, polnear, bbc, basil)",
        ),
    ],
)
def test_a_wrong_source_is_one_sentence(
    tmp_path: Path, corpus: str, name: str, content: bytes | None, message: str
):
    source = tmp_path / name
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(StanceError) as caught:
        join_corpus(corpus, source)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_row_with_cells_missing(tmp_path: Path):
    rows = fakes_rows(3)
    rows[2] = rows[2][:3]
    source = fakes_csv(tmp_path / "fakes.csv", rows)
    joined = join_corpus("fakes", source, annotate(tmp_path / "labels", *fakes_records(0, 1, 2)))
    assert [(lost.kind, lost.detail) for lost in joined.lost] == [
        ("unreadable", "row 1 has 3 cells, not 7")
    ]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("length", "long", "1: not a stand-off annotation: ValueError"),
        ("targets", [], "1: not a stand-off annotation: ValueError('2 stances for 0 targets')"),
        (
            "sentences",
            [[0, 900, "other", True, "favor", "favor", None]],
            "1: sentences[0]: [0, 900]",
        ),
    ],
)
def test_a_broken_annotation_is_named(tmp_path: Path, field: str, value: object, message: str):
    source = fakes_csv(tmp_path / "fakes.csv", fakes_rows(2))
    path = annotate(tmp_path / "labels", *fakes_records(0, 1)) / "fakes.train.jsonl"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), field: value}), "utf-8")
    with pytest.raises(RecordError) as caught:
        join_corpus("fakes", source, tmp_path / "labels")
    assert str(caught.value).startswith(f"{path}:{message}")


def test_all_files_are_written_or_none(tmp_path: Path):
    (tmp_path / "a").write_text("before")
    (tmp_path / "c").mkdir()
    with pytest.raises(StanceError, match="c: cannot be written: Is a directory"):
        write_files({tmp_path / "a": "after", tmp_path / "b": "new", tmp_path / "c": "no"})
    assert (tmp_path / "a").read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c"]
    write_files({tmp_path / "a": "after", tmp_path / "in" / "b": "new"})
    assert [(tmp_path / name).read_text() for name in ("a", "in/b")] == ["after", "new"]


# The command


def command(script: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(REPOSITORY / "scripts" / script), *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=120,
        check=False,
    )


def test_the_command(tmp_path: Path):
    fakes_csv(tmp_path / "fakes.csv", fakes_rows(2))
    annotate(tmp_path / "labels", *fakes_records(0, 1))
    done = command(
        "prepare_data.py", "corpus=fakes", "source=fakes.csv", "annotations=labels", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "fakes: 2 of 2 articles matched (train 1 of 1, dev 1 of 1)",
        "data/corpora/fakes.train.jsonl: 1 articles, 2 sentences",
        "data/corpora/fakes.dev.jsonl: 1 articles, 2 sentences",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "fakes.csv", "labels"]


def test_the_command_with_the_labels_of_the_package_and_a_wrong_csv(tmp_path: Path):
    fakes_csv(tmp_path / "fakes.csv", fakes_rows(2))
    done = command("prepare_data.py", "corpus=fakes", "source=fakes.csv", folder=tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith(
        "fakes: 0 of 537 articles matched (train 0 of 492, dev 0 of 45)\n"
    )
    assert done.stderr == (
        "stance: fakes.csv: none of the 537 labelled articles is in it: nothing was written\n"
    )
    assert not (tmp_path / "data").exists()


def test_the_command_without_a_corpus(tmp_path: Path):
    done = command("prepare_data.py", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        "stance: want corpus=NAME (fakes, polnear, bbc, basil) and source=PATH, your copy of that "
        "corpus\n"
    )


# The files that come with the package

FIELDS = {"id", "publisher", "date", "title", "length", "sha256", "targets", "sentences"}
COUNTS = {"fakes": (492, 45), "polnear": (274, 26), "bbc": (477, 30), "basil": (175, 14)}


@pytest.mark.parametrize("corpus", SOURCES)
def test_the_bundled_annotations(corpus: str):
    folder = bundled("data/annotations")
    parts = [[row for _, row in read_records(folder / f"{corpus}.{part}.jsonl")] for part in PARTS]
    rows = [row for part in parts for row in part]
    assert tuple(map(len, parts)) == COUNTS[corpus]
    assert len({row["id"] for row in rows}) == len(rows)
    # A few articles of PolNeAR and the BBC stand there twice, but never in both parts.
    texts = [{row["sha256"] for row in part} for part in parts]
    assert not texts[0] & texts[1]
    for row in rows:
        assert set(row) <= FIELDS
        assert row["id"].startswith(f"{corpus}-")
        assert row["date"] is None or re.fullmatch(r"\d{4}-\d\d-\d\d", row["date"])
        assert re.fullmatch("[0-9a-f]{64}", row["sha256"])
        assert {target["kind"] for target in row["targets"]} <= {"entity", "claim"}
        before = 0
        for start, end, source, allegation, *stance, speaker in row["sentences"]:
            assert before <= start < end <= row["length"]
            before = end
            assert source in ("official", "other", "narrator")
            assert isinstance(allegation, bool)
            assert len(stance) == len(row["targets"])
            assert set(stance) <= {"favor", "against", "neutral"}
            assert (speaker is None) == (source == "narrator")


def test_the_bundled_annotations_are_small():
    files = sorted(bundled("data/annotations").iterdir())
    assert [path.name for path in files] == sorted(f"{c}.{p}.jsonl" for c in SOURCES for p in PARTS)
    assert sum(path.stat().st_size for path in files) < 3_000_000


# The real corpora, where they are at hand

CORPUS_DIR = os.environ.get("STANCE_CORPUS_DIR")
FAKES_CSV = os.environ.get("STANCE_FAKES_CSV")
has_corpora = pytest.mark.skipif(not CORPUS_DIR, reason="STANCE_CORPUS_DIR is not set")
has_fakes = pytest.mark.skipif(not FAKES_CSV, reason="STANCE_FAKES_CSV is not set")


@has_corpora
@has_fakes
def test_fakes_is_what_was_labelled(tmp_path: Path):
    """Field by field; only dates, which the csv has in American order, are compared as read."""
    arguments = ["corpus=fakes", f"source='{FAKES_CSV}'", f"output={tmp_path}"]
    done = command("prepare_data.py", *arguments, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    for part in PARTS:
        made = [row for _, row in read_records(tmp_path / f"fakes.{part}.jsonl")]
        want = [row for _, row in read_records(Path(str(CORPUS_DIR)) / f"fakes.{part}.jsonl")]
        convert = CORPORA["fakes"].convert
        assert [convert(row) for row in made] == [convert(row) for row in want]
        assert [{**row, "date": None} for row in made] == [{**row, "date": None} for row in want]


@has_corpora
@pytest.mark.parametrize("corpus", SOURCES)
def test_the_bundled_annotations_go_back_onto_their_texts(corpus: str):
    convert = CORPORA[corpus].convert
    for part in PARTS:
        annotations = read_annotations(bundled("data/annotations") / f"{corpus}.{part}.jsonl")
        records = read_records(Path(str(CORPUS_DIR)) / f"{corpus}.{part}.jsonl")
        for annotation, (_, record) in zip(annotations, records, strict=True):
            made = attach(annotation, corpus, record["text"], record["title"])
            assert convert(made) == convert(record)


@has_corpora
def test_the_bundled_annotations_are_made_from_the_records(tmp_path: Path):
    arguments = ["--corpus-dir", str(CORPUS_DIR), "--output", str(tmp_path)]
    done = command("make_annotations.py", *arguments, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    for path in sorted(bundled("data/annotations").iterdir()):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
