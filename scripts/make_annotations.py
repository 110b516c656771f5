"""Takes labelled records (JSONL), gives the stand-off annotations without their text.

    python scripts/make_annotations.py --corpus-dir data/corpora --output data/annotations

The files are `<corpus>.<part>.jsonl`, as scripts/prepare_data.py writes them.
"""

import argparse
import os
import sys
from pathlib import Path

from stance.corpora import CORPORA
from stance.errors import StanceError
from stance.readers import read_records
from stance.standoff import PARTS, SOURCES, detach, json_lines, write_files


def main() -> None:
    parser = argparse.ArgumentParser(description="Take the labels of corpora apart from the text.")
    parser.add_argument("--corpus-dir", type=Path, default=os.environ.get("STANCE_CORPUS_DIR"))
    parser.add_argument("--output", type=Path, default=Path("data/annotations"))
    parser.add_argument("--corpora", nargs="+", choices=list(SOURCES), default=list(SOURCES))
    options = parser.parse_args()
    if options.corpus_dir is None:
        parser.error("--corpus-dir is required (or set STANCE_CORPUS_DIR)")
    try:
        files = {
            options.output / name: json_lines(
                (
                    detach(CORPORA[corpus].convert(row))
                    for _, row in read_records(Path(options.corpus_dir) / name)
                ),
                compact=True,
            )
            for corpus in options.corpora
            for part in PARTS
            for name in [f"{corpus}.{part}.jsonl"]
        }
        write_files(files)
    except StanceError as error:
        sys.exit(f"make_annotations: {error}")
    for path, lines in files.items():
        print(f"{path}: {lines.count(chr(10))} articles, {len(lines.encode()) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
