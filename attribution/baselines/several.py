"""Sets of baselines whose maps are averaged: each covers the blind spots of the others."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from attribution.baselines.baseline import Baseline
from attribution.baselines.noise import SEED_SETTING, uniform
from attribution.baselines.other_photo import sample
from attribution.photo.samples import SAMPLES
from attribution.settings import Number, setting


@dataclass(frozen=True)
class Several(Baseline):
    """A set of images; each has its own path with the full number of steps."""

    @property
    @abstractmethod
    def count(self) -> int: ...

    @abstractmethod
    def images(self, x: Tensor) -> Tensor: ...

    def image(self, x: Tensor) -> Tensor:
        return self.images(x)[0]


@dataclass(frozen=True)
class BlackAndWhite(Several):
    """A black and a white image."""

    key: ClassVar[str] = "black_and_white"
    title: ClassVar[str] = "Black and white"
    shows: ClassVar[str] = (
        "Neither dark nor bright pixels are ignored; mid-grey pixels get half the distance in each map."
    )

    @property
    def count(self) -> int:
        return 2

    def images(self, x: Tensor) -> Tensor:
        return torch.stack([torch.zeros_like(x), torch.ones_like(x)])


@dataclass(frozen=True)
class NoiseDraws(Several):
    """Several draws of uniform noise, whose grain averages out.

    Attributes:
        draws: Number of draws. Default: 4.
        seed: Random seed of the first draw; each further draw adds 1. Default: 0.
    """

    key: ClassVar[str] = "noise_draws"
    title: ClassVar[str] = "Several noise draws"
    shows: ClassVar[str] = "No colour is ignored, and the grain of the noise averages out."

    draws: int = setting(Number("Number of draws to average.", 2, 50), 4)
    seed: int = setting(SEED_SETTING, 0)

    @property
    def count(self) -> int:
        return self.draws

    def images(self, x: Tensor) -> Tensor:
        return torch.stack([uniform(x, self.seed + draw) for draw in range(self.draws)])


@dataclass(frozen=True)
class SamplePhotos(Several):
    """Several sample photos: expected gradients (Erion et al. 2021, arXiv:1906.10670), with a full path from each.

    Attributes:
        photos: Number of photos, in the order of `samples.SAMPLES`; the one most similar to the photo is excluded, so
            that no sample is its own baseline. Default: 4.
    """

    key: ClassVar[str] = "sample_photos"
    title: ClassVar[str] = "Several photos"
    shows: ClassVar[str] = "How this photo differs from typical photos (expected gradients)."

    photos: int = setting(Number("Number of sample photos to average.", 2, len(SAMPLES) - 1), 4)

    @property
    def count(self) -> int:
        return self.photos

    def images(self, x: Tensor) -> Tensor:
        others = torch.stack([sample(x, name) for name in SAMPLES])
        away = (_coarse(others) - _coarse(x[None])).square().mean((1, 2, 3))
        order = [number for number in range(len(others)) if number != int(away.argmin())]
        return others[order[: self.photos]]


def _coarse(images: Tensor) -> Tensor:
    """Downsample (N, 3, H, W) to 8 x 8 pixels, so that small shifts of the crop matter little."""
    return functional.adaptive_avg_pool2d(images, 8)
