"""The ledger against tables counted by hand, and what could go wrong on the way."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from stance.cli import main
from stance.errors import StanceError
from stance.ledger import Evidence, Ledger, Row, Totals, Where
from stance.records import Article
from stance.schema import DEFAULT, Schema
from stance.writers import JsonlWriter, ParquetWriter

LABELS = ("favor", "against", "neutral")
MILL, COUNCIL = "Mill owners", "Orlea's council"


def article(sentences: Iterable[dict[str, Any]], **about: Any) -> Article:
    """An article out of sentences with text, speaker, tags, their probabilities, and stances."""
    text, records = "", []
    for sentence in sentences:
        stances = [
            {
                "target": number,
                "label": LABELS[int(np.argmax(probs))],
                "score": max(probs),
                "probs": dict(zip(LABELS, probs, strict=True)),
            }
            for number, probs in enumerate(sentence["stance"])
            if probs
        ]
        span = {"start": len(text), "end": len(text) + len(sentence["text"])}
        records.append({**sentence, **span, "stance": stances})
        text += sentence["text"] + " "
    return Article.from_dict({"text": text, "sentences": records, **about})


def tags(official: float, allegation: float, background: float) -> dict[str, Any]:
    probs = {"official_statement": official, "allegation": allegation, "background": background}
    return {"tags": [name for name, p in probs.items() if p >= 0.5], "tag_probs": probs}


ARCHIVE = [
    article(
        [
            {"text": "“They burned it,” Brod said.", "speaker": "Ana Brod"}
            | tags(0.9, 0.8, 0.1)
            | {"stance": [(0.1, 0.8, 0.1), (0.1, 0.1, 0.8)]},
            {"text": "The council helped. 🔥"}
            | tags(0.1, 0.1, 0.8)
            | {"stance": [(0.2, 0.2, 0.6), (0.7, 0.1, 0.2)]},
        ],
        id="a1",
        publisher="Courier",
        date="2026-01-05",
        targets=[MILL, COUNCIL],
    ),
    article(
        [
            {"text": "They lie, said Brod.", "speaker": "Ana Brod"}
            | tags(0.1, 0.9, 0.1)
            | {"stance": [(0.0, 0.9, 0.1)]},
            {"text": "They are fair, said Olm.", "speaker": "Piet Olm"}
            | tags(0.1, 0.2, 0.7)
            | {"stance": [(0.6, 0.1, 0.3)]},
        ],
        id="a2",
        publisher="Courier",
        date="2026-02-10T08:00",
        targets=[MILL, {"text": COUNCIL, "names": ["Orlea"], "skipped": True}],
    ),
    article(
        [
            {"text": "Olm said they had lied.", "speaker": "Piet Olm"}
            | tags(0.0, 0.6, 0.4)
            | {"stance": [(0.2, 0.5, 0.3)]},
        ],
        targets=[MILL],
    ),
]


def write(path: Path, articles: Iterable[Article], schema: Schema = DEFAULT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with ParquetWriter(path, schema) as writer:
        for one in articles:
            writer.write(one)
    return path


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of parts whose name would mean something to a glob, and to SQL."""
    folder = tmp_path_factory.mktemp("run") / "it's [1] publisher=x"
    write(folder / "part-0.parquet", ARCHIVE[:1])
    write(folder / "part-1.parquet", ARCHIVE[1:])
    (folder / "rejects").mkdir()
    (folder / "rejects" / "part-1.jsonl").write_text("{}\n")
    return folder


@pytest.fixture(scope="module")
def ledger(archive: Path) -> Iterable[Ledger]:
    with Ledger(archive) as ledger:
        yield ledger


def cells(rows: Iterable[Row]) -> list[tuple[Any, ...]]:
    """Target, group, articles, sentences, skipped, and count and expected count of each stance."""
    return [
        (
            *(row.target, row.by, row.articles, row.sentences, row.skipped),
            *(row.favor.count, row.favor.expected, row.against.count, row.against.expected),
        )
        for row in rows
    ]


