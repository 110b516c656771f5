"""The model over real (tiny, random) encoders of five families: shapes, masks, save and load."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from conftest import BERT_TOKENS, save_tokenizer
from hydra import compose, initialize_config_dir

from stance.config import load_schema
from stance.model import StanceConfig, StanceModel, mean_pool
from stance.schema import DEFAULT
from stance.training import build_model
from stance.windows import pad

ROBERTA_TOKENS = {
    "bos_token": "<s>",
    "pad_token": "<pad>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "mask_token": "<mask>",
}
SIZES = {
    "vocab_size": 800,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}
FAMILIES = {
    "Bert": ({}, BERT_TOKENS),
    "Roberta": ({"pad_token_id": 1, "max_position_embeddings": 300}, ROBERTA_TOKENS),
    "MPNet": ({"pad_token_id": 1, "max_position_embeddings": 300}, ROBERTA_TOKENS),
    "DebertaV2": ({"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}, BERT_TOKENS),
    "ModernBert": (
        {
            "pad_token_id": 0,
            "cls_token_id": 2,
            "sep_token_id": 3,
            "bos_token_id": 2,
            "eos_token_id": 3,
        },
        BERT_TOKENS,
    ),
}


@pytest.fixture(params=list(FAMILIES))
def encoder_folder(request, tmp_path, starter_texts):
    fields, names = FAMILIES[request.param]
    save_tokenizer(tmp_path / "encoder", starter_texts, dict(names))
    config = getattr(transformers, f"{request.param}Config")(**SIZES, **fields)
    torch.manual_seed(0)
    model = getattr(transformers, f"{request.param}Model")(config)
    model.save_pretrained(tmp_path / "encoder")
    return tmp_path / "encoder"


def build(encoder, output):
    output.mkdir(exist_ok=True)
    from conftest import REPOSITORY, tiny_overrides

    with initialize_config_dir(str(REPOSITORY / "configs"), version_base="1.3"):
        cfg = compose("train", overrides=tiny_overrides(encoder, output))
    return build_model(cfg, load_schema(cfg), output)


def batch_for(encoder, count=3):
    from stance.corpora import read_corpus

    article = read_corpus("starter", None, "dev")[0]
    spans = [(s.start, s.end) for s in article.sentences or ()]
    windows = encoder.windows(
        encoder.tokenize_sentences(article, spans),
        encoder.tokenize_texts([target.text for target in article.targets]),
    )
    return pad(windows[:count], encoder.special.pad)


def run(model, batch):
    model.eval()
    with torch.no_grad():
        return model(**{name: torch.from_numpy(value) for name, value in batch.items()})


def test_every_family_trains_saves_and_loads(encoder_folder, tmp_path):
    model, encoder, _ = build(encoder_folder, tmp_path / "out")
    batch = batch_for(encoder)
    output = run(model, batch)
    size, length = batch["input_ids"].shape
    sentences, targets = batch["sentence_mask"].shape[1], batch["target_mask"].shape[1]
    assert output.facet_logits.shape == (size, sentences, DEFAULT.width)
    assert output.stance_logits.shape == (size, sentences, targets, 3)
    assert output.span_logits.shape == (size, length, 3, 3)

    model.save_pretrained(tmp_path / "saved")
    assert {path.name for path in (tmp_path / "saved").iterdir()} == {
        "config.json",
        "model.safetensors",
    }
    again = run(StanceModel.from_pretrained(tmp_path / "saved"), batch)
    for one, other in zip(output.to_tuple(), again.to_tuple(), strict=True):
        torch.testing.assert_close(one, other)

    model.train()
    out = model(**{name: torch.from_numpy(value) for name, value in batch.items()})
    (out.facet_logits.sum() + out.stance_logits.sum() + out.span_logits.sum()).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert without == []


def test_the_pretrained_weights_are_in_the_model(tiny_encoder, tmp_path):
    model, _, _ = build(tiny_encoder, tmp_path)
    pretrained = transformers.AutoModel.from_pretrained(tiny_encoder)
    wanted = pretrained.embeddings.word_embeddings.weight
    torch.testing.assert_close(
        model.encoder.embeddings.word_embeddings.weight[: len(wanted)], wanted
    )


def test_padding_does_not_reach_the_logits(tiny_encoder, tmp_path):
    model, encoder, _ = build(tiny_encoder, tmp_path)
    batch = batch_for(encoder)
    together = run(model, batch).facet_logits.numpy()
    length = int(batch["attention_mask"][0].sum())
    alone = {
        "input_ids": batch["input_ids"][:1, :length],
        "attention_mask": batch["attention_mask"][:1, :length],
        "sentence_mask": batch["sentence_mask"][:1, :, :length],
        "target_mask": batch["target_mask"][:1, :, :length],
    }
    np.testing.assert_allclose(run(model, alone).facet_logits.numpy(), together[:1], atol=1e-5)


def test_mean_pool_is_the_mean_of_the_masked_tokens():
    hidden = torch.arange(12.0).reshape(1, 4, 3)
    mask = torch.tensor([[[1, 1, 0, 0], [0, 0, 0, 0]]])
    pooled = mean_pool(hidden, mask)
    torch.testing.assert_close(pooled[0, 0], hidden[0, :2].mean(0))
    assert (pooled[0, 1] == 0).all()


def test_config_round_trip(tmp_path):
    config = StanceConfig(encoder={"model_type": "bert", **SIZES}, trained=["stance"])
    config.save_pretrained(tmp_path)
    again = StanceConfig.from_pretrained(tmp_path)
    assert again.get_schema() == DEFAULT
    assert again.get_encoding() == config.get_encoding()
    assert again.trained == ["stance"]
