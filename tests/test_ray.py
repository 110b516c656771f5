"""The same job on Ray Data, with real workers, one of which is killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY

pytest.importorskip("ray.data")


def test_ray_gives_the_same_though_a_worker_is_killed(exported: Path, tmp_path: Path):
    """What `scripts/crash_test.py` does: every file is compared with those of the local engine."""
    script = REPOSITORY / "scripts" / "crash_test.py"
    words = [str(exported), "--engine", "ray", "--moments", "1", "--articles", "300", "--seed", "1"]
    done = subprocess.run(
        [sys.executable, str(script), *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a worker killed" in done.stdout
    assert "equal" in done.stdout


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