def test_totals(ledger: Ledger) -> None:
    assert ledger.totals() == Totals(articles=3, sentences=5, pairs=7, skipped=2)
    assert ledger.totals(Where(target=COUNCIL)) == Totals(3, 5, 2, 2)
    assert ledger.totals(Where(until="2026-01")) == Totals(1, 2, 4, 0)


def test_by_target(ledger: Ledger) -> None:
    assert cells(ledger.table()) == [
        (MILL, None, 3, 5, 0, 1, 1.1, 3, 2.5),
        (COUNCIL, None, 1, 2, 1, 1, 0.8, 0, 0.2),
    ]


def test_by_tag_the_expected_count_takes_the_tag_as_uncertain_too(ledger: Ledger) -> None:
    rows = cells(ledger.table("tag", Where(target=MILL)))
    against = 0.8 * 0.8 + 0.1 * 0.2 + 0.9 * 0.9 + 0.2 * 0.1 + 0.6 * 0.5
    favor = 0.8 * 0.1 + 0.1 * 0.2 + 0.9 * 0.0 + 0.2 * 0.6 + 0.6 * 0.2
    assert rows[0] == (
        *(MILL, "allegation", 3, 3, None),
        *(0, pytest.approx(favor), 3, pytest.approx(against)),
    )
    assert [row[:6] + row[7:8] for row in rows[1:]] == [
        (MILL, "background", 2, 2, None, 1, 0),
        (MILL, "official_statement", 1, 1, None, 0, 1),
    ]


def test_by_speaker_publisher_and_month(ledger: Ledger) -> None:
    about_mill = Where(target=MILL)
    assert cells(ledger.table("speaker", about_mill)) == [
        (MILL, "Ana Brod", 2, 2, None, 0, 0.1, 2, 1.7),
        (MILL, "Piet Olm", 2, 2, None, 1, 0.8, 1, 0.6),
        (MILL, None, 1, 1, None, 0, 0.2, 0, 0.2),
    ]
    assert cells(ledger.table("publisher", about_mill)) == [
        (MILL, "Courier", 2, 4, 0, 1, 0.9, 2, 2.0),
        (MILL, None, 1, 1, 0, 0, 0.2, 1, 0.5),
    ]
    assert cells(ledger.table("month")) == [
        (MILL, "2026-02", 1, 2, 0, 1, 0.6, 1, 1.0),
        (MILL, "2026-01", 1, 2, 0, 0, 0.3, 1, 1.0),
        (COUNCIL, "2026-01", 1, 2, 0, 1, 0.8, 0, 0.2),
        (MILL, None, 1, 1, 0, 0, 0.2, 1, 0.5),
        (COUNCIL, "2026-02", 0, 0, 1, 0, 0.0, 0, 0.0),
    ]


def test_who_alleges_what_about_whom(ledger: Ledger) -> None:
    rows = ledger.allegations()
    assert [(row.target, row.by, row.favor.count, row.against.count) for row in rows] == [
        (MILL, "Ana Brod", 0, 2),
        (MILL, "Piet Olm", 0, 1),
    ]
    assert rows[0].against.expected == pytest.approx(0.8 * 0.8 + 0.9 * 0.9)


def test_allegations_have_one_tag(ledger: Ledger) -> None:
    assert ledger.allegations(Where(tag="allegation")) == ledger.allegations()
    with pytest.raises(StanceError, match="allegations have the tag 'allegation': leave out the t"):
        ledger.allegations(Where(tag="background"))


@pytest.mark.parametrize("by", ["target", "tag", "speaker", "publisher", "month"])
@pytest.mark.parametrize("stance", ["favor", "against"])
def test_each_figure_leads_to_its_sentences(ledger: Ledger, by: Any, stance: str) -> None:
    for row in ledger.table(by):
        group = {} if by == "target" else {by: row.by or ""}
        if by == "month":
            if row.by is None:
                continue
            group = {"since": row.by, "until": row.by}
        found = list(ledger.sentences(Where(target=row.target, **group), stance))
        assert len(found) == getattr(row, stance).count


