"""Takes a user's own copy of a published corpus; gives its articles with our labels as records.

The labels are kept apart from the text. `data/annotations/<corpus>.<part>.jsonl` has an article a
line: id, publisher, date, length and SHA-256 of the text, targets, and one row a sentence,
`[start, end, source, allegation, stance toward each target…, speaker]`. The text comes from the
corpus as it was published, and only a text with that hash is given the labels, so that all offsets
are right. docs/corpora.md says where each corpus is to be had.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stance.errors import RecordError, StanceError
from stance.readers import parse_json, read_records
from stance.records import Article, Span
from stance.resources import bundled

PARTS = ("train", "dev")
SHOWN = 5
"""So many of the articles that do not match for one reason are named in the account."""
RUN = 6
"""Where a label repeats so many words of its article, their offsets are kept and not the words."""
WESTERN = ("cp1252", "latin-1")
"""Encodings that a file may be in when it is not UTF-8."""

Pieces = str | list[str | list[int]]
"""A label that repeats a run of the text: strings and [start, end], to be put together in order."""

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Annotation:
    """What is known about one article without its text.

    title: where the title stands in the text; None where the source has it in a place of its own.
    length, sha256: of the text that was labelled, in code points, and of its UTF-8 bytes.
    targets: `kind` and `text` (`Pieces`) of each.
    sentences: rows of start, end, source, allegation, a stance for each target, speaker.
    """

    id: str
    publisher: str | None
    date: str | None
    title: Span | None
    length: int
    sha256: str
    targets: Sequence[Mapping[str, Any]]
    sentences: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Original:
    """One article of the user's copy: text and title under each encoding that it may be in."""

    place: str
    versions: Sequence[tuple[str, str | None]]


@dataclass(frozen=True)
class Lost:
    """Why an article does not match: `kind` is missing, unreadable, other length or other text."""

    kind: str
    detail: str
    part: str = ""
    id: str = ""


Lookup = Callable[[str, str], Original | Lost]
"""Gives the article of a part (where our labels have it) with an id (without the corpus name)."""


@dataclass
class Joined:
    """Records by part, what did not match, and how many articles are labelled in each part."""

    corpus: str
    labelled: dict[str, int] = field(default_factory=dict)
    records: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    lost: list[Lost] = field(default_factory=list)


def detach(article: Article) -> dict[str, Any]:
    """The stand-off annotation of a labelled article, as plain data without its text.

    Raises:
        StanceError: the article has no id or no sentences, or a sentence lacks a label.
    """
    if article.id is None or article.sentences is None:
        raise StanceError(f"article {article.id or article.text[:20]!r}: no id or no sentences")
    rows: list[list[Any]] = []
    for number, sentence in enumerate(article.sentences):
        stances = [sentence.stance_toward(target) for target in range(len(article.targets))]
        if not {"source", "allegation"} <= set(sentence.facets) or None in stances:
            raise StanceError(f"article {article.id}: sentences[{number}]: a label is missing")
        rows.append(
            [
                sentence.start,
                sentence.end,
                sentence.facets["source"].label,
                sentence.facets["allegation"].label,
                *(stance.label for stance in stances if stance),
                None if sentence.speaker is None else apart(sentence.speaker, article.text),
            ]
        )
    row: dict[str, Any] = {
        "id": article.id,
        "publisher": article.publisher,
        "date": article.date,
        "length": len(article.text),
        "sha256": sha256(article.text),
        "targets": [
            {"kind": target.kind, "text": apart(target.text, article.text)}
            for target in article.targets
        ],
        "sentences": rows,
    }
    if article.title is not None and article.text.startswith(article.title):
        row["title"] = [0, len(article.title)]
    return row


def apart(label: str, text: str) -> Pieces:
    """The label, runs of `RUN` or more words that it shares with the text given by offsets.

    Words are compared without case, and whatever stands between them; within such a run the words
    that are not the same to the letter stay strings.
    """
    words, inside = list(_WORD.finditer(label)), list(_WORD.finditer(text))
    plain, known = [w[0].lower() for w in words], [w[0].lower() for w in inside]
    places: dict[str, list[int]] = {}
    for number, word in enumerate(known):
        places.setdefault(word, []).append(number)
    spans: list[tuple[Span, Span]] = []
    first = 0
    while first + RUN <= len(words):
        length, place = max(
            (_shared(plain[first:], known[at:]), -at) for at in [0, *places.get(plain[first], ())]
        )
        if length < RUN:
            first += 1
            continue
        spans += _exact(label, words[first : first + length], text, inside[-place:])
        first += length
    pieces: list[str | list[int]] = []
    done = 0
    for (start, end), found in spans:
        pieces += [label[done:start]] if done < start else []
        pieces.append(list(found))
        done = end
    if not pieces:
        return label
    return [*pieces, label[done:]] if done < len(label) else pieces


