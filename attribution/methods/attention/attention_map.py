"""Base class of the attention maps: attention weights, followed from the logits down to the image's tokens."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from attribution.methods.method import Computed, Cost, Method, Tick, per_pixel
from attribution.network.attention import Tokens, Weights
from attribution.network.model import Model
from attribution.network.scorer import Scorer
from attribution.refusal import Refusal


class AttentionMap(Method):
    """Matrices, one per layer, multiplied; the rows that the logits read are averaged and shown as an image.

    Attributes:
        needs_gradients: True if the matrices depend on the gradient of the score.
    """

    group: ClassVar[str] = "attention"
    shares_forward: ClassVar[bool] = True
    needs_gradients: ClassVar[bool]

    @staticmethod
    @abstractmethod
    def mixed(weights: Weights) -> Tensor:
        """Return how much each output of a layer takes from each token, (T, S), from (heads, T, S)."""

    @staticmethod
    @abstractmethod
    def followed(row: Tensor, matrices: Sequence[Tensor]) -> Tensor:
        """Return the share of each token below the first layer, (T,).

        Args:
            row: The share of each output of the last layer in what the logits read.
            matrices: As returned by `mixed`, the last layer first. One that is not square pools the tokens: its queries
                are no tokens, and it has no skip connection.
        """

    def cost(self, size: tuple[int, int]) -> Cost:
        return Cost(1, int(self.needs_gradients))

    def refusal(self, model: Model) -> str | None:
        try:
            model.tokens_at(model.preprocessing.size)
        except Refusal as refusal:
            return str(refusal)
        return None

    def compute(self, scorer: Scorer, tick: Tick) -> Computed:
        tokens = scorer.model.tokens_at((scorer.x.shape[1], scorer.x.shape[2]))
        layers = scorer.attention(gradients=self.needs_gradients)
        cells = tokens.cells(self.follow(layers, tokens)).to(scorer.x)
        heat = functional.interpolate(cells[None, None], scorer.x.shape[1:], mode="bilinear")[0, 0]
        return Computed(per_pixel(heat), notes=self.notes(layers, tokens))

    def follow(self, layers: Sequence[Weights], tokens: Tokens) -> Tensor:
        """Return the share of each token in what the logits read, (T,), in float64 on the CPU."""
        matrices = [self.mixed(each).cpu().double() for each in layers]
        row = torch.zeros(len(matrices[-1]), dtype=torch.float64)
        row[list(tokens.read)] = 1 / len(tokens.read)
        return self.followed(row, matrices[::-1])

    def notes(self, layers: Sequence[Weights], tokens: Tokens) -> tuple[str, ...]:
        """Return notes about the map: the layers, the tokens and what the logits read."""
        outputs, count = layers[-1].values.shape[1:]
        read = f"{len(tokens.read)} of {count} tokens" if outputs == count else f"{count} tokens through the last one"
        grid = f"{tokens.layer.height} x {tokens.layer.width}"
        layered = "1 layer" if len(layers) == 1 else f"{len(layers)} layers"
        return (f"{layered} of attention, {grid} tokens of the image; the logits depend on {read}.",)