def test_sentences_in_order_with_their_place(ledger: Ledger, archive: Path) -> None:
    found = list(ledger.sentences(Where(tag="allegation")))
    assert [(row.article, row.speaker, row.stance) for row in found] == [
        ("a1", "Ana Brod", "against"),
        ("a2", "Ana Brod", "against"),
        (f"{archive / 'part-1.parquet'}:2", "Piet Olm", "against"),
    ]
    (council,) = ledger.sentences(Where(target=COUNCIL))
    assert council == Evidence(
        *("a1", 29, 50, "The council helped. 🔥", None, "Courier", "2026-01-05", None),
        *(("background",), COUNCIL, "entity", "favor", 0.7),
    )
    assert ARCHIVE[0].text[council.start : council.end] == council.text
    assert len(list(ledger.sentences(limit=2))) == 2
    assert len(list(ledger.sentences(stance="neutral"))) == 2


def test_conditions_narrow_every_table(ledger: Ledger) -> None:
    where = Where(MILL, speaker="Ana Brod", publisher="Courier", since="2026-02", until="2026-12")
    assert cells(ledger.table("target", where)) == [(MILL, None, 1, 1, 0, 0, 0.0, 1, 0.9)]
    (undated,) = ledger.table("target", Where(publisher=""))
    assert (undated.articles, undated.against.count) == (1, 1)
    assert ledger.table("speaker", Where(tag="background", speaker="Ana Brod")) == []
    assert len(ledger.table("month", limit=2)) == 2
    with pytest.raises(StanceError, match="'2026-1' is not a month such as 2026-01"):
        Where(since="2026-1")
    with pytest.raises(StanceError, match="by is 'day', want one of target, tag"):
        ledger.table("day")  # type: ignore[arg-type]


def test_the_interval_is_that_of_articles_drawn_with_replacement(tmp_path: Path) -> None:
    """Beside the plain way: 80 articles with 0 to 4 sentences against the mill."""
    random = np.random.default_rng(4)
    counts = random.integers(0, 5, 80)
    sentence = {"text": "They lie.", "stance": [(0.2, 0.7, 0.1)]}
    articles = [article([sentence] * count, targets=[MILL]) for count in counts.tolist()]
    with Ledger(write(tmp_path / "many.parquet", articles)) as ledger:
        (row,) = ledger.table(resamples=20_000)
        assert ledger.table(resamples=20_000) == [row]
        assert ledger.table(resamples=50) != ledger.table(resamples=50, seed=1)
    drawn = counts[random.integers(0, 80, (20_000, 80))].sum(1)
    plain = np.quantile(drawn, (0.025, 0.975))
    assert row.against.count == counts.sum()
    assert (row.against.low, row.against.high) == pytest.approx(tuple(plain), abs=3)
    assert row.against.expected == pytest.approx(0.7 * counts.sum())
    assert row.against.expected_high == pytest.approx(0.7 * plain[1], abs=3)
    assert row.favor.low == row.favor.high == 0


def test_where_every_article_has_the_same_count_there_is_no_doubt(tmp_path: Path) -> None:
    sentence = {"text": "They lie.", "stance": [(0.2, 0.7, 0.1)]}
    articles = [article([sentence], targets=[MILL])] * 50
    with Ledger(write(tmp_path / "same.parquet", articles)) as ledger:
        (row,) = ledger.table()
    assert (row.against.low, row.against.high) == (50, 50)


@pytest.mark.parametrize("p", [0.004, 0.04, 0.06])
@pytest.mark.parametrize(("some", "others"), [(30, 0), (1, 30)])
def test_the_interval_holds_the_expected_count_however_small_its_parts(
    tmp_path: Path, p: float, some: int, others: int
) -> None:
    """Sums of articles are counted in tenths: what that takes or adds goes back to the total."""
    small, nothing = (
        article([{"text": "They lie.", "stance": [(q, 0.0, 1 - q)]}], targets=[MILL])
        for q in (p, 0.0)
    )
    path = write(tmp_path / "small.parquet", [small] * some + [nothing] * others)
    with Ledger(path) as ledger:
        (row,) = ledger.table()
    assert row.favor.expected == pytest.approx(p * some)
    assert 0 <= row.favor.expected_low <= row.favor.expected <= row.favor.expected_high


