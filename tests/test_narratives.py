"""A narratives file gives targets; an article is not asked about those it does not mention."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import REPOSITORY

from stance import StanceError, Tagger
from stance.cli import main
from stance.narratives import Narratives
from stance.readers import read_articles
from stance.records import Target

FILE = """\
entities:
  - name: White Mill
    aliases: [Norn Ltd]
  - Ana Brod
claims:
  - text: "The fire was staged: nobody saw it."
    about: [Ana Brod, White Mill]
"""


def test_entities_and_claims_become_targets_with_names(in_folder: Path) -> None:
    Path("narratives.yaml").write_text(FILE)
    targets = (
        Target("White Mill", names=("White Mill", "Norn Ltd")),
        Target("Ana Brod", names=("Ana Brod",)),
        Target(
            "The fire was staged: nobody saw it.",
            "claim",
            names=("Ana Brod", "White Mill", "Norn Ltd"),
        ),
    )
    assert Narratives.load("narratives.yaml").targets == targets
    data = {"entities": [{"name": "Ana Brod"}]}
    Path("narratives.json").write_text(json.dumps(data))
    assert Narratives.load("narratives.json").targets == targets[1:2]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "n.yaml: want a mapping with claims and entities"),
        ("{}", "n.yaml: want at least one of 'entities' and 'claims'"),
        ("people: []", "n.yaml: unknown entry 'people'"),
        ("entities: Ana Brod", "n.yaml: entities: want a list"),
        ("entities: [a, {name: a}]", "entities[1].name: 'a' stands there twice"),
        ("entities: [{name: no}]", "entities[0].name: want a string, found False"),
        ("entities: [{aliases: [x]}]", "entities[0].name: want a string, found None"),
        ("entities: [{name: x, aliases: [2026-01-01]}]", "entities[0].aliases[0]: want a string"),
        ("entities: [{name: '?!'}]", "entities[0].name: '?!' has no word to look for"),
        ("claims: [{text: It burned}]", "claims[0].about: want the names of the entities"),
        ("claims: [{text: a, about: [b]}]", "claims[0].about[0]: there is no entity named 'b'"),
        ("claims: [{text: a, abuot: [b]}]", "claims[0]: unknown entry 'abuot'"),
        ("entities: [", "n.yaml: not YAML: while parsing"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_entry(in_folder: Path, text: str, error: str) -> None:
    Path("n.yaml").write_text(text)
    with pytest.raises(StanceError) as caught:
        Narratives.load("n.yaml")
    assert error in str(caught.value)
    with pytest.raises(StanceError, match=r"^m.yaml: cannot be read: No such file"):
        Narratives.load("m.yaml")


def test_a_skipped_target_is_as_if_it_had_not_been_asked(tiny_model: Path) -> None:
    tagger = Tagger.from_pretrained(tiny_model)
    text = "Brod denied it. The council met."
    targets = (Target("White Mill", names=("White Mill",)), Target("Brod", names=("Ana Brod",)))
    article = tagger.tag(text, targets)
    assert [target.skipped for target in article.targets] == [True, False]
    alone = tagger.tag(text, targets[1:])
    for sentence, other in zip(article.sentences or (), alone.sentences or (), strict=True):
        assert sentence.facets == other.facets
        ((one,), (two,)) = (sentence.stance, other.stance)
        assert (one.target, one.probs) == (1, two.probs)
    again = tagger.tag(article.to_dict())
    assert again == article


def test_the_example_file_fits_the_example_articles(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = REPOSITORY / "data" / "examples"
    output = tmp_path / "tagged.parquet"
    command = ["tag", str(examples), "--model", str(tiny_model)]
    command += ["--narratives", str(examples / "narratives.yaml")]
    with pytest.raises(SystemExit) as end:
        main([*command, "--output", str(output)])
    assert end.value.code == 0
    asked = {
        article.id: {t.text for t in article.targets if t.kind == "entity" and not t.skipped}
        for article in read_articles(output)
    }
    assert asked == {
        "ceasefire": {"Valley Front", "Army of Ostreva"},
        "transfer": {"Mere Rovers", "Lotte Brandis"},
        "harbour": {"Port Authority of Kelm", "Ilse Maarn"},
    }
    with pytest.raises(SystemExit):
        main([*command, "--format", "table"])
    assert "targets skipped, since not mentioned: 6" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*command, "--format", "html", "--output", str(tmp_path / "pages")])
    page = (tmp_path / "pages" / "harbour.html").read_text()
    assert "targets skipped, since not mentioned: 6" in page
    assert "Lotte Brandis" not in page
