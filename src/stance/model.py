"""Takes a padded batch of windows; gives logits for facets, stance and spans.

The one definition of the model: the same `forward` trains in PyTorch and exports to ONNX.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.utils.generic import ModelOutput

from stance.schema import DEFAULT, Schema
from stance.windows import Encoding, SpecialTokens

BIO = ("O", "B", "I")


class StanceConfig(PretrainedConfig):
    """Configuration of `StanceModel`: the encoder's own config, the schema and the encoding.

    encoder: config of the encoder as plain data, with its `model_type`.
    schema: see `stance.schema.Schema.to_dict`.
    encoding: see `stance.windows.Encoding`.
    special_tokens: ids of cls, sep, pad and the two mention markers.
    head_dropout: dropout before every head.
    trained: which heads saw labels: facet names, "stance", and the span tracks.
    """

    model_type = "stance"

    def __init__(
        self,
        encoder: dict[str, Any] | None = None,
        schema: dict[str, Any] | None = None,
        encoding: dict[str, Any] | None = None,
        special_tokens: dict[str, Any] | None = None,
        head_dropout: float = 0.1,
        trained: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        self.encoder = encoder or {"model_type": "bert"}
        self.schema = schema or DEFAULT.to_dict()
        self.encoding = encoding or Encoding().to_dict()
        self.special_tokens = special_tokens or {"cls": 0, "sep": 0, "pad": 0, "mention": [0, 0]}
        self.head_dropout = head_dropout
        self.trained = trained or []
        super().__init__(**kwargs)

    def get_schema(self) -> Schema:
        """The schema as an object."""
        return Schema.from_dict(self.schema, where="config.json: schema")

    def get_encoding(self) -> Encoding:
        """The encoding as an object."""
        return Encoding(**self.encoding)

    def get_special_tokens(self) -> SpecialTokens:
        """The special tokens as an object."""
        return SpecialTokens.from_dict(self.special_tokens)


@dataclass
class StanceOutput(ModelOutput):
    """Plain logits.

    facet_logits: (B, S, sum of the facets' labels), the facets side by side in schema order.
    stance_logits: (B, S, T, number of stances).
    span_logits: (B, N, number of tracks, 3), the last axis being O, B, I.
    """

    facet_logits: Tensor | None = None
    stance_logits: Tensor | None = None
    span_logits: Tensor | None = None


class StanceModel(PreTrainedModel):
    """An encoder that reads windows once, with heads for sentences, pairs and tokens.

    A sentence is the mean of its token states, a target likewise; the stance head sees
    `[sentence; target; sentence * target]`.
    """

    config_class = StanceConfig
    base_model_prefix = "encoder"
    main_input_name = "input_ids"
    _supports_sdpa = True
    _supports_flash_attn = True
    supports_gradient_checkpointing = True

    def __init__(self, config: StanceConfig) -> None:
        super().__init__(config)
        schema = config.get_schema()
        fields = dict(config.encoder)
        encoder_config = AutoConfig.for_model(fields.pop("model_type"), **fields)
        # The encoder picks its own attention, except that export asks for the plain one.
        eager = {"attn_implementation": "eager"} if config._attn_implementation == "eager" else {}
        self.encoder = AutoModel.from_config(encoder_config, **eager)
        if getattr(self.encoder, "pooler", None) is not None:
            self.encoder.pooler = None  # never used here, and DDP wants a gradient everywhere
        width = int(encoder_config.hidden_size)
        self.dropout = nn.Dropout(config.head_dropout)
        self.facet_head = nn.Linear(width, schema.width)
        self.stance_hidden = nn.Linear(3 * width, width)
        self.stance_head = nn.Linear(width, len(schema.stance))
        self.span_head = nn.Linear(width, len(schema.spans) * len(BIO))
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        sentence_mask: Tensor,
        target_mask: Tensor,
    ) -> StanceOutput:
        """Logits for one padded batch of windows (see `stance.windows.pad` for the shapes)."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        hidden = states.last_hidden_state
        sentences = self.dropout(mean_pool(hidden, sentence_mask))
        targets = self.dropout(mean_pool(hidden, target_mask))
        span_logits = self.span_head(self.dropout(hidden))
        return StanceOutput(
            facet_logits=self.facet_head(sentences),
            stance_logits=self._stance(sentences, targets),
            span_logits=span_logits.unflatten(-1, (-1, len(BIO))),
        )

    def _stance(self, sentences: Tensor, targets: Tensor) -> Tensor:
        s = sentences.unsqueeze(2).expand(-1, -1, targets.shape[1], -1)
        t = targets.unsqueeze(1).expand(-1, sentences.shape[1], -1, -1)
        pairs = torch.cat([s, t, s * t], dim=-1)
        hidden = self.dropout(nn.functional.gelu(self.stance_hidden(pairs)))
        logits: Tensor = self.stance_head(hidden)
        return logits


def mean_pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean of token states.

    Args:
        hidden: (B, N, H).
        mask: (B, R, N), 1 where a token belongs to the row.

    Returns:
        (B, R, H); zero for an empty row.
    """
    mask = mask.to(hidden.dtype)
    return torch.bmm(mask, hidden) / mask.sum(-1, keepdim=True).clamp(min=1)
