"""In other tools: spaCy, transformers, pandas and the Hub's model card."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY

from stance.errors import RecordError
from stance.tagger import Tagger

TEXT = "The mayor denied it. “They lied,” said Ana Brod. It rained all day."
PAGE = (REPOSITORY / "docs" / "integrations.md").read_text(encoding="utf-8")


def snippet(name: str) -> str:
    """The Python of docs/integrations.md under one mark, put together."""
    found = re.findall(rf"<!-- {name} -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return "\n".join(found)


def run(code: str, folder: Path, path: str = "") -> str:
    """Run code in a process of its own, as a reader would; gives what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY / "src"), path])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def tagger(tiny_model: Path) -> Tagger:
    return Tagger.from_pretrained(tiny_model)


# spaCy


@pytest.fixture
def spacy():
    module = pytest.importorskip("spacy")
    import stance.integrations.spacy  # noqa: F401 (an installed package has the entry point)

    return module


def test_the_spacy_snippet_with_the_entry_point_alone(tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("spacy")
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    installed = tmp_path / "site" / "stance_news-0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: stance-news\nVersion: 0\n")
    points = project["entry-points"]["spacy_factories"].items()
    (installed / "entry_points.txt").write_text(
        "[spacy_factories]\n" + "".join(f"{name} = {place}\n" for name, place in points)
    )
    printed = run(
        f"MODEL = {str(tiny_model)!r}\n" + snippet("spacy"), tmp_path, str(installed.parent)
    ).splitlines()
    assert len(printed) == 5
    assert all(line.startswith("['") for line in printed[:3])
    assert "Ilse Maarn" in printed[3]
    assert "The ministry knew." in printed[3]
    assert "model.safetensors" in {path.name for path in tmp_path.glob("pipeline/stance/*")}


def rounded(value: Any) -> Any:
    """Plain data with probabilities to four digits: the last ones depend on the batch."""
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value


def test_spacy_says_what_the_tagger_says(spacy, tiny_model: Path, tagger: Tagger) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("stance", config={"model": str(tiny_model), "targets": ["mayor"]})
    texts = [TEXT, "", " \n ", "It snowed.\n\nAna Brod said: 😀 no."] * 3
    docs = list(nlp.pipe(iter(texts), batch_size=2))
    assert [doc.text for doc in docs] == texts
    for doc in docs:
        record = tagger.tag(doc.text, targets=["mayor"]).to_dict(probs=False)
        assert rounded(doc._.stance) == rounded(record)
        spans = [span for span in doc.sents if span.text.strip()]
        assert [span._.stance for span in spans] == doc._.stance.get("sentences", [])
        for span in spans:
            assert span.text.strip() == span._.stance["text"]
            assert span._.stance_tags == span._.stance["tags"]
            assert span._.stance_toward("mayor") in ("favor", "against", "neutral")
            assert span._.stance_toward("nobody") is None


