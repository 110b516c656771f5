"""Takes a job's plan and settings; gives its folder: lock, manifest, and parts that are whole.

manifest.json            what the job is, its plan, and in the end its counts
part-00000.parquet       tagged articles (or .jsonl)
rejects/part-00000.jsonl broken records, for the parts that had some
done/part-00000.json     counts of the parts that are there, while the job is not at its end
.unfinished-…            what is being written; of no use to anybody when its job is dead
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stance.errors import StanceError
from stance.jobs.labelling import Counts
from stance.jobs.plan import Part

MANIFEST = "manifest.json"
VERSION = 1
UNFINISHED = ".unfinished-"
OWN = re.compile(r"part-\d{5,}\.(parquet|jsonl|json)")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder, and keep it for this process until the block or the process ends.

    Raises:
        StanceError: another job holds it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / ".lock").open("ab")
    except OSError as error:
        raise _cannot_write(folder, error) from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StanceError(f"{folder}: another job is writing into this folder") from None
        except OSError as error:  # a file system without locks
            raise _cannot_write(folder, error) from error
        yield


@contextmanager
def unfinished(folder: Path) -> Iterator[Path]:
    """A folder for what is being written, in the folder of the job.

    It has a name of its own in every run, and those of dead runs are removed: a worker that has
    outlived its job cannot move anything into its place any more.
    """
    try:
        for old in folder.glob(f"{UNFINISHED}*"):
            shutil.rmtree(old, ignore_errors=True)
        (folder / "done").mkdir(exist_ok=True)
        new = folder / f"{UNFINISHED}{uuid.uuid4().hex}"
        new.mkdir()
    except OSError as error:
        raise _cannot_write(folder, error) from error
    try:
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a job folder; None for a folder that is empty.

    Raises:
        StanceError: the folder has other files in it, or the manifest is none.
    """
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        if manifest["version"] != VERSION:
            raise StanceError(f"{path}: of version {manifest['version']}, want {VERSION}")
        return manifest
    except FileNotFoundError:
        others = {entry.name for entry in folder.iterdir()} - {".lock", f"{MANIFEST}.unfinished"}
        if others:
            raise StanceError(
                f"{folder}: there are files in this folder, but no {MANIFEST} of a job: "
                "give a new or an empty folder"
            ) from None
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StanceError(f"{path}: not the manifest of a job: {error}") from error


def check_agrees(folder: Path, manifest: Mapping[str, Any], job: Mapping[str, Any]) -> None:
    """Raise `StanceError` that names what differs, unless the manifest is of this job."""
    differences = [
        f"{name} (it was {_short(manifest['job'].get(name))}, now it is {_short(value)})"
        for name, value in job.items()
        if manifest["job"].get(name) != value
    ]
    if differences:
        raise StanceError(
            f"{folder}: a job with other settings is in this folder; what differs: "
            f"{', '.join(differences)}. Give another output, or resume=false to start anew"
        )


def new_manifest(folder: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Remove the parts of an earlier job, and write the manifest of a new one."""
    try:
        for place in (folder / "done", folder, folder / "rejects"):
            for path in place.iterdir() if place.is_dir() else ():
                if OWN.fullmatch(path.name):
                    path.unlink()
    except OSError as error:
        raise _cannot_write(folder, error) from error
    manifest = {"version": VERSION, **content, "counts": None}
    write_manifest(folder, manifest)
    return manifest


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Put a manifest in the place of the one before it."""
    path = folder / MANIFEST
    aside = path.with_name(f"{MANIFEST}.unfinished")
    try:
        aside.write_text(json.dumps(manifest, indent=1) + "\n", encoding="ascii")
        settle(aside, path)
    except OSError as error:
        raise _cannot_write(path, error) from error


def finished_parts(folder: Path, manifest: Mapping[str, Any]) -> dict[int, Counts]:
    """Counts of the parts that are in their places."""
    finished: dict[int, Counts] = {}
    ending = manifest["job"]["format"]
    for entry in manifest["plan"]:
        part = Part.from_json(entry["part"])
        counts = entry["counts"]
        marker = folder / "done" / f"{part.name}.json"
        if counts is None and marker.is_file():
            counts = json.loads(marker.read_bytes())
        if counts is not None and (folder / f"{part.name}.{ending}").is_file():
            finished[part.number] = Counts(**counts)
    return finished


def finish(folder: Path, manifest: dict[str, Any], finished: Mapping[int, Counts]) -> Counts:
    """Write the counts into the manifest, and remove what only an unfinished job needs."""
    total = Counts()
    for entry in manifest["plan"]:
        counts = finished[entry["part"]["number"]]
        entry["counts"] = asdict(counts)
        total.add(counts)
    manifest["counts"] = asdict(total)
    write_manifest(folder, manifest)
    shutil.rmtree(folder / "done", ignore_errors=True)
    return total


def settle(aside: Path, place: Path) -> None:
    """Move a file into its place, so that after a power cut it is there whole or not at all."""
    with aside.open("rb") as stream:
        os.fsync(stream.fileno())
    aside.replace(place)
    folder = os.open(place.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _cannot_write(path: Path, error: OSError) -> StanceError:
    return StanceError(f"{path}: cannot be written: {error.strerror or error}")
