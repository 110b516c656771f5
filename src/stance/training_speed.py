"""Takes a training config; gives sentences per second of our training step and of the usual one.

The usual one is transformers' example for text classification: one pass for the attribution of a
sentence and one more for the sentence with each target, batches of 32 texts padded to the longest.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch.utils.data import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from stance.config import load_part, load_schema, plain
from stance.encoders import EncoderSource, encoder_folder
from stance.errors import StanceError
from stance.losses import LossWeights
from stance.records import Article
from stance.schema import Schema
from stance.training import StanceTrainer, build_model, make_examples
from stance.training_data import Augmentation, WindowDataset

BATCH = 32
WARM_UP = 2
"""Steps that are not counted."""


class Clock(TrainerCallback):
    """Seconds of every step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.started = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Start the clock."""
        self.started = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Note the time."""
        self.seconds.append(time.perf_counter() - self.started)

    def counted(self) -> float:
        """Seconds of all steps but the first ones."""
        return sum(self.seconds[WARM_UP:])


class Texts(Dataset[dict[str, Any]]):
    """Tokenised sentences, and sentences with a target, each with a label number."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.rows[index]


def measure(cfg: DictConfig) -> Path:
    """Run some steps of both, in turn, on articles with `cfg.targets` targets.

    Returns:
        The path of `training_speed.json` in the output folder.

    Raises:
        StanceError: no training article has so many targets.
    """
    set_seed(int(cfg.seed))
    if cfg.threads:
        torch.set_num_threads(int(cfg.threads))
    schema = load_schema(cfg)
    articles = {
        name: [article for article in part if len(article.targets) == int(cfg.targets)]
        for name, part in load_part(cfg, "train", schema).items()
    }
    if not any(articles.values()):
        raise StanceError(f"targets: no training article has {cfg.targets} targets")
    rounds: dict[str, list[dict[str, float]]] = {"ours": [], "transformers": []}
    for _ in range(int(cfg.rounds)):
        rounds["ours"].append(ours(cfg, schema, articles))
        rounds["transformers"].append(usual(cfg, articles))
        print(json.dumps({name: row[-1] for name, row in rounds.items()}), flush=True)
    output = Path(str(cfg.output))
    output.mkdir(parents=True, exist_ok=True)
    path = output / "training_speed.json"
    path.write_text(json.dumps({"targets": int(cfg.targets), **rounds}, indent=2), encoding="utf-8")
    return path


def arguments(folder: str, steps: int, rate: float) -> TrainingArguments:
    """What the usual trainer is given."""
    return TrainingArguments(
        output_dir=folder,
        max_steps=steps + WARM_UP,
        per_device_train_batch_size=BATCH,
        learning_rate=rate,
        eval_strategy="no",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
    )


def ours(cfg: DictConfig, schema: Schema, articles: dict[str, list[Article]]) -> dict[str, float]:
    """Sentences and tokens per second of `StanceTrainer`."""
    with TemporaryDirectory(prefix="stance-speed-") as scratch:
        model, encoder, _ = build_model(cfg, schema, Path(scratch))
        examples = make_examples(articles, schema, encoder, {})
        dataset = WindowDataset(
            examples, schema, encoder, Augmentation(drop=0, foreign=0), int(cfg.seed)
        )
        clock = Clock()
        own = cfg.copy()
        OmegaConf.set_struct(own, False)
        settings = OmegaConf.merge(
            own,
            {
                "checkpoints": scratch,
                "trainer": {
                    "early_stopping_patience": 0,
                    "arguments": {
                        "max_steps": int(cfg.steps) + WARM_UP,
                        "eval_strategy": "no",
                        "save_strategy": "no",
                        "report_to": [],
                        "disable_tqdm": True,
                    },
                },
            },
        )
        trainer = CountingTrainer(
            cfg=settings,
            model=model,
            dataset=dataset,
            encoder=encoder,
            weights=LossWeights(),
            selection=[],
        )
        trainer.add_callback(clock)
        trainer.train()
    return {
        "sentences_per_second": sum(trainer.sentences[WARM_UP:]) / clock.counted(),
        "tokens_per_second": sum(trainer.tokens[WARM_UP:]) / clock.counted(),
    }


class CountingTrainer(StanceTrainer):
    """Notes the sentences and padded tokens of every step."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.sentences: list[int] = []
        self.tokens: list[int] = []

    def compute_loss(self, model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
        """The loss, after counting."""
        self.sentences.append(int((inputs["sentence_mask"].sum(-1) > 0).sum()))
        self.tokens.append(inputs["input_ids"].numel())
        return super().compute_loss(model, inputs, *rest, **options)


def usual(cfg: DictConfig, articles: dict[str, list[Article]]) -> dict[str, float]:
    """Sentences per second of a `Trainer` over single texts."""
    folder = str(encoder_folder(EncoderSource(**plain(cfg.encoder))))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows: list[dict[str, Any]] = []
    sentences = 0
    for part in articles.values():
        for article in part:
            for sentence in article.sentences or ():
                sentences += 1
                texts = [(sentence.text,), *((sentence.text, t.text) for t in article.targets)]
                for text in texts:
                    encoded = tokenizer(*text, truncation=True, max_length=256)
                    rows.append({**encoded, "labels": 0})
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(int(cfg.seed)))
    clock = Clock()
    with TemporaryDirectory(prefix="stance-speed-") as scratch:
        trainer = Trainer(
            model=AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3),
            args=arguments(scratch, int(cfg.steps), float(cfg.trainer.learning_rate)),
            train_dataset=Texts([rows[int(i)] for i in order]),
            data_collator=DataCollatorWithPadding(tokenizer),
            callbacks=[clock],
        )
        trainer.train()
    texts_per_second = int(cfg.steps) * BATCH / clock.counted()
    return {"sentences_per_second": texts_per_second * sentences / len(rows)}