def _shared(left: Sequence[str], right: Sequence[str]) -> int:
    """How many words two sequences have in common from their start."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(left), len(right)))


def _exact(
    label: str, words: Sequence[re.Match[str]], text: str, inside: Sequence[re.Match[str]]
) -> list[tuple[Span, Span]]:
    """Within a shared run the stretches that are the same to the letter: in the label, in text."""
    spans: list[tuple[Span, Span]] = []
    for own, other in zip(words, inside, strict=False):
        if own[0] != other[0]:
            continue
        if spans:
            (start, end), (begin, until) = spans[-1]
            if label[end : own.end()] == text[until : other.end()]:
                spans[-1] = ((start, own.end()), (begin, other.end()))
                continue
        spans.append((own.span(), other.span()))
    return spans


def together(label: Pieces, text: str) -> str:
    """The label that `apart` took apart."""
    if isinstance(label, str):
        return label
    return "".join(part if isinstance(part, str) else text[part[0] : part[1]] for part in label)


def attach(annotation: Annotation, corpus: str, text: str, title: str | None) -> dict[str, Any]:
    """The record of an article, from its annotation and the text that was labelled.

    Raises:
        RecordError: naming the field, if the two do not make a record.
    """
    try:
        record = {
            "id": annotation.id,
            "corpus": corpus,
            "publisher": annotation.publisher,
            "date": annotation.date,
            "title": text[slice(*annotation.title)] if annotation.title else title,
            "text": text,
            "targets": [
                {"kind": target["kind"], "text": together(target["text"], text)}
                for target in annotation.targets
            ],
            "sentences": [
                _sentence(row, len(annotation.targets), text) for row in annotation.sentences
            ],
        }
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"not a stand-off annotation: {error!r}") from None
    Article.from_dict(record)
    return record


def _sentence(row: Sequence[Any], targets: int, text: str) -> dict[str, Any]:
    start, end, source, allegation, *stance, speaker = row
    if len(stance) != targets:
        raise ValueError(f"{len(stance)} stances for {targets} targets")
    return {
        "start": start,
        "end": end,
        "source": source,
        "allegation": allegation,
        "stance": stance,
        "speaker": None if speaker is None else together(speaker, text),
    }


def read_annotations(path: Path) -> list[Annotation]:
    """The annotations of one file, in its order; raises `RecordError` for a broken line."""
    annotations: list[Annotation] = []
    for line, row in read_records(path):
        try:
            title = row.get("title")
            annotations.append(
                Annotation(
                    id=str(row["id"]),
                    publisher=row["publisher"],
                    date=row["date"],
                    title=None if title is None else (int(title[0]), int(title[1])),
                    length=int(row["length"]),
                    sha256=str(row["sha256"]),
                    targets=list(row["targets"]),
                    sentences=list(row["sentences"]),
                )
            )
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise RecordError(
                f"not a stand-off annotation: {error!r}", path=path, line=line
            ) from None
    return annotations


def join_corpus(corpus: str, source: str | Path, annotations: str | Path | None = None) -> Joined:
    """Join the labels of one corpus with the user's copy of it.

    Args:
        corpus: a key of `SOURCES`.
        source: the copy, as `SOURCES` describes it.
        annotations: a folder of stand-off files; None for those that come with the package.

    Returns:
        The records in the order of the annotations, and a `Lost` for every article without one.

    Raises:
        StanceError: no such corpus, or the source is not there or plainly something else.
        RecordError: a broken annotation.
    """
    if corpus not in SOURCES:
        raise StanceError(
            f"there are no labels for a corpus {corpus!r} (want {', '.join(SOURCES)})"
        )
    path = Path(source).expanduser()
    if not path.exists():
        raise StanceError(f"{path}: there is no such file or folder, want {SOURCES[corpus].form}")
    folder = bundled("data/annotations") if annotations is None else Path(annotations)
    labels = {part: read_annotations(folder / f"{corpus}.{part}.jsonl") for part in PARTS}
    try:
        lookup = SOURCES[corpus].open(path)
    except OSError as error:
        raise StanceError(f"{error.filename}: cannot be read: {error.strerror}") from error
    joined = Joined(corpus)
    for part in PARTS:
        joined.labelled[part] = len(labels[part])
        joined.records[part] = []
        for line, annotation in enumerate(labels[part], 1):
            original = lookup(part, annotation.id.removeprefix(f"{corpus}-"))
            found = original if isinstance(original, Lost) else match(annotation, original)
            if isinstance(found, Lost):
                joined.lost.append(Lost(found.kind, found.detail, part, annotation.id))
                continue
            try:
                joined.records[part].append(attach(annotation, corpus, *found))
            except RecordError as error:
                raise error.at(folder / f"{corpus}.{part}.jsonl", line) from None
    return joined


def match(annotation: Annotation, original: Original) -> tuple[str, str | None] | Lost:
    """The form of the original's text that was labelled, known by its hash, with the title."""
    same_length = False
    for text, title in original.versions:
        for form in forms(text):
            if len(form) == annotation.length:
                same_length = True
                if sha256(form) == annotation.sha256:
                    return form, title
    if same_length:
        return Lost(
            "other text", f"{original.place} has {annotation.length} characters, but not the same"
        )
    length = len(original.versions[0][0])
    return Lost(
        "other length", f"{original.place} has {length} characters, not {annotation.length}"
    )


