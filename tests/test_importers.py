"""Corpora in the layouts they are published in, with invented texts, become labelled records."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY

from stance.errors import RecordError, StanceError
from stance.importers import FORMATS, Options, import_articles, import_dataset, import_file
from stance.readers import read_articles
from stance.records import Article, Target


def read(name: str, source: Path, **options: Any) -> tuple[list[Article], list[str]]:
    """The articles of a source, and what was said about its broken records."""
    errors: list[RecordError] = []
    articles = list(import_articles(name, source, Options(**options), on_error=errors.append))
    return articles, [str(error) for error in errors]


def stances(article: Article) -> list[tuple[str, str | None]]:
    """Each target with the stance of the only sentence."""
    (sentence,) = article.sentences or ()
    return [
        (target.text, stance.label if (stance := sentence.stance_toward(number)) else None)
        for number, target in enumerate(article.targets)
    ]


def spans(article: Article) -> dict[str, list[str]]:
    """The texts of all spans by track."""
    result: dict[str, list[str]] = {}
    for sentence in article.sentences or ():
        for track, found in (sentence.spans or {}).items():
            result.setdefault(track, []).extend(article.text[start:end] for start, end in found)
    return result


# PolNeAR

TEXT = """Dam safe, says river board.

The dam at Orlea is safe, the river board said on Friday. “We looked at every stone,”
said Ana Brod. “Nothing moved.”
"""


def ann(text: str, *attributions: dict[str, list[str]]) -> str:
    """An .ann file as brat writes it, from the phrases of each attribution."""
    lines, number = [], 0
    for event, attribution in enumerate(attributions, 1):
        keys = []
        for kind, phrases in attribution.items():
            number += 1
            ranges = [(text.index(phrase), text.index(phrase) + len(phrase)) for phrase in phrases]
            offsets = ";".join(f"{start} {end}" for start, end in ranges)
            shown = " ".join(phrases).replace("\n", " ")
            lines.append(f"T{number}\t{kind} {offsets}\t{shown}")
            keys.append(f"{kind}:T{number}")
        trigger = keys[0].partition(":")[2]
        lines.append(f"E{event}\tAttribution:{trigger} {' '.join(keys)}")
    return "\n".join(lines) + "\n"


def polnear(folder: Path, text: str = TEXT) -> Path:
    """The layout of PolNeAR: data/<part>/text and data/<part>/attributions."""
    name = "orlea-post_2026-01-30_dam-safe-says-river-board"
    for kind in ("text", "attributions"):
        (folder / "data" / "dev" / kind).mkdir(parents=True)
    (folder / "data" / "dev" / "text" / f"{name}.txt").write_text(text, encoding="utf-8")
    annotations = ann(
        text,
        {
            "Cue": ["said on Friday"],
            "Source": ["the river board"],
            "Content": ["The dam at Orlea is safe"],
        },
        {
            "Cue": ["\nsaid"],
            "Source": ["Ana Brod"],
            "Content": ["“We looked at every stone,”", "“Nothing moved.”"],
        },
    )
    path = folder / "data" / "dev" / "attributions" / f"{name}_4b22.ann"
    path.write_text(annotations + "T9\tDiscard 0 3\tDam\n", encoding="utf-8")
    return path


def test_polnear_gives_the_three_tracks(tmp_path: Path):
    polnear(tmp_path)
    (article,), errors = read("polnear", tmp_path)
    assert not errors
    assert article.id == "polnear-orlea-post_2026-01-30_dam-safe-says-river-board"
    assert (article.publisher, article.date) == ("orlea-post", "2026-01-30")
    assert spans(article) == {
        "source": ["the river board", "Ana Brod"],
        "cue": ["said on Friday", "said"],
        "content": [
            "The dam at Orlea is safe",
            "“We looked at every stone,”",
            "“Nothing moved.”",
        ],
    }
    # Which source goes with which content, the tracks do not say; the record still does.
    second = article.extra["attributions"][1]
    assert len(second["content"]) == 2
    assert TEXT[slice(*second["source"][0])] == "Ana Brod"


def test_two_annotators_of_one_text_are_two_records(tmp_path: Path):
    path = polnear(tmp_path)
    path.with_name(path.name.replace("4b22", "ef2d")).write_text("", encoding="utf-8")
    articles, _ = read("polnear", tmp_path)
    assert [(article.id or "")[-5:] for article in articles] == ["_4b22", "_ef2d"]
    assert spans(articles[1]) == {"source": [], "cue": [], "content": []}


def test_brat_files_beside_their_texts_keep_their_names(tmp_path: Path):
    (tmp_path / "dam.txt").write_text(TEXT, encoding="utf-8")
    (tmp_path / "dam.ann").write_text(ann(TEXT, {"Source": ["Ana Brod"]}), encoding="utf-8")
    (article,), _ = read("polnear", tmp_path / "dam.ann")
    assert (article.id, spans(article)["source"]) == ("dam", ["Ana Brod"])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("T1 Source 0 3 Dam", "dam.ann:1: not a line of id, type with offsets, and text"),
        ("T1\tSource 0 3\tDim", "dam.ann:1: 'Dim' is not the text at 0 3"),
        ("T1\tSource 0 999\tDam", "dam.ann:1: 0 999 leaves the text of"),
        ("E1\tAttribution:T7 Cue:T7", "dam.ann:1: there is no annotation T7"),
    ],
)
def test_broken_stand_off_lines_are_named(tmp_path: Path, line: str, reason: str):
    (tmp_path / "dam.txt").write_text(TEXT, encoding="utf-8")
    (tmp_path / "dam.ann").write_text(line + "\n", encoding="utf-8")
    _, (error,) = read("polnear", tmp_path)
    assert reason in error


def test_stand_off_without_its_text_is_told(tmp_path: Path):
    (tmp_path / "dam_4b22.ann").write_text("", encoding="utf-8")
    _, (error,) = read("polnear", tmp_path)
    assert "its text is neither beside it nor at" in error


# NewsMTSC

SENTENCE = "But Pell Osk told him that Ana Brod had saved the mill."
PUBLISHED = {
    "primary_gid": "orlea_7_1_3_Pell Osk_4_12",
    "sentence_normalized": SENTENCE,
    "targets": [
        {
            "Input.gid": "orlea_7_1_3_Pell Osk_4_12",
            "from": 4,
            "to": 12,
            "mention": "Pell Osk",
            "polarity": 4.0,
            "further_mentions": [{"from": 18, "to": 21, "mention": "him"}],
        },
        {"Input.gid": "b", "from": 27, "to": 35, "mention": "Ana Brod", "polarity": 6.0},
    ],
}
ON_THE_HUB = {
    "mention": "Pell Osk",
    "polarity": -1,
    "from": 4,
    "to": 12,
    "sentence": SENTENCE,
    "id": "orlea_7_1_3_Pell Osk_4_12",
}


def jsonl(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_newsmtsc_keeps_the_mentions(tmp_path: Path):
    (article,), _ = read("newsmtsc", jsonl(tmp_path / "train.jsonl", PUBLISHED))
    assert article.id == "orlea_7_1_3_Pell Osk_4_12"
    assert stances(article) == [("Pell Osk", "neutral"), ("Ana Brod", "favor")]
    assert article.targets[1] == Target("Ana Brod", mentions=((27, 35),))
    # Found automatically and not judged: not a mention, but not lost.
    assert article.extra["further_mentions"][0][0]["mention"] == "him"


def test_newsmtsc_as_on_the_hub(tmp_path: Path):
    (article,), _ = read("newsmtsc", jsonl(tmp_path / "train.jsonl", ON_THE_HUB))
    assert stances(article) == [("Pell Osk", "against")]
    assert article.targets[0].mentions == ((4, 12),)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"primary_gid": "a", "targets": []}, "2: sentence_normalized: the field is missing"),
        (
            {**PUBLISHED, "targets": [{"from": 0, "to": 3, "mention": "Pell", "polarity": 2.0}]},
            "2: targets[0].mention: 'Pell' is not the text from 0 to 3",
        ),
        (
            {**PUBLISHED, "targets": [{"from": 4, "to": 8, "mention": "Pell", "polarity": 5.0}]},
            "2: targets[0].polarity: 5.0 is none of",
        ),
        ({**ON_THE_HUB, "polarity": True}, "2: polarity: True is not of the right type"),
        ([], "2: want a JSON object"),
        (PUBLISHED, "2: id: 'orlea_7_1_3_Pell Osk_4_12' is also the id of"),
    ],
)
def test_a_broken_line_loses_nothing_else(tmp_path: Path, row: Any, reason: str):
    other = {**PUBLISHED, "primary_gid": "z"}
    articles, (error,) = read("newsmtsc", jsonl(tmp_path / "a.jsonl", PUBLISHED, row, other))
    assert [article.id for article in articles] == [PUBLISHED["primary_gid"], "z"]
    assert f"a.jsonl:{reason}" in error


# SemEval-2016 Task 6 and TweetEval

TSV = (
    "ID\tTarget\tTweet\tStance\n"
    '101\tAtheism\tI light a candle at the "café" every day, friend. #SemST\tAGAINST\n'
    "102\tClimate Change is a Real Concern\tThe lake of Orlea never froze. #SemST #ice\tFAVOR\n"
    "103\tHillary Clinton\tWhat a long queue. #SemST\tNONE\n"
    "10001\tHillary Clinton\tNo label here. #SemST\tUNKNOWN\n"
)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_semeval(tmp_path: Path, encoding: str):
    path = tmp_path / "trainingdata.txt"
    path.write_bytes(TSV.encode(encoding))
    articles, errors = read("semeval2016", path)
    assert not errors
    assert articles[0].id == "semeval2016-101"
    # The hashtag marks the shared task, and annotators did not see it.
    assert articles[0].text == 'I light a candle at the "café" every day, friend.'
    assert articles[1].text == "The lake of Orlea never froze. #ice"
    assert [stances(article) for article in articles] == [
        [("Atheism", "against")],
        [("Climate Change is a Real Concern", "favor")],
        [("Hillary Clinton", "neutral")],
        [("Hillary Clinton", None)],
    ]
    assert [article.targets[0].kind for article in articles[:2]] == ["entity", "claim"]


def test_semeval_with_opinion_and_sentiment_as_csv(tmp_path: Path):
    path = tmp_path / "train.csv"
    path.write_text(
        "Tweet,Target,Stance,Opinion Towards,Sentiment\r\n"
        '"Bells, again. #SemST",Atheism,AGAINST,1. TARGET,NEGATIVE\r\n',
        encoding="latin-1",
    )
    (article,), _ = read("semeval2016", path)
    assert (article.id, article.text) == ("semeval2016-train-2", "Bells, again.")
    assert article.extra == {"opinion_towards": "1. TARGET", "sentiment": "NEGATIVE"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (TSV + "104\tAtheism\tno stance\n", "a.txt:6: 3 cells for 4 columns"),
        (TSV + "104\tAtheism\tA tweet.\tMAYBE\n", "a.txt:6: Stance: 'MAYBE' is none of"),
        (TSV + "104\tAtheism\t#SemST\tNONE\n", "a.txt:6: text: the text is empty"),
        ("ID\tTweet\tStance\n", "a.txt:1: there is no column 'Target' (but 'ID', "),
        ("", "a.txt: the file is empty"),
    ],
)
def test_broken_tables_are_named(tmp_path: Path, text: str, reason: str):
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    _, (error,) = read("semeval2016", tmp_path)
    assert reason in error


def tweeteval(folder: Path, texts: str = "A warm winter. #SemST \nBells.\u2028\n", labels="2\n0\n"):
    """A topic's folder, with mapping.txt above it."""
    (folder / "climate").mkdir(parents=True)
    (folder / "mapping.txt").write_text("0\tnone\n1\tagainst\n2\tfavor")
    (folder / "climate" / "val_text.txt").write_text(texts, encoding="utf-8")
    (folder / "climate" / "val_labels.txt").write_text(labels)
    return folder


