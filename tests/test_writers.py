"""What is written is read back equal, from JSONL and from Parquet."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stance.errors import StanceError
from stance.readers import read_articles
from stance.records import ARTICLE_FIELDS, SENTENCE_FIELDS, Article, Label, Sentence, Stance, Target
from stance.schema import DEFAULT, Schema
from stance.writers import JsonlWriter, ParquetWriter, arrow_schema, open_writer

OWN = Schema.from_dict(
    {
        "facets": {
            "source": {"labels": ["official", "narrator"]},
            "topics": {"labels": ["weather", "mills", "🔥"], "kind": "multi"},
            "allegation": {"labels": [True, False]},
        },
        "tags": {"wet": {"topics": "weather"}, "other": "fallback"},
    }
)
BARE = Schema.from_dict({"facets": {"mood": {"labels": ["a", "b"]}}, "stance": [], "spans": []})

TAGGED = Article(
    text="The minister spoke. He called the fire “staged” 🔥.",
    id="a1",
    targets=(
        Target("Mill owners"),
        Target("He", "entity", ((20, 22),)),
        Target("It was staged", "claim", names=("Orlea", "Norn Ltd"), skipped=True),
    ),
    sentences=(
        Sentence(0, 19, "The minister spoke.", tags=()),
        Sentence(
            20,
            50,
            "He called the fire “staged” 🔥.",
            truncated=True,
            tags=("official_statement", "allegation"),
            facets={
                "source": Label(
                    "official", 0.97, {"official": 0.97, "other": 0.02, "narrator": 0.01}
                ),
                "allegation": Label(True, 0.91, {"false": 0.09, "true": 0.91}),
            },
            stance=(
                Stance(0, "against", 0.88, {"favor": 0.02, "against": 0.88, "neutral": 0.1}),
                Stance(1, "neutral", 0.6, {"favor": 0.3, "against": 0.1, "neutral": 0.6}),
            ),
            speaker="Ana Brod",
            spans={"source": ((20, 22),), "cue": ((23, 29),), "content": ()},
            tag_probs={"official_statement": 0.97, "allegation": 0.91, "background": 0.01},
        ),
    ),
    model="stance-tiny 0.1.0",
    extra={"desk": {"floor": 3}},
)

ROUND_TRIP = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])

scores = st.floats(0, 1)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # A lone NUL, right-to-left marks, separators that Python counts as line ends, emoji.
    | st.text()
    | st.sampled_from(["\x00", "\u202eשלם\u202c", "\u2028\u0085\r\n", "👩‍👩‍👧 🔥"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text().filter(lambda name: name != "label"), inner, max_size=3)
    ),
    max_leaves=5,
)
names = st.text(min_size=1).filter(str.strip)
texts = st.lists(
    st.text(max_size=8)
    | st.sampled_from(["\x00", "\u202eשלם\u202c", "大火。", "👩‍👩‍👧🔥", "\u2028"]),
    max_size=8,
).map("".join)


def extras(known: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    """Unknown fields, some of them with names that the Parquet columns use."""
    keys = st.text() | st.sampled_from(["extra_json", "corpus", "topics", "mood"])
    return st.dictionaries(keys.filter(lambda key: key not in known), json_values, max_size=3)


@st.composite
def spans_in(draw: st.DrawFn, text: str, most: int, least: int = 0) -> list[list[int]]:
    places = st.integers(0, len(text))
    least = min(2 * least, len(text) + 1)
    cuts = sorted(draw(st.sets(places, min_size=least, max_size=2 * most)))
    return [list(pair) for pair in zip(cuts[::2], cuts[1::2], strict=False)]


@st.composite
def labels(draw: st.DrawFn, label: st.SearchStrategy[Any], tagged: bool) -> Any:
    """A plain label of gold data, or one with its score and perhaps all probabilities."""
    if not tagged:
        return draw(label)
    keys = st.sampled_from(["official", "other", "narrator", "true", "false", "weather", "x"])
    probs = st.none() | st.dictionaries(keys, scores, max_size=3)
    return {"label": draw(label), "score": draw(scores), "probs": draw(probs)}


@st.composite
def articles(draw: st.DrawFn) -> Article:
    text = draw(texts)
    tagged = draw(st.booleans())
    targets = draw(
        st.lists(
            st.fixed_dictionaries(
                {"text": names, "kind": st.sampled_from(["entity", "claim"])},
                optional={
                    "mentions": spans_in(text, 2),
                    "names": st.lists(names, max_size=2),
                    "skipped": st.booleans(),
                },
            ),
            max_size=3,
        )
    )
    stance_labels = st.sampled_from(["favor", "against", "neutral", "ambiguous"])
    stance: st.SearchStrategy[Any] = st.tuples(*[st.none() | stance_labels for _ in targets])
    if tagged:
        probs = st.dictionaries(st.sampled_from(["favor", "against", "neutral", "x"]), scores)
        rows = [
            st.fixed_dictionaries(
                {"target": st.just(number), "label": stance_labels, "score": scores},
                optional={"probs": probs},
            )
            for number in range(len(targets))
        ]
        stance = st.tuples(*rows)
    words = st.sampled_from(["official", "other", "narrator", "", "🔥"])
    sentence = st.fixed_dictionaries(
        {},
        optional={
            "truncated": st.booleans(),
            "tags": st.lists(st.text(max_size=3), max_size=2),
            "tag_probs": st.dictionaries(
                st.sampled_from(["official_statement", "allegation", "wet", "other"]), scores
            ),
            "source": labels(words, tagged),
            "allegation": labels(st.booleans() | words, tagged),
            "topics": labels(st.lists(words, max_size=2) | words, tagged),
            "stance": stance,
            "speaker": names,
            "spans": st.dictionaries(
                st.sampled_from(["source", "cue", "content", "other"]), spans_in(text, 2)
            ),
        },
    )
    spans = draw(spans_in(text, 3, 1))
    fields: dict[str, Any] = {
        "id": st.text(),
        "title": st.text(),
        "date": st.dates().map(str),
        "publisher": st.text(),
        "model": st.text(),
        "sentences": st.just(
            [
                {
                    **draw(extras((*SENTENCE_FIELDS, "tag_probs"))),
                    **draw(sentence),
                    "start": start,
                    "end": end,
                }
                for start, end in spans
            ]
        ),
    }
    record = draw(st.fixed_dictionaries({}, optional=fields))
    return Article.from_dict(
        {**draw(extras(ARTICLE_FIELDS)), **record, "text": text, "targets": targets}
    )


def without_probs(article: Article) -> Article:
    """The article as JSONL without probabilities has it."""
    if article.sentences is None:
        return article
    sentences = tuple(
        replace(
            sentence,
            tag_probs=None,
            facets={name: replace(label, probs=None) for name, label in sentence.facets.items()},
            stance=tuple(replace(stance, probs=None) for stance in sentence.stance),
        )
        for sentence in article.sentences
    )
    return replace(article, sentences=sentences)


several_articles = st.lists(
    articles(), max_size=3, unique_by=lambda article: object() if article.id is None else article.id
)


@ROUND_TRIP
@given(several_articles, st.booleans())
def test_jsonl_round_trip(written: list[Article], probs: bool) -> None:
    stream = io.BytesIO()
    with JsonlWriter(stream, probs=probs) as writer:
        for article in written:
            writer.write(article)
    assert stream.getvalue().count(b"\n") == len(written)
    stream.seek(0)
    want = written if probs else [without_probs(article) for article in written]
    assert list(read_articles(stream)) == want


@ROUND_TRIP
@given(several_articles, st.sampled_from([DEFAULT, OWN, BARE]))
def test_parquet_round_trip(written: list[Article], schema: Schema) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "articles.parquet"
        with ParquetWriter(path, schema) as writer:
            for article in written:
                writer.write(article)
        assert list(read_articles(path)) == written


def test_jsonl_is_one_record_a_line(tmp_path: Path) -> None:
    path = tmp_path / "tagged.jsonl"
    with JsonlWriter(path) as writer:
        writer.write(TAGGED)
        writer.write(Article("Rain\u2028fell.\n"))
    first, second = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    assert json.loads(first) == TAGGED.to_dict(probs=False)
    assert "“staged” 🔥" in first
    assert "probs" not in first
    assert second == '{"text": "Rain\u2028fell.\\n"}'


def test_jsonl_has_probs_when_asked() -> None:
    stream = io.BytesIO()
    with JsonlWriter(stream, probs=True) as writer:
        writer.write(TAGGED)
    assert json.loads(stream.getvalue()) == TAGGED.to_dict(probs=True)


def test_parquet_columns_follow_from_the_schema(tmp_path: Path) -> None:
    for name, article in [("tagged", TAGGED), ("plain", Article("Rain fell."))]:
        with ParquetWriter(tmp_path / f"{name}.parquet", DEFAULT) as writer:
            writer.write(article)
    with ParquetWriter(tmp_path / "none.parquet", DEFAULT):
        pass
    for path in tmp_path.iterdir():
        assert pyarrow.parquet.read_schema(path).equals(arrow_schema(DEFAULT))
    columns = arrow_schema(DEFAULT)
    assert columns.names == [
        *("id", "title", "date", "publisher", "text", "targets", "sentences", "model"),
        "extra_json",
    ]
    sentence = columns.field("sentences").type.value_type
    assert [field.name for field in sentence] == [
        *("start", "end", "text", "truncated", "tags", "tag_probs"),
        *("source", "allegation", "stance", "speaker", "spans", "extra_json"),
    ]
    assert str(sentence.field("allegation").type) == (
        "struct<label: bool, score: double, probs: struct<false: double, true: double>>"
    )


def test_parquet_can_be_queried_by_column(tmp_path: Path) -> None:
    path = tmp_path / "tagged.parquet"
    with ParquetWriter(path, DEFAULT) as writer:
        writer.write(TAGGED)
    (row,) = pyarrow.parquet.read_table(path).to_pylist()
    sentence = row["sentences"][1]
    assert sentence["source"]["probs"]["other"] == 0.02
    assert sentence["tag_probs"]["allegation"] == 0.91
    assert sentence["stance"][0]["label"] == "against"
    assert sentence["spans"]["cue"] == [[23, 29]]
    assert row["extra_json"] == '{"desk": {"floor": 3}}'
    assert sentence["extra_json"] is None


def test_columns_of_own_facets() -> None:
    topics = arrow_schema(OWN).field("sentences").type.value_type.field("topics").type
    assert topics.field("label").type.value_type == pyarrow.string()
    assert [field.name for field in topics.field("probs").type] == ["weather", "mills", "🔥"]
    bare = arrow_schema(BARE).field("sentences").type.value_type
    assert {field.name for field in bare}.isdisjoint({"spans", "stance", "tag_probs"})


def test_a_missing_stance_stays_missing(tmp_path: Path) -> None:
    gold = Article.from_dict(
        {
            "text": "Rain fell.",
            "targets": ["Rain", "Sun", "Wind"],
            "sentences": [{"start": 0, "end": 10, "stance": ["favor", None, "against"]}],
        }
    )
    for form in ("jsonl", "parquet"):
        path = tmp_path / f"gold.{form}"
        with open_writer(path, form, DEFAULT) as writer:  # type: ignore[arg-type]
            writer.write(gold)
        (article,) = read_articles(path)
        assert article == gold
        assert article.to_dict()["sentences"][0]["stance"] == ["favor", None, "against"]


def test_parquet_is_written_in_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "many.parquet"
    written = [replace(TAGGED, id=str(number)) for number in range(2_510)]
    with ParquetWriter(path, DEFAULT) as writer:
        for article in written:
            writer.write(article)
    metadata = pyarrow.parquet.read_metadata(path)
    groups = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    assert groups == [1_000, 1_000, 510]
    assert list(read_articles(path)) == written


def test_parquet_to_a_stream_that_stays_open(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with open_writer(stream, "parquet", DEFAULT) as writer:
        writer.write(TAGGED)
    path = tmp_path / "tagged.parquet"
    path.write_bytes(stream.getvalue())
    assert list(read_articles(path)) == [TAGGED]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, form: Any) -> None:
    path = tmp_path / f"tagged.{form}"

    def write_and_be_interrupted() -> None:
        with open_writer(path, form, DEFAULT) as writer:
            writer.write(TAGGED)
            assert not path.exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_be_interrupted()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_failed_write_keeps_the_older_file(tmp_path: Path, form: Any) -> None:
    path = tmp_path / f"tagged.{form}"
    path.write_bytes(b"older")
    with pytest.raises(UnicodeEncodeError), open_writer(path, form, DEFAULT) as writer:
        writer.write(Article("a lone surrogate \ud800, made by hand"))
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [
        (path.name, b"older")
    ]
    with open_writer(path, form, DEFAULT) as writer:
        writer.write(TAGGED)
    assert [article.id for article in read_articles(path)] == ["a1"]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_place_that_cannot_be_written(tmp_path: Path, form: Any) -> None:
    with pytest.raises(StanceError, match="cannot be written: No such file"):
        open_writer(tmp_path / "missing" / "a", form, DEFAULT)
    with pytest.raises(StanceError, match="cannot be written: Is a directory"):
        open_writer(tmp_path, form, DEFAULT)


def test_a_device_is_written_to_directly() -> None:
    with open_writer("/dev/null", "jsonl", DEFAULT) as writer:
        writer.write(TAGGED)
    assert Path("/dev/null").is_char_device()


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="there is no /dev/stdout")
def test_standard_output_by_name_in_a_pipe() -> None:
    """As in `stance tag --output /dev/stdout | …`: the device leads to a pipe without a path."""
    script = (
        "from stance.records import Article\n"
        "from stance.writers import JsonlWriter\n"
        "with JsonlWriter('/dev/stdout') as writer:\n"
        "    writer.write(Article('Rain fell.'))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout) == {"text": "Rain fell."}
