"""Takes a trained model folder; gives the folder of the model that the package carries.

It holds the weights twice, made of the same numbers: in bfloat16 for PyTorch and for training that
starts from them, and in 8 bits for ONNX Runtime, with a graph beside them for VNNI if this
processor has it. Calibration and figures are those of the 8-bit weights.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from omegaconf import DictConfig, OmegaConf

from stance.card import write_card
from stance.errors import StanceError
from stance.export import export
from stance.report import evaluate_model
from stance.resources import bundled
from stance.runtime import ONNX_FILES
from stance.tagger import Tagger, copy_model, find_model
from stance.training import calibrate, read_training, selection_part

LOCAL = ("output", "checkpoints", "threads", "resume", "init_from")
"""Settings of a training run that tell of the machine it ran on."""

CORPORA = "${oc.env:STANCE_CORPUS_DIR,data/corpora}"


def bundle(cfg: DictConfig) -> Path:
    """Make the bundle of `cfg.model` as `configs/bundle.yaml` says.

    Returns:
        The folder, `cfg.output`. The report with its figures goes into `cfg.report`.

    Raises:
        StanceError: the model or a corpus is missing, or the graph labels otherwise than PyTorch
            (see `stance.export`).
    """
    source, output = find_model(str(cfg.model)), Path(cfg.output)
    if output.resolve() == source.resolve():
        raise StanceError(f"{output}: a bundle cannot be made of itself; set model or output")
    output.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="bundle-", dir=output.parent) as scratch:
        folder = Path(scratch) / output.name
        copy_model(source, folder)
        for file in ONNX_FILES.values():
            (folder / file).unlink(missing_ok=True)
        round_weights(folder, str(cfg.name))
        training = strip_training(folder, str(cfg.name))
        cfg = OmegaConf.merge(cfg, {"model": str(folder)})  # type: ignore[assignment]
        export(cfg)
        (folder / ONNX_FILES["onnx"]).unlink()
        run = OmegaConf.merge(cfg, {"corpus": training["config"]["corpus"]})
        assert isinstance(run, DictConfig)
        tagger = Tagger.from_pretrained(folder, backend="onnx-int8")
        calibrate(tagger, selection_part(run, tagger.schema)).save(folder / "calibration.json")
        metrics = evaluate_model(folder, run, output=Path(cfg.report))
        (folder / "metrics.json").unlink(missing_ok=True)
        card = write_card(folder, training, metrics)
        failures = (bundled("assets") / "failures.md").read_text(encoding="utf-8")
        text = card.read_text(encoding="utf-8").replace('"path/to/this/folder"', "")
        text = text.replace("## Licence\n", f"{failures}\n## Licence\n")
        card.write_text(text, encoding="utf-8")
        shutil.rmtree(output, ignore_errors=True)
        folder.rename(output)
    return output


def round_weights(folder: Path, name: str) -> None:
    """Round a model's weights to bfloat16, half their bytes, and name it; they load as float32."""
    import torch
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    weights = {
        name: tensor.to(torch.bfloat16) if tensor.is_floating_point() else tensor
        for name, tensor in load_file(path).items()
    }
    save_file(weights, path, metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors makes files for their owner alone
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {"dtype": "float32", "name": name}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def strip_training(folder: Path, name: str) -> dict[str, Any]:
    """Take what is of one machine alone out of `training.json`; gives what is left.

    Args:
        name: the model's new name.
    """
    training = read_training(folder)
    config = {name: value for name, value in training["config"].items() if name not in LOCAL}
    if config["corpus"].get("dir"):
        config["corpus"]["dir"] = CORPORA
    training["config"] = {**config, "name": name}
    (folder / "training.json").write_text(json.dumps(training, indent=2) + "\n", encoding="utf-8")
    return training