def test_tweeteval_is_the_same_task_with_numbers(tmp_path: Path):
    articles, _ = read("tweeteval", tweeteval(tmp_path))
    assert [article.id for article in articles] == [
        "tweeteval-climate-val-1",
        "tweeteval-climate-val-2",
    ]
    assert articles[0].text == "A warm winter."
    assert stances(articles[0]) == [("Climate Change is a Real Concern", "favor")]
    assert stances(articles[1]) == [("Climate Change is a Real Concern", "neutral")]


def test_tweeteval_needs_a_label_for_every_tweet(tmp_path: Path):
    _, (error,) = read("tweeteval", tweeteval(tmp_path, labels="2\n"))
    assert "2 tweets, but 1 labels in val_labels.txt" in error


# VAST


def test_vast(tmp_path: Path):
    path = tmp_path / "vast_dev.csv"
    path.write_text(
        "author,post,ori_topic,ori_id,new_topic,label,type_idx,new_id,arc_id,topic,topic_str,"
        "seen?,text,text_s\n"
        'Ada,"They said ""no"" to the ferry.\nI am glad.",orlea \'s ferry,A1-P,ferry toll,0,2,11,'
        '77,"[""ferry"", ""toll""]",ferry toll,0,"[[""said""]]",said\n'
        "Ben,Build the mill.,mills,A2-P,mills,1,1,12,78,,mills,1,[],\n"
        "Cid,Rain again.,mills,A3-P,mills,2.0,4,13,79,,mills,1,[],\n"
        "Dot,What?,mills,A4-P,mills,3,4,14,79,,mills,1,[],\n",
        encoding="utf-8",
    )
    articles, (error,) = read("vast", path)
    assert articles[0].text == 'They said "no" to the ferry.\nI am glad.'
    assert [stances(article) for article in articles] == [
        [("ferry toll", "against")],
        [("mills", "favor")],
        [("mills", "neutral")],
    ]
    assert articles[0].id == "vast-11"
    assert articles[0].extra["ori_topic"] == "orlea 's ferry"
    assert "vast_dev.csv:6: label: '3' is none of 0, 1, 2" in error


