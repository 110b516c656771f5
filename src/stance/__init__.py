"""Tags news sentences by attribution and by stance toward targets.

Importing this package is fast: what is heavy is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stance.errors import RecordError, StanceError
    from stance.records import Article, Label, Sentence, Stance, Target
    from stance.schema import Schema
    from stance.tagger import Tagger

__version__ = "0.1.0"

_HOMES = {
    "Article": "records",
    "Label": "records",
    "RecordError": "errors",
    "Schema": "schema",
    "Sentence": "records",
    "Stance": "records",
    "StanceError": "errors",
    "Tagger": "tagger",
    "Target": "records",
}

__all__ = [
    "Article",
    "Label",
    "RecordError",
    "Schema",
    "Sentence",
    "Stance",
    "StanceError",
    "Tagger",
    "Target",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(f"stance.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'stance' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
