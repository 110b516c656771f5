"""Files of every kind are read; what is broken is named by file, line and field."""

from __future__ import annotations

import errno
import io
import json
import os
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stance.errors import RecordError, StanceError
from stance.jobs.labelling import reject_line
from stance.readers import (
    Slice,
    parse_json,
    read_articles,
    read_html,
    read_records,
    read_slice,
    read_text,
)
from stance.records import Article, Target

PAGE = """<!doctype html>
<html lang="en">
<head>
<title>Mill fire under review | The Orlea Courier</title>
<meta property="og:title" content="Mill fire under review">
<meta property="og:site_name" content="The Orlea Courier">
<meta property="article:published_time" content="2026-01-31T08:15:00+00:00">
</head>
<body>
<nav><a href="/">Home</a> <a href="/sport">Sport</a></nav>
<article>
<h1>Mill fire under review</h1>
<p>The fire at the old paper mill in Orlea is under review, the district office said on Friday,
after residents of the river quarter asked for the reports of the fire brigade.</p>
<p>“We will publish every page that we have,” said Ana Brod, who leads the office. She added that
the owners of the mill had been asked for their insurance papers and had agreed to send them.</p>
<p>The mill stood empty for eleven years. Two firms want to turn it into flats, and a third one
plans a museum of paper with a café on the quay, as the town council heard in December.</p>
</article>
<footer>All rights reserved.</footer>
</body>
</html>
"""


def write(path: Path, *lines: bytes | str | dict[str, Any]) -> Path:
    """A file of these lines: bytes as they are, text as UTF-8, records as JSON."""
    rows = [json.dumps(line) if isinstance(line, dict) else line for line in lines]
    path.write_bytes(
        b"".join((row.encode() if isinstance(row, str) else row) + b"\n" for row in rows)
    )
    return path


def read_all(source: Any) -> tuple[list[Article], list[RecordError]]:
    """The articles and the rejects of a source."""
    rejects: list[RecordError] = []
    return list(read_articles(source, on_error=rejects.append)), rejects


def test_jsonl(tmp_path: Path) -> None:
    path = write(
        tmp_path / "articles.jsonl",
        {"id": "a1", "text": "Rain fell.", "targets": ["Rain"], "desk": "north"},
        "",
        b'\xef\xbb\xbf{"id": "a2", "text": "\xe2\x80\xa8\xf0\x9f\x94\xa5"}\r',
    )
    assert list(read_articles(path)) == [
        Article("Rain fell.", id="a1", targets=(Target("Rain"),), extra={"desk": "north"}),
        Article("\u2028🔥", id="a2"),
    ]


def test_binary_stream() -> None:
    stream = io.BytesIO(b'{"text": "Rain fell."}\n\n{"text": ""}')
    assert list(read_articles(stream)) == [Article("Rain fell."), Article("")]


def test_an_empty_stream_gives_nothing() -> None:
    assert list(read_articles(io.BytesIO(b""))) == []


def test_csv(tmp_path: Path) -> None:
    path = write(
        tmp_path / "articles.csv",
        "\ufeffid,text,targets,date,desk",
        '1,"Rain fell.\nIt was ""wet"".","[""Rain"", {""kind"": ""claim"", ""text"": ""Wet""}]",,',
        "",
        "2,\x00 שלום,,2026-01-31,north",
        "3,,,,",
    )
    assert list(read_articles(path)) == [
        Article(
            'Rain fell.\nIt was "wet".', id="1", targets=(Target("Rain"), Target("Wet", "claim"))
        ),
        Article("\x00 שלום", id="2", date="2026-01-31", extra={"desk": "north"}),
        Article("", id="3"),
    ]