# BASIL


def basil(folder: Path, notes: list[dict[str, Any]], annotations: str = "annotations") -> Path:
    """An article with its annotation, in folders as they are published."""
    article = {
        "title": "Mayor under fire",
        "date": "2026-01-30",
        "uuid": "u1",
        "triplet-uuid": "t1",
        "source": "OPO",
        "main-entities": ["Pell Osk", "River Board"],
        "main-event": "Fire",
        "body-paragraphs": [
            ["The reckless mayor spoke.", " “He never listens,” said the board. "],
            ["Rain fell."],
        ],
    }
    note = {"triplet-uuid": "t1", "uuid": "u1", "phrase-level-annotations": notes}
    for name, content in (("articles", article), (annotations, note)):
        end = "_ann" if "annotations" in name else ""
        path = folder / name / "2026" / f"t1_2{end}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    return folder


def note(phrase: str, sentence: int, start: int, **fields: str) -> dict[str, Any]:
    return {
        "txt": phrase,
        "id": f"p{sentence}",
        "start": start,
        "end": start + len(phrase),
        "target": "Pell_Osk",
        "polarity": "neg",
        "aim": "dir",
        "bias": "lex",
        "quote": "no",
        "speaker": "",
        **fields,
    }


@pytest.mark.parametrize("annotations", ["annotations", "annotations/resolved"])
def test_basil(tmp_path: Path, annotations: str):
    notes = [
        note("reckless", 0, 4),
        note("He never listens", 1, 1, bias="inf", quote="yes", speaker="River_Board"),
        note("Rain fell.", 2, 0, target="Weather_Office", polarity="pos"),
    ]
    (article,), errors = read("basil", basil(tmp_path, notes, annotations))
    assert not errors
    assert article.text == (
        "Mayor under fire\n\n"
        "The reckless mayor spoke.  “He never listens,” said the board. \n"
        "Rain fell."
    )
    assert (article.id, article.publisher, article.date) == ("basil-t1_2", "opo", "2026-01-30")
    assert [target.text for target in article.targets] == [
        "Pell Osk",
        "River Board",
        "Weather Office",
    ]
    first, second, third = article.sentences or ()
    assert second.text == "“He never listens,” said the board."
    assert second.speaker == "River Board"
    (bias,) = second.extra["bias"]
    assert article.text[slice(*bias["span"])] == "He never listens"
    assert (bias["bias"], bias["stance"]) == ("informational", "against")
    # Only what was annotated is known.
    assert [s.label for s in first.stance] == ["against"]
    assert [(s.target, s.label) for s in third.stance] == [(2, "favor")]


