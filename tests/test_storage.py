"""Files are found and opened by paths, globs and URLs; here those of web servers."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from stance.errors import StanceError
from stance.readers import SUFFIXES, read_articles
from stance.storage import File, list_files


def test_links_to_folders_are_followed_once(tmp_path: Path):
    (tmp_path / "disk" / "2025").mkdir(parents=True)
    (tmp_path / "archive").mkdir()
    (tmp_path / "disk" / "2025" / "a.txt").write_text("Rain fell.")
    (tmp_path / "archive" / "2025").symlink_to("../disk/2025")
    (tmp_path / "archive" / "again").symlink_to("../disk")
    (tmp_path / "disk" / "loop").symlink_to(".")
    (found,) = list_files(str(tmp_path / "archive"), SUFFIXES)
    assert found.name == os.path.join("2025", "a.txt")


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "a.txt").write_text("Rain fell.")
    (tmp_path / "shut").mkdir()
    scandir = os.scandir

    def refuse(path: str) -> Any:
        if path.endswith("shut"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(StanceError, match="shut: cannot be read: Permission denied"):
        list_files(str(tmp_path), SUFFIXES)


SITE = "https://news.example"


class Web:
    """What fsspec makes of a web server: pages look like folders, and listings tell no sizes.

    lengths: what the server says of single files; None where it says nothing.
    """

    def __init__(self, **lengths: int | None) -> None:
        self.lengths = {f"{SITE}/2026/{name}": size for name, size in lengths.items()}

    def isdir(self, name: str) -> bool:
        return not name.endswith((".txt", ".csv"))  # all else has links

    def info(self, name: str) -> dict[str, Any]:
        if name not in self.lengths:
            raise FileNotFoundError(name)
        size = self.lengths[name]
        return {"name": name, "type": "file", "size": size, "Last-Modified": "Friday"}

    def find(self, name: str, detail: bool) -> dict[str, dict[str, Any]]:
        return {
            path: {"name": path, "type": "file", "size": None}
            for path in self.lengths
            if path.startswith(name)
        }

    def glob(self, name: str, detail: bool) -> dict[str, dict[str, Any]]:
        found = self.find("", detail)
        return {path: info for path, info in found.items() if fnmatch(path, name)}

    def unstrip_protocol(self, name: str) -> str:
        return name

    def open(self, name: str, mode: str, block_size: int) -> io.BytesIO:
        return io.BytesIO(b"Rain fell.")


Serve = Callable[..., None]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Puts files with lengths into the folder 2026 of the site."""

    def served(**lengths: int | None) -> None:
        web = Web(**{name.replace("_", "."): size for name, size in lengths.items()})
        monkeypatch.setattr("stance.storage._remote", lambda url: (web, url))

    return served


@pytest.mark.parametrize(
    "entry", [f"{SITE}/2026", f"{SITE}/2026/", f"{SITE}/2026/*", f"{SITE}/*/*"]
)
def test_sizes_that_a_listing_lacks_are_asked_for(serve: Serve, entry: str) -> None:
    serve(b_jsonl=0, a_csv=7, c_md=9)
    folder = "2026/" if entry.endswith("*/*") else ""
    assert list_files(entry, SUFFIXES) == [
        File(f"{SITE}/2026/a.csv", f"{folder}a.csv", 7, "Friday"),
        File(f"{SITE}/2026/b.jsonl", f"{folder}b.jsonl", 0, "Friday"),
    ]


def test_a_size_that_the_server_does_not_tell(serve: Serve) -> None:
    serve(a_csv=None, b_csv=0)
    for entry in (f"{SITE}/2026", f"{SITE}/2026/a.csv"):
        first = list_files(entry, SUFFIXES)[0]
        assert first == File(f"{SITE}/2026/a.csv", "a.csv", -1, "Friday")


def test_a_page_is_no_folder_though_it_has_links(serve: Serve) -> None:
    serve(a_html=5, a_html_txt=6)
    (file,) = list_files(f"{SITE}/2026/a.html", SUFFIXES)
    assert (file.path, file.size) == (f"{SITE}/2026/a.html", 5)
    with pytest.raises(StanceError, match=r"b\.html: there is no such file or folder"):
        list_files(f"{SITE}/2026/b.html", SUFFIXES)


def test_ids_of_files_on_a_web_server(serve: Serve) -> None:
    serve(rain_txt=10, day_sun_txt=10)
    one = read_articles(f"{SITE}/2026/rain.txt")
    assert [(article.id, article.text) for article in one] == [("rain", "Rain fell.")]
    assert [article.id for article in read_articles(SITE)] == ["2026/day.sun", "2026/rain"]
    assert [article.id for article in read_articles(f"{SITE}/2026")] == ["day.sun", "rain"]
