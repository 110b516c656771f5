"""Kill jobs at random moments, take them up again, and compare with an undisturbed one.

    python scripts/crash_test.py MODEL --moments 25
    python scripts/crash_test.py MODEL --moments 25 --engine ray

With engine=ray every second moment kills a worker instead of the whole job, beginning with one,
once a part is there. The moments are spread over the time that the engine takes undisturbed; what
the local engine gives is what all must give. Folders go into the working directory.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

TAG = Path(__file__).resolve().parent / "tag.py"
NOBODY = "no worker was found"
BROKEN = '{"id": "broken", "text": "cut'


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("--moments", type=int, default=25)
    parser.add_argument("--articles", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    write_archive(Path("archive.jsonl"), options.articles)
    words = [sys.executable, str(TAG), f"model={options.model}", "input=archive.jsonl"]
    words += ["threads=1", "part_articles=10", "targets=[Kelm]"]
    first, last = undisturbed([*words, "engine=local", "output=undisturbed"])
    want = hashes(Path("undisturbed"))
    words += [f"engine={options.engine}"]
    if options.engine != "local":
        first, last = undisturbed([*words, "output=timed"])
        if hashes(Path("timed")) != want:
            sys.exit(f"engine={options.engine} does not give what the local engine gives")
    chance = random.Random(options.seed)
    words += ["output=disturbed"]
    different = 0
    for moment in range(options.moments):
        shutil.rmtree("disturbed", ignore_errors=True)
        kill_worker = options.engine == "ray" and moment % 2 == 0
        longest = last - first if kill_worker else last
        delay = chance.uniform(0, longest)
        told = disturb(words, kill_worker, delay)
        while told == NOBODY and delay > 0.01:  # the job was faster than the one that was timed
            shutil.rmtree("disturbed")
            delay /= 2
            told = disturb(words, kill_worker, delay)
        same = hashes(Path("disturbed")) == want
        different += not same
        print(f"{told}: {'equal' if same else 'DIFFERENT'}", flush=True)
    print(f"{options.moments - different} of {options.moments} as the undisturbed job")
    sys.exit(1 if different else 0)


def undisturbed(words: list[str]) -> tuple[float, float]:
    """Seconds from a job's manifest to its first part, and to its last one."""
    folder = Path(words[-1].removeprefix("output="))
    shutil.rmtree(folder, ignore_errors=True)
    job = start(words)
    wait_for_manifest(job, folder)
    began = time.monotonic()
    seen: list[float] = []
    while job.poll() is None:
        if len(parts(folder)) > len(seen):
            seen.append(time.monotonic() - began)
        time.sleep(0.01)
    finish(job)
    return seen[0], seen[-1]


def disturb(words: list[str], kill_worker: bool, delay: float) -> str:
    """Run a job, kill it or a worker of it, and bring it to its end.

    Args:
        delay: in seconds, from the manifest on; from the first part on if a worker is killed.
    """
    folder = Path("disturbed")
    job = start(words)
    wait_for_manifest(job, folder)
    if kill_worker:
        wait_for_part(job, folder)
    time.sleep(delay)
    victim = next(workers_of(job.pid), None) if kill_worker else job.pid
    there = len(parts(folder))
    if victim is not None and job.poll() is None:
        os.kill(victim, signal.SIGKILL)
    if kill_worker:
        finish(job)
        return f"a worker killed with {there} parts there" if victim else NOBODY
    job.communicate()
    finish(start(words))
    return f"killed after {delay:.2f} s with {there} parts there"


def write_archive(path: Path, articles: int) -> None:
    """Short articles; one in fifty is broken, so that there are rejects too."""
    with path.open("w", encoding="utf-8") as stream:
        for number in range(articles):
            text = " ".join(
                f"The mayor of Kelm said on day {number} that bridge {n} was closed."
                for n in range(number % 9)
            )
            line = BROKEN if number % 50 == 7 else json.dumps({"id": f"a{number}", "text": text})
            stream.write(line + "\n")


def start(words: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_manifest(job: subprocess.Popen[str], folder: Path) -> None:
    while not (folder / "manifest.json").is_file() and job.poll() is None:
        time.sleep(0.005)


def wait_for_part(job: subprocess.Popen[str], folder: Path) -> None:
    while not parts(folder) and job.poll() is None:
        time.sleep(0.01)


def finish(job: subprocess.Popen[str]) -> None:
    """Wait for a job that rejects some records and labels the rest."""
    told, trouble = job.communicate()
    if job.returncode != 1 or "rejects" not in told:
        sys.exit(f"a job failed:\n{told}{trouble}")


def parts(folder: Path) -> list[Path]:
    return list(folder.glob("part-*"))


def hashes(folder: Path) -> dict[str, str]:
    """Every file of a job folder, the manifest among them, by its content."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def workers_of(driver: int) -> Iterator[int]:
    """Processes of the actors that label, all of which descend from this one."""
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                names[int(entry.name)] = (entry / "cmdline").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(status[1])
    for pid, name in names.items():
        ancestor = pid
        while ancestor in parents and ancestor != driver:
            ancestor = parents[ancestor]
        if ancestor == driver and name.startswith("ray::") and "MapWorker" in name:
            yield pid


if __name__ == "__main__":
    main()