def test_parquet_of_another_program(tmp_path: Path) -> None:
    table = pyarrow.table(
        {
            "id": [1, 2],
            "text": ["Rain fell.", ""],
            "date": [date(2026, 1, 31), None],
            "seen": [datetime(2026, 2, 1, 8, 15), None],
            "targets": [["Rain"], None],
            "extra_json": ["[1, 2]", None],
            "views": [3.5, None],
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "articles.parquet")
    assert list(read_articles(tmp_path / "articles.parquet")) == [
        Article(
            "Rain fell.",
            id="1",
            date="2026-01-31",
            targets=(Target("Rain"),),
            extra={"seen": "2026-02-01T08:15:00", "extra_json": "[1, 2]", "views": 3.5},
        ),
        Article("", id="2"),
    ]


def test_a_parquet_file_may_have_no_rows(tmp_path: Path) -> None:
    pyarrow.parquet.write_table(
        pyarrow.table({"text": pyarrow.array([], pyarrow.string())}), tmp_path / "none.parquet"
    )
    assert list(read_articles(tmp_path / "none.parquet")) == []


def test_text_file(tmp_path: Path) -> None:
    path = tmp_path / "mill fire.txt"
    path.write_bytes("\ufeffRain fell.\r\nIt was wet 🔥.".encode())
    assert list(read_articles(path)) == [Article("Rain fell.\nIt was wet 🔥.", id="mill fire")]
    assert read_text(write(tmp_path / "empty.txt")) == Article("", id="empty")


def test_html_page(tmp_path: Path) -> None:
    path = tmp_path / "mill.html"
    path.write_text(PAGE, encoding="utf-8")
    (article,) = read_articles(path)
    assert article == read_html(path)
    assert (article.id, article.title) == ("mill", "Mill fire under review")
    assert (article.publisher, article.date) == ("The Orlea Courier", "2026-01-31")
    assert "“We will publish every page that we have,” said Ana Brod" in article.text
    assert "Sport" not in article.text


def test_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    write(tmp_path / "b.txt", "Second.")
    write(tmp_path / "c.JSONL", {"text": "Third."})
    write(tmp_path / "a.csv", "text", "First.")
    write(tmp_path / "inner" / "b.txt", "Fourth.")
    write(tmp_path / "notes.md", "Not an article.")
    assert [(article.id, article.text) for article in read_articles(tmp_path)] == [
        (None, "First."),
        ("b", "Second.\n"),
        (None, "Third."),
        ("inner/b", "Fourth.\n"),
    ]


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes on POSIX only")
def test_a_file_name_that_is_not_utf8(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path)
    try:
        with open(folder + b"/caf\xe9.txt", "wb") as stream:
            stream.write(b"Rain \xff")
        with open(folder + b"/th\xe9.txt", "wb") as stream:
            stream.write(b"Rain")
    except OSError:
        pytest.skip("this file system wants UTF-8")
    articles, rejects = read_all(tmp_path)
    assert [article.id for article in articles] == ["th\\xe9"]
    assert str(rejects[0]).encode().endswith(b"caf\\xe9.txt: invalid UTF-8 at byte 5")


@pytest.mark.parametrize(
    "text",
    ["", "\x00\x07", "\u202eevil\u202c שלום", "大火是假的。", "🔥\u2028🔥", "Rain fell. " * 95_000],
    ids=["empty", "nul", "bidi", "chinese", "emoji", "megabyte"],
)
@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet", ".txt"])
def test_strange_but_valid_text_is_read(tmp_path: Path, text: str, ending: str) -> None:
    path = tmp_path / f"strange{ending}"
    if ending == ".jsonl":
        write(path, json.dumps({"text": text}, ensure_ascii=False))
    elif ending == ".csv":
        write(path, "text", '"' + text + '"')
    elif ending == ".parquet":
        pyarrow.parquet.write_table(pyarrow.table({"text": [text]}), path)
    else:
        path.write_bytes(text.encode())
    assert [article.text for article in read_articles(path)] == [text]


def test_five_hundred_targets(tmp_path: Path) -> None:
    names = [f"Person {number}" for number in range(500)]
    (article,) = read_articles(write(tmp_path / "a.jsonl", {"text": "Rain.", "targets": names}))
    assert [target.text for target in article.targets] == names


GOOD = '{"id": "good", "text": "Rain fell."}'
LAST = '{"id": "last", "text": "It was wet."}'
BROKEN_LINES: list[tuple[bytes, str, str]] = [
    (b'{"text": "caf\xe9"}', "", "invalid UTF-8 at byte 13"),
    (b'{"text": "Rain', "", "not JSON: Unterminated string starting at at character 9"),
    (b'{"text": "Rain"', "", "not JSON: Expecting ',' delimiter at character 15"),
    (b"Rain fell.", "", "not JSON: Expecting value at character 0"),
    (b'["Rain"]', "", "want a JSON object, found a list"),
    (b'{"title": "Rain"}', "text", "the field is missing"),
    (b'{"text": 7}', "text", "want a string, found a number"),
    (b'{"text": "Rain", "id": "good"}', "id", "'good' is also the id of "),
    (b'{"text": "a\\ud800b"}', "text", "lone surrogate U+D800 at character 1"),
    (b'{"text": "Rain", "note": ["\\udc00"]}', "note[0]", "lone surrogate U+DC00"),
    (b'{"text": "Rain", "text": "Sun"}', "text", "the field stands twice in one object"),
    (b'{"text": "", "m": {"\\ud800": 1, "\\ud800": 2}}', "\\ud800", "the field stands twice"),
    (b'{"text": "Rain", "score": NaN}', "", "NaN is not JSON"),
    (b'{"text": "Rain", "score": -Infinity}', "", "-Infinity is not JSON"),
    (b'{"text": "Rain", "score": 1e999}', "score", "the number inf is not JSON"),
    (b'{"text": "Rain", "score": ' + b"9" * 5_000 + b"}", "", "a number has too many digits"),
    (b'{"text": "Rain", "deep": ' + b"[" * 100_000, "", "not JSON that can be read"),
    (b'{"text": "Rain", "date": "2/28/2015"}', "date", "is not an ISO 8601 date"),
    (
        b'{"text": "Rain", "sentences": [{"start": 0, "end": 3}, {"start": 2, "end": 4}]}',
        "sentences[1]",
        "the sentence starts at 2, before the end of the one before it (3)",
    ),
    (
        b'{"text": "Rain", "sentences": [{"start": 0, "end": 5}]}',
        "sentences[0]",
        "[0, 5] is not a span of a text of 4 characters",
    ),
]


@pytest.mark.parametrize(("line", "field", "reason"), BROKEN_LINES)
def test_a_broken_line_is_rejected_and_the_others_are_read(
    tmp_path: Path, line: bytes, field: str, reason: str
) -> None:
    path = write(tmp_path / "articles.jsonl", GOOD, line, LAST)
    articles, (error,) = read_all(path)
    assert [article.id for article in articles] == ["good", "last"]
    assert (error.path, error.line, error.field) == (str(path), 2, field)
    assert reason in error.reason
    message = f"{path}:2: {field}: " if field else f"{path}:2: "
    assert str(error).startswith(message)
    assert error.raw == line.decode("utf-8", "backslashreplace")
    with pytest.raises(RecordError) as caught:
        list(read_articles(path))
    assert str(caught.value) == str(error)


def test_a_broken_line_of_standard_input() -> None:
    articles, (error,) = read_all(io.BytesIO(b'{"text": "Rain"}\n{"text": \n{"text": ""}\n'))
    assert len(articles) == 2
    assert str(error) == "standard input:2: not JSON: Expecting value at character 9"


def test_a_duplicate_id_names_both_places(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", GOOD)
    write(tmp_path / "b.jsonl", LAST, GOOD)
    _, (error,) = read_all(tmp_path)
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    assert str(error) == f"{second}:2: id: 'good' is also the id of {first}:1"


def test_broken_rows_of_csv(tmp_path: Path) -> None:
    path = write(
        tmp_path / "articles.csv",
        "id,text,targets,date",
        '1,"Rain\nfell.",,',
        "2,It was wet.",
        "3,It was wet.,,,,",
        b"4,caf\xe9,,",
        "5,Rain.,[Rain],",
        "6,Rain.,,yesterday",
        "7,The end.,,",
    )
    articles, errors = read_all(path)
    assert [article.id for article in articles] == ["1", "7"]
    assert [str(error).removeprefix(f"{path}:") for error in errors] == [
        "4: 2 cells for 4 columns",
        "5: 6 cells for 4 columns",
        "6: text: invalid UTF-8 at character 3",
        "7: targets: not JSON: Expecting value at character 1",
        "8: date: 'yesterday' is not an ISO 8601 date such as 2026-01-31",
    ]
    assert errors[2].raw == "4,caf\\xe9,,"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["id,body", "1,Rain"], "text: there is no column 'text' (the columns are 'id', 'body')"),
        (["id;text"], "text: there is no column 'text' (the columns are 'id;text')"),
        (["text,id,text", "a,1,b"], "two columns are called 'text'"),
        (["text"], "the file is empty"),
        ([], "the file is empty"),
    ],
)
def test_a_csv_file_that_is_no_table_of_articles(
    tmp_path: Path, lines: list[str], reason: str
) -> None:
    path = write(tmp_path / "articles.csv", *lines)
    write(tmp_path / "other.jsonl", GOOD)
    articles, (error,) = read_all(tmp_path)
    assert [article.id for article in articles] == ["good"]
    assert str(error) == f"{path}: {reason}"
    with pytest.raises(StanceError):
        list(read_articles(path))


