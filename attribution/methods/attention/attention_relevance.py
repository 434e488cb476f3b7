"""Attention relevance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attribution.methods.attention.attention_map import AttentionMap
from attribution.methods.citation import Citation
from attribution.network.attention import Weights


@dataclass(frozen=True)
class AttentionRelevance(AttentionMap):
    """The attention weights times their positive gradients, averaged over heads and accumulated over layers."""

    key: ClassVar[str] = "attention_relevance"
    title: ClassVar[str] = "Attention relevance"
    unit: ClassVar[str] = "relevance"
    needs_gradients: ClassVar[bool] = True
    idea: ClassVar[str] = (
        "An attention weight matters for a class if raising it raises the score. Weights times their positive "
        "gradients, averaged over heads, are accumulated from layer to layer."
    )
    formula: ClassVar[str] = (
        r"R^{0} = I,\quad R^{l} = R^{l-1} + \bar A^{l} R^{l-1} \\"
        r"\bar A^{l} = \operatorname{mean}_h \max\Big(0,\ \frac{\partial F}{\partial A^{l}_h} \odot A^{l}_h\Big) "
    )
    shows: ClassVar[str] = "The patches whose attention supports the class."
    cannot: ClassVar[str] = (
        "Evidence against the class, which is cut off in every layer; and what happens outside of attention."
    )
    passes: ClassVar[str] = "The map depends on the class, unlike that of attention rollout."
    fails: ClassVar[str] = "Completeness: products of several layers' gradients are added, so the sum has no unit."
    deviation: ClassVar[str] = (
        "The paper uses the gradient of the logit; here it is the gradient of the chosen score. The rows of all tokens "
        "that the logits read are averaged, without the identity, which would add a constant where tokens are pooled."
    )
    source: ClassVar[Citation] = Citation(
        ("Hila Chefer", "Shir Gur", "Lior Wolf"),
        2021,
        "Generic Attention-model Explainability for Interpreting Bi-Modal and Encoder-Decoder Transformers",
        "2103.15679",
        "ICCV",
    )

    @staticmethod
    def mixed(weights: Weights) -> Tensor:
        assert weights.gradient is not None
        return (weights.gradient * weights.values).clamp(min=0).mean(0)

    @staticmethod
    def followed(row: Tensor, matrices: Sequence[Tensor]) -> Tensor:
        own, added = row, torch.zeros_like(row)  # apart, since relevances can be far below the precision of their sum
        for matrix in matrices:
            mixed = (own + added) @ matrix
            if matrix.shape[0] == matrix.shape[1]:
                added = added + mixed
            else:
                own, added = torch.zeros_like(mixed), mixed
        return added
