"""Learning from a larger model: its records joined to articles, carried along, and the loss."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import REPOSITORY, tiny_overrides
from hydra import compose, initialize_config_dir

from stance.corpora import read_corpus
from stance.errors import RecordError, StanceError
from stance.losses import LossWeights, SoftLoss, total_loss
from stance.model import StanceOutput
from stance.records import Article, Label, Sentence, Stance, Target, without_labels
from stance.schema import DEFAULT, Facet, Schema
from stance.soft_labels import (
    join_soft_labels,
    load_soft_labels,
    with_extra_targets,
    write_soft_labels,
)
from stance.tagger import Tagger
from stance.training import build_model, read_training, train
from stance.training_data import (
    IGNORE,
    Augmentation,
    Collator,
    SoftLabels,
    WindowDataset,
    label_counts,
    make_example,
    soft_heads,
    to_inputs,
)
from stance.windows import Encoding, SpecialTokens, WindowEncoder
from stance.writers import JsonlWriter, ParquetWriter

PLAIN = Augmentation(shuffle=False, drop=0, foreign=0, recut=False)

TEXT = "Ora Min said the dam was safe. It rained."
GOLD = Article(
    TEXT,
    id="dam",
    targets=(Target("Ora Min"), Target("The dam is safe", "claim")),
    sentences=(
        Sentence(
            0, 30, TEXT[:30], facets={"source": Label("official")}, stance=(Stance(1, "favor"),)
        ),
        Sentence(31, 41, TEXT[31:], facets={"allegation": Label(False)}),
    ),
)
"""Gold labels; the teacher's record below has its targets in another order, and one more."""


def record() -> dict[str, Any]:
    def stance(target: int, favor: float) -> dict[str, Any]:
        probs = {"favor": favor, "against": 0.75 - favor, "neutral": 0.25}
        return {"target": target, "label": "favor", "score": favor, "probs": probs}

    def source(official: float) -> dict[str, Any]:
        probs = {"official": official, "other": 0.5 - official, "narrator": 0.5}
        return {"label": "narrator", "score": 0.5, "probs": probs}

    allegation = {"label": False, "score": 0.75, "probs": {"false": 0.75, "true": 0.25}}
    return {
        "id": "dam",
        "text": TEXT,
        "targets": [
            {"kind": "claim", "text": "The dam is safe"},
            {"kind": "entity", "text": "the dam"},
            {"kind": "entity", "text": "Ora Min"},
        ],
        "sentences": [
            {
                "start": 0,
                "end": 30,
                "source": source(0.5),
                "stance": [stance(0, 0.5), stance(1, 0.25)],
            },
            {"start": 31, "end": 41, "allegation": allegation, "stance": [stance(2, 0.125)]},
        ],
    }


def written(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in records), encoding="utf-8")
    return path


def test_records_are_joined_by_id_and_targets_by_kind_and_text(tmp_path: Path):
    other = {**record(), "id": "of another part"}
    path = written(tmp_path / "files.jsonl", other, record())
    silent = replace(GOLD, id="not in the file")
    (article, same), (soft, none) = join_soft_labels([GOLD, silent], path, DEFAULT)
    assert (same, none) == (silent, None)
    assert [target.text for target in article.targets] == ["Ora Min", "The dam is safe", "the dam"]
    assert article.sentences == GOLD.sentences
    assert soft is not None
    nan = np.nan
    np.testing.assert_array_equal(
        soft.facets, [[0.5, 0, 0.5, nan, nan], [nan, nan, nan, 0.75, 0.25]]
    )
    # Favor alone: sentences as rows, targets as columns.
    np.testing.assert_array_equal(soft.stance[..., 0], [[nan, 0.5, 0.25], [0.125, nan, nan]])


def test_parquet_is_joined_like_json_lines(tmp_path: Path):
    article = Article.from_dict(record())
    with JsonlWriter(tmp_path / "a.jsonl", probs=True) as lines:
        lines.write(article)
    with ParquetWriter(tmp_path / "a.parquet", DEFAULT) as table:
        table.write(article)
    _, (one,) = join_soft_labels([GOLD], tmp_path / "a.jsonl", DEFAULT)
    _, (two,) = join_soft_labels([GOLD], tmp_path / "a.parquet", DEFAULT)
    assert one is not None
    assert two is not None
    np.testing.assert_array_equal(one.facets, two.facets)
    np.testing.assert_array_equal(one.stance, two.stance)


