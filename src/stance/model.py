"""Takes a padded batch of windows; gives logits for facets, stance and spans.

The one definition of the model: the same `forward` trains in PyTorch and exports to ONNX.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel, initialization
from transformers.utils.generic import ModelOutput

from stance.errors import StanceError
from stance.int8_weights import INT8_FILE, read_weights
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
        return Encoding.from_dict(self.encoding)

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

    A facet is read from the mean of a sentence's token states, stance by `StanceHead`, spans from
    each token.
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
        self.stance_head = StanceHead(width, len(schema.stance), config.head_dropout)
        self.span_head = nn.Linear(width, len(schema.spans) * len(BIO))
        self.post_init()  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Encoders start as their own class says, the linear layers of the stance head by Glorot.

        The usual deviation of 0.02 is far too small for it: two layers of it pass on next to no
        gradient, so that stance was hardly learned while the facets were.
        """
        super()._init_weights(module)  # type: ignore[no-untyped-call]
        if isinstance(module, StanceHead):
            for layer in module.children():
                if isinstance(layer, nn.Linear):
                    initialization.xavier_uniform_(layer.weight)

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls, folder: str | Path | None, *args: Any, **kwargs: Any
    ) -> StanceModel:
        """Load as transformers does; a folder without safetensors is read from its 8-bit weights.

        Raises:
            StanceError: the 8-bit weights are not those of such a model.
            MissingExtra: they are needed, and `onnx` is not installed.
        """
        path = Path(folder or "") / INT8_FILE
        if folder is None or not path.is_file() or any(path.parent.glob("*.safetensors")):
            return super().from_pretrained(folder, *args, **kwargs)
        config = kwargs.pop("config", None) or StanceConfig.from_pretrained(folder)
        state = {name: torch.tensor(values) for name, values in read_weights(path).items()}
        with torch.device("meta"):
            missing = cls(config).state_dict().keys() - state.keys()
        if missing:
            raise StanceError(f"{path}: it has no weights {min(missing)!r}")
        model = super().from_pretrained(None, *args, config=config, state_dict=state, **kwargs)
        model.name_or_path = model.config.name_or_path = str(folder)
        return model

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
        span_logits = self.span_head(self.dropout(hidden))
        return StanceOutput(
            facet_logits=self.facet_head(sentences),
            stance_logits=self.stance_head(hidden, sentence_mask, target_mask),
            span_logits=span_logits.view(*span_logits.shape[:2], -1, len(BIO)),
        )


class StanceHead(nn.Module):
    """Stance of every sentence toward every target, from the token states of one window.

    A pair is `[s; t; s*t; a; a*t]`: s and t are the means of the sentence's and the target's
    tokens, a is what the target finds in the sentence by multi-head attention over its tokens,
    since one mean has to serve all targets (see docs/design.md).
    """

    def __init__(self, width: int, labels: int, dropout: float) -> None:
        super().__init__()
        self.heads = next(n for n in (6, 4, 2, 1) if width % n == 0)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.sentence_norm = nn.LayerNorm(width)
        self.target_norm = nn.LayerNorm(width)
        self.found_norm = nn.LayerNorm(width)
        self.hidden = nn.Linear(5 * width, width)
        self.output = nn.Linear(width, labels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, sentence_mask: Tensor, target_mask: Tensor) -> Tensor:
        """Logits (B, S, T, labels) from states (B, N, H) and masks (B, S, N) and (B, T, N)."""
        sentences = self.sentence_norm(mean_pool(hidden, sentence_mask))
        targets = self.target_norm(mean_pool(hidden, target_mask))
        found = self.found_norm(self.find(hidden, sentence_mask, targets))
        s = sentences.unsqueeze(2).expand_as(found)
        t = targets.unsqueeze(1).expand_as(found)
        pairs = self.dropout(torch.cat([s, t, s * t, found, found * t], dim=-1))
        logits: Tensor = self.output(self.dropout(nn.functional.gelu(self.hidden(pairs))))
        return logits

    def find(self, hidden: Tensor, sentence_mask: Tensor, targets: Tensor) -> Tensor:
        """What each target (B, T, H) attends to inside each sentence: (B, S, T, H)."""
        query = self._split(self.query(targets))
        key = self._split(self.key(hidden))
        value = self._split(self.value(hidden))
        scores = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5)
        outside = (1 - sentence_mask.to(scores.dtype)) * -1e4
        weights = (scores.unsqueeze(2) + outside[:, None, :, None]).softmax(-1)
        found = weights @ value.unsqueeze(2)  # (B, heads, S, T, H / heads)
        found = found.permute(0, 2, 3, 1, 4)
        pairs: Tensor = found.reshape(*found.shape[:3], self.query.out_features)
        return pairs

    def _split(self, states: Tensor) -> Tensor:
        """(B, R, H) to (B, heads, R, H / heads)."""
        size = states.shape[-1] // self.heads
        return states.view(states.shape[0], -1, self.heads, size).transpose(1, 2)


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