def forms(text: str) -> Iterator[str]:
    """The text, and the texts it may have come from by a change that editors and tools make.

    Byte order mark, line ends, blanks at the ends of lines, white space at the end of the text,
    Unicode normalisation; each form once, at most 48.
    """
    unmarked = text.removeprefix("\ufeff")
    lines = unmarked.replace("\r\n", "\n").replace("\r", "\n")
    trimmed = "\n".join(line.rstrip(" \t") for line in lines.split("\n"))
    seen: set[str] = set()
    for base in (text, unmarked, lines, trimmed):
        body = base.rstrip()
        for ended in (base, body, body + "\n", body + "\n\n"):
            for form in (ended, *(unicodedata.normalize(name, ended) for name in ("NFC", "NFD"))):
                if form not in seen:
                    seen.add(form)
                    yield form


def sha256(text: str) -> str:
    """Of the UTF-8 bytes of a text, in hexadecimal digits."""
    # A lone surrogate, which JSON can bring in, has a hash that no labelled text has.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def account(joined: Joined, shown: int = SHOWN) -> str:
    """How many articles matched, how many did not and why, and the first for each reason."""
    kept = {part: len(records) for part, records in joined.records.items()}
    total = sum(joined.labelled.values())
    parts = ", ".join(f"{part} {kept[part]} of {joined.labelled[part]}" for part in joined.labelled)
    lines = [f"{joined.corpus}: {sum(kept.values())} of {total} articles matched ({parts})"]
    untitled = sum(record["title"] is None for part in joined.records.values() for record in part)
    if untitled:
        lines.append(f"  {untitled} of them without a title: it is not in the source")
    for kind, count in Counter(lost.kind for lost in joined.lost).items():
        named = [lost for lost in joined.lost if lost.kind == kind][:shown]
        lines.append(f"  {kind}: {count}")
        lines += [f"    {lost.id}: {lost.detail}" for lost in named]
        if count > shown:
            lines.append(f"    … and {count - shown} more (unmatched=FILE lists them all)")
    return "\n".join(lines)


