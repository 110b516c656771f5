"""The package as a whole: fast and one-way imports, configs that compose, a wheel that works."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from conftest import REPOSITORY, tiny_overrides
from hydra import compose, initialize_config_dir

from stance.config import load_schema, plain
from stance.corpora import read_corpus
from stance.schema import DEFAULT

SOURCE = REPOSITORY / "src" / "stance"

LAYERS = [
    {"errors", "cores"},
    {"resources"},
    {"document", "charts"},
    {"schema", "records", "storage"},
    {"readers", "writers", "segment", "mentions"},
    {"windows", "narratives", "standoff", "int8_weights"},
    {"model", "encoders", "corpora", "further_targets"},
    {"config", "runtime", "calibration", "training_data", "speakers", "spans"},
    {"auto_targets"},
    {"losses", "tagger"},
    {"integrations", "hf", "soft_standoff", "vnni"},
    {"evaluation", "jobs", "terminal", "page", "label_studio", "ledger", "soft_labels"},
    {"importers", "ledger_page"},
    {"training", "baselines", "figures", "agreement", "annotate", "export"},
    {"card", "contestants", "ledger_command"},
    {"evaluation_page"},
    {"report", "benchmark", "training_speed"},
    {"bundle"},
    {"entry"},
    {"cli"},
    {"__main__"},
]
"""The way of the data: a module imports only from layers above its own."""


def test_imports_go_one_way():
    layer = {name: number for number, names in enumerate(LAYERS) for name in names}
    modules = {path.stem for path in SOURCE.glob("*.py")} - {"__init__"}
    assert modules <= set(layer)
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).with_suffix("").parts[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("stance."):
                imported = (node.module or "").split(".")[1]
                if imported != name and name != "__init__":
                    assert layer[imported] < layer[name], f"{path} imports {imported}"


def test_import_is_fast_and_brings_nothing_heavy():
    code = (
        "import time; start = time.perf_counter(); import stance; "
        "print(time.perf_counter() - start); import sys; "
        "print(sorted({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
    )
    seconds = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        took, heavy = done.stdout.splitlines()
        seconds.append(float(took))
        assert heavy == "[]"
    assert min(seconds) < 0.2


@pytest.mark.parametrize("experiment", ["starter", "full", "open", "small"])
def test_experiments_compose(experiment):
    with initialize_config_dir(str(REPOSITORY / "configs"), version_base="1.3"):
        cfg = compose("train", overrides=[f"experiment={experiment}", "output=out"])
    assert cfg.name == experiment
    assert load_schema(cfg) == DEFAULT
    assert plain(cfg.trainer.arguments)["num_train_epochs"] >= 1


def test_debug_wins_over_the_experiment():
    with initialize_config_dir(str(REPOSITORY / "configs"), version_base="1.3"):
        cfg = compose("train", overrides=["experiment=full", "debug=tiny", "output=out"])
    assert cfg.trainer.arguments.num_train_epochs == 1


def test_the_wheel_trains_and_tags_from_an_empty_folder(tiny_encoder: Path, tmp_path: Path):
    """Installed beside the test's own packages, away from the checkout."""
    build = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            str(REPOSITORY),
            "--no-deps",
            "-q",
            "--no-build-isolation",
            "-w",
            str(tmp_path / "dist"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert build.returncode == 0, build.stderr
    (wheel,) = (tmp_path / "dist").glob("stance_news-*.whl")
    venv.create(tmp_path / "venv", with_pip=False, system_site_packages=False)
    site = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--no-compile",
            "--target",
            str(site),
            str(wheel),
        ],
        check=True,
        capture_output=True,
    )
    host = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "host.pth").write_text(host + "\n")
    python = str(tmp_path / "venv" / "bin" / "python")
    empty = tmp_path / "empty"
    empty.mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

    def call(*arguments: str) -> str:
        done = subprocess.run(
            [python, *arguments],
            cwd=empty,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    assert call("-c", "import stance; print(stance.__file__)").startswith(str(site))
    call("-m", "stance", "train", *tiny_overrides(tiny_encoder, Path("out")))
    (empty / "a.txt").write_text("The mayor said no.")
    (record,) = call("-m", "stance", "tag", "a.txt", "--model", "out/model").splitlines()
    assert json.loads(record)["sentences"][0]["text"] == "The mayor said no."
    # Of the package's model a base install has the weights once, and PyTorch reads them too.
    carried = sorted(path.name for path in (site / "stance/assets/model").iterdir())
    assert [name for name in carried if name.startswith("model.")] == [
        "model.int8.onnx",
        "model.vnni.onnx",
    ]
    labels = [
        json.loads(call("-m", "stance", "tag", "a.txt", "--backend", backend))
        for backend in ("torch", "onnx-int8")
    ]
    facets = [[s["source"]["label"] for s in record["sentences"]] for record in labels]
    assert facets[0] == facets[1] == ["official"]
    assert labels[0]["model"] == labels[1]["model"]


def test_what_the_repository_holds_of_news_is_the_starter_corpus():
    assert len(read_corpus("starter", None, "dev")) >= 3
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    ).stdout.split()
    articles = [name for name in tracked if name.endswith((".jsonl", ".parquet"))]
    ours = ("starter", "examples", "agreement", "annotations", "further_targets", "soft_labels")
    folders = tuple(f"data/{name}/" for name in ours)
    assert [name for name in articles if not name.startswith(folders)] == []