def test_a_csv_header_that_is_not_utf8(tmp_path: Path) -> None:
    """Its names are part of messages and of the rejects file, which are UTF-8."""
    path = write(tmp_path / "a.csv", b"text,caf\xe9", "Rain.,", b"Sun.,\xe9", "Wind.,wet")
    articles, errors = read_all(path)
    assert [article.text for article in articles] == ["Rain."]
    assert [(error.line, error.field) for error in errors] == [(3, "caf\\udce9"), (4, "")]
    assert errors[0].reason == "invalid UTF-8 at character 0"
    for error in errors:
        row = json.loads(reject_line(error))
        assert (row["path"], row["raw"]) == (str(path), error.raw)


@pytest.mark.parametrize("row", ['"Rain" fell,1', '"Rain fell,1'])
def test_csv_is_read_up_to_a_mistake_in_quotation_marks(tmp_path: Path, row: str) -> None:
    path = write(tmp_path / "articles.csv", "text,id", "Rain.,0", row, "Sun.,2")
    articles, (error,) = read_all(path)
    assert [article.id for article in articles] == ["0"]
    assert str(error).startswith(f"{path}:3: not CSV from here on: ")


@pytest.mark.parametrize("content", [b"", b"PAR1 Rain fell. PAR1", b"Rain fell.\n"])
def test_a_file_that_is_not_parquet(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "articles.parquet"
    path.write_bytes(content)
    write(tmp_path / "other.jsonl", GOOD)
    articles, (error,) = read_all(tmp_path)
    assert [article.id for article in articles] == ["good"]
    assert str(error).startswith(f"{path}: not a Parquet file: ")
    with pytest.raises(StanceError, match="not a Parquet file"):
        list(read_articles(path))


def test_a_parquet_file_with_broken_data(tmp_path: Path) -> None:
    path = tmp_path / "articles.parquet"
    texts = [f"Rain fell {number} times." for number in range(2_000)]
    table = pyarrow.table({"text": texts})
    pyarrow.parquet.write_table(table, path, compression="gzip", use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[100:2_000] = bytes(1_900)
    path.write_bytes(data)
    articles, (error,) = read_all(path)
    assert [article.text for article in articles] == texts[: len(articles)]
    assert f"{path}:{len(articles) + 1}: not Parquet from here on: " in str(error)


def test_broken_rows_of_parquet(tmp_path: Path) -> None:
    path = tmp_path / "articles.parquet"
    table = pyarrow.table({"text": ["Rain.", None, "Sun."], "picture": [None, None, b"\x89PNG"]})
    pyarrow.parquet.write_table(table, path)
    articles, errors = read_all(path)
    assert [article.text for article in articles] == ["Rain."]
    assert [str(error) for error in errors] == [
        f"{path}:2: text: the field is missing",
        f"{path}:3: picture: a value of type bytes is not JSON",
    ]


def test_a_parquet_file_without_text(tmp_path: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"body": ["Rain."]}), tmp_path / "a.parquet")
    with pytest.raises(RecordError, match="there is no column 'text'"):
        list(read_articles(tmp_path / "a.parquet"))