def test_names_are_data_and_never_sql(tmp_path: Path) -> None:
    odd = "x'; DROP VIEW pairs; -- \" %_$tag \0"
    tag = 'it\'s "odd"'
    schema = Schema.from_dict(
        {"facets": {"mood": {"labels": ["a", "b"]}}, "tags": {tag: {"mood": "a"}}}
    )
    sentence = {"text": "They lie.", "speaker": odd, "tags": [tag], "tag_probs": {tag: 0.5}}
    one = article([sentence | {"stance": [(0.2, 0.7, 0.1)]}], targets=[odd], publisher=odd)
    with Ledger(write(tmp_path / "odd.parquet", [one], schema)) as ledger:
        where = Where(target=odd, tag=tag, speaker=odd, publisher=odd)
        for by, group in (("tag", tag), ("speaker", odd), ("publisher", odd)):
            (row,) = ledger.table(by, where)  # type: ignore[arg-type]
            assert (row.target, row.by, row.against.count) == (odd, group, 1)
            assert row.against.expected == pytest.approx(0.35)
        assert [found.speaker for found in ledger.sentences(where)] == [odd]
        assert ledger.table("target", Where(target="' OR true --")) == []


@pytest.mark.parametrize(
    ("date", "month"),
    [
        ("2026-03-31", "2026-03"),
        ("20260331", "2026-03"),
        ("2026-03-31T23:59:59+02:00", "2026-03"),
        ("20260331T2359", "2026-03"),
        ("2026-W14-2", "2026-03"),
    ],
)
def test_months_of_all_forms_of_dates(tmp_path: Path, date: str, month: str) -> None:
    path = write(tmp_path / "dated.parquet", [replace(ARCHIVE[2], date=date)])
    with Ledger(path) as ledger:
        assert [row.by for row in ledger.table("month")] == [month]


def test_jsonl_gives_the_same_if_it_has_the_probabilities(archive: Path, tmp_path: Path) -> None:
    for probs in (True, False):
        path = tmp_path / f"{probs}.jsonl"
        with JsonlWriter(path, probs=probs) as writer:
            for one in ARCHIVE:
                writer.write(one)
        with Ledger(path) as ledger, Ledger(archive) as other:
            rows, same = ledger.table("speaker"), other.table("speaker")
            if probs:
                assert rows == same
            else:
                assert [row[:6] for row in cells(rows)] == [row[:6] for row in cells(same)]
                assert {row.against.expected for row in rows} == {None}
                assert ledger.allegations()[0].against.count == 2


def test_sentences_of_jsonl_without_ids_are_named_by_their_line(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with JsonlWriter(tmp_path / f"{name}.jsonl") as writer:
            for one in ARCHIVE:
                writer.write(replace(one, id=None))
    second = tmp_path / "b.jsonl"
    second.write_text("\n" + second.read_text(encoding="utf-8"), encoding="utf-8")
    with Ledger(tmp_path) as ledger:
        places = {found.article for found in ledger.sentences()}
    assert places == {f"{tmp_path}/a.jsonl:{line}" for line in (1, 2, 3)} | {
        f"{tmp_path}/b.jsonl:{line}" for line in (2, 3, 4)
    }


def test_nothing_is_counted_where_nothing_is(tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.parquet", [])
    with Ledger(empty) as ledger:
        assert ledger.totals() == Totals(0, 0, 0, 0)
        assert ledger.table() == ledger.allegations() == list(ledger.sentences()) == []
    with Ledger(write(tmp_path / "bare.parquet", [Article(""), Article("No targets.")])) as ledger:
        assert ledger.totals() == Totals(2, 0, 0, 0)
        assert ledger.table("month") == []


def test_what_cannot_be_counted_is_told(tmp_path: Path) -> None:
    with pytest.raises(StanceError, match="there is no such file or folder"):
        Ledger(tmp_path / "nothing.parquet")
    with pytest.raises(StanceError, match=r"want a \.parquet or \.jsonl file, or a folder of them"):
        Ledger(tmp_path)
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(StanceError, match=r"broken\.parquet: not a Parquet file"):
        Ledger(tmp_path / "broken.parquet")
    other = tmp_path / "other.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a"]}), other)
    with pytest.raises(StanceError, match="no articles tagged with stances"):
        Ledger(other)
    cut = write(tmp_path / "cut.parquet", ARCHIVE * 400)
    data = bytearray(cut.read_bytes())
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    data[4:footer] = bytes(footer - 4)
    cut.write_bytes(data)
    with Ledger(cut) as ledger, pytest.raises(StanceError, match=r"cut\.parquet: cannot be read"):
        ledger.table()


