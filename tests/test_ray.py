"""The same job on Ray Data, with real workers, one of which is killed."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY

pytest.importorskip("ray.data")


def test_ray_gives_the_same_though_a_worker_is_killed(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """One moment of `scripts/crash_test.py`: right after the first of thirty parts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(REPOSITORY / "scripts"))
    crash_test = importlib.import_module("crash_test")
    crash_test.write_archive(Path("archive.jsonl"), 300)
    words = [sys.executable, str(crash_test.TAG), f"model={exported}", "input=archive.jsonl"]
    words += ["part_articles=10", "targets=[Kelm]"]
    crash_test.finish(crash_test.start([*words, "threads=2", "output=undisturbed"]))
    told = crash_test.disturb([*words, "engine=ray", "output=disturbed"], True, 0)
    assert told.startswith("a worker killed with ")
    assert crash_test.hashes(Path("disturbed")) == crash_test.hashes(Path("undisturbed"))


def test_an_error_of_a_worker_is_one_sentence(exported: Path, tmp_path: Path):
    """The weights are broken, which nobody notices before a worker loads them."""
    import shutil

    model = tmp_path / "model"
    shutil.copytree(exported, model)
    (model / "model.onnx").write_bytes(b"no graph")
    (tmp_path / "a.jsonl").write_text('{"text": "Rain fell."}\n')
    words = [f"model={model}", "backend=onnx", "input=a.jsonl", "output=out", "engine=ray"]
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "scripts" / "tag.py"), *words, "ray.workers=1"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 1
    assert f"stance: {model}/model.onnx: ONNX Runtime cannot load it" in done.stderr
    assert "Traceback" not in done.stderr
