"""Attention rollout."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attribution.methods.attention.attention_map import AttentionMap
from attribution.methods.citation import Citation
from attribution.network.attention import Tokens, Weights


@dataclass(frozen=True)
class AttentionRollout(AttentionMap):
    """The attention weights, averaged over heads and with the identity, multiplied over layers."""

    key: ClassVar[str] = "attention_rollout"
    title: ClassVar[str] = "Attention rollout"
    unit: ClassVar[str] = "share of attention"
    power: ClassVar[int] = 0
    needs_gradients: ClassVar[bool] = False
    idea: ClassVar[str] = (
        "In every layer, a token is taken to consist half of itself and half of the tokens that it attends to. "
        "Multiplied over all layers, this is the share of each patch in what the network reads."
    )
    formula: ClassVar[str] = r"\prod_{l = L}^{1} \tfrac{1}{2}\big(\operatorname{mean}_h A^{l}_h + I\big)"
    shows: ClassVar[str] = "The patches from which attention collects what the network reads at the end."
    cannot: ClassVar[str] = "Why a class is predicted: neither the class nor the content of the patches takes part."
    passes: ClassVar[str] = "The shares of all tokens, those of class tokens included, sum to 1."
    fails: ClassVar[str] = "Class sensitivity: the map is the same for every class, by definition."
    deviation: ClassVar[str] = (
        "The paper reads one token; here those that the logits read are averaged. An attention that pools the tokens "
        "has no skip connection."
    )
    source: ClassVar[Citation] = Citation(
        ("Samira Abnar", "Willem Zuidema"), 2020, "Quantifying Attention Flow in Transformers", "2005.00928", "ACL"
    )

    @staticmethod
    def mixed(weights: Weights) -> Tensor:
        return weights.values.mean(0)

    @staticmethod
    def followed(row: Tensor, matrices: Sequence[Tensor]) -> Tensor:
        for matrix in matrices:
            mixed = row @ matrix
            row = (row + mixed) / 2 if matrix.shape[0] == matrix.shape[1] else mixed
        return row

    def notes(self, layers: Sequence[Weights], tokens: Tokens) -> tuple[str, ...]:
        return (*super().notes(layers, tokens), "The map is the same for every class.")
