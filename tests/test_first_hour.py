"""What a newcomer gets wrong in the first hour: one clear sentence and a non-zero exit status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY
from hydra import compose, initialize_config_dir

from stance.config import load_part, load_schema
from stance.errors import MissingExtra, StanceError, require

CSV = "text,source,allegation\n" + "".join(f"It rained {n}.,narrator,false\n" for n in range(30))

MISTAKES = {
    "no path": ({}, [], "corpus: want names of corpora, or files.train with paths of your own"),
    "wrong path": ({}, ["corpus.files.train=labels.csv"], "labels.csv: there is no such file"),
    "empty file": ({"labels.csv": b""}, ["corpus.files.train=labels.csv"], "the file is empty"),
    "wrong column": (
        {"labels.csv": b"sentence,source\nIt rained.,narrator\n"},
        ["corpus.files.train=labels.csv"],
        "labels.csv: text: there is no column 'text' (the columns are 'sentence', 'source')",
    ),
    "no labels": (
        {"labels.csv": b"text,origin\nIt rained.,narrator\n"},
        ["corpus.files.train=labels.csv"],
        "labels.csv: no labels found; want 'sentences' with labels, or columns named source",
    ),
    "label outside the schema": (
        {"labels.csv": CSV.replace("5.,narrator", "5.,oracle").encode()},
        ["corpus.files.train=labels.csv"],
        "sentences[0].source: label \"oracle\" is not one of the labels of facet 'source'",
    ),
    "invalid UTF-8": (
        {"labels.csv": CSV.encode() + b"It \xff.,narrator,false\n"},
        ["corpus.files.train=labels.csv"],
        "labels.csv:32: text: invalid UTF-8",
    ),
    "broken JSON": (
        {"labels.jsonl": b'{"text": "It rained."\n'},
        ["corpus.files.train=labels.jsonl"],
        "labels.jsonl:1: not JSON",
    ),
    "offsets outside the text": (
        {"labels.jsonl": b'{"text": "It rained.", "sentences": [{"start": 0, "end": 99}]}\n'},
        ["corpus.files.train=labels.jsonl"],
        "labels.jsonl:1: sentences[0]: [0, 99] is not a span of a text of 10 characters",
    ),
    "wrong schema file": (
        {"labels.csv": CSV.encode(), "schema.yaml": b"facets:\n  source: {labels: [one]}\n"},
        ["corpus.files.train=labels.csv", "schema=file", "schema.file=schema.yaml"],
        "schema.yaml: facets.source: want different labels, two or more",
    ),
}


def composed(*overrides: str):
    with initialize_config_dir(str(REPOSITORY / "configs"), version_base="1.3"):
        return compose("train", overrides=["corpus=files", "output=out", *overrides])


@pytest.mark.parametrize("mistake", list(MISTAKES))
def test_training(in_folder: Path, mistake: str):
    files, overrides, message = MISTAKES[mistake]
    for name, data in files.items():
        (in_folder / name).write_bytes(data)
    cfg = composed(*overrides)
    with pytest.raises(StanceError) as error:
        load_part(cfg, "train", load_schema(cfg))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_script_says_it_in_one_sentence(in_folder: Path):
    (in_folder / "labels.csv").write_text(CSV.replace("5.,narrator", "5.,oracle"))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "stance", "train", "corpus=files", "output=out"),
            "corpus.files.train=labels.csv",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if line.startswith("stance: ")]
    assert len(told) == 1
    assert 'label "oracle" is not one of' in told[0]
    assert "Traceback" not in done.stderr
    assert not (in_folder / "out" / "model").exists()


def test_a_model_of_another_schema(tiny_model: Path, tmp_path: Path):
    (tmp_path / "labels.csv").write_text("text,tone\n" + "It rained.,calm\n" * 30)
    done = subprocess.run(
        [
            sys.executable,
            str(REPOSITORY / "scripts" / "evaluate.py"),
            f"model={tiny_model}",
            "output=report",
            "corpus=files",
            "corpus.files.train=labels.csv",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "labels.csv" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_extra_names_the_pip_command():
    with pytest.raises(MissingExtra, match=r"pip install 'stance-news\[html\]'"):
        require("no_such_package_of_mine", "html")


def test_tagging_without_torch_says_what_to_install(tiny_model: Path, tmp_path: Path):
    code = (
        "import sys; sys.modules['torch'] = None; from stance.cli import main; "
        f"main(['tag', 'a.txt', '--model', {str(tiny_model)!r}])"
    )
    (tmp_path / "a.txt").write_text("It rained.")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        == "stance: this needs the package 'torch': pip install 'stance-news[train]'"
    )
