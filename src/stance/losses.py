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
class SoftLoss:
    """How soft labels count: the probabilities of a larger model, for the facets and for stance.

    Knowledge distillation: Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network
    (2015), sections 2 and 3.

    weight: of the cross-entropy against them, beside the gold loss of the same head; 0: none.
    temperature: of both distributions. Above 1 the small probabilities count for more.
    gold: factor of the gold loss where there is a soft label too.
    """

    weight: float = 0.0
    temperature: float = 1.0
    gold: float = 1.0


@dataclass(frozen=True)
class LossWeights:
    """How much each head counts.

    heads: factor of a facet's name, "stance" or "spans"; 1 where there is none.
    labels: per facet and for "stance" a factor for every label (class weights).
    label_smoothing: for the softmax heads.
    soft: of soft labels; class weights and smoothing are for gold labels alone.
    """

    heads: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, list[float]] = field(default_factory=dict)
    label_smoothing: float = 0.0
    soft: SoftLoss = field(default_factory=SoftLoss)


def total_loss(
    output: StanceOutput, labels: Mapping[str, Tensor], schema: Schema, weights: LossWeights
) -> Tensor:
    """Weighted sum of the mean losses of all heads.

    Args:
        output: logits of a batch.
        labels: facet_labels (B, S, facets), stance_labels (B, S, T), span_labels (B, N, tracks),
            soft_facets (B, S, width), soft_stance (B, S, T, stances).

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
        loss = _head_loss(
            output.facet_logits[..., columns],
            labels["facet_labels"][..., number],
            labels["soft_facets"][..., columns],
            facet,
            weights,
        )
        total = total + weights.heads.get(facet.name, 1.0) * loss
    stance = _head_loss(
        output.stance_logits,
        labels["stance_labels"],
        labels["soft_stance"],
        Facet("stance", schema.stance),
        weights,
    )
    spans = _cross_entropy(output.span_logits, labels["span_labels"], "", LossWeights())
    return (
        total
        + weights.heads.get("stance", 1.0) * stance
        + weights.heads.get("spans", 1.0) * _mean(spans, labels["span_labels"] != IGNORE)
    )


def _head_loss(
    logits: Tensor, labels: Tensor, probs: Tensor, facet: Facet, weights: LossWeights
) -> Tensor:
    """The loss of gold labels (...) and of soft ones (..., labels) of one facet, or of stance."""
    loss = _gold_loss(logits, labels, facet, weights)
    known, soft = labels != IGNORE, weights.soft
    if not soft.weight:
        return _mean(loss, known)
    both = ~probs.isnan().any(-1)
    gold = _mean(torch.where(both, soft.gold * loss, loss), known)
    return gold + soft.weight * _mean(_soft_loss(logits, probs, facet, soft.temperature), both)


def _gold_loss(logits: Tensor, labels: Tensor, facet: Facet, weights: LossWeights) -> Tensor:
    if facet.kind == "single":
        return _cross_entropy(logits, labels, facet.name, weights)
    bits = torch.arange(len(facet.labels), device=labels.device)
    wanted = (labels.clamp(min=0).unsqueeze(-1) >> bits & 1).to(logits.dtype)
    loss = nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return loss.mean(-1)


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
    return loss.view(labels.shape)


def _soft_loss(logits: Tensor, probs: Tensor, facet: Facet, temperature: float) -> Tensor:
    """Cross-entropy (...) of two distributions at a temperature; of any finite value at NaN.

    Probabilities to the power of 1/T, normalised, are those of logits divided by T. The factor T²
    keeps gradients as large as at temperature 1 (Hinton et al. 2015, section 2).
    """
    logits, probs = logits / temperature, probs.nan_to_num(0.5)
    wanted = probs ** (1 / temperature)
    if facet.kind == "single":
        wanted = wanted / wanted.sum(-1, keepdim=True)
        loss = -(wanted * logits.log_softmax(-1)).sum(-1)
    else:
        wanted = wanted / (wanted + (1 - probs) ** (1 / temperature))
        loss = nn.functional.binary_cross_entropy_with_logits(
            logits, wanted, reduction="none"
        ).mean(-1)
    return temperature**2 * loss


def _mean(loss: Tensor, known: Tensor) -> Tensor:
    return (loss * known).sum() / known.sum().clamp(min=1)