@pytest.mark.parametrize(
    "page",
    [
        "",
        "\x00",
        "Rain fell.",
        "<html><head><title>Rain</title></head><body><script>let rain = 1;</script></body></html>",
    ],
)
def test_a_page_without_an_article(tmp_path: Path, page: str) -> None:
    path = write(tmp_path / "a.html", page)
    write(tmp_path / "b.txt", "Rain.")
    articles, (error,) = read_all(tmp_path)
    assert [article.id for article in articles] == ["b"]
    assert str(error) == f"{path}: no article text found in the page"


def test_a_text_file_that_is_not_utf8(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", b"caf\xe9")
    with pytest.raises(RecordError) as caught:
        list(read_articles(path))
    assert str(caught.value) == f"{path}: invalid UTF-8 at byte 3"


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_an_empty_jsonl_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(content)
    with pytest.raises(StanceError) as caught:
        list(read_articles(path))
    assert str(caught.value) == f"{path}: the file is empty"


def test_paths_that_cannot_be_read(tmp_path: Path) -> None:
    for path, reason in [
        (tmp_path / "missing.jsonl", "there is no such file or folder"),
        (write(tmp_path / "a.docx", "Rain."), "want a file ending in .jsonl, .parquet, .csv"),
        (tmp_path, "no file in this folder ends in .jsonl, .parquet, .csv"),
    ]:
        with pytest.raises(StanceError) as caught:
            list(read_articles(path))
        assert str(caught.value).startswith(f"{path}: {reason}")


def test_a_glob_names_files_from_its_fixed_folder_on(tmp_path: Path) -> None:
    for name in ("2026/b/one.txt", "2026/a/one.txt", "2026/a/two.html", "2025/one.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write(tmp_path / name, "Rain.")
    articles = read_articles(f"{tmp_path}/2026/*/*.txt")
    assert [article.id for article in articles] == ["a/one", "b/one"]


def test_a_parquet_data_set_in_folders(tmp_path: Path) -> None:
    for name in ("publisher=The%20Courier", "publisher=__HIVE_DEFAULT_PARTITION__"):
        (tmp_path / name).mkdir()
        table = pyarrow.table({"text": ["Rain."]})
        pyarrow.parquet.write_table(table, tmp_path / name / "0.parquet")
    assert [article.publisher for article in read_articles(tmp_path)] == ["The Courier", None]


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet"])
def test_a_file_can_be_read_in_slices(tmp_path: Path, ending: str) -> None:
    """Any two cuts between records give the same records, with the same lines."""
    path = tmp_path / f"a{ending}"
    if ending == ".jsonl":
        path.write_bytes(
            "\ufeff".encode() + b'\n{"text": "1"}\r\n \n{\n{"text": "\xf0\x9f"}\n\n[1]'
        )
    elif ending == ".csv":
        rows = '\ufeff"id",text\r\n1,"a\n\nb"\r\n\r\n2,🔥\n3\n4,"x""\r"\n5,y'
        path.write_bytes(rows.encode() + b"\n6,caf\xe9\n")
    else:
        table = pyarrow.table({"text": [str(n) for n in range(7)]})
        pyarrow.parquet.write_table(table, path, row_group_size=3)
    whole = list(read_slice(Slice(str(path))))
    assert len(whole) == {".jsonl": 5, ".csv": 6, ".parquet": 7}[ending]
    starts = [0, *(record.start for record in whole[1:]), None]
    lines = [1, *(record.line for record in whole[1:])]
    for first in range(len(whole)):
        for last in range(first + 1, len(whole) + 1):
            part = Slice(str(path), starts[first] or 0, starts[last], lines[first] or 1)
            found = [(record.at, record.start, record.raw()) for record in read_slice(part)]
            assert found == [(r.at, r.start, r.raw()) for r in whole[first:last]]


class BadDisk(io.RawIOBase):
    """The bytes of a file, some of which cannot be read."""

    def __init__(self, data: bytes, bad: range) -> None:
        self._data, self._bad, self._at = data, bad, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, len(self._data))[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        if self._at in self._bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        end = self._bad.start if self._at < self._bad.start else len(self._data)
        data = self._data[self._at : min(end, self._at + len(buffer))]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def read_from_a_bad_disk(path: Path, bad: range) -> list[Article]:
    """The articles before the bad bytes; then comes one error, which is of no record."""

    def open_file(path: str) -> BinaryIO:
        return cast(BinaryIO, io.BufferedReader(BadDisk(Path(path).read_bytes(), bad)))

    articles: list[Article] = []
    rejects: list[RecordError] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stance.readers.open_file", open_file)
        with pytest.raises(StanceError) as caught:
            articles.extend(read_articles(path, on_error=rejects.append))
    assert str(caught.value) == f"{path}: cannot be read: Input/output error"
    assert rejects == []
    return articles


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".txt", ".html"])
def test_what_the_disk_does_not_give_is_not_broken_data(tmp_path: Path, ending: str) -> None:
    if ending == ".csv":
        path = write(tmp_path / "a.csv", "id,text", "good,Rain fell.", "last,It was wet.")
    else:
        path = write(tmp_path / f"a{ending}", GOOD, LAST)
    size = path.stat().st_size
    articles = read_from_a_bad_disk(path, range(size - 9, size))
    assert [article.id for article in articles] == (
        ["good"] if ending in (".jsonl", ".csv") else []
    )


