"""Fixtures: a tiny tokenizer and encoder, and a model trained with them by the real recipe."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core for each of the test processes
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
settings.register_profile("stance", deadline=None)
settings.load_profile("stance")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def starter_texts() -> list[str]:
    from stance.corpora import read_corpus

    return [article.text for article in read_corpus("starter", None, "train")]


def save_tokenizer(folder: Path, texts: Sequence[str], names: dict[str, str]) -> None:
    """A real WordPiece tokenizer of 800 pieces; `names` are its special tokens by role."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordPiece(unk_token=names["unk_token"]))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=800, special_tokens=list(names.values()))
    tokenizer.train_from_iterator(texts, trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)


BERT_TOKENS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the first of all test processes makes, for all of them to read."""
    root = factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    folder, done = root / name, root / f"{name}.done"
    with FileLock(root / f"{name}.lock"):
        if not done.exists():
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory, starter_texts: list[str]) -> Path:
    """A folder with a random two-layer BERT and its tokenizer, as the Hub would give it."""

    def make(folder: Path) -> None:
        import torch
        from transformers import BertConfig, BertModel

        save_tokenizer(folder, starter_texts, BERT_TOKENS)
        torch.manual_seed(0)
        BertModel(
            BertConfig(
                vocab_size=800,
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=64,
                max_position_embeddings=256,
            )
        ).save_pretrained(folder)

    return made_once(tmp_path_factory, "tiny-encoder", make)


def tiny_overrides(encoder: Path, output: Path) -> list[str]:
    """Overrides of `train` for a run of seconds with the tiny encoder."""
    return [
        "experiment=starter",
        "debug=tiny",
        "encoder=hub",
        f"encoder.name={encoder}",
        f"output={output}",
        "trainer.learning_rate=2e-3",
        "trainer.head_learning_rate=5e-3",
        "evaluation.baselines=[]",
    ]


@pytest.fixture(scope="session")
def tiny_model(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder that the real recipe wrote."""

    def make(folder: Path) -> None:
        from hydra import compose, initialize_config_dir

        from stance.training import train

        with initialize_config_dir(str(REPOSITORY / "configs"), version_base="1.3"):
            train(compose("train", overrides=tiny_overrides(tiny_encoder, folder)))

    return made_once(tmp_path_factory, "tiny-run", make) / "model"


LOOSE = ("limits.int8_equal=80", "limits.batch_equal=80", "limits.tags_loss=20")
"""Eight bits are coarse for a tiny model, so its int8 labels may differ more than is allowed."""


@pytest.fixture(scope="session")
def exported(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tiny model with its ONNX files."""

    def make(folder: Path) -> None:
        from hydra import compose, initialize_config_dir

        from stance.export import export

        shutil.copytree(tiny_model, folder / "model")
        with initialize_config_dir(str(REPOSITORY / "configs"), version_base="1.3"):
            export(compose("export", overrides=[f"model={folder}/model", *LOOSE]))

    return made_once(tmp_path_factory, "exported", make) / "model"


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium; skips where it or playwright is missing."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium_path = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium_path is None:
        pytest.skip("there is no Chromium")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
