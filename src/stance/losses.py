"""Takes logits and label tensors; gives one loss, heads without labels masked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from stance.model import StanceOutput
from stance.schema import Facet, Schema
from stance.training_data import IGNORE


@dataclass(frozen=True)
class LossWeights:
    """How much each head counts.

    heads: factor of a facet's name, "stance" or "spans"; 1 where there is none.
    labels: per facet and for "stance" a factor for every label (class weights).
    label_smoothing: for the softmax heads.
    """

    heads: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, list[float]] = field(default_factory=dict)
    label_smoothing: float = 0.0


def total_loss(
    output: StanceOutput, labels: Mapping[str, Tensor], schema: Schema, weights: LossWeights
) -> Tensor:
    """Weighted sum of the mean losses of all heads.

    Args:
        output: logits of a batch.
        labels: facet_labels (B, S, facets), stance_labels (B, S, T), span_labels (B, N, tracks).

    Returns:
        A scalar. A head without labels in the batch adds a zero that still reaches its weights, so
        that every process of a distributed run has a gradient for every parameter.
    """
    assert output.facet_logits is not None
    assert output.stance_logits is not None
    assert output.span_logits is not None
    total = output.facet_logits.sum() * 0 + output.stance_logits.sum() * 0
    total = total + output.span_logits.sum() * 0
    for number, (facet, columns) in enumerate(schema.slices()):
        logits = output.facet_logits[..., columns]
        loss = _facet_loss(logits, labels["facet_labels"][..., number], facet, weights)
        total = total + weights.heads.get(facet.name, 1.0) * loss
    stance = _cross_entropy(output.stance_logits, labels["stance_labels"], "stance", weights)
    spans = _cross_entropy(output.span_logits, labels["span_labels"], "", LossWeights())
    return (
        total + weights.heads.get("stance", 1.0) * stance + weights.heads.get("spans", 1.0) * spans
    )


def _facet_loss(logits: Tensor, labels: Tensor, facet: Facet, weights: LossWeights) -> Tensor:
    if facet.kind == "single":
        return _cross_entropy(logits, labels, facet.name, weights)
    known = labels != IGNORE
    bits = torch.arange(len(facet.labels), device=labels.device)
    wanted = (labels.clamp(min=0).unsqueeze(-1) >> bits & 1).to(logits.dtype)
    loss = nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return _mean(loss.mean(-1), known)


def _cross_entropy(logits: Tensor, labels: Tensor, name: str, weights: LossWeights) -> Tensor:
    factors = weights.labels.get(name)
    loss = nn.functional.cross_entropy(
        logits.flatten(0, -2),
        labels.flatten(),
        weight=None if factors is None else logits.new_tensor(factors),
        ignore_index=IGNORE,
        reduction="none",
        label_smoothing=weights.label_smoothing,
    )
    return _mean(loss, labels.flatten() != IGNORE)


def _mean(loss: Tensor, known: Tensor) -> Tensor:
    return (loss * known).sum() / known.sum().clamp(min=1)
