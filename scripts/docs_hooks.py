"""Takes the documentation's files; gives it the data card and guidelines too (see mkdocs.yml)."""

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

DATA = Path(__file__).resolve().parents[1] / "data"


def on_files(files: Files, config: Any) -> Files:
    """Pages and examples that stand in `data/`, where the repository has them."""
    for name in ("README.md", "GUIDELINES.md", "examples/narratives.yaml"):
        content = (DATA / name).read_text(encoding="utf-8")
        files.append(File.generated(config, f"data/{name}", content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links out of `docs/` into `data/` as links within the site."""
    return markdown.replace("](../data/", "](data/")
