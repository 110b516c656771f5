"""Corpora and a user's own files become labelled articles, cut into the same parts every time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from conftest import REPOSITORY
from hydra import compose, initialize_config_dir
from hypothesis import given, settings
from hypothesis import strategies as st

from stance.config import load_part
from stance.corpora import (
    CORPORA,
    attribution_spans,
    check_labels,
    clip,
    group_hash,
    join_spans,
    labels_of,
    load_dataset,
    outermost,
    read_corpus,
    read_files,
    trained_corpora,
)
from stance.errors import RecordError, StanceError
from stance.records import Article, Label, Stance, Target
from stance.schema import DEFAULT, Schema

MOODS = Schema.from_dict(
    {
        "facets": {
            "mood": {"labels": ["glad", "sad"]},
            "topics": {"labels": ["weather", "mills"], "kind": "multi"},
            "allegation": {"labels": [False, True]},
        },
        "tags": {"sad_news": {"mood": "sad"}, "rest": "fallback"},
    }
)


def write(path: Path, rows: Iterable[Any]) -> Path:
    """A JSONL file of these rows."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def news(number: int, **fields: Any) -> dict[str, Any]:
    """A labelled article of the form that fakes, polnear, bbc and basil share."""
    return {
        "id": f"fakes-{number}",
        "corpus": "fakes",
        "publisher": "The Orlea Courier",
        "date": "2/28/2015",
        "title": f"Report {number}",
        "text": "Rain fell. The mayor blamed the mill.",
        "targets": [{"kind": "entity", "text": "The mill"}],
        "sentences": [
            {"start": 0, "end": 10, "source": "narrator", "allegation": False, "stance": [None]},
            {
                "start": 11,
                "end": 37,
                "source": "official",
                "allegation": True,
                "stance": ["against"],
                "speaker": "the mayor" if number % 2 else None,
            },
        ],
        **fields,
    }


def fakes(folder: Path, count: int = 200) -> Path:
    write(folder / "fakes.train.jsonl", map(news, range(count)))
    write(folder / "fakes.dev.jsonl", map(news, range(1_000, 1_005)))
    return folder


def newsmtsc(folder: Path, articles: int = 100) -> Path:
    """Two sentences of each article; ids are outlet, article, sentence, mention, start, end."""
    rows = [
        {
            "id": f"{outlet}_{article}_{article % 7}_{sentence}_Ana Brod_0_8",
            "text": "Ana Brod praised Leo.",
            "targets": [
                {"start": 0, "end": 8, "mention": "Ana Brod", "stance": "neutral"},
                {"start": 17, "end": 20, "mention": "Leo", "stance": "favor"},
            ],
        }
        for outlet in ("a", "b")
        for article in range(articles)
        for sentence in (2, 11)
    ]
    write(folder / "newsmtsc.train.jsonl", rows)
    return folder


def ids(articles: Iterable[Article]) -> list[str]:
    return [article.id or "" for article in articles]


def test_american_dates_become_iso(tmp_path: Path) -> None:
    articles = read_corpus("fakes", fakes(tmp_path, 3), "dev")
    assert {article.date for article in articles} == {"2015-02-28"}
    write(tmp_path / "fakes.dev.jsonl", [news(1, date="2026-01-31"), news(2, date=None)])
    assert [a.date for a in read_corpus("fakes", tmp_path, "dev")] == ["2026-01-31", None]


def test_labels_of_a_news_corpus(tmp_path: Path) -> None:
    article = read_corpus("fakes", fakes(tmp_path, 3), "dev")[1]
    first, second = article.sentences or ()
    assert article.targets == (Target("The mill"),)
    assert first.facets == {"source": Label("narrator"), "allegation": Label(False)}
    assert first.stance == ()
    assert second.stance == (Stance(0, "against"),)
    assert second.speaker == "the mayor"
    check_labels([article], DEFAULT, "fakes")


def test_the_parts_are_disjoint_and_together_all(tmp_path: Path) -> None:
    fakes(tmp_path)
    train, selection = (read_corpus("fakes", tmp_path, part) for part in ("train", "selection"))
    assert sorted(ids(train) + ids(selection)) == sorted(f"fakes-{n}" for n in range(200))
    assert 10 <= len(selection) <= 30
    assert set(ids(selection)) == {i for i in ids(train + selection) if group_hash(i) % 10 == 0}
    assert ids(read_corpus("fakes", tmp_path, "dev")) == [f"fakes-{n}" for n in range(1_000, 1_005)]


def test_an_article_stays_in_its_part_whatever_else_is_in_the_file(tmp_path: Path) -> None:
    before = set(ids(read_corpus("fakes", fakes(tmp_path), "selection")))
    write(tmp_path / "fakes.train.jsonl", (news(n) for n in reversed(range(150))))
    after = set(ids(read_corpus("fakes", tmp_path, "selection")))
    assert after == before - {f"fakes-{n}" for n in range(150, 200)}
    assert group_hash("fakes-1") == 334442728460324456


def test_a_small_corpus_has_a_selection_too(tmp_path: Path) -> None:
    fakes(tmp_path, 3)
    assert len(read_corpus("fakes", tmp_path, "selection")) == 1
    assert len(read_corpus("fakes", tmp_path, "train")) == 2
    newsmtsc(tmp_path, 2)
    selection = ids(read_corpus("newsmtsc", tmp_path, "selection"))
    assert len(selection) == 2
    assert len({article.rsplit("_", 4)[0] for article in selection}) == 1


def test_newsmtsc_keeps_the_mentions(tmp_path: Path) -> None:
    article = read_corpus("newsmtsc", newsmtsc(tmp_path), "train")[0]
    assert article.targets == (
        Target("Ana Brod", "entity", ((0, 8),)),
        Target("Leo", "entity", ((17, 20),)),
    )
    (sentence,) = article.sentences or ()
    assert sentence.text == article.text
    assert sentence.stance == (Stance(0, "neutral"), Stance(1, "favor"))
    assert sentence.facets == {}


def test_imported_records_of_newsmtsc_and_polnear_are_read_as_they_are(tmp_path: Path) -> None:
    newsmtsc(tmp_path, 2)
    known = read_corpus("newsmtsc", tmp_path, "train")
    write(tmp_path / "newsmtsc.train.jsonl", [article.to_dict() for article in known])
    again = read_corpus("newsmtsc", tmp_path, "train") + read_corpus(
        "newsmtsc", tmp_path, "selection"
    )
    assert set(ids(known)) <= set(ids(again))
    kept = sorted((a for a in again if a.id in set(ids(known))), key=lambda a: a.id or "")
    assert kept == sorted(known, key=lambda a: a.id or "")
    write(tmp_path / "polnear-spans.dev.jsonl", [polnear_row()])
    spans = read_corpus("polnear-spans", tmp_path, "dev")
    write(tmp_path / "polnear-spans.dev.jsonl", [article.to_dict() for article in spans])
    assert read_corpus("polnear-spans", tmp_path, "dev") == spans


def test_newsmtsc_is_cut_between_articles(tmp_path: Path) -> None:
    newsmtsc(tmp_path)
    parts = {
        part: ids(read_corpus("newsmtsc", tmp_path, part)) for part in ("train", "selection", "dev")
    }
    assert sum(map(len, parts.values())) == len(set().union(*parts.values())) == 400
    groups = {part: {"_".join(i.split("_")[:3]) for i in found} for part, found in parts.items()}
    assert sum(map(len, groups.values())) == len(set().union(*groups.values())) == 200
    assert 10 <= len(groups["selection"]) <= 30
    assert 10 <= len(groups["dev"]) <= 30


def polnear_row() -> dict[str, Any]:
    text = "“It rained,” Leo said Ana told him. The mill stood, he said, for eleven years."
    spans = {
        "outer": [[0, 12]],
        "leo": [[13, 16]],
        "said": [[17, 21]],
        "inner": [[22, 34]],
        "ana": [[22, 25]],
        "told": [[26, 30]],
        "both": [[36, 50], [61, 77]],
        "he": [[52, 54]],
        "said2": [[55, 59]],
    }
    assert [text[a:b] for name in ("outer", "inner", "both") for a, b in spans[name]] == [
        *("“It rained,”", "Ana told him", "The mill stood", "for eleven years"),
    ]
    return {
        "id": "polnear-1",
        "text": text,
        "attributions": [
            {
                "source": spans["leo"],
                "cue": spans["said"],
                "content": spans["outer"] + spans["inner"],
            },
            # Nested in the content of the first; its own content lies inside it too.
            {"source": spans["ana"], "cue": spans["told"], "content": [[0, 11]]},
            # A discontinuous content around its source and cue.
            {"source": spans["he"], "cue": spans["said2"], "content": spans["both"]},
            {"source": [], "cue": [], "content": []},
        ],
    }


def test_polnear_spans_become_tracks(tmp_path: Path) -> None:
    write(tmp_path / "polnear-spans.dev.jsonl", [polnear_row()])
    (article,) = read_corpus("polnear-spans", tmp_path, "dev")
    first, second = article.sentences or ()
    assert first.spans == {
        "source": ((13, 16), (22, 25)),
        "cue": ((17, 21), (26, 30)),
        "content": ((0, 12), (22, 34)),
    }
    assert second.spans == {
        "source": ((52, 54),),
        "cue": ((55, 59),),
        "content": ((36, 50), (61, 77)),
    }
    for sentence in article.sentences or ():
        assert article.text[sentence.start : sentence.end] == sentence.text
        assert sentence.facets == {}


def test_a_span_over_two_sentences_is_cut_at_the_border(tmp_path: Path) -> None:
    row = {**polnear_row(), "attributions": [{"content": [[22, 50]]}]}
    write(tmp_path / "polnear-spans.dev.jsonl", [row])
    (article,) = read_corpus("polnear-spans", tmp_path, "dev")
    assert [sentence.spans for sentence in article.sentences or ()] == [
        {"source": (), "cue": (), "content": ((22, 35),)},
        {"source": (), "cue": (), "content": ((36, 50),)},
    ]


def test_outermost_spans() -> None:
    assert outermost([(5, 9), (0, 10), (2, 3), (12, 14)]) == [(0, 10), (12, 14)]
    assert outermost([(0, 5), (3, 8)]) == [(0, 5), (5, 8)]
    assert outermost([]) == []
    assert attribution_spans([{"cue": [[3, 4]]}, {"cue": [[1, 2]]}]) == {
        "source": [],
        "cue": [(1, 2), (3, 4)],
        "content": [],
    }


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)).map(lambda s: (s[0], sum(s)))),
    st.integers(0, 20),
    st.integers(21, 40),
)
def test_outermost_covers_the_same_characters(
    spans: list[tuple[int, int]], start: int, end: int
) -> None:
    kept = outermost(spans)
    assert all(a[1] <= b[0] for a, b in pairwise(kept))
    characters = {i for a, b in spans for i in range(a, b)}
    assert {i for a, b in kept for i in range(a, b)} == characters
    inside = {i for a, b in clip(kept, start, end) for i in range(a, b)}
    assert inside == {i for i in characters if start <= i < end}


def test_spans_can_be_joined_to_other_labels(tmp_path: Path) -> None:
    row = polnear_row()
    write(tmp_path / "polnear-spans.dev.jsonl", [row])
    spans = read_corpus("polnear-spans", tmp_path, "dev")
    labelled = [
        Article.from_dict(
            {**article, "sentences": [{"start": 36, "end": 78, "source": "narrator"}]}
        )
        for article in (
            {"id": "polnear-1", "text": row["text"]},
            {"id": "polnear-2", "text": row["text"]},
            {"id": "polnear-1", "text": row["text"] + " Rain."},
        )
    ]
    first, *others = join_spans(labelled, spans)
    (sentence,) = first.sentences or ()
    assert sentence.spans == {
        "source": ((52, 54),),
        "cue": ((55, 59),),
        "content": ((36, 50), (61, 77)),
    }
    assert sentence.facets == {"source": Label("narrator")}
    assert others == labelled[1:]


def test_a_missing_corpus_says_what_there_is(tmp_path: Path) -> None:
    fakes(tmp_path, 1)
    newsmtsc(tmp_path)
    for name, part, message in [
        ("cnn", "train", "there is no corpus 'cnn' (there are starter, fakes, "),
        ("fakes", "valid", "there is no part 'valid' (there are train, selection, dev, test)"),
        ("fakes", "test", "the corpus 'fakes' has no part 'test'"),
        ("newsmtsc", "test", "the corpus 'newsmtsc' has no part 'test'"),
        ("bbc", "train", f"{tmp_path / 'bbc.train.jsonl'}: there is no such file; set corpus.dir"),
    ]:
        with pytest.raises(StanceError) as caught:
            read_corpus(name, tmp_path, part)
        assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        ("fakes", news(1, date="31/31/2015"), "not a record of fakes: "),
        ("fakes", news(1, targets=[]), "sentences[0].stance: 1 labels for 0 targets"),
        ("bbc", {"id": "1"}, "text: the field is missing"),
        ("polnear-spans", {"id": "1", "text": "Rain."}, "not a record of polnear-spans: "),
        ("polnear-spans", {"id": "1", "text": "Rain.", "attributions": [[]]}, "not a record of"),
        ("polnear-spans", {"id": 1.5, "text": "Rain.", "attributions": []}, "id: want a string"),
    ],
)
def test_a_broken_line_of_a_corpus(tmp_path: Path, name: str, row: Any, message: str) -> None:
    path = write(tmp_path / f"{name}.dev.jsonl", [row])
    with pytest.raises(RecordError) as caught:
        read_corpus(name, tmp_path, "dev")
    assert str(caught.value).startswith(f"{path}:1: {message}")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"start": 0, "end": 99, "mention": "Leo", "stance": "favor"}, "targets[0].mentions[0]"),
        ({"start": 0, "end": 3, "mention": "Leo", "stance": 1}, "sentences[0].stance[0]: want"),
        ({"start": 0, "end": 3, "mention": "Leo"}, "not a record of newsmtsc: KeyError('stance')"),
    ],
)
def test_a_broken_line_of_newsmtsc(tmp_path: Path, target: Any, message: str) -> None:
    row = {"id": "a_1_2_x_0_6", "text": "Leo sang.", "targets": [target]}
    path = write(tmp_path / "newsmtsc.train.jsonl", [row])
    with pytest.raises(RecordError) as caught:
        read_corpus("newsmtsc", tmp_path, "train")
    assert str(caught.value).startswith(f"{path}:1: {message}")


def test_own_sentences_from_csv(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(
        "text,mood,topics,allegation,target,stance,desk\n"
        '" Rain fell. ",sad,"[""weather"", ""mills""]",FALSE,,,north\n'
        "The sun shone.,glad,[],true,Sun,favor,\n"
        "It was noon.,,mills,,Noon,,\n",
        encoding="utf-8",
    )
    articles = read_files([path], MOODS)
    check_labels(articles, MOODS, str(path))
    sentences = [(article.sentences or ())[0] for article in articles]
    assert [sentence.text for sentence in sentences] == [
        "Rain fell.",
        "The sun shone.",
        "It was noon.",
    ]
    assert sentences[0].facets == {
        "mood": Label("sad"),
        "topics": Label(("weather", "mills")),
        "allegation": Label(False),
    }
    assert sentences[1].facets["topics"] == Label(())
    assert sentences[1].stance == (Stance(0, "favor"),)
    assert sentences[2].facets == {"topics": Label("mills")}
    assert labels_of(sentences[2].facets["topics"]) == ("mills",)
    assert [article.targets for article in articles] == [(), (Target("Sun"),), (Target("Noon"),)]
    assert articles[0].extra == {"desk": "north"}


def test_own_articles_from_several_files(tmp_path: Path) -> None:
    jsonl = write(
        tmp_path / "a.jsonl",
        [
            {"text": "Rain fell.", "sentences": [{"start": 0, "end": 10, "mood": "sad"}]},
            {"text": "Rain.", "mood": "glad", "target": {"kind": "claim", "text": "It rains"}},
        ],
    )
    table = pyarrow.table({"text": ["Sun.", "Wind."], "mood": ["glad", None]})
    pyarrow.parquet.write_table(table, tmp_path / "b.parquet")
    articles = read_files([jsonl, tmp_path / "b.parquet"], MOODS)
    assert [[dict(s.facets) for s in article.sentences or ()] for article in articles] == [
        [{"mood": Label("sad")}],
        [{"mood": Label("glad")}],
        [{"mood": Label("glad")}],
        [{}],
    ]
    assert articles[1].targets == (Target("It rains", "claim"),)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "  ", "mood": "sad"}, "text: the text is empty"),
        ({"mood": "sad"}, "text: the field is missing"),
        ({"text": "Rain.", "stance": "favor"}, "stance: there is a stance but no 'target'"),
        ({"text": "Rain.", "sentences": [{"start": 0}]}, "sentences[0].end: the field is missing"),
        (
            {"text": "Rain.", "mood": "angry"},
            "sentences[0].mood: label \"angry\" is not one of the labels of facet 'mood' "
            '("glad", "sad")',
        ),
        ({"text": "Rain.", "mood": 3}, "sentences[0].mood: 3 is not a label"),
        (
            {"text": "Rain.", "target": "Rain", "stance": "pro"},
            "sentences[0].stance: 'pro' is not one of favor, against, neutral",
        ),
        (
            {
                "text": "Rain. Sun.",
                "sentences": [
                    {"start": 0, "end": 5, "topics": ["weather"]},
                    {"start": 6, "end": 10, "mood": ["sad"]},
                ],
            },
            "sentences[1].mood: facet 'mood' takes one label, not a list",
        ),
    ],
)
def test_a_broken_line_of_an_own_file(tmp_path: Path, row: Any, message: str) -> None:
    path = write(tmp_path / "own.jsonl", [{"text": "Sun.", "mood": "glad"}, row])
    with pytest.raises(RecordError) as caught:
        read_files([path], MOODS)
    assert str(caught.value) == f"{path}:2: {message}"


def test_rows_of_one_text_stay_in_one_part(tmp_path: Path) -> None:
    def parts(texts: int) -> dict[str, list[Article]]:
        path = write(
            tmp_path / "own.jsonl",
            [
                {"text": f"Rain fell on town {n}.", "target": target, "stance": "neutral"}
                for target in ("rain", "the town", "the mayor")
                for n in range(texts)
            ],
        )
        with initialize_config_dir(str(REPOSITORY / "configs"), version_base="1.3"):
            cfg = compose("train", overrides=["corpus=files", f"corpus.files.train={path}"])
        names = ("train", "selection", "dev")
        return {part: load_part(cfg, part, DEFAULT)["files"] for part in names}

    counts = {part: Counter(a.text for a in found) for part, found in parts(30).items()}
    assert [len(count) for count in counts.values()] == [24, 3, 3]
    assert {rows for count in counts.values() for rows in count.values()} == {3}
    assert len(set().union(*counts.values())) == 30
    with pytest.raises(StanceError, match=r"files\.train: 2 texts are too few to cut parts from"):
        parts(2)


def test_files_without_labels(tmp_path: Path) -> None:
    path = write(tmp_path / "own.jsonl", [{"text": "Rain.", "moood": "sad"}])
    with pytest.raises(StanceError) as caught:
        read_files([path], MOODS)
    assert str(caught.value) == (
        f"{path}: no labels found; want 'sentences' with labels, or columns named mood, topics, "
        "allegation, or 'target' and 'stance'"
    )


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            {"mood": "angry"},
            'mood: label "angry" is not one of the labels of facet \'mood\' ("glad"',
        ),
        ({"mood": ["sad"]}, "mood: facet 'mood' takes one label, not a list"),
        ({"mood": 3}, "mood: 3 is not a label"),
        ({"topics": ["weather", "war"]}, 'topics: label "war" is not one of the labels'),
        ({"allegation": "true"}, 'allegation: label "true" is not one of the labels'),
        ({"stance": ["pro"]}, "stance: 'pro' is not one of favor, against, neutral"),
    ],
)
def test_an_unknown_label_is_named(labels: dict[str, Any], message: str) -> None:
    def article(**labels: Any) -> Article:
        sentences = [{"start": 0, "end": 4}, {"start": 5, "end": 9, **labels}]
        record = {"text": "Rain Sun.", "targets": ["Rain"], "sentences": sentences}
        return Article.from_dict(record)

    with pytest.raises(StanceError) as caught:
        check_labels([article(mood="sad", other="x"), article(**labels)], MOODS, "own.csv")
    assert str(caught.value).startswith(f"own.csv: article 1: sentences[1].{message}")


def without_nones(value: Any) -> Any:
    """A row of `datasets` as a record; a missing stance keeps its place in the list."""
    if isinstance(value, dict):
        return {
            name: part if name == "stance" else without_nones(part)
            for name, part in value.items()
            if part is not None
        }
    return [without_nones(part) for part in value] if isinstance(value, list) else value


def test_load_dataset_gives_records(tmp_path: Path) -> None:
    fakes(tmp_path, 40)
    # The first article lacks what others have.
    bare = {"id": "fakes-x", "text": "Rain.", "sentences": [{"start": 0, "end": 5}]}
    write(tmp_path / "fakes.dev.jsonl", [bare, news(1), news(2)])
    dataset = load_dataset("fakes", tmp_path)
    assert list(dataset) == ["train", "selection", "dev"]
    for part, rows in dataset.items():
        articles = [Article.from_dict(without_nones(row)) for row in rows]
        want = read_corpus("fakes", tmp_path, part)
        assert [dict(article.extra) for article in articles] == [{"corpus": "fakes"}] * len(want)
        assert [{**a.to_dict(), "corpus": "fakes"} for a in want] == [
            article.to_dict() for article in articles
        ]


def test_load_dataset_of_mentions_and_of_spans(tmp_path: Path) -> None:
    newsmtsc(tmp_path)
    for part in ("train", "dev"):
        write(tmp_path / f"polnear-spans.{part}.jsonl", [{**polnear_row(), "id": part}] * 2)
    for name, parts in [
        ("newsmtsc", ["train", "selection", "dev"]),
        ("polnear-spans", ["train", "selection", "dev"]),
    ]:
        dataset = load_dataset(name, tmp_path)
        assert list(dataset) == parts
        for part, rows in dataset.items():
            articles = [Article.from_dict(without_nones(row)) for row in rows]
            want = read_corpus(name, tmp_path, part)
            assert [(a.targets, a.sentences) for a in articles] == [
                (a.targets, a.sentences) for a in want
            ]


def test_load_dataset_of_an_unknown_corpus() -> None:
    with pytest.raises(StanceError, match="there is no corpus 'cnn'"):
        load_dataset("cnn")


def test_what_a_model_learned_from_before_it_was_trained_on_counts_too() -> None:
    run: dict[str, Any] = {"articles": {"polnear": 255, "files": 40}}
    record = {"run": run, "config": {"corpus": {"polnear_spans": True}}}
    assert trained_corpora(record) == ["polnear", "files", "polnear-spans"]
    before = {"model": "m", "corpora": ["fakes", "polnear-spans"], "encoder": None}
    run["started_from"] = before
    assert trained_corpora(record) == ["polnear", "files", "polnear-spans", "fakes"]
    run["started_from"] = None
    assert trained_corpora(record) == ["polnear", "files", "polnear-spans"]
    assert trained_corpora({}) == []


def test_every_corpus_names_its_licence() -> None:
    for name, corpus in CORPORA.items():
        assert corpus.name == name
        assert corpus.licence
        assert corpus.about
