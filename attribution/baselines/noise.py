"""Random baselines. The seed is a setting, so maps are reproducible."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attribution.baselines.baseline import Baseline
from attribution.settings import Number, setting

SEED_SETTING = Number("Random seed.", 0, 1_000_000)


@dataclass(frozen=True)
class UniformNoise(Baseline):
    """Values drawn uniformly from [0, 1].

    Attributes:
        seed: Random seed. Default: 0.
    """

    key: ClassVar[str] = "uniform_noise"
    title: ClassVar[str] = "Uniform noise"
    shows: ClassVar[str] = "No colour is ignored everywhere, but the map inherits the grain of the noise."

    seed: int = setting(SEED_SETTING, 0)

    def image(self, x: Tensor) -> Tensor:
        return uniform(x, self.seed)


@dataclass(frozen=True)
class GaussianNoise(Baseline):
    """The photo plus Gaussian noise, clipped to [0, 1] (Sturmfels et al. 2020, Distill).

    Attributes:
        sigma: Standard deviation in units of pixel value. Default: 0.5.
        seed: Random seed. Default: 0.
    """

    key: ClassVar[str] = "gaussian_noise"
    title: ClassVar[str] = "Gaussian noise"
    shows: ClassVar[str] = (
        "Features stronger than the noise count as evidence; the map inherits the grain of the noise."
    )

    sigma: float = setting(Number("Standard deviation, in units of pixel value.", 0.01, 5.0), 0.5)
    seed: int = setting(SEED_SETTING, 0)

    def image(self, x: Tensor) -> Tensor:
        random = torch.Generator().manual_seed(self.seed)
        noise = torch.randn(x.shape, generator=random, dtype=torch.float64)
        return (x + self.sigma * noise.to(x)).clamp(0, 1)


def uniform(x: Tensor, seed: int) -> Tensor:
    """Return uniform noise in [0, 1] with the shape and dtype of x; a seed gives the same noise on every device."""
    return torch.rand(x.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(x)