def test_records_without_an_id_are_joined_by_text_to_the_row_with_their_targets(tmp_path: Path):
    """A table with a row for each target has the same sentence twice."""
    rows = [
        {**record(), "id": None, "targets": [target], "sentences": record()["sentences"]}
        for target in record()["targets"][::2]
    ]
    for favor, row in zip((0.5, 0.25), rows, strict=True):
        probs = {"favor": favor, "against": 0.75 - favor, "neutral": 0.25}
        stance = [{"target": 0, "label": "favor", "score": favor, "probs": probs}]
        row["sentences"] = [{"start": 0, "end": 30, "stance": stance}, {"start": 31, "end": 41}]
    path = written(tmp_path / "files.jsonl", *rows)
    bare = without_labels(replace(GOLD, id=None))
    articles = [replace(bare, targets=(target,)) for target in GOLD.targets]
    joined, soft = join_soft_labels(articles, path, DEFAULT)
    assert joined == articles
    assert [labels.stance[0, 0, 0] for labels in soft if labels] == [0.25, 0.5]


def changed(**fields: Any) -> dict[str, Any]:
    return {**record(), **fields}


def with_probs(probs: Any) -> dict[str, Any]:
    label = {"label": "official", "score": 0.5, "probs": probs}
    return changed(sentences=[{"start": 0, "end": 30, "source": label}, {"start": 31, "end": 41}])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (changed(text=TEXT + " "), "text: is not the text of the training article 'dam'"),
        (changed(sentences=[{"start": 0, "end": 41}]), "sentences: start or end elsewhere"),
        (changed(targets=3), "targets: want a list"),
        (with_probs(None), r"sentences\[0\].source: there are no probabilities; tag with probs"),
        (
            with_probs({"official": 0.5, "press": 0.5}),
            r"sentences\[0\].source: probabilities of official, press; want those of official, oth",
        ),
        (
            with_probs({"official": 0.5, "other": 0.25, "narrator": 0}),
            r"sentences\[0\].source: the probabilities add up to 0.750, not to 1",
        ),
    ],
)
def test_a_record_that_does_not_fit_is_named_with_file_and_line(tmp_path: Path, wrong, message):
    path = written(tmp_path / "files.jsonl", {"id": "another", "text": "Rain."}, wrong)
    with pytest.raises(RecordError, match=rf"files.jsonl:2: {message}"):
        join_soft_labels([GOLD], path, DEFAULT)


def test_an_id_stands_in_one_record(tmp_path: Path):
    path = written(tmp_path / "files.jsonl", record(), record())
    with pytest.raises(RecordError, match=r"jsonl:2: id: 'dam' is also the id of .*jsonl:1"):
        join_soft_labels([GOLD], path, DEFAULT)


def test_soft_labels_of_none_of_the_articles_are_a_mistake(tmp_path: Path):
    with pytest.raises(StanceError, match=r"there are no soft labels .* of files, starter"):
        load_soft_labels(tmp_path, {"files": [GOLD], "starter": [GOLD]}, DEFAULT)
    written(tmp_path / "files.jsonl", changed(id="another"))
    with pytest.raises(StanceError, match=r"files.jsonl: no record is of an article"):
        load_soft_labels(tmp_path, {"files": [GOLD]}, DEFAULT)


def test_a_corpus_without_a_file_has_none(tmp_path: Path):
    written(tmp_path / "files.jsonl", record())
    articles, soft = load_soft_labels(tmp_path, {"starter": [GOLD], "files": [GOLD]}, DEFAULT)
    assert set(soft) == {"files"}
    assert articles["starter"] == [GOLD]


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> WindowEncoder:
    special = SpecialTokens(cls=2, sep=3, pad=0, mention=(800, 801))
    return WindowEncoder.from_folder(tiny_encoder, special, Encoding())


