"""Snippets of the documentation, run as they stand there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas
from conftest import REPOSITORY


def test_the_function_for_spark(exported: Path):
    """`mapInPandas` calls it with an iterator of frames, and takes frames of the named columns."""
    page = (REPOSITORY / "docs" / "archives.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(snippet.replace('"MODEL"', repr(str(exported))), names)
    first = pandas.DataFrame({"id": ["a", "b"], "text": ["Rain fell.", None]})
    last = pandas.DataFrame({"id": ["c"], "text": ["It was wet. It was cold."]})
    frames = list(names["label"](iter([first, last])))
    columns = re.findall(r'mapInPandas\(label, "(.*)"\)', page)[0]
    assert [list(frame) for frame in frames] == [re.findall(r"(\w+) string", columns)] * 2
    (good, bad), (other,) = (frame.to_dict("records") for frame in frames)
    assert [s["text"] for s in json.loads(good["record"])["sentences"]] == ["Rain fell."]
    assert bad["reason"] == "text: the field is missing"
    assert len(json.loads(other["record"])["sentences"]) == 2
