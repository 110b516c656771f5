"""Takes a Hydra config; gives a model folder: weights, tokenizer, schema, calibration, record.

A recipe to be read from top to bottom: `train`. On `transformers.Trainer`, so distributed runs,
mixed precision, resuming and trackers come with it; checkpoints lie apart from the model folder.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import (
    EarlyStoppingCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from stance import __version__
from stance.calibration import (
    FEW_LABELS,
    FEW_OF_ONE,
    Calibration,
    fit_following,
    fit_temperature,
    fit_weights,
    softmax,
)
from stance.config import load_part, load_schema, plain
from stance.corpora import trained_corpora, trained_encoder
from stance.encoders import EncoderSource, encoder_folder, prepare_tokenizer
from stance.errors import StanceError
from stance.evaluation import measure
from stance.losses import LossWeights, SoftLoss, total_loss
from stance.model import StanceConfig, StanceModel
from stance.records import Article
from stance.resources import bundled
from stance.runtime import TorchRuntime
from stance.schema import Facet, Schema
from stance.soft_labels import load_soft_labels
from stance.spans import LabelledSpans
from stance.tagger import Tagger, find_model, model_name, read_config
from stance.training_data import (
    Augmentation,
    Collator,
    Example,
    SoftLabels,
    TokenBudgetBatches,
    WindowDataset,
    label_counts,
    make_example,
    soft_heads,
    to_inputs,
)
from stance.windows import Encoding, WindowEncoder

logger = logging.getLogger(__name__)

MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
"""What is copied into a model folder from what transformers writes: data, no pickles."""

FEWEST = 5
"""A figure on the selection part with fewer positives of its rarest label is not chosen by."""

CHECKPOINT_FILES = ("model.safetensors", "optimizer.pt", "scheduler.pt", "trainer_state.json")


def train(cfg: DictConfig) -> Path:
    """Train a model as the config says and write its folder.

    Returns:
        The model folder, `<output>/model`.

    Raises:
        StanceError: a wrong path, label, column or setting, in one sentence.
    """
    seed = int(cfg.seed)
    set_seed(seed)
    if cfg.threads:
        torch.set_num_threads(int(cfg.threads))
    schema = load_schema(cfg)
    check_select_by(cfg, schema)
    soft_loss = soft_loss_of(cfg)
    articles = load_part(cfg, "train", schema)
    soft: dict[str, list[SoftLabels | None]] = {}
    if cfg.corpus.soft_labels and soft_loss.weight:
        place = str(cfg.corpus.soft_labels)
        folder = bundled("data/soft_labels") if place == "bundled" else Path(place)
        articles, soft = load_soft_labels(folder, articles, schema)
    selection = selection_part(cfg, schema)
    with TemporaryDirectory(prefix="stance-tokenizer-") as scratch:
        model, encoder, tokenizer_folder = build_model(cfg, schema, Path(scratch))
        freeze(model, int(cfg.trainer.freeze_layers))
        examples = make_examples(articles, schema, encoder, soft)
        counts = label_counts(examples, schema)
        heads = {*trained_heads(counts), *soft_heads(examples, schema)}
        model.config.trained = sorted({*heads, *model.config.trained})
        augmentation = Augmentation(**plain(cfg.trainer.augmentation))
        trainer = StanceTrainer(
            cfg=cfg,
            model=model,
            dataset=WindowDataset(
                examples, schema, encoder, augmentation, seed, corpus_shares(cfg, articles)
            ),
            encoder=encoder,
            weights=LossWeights(
                heads=plain(cfg.trainer.loss.heads),
                labels=class_weights(counts, str(cfg.trainer.loss.class_weights)),
                label_smoothing=float(cfg.trainer.loss.label_smoothing),
                soft=soft_loss,
            ),
            selection=selection,
        )
        started = time.monotonic()
        result = trainer.train(resume_from_checkpoint=start_point(cfg))
        folder = Path(cfg.output) / "model"
        if trainer.is_world_process_zero():
            run = {
                "minutes": round((time.monotonic() - started) / 60, 1),
                "steps": result.global_step,
                "best_score": trainer.state.best_metric,
                "best_step": trainer.state.best_global_step,
                "windows": len(trainer.dataset),
                "tokens_per_epoch": sum(trainer.dataset.lengths),
                "articles": {name: len(part) for name, part in articles.items()},
                "selection": trainer.selection_history(),
                "started_from": started_from(cfg),
            }
            write_model(folder, trainer, tokenizer_folder, run)
    return folder


def started_from(cfg: DictConfig) -> dict[str, Any] | None:
    """Name, corpora and encoder of the model that `init_from` names; None without it."""
    if not cfg.init_from:
        return None
    folder = find_model(str(cfg.init_from))
    known = (folder / "training.json").is_file()
    training = read_training(folder) if known else {}
    return {
        "model": model_name(folder),
        "corpora": trained_corpora(training),
        "encoder": trained_encoder(training),
    }


def soft_loss_of(cfg: DictConfig) -> SoftLoss:
    """`trainer.loss.soft`; raises `StanceError` for a weight below 0 or a temperature of 0."""
    soft = SoftLoss(**{name: float(value) for name, value in plain(cfg.trainer.loss.soft).items()})
    if min(soft.weight, soft.gold) < 0 or soft.temperature <= 0:
        raise StanceError(
            f"trainer.loss.soft: weight={soft.weight} and gold={soft.gold} must not be below 0, "
            f"temperature={soft.temperature} must be above 0"
        )
    if cfg.corpus.soft_labels and not soft.weight:
        logger.warning("corpus.soft_labels is not read, since trainer.loss.soft.weight is 0")
    return soft


def corpus_shares(cfg: DictConfig, articles: Mapping[str, object]) -> dict[str, float]:
    """`corpus.share`: of each corpus the share of its articles that an epoch draws.

    Raises:
        StanceError: a name that is no corpus of the run, or a share that is not in (0, 1].
    """
    shares = {str(name): float(share) for name, share in plain(cfg.corpus.share).items()}
    for name, share in shares.items():
        if name not in articles or not 0 < share <= 1:
            raise StanceError(
                f"corpus.share.{name}={share}: want a share from 0 to 1 of one of the corpora "
                f"({', '.join(articles)})"
            )
    return shares


def selection_part(cfg: DictConfig, schema: Schema) -> list[Article]:
    """The selection articles that early stopping and calibration look at (`corpus.select_on`)."""
    parts = load_part(cfg, "selection", schema)
    wanted = plain(cfg.corpus.select_on) or list(parts)
    for name in wanted:
        if name not in parts:
            raise StanceError(
                f"corpus.select_on: {name!r} is none of the corpora ({', '.join(parts)})"
            )
    return [article for name in wanted for article in parts[name]]


def build_model(
    cfg: DictConfig, schema: Schema, scratch: Path
) -> tuple[StanceModel, WindowEncoder, Path]:
    """A model with pretrained encoder and fresh heads, or one that starts from another model.

    Args:
        scratch: an empty folder, for the files of a tokenizer with the mention markers added.

    Returns:
        The model, the window encoder, and a folder with the tokenizer's files.
    """
    if cfg.init_from:
        return _continue_model(find_model(str(cfg.init_from)), cfg, schema)
    from transformers import AutoConfig, AutoModel

    source = EncoderSource(**plain(cfg.encoder))
    folder = encoder_folder(source)
    tokenizer, special = prepare_tokenizer(folder)
    encoding = Encoding(**plain(cfg.encoding))
    encoder_config = AutoConfig.from_pretrained(str(folder))
    for name, value in source.overrides.items():
        if not hasattr(encoder_config, name):
            raise StanceError(f"encoder.overrides: the config of {source.name} has no {name!r}")
        setattr(encoder_config, name, value)
    limit = getattr(encoder_config, "max_position_embeddings", None)
    if limit and encoding.max_tokens > limit - 2:
        raise StanceError(
            f"encoding.max_tokens={encoding.max_tokens} is more than {source.name} can read "
            f"({limit} positions)"
        )
    if limit:
        encoding = replace(
            encoding,
            max_wide_tokens=min(encoding.max_wide_tokens, limit - 2),
            max_window_tokens=min(encoding.max_window_tokens, limit - 2),
        )
    try:
        pretrained = AutoModel.from_pretrained(
            str(folder), config=encoder_config, dtype=torch.float32
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise StanceError(f"{folder}: the encoder's weights cannot be read: {error}") from error
    pretrained.resize_token_embeddings(
        max(len(tokenizer), encoder_config.vocab_size), mean_resizing=False
    )
    config = StanceConfig(
        encoder=pretrained.config.to_diff_dict() | {"model_type": pretrained.config.model_type},
        schema=schema.to_dict(),
        encoding=encoding.to_dict(),
        special_tokens={
            "cls": special.cls,
            "sep": special.sep,
            "pad": special.pad,
            "mention": list(special.mention),
        },
        head_dropout=float(cfg.trainer.head_dropout),
        name=str(cfg.name),
        version=__version__,
    )
    model = StanceModel(config)
    weights = pretrained.state_dict()
    missing = model.encoder.load_state_dict(weights, strict=False).missing_keys
    if missing:
        raise StanceError(f"{folder}: the encoder's weights lack {missing[0]}")
    tokenizer.save_pretrained(str(scratch))
    return model, WindowEncoder.from_folder(scratch, special, encoding), scratch


def _continue_model(
    folder: Path, cfg: DictConfig, schema: Schema
) -> tuple[StanceModel, WindowEncoder, Path]:
    """Weights of another stance model; the heads of facets with other labels start afresh."""
    raw = read_config(folder)
    if Encoding.from_dict(raw.get("encoding", {})) != Encoding(**plain(cfg.encoding)):
        logger.warning("encoding: is that of %s, whatever the config says", folder)
    old = StanceModel.from_pretrained(str(folder))
    old_schema = Schema.from_dict(raw["schema"], where=str(folder / "config.json"))
    config = StanceConfig.from_dict(old.config.to_dict())
    config.schema = schema.to_dict()
    config.name, config.version = str(cfg.name), __version__
    if old_schema.spans != schema.spans or old_schema.stance != schema.stance:
        raise StanceError(
            f"{folder}: the model's stance labels and span tracks ({', '.join(old_schema.stance)}; "
            f"{', '.join(old_schema.spans)}) are not those of the schema"
        )
    model = StanceModel(config)
    state = {k: v for k, v in old.state_dict().items() if not k.startswith("facet_head.")}
    model.load_state_dict(state, strict=False)
    known = dict(old_schema.slices())
    with torch.no_grad():
        for facet, columns in schema.slices():
            if facet in known:
                model.facet_head.weight[columns] = old.facet_head.weight[known[facet]]
                model.facet_head.bias[columns] = old.facet_head.bias[known[facet]]
    kept = {facet.name for facet in schema.facets if facet in known}
    fresh = {facet.name for facet in old_schema.facets} - kept
    config.trained = [head for head in old.config.trained if head not in fresh]
    encoder = WindowEncoder.from_folder(folder, config.get_special_tokens(), config.get_encoding())
    return model, encoder, folder


def freeze(model: StanceModel, layers: int) -> None:
    """Train the heads and the encoder's layers above the first so many alone; 0: train all.

    Nothing is propagated back through the others, which saves much of a large encoder's time. What
    belongs to no layer, such as the positions that MPNet's layers share, is kept as well.
    """
    if layers == 0:
        return
    if not 0 < layers < len(_layer_numbers(model)):
        raise StanceError(
            f"trainer.freeze_layers={layers}: the encoder has {len(_layer_numbers(model))} layers"
        )
    for name, parameter in model.encoder.named_parameters():
        number = _layer_number(name)
        parameter.requires_grad_(number is not None and number >= layers)


def make_examples(
    articles: Mapping[str, Sequence[Article]],
    schema: Schema,
    encoder: WindowEncoder,
    soft: Mapping[str, Sequence[SoftLabels | None]],
) -> list[Example]:
    """The training articles of all corpora, tokenised, with the soft labels that they have."""
    return [
        make_example(article, schema, encoder, f"{name}/{article.id or number}", labels)
        for name, part in articles.items()
        for number, (article, labels) in enumerate(
            zip(part, soft.get(name, [None] * len(part)), strict=True)
        )
        if article.sentences
    ]


def trained_heads(counts: Mapping[str, np.ndarray[Any, Any]]) -> list[str]:
    """Heads that have labels to learn from."""
    return [name for name, count in counts.items() if count.sum() > 0]


def class_weights(counts: Mapping[str, np.ndarray[Any, Any]], kind: str) -> dict[str, list[float]]:
    """A factor per label: `none`, `balanced` (inverse frequency) or `sqrt` (its square root).

    The mean factor over the training labels is 1.
    """
    if kind == "none":
        return {}
    if kind not in ("balanced", "sqrt"):
        raise StanceError(
            f"trainer.loss.class_weights is {kind!r}, want 'none', 'balanced' or 'sqrt'"
        )
    power = 1.0 if kind == "balanced" else 0.5
    result: dict[str, list[float]] = {}
    for name, count in counts.items():
        if count.sum() > 0:
            weights = np.where(count > 0, (count.sum() / np.maximum(count, 1)) ** power, 1.0)
            result[name] = (weights / (weights * count).sum() * count.sum()).tolist()
    return result


class StanceTrainer(Trainer):
    """`transformers.Trainer` over windows: its loss, batches, learning rates and evaluation."""

    def __init__(
        self,
        *,
        cfg: DictConfig,
        model: StanceModel,
        dataset: WindowDataset,
        encoder: WindowEncoder,
        weights: LossWeights,
        selection: Sequence[Article],
    ) -> None:
        self.cfg = cfg
        self.stance_model = model
        self.dataset = dataset
        self.window_encoder = encoder
        self.weights = weights
        self.selection = selection
        self.schema = dataset.schema
        callbacks: list[TrainerCallback] = []
        if cfg.trainer.early_stopping_patience and evaluates(cfg):
            callbacks.append(EarlyStoppingCallback(int(cfg.trainer.early_stopping_patience)))
        super().__init__(
            model=model,
            args=training_arguments(cfg),
            train_dataset=dataset,
            eval_dataset=dataset,
            data_collator=Collator(encoder.special.pad),
            callbacks=callbacks,
        )
        self.model_accepts_loss_kwargs = False

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Token-budget batches; each process takes its own share of them."""
        batches = TokenBudgetBatches(
            self.dataset,
            budget=int(self.cfg.trainer.batch_tokens),
            seed=int(self.cfg.seed),
            rank=self.args.process_index,
            world=self.args.world_size,
        )
        return EpochLoader(self.dataset, batch_sampler=batches, collate_fn=self.data_collator)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The weighted loss of all heads (see `stance.losses`)."""
        output = model(**to_inputs(inputs))
        loss = total_loss(output, inputs, self.schema, self.weights)
        return (loss, output) if return_outputs else loss

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW with its own learning rate for heads, and a decay per layer of the encoder."""
        if self.optimizer is None:
            cls, options = self.get_optimizer_cls_and_kwargs(self.args, self.stance_model)
            self.optimizer = cls(
                parameter_groups(
                    self.stance_model,
                    encoder_rate=float(self.cfg.trainer.learning_rate),
                    head_rate=float(self.cfg.trainer.head_learning_rate),
                    layer_decay=float(self.cfg.trainer.layer_decay),
                    weight_decay=float(self.cfg.trainer.weight_decay),
                ),
                **options,
            )
        return self.optimizer

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Figures on the selection part; `score` (their mean) is what early stopping looks at."""
        predicted = list(self.tagger().tag_many(self.selection))
        figures = measure(self.selection, predicted, self.schema, resamples=0)["headline"]
        values = {name: figure["value"] for name, figure in figures.items()}
        support = {name: figure["support"] for name, figure in figures.items()}
        wanted = plain(self.cfg.trainer.select_by) or select_by(self.schema)
        chosen = [name for name in wanted if support.get(name, 0) >= FEWEST] or list(values)
        score = float(np.mean([values[name] for name in chosen])) if values else 0.0
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in values.items()}
        metrics[f"{metric_key_prefix}_score"] = score
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def selection_history(self) -> list[dict[str, float]]:
        """Figures of every evaluation, those before a resume included."""
        return [
            {name.removeprefix("eval_"): value for name, value in entry.items()}
            for entry in self.state.log_history
            if "eval_score" in entry
        ]

    def tagger(self, calibration: Calibration | None = None) -> Tagger:
        """A tagger around the model as it is now."""
        return Tagger(
            TorchRuntime(self.stance_model),
            self.window_encoder,
            self.schema,
            calibration=calibration,
            trained=self.stance_model.config.trained,
            name=str(self.cfg.name),
        )


class EpochLoader(DataLoader[Any]):
    """A DataLoader that hands `set_epoch` on to its batch sampler."""

    def set_epoch(self, epoch: int) -> None:
        """Make the batches and targets of this epoch."""
        sampler = self.batch_sampler
        assert isinstance(sampler, TokenBudgetBatches)
        sampler.set_epoch(epoch)


def evaluates(cfg: DictConfig) -> bool:
    """Whether the run looks at the selection part; without that the last weights are kept."""
    return str(cfg.trainer.arguments.get("eval_strategy", "no")) != "no"


def select_by(schema: Schema) -> list[str]:
    """The figures whose mean is the score of a run that names none: of tags, facets and stance."""
    facets = [f"{facet.name}_macro_f1" for facet in schema.facets]
    return ["tags_macro_f1", *facets, "favor_against_f1"]


def check_select_by(cfg: DictConfig, schema: Schema) -> None:
    """Raise `StanceError` for a name in `trainer.select_by` that no figure has."""
    known = {"tags_macro_f1", "stance_macro_f1", "favor_against_f1", "speaker_f1"}
    known |= {f"spans_{track}_f1" for track in schema.spans}
    for facet in schema.facets:
        labels = [str(label) for label in facet.labels] if facet.kind == "multi" else []
        known |= {f"{facet.name}_macro_f1", *(f"{facet.name}_{label}_f1" for label in labels)}
        known |= {f"{facet.name}_f1"} if facet.labels == (False, True) else set()
    wrong = [name for name in plain(cfg.trainer.select_by) or () if name not in known]
    if wrong:
        raise StanceError(
            f"trainer.select_by: there is no figure {wrong[0]!r} (there are "
            f"{', '.join(sorted(known))})"
        )


TENSORBOARD = "TENSORBOARD_LOGGING_DIR"
_tensorboard = [""]
"""Folders that this process has set: the trials of a sweep run in one."""


def training_arguments(cfg: DictConfig) -> TrainingArguments:
    """`TrainingArguments` from `trainer.arguments`, with what this package needs fixed."""
    arguments = plain(cfg.trainer.arguments)
    fixed: dict[str, Any] = {
        "output_dir": str(cfg.checkpoints),
        "seed": int(cfg.seed),
        "learning_rate": float(cfg.trainer.learning_rate),
        "weight_decay": float(cfg.trainer.weight_decay),
        "remove_unused_columns": False,
        "metric_for_best_model": "score",
        "greater_is_better": True,
        "load_best_model_at_end": evaluates(cfg),
        "ddp_find_unused_parameters": False,
        "restore_callback_states_from_checkpoint": True,  # how long early stopping has waited
    }
    clash = set(arguments) & set(fixed)
    if clash:
        raise StanceError(
            f"trainer.arguments.{min(clash)} is set by the package; see the config's other fields"
        )
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.cuda.is_available():
        arguments = {"use_cpu": True, "ddp_backend": "gloo"} | arguments
    accelerators = (torch.cuda, torch.backends.mps, torch.xpu)
    accelerated = any(kind.is_available() for kind in accelerators)
    if arguments.get("bf16") and not accelerated:
        arguments = {"use_cpu": True} | arguments  # else bfloat16 is taken for a GPU's
    if os.environ.get(TENSORBOARD, _tensorboard[-1]) == _tensorboard[-1]:  # not set by the user
        _tensorboard.append(str(Path(cfg.output) / "tensorboard"))
        os.environ[TENSORBOARD] = _tensorboard[-1]
    try:
        return TrainingArguments(**arguments, **fixed)
    except (TypeError, ValueError) as error:
        raise StanceError(f"trainer.arguments: {error}") from error


def parameter_groups(
    model: StanceModel,
    *,
    encoder_rate: float,
    head_rate: float,
    layer_decay: float,
    weight_decay: float,
) -> list[dict[str, Any]]:
    """Optimizer groups: heads, and the encoder's layers with rates that fall toward its input.

    Layer-wise decay: Howard and Ruder, ULMFiT (ACL 2018). Biases and norms have no weight decay.
    """
    layers = len(_layer_numbers(model))
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = head_rate
        if name.startswith("encoder."):
            depth = _layer_number(name)
            below_top = layers if depth is None else layers - 1 - depth
            rate = encoder_rate * layer_decay**below_top
        decay = 0.0 if parameter.ndim < 2 else weight_decay
        groups.setdefault((rate, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def _layer_number(name: str) -> int | None:
    """The number in `….layer.3.…` or `….layers.3.…`; None for the embeddings."""
    parts = name.split(".")
    for before, after in pairwise(parts):
        if before in ("layer", "layers") and after.isdigit():
            return int(after)
    return None


def _layer_numbers(model: StanceModel) -> set[int]:
    numbers = {_layer_number(name) for name, _ in model.encoder.named_parameters()}
    return {number for number in numbers if number is not None}


def start_point(cfg: DictConfig) -> str | None:
    """The last whole checkpoint if `resume` is on; else checkpoints of older runs are removed.

    Raises:
        StanceError: the checkpoints are of a run with another config.
    """
    folder = Path(cfg.checkpoints)
    record = folder / "run.json"
    now = {name: value for name, value in plain(cfg).items() if name not in ("resume", "output")}
    now = json.loads(json.dumps({k: v for k, v in now.items() if k not in ("checkpoints",)}))
    if cfg.resume and record.is_file():
        before = json.loads(record.read_text(encoding="utf-8"))
        if before != now:
            wrong = sorted(k for k in {*before, *now} if before.get(k) != now.get(k))
            raise StanceError(
                f"{folder}: its checkpoints are of a run with another config (differs in "
                f"{', '.join(wrong)}); use resume=false or another output"
            )
        whole = [path for path in folder.glob("checkpoint-*") if is_whole(path)]
        if whole:
            return str(max(whole, key=lambda path: int(path.name.rsplit("-", 1)[1])))
        return None
    if int(os.environ.get("RANK", "0")) == 0:
        for path in folder.glob("checkpoint-*"):
            shutil.rmtree(path)
        folder.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps(now, indent=2), encoding="utf-8")
    return None


def is_whole(checkpoint: Path) -> bool:
    """Whether a checkpoint was written to its end (a killed run can leave half of one)."""
    if not all((checkpoint / name).is_file() for name in CHECKPOINT_FILES):
        return False
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except ValueError:
        return False
    return True


def calibrate(tagger: Tagger, articles: Iterable[Article]) -> Calibration:
    """Temperatures and decision weights of the single facets, of stance and of spans.

    The weights are for the best macro-F1 of a facet's labels, of favor and against for stance, and
    of exact spans, on these articles. What has too few labels among them has none.
    """
    schema = tagger.schema
    logits: dict[str, list[np.ndarray[Any, Any]]] = {}
    labels: dict[str, list[int]] = {}
    in_order: dict[str, list[list[int]]] = {}
    spans = LabelledSpans(schema.spans)
    for article, raw in tagger.logits(articles):
        for facet, numbers in labelled_in_order(article, schema):
            in_order.setdefault(facet.name, []).append(numbers)
        for row, sentence in enumerate(article.sentences or ()):
            for facet, columns in schema.slices():
                label = sentence.facets.get(facet.name)
                if label is not None and facet.kind == "single":
                    logits.setdefault(facet.name, []).append(raw.facets[row, columns])
                    labels.setdefault(facet.name, []).append(facet.index(label.label))
            for stance in sentence.stance:
                logits.setdefault("stance", []).append(raw.stance[row, stance.target])
                labels.setdefault("stance", []).append(schema.stance.index(stance.label))
            if sentence.spans is not None:
                spans.add(article.text, *raw.spans[row], sentence.spans)
    sides = [n for n, label in enumerate(schema.stance) if label in ("favor", "against")]
    temperatures: dict[str, float] = {}
    weights: dict[str, tuple[float, ...]] = {}
    for name, rows in logits.items():
        stacked, gold = np.stack(rows), np.array(labels[name], dtype=np.int64)
        if len(gold) < FEW_LABELS:
            continue
        temperatures[name] = fit_temperature(stacked, gold)
        scaled = (stacked / temperatures[name]).astype(np.float32)
        counted = sides if name == "stance" and len(sides) == 2 else None
        if np.bincount(gold, minlength=stacked.shape[-1]).min() >= FEW_OF_ONE:
            weights[name] = fit_weights(softmax(scaled), gold, counted)
    weights |= {f"spans/{track}": fitted for track, fitted in spans.fit_weights().items()}
    following = {
        facet.name: fit_following(in_order.get(facet.name, ()), len(facet.labels))
        for facet in schema.facets
    }
    following = {name: rows for name, rows in following.items() if rows}
    return Calibration(temperatures, weights, following)


def labelled_in_order(article: Article, schema: Schema) -> Iterator[tuple[Facet, list[int]]]:
    """The labels of every single facet that all sentences of an article have, as numbers."""
    for facet in schema.facets:
        labels = [sentence.facets.get(facet.name) for sentence in article.sentences or ()]
        if facet.kind == "single" and labels and None not in labels:
            yield facet, [facet.index(label.label) for label in labels if label is not None]


def write_model(
    folder: Path, trainer: StanceTrainer, tokenizer_folder: Path, run: Mapping[str, Any]
) -> None:
    """Write the model folder from an allow-list: aside first, then in its place."""
    aside = folder.with_name(folder.name + ".part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    trainer.stance_model.save_pretrained(str(aside))
    for name in MODEL_FILES:
        if (tokenizer_folder / name).is_file() and not (aside / name).is_file():
            shutil.copyfile(tokenizer_folder / name, aside / name)
    for path in aside.iterdir():
        if path.name not in MODEL_FILES:
            path.unlink()
    trainer.schema.save(aside / "schema.json")
    calibration = calibrate(trainer.tagger(), trainer.selection)
    calibration = calibration.over(start_calibration(trainer.cfg, trainer.schema))
    calibration.save(aside / "calibration.json")
    record = {"run": dict(run), "config": plain(trainer.cfg), "versions": versions()}
    (aside / "training.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)


def start_calibration(cfg: DictConfig, schema: Schema) -> Calibration:
    """What the model that training starts from has for facets of both schemas, stance and spans.

    A handful of labels fits nothing; without it the heads that were kept would decide worse than
    they did.
    """
    if not cfg.init_from:
        return Calibration()
    folder = find_model(str(cfg.init_from))
    config = read_config(folder)
    old = Schema.from_dict(config["schema"], where=str(folder / "config.json"))
    kept = {facet.name for facet in schema.facets if facet in old.facets}
    kept |= {"stance", *(f"spans/{track}" for track in schema.spans)}
    return Calibration.load(folder / "calibration.json").only(kept)


def read_training(folder: str | Path) -> dict[str, Any]:
    """What the training run left in a model folder: `run`, `config`, `versions`."""
    data: dict[str, Any] = json.loads((Path(folder) / "training.json").read_text(encoding="utf-8"))
    return data


def versions() -> dict[str, str]:
    """Versions of what a run depends on."""
    from importlib.metadata import version

    names = ("torch", "transformers", "tokenizers", "datasets", "scikit-learn", "numpy")
    return {"stance-news": __version__, **{name: version(name) for name in names}}
