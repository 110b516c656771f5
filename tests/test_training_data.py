"""Training windows: labels at their place, epochs that differ, batches within their budget."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import BERT_TOKENS, save_tokenizer

from stance.corpora import read_corpus
from stance.losses import LossWeights, total_loss
from stance.model import StanceOutput
from stance.records import Article, Label, Sentence, Stance, Target
from stance.schema import DEFAULT, Facet, Schema
from stance.training_data import (
    IGNORE,
    Augmentation,
    Collator,
    TokenBudgetBatches,
    WindowDataset,
    is_foreign,
    label_counts,
    make_example,
)
from stance.windows import Encoding, SpecialTokens, WindowEncoder

PLAIN = Augmentation(shuffle=False, drop=0, foreign=0, recut=False)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory, starter_texts):
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(folder, starter_texts, BERT_TOKENS)
    special = SpecialTokens(cls=2, sep=3, pad=0, mention=(800, 801))
    return WindowEncoder.from_folder(folder, special, Encoding())


@pytest.fixture(scope="module")
def examples(encoder):
    return [
        make_example(article, DEFAULT, encoder, article.id or "")
        for article in read_corpus("starter", None, "train")[:20]
    ]


def article_with_spans() -> Article:
    text = "Ora Min said the dam was safe. It rained."
    return Article(
        text,
        id="x",
        targets=(Target("Ora Min"), Target("The dam is safe", "claim")),
        sentences=(
            Sentence(
                0,
                30,
                text[:30],
                facets={"source": Label("official")},
                stance=(Stance(1, "favor"),),
                spans={"source": ((0, 7),), "cue": ((8, 12),), "content": ((13, 29),)},
            ),
            Sentence(31, 41, text[31:], facets={"allegation": Label(False)}),
        ),
    )


def test_labels_stand_at_their_sentences_pairs_and_tokens(encoder):
    example = make_example(article_with_spans(), DEFAULT, encoder, "x")
    row = WindowDataset([example], DEFAULT, encoder, PLAIN, seed=1)[0]
    assert row.facets.tolist() == [[0, IGNORE], [IGNORE, 0]]
    assert row.stance.tolist() == [[IGNORE, 0], [IGNORE, IGNORE]]
    (_, (start, end), _), (_, (second, last), _) = row.window.sentences
    for column, (first, until) in enumerate([(0, 7), (8, 12), (13, 29)]):
        labels = row.spans[start:end, column]
        inside = [first <= a and b <= until for a, b in row.window.offsets[start:end].tolist()]
        assert [label > 0 for label in labels] == inside
        assert labels[inside.index(True)] == 1
        assert (labels[np.flatnonzero(inside)[1:]] == 2).all()
    assert (row.spans[second:last] == IGNORE).all()
    assert (row.spans[:start] == IGNORE).all()


def test_every_sentence_is_seen_once_an_epoch(encoder, examples):
    dataset = WindowDataset(examples, DEFAULT, encoder, Augmentation(), seed=7)
    for epoch in range(3):
        dataset.set_epoch(epoch)
        seen = [(n, s) for n, first, last in dataset.index for s in range(first, last)]
        assert seen == [(n, s) for n, e in enumerate(examples) for s in range(len(e.sentences))]


def test_epochs_differ_and_come_back(encoder, examples):
    dataset = WindowDataset(examples, DEFAULT, encoder, Augmentation(), seed=7)
    first = [dataset[i].window.input_ids for i in range(len(dataset))]
    dataset.set_epoch(1)
    assert [dataset[i].window.input_ids for i in range(len(dataset))] != first
    dataset.set_epoch(0)
    assert [dataset[i].window.input_ids for i in range(len(dataset))] == first


def test_a_share_of_a_corpus_is_drawn_anew_every_epoch(encoder, examples):
    halves = [replace(example, key=f"half/{example.key}") for example in examples[:10]]
    wholes = [replace(example, key=f"whole/{example.key}") for example in examples[10:]]
    shares = {"half": 0.5}
    dataset = WindowDataset(halves + wholes, DEFAULT, encoder, PLAIN, seed=7, shares=shares)

    def drawn(epoch):
        dataset.set_epoch(epoch)
        return {number for number, _, _ in dataset.index}

    epochs = [drawn(epoch) for epoch in range(8)]
    assert all(set(range(10, 20)) < epoch for epoch in epochs)
    assert len({frozenset(epoch) for epoch in epochs}) > 4
    assert set.union(*epochs) == set(range(20))
    assert drawn(0) == epochs[0]


def test_foreign_targets_are_neutral_and_absent_from_the_text(encoder, examples):
    augmentation = Augmentation(shuffle=True, drop=0, foreign=1.0)
    dataset = WindowDataset(examples, DEFAULT, encoder, augmentation, seed=3)
    found = 0
    for i, (number, _, _) in enumerate(dataset.index):
        row = dataset[i]
        own = len(examples[number].targets)
        for column, (target, positions) in enumerate(row.window.targets):
            if target >= own:
                found += 1
                assert (row.stance[:, column] == dataset.neutral).all()
                ids = [row.window.input_ids[p] for p in positions]
                names = [n for n, t in dataset.donors if t.ids[: len(ids)] == ids]
                assert any(is_foreign(name, examples[number].text) for name in names)
    assert found > len(dataset) / 2


def test_a_target_of_the_articles_own_is_not_foreign(encoder):
    names = {"one": ["Ministry of Finance"], "two": ["ministry of finance", "Harmattan Front"]}
    examples = [
        make_example(
            Article(
                "The bank shut.",
                targets=tuple(map(Target, own)),
                sentences=(Sentence(0, 14, "The bank shut."),),
            ),
            DEFAULT,
            encoder,
            key,
        )
        for key, own in names.items()
    ]
    augmentation = Augmentation(shuffle=False, drop=0, foreign=1.0)
    dataset = WindowDataset(examples, DEFAULT, encoder, augmentation, seed=3)
    (front,) = encoder.tokenize_texts(["Harmattan Front"])
    counts = []
    for epoch in range(20):
        dataset.set_epoch(epoch)
        first, second = (dataset[i].window for i in range(2))
        counts.append(len(first.targets))
        assert len(second.targets) == 2
        for _, positions in first.targets[1:]:
            assert [first.input_ids[p] for p in positions] == front.ids
    assert set(counts) == {1, 2}


def test_a_name_whose_words_stand_in_the_text_is_not_foreign():
    assert not is_foreign("the Velmora Port Authority", "velmora is a town")
    assert is_foreign("Harmattan Front", "velmora is a town")
    assert not is_foreign("UN", "the un said")


def test_dropped_targets_leave_at_least_one(encoder, examples):
    dataset = WindowDataset(
        examples, DEFAULT, encoder, Augmentation(shuffle=False, drop=0.9, foreign=0), seed=3
    )
    counts = {len(dataset[i].window.targets) for i in range(len(dataset))}
    assert min(counts) == 1


@pytest.mark.parametrize("world", [1, 2, 3])
def test_batches_hold_every_window_and_keep_the_budget(encoder, examples, world):
    dataset = WindowDataset(examples, DEFAULT, encoder, Augmentation(), seed=7)
    samplers = [TokenBudgetBatches(dataset, 640, 5, rank, world) for rank in range(world)]
    for epoch in range(3):
        for sampler in samplers:
            sampler.set_epoch(epoch)
        shares = [list(sampler) for sampler in samplers]
        assert {len(share) for share in shares} == {len(samplers[0])}
        seen = [i for share in shares for batch in share for i in batch]
        assert set(seen) == set(range(len(dataset)))
        assert len(seen) - len(dataset) <= world * max(len(b) for s in shares for b in s)
        within = [
            len(batch) * max(dataset.lengths[i] for i in batch) <= 640
            for batch in samplers[0].epoch_batches()
        ]
        assert np.mean(within) > 0.9


def test_more_processes_than_batches_all_have_one(encoder, examples):
    dataset = WindowDataset(examples[:3], DEFAULT, encoder, Augmentation(), seed=7)
    world = 2 * TokenBudgetBatches(dataset, 640, 5).count + 1
    samplers = [TokenBudgetBatches(dataset, 640, 5, rank, world) for rank in range(world)]
    shares = [list(sampler) for sampler in samplers]
    assert [len(share) for share in shares] == [len(samplers[0])] * world == [1] * world
    assert {i for share in shares for batch in share for i in batch} == set(range(len(dataset)))


def test_an_epoch_of_few_windows_has_no_empty_batch(encoder, examples):
    shares = {"some": 0.5}
    some = [replace(example, key=f"some/{example.key}") for example in examples]
    dataset = WindowDataset(some, DEFAULT, encoder, PLAIN, seed=7, shares=shares)
    sampler = TokenBudgetBatches(dataset, 1, seed=5)  # a batch for each window
    assert sampler.count == len(dataset)
    windows = set()
    for epoch in range(8):
        sampler.set_epoch(epoch)
        batches = sampler.epoch_batches()
        assert len(batches) == sampler.count
        assert all(batches)
        assert {i for batch in batches for i in batch} == set(range(len(dataset)))
        windows.add(len(dataset))
    assert min(windows) < sampler.count


def test_loss_of_a_head_without_labels_is_zero_but_reaches_its_weights(encoder):
    example = make_example(article_with_spans(), DEFAULT, encoder, "x")
    row = WindowDataset([example], DEFAULT, encoder, PLAIN, seed=1)[0]
    batch = Collator(0)([row])
    batch["span_labels"][:] = IGNORE
    shape = batch["sentence_mask"].shape
    logits = {
        "facet_logits": torch.zeros(1, shape[1], DEFAULT.width, requires_grad=True),
        "stance_logits": torch.zeros(1, shape[1], 2, 3, requires_grad=True),
        "span_logits": torch.zeros(1, shape[2], 3, 3, requires_grad=True),
    }
    loss = total_loss(StanceOutput(**logits), batch, DEFAULT, LossWeights(heads={"stance": 2.0}))
    expected = np.log(3) + np.log(2) + 2 * np.log(3)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert logits["span_logits"].grad is not None
    assert logits["span_logits"].grad.abs().sum() == 0


def test_a_multi_facet_trains_on_bit_sets(encoder):
    schema = Schema(facets=(Facet("topic", ("war", "money", "sport"), "multi"),), tags=())
    text = "The bank paid for the war."
    article = Article(
        text, sentences=(Sentence(0, 26, text, facets={"topic": Label(("war", "money"))}),)
    )
    example = make_example(article, schema, encoder, "x")
    assert example.facets.tolist() == [[0b11]]
    batch = Collator(0)([WindowDataset([example], schema, encoder, PLAIN, seed=1)[0]])
    logits = torch.tensor([[[9.0, 9.0, -9.0]]])
    output = StanceOutput(
        facet_logits=logits,
        stance_logits=torch.zeros(1, 1, 1, 3),
        span_logits=torch.zeros(1, batch["input_ids"].shape[1], 3, 3),
    )
    assert total_loss(output, batch, schema, LossWeights()).item() < 1e-3
    counts = label_counts([example], schema)
    assert counts["topic"].tolist() == [1, 1, 0]


def test_some_windows_have_no_target(encoder, examples):
    some = Augmentation(none=0.3, drop=0, foreign=0)
    dataset = WindowDataset(examples, DEFAULT, encoder, some, seed=7)
    rows = [dataset[number] for number in range(len(dataset))]
    share = sum(not row.window.targets for row in rows) / len(rows)
    assert 0.2 < share < 0.4
    assert all(row.facets.size for row in rows)
