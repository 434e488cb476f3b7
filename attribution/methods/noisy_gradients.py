"""What SmoothGrad, its square and VarGrad share: the gradients of noisy copies of the photo."""

from abc import abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from attribution.baselines.noise import SEED
from attribution.methods.method import Computed, Cost, Method
from attribution.scorer import Scorer
from attribution.settings import Number, setting


@dataclass(frozen=True)
class NoisyGradients(Method):
    """Sums over the gradients of noisy copies; no copy and no gradient is kept.

    Attributes:
        samples: Noisy copies. Default: 25.
        sigma: Standard deviation of the noise over the range of the photo's values. Default: 0.15.
        seed: Of the random numbers. Default: 0.
    """

    group: ClassVar[str] = "gradients"

    samples: int = setting(Number("Noisy copies of the photo.", 1, 500), 25)
    sigma: float = setting(Number("Standard deviation of the noise, over the photo's range of values.", 0.0, 1.0), 0.15)
    seed: int = setting(SEED, 0)

    @staticmethod
    @abstractmethod
    def combine(total: Tensor, squares: Tensor, count: int) -> Tensor:
        """The map from the sum of the gradients and the sum of their squares, both (3, H, W)."""

    def cost(self, size: tuple[int, int]) -> Cost:
        return Cost(self.samples, self.samples)

    def compute(self, scorer: Scorer) -> Computed:
        random = torch.Generator().manual_seed(self.seed)
        scale = self.sigma * float(scorer.x.max() - scorer.x.min())
        total, squares = torch.zeros_like(scorer.x), torch.zeros_like(scorer.x)
        done = 0
        while done < self.samples:
            count = min(scorer.chunk, self.samples - done)
            # One after the other, so that the chunk size changes no noise.
            noise = torch.stack([torch.randn(scorer.x.shape, generator=random) for _ in range(count)])
            gradients, _ = scorer.gradients(torch.add(scorer.x, noise.to(scorer.x), alpha=scale))
            total += gradients.sum(0)
            squares += gradients.square_().sum(0)
            done += count
            scorer.tick(done / self.samples, partial(self.combine, total, squares, done))
        return Computed(self.combine(total, squares, done))