def test_basil_both_polarities_in_a_sentence_are_no_stance(tmp_path: Path):
    notes = [note("reckless", 0, 4), note("mayor", 0, 13, polarity="pos")]
    (article,), _ = read("basil", basil(tmp_path, notes))
    first = (article.sentences or ())[0]
    assert first.stance == ()
    assert len(first.extra["bias"]) == 2


def test_basil_phrases_with_wrong_offsets_are_looked_for(tmp_path: Path):
    """As some of the first release are; what cannot be found is told."""
    (article,), _ = read("basil", basil(tmp_path / "a", [note("reckless", 0, 9)]))
    (bias,) = (article.sentences or ())[0].extra["bias"]
    assert article.text[slice(*bias["span"])] == "reckless"
    _, (error,) = read("basil", basil(tmp_path / "b", [note("brave", 0, 4)]))
    assert "phrase-level-annotations[0].txt: 'brave' is not in sentence p0 (once)" in error


def test_basil_without_annotations_is_told(tmp_path: Path):
    basil(tmp_path, [])
    (tmp_path / "annotations" / "2026" / "t1_2_ann.json").unlink()
    _, (error,) = read("basil", tmp_path)
    assert "t1_2.json: there is no " in error


# CoNLL

CONLL = """-DOCSTART- O

The\tDT\tB-SOURCE
board\tNN\tI-SOURCE
said\tVBD\tB-CUE
no\tUH\tB-CONTENT
more\tJJ\tI-CONTENT

Rain\tNN\tO
fell\tVBD\tO

-DOCSTART- O

Yes\tUH\tI-CONTENT
"""


