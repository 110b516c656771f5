"""Takes nothing; gives the exceptions whose message is written for the person at the keyboard."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What a terminal would obey, but for tabs and line ends."""


class StanceError(Exception):
    """An input or a setting is wrong; the message is one sentence that says what and where."""


class RecordError(StanceError):
    """A record cannot be read. `reason` says why, `field` where in the record (may be empty).

    `path` and `line` (1-based; for tables the row) are filled in by the reader that met it.
    """

    def __init__(
        self,
        reason: str,
        *,
        field: str = "",
        path: str | Path | None = None,
        line: int | None = None,
        raw: str = "",
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field
        self.path = None if path is None else str(path)
        self.line = line
        self.raw = raw

    def __str__(self) -> str:
        place = self.path or ""
        if self.line is not None:
            place += f":{self.line}" if place else f"line {self.line}"
        told = ": ".join(part for part in (place, self.field, self.reason) if part)
        # A field's name may come from the record, and a terminal would obey it.
        return CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", told)

    def at(self, path: str | Path, line: int | None, raw: str = "") -> RecordError:
        """The same error with the file, the line and the raw record it was met in."""
        return RecordError(self.reason, field=self.field, path=path, line=line, raw=raw)


class MissingExtra(StanceError):
    """A package of an optional extra is not installed."""


def require(module: str, extra: str) -> ModuleType:
    """Import `module`, or raise `MissingExtra` that names the pip command for `extra`."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or module).split(".")[0]
        raise MissingExtra(
            f"this needs the package {missing!r}: pip install 'stance-news[{extra}]'"
        ) from error
    except ImportError as error:
        raise MissingExtra(
            f"{module} is installed and cannot be imported ({error}): "
            f"pip install --upgrade 'stance-news[{extra}]'"
        ) from error
