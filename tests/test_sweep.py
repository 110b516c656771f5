"""A sweep that is killed goes on with the same study."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import REPOSITORY, tiny_overrides


def test_a_killed_sweep_goes_on_from_its_storage(tiny_encoder: Path, tmp_path: Path):
    optuna = pytest.importorskip("optuna")
    overrides = [o for o in tiny_overrides(tiny_encoder, tmp_path) if not o.startswith("output=")]
    command = [
        sys.executable,
        str(REPOSITORY / "scripts" / "train.py"),
        "-m",
        *overrides,
        "+sweep=optuna",
        "hydra.sweeper.n_trials=2",
        "evaluation.enabled=false",
        "corpus.limit=0.1",
    ]
    storage = f"sqlite:///{tmp_path}/outputs/sweeps/starter.db"

    def finished() -> int:
        try:
            study = optuna.load_study(study_name="starter", storage=storage)
        except Exception:
            return 0
        return sum(t.state == optuna.trial.TrialState.COMPLETE for t in study.trials)

    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    give_up = time.monotonic() + 150
    while finished() < 1:
        assert time.monotonic() < give_up
        assert process.poll() is None or finished()
        time.sleep(0.2)
    process.kill()
    process.wait()
    before = finished()
    assert before >= 1
    done = subprocess.run(
        [part.replace("n_trials=2", "n_trials=1") for part in command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert finished() == before + 1
