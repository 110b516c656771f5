"""Windows: every sentence owned once, everything within the budget, offsets into the article."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import BERT_TOKENS, save_tokenizer
from hypothesis import given
from hypothesis import strategies as st

from stance.errors import StanceError
from stance.records import Article, Target
from stance.windows import Encoding, SpecialTokens, Tokens, WindowEncoder, pad

SPECIAL = SpecialTokens(cls=2, sep=3, pad=0, mention=(800, 801))


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory, starter_texts):
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(folder, starter_texts, BERT_TOKENS)
    return folder


def encoder_for(folder, **fields) -> WindowEncoder:
    return WindowEncoder.from_folder(folder, SPECIAL, Encoding(**fields))


def tokens(length: int) -> Tokens:
    return Tokens(list(range(10, 10 + length)), [(i, i + 1) for i in range(length)])


class Bare(WindowEncoder):
    """A window encoder for ready tokens: packing needs no tokenizer."""

    def __init__(self, **fields) -> None:
        self.special = SPECIAL
        self.encoding = Encoding(**fields)


lengths = st.lists(st.integers(1, 90), max_size=40)


@given(
    sentences=lengths,
    targets=st.lists(st.integers(1, 40), max_size=12),
    budget=st.integers(24, 200),
    context=st.integers(0, 3),
)
def test_every_sentence_is_owned_once_in_every_target_group(sentences, targets, budget, context):
    encoder = Bare(max_tokens=budget, context=context)
    windows = encoder.windows([tokens(n) for n in sentences], [tokens(n) for n in targets])
    assert all(len(window) <= max(budget, 400) for window in windows)
    owned = [
        (number, tuple(t for t, _ in window.targets))
        for window in windows
        for number, _, own in window.sentences
        if own
    ]
    assert len(set(owned)) == len(owned)
    groups = {group for _, group in owned}
    assert sorted(t for group in groups for t in group) == list(range(len(targets) if owned else 0))
    for group in groups:
        assert [n for n, g in owned if g == group] == list(range(len(sentences)))
    first = [n for w in windows if w.first_group for n, _, own in w.sentences if own]
    assert first == list(range(len(sentences)))


@given(sentences=lengths, budget=st.integers(24, 200))
def test_truncated_marks_exactly_the_sentences_that_were_cut(sentences, budget):
    encoder = Bare(max_tokens=budget, context=1)
    windows = encoder.windows([tokens(n) for n in sentences], [])
    seen = {
        number: end - start
        for window in windows
        for number, (start, end), own in window.sentences
        if own
    }
    cut = frozenset().union(*(window.truncated for window in windows))
    assert cut == {number for number, length in seen.items() if length < sentences[number]}
    assert all(length >= 1 for length in seen.values())


def test_the_sentences_before_are_context_and_their_ends_are_kept():
    encoder = Bare(max_tokens=60, context=1, max_context_tokens=10)
    windows = encoder.windows([tokens(20) for _ in range(4)], [])
    assert [[(n, end - start, own) for n, (start, end), own in w.sentences] for w in windows] == [
        [(0, 20, True), (1, 20, True)],
        [(1, 10, False), (2, 20, True), (3, 20, True)],
    ]
    start, end = windows[1].sentences[0][1]
    assert [*map(tuple, windows[1].offsets[start:end])] == tokens(20).offsets[-10:]


def test_the_form_is_cls_targets_sentences_each_closed_by_sep(tokenizer_folder):
    encoder = encoder_for(tokenizer_folder)
    article = Article("He lied. She left.", targets=(Target("Nadir Aslani"), Target("Velmora")))
    sentences = encoder.tokenize_sentences(article, [(0, 8), (9, 18)])
    targets = encoder.tokenize_texts([target.text for target in article.targets])
    (window,) = encoder.windows(sentences, targets)
    assert window.input_ids[0] == SPECIAL.cls
    assert window.input_ids.count(SPECIAL.sep) == 4
    for number, (start, end), own in window.sentences:
        assert own
        assert window.input_ids[start:end] == sentences[number].ids
        assert window.input_ids[end] == SPECIAL.sep
    for number, positions in window.targets:
        assert [window.input_ids[p] for p in positions] == targets[number].ids
    assert (window.offsets[: window.sentences[0][1][0]] == -1).all()


def test_offsets_lead_back_into_the_article(tokenizer_folder):
    text = "Zoë wept. “Never,” 🙂 said Ås."
    encoder = encoder_for(tokenizer_folder)
    (window,) = encoder.windows(encoder.tokenize_sentences(Article(text), [(0, 9), (10, 29)]), [])
    for number, (start, end), _ in window.sentences:
        covered = window.offsets[start:end]
        assert text[covered[0, 0] : covered[-1, 1]] == ["Zoë wept.", "“Never,” 🙂 said Ås."][number]


def test_mentions_are_marked_and_belong_to_their_target(tokenizer_folder):
    text = "The mayor praised him."
    article = Article(
        text, targets=(Target("Orin Vale", mentions=((18, 21),)), Target("the mayor"))
    )
    encoder = encoder_for(tokenizer_folder)
    (sentence,) = encoder.tokenize_sentences(article, [(0, len(text))])
    opening, closing = SPECIAL.mention
    marked = sentence.ids[sentence.ids.index(opening) : sentence.ids.index(closing) + 1]
    assert encoder.tokenizer.decode(marked[1:-1]) == "him"
    targets = encoder.tokenize_texts(["Orin Vale", "the mayor"])
    (window,) = encoder.windows([sentence], targets)
    first, second = (positions for _, positions in window.targets)
    assert opening in [window.input_ids[p] for p in first]
    assert opening not in [window.input_ids[p] for p in second]


def test_text_that_looks_like_a_special_token_is_plain_text(tokenizer_folder):
    encoder = encoder_for(tokenizer_folder)
    (plain,) = encoder.tokenize_texts(["[SEP] <mention>"])
    assert not set(plain.ids) & {SPECIAL.cls, SPECIAL.sep, SPECIAL.pad, *SPECIAL.mention}


def test_many_targets_are_grouped_and_only_the_first_group_counts_for_facets():
    encoder = Bare(max_tokens=100, max_wide_tokens=100)
    windows = encoder.windows([tokens(10)] * 3, [tokens(8)] * 50)
    assert sorted({t for window in windows for t, _ in window.targets}) == list(range(50))
    assert all(sum(len(p) + 1 for _, p in w.targets) <= 40 for w in windows)
    assert {t for w in windows if w.first_group for t, _ in w.targets} == {0, 1, 2, 3}


def test_a_window_grows_with_targets_beyond_their_share_and_keeps_its_sentences():
    encoder = Bare(max_tokens=100, max_wide_tokens=150, wide_sentences=0, wide_context=None)
    sentences = [tokens(10)] * 9
    few, more, most = (encoder.windows(sentences, [tokens(9)] * n) for n in (4, 9, 10))
    assert [len(w.sentences) for w in more] == [len(w.sentences) for w in few]
    assert max(map(len, few)) <= 100
    assert 100 < max(map(len, more)) <= 150
    assert {len(w.targets) for w in more} == {9}
    assert {len(w.targets) for w in most} == {9, 1}


def test_sentences_behind_many_targets_get_room_in_proportion_so_that_few_windows_repeat_them():
    sentences, targets = [tokens(9)] * 40, [tokens(9)] * 9
    tight = Bare(max_tokens=100, max_wide_tokens=150, wide_sentences=0)
    wide = Bare(max_tokens=100, max_wide_tokens=150, wide_sentences=2)
    capped = Bare(max_tokens=100, max_wide_tokens=150, wide_sentences=2, max_window_tokens=200)
    sizes = [[len(w) for w in e.windows(sentences, targets)] for e in (tight, wide, capped)]
    assert 260 < max(sizes[1]) <= 1 + 90 * 3
    assert 190 < max(sizes[2]) <= 200
    assert sum(sizes[1]) < sum(sizes[2]) < sum(sizes[0])
    few = [tokens(9)] * 4
    assert [len(w) for w in tight.windows(sentences, few)] == [
        len(w) for w in wide.windows(sentences, few)
    ]


def test_a_window_behind_many_targets_reads_less_context():
    sentences = [tokens(9)] * 40
    limits = (None, 0, 1)
    encoders = [Bare(max_tokens=100, context=2, wide_context=limit) for limit in limits]
    for count, expected in ((4, [2, 2, 2]), (9, [2, 0, 1])):
        cut = [encoder.windows(sentences, [tokens(9)] * count) for encoder in encoders]
        assert [
            {sum(not owned for _, _, owned in w.sentences) for w in windows[1:]} for windows in cut
        ] == [{number} for number in expected]
        for windows in cut:
            assert [n for w in windows for n, _, owned in w.sentences if owned] == list(range(40))
    assert sum(map(len, cut[1])) < sum(map(len, cut[2])) < sum(map(len, cut[0]))
    alone = Bare(max_tokens=100, context=0, wide_context=1)
    assert all(
        owned for w in alone.windows(sentences, [tokens(9)] * 9) for *_, owned in w.sentences
    )


def test_the_encoding_of_an_older_model_cuts_as_it_did():
    older = {
        n: v
        for n, v in Encoding().to_dict().items()
        if n not in ("wide_sentences", "max_window_tokens", "wide_context")
    }
    assert Encoding.from_dict(older).wide_sentences == 0
    assert Encoding.from_dict(older).wide_context is None
    assert Encoding.from_dict(Encoding().to_dict()) == Encoding()


def test_no_sentences_no_windows_and_no_targets_one_empty_group():
    encoder = Bare()
    assert encoder.windows([], [tokens(3)]) == []
    (window,) = encoder.windows([tokens(5)], [])
    assert window.targets == []


def test_pad_gives_the_masks_of_the_graph():
    encoder = Bare(max_tokens=64)
    windows = encoder.windows([tokens(20), tokens(30)], [tokens(4)])
    batch = pad(windows, SPECIAL.pad)
    size, length = batch["input_ids"].shape
    assert size == len(windows)
    assert length == max(len(window) for window in windows)
    assert batch["sentence_mask"].shape[0::2] == (size, length)
    for row, window in enumerate(windows):
        assert batch["attention_mask"][row].sum() == len(window)
        for s, (_, (start, end), _) in enumerate(window.sentences):
            assert np.flatnonzero(batch["sentence_mask"][row, s]).tolist() == list(
                range(start, end)
            )


def test_an_encoding_without_room_is_refused():
    with pytest.raises(StanceError, match="no room"):
        Encoding(max_tokens=8)
    with pytest.raises(StanceError, match="no room"):
        Encoding(target_share=1.0)


def test_sentences_of_a_real_article_are_all_owned(tokenizer_folder):
    from stance.corpora import read_corpus

    encoder = encoder_for(tokenizer_folder)
    for article in read_corpus("starter", None, "dev"):
        spans = [(s.start, s.end) for s in article.sentences or ()]
        windows = encoder.windows(
            encoder.tokenize_sentences(article, spans),
            encoder.tokenize_texts([target.text for target in article.targets]),
        )
        owned = [n for w in windows if w.first_group for n, _, own in w.sentences if own]
        assert owned == list(range(len(spans)))
