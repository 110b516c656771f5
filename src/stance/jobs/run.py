"""Takes the config of `configs/tag.yaml`; gives one file of tagged articles, or a job folder."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from stance import __version__
from stance.auto_targets import add_targets
from stance.config import plain
from stance.errors import StanceError, require
from stance.jobs import folder as job_folder
from stance.jobs.labelling import Counts, check_apart, output_format, tag_files
from stance.jobs.parts import Settings, write_part
from stance.jobs.plan import Part, make_plan
from stance.jobs.progress import Progress
from stance.narratives import Narratives
from stance.readers import SUFFIXES, require_readers, tell_apart
from stance.records import Article
from stance.runtime import ONNX_FILES, choose_backend
from stance.schema import Schema
from stance.storage import File, is_url, list_files, printable
from stance.tagger import Tagger, find_model, model_name, read_config

ENGINES = ("local", "ray")
PACKAGES = ("numpy", "onnxruntime", "pyarrow", "tokenizers", "torch", "transformers")


def run(cfg: Any) -> Counts:
    """Label the input: into one file if `output` ends in .jsonl or .parquet, else into a folder.

    Raises:
        StanceError: a setting, the input, the model or the output is not what it should be.
    """
    if cfg.engine not in ENGINES:
        raise StanceError(f"engine is {cfg.engine!r}, want one of {', '.join(ENGINES)}")
    given = plain(cfg.input)
    inputs = [given] if isinstance(given, str) else [str(entry) for entry in given]
    if is_url(str(cfg.output)):
        raise StanceError(f"{cfg.output}: the output is a local folder or file, not a URL")
    output = Path(str(cfg.output))
    if output.suffix in (".jsonl", ".parquet"):
        return _run_file(cfg, inputs, output)
    return _run_folder(cfg, inputs, output)


def _run_file(cfg: Any, inputs: Sequence[str], output: Path) -> Counts:
    if cfg.engine != "local":
        raise StanceError(f"engine={cfg.engine} writes a folder of parts, not the file {output}")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StanceError(f"{output.parent}: cannot be made: {error.strerror}") from error
    tagger = Tagger.from_settings(cfg)
    return tag_files(
        tagger,
        inputs,
        output,
        targets=_targets(cfg),
        format=output_format(output, cfg.format),
        probs=bool(cfg.probs),
        rejects=cfg.rejects,
    )


def _run_folder(cfg: Any, inputs: Sequence[str], output: Path) -> Counts:
    if cfg.rejects:
        raise StanceError(f"rejects: a job has its own, in {output / 'rejects'}")
    format = output_format(None, cfg.format or "parquet")
    if format == "parquet":
        require("pyarrow.parquet", "parquet")
    check_apart(inputs, output, output / f"part-00000.{format}")
    model = find_model(str(cfg.model)).resolve()
    targets = _targets(cfg)
    checked = add_targets(Article(""), targets).targets
    if not isinstance(targets, str):
        targets = [target.to_json() for target in checked]
    files = _files(inputs, output)
    backend = _backend(cfg, model, output)
    job: dict[str, Any] = {
        "stance": __version__,
        **_model(model, backend),
        "backend": backend,
        "targets": targets,
        "input": _fingerprint(files),
        "format": format,
        "probs": bool(cfg.probs),
        "part_articles": max(1, int(cfg.part_articles)),
        "batch_tokens": cfg.batch_tokens,
        "context": cfg.context,
        "dtype": str(cfg.dtype),
    }
    with job_folder.locked(output):
        manifest = job_folder.read_manifest(output)
        if manifest is not None and cfg.resume:
            job_folder.check_agrees(output, manifest, job)
        else:
            with Progress("reading", None) as progress:
                parts = make_plan(files, job["part_articles"], progress.add)
            content = {
                "job": job,
                "config": {"input": inputs, "model": str(cfg.model), "device": str(cfg.device)},
                "versions": _versions(),
                "plan": [{"part": part.to_json(), "counts": None} for part in parts],
            }
            manifest = job_folder.new_manifest(output, content)
        finished = job_folder.finished_parts(output, manifest)
        parts = [Part.from_json(entry["part"]) for entry in manifest["plan"]]
        todo = [part for part in parts if part.number not in finished]
        if not todo and manifest["counts"] is not None:
            return Counts(**manifest["counts"])
        done = sum(counts.records for counts in finished.values())
        total = sum(part.records for part in parts)
        with (
            job_folder.unfinished(output) as unfinished,
            Progress("labelling", total, done) as progress,
        ):
            settings = Settings(
                model=str(model),
                backend=backend,
                device=str(cfg.device),
                threads=cfg.threads and int(cfg.threads),
                dtype=job["dtype"],
                batch_tokens=job["batch_tokens"],
                context=job["context"],
                targets=job["targets"],
                format=format,
                probs=job["probs"],
                output=str(output.resolve()),
                unfinished=str(unfinished.resolve()),
            )
            for number, counts in _label(cfg, todo, settings, progress):
                finished[number] = counts
        return job_folder.finish(output, manifest, finished)


def _label(
    cfg: Any, parts: Sequence[Part], settings: Settings, progress: Progress
) -> Iterator[tuple[int, Counts]]:
    """Label the parts with the engine of the config; their counts as they are finished."""
    if not parts:
        return
    if cfg.engine == "ray":
        from stance.jobs.on_ray import label_parts

        address, workers = cfg.ray.address, cfg.ray.workers
        for number, counts in label_parts(parts, settings, address=address, workers=workers):
            progress.add(counts.records, counts.sentences)
            yield number, counts
        return
    tagger = settings.load()
    for part in parts:
        yield part.number, write_part(tagger, part, settings, progress.add)


def _targets(cfg: Any) -> str | list[Any]:
    """The targets of the config and of its narratives file; a string for automatic ones."""
    given: str | list[Any] = plain(cfg.targets) or []
    if not cfg.narratives:
        return given
    if isinstance(given, str):
        raise StanceError(f"narratives: targets={given} stands in place of such a file")
    return [*given, *Narratives.load(str(cfg.narratives)).targets]


def _files(inputs: Sequence[str], output: Path) -> list[File]:
    """The files of all inputs, with absolute paths: a worker may run in another folder."""
    files: list[File] = []
    for entry in inputs:
        files += list_files(entry if is_url(entry) else os.path.abspath(entry), SUFFIXES)
    inside = str(output.resolve()) + os.sep
    for file in files:
        if not is_url(file.path) and os.path.realpath(file.path).startswith(inside):
            raise StanceError(f"{printable(file.path)}: the output folder is part of the input")
    require_readers(files)
    return tell_apart(files)


def _fingerprint(files: Sequence[File]) -> str:
    """Number and size of the files, and a hash of their paths, sizes and stamps."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(json.dumps([file.path, file.name, file.size, file.stamp]).encode())
    size = sum(file.size for file in files)
    return f"{len(files)} files, {size} bytes, {digest.hexdigest()[:16]}"