def test_conll_columns_become_spans(tmp_path: Path):
    (tmp_path / "a.conll").write_text(CONLL)
    articles, errors = read("conll", tmp_path)
    assert not errors
    assert [article.text for article in articles] == ["The board said no more\nRain fell", "Yes"]
    assert [article.id for article in articles] == ["a-1", "a-2"]
    assert spans(articles[0]) == {
        "source": ["The board"],
        "cue": ["said"],
        "content": ["no more"],
    }
    # An I that follows nothing begins a span, as in conlleval.
    assert spans(articles[1]) == {"content": ["Yes"]}
    assert [sentence.text for sentence in articles[0].sentences or ()] == [
        "The board said no more",
        "Rain fell",
    ]


def test_conll_with_a_bare_column_for_each_track(tmp_path: Path):
    (tmp_path / "a.bio").write_text("Ana B O O\nBrod I O O\nsaid O B O\nno O O B\nno O O B\n")
    _, (error,) = read("conll", tmp_path)
    assert "a.bio: no column holds only labels like O, B-source, I-source: say which" in error
    columns = {"source": 1, "cue": 2, "content": -1}
    (article,), _ = read("conll", tmp_path, columns=columns)
    assert article.id == "a"
    assert spans(article) == {"source": ["Ana Brod"], "cue": ["said"], "content": ["no", "no"]}


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("Ana B B\nBrod I O\nsaid O O\n", {"source": 1, "content": 2}),
        ("Ana B-source B-content\nBrod I-source O\nsaid O O\n", None),
    ],
)
def test_conll_tracks_that_begin_at_one_token_end_where_they_end(
    tmp_path: Path, text: str, columns: Any
):
    (tmp_path / "a.bio").write_text(text)
    (article,), _ = read("conll", tmp_path, columns=columns)
    assert spans(article) == {"source": ["Ana Brod"], "content": ["Ana"]}


@pytest.mark.parametrize(
    ("text", "columns", "reason"),
    [
        ("a B-x\nb\n", None, "a.iob:2: 1 columns, not 2"),
        ("a B\nb X\n", {"source": 1}, "a.iob:2: 'X' is no label like O, B or I"),
        ("a B\n", {"source": 2}, "a.iob: columns.source: there is no label column 2 of 2"),
        ("\n\n", None, "a.iob: the file is empty"),
    ],
)
def test_broken_conll_lines_are_named(tmp_path: Path, text: str, columns: Any, reason: str):
    (tmp_path / "a.iob").write_text(text)
    _, (error,) = read("conll", tmp_path, columns=columns)
    assert reason in error


# Label Studio projects of others (what this package exported is in test_annotate.py)


def export(path: Path, data: dict[str, Any], *results: dict[str, Any]) -> Path:
    annotation = {"id": 1, "completed_by": 1, "was_cancelled": False, "result": list(results)}
    path.write_text(json.dumps([{"id": 5, "data": data, "annotations": [annotation]}]))
    return path


def result(name: str, kind: str, values: list[str], start: int = -1, end: int = -1) -> Any:
    value: dict[str, Any] = {kind: values}
    if start >= 0:
        value |= {"start": start, "end": end}
    key = f"{start}-{end}"
    return {"id": key, "from_name": name, "to_name": "text", "type": kind, "value": value}


