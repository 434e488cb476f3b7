"""Baselines derived from the photo."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attribution.baselines.baseline import Baseline
from attribution.settings import Number, setting


@dataclass(frozen=True)
class PhotoMean(Baseline):
    """An image of the photo's mean colour."""

    key: ClassVar[str] = "photo_mean"
    title: ClassVar[str] = "Mean of the photo"
    shows: ClassVar[str] = (
        "Differences from the photo's mean colour count as evidence; parts close to it get little attribution."
    )

    def image(self, x: Tensor) -> Tensor:
        return x.mean((1, 2), keepdim=True).expand_as(x)


@dataclass(frozen=True)
class Blur(Baseline):
    """The photo, blurred by a Gaussian; padded with its border pixels.

    Attributes:
        sigma: Standard deviation in pixels of the network's input. Default: 20.
    """

    key: ClassVar[str] = "blur"
    title: ClassVar[str] = "Blurred photo"
    shows: ClassVar[str] = (
        "Detail counts as evidence, broad areas of colour do not: uniform areas get little attribution."
    )

    sigma: float = setting(Number("Standard deviation of the Gaussian, in pixels.", 0.5, 100.0), 20.0)

    def image(self, x: Tensor) -> Tensor:
        return blurred(x, self.sigma)


@dataclass(frozen=True)
class MaximumDistance(Baseline):
    """Each value replaced by 0 or 1, whichever is farther away (Sturmfels et al. 2020, Distill)."""

    key: ClassVar[str] = "maximum_distance"
    title: ClassVar[str] = "Maximum distance"
    shows: ClassVar[str] = (
        "No pixel equals the baseline, so none is ignored; but the baseline still resembles the photo, inverted."
    )

    def image(self, x: Tensor) -> Tensor:
        return (x < 0.5).to(x)


def blurred(x: Tensor, sigma: float) -> Tensor:
    """Blur an image by a Gaussian, truncated at three standard deviations.

    Args:
        x: (3, H, W).
        sigma: Standard deviation in pixels, above 0.
    """
    down, across = (_weights(side, sigma).to(x) for side in x.shape[1:])
    return down @ x @ across.T


def _weights(side: int, sigma: float) -> Tensor:
    """Return the blur along one side as a matrix, (side, side): blurred pixel by input pixel."""
    radius = math.ceil(3 * sigma)
    steps = torch.arange(-radius, radius + 1)
    kernel = torch.exp(-(steps.double() ** 2) / (2 * sigma**2))
    taken = (torch.arange(side)[:, None] + steps).clamp(0, side - 1)  # pad with the border pixel
    return torch.zeros(side, side, dtype=torch.float64).scatter_add_(1, taken, (kernel / kernel.sum()).expand(side, -1))
