"""Takes the name of a bundled folder; gives its path, in a wheel and in a checkout alike."""

from __future__ import annotations

from pathlib import Path

from stance.errors import StanceError

PACKAGE = Path(__file__).resolve().parent


def bundled(name: str) -> Path:
    """Path of `configs`, `data/…` or `assets/…`: in the package, or beside `src` in a checkout."""
    for root in (PACKAGE, PACKAGE.parents[1]):
        path = root / name
        if path.is_dir():
            return path
    raise StanceError(f"the installed package has no folder {name!r}: install it again")
