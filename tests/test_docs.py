"""Snippets of the documentation, run as they stand there."""

from __future__ import annotations

import json
import re
import shlex
import textwrap
from pathlib import Path
from typing import Any

import pandas
import pytest
from conftest import REPOSITORY
from hydra import compose, initialize_config_dir

from stance.cli import HYDRA, parser_of
from stance.corpora import read_files
from stance.jobs import tag_files
from stance.narratives import Narratives
from stance.schema import Schema
from stance.tagger import Tagger


def page(name: str) -> str:
    return (REPOSITORY / "docs" / name).read_text(encoding="utf-8")


def run(name: str, model: Path) -> dict[str, Any]:
    """Run the Python of a page with a model folder of the tests; gives its names."""
    snippets = "\n".join(re.findall(r"```python\n(.*?)```", page(name), re.DOTALL))
    snippets = snippets.replace('"outputs/starter/model"', repr(str(model)))
    names: dict[str, Any] = {}
    exec(snippets, names)
    return names


def test_first_steps(exported: Path, capsys: pytest.CaptureFixture[str]):
    article = run("first-steps.md", exported)["article"]
    assert len(article.sentences) == 3
    assert capsys.readouterr().out.count("Port Authority") == 3


def test_the_ledger_from_python(
    exported: Path, in_folder: Path, capsys: pytest.CaptureFixture[str]
):
    examples = REPOSITORY / "data" / "examples"
    tagger = Tagger.from_pretrained(exported)
    narratives = Narratives.load(examples / "narratives.yaml")
    tag_files(tagger, [examples], "tagged.parquet", targets=narratives.targets, format="parquet")
    (in_folder / "data").symlink_to(REPOSITORY / "data")
    run("ledger.md", exported)
    assert "Port Authority of Kelm" in capsys.readouterr().out


def test_the_schema_and_the_table_of_the_walk_fit(in_folder: Path):
    """The labels of docs/own-labels.md are read with its schema."""
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", page("own-labels.md"), re.MULTILINE)
    table, schema = (textwrap.dedent(block).strip() + "\n" for block in blocks[:2])
    Path("labels.csv").write_text(table, encoding="utf-8")
    Path("schema.yaml").write_text(schema, encoding="utf-8")
    articles = read_files(["labels.csv"], Schema.load("schema.yaml"))
    tones = [s.facets["tone"].label for a in articles for s in a.sentences or ()]
    assert tones == ["calm", "angry"]


def test_the_function_for_spark(exported: Path):
    """`mapInPandas` calls it with an iterator of frames, and takes frames of the named columns."""
    names = run("archives.md", exported)
    first = pandas.DataFrame({"id": ["a", "b"], "text": ["Rain fell.", None]})
    last = pandas.DataFrame({"id": ["c"], "text": ["It was wet. It was cold."]})
    frames = list(names["label"](iter([first, last])))
    columns = re.findall(r'mapInPandas\(label, "(.*)"\)', page("archives.md"))[0]
    assert [list(frame) for frame in frames] == [re.findall(r"(\w+) string", columns)] * 2
    (good, bad), (other,) = (frame.to_dict("records") for frame in frames)
    assert [s["text"] for s in json.loads(good["record"])["sentences"]] == ["Rain fell."]
    assert bad["reason"] == "text: the field is missing"
    assert len(json.loads(other["record"])["sentences"]) == 2


PAGES = ("README.md", *sorted(f"docs/{path.name}" for path in (REPOSITORY / "docs").glob("*.md")))
COMMAND = re.compile(
    r"^ {4}(?:\S+=\S+ )?(?:\.venv/bin/)?(stance|python scripts/\w+\.py) (.*)$", re.M
)


def commands(name: str) -> list[tuple[str, list[str]]]:
    """The commands of a page: `stance` or a script, and the words behind it."""
    text = (REPOSITORY / name).read_text(encoding="utf-8").replace("\\\n", " ")
    found = []
    for program, rest in COMMAND.findall(text):
        words = shlex.split(rest.replace(" < ", " # "), comments=True)
        found.append((program, [word for word in words if word != "…"]))
    return found


@pytest.mark.parametrize("name", [name for name in PAGES if commands(name)])
def test_documented_commands_are_understood(name: str):
    """Scripts and options exist, and Hydra's overrides fit the configs. (Nothing is run.)"""
    for program, words in commands(name):
        if program != "stance":
            script = REPOSITORY / program.removeprefix("python ")
            assert script.is_file()
            config = script.stem
        elif words[0] in HYDRA:
            config = {"run": "tag"}.get(words[0], words[0].replace("-", "_"))
            words = words[1:]
        else:
            parser_of(words[0]).parse_args(words)
            continue
        if (REPOSITORY / "configs" / f"{config}.yaml").is_file():
            with initialize_config_dir(str(REPOSITORY / "configs"), version_base="1.3"):
                compose(config, overrides=[word for word in words if word != "-m"])