def prepare(cfg: Any) -> None:
    """Join, tell, write: `python scripts/prepare_data.py corpus=… source=…`.

    Raises:
        StanceError: an article does not match and `allow_partial` is off, or a part would be
            empty; then nothing is written.
    """
    if cfg.name is None or cfg.source is None:
        raise StanceError(
            f"want corpus=NAME ({', '.join(SOURCES)}) and source=PATH, your copy of that corpus"
        )
    joined = join_corpus(str(cfg.name), str(cfg.source), cfg.annotations)
    print(account(joined))
    if cfg.unmatched:
        path = Path(str(cfg.unmatched))
        rows = (f"{lost.part}\t{lost.id}\t{lost.kind}\t{lost.detail}\n" for lost in joined.lost)
        write_files({path: "".join(rows)})
        print(f"{path}: {len(joined.lost)} articles that do not match")
    total = sum(joined.labelled.values())
    if len(joined.lost) == total:
        raise StanceError(
            f"{cfg.source}: none of the {total} labelled articles is in it: nothing was written"
        )
    if joined.lost and not cfg.allow_partial:
        raise StanceError(
            f"{cfg.source}: {len(joined.lost)} of {total} labelled articles do not match: nothing "
            "was written (allow_partial=true writes the others)"
        )
    for part, records in joined.records.items():
        if not records:
            raise StanceError(
                f"{cfg.source}: no article of the part {part!r} matches: nothing was written"
            )
    output = Path(str(cfg.output))
    files = {
        output / f"{joined.corpus}.{part}.jsonl": json_lines(records)
        for part, records in joined.records.items()
    }
    write_files(files)
    for path, records in zip(files, joined.records.values(), strict=True):
        sentences = sum(len(record["sentences"]) for record in records)
        print(f"{path}: {len(records)} articles, {sentences} sentences")


def json_lines(rows: Iterable[Mapping[str, Any]], *, compact: bool = False) -> str:
    """The rows as JSON lines; compact ones have no blanks between their parts."""
    separators = (",", ":") if compact else None
    return "".join(
        json.dumps(row, ensure_ascii=False, separators=separators) + "\n" for row in rows
    )


def write_files(files: Mapping[Path, str]) -> None:
    """Write all of the files (UTF-8) or none: beside their places first, then moved there.

    Raises:
        StanceError: a file cannot be written; those that were there before are as they were.
    """
    aside = {path: path.with_name(f"{path.name}.unfinished") for path in files}
    moved: list[tuple[Path, bytes | None]] = []
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with aside[path].open("wb") as stream:
                stream.write(text.encode("utf-8"))
                stream.flush()
                os.fsync(stream.fileno())
        for path in files:
            before = path.read_bytes() if path.exists() else None
            aside[path].replace(path)
            moved.append((path, before))
    except OSError as error:
        for path, before in moved:
            path.unlink() if before is None else path.write_bytes(before)
        name = error.filename2 or error.filename
        raise StanceError(f"{name}: cannot be written: {error.strerror}") from error
    finally:
        for unfinished in aside.values():
            if unfinished.is_file():
                unfinished.unlink()


def _decodings(data: bytes) -> list[str]:
    """The texts that the bytes may stand for, the likeliest first.

    Bytes that are no UTF-8 may have been labelled as U+FFFD. A copy that was read in a Western
    encoding and written again as UTF-8 is taken back to its bytes for that.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        texts = [data.decode("utf-8-sig", "replace")]
        for encoding in WESTERN:
            with suppress(UnicodeDecodeError):
                texts.append(data.decode(encoding))
        return texts
    texts = [text]
    for encoding in WESTERN:
        with suppress(UnicodeEncodeError):
            texts.append(text.encode(encoding).decode("utf-8", "replace"))
    return list(dict.fromkeys(texts))


def _file(root: Path, names: Sequence[str], title: str | None = None) -> Original | Lost:
    """The first text file that is there, of several names inside the root."""
    for name in names:
        try:
            texts = _decodings((root / name).read_bytes())
        except FileNotFoundError:
            continue
        except OSError as error:
            return Lost("unreadable", f"{name}: {error.strerror}")
        return Original(name, [(text, title) for text in texts])
    return Lost("missing", f"there is no {names[0]}")


def _root(source: Path, inner: Sequence[str], wanted: Sequence[str], corpus: str) -> Path:
    """The folder that has one of the `wanted` ones in it: the source, or one `inner` to it."""
    form = SOURCES[corpus].form
    if not source.is_dir():
        raise StanceError(f"{source}: want {form}, this is a file")
    for root in (source, *(source / name for name in inner)):
        if any((root / name).is_dir() for name in wanted):
            return root
    raise StanceError(f"{source}: want {form}, there is no folder {wanted[0]} in it")


def _fakes(source: Path) -> Lookup:
    """The FA-KES csv: the number of an article is that of its row, from 0."""
    form = SOURCES["fakes"].form
    if source.is_dir():
        raise StanceError(f"{source}: want {form}, this is a folder")
    data = source.read_bytes()
    if b"\0" in data:
        raise StanceError(f"{source}: want {form}, this is not a CSV file")
    tables = [_table(source, text) for text in _decodings(data)]
    header = tables[0][0] if tables[0] else []
    for name in ("article_content", "article_title"):
        if name not in header:
            raise StanceError(f"{source}: want {form}, there is no column {name!r} in its header")
    text, title = header.index("article_content"), header.index("article_title")

    def lookup(part: str, number: str) -> Original | Lost:
        place, line = f"row {int(number)}", int(number) + 1
        if line >= len(tables[0]):
            return Lost("missing", f"there is no {place}, the file has {len(tables[0]) - 1} rows")
        rows = [table[line] for table in tables if len(table) == len(tables[0])]
        if any(len(row) != len(header) for row in rows):
            return Lost("unreadable", f"{place} has {len(rows[0])} cells, not {len(header)}")
        return Original(place, [(row[text], row[title]) for row in rows])

    return lookup


def _table(source: Path, text: str) -> list[list[str]]:
    """The rows of a CSV file, header first, without empty ones."""
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return [row for row in reader if row]
    except csv.Error as error:
        raise StanceError(f"{source}: not CSV from line {reader.line_num} on: {error}") from None


def _polnear(source: Path) -> Lookup:
    """The PolNeAR repository; titles that do not open the text are in data/metadata.tsv."""
    folders = [f"{part}/text" for part in (*PARTS, "test")]
    root = _root(source, ["data"], folders, "polnear")
    titles: dict[str, str] = {}
    metadata = root / "metadata.tsv"
    if metadata.is_file():
        header, *rows = _decodings(metadata.read_bytes())[0].splitlines() or [""]
        names = header.split("\t")
        for row in rows:
            cells = dict(zip(names, row.split("\t"), strict=False))
            titles[cells.get("filename", "")] = cells.get("title", "")

    def lookup(part: str, name: str) -> Original | Lost:
        ordered = sorted(folders, key=lambda folder: not folder.startswith(part))
        return _file(root, [f"{folder}/{name}.txt" for folder in ordered], titles.get(name))

    return lookup


def _bbc(source: Path) -> Lookup:
    """The folder of the BBC articles in full, one folder a category."""
    categories = ["business", "entertainment", "politics", "sport", "tech"]
    root = _root(source, ["bbc"], categories, "bbc")

    def lookup(part: str, name: str) -> Original | Lost:
        category, _, number = name.rpartition("-")
        return _file(root, [f"{category}/{number}.txt"])

    return lookup


def _basil(source: Path) -> Lookup:
    """The BASIL repository: a JSON file an article, in a folder for each year."""
    root = _root(source, ["data"], ["articles"], "basil")
    paths = {path.stem: path for path in sorted((root / "articles").glob("*/*.json"))}

    def lookup(part: str, name: str) -> Original | Lost:
        path = paths.get(name)
        if path is None:
            return Lost("missing", f"there is no articles/<year>/{name}.json")
        place = path.relative_to(root).as_posix()
        try:
            article = parse_json(path.read_bytes())
            title, paragraphs = article["title"], article["body-paragraphs"]
            body = "\n".join(" ".join(_strings(paragraph)) for paragraph in paragraphs)
            return Original(place, [("\n\n".join(_strings([title, body])), title)])
        except OSError as error:
            return Lost("unreadable", f"{place}: {error.strerror}")
        except RecordError as error:
            return Lost("unreadable", f"{place}: {error.reason}")
        except (KeyError, TypeError):
            wanted = "want 'title' and 'body-paragraphs', lists of sentences"
            return Lost("unreadable", f"{place}: {wanted}")

    return lookup


def _strings(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise TypeError("want a list of strings")
    return value


@dataclass(frozen=True)
class Source:
    """How the published form of a corpus is opened, and what it is, in words."""

    open: Callable[[Path], Lookup]
    form: str


SOURCES: dict[str, Source] = {
    "fakes": Source(_fakes, "the file FA-KES-Dataset.csv"),
    "polnear": Source(_polnear, "the folder of the PolNeAR repository (data/train/text/….txt)"),
    "bbc": Source(_bbc, "the folder of the BBC articles (business/001.txt, …)"),
    "basil": Source(_basil, "the folder of the BASIL repository (articles/<year>/….json)"),
}
"""The corpora that have stand-off annotations."""