def test_soft_labels_keep_their_sentence_and_target_through_augmentation(encoder: WindowEncoder):
    """Every number says which sentence and target it belongs to."""
    examples = []
    for article in read_corpus("starter", None, "train")[:12]:
        example = make_example(article, DEFAULT, encoder, article.id or "")
        sentences, targets = example.stance.shape
        soft = SoftLabels.unknown(sentences, targets, DEFAULT)
        soft.facets[:] = np.arange(sentences)[:, None]
        soft.stance[:] = (100 * np.arange(sentences)[:, None] + np.arange(targets))[..., None]
        examples.append(replace(example, soft=soft))
    dataset = WindowDataset(
        examples, DEFAULT, encoder, Augmentation(drop=0.3, foreign=0.5, context=1), seed=5
    )
    orders = set()
    for epoch in range(3):
        dataset.set_epoch(epoch)
        rows = [dataset[i] for i in range(len(dataset))]
        batch = Collator(0)(rows)
        for b, ((number, _, _), row) in enumerate(zip(dataset.index, rows, strict=True)):
            numbers = np.array([sentence for sentence, _, _ in row.window.sentences])
            targets = [target for target, _ in row.window.targets]
            orders.add(tuple(targets))
            facets, stance = batch["soft_facets"][b].numpy(), batch["soft_stance"][b].numpy()
            assert (facets[: len(numbers)] == numbers[:, None]).all()
            assert np.isnan(facets[len(numbers) :]).all()
            assert np.isnan(stance[len(numbers) :]).all()
            assert np.isnan(stance[:, len(targets) :]).all()
            for column, target in enumerate(targets):
                found = stance[: len(numbers), column]
                if target < len(examples[number].targets):
                    assert (found == (100 * numbers + target)[:, None]).all()
                else:
                    assert np.isnan(found).all()
    assert (1, 0) in orders  # some were shuffled
    assert any(len(order) == 1 for order in orders)  # and some left out


def batch_of_one_pair(**labels: torch.Tensor) -> tuple[StanceOutput, dict[str, torch.Tensor]]:
    """One window of two sentences and one target, without any label but those given."""
    output = StanceOutput(
        facet_logits=torch.tensor([[[2.0, 1, 0, 1, -1], [0, 0, 3, 0, 0]]], requires_grad=True),
        stance_logits=torch.tensor([[[[1.0, 0, -1]], [[0, 2, 0]]]], requires_grad=True),
        span_logits=torch.zeros(1, 4, 3, 3, requires_grad=True),
    )
    empty = {
        "facet_labels": torch.full((1, 2, 2), IGNORE),
        "stance_labels": torch.full((1, 2, 1), IGNORE),
        "span_labels": torch.full((1, 4, 3), IGNORE),
        "soft_facets": torch.full((1, 2, 5), torch.nan),
        "soft_stance": torch.full((1, 2, 1, 3), torch.nan),
    }
    return output, empty | labels


def softmax(*logits: float) -> np.ndarray:
    shares = np.exp(logits)
    return shares / shares.sum()


def test_the_loss_is_the_cross_entropy_of_the_two_distributions():
    soft_facets = torch.full((1, 2, 5), torch.nan)
    soft_facets[0, 0, :3] = torch.tensor([0.5, 0.25, 0.25])
    soft_stance = torch.full((1, 2, 1, 3), torch.nan)
    soft_stance[0, :, 0] = torch.tensor([[0.5, 0.5, 0.0], [0.25, 0.5, 0.25]])
    output, labels = batch_of_one_pair(soft_facets=soft_facets, soft_stance=soft_stance)

    def expected(temperature: float) -> float:
        def cross(wanted: list[float], logits: list[float]) -> float:
            p = np.array(wanted) ** (1 / temperature)
            q = softmax(*(value / temperature for value in logits))
            return float(-(p / p.sum() * np.log(q)).sum())

        source = cross([0.5, 0.25, 0.25], [2, 1, 0])
        stance = (cross([0.5, 0.5, 0], [1, 0, -1]) + cross([0.25, 0.5, 0.25], [0, 2, 0])) / 2
        return temperature**2 * (source + 2 * stance)  # the stance head counts twice below

    for temperature in (1.0, 2.0):
        soft = SoftLoss(weight=0.5, temperature=temperature)
        weights = LossWeights(heads={"stance": 2.0}, soft=soft)
        loss = total_loss(output, labels, DEFAULT, weights).item()
        assert loss == pytest.approx(0.5 * expected(temperature), rel=1e-5)


def test_the_labels_of_a_multi_facet_are_compared_one_by_one():
    schema = Schema(facets=(Facet("topic", ("war", "money"), "multi"),), tags=())
    output, labels = batch_of_one_pair()
    output.facet_logits = torch.tensor([[[1.0, -2.0], [5.0, 5.0]]])
    labels["facet_labels"] = torch.full((1, 2, 1), IGNORE)
    labels["soft_facets"] = torch.tensor([[[0.75, 0.25], [torch.nan, torch.nan]]])
    war, money = (1 / (1 + np.exp(-logit)) for logit in (1.0, -2.0))
    expected = -(0.75 * np.log(war) + 0.25 * np.log(1 - war)) / 2
    expected -= (0.25 * np.log(money) + 0.75 * np.log(1 - money)) / 2
    loss = total_loss(output, labels, schema, LossWeights(soft=SoftLoss(weight=1.0)))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_only_what_has_a_label_has_a_gradient():
    soft_facets = torch.full((1, 2, 5), torch.nan)
    soft_facets[0, 0, 3:] = torch.tensor([0.25, 0.75])
    output, labels = batch_of_one_pair(soft_facets=soft_facets)
    total_loss(output, labels, DEFAULT, LossWeights(soft=SoftLoss(weight=1.0))).backward()
    assert output.facet_logits is not None
    (first, second) = output.facet_logits.grad[0]  # type: ignore[index]
    assert (first[3:] != 0).all()
    assert (first[:3] == 0).all()
    assert (second == 0).all()
    assert (output.stance_logits.grad == 0).all()  # type: ignore[union-attr]