def _backend(cfg: Any, model: Path, output: Path) -> str:
    """The backend of a job; with `auto` that of the job which is taken up again.

    Raises:
        StanceError: this machine cannot go on with the backend that the job began with.
    """
    manifest = job_folder.read_manifest(output) if output.is_dir() and cfg.resume else None
    if str(cfg.backend) != "auto" or manifest is None or "backend" not in manifest["job"]:
        return choose_backend(model, str(cfg.backend), str(cfg.device))
    try:
        return choose_backend(model, manifest["job"]["backend"], str(cfg.device))
    except StanceError as error:
        if manifest["counts"] is not None:  # it is done
            return str(manifest["job"]["backend"])
        raise StanceError(
            f"{output}: this job was begun with backend={manifest['job']['backend']}, which cannot "
            f"be used here ({error}). Go on where it can, or give resume=false to start anew"
        ) from error


def _model(folder: Path, backend: str) -> Mapping[str, str]:
    """What identifies a model: its name, a hash of the files that decide labels, its schema's."""
    config = read_config(folder)
    weights = [ONNX_FILES.get(backend, "model.safetensors")]
    # A graph alone, or a folder that has no others for PyTorch.
    if backend == "onnx-vnni" or not (folder / weights[0]).is_file():
        weights.append(ONNX_FILES["onnx-int8"])
    digest = hashlib.sha256()
    for name in (*weights, "config.json", "calibration.json", "tokenizer.json"):
        path = folder / name
        digest.update(path.read_bytes() if path.is_file() else b"")
    schema = Schema.from_dict(config["schema"], where=f"{folder / 'config.json'}: schema")
    return {
        "model": f"{model_name(folder)}, {backend}, {digest.hexdigest()[:16]}",
        "schema": hashlib.sha256(json.dumps(schema.to_dict()).encode()).hexdigest()[:16],
    }


def _versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers may depend on."""
    installed = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed
