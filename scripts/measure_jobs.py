"""Measure what docs/archives.md says of jobs: their memory, and how much Ray costs.

    python scripts/measure_jobs.py memory MODEL     200,000 sentences in one job; draws a figure
    python scripts/measure_jobs.py ray MODEL        two workers beside two bare processes

The input is the starter corpus, repeated with ids of its own. Results go into `--output`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from stance.corpora import read_corpus
from stance.figures import draw_memory
from stance.jobs import tag_files
from stance.tagger import Tagger

TAG = Path(__file__).resolve().parent / "tag.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("what", choices=("memory", "ray", "bare"))
    parser.add_argument("model")
    parser.add_argument("--sentences", type=int, help="default: 200,000; ray: 20,000")
    parser.add_argument("--rounds", type=int, default=3, help="of ray, interleaved")
    parser.add_argument("--output", type=Path, default=Path("outputs/jobs"))
    parser.add_argument("--input", type=Path, help="of a bare process")
    options = parser.parse_args()
    if options.what == "bare":
        print(bare(options.model, options.input))
        return
    options.output.mkdir(parents=True, exist_ok=True)
    if options.what == "memory":
        result = memory(options.model, options.sentences or 200_000, options.output)
    else:
        result = beside_ray(
            options.model, options.sentences or 20_000, options.rounds, options.output
        )
    text = json.dumps(result, indent=1)
    (options.output / f"{options.what}.json").write_text(text + "\n", encoding="utf-8")
    print(json.dumps({name: part for name, part in result.items() if name != "samples"}))


def memory(model: str, sentences: int, output: Path) -> dict[str, Any]:
    """Resident memory of one job, every second, from its start to its end."""
    write_archive(output / "archive.jsonl", sentences)
    words = [f"model={model}", f"input={output}/archive.jsonl", f"output={output}/tagged"]
    job = subprocess.Popen(
        [sys.executable, str(TAG), *words, "resume=false"], stdout=subprocess.PIPE, text=True
    )
    began = time.monotonic()
    samples: list[tuple[float, float]] = []
    while job.poll() is None:
        resident = status(job.pid, "VmRSS")
        if resident is not None:
            samples.append((round(time.monotonic() - began, 1), resident))
        time.sleep(1)
    counts = json.loads((output / "tagged" / "manifest.json").read_text())["counts"]
    draw_memory(samples, f"{counts['sentences']:,} sentences in one job", output / "memory.png")
    middle = [size for _, size in samples[len(samples) // 4 :]]
    return {
        **counts,
        "seconds": samples[-1][0],
        "peak_mb": max(size for _, size in samples),
        "second_quarter_mb": median(middle[: len(middle) // 3]),
        "last_quarter_mb": median(middle[-len(middle) // 3 :]),
        "samples": samples,
    }


def beside_ray(model: str, sentences: int, rounds: int, output: Path) -> dict[str, Any]:
    """Sentences a second of two Ray workers and of two bare processes, all of one thread.

    Of both only labelling counts, not the time to start and to load the model: of a bare process
    from its first article on, of Ray from the second part that is finished to the last but one.
    """
    halves = [output / "half-0.jsonl", output / "half-1.jsonl"]
    for number, half in enumerate(halves):
        write_archive(half, sentences // 2, f"h{number}-")
    bare_speeds, ray_speeds = [], []
    for number in range(rounds):
        words = [sys.executable, __file__, "bare", model, "--input"]
        processes = [
            subprocess.Popen([*words, str(half)], stdout=subprocess.PIPE, text=True)
            for half in halves
        ]
        bare_speeds.append(sum(float(process.communicate()[0]) for process in processes))
        folder = output / f"ray-{number}"
        inputs = ",".join(map(str, halves))
        words = [f"model={model}", f"input=[{inputs}]", f"output={folder}", "engine=ray"]
        words += ["ray.workers=2", "part_articles=40", "resume=false"]
        subprocess.run([sys.executable, str(TAG), *words], check=True)
        ray_speeds.append(speed_of_parts(folder))
    return {
        "bare": bare_speeds,
        "ray": ray_speeds,
        "ray_to_bare": median(ray_speeds) / median(bare_speeds),
    }


def bare(model: str, path: Path) -> float:
    """Sentences a second of this process, with one thread, into one Parquet file."""
    tagger = Tagger.from_pretrained(model, threads=1)
    began = time.monotonic()
    counts = tag_files(tagger, [path], path.with_suffix(".parquet"), format="parquet")
    return counts.sentences / (time.monotonic() - began)


def speed_of_parts(folder: Path) -> float:
    """Sentences a second between the second part that was finished and the last but one."""
    plan = json.loads((folder / "manifest.json").read_text())["plan"]
    ends = sorted(
        (
            (folder / f"part-{entry['part']['number']:05d}.parquet").stat().st_mtime,
            entry["counts"]["sentences"],
        )
        for entry in plan
    )[1:-1]
    return sum(sentences for _, sentences in ends[1:]) / (ends[-1][0] - ends[0][0])


def write_archive(path: Path, sentences: int, prefix: str = "") -> None:
    """The starter corpus without its labels, again and again until there are enough sentences."""
    with path.open("w", encoding="utf-8") as stream:
        for number, (record, count) in enumerate(repeated()):
            stream.write(json.dumps({"id": f"{prefix}{number}", **record}) + "\n")
            sentences -= count
            if sentences <= 0:
                return


def repeated() -> Iterator[tuple[dict[str, Any], int]]:
    articles = read_corpus("starter", None, "train")
    while True:
        for article in articles:
            targets = [target.to_json() for target in article.targets]
            yield {"text": article.text, "targets": targets}, len(article.sentences or ())


def status(pid: int, name: str) -> float | None:
    """A line of /proc/PID/status in MB (10^6 bytes); None when the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / 1e6
    return None


if __name__ == "__main__":
    main()