def test_a_project_that_marks_spans(tmp_path: Path):
    path = export(
        tmp_path / "export.json",
        {"text": "Ana Brod said no. Rain fell.", "id": 7},
        result("label", "labels", ["Source"], 0, 8),
        result("label", "labels", ["CUE"], 9, 13),
    )
    (article,), _ = read("label_studio", path)
    assert article.id == "7"
    assert [sentence.text for sentence in article.sentences or ()] == [
        "Ana Brod said no.",
        "Rain fell.",
    ]
    assert spans(article) == {"source": ["Ana Brod"], "cue": ["said"], "content": []}


def test_a_project_that_classifies_texts(tmp_path: Path):
    path = export(
        tmp_path / "export.json",
        {"text": " The board lied. ", "target": "the board"},
        result("allegation", "choices", ["true"]),
        result("stance", "choices", ["against"]),
    )
    (article,), _ = read("label_studio", path)
    (sentence,) = article.sentences or ()
    assert sentence.text == "The board lied."
    assert sentence.facets["allegation"].label is True
    assert stances(article) == [("the board", "against")]


def test_choices_of_a_span_are_told(tmp_path: Path):
    path = export(
        tmp_path / "export.json",
        {"text": "Ana Brod said no."},
        result("label", "labels", ["source"], 0, 8),
        result("source", "choices", ["official"], 0, 8),
    )
    _, (error,) = read("label_studio", path)
    assert "labels of a sentence on a region that is none ('Ana Brod')" in error


# All formats


def test_every_format_gives_a_dataset(tmp_path: Path):
    dataset = import_dataset("newsmtsc", jsonl(tmp_path / "a.jsonl", PUBLISHED))
    assert dataset[0]["corpus"] == "newsmtsc"
    assert dataset[0]["sentences"][0]["stance"] == ["neutral", "favor"]
    notes = [note("reckless", 0, 4)]
    dataset = import_dataset("basil", basil(tmp_path / "basil", notes))
    assert dataset[0]["sentences"][0]["bias"][0]["target"] == "Pell Osk"
    polnear(tmp_path / "polnear")
    dataset = import_dataset("polnear", tmp_path / "polnear")
    cues = [sentence["spans"]["cue"] for sentence in dataset[0]["sentences"]]
    assert sum(map(len, cues)) == 2


@pytest.mark.parametrize("name", FORMATS)
def test_a_folder_without_such_files_is_told(tmp_path: Path, name: str):
    with pytest.raises(StanceError, match="no file in this folder is like"):
        list(import_articles(name, tmp_path))


def test_wrong_names_are_told(tmp_path: Path):
    with pytest.raises(StanceError, match=r"there is no format 'vest' \(there are polnear, "):
        list(import_articles("vest", tmp_path))
    with pytest.raises(StanceError, match="there is no such file or folder"):
        list(import_articles("vast", tmp_path / "nowhere"))
    (tmp_path / "a.jsonl").write_text("{")
    with pytest.raises(RecordError, match=r"a\.jsonl:1: not JSON"):
        list(import_articles("newsmtsc", tmp_path / "a.jsonl"))


def test_a_file_of_which_nothing_is_left_is_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    jsonl(tmp_path / "a.jsonl", {})
    output = tmp_path / "records.jsonl"
    with pytest.raises(StanceError, match="no article could be read as newsmtsc"):
        import_file("newsmtsc", tmp_path / "a.jsonl", output)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.jsonl"]
    assert "a.jsonl:1: sentence_normalized: the field is missing" in capsys.readouterr().err


def test_the_script_writes_records(tmp_path: Path):
    source = jsonl(tmp_path / "train.jsonl", PUBLISHED, {"primary_gid": "b"})
    done = subprocess.run(
        [
            *(sys.executable, str(REPOSITORY / "scripts" / "import_data.py")),
            *("format=newsmtsc", f"input={source}", f"output={tmp_path / 'out' / 'records.jsonl'}"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "train.jsonl:2: sentence_normalized: the field is missing" in done.stderr
    assert "records.jsonl: 1 articles, 1 broken records" in done.stdout
    (article,) = read_articles(tmp_path / "out" / "records.jsonl")
    assert stances(article)[1] == ("Ana Brod", "favor")