def call(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["ledger", *words])
    return int(str(end.value.code))


def test_the_command_prints_tables_and_sentences(
    archive: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    assert call(str(archive)) == 0
    out = capsys.readouterr().out
    assert "3 articles, 5 sentences; 7 pairs of sentence and target judged, 2 skipped" in out
    assert "Stance toward each target" in out
    assert "Who alleges what about whom" in out
    assert "~2.5" in out
    assert call(str(archive), "--sentences", "--target", COUNCIL, "--stance", "favor") == 0
    out = capsys.readouterr().out
    assert "The council helped. 🔥" in out
    assert "Stance toward" not in out
    assert call(str(archive), "--from", "March") == 1
    assert "stance: 'March' is not a month" in capsys.readouterr().err


def test_the_command_has_no_allegations_of_another_tag(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(str(archive), "--tag", "background") == 0
    out = capsys.readouterr().out
    assert "Stance toward each target" in out
    assert "Who alleges what about whom" not in out
    assert call(str(archive), "--tag", "allegation") == 0
    assert "Who alleges what about whom" in capsys.readouterr().out
    assert call(str(archive), "--tag", "background", "--csv", str(tmp_path)) == 0
    assert "allegations.csv" not in {path.name for path in tmp_path.iterdir()}
    capsys.readouterr()
    assert call(str(archive), "--tag", "background", "--by", "allegations") == 1
    assert "leave out the tag 'background'" in capsys.readouterr().err


def test_the_command_prints_nothing_that_a_terminal_would_obey(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = "\x1b[2JBrod\x9b\x00"
    sentence = {"text": odd, "speaker": odd} | tags(0.1, 0.9, 0.1) | {"stance": [(0.1, 0.8, 0.1)]}
    one = article([sentence], id=odd, targets=[odd], publisher=odd, title=odd)
    path = str(write(tmp_path / "odd.parquet", [one]))
    for options in ([], ["--sentences"], ["--by", "publisher"]):
        assert call(path, *options) == 0
        out = capsys.readouterr().out
        assert "Brod" in out
        assert {c for c in out if unicodedata.category(c) == "Cc"} == {"\n"}


def test_the_command_writes_csv(archive: Path, tmp_path: Path) -> None:
    assert call(str(archive), "--csv", str(tmp_path / "all")) == 0
    assert sorted(path.stem for path in (tmp_path / "all").iterdir()) == sorted(
        ["target", "tag", "speaker", "publisher", "month", "allegations"]
    )
    with (tmp_path / "all" / "target.csv").open(newline="") as stream:
        first = next(csv.DictReader(stream))
    assert (first["target"], first["against"], first["against_expected"]) == (MILL, "3", "2.5")
    assert float(first["against_low"]) <= 3 <= float(first["against_high"])
    assert call(str(archive), "--csv", str(tmp_path / "one"), "--sentences", "--tag", "none") == 0
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["sentences.csv"]
    header = (tmp_path / "one" / "sentences.csv").read_text().splitlines()
    assert header == [
        "article,start,end,text,title,publisher,date,speaker,tags,target,kind,stance,score"
    ]