def test_gold_counts_less_where_there_is_a_soft_label_too():
    gold = torch.tensor([[[0, IGNORE], [0, IGNORE]]])
    soft_facets = torch.full((1, 2, 5), torch.nan)
    soft_facets[0, 0, :3] = torch.tensor([1.0, 0, 0])
    output, labels = batch_of_one_pair(facet_labels=gold, soft_facets=soft_facets)
    both, alone = -np.log(softmax(2, 1, 0)[0]), -np.log(softmax(0, 0, 3)[0])
    for factor in (1.0, 0.25, 0.0):
        weights = LossWeights(soft=SoftLoss(weight=1.0, gold=factor))
        loss = total_loss(output, labels, DEFAULT, weights).item()
        assert loss == pytest.approx((factor * both + alone) / 2 + both, rel=1e-5)


def test_without_soft_labels_the_weight_changes_no_digit(encoder: WindowEncoder):
    articles = read_corpus("starter", None, "train")[:4]
    examples = [make_example(article, DEFAULT, encoder, article.id or "") for article in articles]
    dataset = WindowDataset(examples, DEFAULT, encoder, Augmentation(), seed=3)
    labels = Collator(0)([dataset[i] for i in range(len(dataset))])
    size, targets, length = labels["target_mask"].shape
    sentences = labels["sentence_mask"].shape[1]
    results = []
    for weight in (0.0, 1.0):
        rng = torch.Generator().manual_seed(1)
        logits = {
            "facet_logits": torch.randn(size, sentences, DEFAULT.width, generator=rng),
            "stance_logits": torch.randn(size, sentences, targets, 3, generator=rng),
            "span_logits": torch.randn(size, length, 3, 3, generator=rng),
        }
        output = StanceOutput(**{name: value.requires_grad_() for name, value in logits.items()})
        loss = total_loss(output, labels, DEFAULT, LossWeights(soft=SoftLoss(weight=weight)))
        loss.backward()
        results.append([loss.detach(), *(value.grad for value in logits.values())])
    assert all(torch.equal(one, two) for one, two in zip(*results, strict=True))


def composed(name: str, *overrides: str) -> Any:
    with initialize_config_dir(str(REPOSITORY / "configs"), version_base="1.3"):
        return compose(name, overrides=list(overrides))


def asked(model: Path, output: Path, *overrides: str) -> Any:
    return composed(
        "soft_labels", f"model={model}", f"output={output}", "corpus.limit=0.1", *overrides
    )


def test_extra_targets_are_drawn_from_the_text_beyond_the_gold_ones():
    text = (
        "Hadley Brook accused the Velmora Union of fraud. The Velmora Union said Hadley Brook "
        "lied. Tamsin Orell has defended the Velmora Union."
    )
    article = Article(text, id="fraud", targets=(Target("Hadley Brook"),))
    assert with_extra_targets(article, 0, seed=1) is article
    for seed in range(5):
        one, two = (with_extra_targets(article, 1, seed) for _ in range(2))
        assert one == two
        assert len(one.targets) == 2
    drawn = {with_extra_targets(article, 1, seed).targets[1].text for seed in range(20)}
    assert drawn == {"Velmora Union", "Tamsin Orell"}
    assert {target.text for target in with_extra_targets(article, 9, 1).targets[1:]} == drawn


