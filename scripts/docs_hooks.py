"""Takes the documentation's files; gives it the cards of model and data too (see mkdocs.yml)."""

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "data/README.md": "data/README.md",
    "data/GUIDELINES.md": "data/GUIDELINES.md",
    "data/examples/narratives.yaml": "data/examples/narratives.yaml",
    "src/stance/assets/model/README.md": "model-card.md",
}
"""Files outside `docs/`, and where the site has them."""


def on_files(files: Files, config: Any) -> Files:
    """Pages and examples that stand elsewhere in the repository."""
    for path, page in PAGES.items():
        content = (ROOT / path).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links out of `docs/` as links within the site."""
    for path, page in PAGES.items():
        markdown = markdown.replace(f"](../{path}", f"]({page}")
    return markdown.replace("](../docs/", "](../")