def test_sentences_of_the_pipeline_are_kept(spacy, tiny_model: Path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer", config={"punct_chars": [";"]})
    nlp.add_pipe("stance", config={"model": str(tiny_model)})
    doc = nlp("It rained; it snowed. Ana said so; no")
    assert [s["text"] for s in doc._.stance["sentences"]] == [s.text for s in doc.sents]
    assert len(list(doc.sents)) == 3
    assert doc[1:3]._.stance["text"] == "It rained;"


def test_documents_and_pipelines_go_to_disk(spacy, tiny_model: Path, tmp_path: Path) -> None:
    from spacy.tokens import DocBin

    nlp = spacy.blank("en")
    targets = ["Ana Brod", {"kind": "claim", "text": "It rained."}]
    nlp.add_pipe("stance", config={"model": str(tiny_model), "targets": targets, "threads": 1})
    doc = nlp(TEXT)
    (kept,) = DocBin(docs=[doc], store_user_data=True).get_docs(nlp.vocab)
    assert rounded(kept._.stance) == rounded(doc._.stance)  # with tuples for lists
    nlp.to_disk(tmp_path / "pipeline")
    files = {path.name for path in (tmp_path / "pipeline" / "stance").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= files
    (tmp_path / "pipeline").rename(tmp_path / "moved")
    moved = spacy.load(tmp_path / "moved")
    again = moved(TEXT)._.stance
    moved.to_disk(tmp_path / "moved")  # its files are there already
    assert spacy.load(tmp_path / "moved")(TEXT)._.stance["sentences"] == again["sentences"]
    copied = pickle.loads(pickle.dumps(moved.get_pipe("stance")))  # as another process gets it
    assert copied(nlp.make_doc(TEXT))._.stance["sentences"] == again["sentences"]
    assert again["sentences"] == doc._.stance["sentences"]
    assert again["targets"][1]["kind"] == "claim"


def test_a_spacy_component_without_a_model_takes_the_packages_own(spacy) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("stance")
    doc = nlp("The minister said on Monday that the bridge was safe.")
    assert doc._.stance["sentences"][0]["source"]["label"] == "official"


# transformers


def test_the_transformers_snippet(tiny_model: Path, tmp_path: Path) -> None:
    printed = run(f"MODEL = {str(tiny_model)!r}\n" + snippet("transformers"), tmp_path)
    first, second, third = printed.splitlines()
    assert "'target': 0" in first
    assert (second[0], third[0]) == ("1", "2")
    assert "Ana Brod" in third


def test_the_pipeline_says_what_the_tagger_says(
    tiny_model: Path, tagger: Tagger, tmp_path: Path
) -> None:
    from transformers import pipeline

    import stance.hf

    assert stance.hf.TASK == "stance-attribution"
    tag = pipeline("stance-attribution", model=str(tiny_model), device="cpu")
    articles = [{"id": str(n), "text": TEXT * n, "targets": ["mayor"]} for n in range(4)]
    wanted = [article.to_dict() for article in tagger.tag_many(articles, ["Ana Brod"])]
    assert labels(tag(articles, targets=["Ana Brod"])) == labels(wanted)
    assert labels([tag(articles[2], targets=["Ana Brod"])]) == labels(wanted[2:3])
    stream = tag((article for article in articles), targets=["Ana Brod"])
    assert next(stream)["id"] == "0"
    assert labels([*stream]) == labels(wanted[1:])
    tag.save_pretrained(tmp_path / "saved")
    names = {path.name for path in (tmp_path / "saved").iterdir()}
    assert not [name for name in names if name.endswith(".py")]
    assert labels([Tagger.from_pretrained(tmp_path / "saved").tag(TEXT).to_dict()])
    with pytest.raises(RecordError, match="text"):
        tag({"id": "1"})


def labels(records: list[dict]) -> list[list[object]]:
    """What is said of every sentence, without probabilities."""
    return [
        [(s["text"], s["tags"], [row["label"] for row in s.get("stance", ())])]
        for record in records
        for s in record["sentences"]
    ]


# pandas


def test_the_pandas_snippet(tiny_model: Path, tmp_path: Path) -> None:
    printed = run(f"MODEL = {str(tiny_model)!r}\n" + snippet("pandas"), tmp_path)
    assert "Kelm Post" in printed
    assert "count" in printed


def test_a_row_for_each_sentence_and_target(tagger: Tagger) -> None:
    pandas = pytest.importorskip("pandas")
    from stance.integrations.pandas import tag_frame

    frame = pandas.DataFrame(
        {
            "body": [TEXT, "It snowed.", ""],
            "title": ["Ana Brod speaks", None, "Nothing"],
            "targets": [["mayor", {"kind": "claim", "text": "It rained."}], None, None],
            "outlet": ["The Mole", "Kelm Post", "Kelm Post"],
        },
        index=pandas.Index(["x", "y", "z"], name="key"),
    )
    tagged = tag_frame(frame, tagger, text="body")
    assert list(tagged.index) == ["x"] * 6 + ["y"]
    assert tagged.index.name == "key"
    assert list(tagged["target"][:2]) == ["mayor", "It rained."]
    assert list(tagged["target_kind"][:2]) == ["entity", "claim"]
    assert tagged.loc["y", "number"] == 0
    assert pandas.isna(tagged.loc["y", "target"])
    for label, row in tagged.iterrows():
        assert frame.loc[label, "body"][row["start"] : row["end"]] == row["sentence"]
        assert 0 <= row["source_score"] <= 1
    assert list(frame.join(tagged)["outlet"]) == ["The Mole"] * 6 + ["Kelm Post"] * 2
    auto = tag_frame(frame[["body", "title"]], tagger, text="body", targets="auto")
    assert "Ana Brod" in set(auto.loc["x", "target"])
    assert tag_frame(frame[:0], tagger, text="body").empty
    with pytest.raises(RecordError, match="no column 'text'"):
        tag_frame(frame, tagger)
    with pytest.raises(RecordError, match="title: two columns have this name"):
        tag_frame(pandas.concat([frame, frame[["title"]]], axis=1), tagger, text="body")
    with pytest.raises(RecordError, match="row 'y': text: want a string, found a number"):
        tag_frame(frame.assign(body=[TEXT, 3, ""]), tagger, text="body")


@pytest.mark.parametrize("options", [{}, {"dtype_backend": "pyarrow"}])
def test_a_frame_of_our_own_parquet_file(
    tagger: Tagger, tmp_path: Path, options: dict[str, Any]
) -> None:
    """Its targets are arrays of objects with arrays in them, or lists."""
    pandas = pytest.importorskip("pandas")
    from stance.integrations.pandas import tag_frame
    from stance.writers import ParquetWriter

    start = TEXT.index("Ana Brod")
    targets = [
        {"text": "Brod", "mentions": [[start, start + 8]], "names": ["Ana", "Ana Brod"]},
        {"kind": "claim", "text": "It rained."},
        {"text": "Olo Venn", "names": ["Venn"]},
    ]
    given = [{"text": TEXT, "targets": targets}, {"id": "2", "title": "Snow", "text": "It snowed."}]
    wanted = list(tagger.tag_many(given))
    with ParquetWriter(tmp_path / "ours.parquet", tagger.schema) as writer:
        for article in wanted:
            writer.write(article)
    frame = pandas.read_parquet(tmp_path / "ours.parquet", **options)
    tagged = tag_frame(frame, tagger)
    assert list(tagged.index) == [0] * 6 + [1]
    found = tagged[["sentence", "target", "stance"]].astype(object)
    assert found.where(found.notna(), None).to_numpy().tolist() == [
        [s.text, wanted[0].targets[stance.target].text, stance.label]
        for s in wanted[0].sentences or ()
        for stance in s.stance
    ] + [["It snowed.", None, None]]


# The model card


def test_the_hub_reads_the_card(tiny_model: Path, tmp_path: Path) -> None:
    """What huggingface_hub checks without a connection; the Hub checks again when it is pushed."""
    from huggingface_hub import ModelCard, ModelCardData, metadata_load

    from stance.card import write_card

    (tmp_path / "schema.json").write_text((tiny_model / "schema.json").read_text())
    figure = {"value": 0.8123, "interval": [0.7, 0.9], "support": 200}
    headline = {"tags_macro_f1": figure, "favor_against_f1": {**figure, "value": 0.5}}
    scope = {
        "corpora": ["starter"],
        "model": {"articles": 18, "sentences": 406, "headline": headline},
        "baselines": {},
    }
    training = json.loads((tiny_model / "training.json").read_text())
    path = write_card(tmp_path, training, {"parts": {"dev": {"all": scope, "apart": {}}}})
    (index,) = metadata_load(path)["model-index"]
    (result,) = index["results"]
    assert result["dataset"] == {"type": "starter", "name": "starter", "split": "dev"}
    assert [(m["type"], m["name"], m["value"]) for m in result["metrics"]] == [
        ("f1", "tags macro-F1", 81.2),
        ("f1", "favor/against F1", 50.0),
    ]
    card = ModelCard.load(path)
    assert card.data.eval_results[0].metric_value == 81.2
    again = ModelCardData(**metadata_load(path))
    assert again.to_dict() == card.data.to_dict()
    assert card.data.license == "apache-2.0"
    plain = write_card(tmp_path, training, {})
    assert ModelCard.load(plain).data.model_name == training["config"]["name"]
