"""The tagger with a real (tiny) model: order, constant memory, offsets, independence of batches."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stance import Article, RecordError, StanceError, Tagger
from stance.calibration import Calibration
from stance.corpora import read_corpus
from stance.records import Sentence, Target
from stance.resources import bundled
from stance.runtime import Logits, Runtime
from stance.tagger import LOOK_AHEAD, all_heads, copy_model, find_model

TEXT = (
    "The ministry denied on Monday that its pilots had bombed the clinic in Ostrava Selo. "
    "“This is a fabrication,” said its spokesman, Miro Kantar. Two witnesses disagreed."
)


@pytest.fixture(scope="module")
def tagger(tiny_model: Path) -> Tagger:
    return Tagger.from_pretrained(tiny_model)


@pytest.fixture(scope="module")
def every_head(tiny_model: Path) -> Tagger:
    """The same with spans, which the tiny model did not learn."""
    tagger = Tagger.from_pretrained(tiny_model)
    tagger.heads = all_heads(tagger.schema)
    return tagger


def labels(article: Article) -> list:
    return [
        (
            sentence.tags,
            {name: label.label for name, label in sentence.facets.items()},
            [stance.label for stance in sentence.stance],
        )
        for sentence in article.sentences or ()
    ]


def test_tag_gives_the_record_of_the_contract(tagger: Tagger):
    article = tagger.tag(TEXT, targets=["the ministry", {"kind": "claim", "text": "It was bombed"}])
    record = article.to_dict()
    assert record["text"] == TEXT
    assert record["targets"] == [
        {"kind": "entity", "text": "the ministry"},
        {"kind": "claim", "text": "It was bombed"},
    ]
    assert len(record["sentences"]) == 3
    for sentence in record["sentences"]:
        assert TEXT[sentence["start"] : sentence["end"]] == sentence["text"]
        assert sentence["source"]["label"] in ("official", "other", "narrator")
        assert sentence["allegation"]["label"] in (True, False)
        assert [row["target"] for row in sentence["stance"]] == [0, 1]
        assert sum(sentence["source"]["probs"].values()) == pytest.approx(1, abs=1e-5)
        source = sentence["source"]
        assert source["score"] == source["probs"][source["label"]]
        assert set(sentence["tag_probs"]) == {"official_statement", "allegation", "background"}
        assert sentence["tags"]
        assert sentence["truncated"] is False
    assert record["model"].startswith("starter 0")
    assert Article.from_dict(record) == article


def test_every_field_of_the_input_is_kept(tagger: Tagger):
    given = {"id": "a1", "text": TEXT, "title": "Denial", "date": "2026-01-31", "desk": {"n": 3}}
    record = tagger.tag(given, targets=["Miro Kantar"]).to_dict()
    assert {name: record[name] for name in given} == given


def test_given_sentences_are_used(tagger: Tagger):
    given = {"text": TEXT, "sentences": [{"start": 4, "end": 12}, {"start": 85, "end": 100}]}
    sentences = tagger.tag(given).sentences or ()
    assert [(s.start, s.end) for s in sentences] == [(4, 12), (85, 100)]


def test_a_given_field_of_a_facets_name_does_not_replace_the_label(tagger: Tagger):
    """1 and an object of another form are no labels, so they would be carried along."""
    given = {"start": 4, "end": 12, "allegation": 1, "source": {"desk": "Ostrava"}, "page": 1}
    article = tagger.tag({"text": TEXT, "sentences": [given]})
    (sentence,) = article.to_dict()["sentences"]
    assert sentence["allegation"]["label"] in (True, False)
    assert sentence["source"]["label"] in ("official", "other", "narrator")
    assert sentence["page"] == 1
    assert Article.from_dict(article.to_dict()) == article


def test_tag_many_keeps_the_order_and_reads_as_a_stream(tagger: Tagger):
    taken = 0

    def articles():
        nonlocal taken
        for number in range(3000):
            taken += 1
            yield {"id": str(number), "text": TEXT[: 20 + number % 150]}

    stream = tagger.tag_many(articles())
    assert [next(stream).id for _ in range(10)] == [str(n) for n in range(10)]
    assert taken < 1500
    assert [article.id for article in stream] == [str(n) for n in range(10, 3000)]


def test_labels_do_not_depend_on_batch_size_or_order(tiny_model: Path, tagger: Tagger):
    articles = read_corpus("starter", None, "dev") + read_corpus("starter", None, "test")
    expected = {article.id: article for article in tagger.tag_many(articles)}
    one = Tagger.from_pretrained(tiny_model, batch_tokens=1)
    for other in (
        list(one.tag_many(articles[:8])),
        list(tagger.tag_many(reversed(articles))),
        [tagger.tag(article) for article in articles[:8]],
    ):
        for article in other:
            before = expected[article.id]
            assert labels(article) == labels(before)
            for new, old in zip(article.sentences or (), before.sentences or (), strict=True):
                for stance, known in zip(new.stance, old.stance, strict=True):
                    assert stance.score == pytest.approx(known.score, abs=1e-4)


def test_the_order_of_targets_changes_no_probability(tagger: Tagger):
    """So many that they are read in groups, two of them with the same text."""
    texts = ("the ministry", "its spokesman, Miro Kantar", "the two witnesses", "Ostrava Selo")
    targets = [{"kind": "entity", "text": f"{text} {n}"} for text in texts for n in range(9)]
    targets += [{"kind": kind, "text": "the clinic"} for kind in ("entity", "claim")]
    before = tagger.tag(TEXT, targets=targets)
    for turned in (targets[::-1], targets[17:] + targets[:17]):
        after = tagger.tag(TEXT, targets=turned)
        places = [turned.index(target) for target in targets]
        for old, new in zip(before.sentences or (), after.sentences or (), strict=True):
            assert new.facets == old.facets
            assert [new.stance[n].probs for n in places] == [stance.probs for stance in old.stance]


@settings(max_examples=40)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=400))
def test_any_text_is_tagged_and_offsets_hold(every_head: Tagger, text: str):
    article = every_head.tag(text, targets=["x"])
    sentences = article.sentences or ()
    assert all(article.text[s.start : s.end] == s.text for s in sentences)
    assert bool(sentences) == bool(text.strip())
    assert all(len(s.stance) == 1 and s.tags and s.spans is not None for s in sentences)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n ",
        "\x00",
        "\u200b",
        "\x00\x01 nul and control \x1f characters.",
        "\u202eright to left\u202c and back. שלום עולם. مرحبا بالعالم.",
        "政府は水曜日に声明を発表した。市民は反対した。",
        "🙂🙃 They laughed. 🧑‍🚒 They left.",
        "word " * 3000,
        "x" * 5000,
    ],
)
def test_strange_input_is_labelled(every_head: Tagger, text: str):
    article = every_head.tag(text, targets=["The mayor"])
    assert article.text == text
    assert all(article.text[s.start : s.end] == s.text for s in article.sentences or ())


def test_an_overlong_sentence_is_marked_truncated(tagger: Tagger):
    article = tagger.tag("The mayor said " + "no and " * 500 + "no. Then she left.")
    assert [s.truncated for s in article.sentences or ()] == [True, False]


def test_a_megabyte_and_five_hundred_targets(tagger: Tagger):
    long = tagger.tag((TEXT + " ") * 6000)
    assert len(long.text) > 1_000_000
    assert len(long.sentences or ()) == 18000
    many = tagger.tag(TEXT, targets=[f"target number {n}" for n in range(500)])
    assert all(len(s.stance) == 500 for s in many.sentences or ())


def test_weights_of_spans_decide_how_much_is_in_one(tiny_model: Path, every_head: Tagger):
    tagger = Tagger.from_pretrained(tiny_model)
    tagger.heads = every_head.heads
    found = {}
    for name, weights in (("none", (1.0, 1e-9, 1e-9)), ("all", (1.0, 1e9, 1e9))):
        tagger.calibration = Calibration(weights={"spans/source": weights})
        found[name] = [s.spans["source"] for s in tagger.tag(TEXT).sentences or () if s.spans]
    assert found["none"] == [()] * 3
    assert found["all"] == [((s.start, s.end),) for s in tagger.tag(TEXT).sentences or ()]


def test_labels_are_decided_in_order(tiny_model: Path):
    tagger = Tagger.from_pretrained(tiny_model)
    tagger.calibration = Calibration(
        weights={"allegation": (0.5, 0.5)}, following={"allegation": ((-50.0, 50.0), (50.0, -50.0))}
    )
    sentences = tagger.tag(TEXT).sentences or ()
    given = [s.facets["allegation"].label for s in sentences]
    assert given in ([True, False, True], [False, True, False])
    for sentence in sentences:
        label = sentence.facets["allegation"]
        assert label.score == label.probs[str(label.label).lower()]
        assert ("allegation" in (sentence.tags or ())) == label.label


def test_less_context_makes_fewer_tokens(tiny_model: Path):
    long = (TEXT + " ") * 20
    tokens = {}
    for context in (None, 0, 1):
        tagger = Tagger.from_pretrained(tiny_model, context=context)
        tokens[context] = sum(map(len, tagger.windows(tagger.tag(long))))
        assert len(tagger.tag(long).sentences or ()) == 60
    assert tokens[0] < tokens[1] == tokens[None]
    with pytest.raises(StanceError, match="context is -1"):
        Tagger.from_pretrained(tiny_model, context=-1)


def test_a_calibration_of_another_schema_is_refused(tiny_model: Path, tmp_path: Path):
    copy_model(tiny_model, tmp_path / "model")
    Calibration(weights={"source": (1.0, 2.0)}).save(tmp_path / "model" / "calibration.json")
    with pytest.raises(StanceError, match=r"calibration\.json: weights of source: want 3 numbers"):
        Tagger.from_pretrained(tmp_path / "model")


def test_facets_come_from_the_first_group_of_targets(tagger: Tagger):
    few = tagger.tag(TEXT, targets=[f"the long name of target {n}" for n in range(4)])
    many = tagger.tag(TEXT, targets=[f"the long name of target {n}" for n in range(60)])
    assert len(many.sentences or ()) == len(few.sentences or ())


def test_spans_are_left_out_where_the_model_never_learned_them(tagger: Tagger):
    assert all(s.spans is None for s in tagger.tag(TEXT).sentences or ())


def test_broken_input_is_refused_with_its_field(tagger: Tagger):
    with pytest.raises(RecordError, match="text: the field is missing"):
        tagger.tag({"title": "x"})
    with pytest.raises(RecordError, match="targets"):
        tagger.tag(TEXT, targets=[3])


@pytest.mark.parametrize("one", [TEXT, b"Rain.", {"text": TEXT}, Article(TEXT)])
def test_one_article_is_not_many(tagger: Tagger, one: Any):
    with pytest.raises(StanceError, match=r"^articles: want several, found one: use tag"):
        tagger.tag_many(one)


def test_targets_are_a_list_that_every_article_gets(tagger: Tagger):
    for one in ({"kind": "claim", "text": "It rained."}, Target("Ana")):
        with pytest.raises(StanceError, match=r"^targets: want a list of targets, found one$"):
            tagger.tag(TEXT, targets=one)  # type: ignore[arg-type]
    drawn = (name for name in ["Ana", "Miro Kantar"])
    found = tagger.tag_many([TEXT, TEXT], targets=drawn)  # type: ignore[arg-type]
    assert [len(article.targets) for article in found] == [2, 2]


@pytest.mark.parametrize(
    ("article", "message"),
    [
        (Article("Rain \ud800"), "text: lone surrogate U+D800 at character 5"),
        (Article(TEXT, targets=(Target(" "),)), "targets[0].text: the target is empty"),
        (
            Article(TEXT, sentences=(Sentence(0, 3, "the"),)),
            "sentences[0].text: is not the article's text from 0 to 3",
        ),
        (
            Article(TEXT, sentences=(Sentence(0, 3, "The"), Sentence(2, 3, "e"))),
            "sentences[1]: the sentence starts at 2, before the end of the one before it (3)",
        ),
        (Article("Rain", sentences=(Sentence(0, 5, "Rain"),)), "is not a span of a text of 4"),
    ],
)
def test_an_article_made_by_hand_is_looked_at(tagger: Tagger, article: Article, message: str):
    with pytest.raises(RecordError, match=re.escape(message)):
        list(tagger.tag_many([article]))
    with pytest.raises(RecordError, match=r"targets\[0\].text: lone surrogate"):
        tagger.tag(TEXT, targets=[Target("\ud800")])


def test_an_empty_list_of_sentences_is_no_segmentation(tagger: Tagger):
    article = tagger.tag({"text": "It rained. It snowed.", "sentences": []})
    assert [s.text for s in article.sentences or ()] == ["It rained.", "It snowed."]
    assert tagger.tag({"text": "", "sentences": []}).sentences == ()


def test_a_broken_record_is_named_by_its_number_after_the_good_ones(tagger: Tagger):
    stream = tagger.tag_many([TEXT, {"id": "second", "text": TEXT}, {"text": 3}, TEXT])
    assert [next(stream).id for _ in range(2)] == [None, "second"]
    with pytest.raises(RecordError, match=r"^article:3: text: want a string, found a number$"):
        next(stream)
    with pytest.raises(RecordError, match=r"^article:1: text: the field is missing$"):
        next(tagger.tag_many([{"title": "x"}]))


def test_an_error_of_the_iterable_comes_after_what_was_read(tagger: Tagger):
    count = LOOK_AHEAD + 8

    def articles():
        yield from ({"id": str(number), "text": "It rained."} for number in range(count))
        raise ConnectionError("the feed is gone")

    stream = tagger.tag_many(articles())
    assert [next(stream).id for _ in range(count)] == [str(number) for number in range(count)]
    with pytest.raises(ConnectionError, match="the feed is gone"):
        next(stream)


class Held:
    """A runtime that lets batches go when so many of them have come; counts them."""

    batch_tokens = 1

    def __init__(self, runtime: Runtime, workers: int) -> None:
        self.runtime, self.workers = runtime, workers
        self.barrier = Barrier(workers)
        self.batches = 0

    def run(self, batch: Mapping[str, Any]) -> Logits:
        self.batches += 1
        time.sleep(0.005)
        self.barrier.wait(20)
        return self.runtime.run(batch)

    def settle(self) -> None:
        self.runtime.settle()


def test_as_many_batches_run_at_once_as_the_runtime_takes(tagger: Tagger):
    held = Held(tagger.runtime, 3)
    texts = [TEXT[: 40 + number] for number in range(9)]
    found = list(tagger.on(held).tag_many(texts))
    assert held.batches == 9
    assert list(map(labels, found)) == list(map(labels, tagger.tag_many(texts)))


def test_an_error_of_the_runtime_is_raised_and_ends_the_batches_that_wait(tagger: Tagger):
    held = Held(tagger.runtime, 1)
    held.barrier.abort()
    with pytest.raises(BrokenBarrierError):
        next(tagger.on(held).tag_many([TEXT] * LOOK_AHEAD))
    assert held.batches < LOOK_AHEAD


def test_who_stops_reading_does_not_wait_for_the_rest(tagger: Tagger):
    held = Held(tagger.runtime, 1)
    stream = tagger.on(held).tag_many([TEXT] * 4 * LOOK_AHEAD)
    next(stream)
    stream.close()
    assert held.batches < 2 * LOOK_AHEAD


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("tokenizer.json", lambda text: text[:100], "tokenizer.json: not a tokenizer: "),
        (
            "config.json",
            lambda text: text.replace('"max_tokens"', '"most_tokens"'),
            "the model's encoding cannot be read, maybe it is of a newer version",
        ),
        (
            "config.json",
            lambda text: text.replace('"sep"', '"end"'),
            "the model's special tokens cannot be read: KeyError('sep')",
        ),
        (
            "calibration.json",
            lambda text: '{"temperatures": {"stance": 0}}',
            "calibration.json: temperature of stance: want a number above 0",
        ),
    ],
)
def test_a_broken_model_folder_is_told(
    tiny_model: Path, tmp_path: Path, file: str, change: Callable[[str], str], message: str
):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    text = (folder / file).read_text(encoding="utf-8")
    (folder / file).write_text(change(text), encoding="utf-8")
    with pytest.raises(StanceError, match=re.escape(message)):
        Tagger.from_pretrained(folder)


def test_a_folder_called_default_does_not_hide_the_packages_own_model(in_folder: Path):
    (in_folder / "default").mkdir()
    assert find_model("default") == bundled("assets/model")
    assert find_model("./default").resolve() == in_folder / "default"


def test_wrong_model_folders(tmp_path: Path):
    with pytest.raises(StanceError, match="there is no such model folder"):
        Tagger.from_pretrained(tmp_path / "missing")
    with pytest.raises(StanceError, match=r"config\.json: there is no such file"):
        Tagger.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(StanceError, match=r"config\.json: want a JSON object"):
        Tagger.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(StanceError, match="not a model of the stance package"):
        Tagger.from_pretrained(tmp_path)
