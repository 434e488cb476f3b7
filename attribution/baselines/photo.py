"""Baselines made from the photo itself."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attribution.baselines.baseline import Baseline
from attribution.settings import Number, setting


@dataclass(frozen=True)
class PhotoMean(Baseline):
    """The photo's mean colour everywhere."""

    key: ClassVar[str] = "photo_mean"
    title: ClassVar[str] = "Mean of the photo"
    shows: ClassVar[str] = "What differs from the photo's mean colour is evidence; parts in that colour get little."

    def image(self, x: Tensor) -> Tensor:
        return x.mean((1, 2), keepdim=True).expand_as(x)


@dataclass(frozen=True)
class Blur(Baseline):
    """The photo, blurred by a Gaussian; beyond its edges the last pixels are repeated.

    Attributes:
        sigma: Standard deviation in pixels of the network's input. Default: 20.
    """

    key: ClassVar[str] = "blur"
    title: ClassVar[str] = "Blurred photo"
    shows: ClassVar[str] = "Detail is evidence, broad colour is not: even surfaces get little attribution."

    sigma: float = setting(Number("Standard deviation of the Gaussian, in pixels.", 0.5, 100.0), 20.0)

    def image(self, x: Tensor) -> Tensor:
        return blurred(x, self.sigma)


@dataclass(frozen=True)
class MaximumDistance(Baseline):
    """For every value the end of [0, 1] that is farther away (Sturmfels et al. 2020, Distill)."""

    key: ClassVar[str] = "maximum_distance"
    title: ClassVar[str] = "Maximum distance"
    shows: ClassVar[str] = "No pixel equals it, so none is blind; but it still looks like the photo, inverted."

    def image(self, x: Tensor) -> Tensor:
        return (x < 0.5).to(x)


def blurred(x: Tensor, sigma: float) -> Tensor:
    """Blur by a Gaussian with standard deviation sigma in pixels, cut at three of them.

    Args:
        x: (3, H, W).
        sigma: Above 0.
    """
    down, across = (_weights(side, sigma).to(x) for side in x.shape[1:])
    return down @ x @ across.T


def _weights(side: int, sigma: float) -> Tensor:
    """Return the weight of each pixel in each blurred one along one side, (side, side)."""
    radius = math.ceil(3 * sigma)
    steps = torch.arange(-radius, radius + 1)
    kernel = torch.exp(-(steps.double() ** 2) / (2 * sigma**2))
    taken = (torch.arange(side)[:, None] + steps).clamp(0, side - 1)  # beyond the edge the last one again
    return torch.zeros(side, side, dtype=torch.float64).scatter_add_(1, taken, (kernel / kernel.sum()).expand(side, -1))
