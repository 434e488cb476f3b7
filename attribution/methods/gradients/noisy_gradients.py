"""The common part of SmoothGrad, its square and VarGrad: the gradients of noisy copies of the photo."""

from abc import abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from attribution.baselines.noise import SEED
from attribution.methods.method import Computed, Cost, Method, Tick
from attribution.network.scorer import Scorer
from attribution.settings import Number, setting

LOST = 0.5  # share of the photo's score that the noisy copies should keep


@dataclass(frozen=True)
class NoisyGradients(Method):
    """Sums over the gradients of noisy copies; no copy and no gradient is kept.

    Attributes:
        samples: Noisy copies. Default: 25.
        sigma: Standard deviation of the noise over the range of the photo's values. Default: 0.15.
        seed: Of the random numbers. Default: 0.
    """

    group: ClassVar[str] = "gradients"
    per_value: ClassVar[bool] = True
    unit: ClassVar[str] = "{score} per pixel value"

    samples: int = setting(Number("Noisy copies of the photo.", 1, 500), 25)
    sigma: float = setting(Number("Standard deviation of the noise, over the photo's range of values.", 0.0, 1.0), 0.15)
    seed: int = setting(SEED, 0)

    @staticmethod
    @abstractmethod
    def combine(first: Tensor, mean: Tensor, square: Tensor) -> Tensor:
        """Return the map, (3, H, W).

        Args:
            first: The first gradient, (3, H, W).
            mean: Of the differences from it, (3, H, W); so equal gradients have no variance by rounding.
            square: Mean of their squares, (3, H, W).
        """

    def cost(self, size: tuple[int, int]) -> Cost:
        return Cost(self.samples, self.samples)

    def compute(self, scorer: Scorer, tick: Tick) -> Computed:
        random = torch.Generator().manual_seed(self.seed)
        scale = self.sigma * float(scorer.x.max() - scorer.x.min())
        first: Tensor | None = None
        reached = 0.0  # mean score of the copies
        total, squares = torch.zeros_like(scorer.x), torch.zeros_like(scorer.x)
        for piece in scorer.pieces(self.samples):
            # One after the other, so that the chunk size changes no noise.
            noise = torch.stack([torch.randn(scorer.x.shape, generator=random) for _ in piece])
            gradients, scores = scorer.gradients(torch.add(scorer.x, noise.to(scorer.x), alpha=scale))
            reached += float(scores.sum()) / self.samples
            first = gradients[0].clone() if first is None else first
            gradients -= first
            total += gradients.sum(0)
            squares += gradients.square_().sum(0)
            tick(piece.stop / self.samples, partial(self.combine, first, total / piece.stop, squares / piece.stop))
        assert first is not None
        lost = (
            f"The noisy copies score {reached:.2g} on average, the photo {scorer.score:.2g}: in them the network "
            "hardly sees what is explained. Lower sigma."
        )
        notes = (lost,) if reached < scorer.score * LOST else ()
        return Computed(self.combine(first, total / self.samples, squares / self.samples), notes=notes)
