"""Takes a path, a glob or a URL; gives the files that it names, and opens them.

Local paths need nothing; URLs are opened by fsspec (extra `remote`).
"""

from __future__ import annotations

import glob
import hashlib
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from stance.errors import MissingExtra, StanceError, require

BUFFER = 1 << 20
"""Bytes that are asked of a remote file at a time by those who read it line by line."""

BLOCK = 8 << 20
"""Bytes that fsspec fetches at a time."""

STAMPS = (
    *("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "Last-Modified"),
    "created",
)
"""What the file systems of fsspec call the thing that changes when a file does."""


@dataclass(frozen=True)
class File:
    """A file: its path or URL, its name inside the folder or glob that it was found in (else its
    own), its size in bytes (-1 where a server does not tell), and a stamp that changes when its
    content does.
    """

    path: str
    name: str
    size: int
    stamp: str


def is_url(path: str) -> bool:
    """Whether a path is a URL, for fsspec to open."""
    return "://" in path


def list_files(entry: str, suffixes: Sequence[str]) -> list[File]:
    """The files of an entry, in the order of their names.

    Args:
        entry: a file, a folder (with all folders in it), a glob, or one of these as a URL.
        suffixes: endings that are read; other files of a folder or a glob are passed over.

    Raises:
        StanceError: there is nothing of that name, or nothing of these endings in it.
        MissingExtra: a URL, without fsspec or what it needs for this protocol.
    """
    found, single = _list_url(entry, suffixes) if is_url(entry) else _list_local(entry)
    wanted = [file for file in found if suffix_of(file.path) in suffixes]
    if not wanted:
        trouble = "want a file ending" if single else "no file in this folder ends"
        raise StanceError(f"{printable(entry)}: {trouble} in {', '.join(suffixes)}")
    return sorted(wanted, key=lambda file: PurePosixPath(file.path).parts)


def open_file(path: str) -> BinaryIO:
    """A local or remote file, open for reading.

    Raises:
        StanceError: it cannot be opened; also later, when the connection to a remote file fails:
            what cannot be fetched is not broken data.
    """
    if not is_url(path):
        try:
            return open(path, "rb")
        except OSError as error:
            raise StanceError(f"{printable(path)}: cannot be read: {error.strerror}") from error
    system, name = _remote(path)
    try:
        file = system.open(name, "rb", block_size=BLOCK)
    except Exception as error:  # every protocol has exceptions of its own
        raise StanceError(f"{path}: cannot be read: {error}") from error
    return cast(BinaryIO, io.BufferedReader(_RemoteFile(file, path), BUFFER))


def file_hash(path: Path) -> str:
    """The SHA-256 of a file, read piece by piece: weights fill much memory."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def printable(path: str | Path) -> str:
    """A path as a string that UTF-8 can write, though its bytes may be none."""
    return os.fsencode(path).decode("utf-8", "backslashreplace").replace(os.sep, "/")


def suffix_of(path: str) -> str:
    """The ending of a path or URL, in small letters, with its dot."""
    return PurePosixPath(path).suffix.lower()


class _RemoteFile(io.RawIOBase):
    """A file of fsspec, whose failures are `StanceError`s."""

    def __init__(self, file: Any, url: str) -> None:
        self._file = file
        self._url = url

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._file.read(len(buffer))
        except Exception as error:
            raise StanceError(f"{self._url}: cannot be read: {error}") from error
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        self._file.close()
        super().close()


def _list_local(entry: str) -> tuple[list[File], bool]:
    if os.path.isdir(entry):
        paths, root = list(_walk(entry)), entry
    elif os.path.isfile(entry):
        paths, root = [entry], os.path.dirname(entry)
    elif glob.has_magic(entry):
        paths, root = glob.glob(entry, recursive=True), _fixed(entry)
    else:
        raise StanceError(f"{printable(entry)}: there is no such file or folder")
    return list(_local_files(paths, root)), paths == [entry]


def _walk(folder: str) -> Iterator[str]:
    """The files of a folder and of all in it, links to folders included, each folder once."""

    def fail(error: OSError) -> None:
        raise StanceError(f"{printable(error.filename)}: cannot be read: {error.strerror}")

    visited: set[str] = set()
    for place, folders, names in os.walk(folder, onerror=fail, followlinks=True):
        real = os.path.realpath(place)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        folders.sort()
        yield from (os.path.join(place, name) for name in names)


def _local_files(paths: Sequence[str], root: str) -> Iterator[File]:
    for path in paths:
        if os.path.isfile(path):
            status = os.stat(path)
            name = os.path.relpath(path, root or ".")
            yield File(path, name, status.st_size, str(status.st_mtime_ns))


def _list_url(entry: str, suffixes: Sequence[str]) -> tuple[list[File], bool]:
    system, name = _remote(entry)
    try:
        if glob.has_magic(name):
            found, root, single = system.glob(name, detail=True), _fixed(name), False
        elif not _is_page(name, suffixes) and system.isdir(name):
            found, root, single = system.find(name, detail=True), name, False
        else:
            found, root, single = {name: system.info(name)}, name.rpartition("/")[0], True
        found = {
            path: system.info(path) if _lacks_size(info) else info for path, info in found.items()
        }
    except FileNotFoundError:
        raise StanceError(f"{entry}: there is no such file or folder") from None
    except Exception as error:  # every protocol has exceptions of its own
        raise StanceError(f"{entry}: cannot be read: {error}") from error
    return [
        File(
            system.unstrip_protocol(path),
            path.removeprefix(root).lstrip("/"),
            -1 if info.get("size") is None else int(info["size"]),
            _stamp(info),
        )
        for path, info in found.items()
        if info.get("type") == "file"
    ], single


def _is_page(name: str, suffixes: Sequence[str]) -> bool:
    """Whether a name is a file's on a web server, where a page with links looks like a folder."""
    return name.startswith("http") and suffix_of(name) in suffixes


def _lacks_size(info: Mapping[str, Any]) -> bool:
    """Whether a listing does not tell a file's size, as those of web servers do not."""
    return info.get("type") == "file" and info.get("size") is None


def _remote(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it."""
    core = require("fsspec.core", "remote")
    try:
        system, name = core.url_to_fs(url)
    except ImportError as error:
        raise MissingExtra(f"{url}: {error} (pip install 'stance-news[remote]')") from error
    except ValueError as error:
        raise StanceError(f"{url}: {error}") from error
    return system, str(name)


def _stamp(info: Mapping[str, Any]) -> str:
    return next((str(info[name]) for name in STAMPS if info.get(name)), "")


def _fixed(pattern: str) -> str:
    """The folders of a glob before its first wildcard."""
    parts = pattern.split("/")
    first = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    return "/".join(parts[:first])