def test_a_teacher_labels_and_a_student_learns(
    tiny_model: Path, tiny_encoder: Path, tmp_path: Path
):
    folder = write_soft_labels(asked(tiny_model, tmp_path / "soft", "extra_targets=1"))
    path = folder / "starter.jsonl"
    first = path.read_bytes()
    articles = {article.id: article for article in read_corpus("starter", None, "train")}
    more = 0
    for line in first.splitlines():
        record = Article.from_dict(json.loads(line))
        gold = articles[record.id]
        assert record.targets[: len(gold.targets)] == gold.targets
        more += len(record.targets) - len(gold.targets)
        bounds = [(s.start, s.end) for s in record.sentences or ()]
        assert bounds == [(s.start, s.end) for s in gold.sentences or ()]
    assert more > 0

    path.write_bytes(first.splitlines(keepends=True)[0])
    write_soft_labels(asked(tiny_model, folder))
    assert path.read_bytes() == first.splitlines(keepends=True)[0]  # what is there is kept
    write_soft_labels(asked(tiny_model, folder, "extra_targets=1", "overwrite=true"))
    assert path.read_bytes() == first

    overrides = tiny_overrides(tiny_encoder, tmp_path / "run")
    overrides += [f"corpus.soft_labels={folder}", "trainer.loss.soft.weight=1"]
    student = train(composed("train", *overrides))
    runs = [read_training(model)["run"] for model in (student, tiny_model)]
    assert runs[0]["articles"] == runs[1]["articles"]
    weights = [(model / "model.safetensors").read_bytes() for model in (student, tiny_model)]
    assert weights[0] != weights[1]


def test_a_higher_temperature_makes_the_teacher_less_sure(tiny_model: Path, tmp_path: Path):
    means = []
    for temperature in (0.5, 4):
        folder = write_soft_labels(
            asked(tiny_model, tmp_path / str(temperature), f"temperature={temperature}")
        )
        lines = (folder / "starter.jsonl").read_text(encoding="utf-8").splitlines()
        scores = [
            max(sentence["source"]["probs"].values())
            for line in lines
            for sentence in json.loads(line)["sentences"]
        ]
        means.append(np.mean(scores))
    assert means[0] > means[1]
    with pytest.raises(StanceError, match="temperature=0 must be above 0"):
        write_soft_labels(asked(tiny_model, tmp_path, "temperature=0"))


def test_a_student_of_the_teacher_alone_comes_to_agree_with_it(
    tiny_model: Path, tiny_encoder: Path, tmp_path: Path
):
    teacher = Tagger.from_pretrained(tiny_model)
    gold = read_corpus("starter", None, "train")[:6]
    articles = [without_labels(article) for article in gold]
    with JsonlWriter(tmp_path / "files.jsonl", probs=True) as writer:
        for article in teacher.tag_many(articles):
            writer.write(article)
    _, soft = join_soft_labels(articles, tmp_path / "files.jsonl", DEFAULT)

    torch.manual_seed(99)
    scratch = tmp_path / "tokenizer"
    scratch.mkdir()
    cfg = composed("train", *tiny_overrides(tiny_encoder, tmp_path))
    model, encoder, _ = build_model(cfg, DEFAULT, scratch)
    examples = [
        make_example(article, DEFAULT, encoder, article.id or "", labels)
        for article, labels in zip(articles, soft, strict=True)
    ]
    assert all(count.sum() == 0 for count in label_counts(examples, DEFAULT).values())
    assert soft_heads(examples, DEFAULT) == {"source", "allegation", "stance"}
    dataset = WindowDataset(examples, DEFAULT, encoder, PLAIN, seed=1)
    batch = Collator(encoder.special.pad)([dataset[i] for i in range(len(dataset))])
    weights = LossWeights(soft=SoftLoss(weight=1.0))

    def distance() -> dict[str, float]:
        """Mean difference of the probabilities."""
        with torch.no_grad():
            output = model.eval()(**to_inputs(batch))
        found = {"stance": (output.stance_logits.softmax(-1), batch["soft_stance"])}
        for facet, columns in DEFAULT.slices():
            own = output.facet_logits[..., columns].softmax(-1)
            found[facet.name] = (own, batch["soft_facets"][..., columns])
        return {name: (own - soft).abs().nanmean().item() for name, (own, soft) in found.items()}

    before = distance()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(25):
        optimizer.zero_grad()
        total_loss(model(**to_inputs(batch)), batch, DEFAULT, weights).backward()
        optimizer.step()
    after = distance()
    assert all(after[name] < before[name] / 2 for name in before), (before, after)


def test_wrong_settings_of_the_soft_loss_are_one_clear_sentence(tiny_encoder: Path, tmp_path: Path):
    for setting in ("weight=-1", "gold=-1", "temperature=0"):
        overrides = [*tiny_overrides(tiny_encoder, tmp_path), f"trainer.loss.soft.{setting}"]
        with pytest.raises(StanceError, match=r"trainer.loss.soft: .* must"):
            train(composed("train", *overrides))