def test_what_the_disk_does_not_give_of_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pyarrow.table({"text": [f"{n}" * 30_000 for n in range(9)]})
    pyarrow.parquet.write_table(
        table, path, row_group_size=3, compression="none", use_dictionary=False
    )
    start = pyarrow.parquet.read_metadata(path).row_group(1).column(0).data_page_offset
    articles = read_from_a_bad_disk(path, range(start + 99, start + 100))
    assert [article.text[0] for article in articles] == ["0", "1", "2"]
    size = path.stat().st_size
    assert read_from_a_bad_disk(path, range(size - 9, size)) == []


def test_a_stream_that_breaks_off_is_named() -> None:
    data = GOOD.encode() + b"\n" + LAST.encode()
    stream = io.BufferedReader(BadDisk(data, range(len(GOOD) + 9, len(data))))
    articles = read_articles(cast(BinaryIO, stream))
    with pytest.raises(StanceError, match=r"^standard input: cannot be read: Input/output error$"):
        list(articles)


def test_read_records_gives_plain_rows_with_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"x": 1}, "", {"y": [2]})
    assert list(read_records(path)) == [(1, {"x": 1}), (3, {"y": [2]})]
    path = write(tmp_path / "a.csv", "text,topic", "Rain.,weather")
    assert list(read_records(path)) == [(2, {"text": "Rain.", "topic": "weather"})]


def test_read_records_stops_at_what_is_broken(tmp_path: Path) -> None:
    for path, reason in [
        (write(tmp_path / "a.jsonl", "{"), ":1: not JSON"),
        (write(tmp_path / "b.jsonl", "[]"), ":1: want a JSON object"),
        (write(tmp_path / "c.jsonl"), ": the file is empty"),
        (write(tmp_path / "a.csv", "body", "Rain."), ": text: there is no column 'text'"),
        (write(tmp_path / "a.parquet", "Rain."), ": not a Parquet file"),
        (write(tmp_path / "a.txt", "Rain."), ": want a file ending in .jsonl, .csv, .parquet"),
        (tmp_path / "missing.csv", ": there is no such file"),
    ]:
        with pytest.raises(StanceError) as caught:
            list(read_records(path))
        assert str(caught.value).startswith(f"{path}{reason}")


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_rejected(data: bytes) -> None:
    articles, rejects = read_all(io.BytesIO(data))
    lines = [line for line in data.split(b"\n") if line.strip()]
    assert len(articles) + len(rejects) == len(lines)


@settings(deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=9))
def test_strict_json_takes_what_json_is(value: object) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value
