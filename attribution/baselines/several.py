"""Several baselines, whose maps are averaged: what one is blind to, another sees."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from attribution.baselines.baseline import Baseline
from attribution.baselines.noise import SEED, uniform
from attribution.baselines.other_photo import sample
from attribution.photo.samples import SAMPLES
from attribution.settings import Number, setting


@dataclass(frozen=True)
class Several(Baseline):
    """More than one image; each gets all the steps of its path."""

    @property
    @abstractmethod
    def count(self) -> int: ...

    @abstractmethod
    def images(self, x: Tensor) -> Tensor: ...

    def image(self, x: Tensor) -> Tensor:
        return self.images(x)[0]


@dataclass(frozen=True)
class BlackAndWhite(Several):
    """The average of the maps from black and from white."""

    key: ClassVar[str] = "black_and_white"
    title: ClassVar[str] = "Black and white"
    shows: ClassVar[str] = "Neither darkness nor light is blind; a mid-grey pixel counts half in each."

    @property
    def count(self) -> int:
        return 2

    def images(self, x: Tensor) -> Tensor:
        return torch.stack([torch.zeros_like(x), torch.ones_like(x)])


@dataclass(frozen=True)
class NoiseDraws(Several):
    """The average over several draws of uniform noise, which smooths its grain.

    Attributes:
        draws: How many. Default: 4.
        seed: Of the first draw; the others follow. Default: 0.
    """

    key: ClassVar[str] = "noise_draws"
    title: ClassVar[str] = "Several noise draws"
    shows: ClassVar[str] = "No colour is blind, and the grain of the noise averages out."

    draws: int = setting(Number("How many draws are averaged.", 2, 50), 4)
    seed: int = setting(SEED, 0)

    @property
    def count(self) -> int:
        return self.draws

    def images(self, x: Tensor) -> Tensor:
        return torch.stack([uniform(x, self.seed + draw) for draw in range(self.draws)])


@dataclass(frozen=True)
class SamplePhotos(Several):
    """The average over sample photos: expected gradients (Erion et al. 2021, arXiv:1906.10670), each path in full.

    Attributes:
        photos: How many, in the order of `samples.SAMPLES`; the one that is most like the photo is left out, so that
            no sample is its own baseline. Default: 4.
    """

    key: ClassVar[str] = "sample_photos"
    title: ClassVar[str] = "Several photos"
    shows: ClassVar[str] = "How this photo differs from photos as they are: expected gradients."

    photos: int = setting(Number("How many sample photos are averaged.", 2, len(SAMPLES) - 1), 4)

    @property
    def count(self) -> int:
        return self.photos

    def images(self, x: Tensor) -> Tensor:
        others = torch.stack([sample(x, name) for name in SAMPLES])
        away = (_coarse(others) - _coarse(x[None])).square().mean((1, 2, 3))
        order = [number for number in range(len(others)) if number != int(away.argmin())]
        return others[order[: self.photos]]


def _coarse(images: Tensor) -> Tensor:
    """Shrink (N, 3, H, W) to 8 x 8, where a shift of the crop matters little."""
    return functional.adaptive_avg_pool2d(images, 8)
