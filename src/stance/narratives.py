"""Takes a file of entities and claims; gives the targets that a whole archive is asked about."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stance.errors import StanceError, require
from stance.mentions import has_words
from stance.records import Target


@dataclass(frozen=True)
class Narratives:
    """Targets with the names that an article must mention one of, or it skips the target."""

    targets: tuple[Target, ...]

    @classmethod
    def load(cls, path: str | Path) -> Narratives:
        """Read a .yaml file (which needs the extra `ledger` or `train`) or a .json file.

        Raises:
            StanceError: there is no such file, or an entry is wrong; names the file and the entry.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise StanceError(f"{path}: cannot be read: {reason}") from None
        if path.suffix == ".json":
            try:
                data = json.loads(text)
            except ValueError as error:
                raise StanceError(f"{path}: not JSON: {error}") from None
        else:
            yaml = require("yaml", "ledger")
            try:
                data = yaml.safe_load(text)
            except yaml.YAMLError as error:
                raise StanceError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
        return cls.from_dict(data, where=str(path))

    @classmethod
    def from_dict(cls, data: object, *, where: str = "narratives") -> Narratives:
        """Check plain data: `entities` (name, aliases) and `claims` (text, about).

        Raises:
            StanceError: names the wrong entry.
        """
        data = _mapping(data, {"entities", "claims"}, where)
        names: dict[str, tuple[str, ...]] = {}
        for number, entry in enumerate(_list(data.get("entities"), f"{where}: entities")):
            here = f"{where}: entities[{number}]"
            entry = _mapping(
                {"name": entry} if isinstance(entry, str) else entry, {"name", "aliases"}, here
            )
            name = _name(entry.get("name"), f"{here}.name")
            if name in names:
                raise StanceError(f"{here}.name: {name!r} stands there twice")
            aliases = [
                _name(alias, f"{here}.aliases[{position}]")
                for position, alias in enumerate(_list(entry.get("aliases"), f"{here}.aliases"))
            ]
            names[name] = tuple(dict.fromkeys([name, *aliases]))
        targets = [Target(name, names=own) for name, own in names.items()]
        claims: set[str] = set()
        for number, entry in enumerate(_list(data.get("claims"), f"{where}: claims")):
            here = f"{where}: claims[{number}]"
            entry = _mapping(entry, {"text", "about"}, here)
            text = _name(entry.get("text"), f"{here}.text")
            if text in claims:
                raise StanceError(f"{here}.text: {text!r} stands there twice")
            claims.add(text)
            about = _list(entry.get("about"), f"{here}.about")
            if not about:
                raise StanceError(f"{here}.about: want the names of the entities it is about")
            own: list[str] = []
            for position, entity in enumerate(about):
                name = _name(entity, f"{here}.about[{position}]")
                if name not in names:
                    raise StanceError(
                        f"{here}.about[{position}]: there is no entity named {name!r}"
                    )
                own += names[name]
            targets.append(Target(text, "claim", names=tuple(dict.fromkeys(own))))
        if not targets:
            raise StanceError(f"{where}: want at least one of 'entities' and 'claims'")
        return cls(tuple(targets))


def _mapping(value: object, fields: set[str], where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise StanceError(f"{where}: want a mapping with {' and '.join(sorted(fields))}")
    unknown = set(value) - fields
    if unknown:
        raise StanceError(f"{where}: unknown entry {min(map(str, unknown))!r}")
    return value


def _list(value: object, where: str) -> Sequence[Any]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise StanceError(f"{where}: want a list")
    return value


def _name(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise StanceError(f"{where}: want a string, found {value!r} (quotation marks make it one)")
    if not has_words(value):
        raise StanceError(f"{where}: {value!r} has no word to look for")
    return value.strip()
