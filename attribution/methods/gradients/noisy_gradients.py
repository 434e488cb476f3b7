"""Base class of SmoothGrad, SmoothGrad squared and VarGrad: gradients of noisy copies of the photo."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from attribution.baselines.noise import SEED_SETTING
from attribution.methods.method import Computed, Cost, Method, Tick
from attribution.network.scorer import Scorer
from attribution.refusal import Remedy
from attribution.settings import Number, setting, write

MIN_KEPT_SCORE = 0.5  # mean score of the noisy copies, relative to the photo's, below which a note warns


@dataclass(frozen=True)
class NoisyGradients(Method):
    """Statistics of the gradients of noisy copies, accumulated without storing them.

    Attributes:
        samples: Number of noisy copies. Default: 25.
        sigma: Standard deviation of the noise, relative to the photo's range of values. Default: 0.15.
        seed: Random seed. Default: 0.
    """

    group: ClassVar[str] = "gradients"
    per_value: ClassVar[bool] = True
    unit: ClassVar[str] = "{score} per pixel value"

    samples: int = setting(Number("Number of noisy copies of the photo.", 1, 500), 25)
    sigma: float = setting(
        Number("Standard deviation of the noise, relative to the photo's range of values.", 0.0, 1.0), 0.15
    )
    seed: int = setting(SEED_SETTING, 0)

    @staticmethod
    @abstractmethod
    def combine(first: Tensor, mean: Tensor, square: Tensor) -> Tensor:
        """Return the map, (3, H, W).

        Args:
            first: The first gradient, (3, H, W).
            mean: Mean difference from the first gradient, (3, H, W); exactly zero if all gradients are equal.
            square: Mean squared difference from the first gradient, (3, H, W).
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
            # Drawn one by one, so that the noise does not depend on the chunk size.
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
            f"The noisy copies score {reached:.2g} on average, the photo {scorer.score:.2g}: the network hardly "
            "recognises the explained class in them; lower sigma."
        )
        values = self.combine(first, total / self.samples, squares / self.samples)
        if reached >= scorer.score * MIN_KEPT_SCORE:
            return Computed(values)
        lower = round(self.sigma / 2, 2)
        remedy = Remedy(f"Lower sigma to {lower:g}", method=write(replace(self, sigma=lower)))
        return Computed(values, notes=(lost,), remedies=(remedy,) if lower < self.sigma else ())
