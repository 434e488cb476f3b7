"""Blur integrated gradients."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.baselines.photo import blurred
from attribution.methods.citation import Citation
from attribution.methods.method import Computed, Cost, Method, Tick
from attribution.network.scorer import Scorer
from attribution.settings import Number, setting

MIN_SIGMA = 0.2  # pixels; a Gaussian with a smaller standard deviation changes nothing


@dataclass(frozen=True)
class BlurIntegratedGradients(Method):
    """The gradient integrated along a path from a blurred photo to the sharp one.

    Attributes:
        steps: Gradient evaluations along the path. Default: 50.
        sigma: Standard deviation of the blur at which the path starts, in pixels. Default: 50.
    """

    key: ClassVar[str] = "blur_integrated_gradients"
    title: ClassVar[str] = "Blur integrated gradients"
    group: ClassVar[str] = "paths"
    signed: ClassVar[bool] = True
    idea: ClassVar[str] = (
        "The path sharpens a blurred photo step by step, and each gradient is multiplied by the change in that step. "
        "All values stay within the photo's range, and no baseline has to be chosen."
    )
    formula: ClassVar[str] = (
        r"-\int_0^{\sigma} \frac{\partial F}{\partial x}\big(L(x, s)\big) \odot "
        r"\frac{\partial L(x, s)}{\partial s}\, ds"
    )
    shows: ClassVar[str] = "How the score difference from the blurred photo is distributed over the pixels."
    cannot: ClassVar[str] = "Uniform areas: pixels that blurring does not change get zero."
    passes: ClassVar[str] = "Completeness: the values sum to the score difference from the blurred photo."
    fails: ClassVar[str] = "Even if the network relies on broad areas of colour, the map highlights edges."
    deviation: ClassVar[str] = (
        "The photo is padded with its border pixels; the paper pads with black, which creates artificial edges. "
        "Steps are finer where the blur is small, and gradients are evaluated at the midpoint of each step."
    )
    source: ClassVar[Citation] = Citation(
        ("Shawn Xu", "Subhashini Venugopalan", "Mukund Sundararajan"),
        2020,
        "Attribution in Scale and Space",
        "2004.03383",
        "CVPR",
    )
    complete: ClassVar[bool] = True

    steps: int = setting(Number("Gradient evaluations along the path.", 1, 1000), 50)
    sigma: float = setting(
        Number("Standard deviation of the blur at which the path starts, in pixels.", 1.0, 100.0), 50.0
    )

    def cost(self, size: tuple[int, int]) -> Cost:
        return Cost(self.steps + 1, self.steps)

    def compute(self, scorer: Scorer, tick: Tick) -> Computed:
        values = torch.zeros_like(scorer.x)
        sharper = scorer.x
        for piece in scorer.pieces(self.steps):
            images = torch.stack([self._at(scorer.x, (step + 0.5) / self.steps) for step in piece])
            ends = torch.stack([sharper, *(self._at(scorer.x, (step + 1) / self.steps) for step in piece)])
            gradients, _ = scorer.gradients(images)
            values -= (gradients * ends.diff(dim=0)).sum(0)
            sharper = ends[-1]
            tick(piece.stop / self.steps, values.clone)
        return Computed(values, baseline_score=float(scorer.scores(sharper[None])[0]))

    def baseline_image(self, x: Tensor) -> Tensor:
        return self._at(x, 1)

    def path_images(self, x: Tensor, count: int) -> tuple[NDArray[np.float64], Tensor]:
        alphas = np.linspace(0, 1, count)
        return alphas, torch.stack([self._at(x, 1 - alpha) for alpha in alphas])

    def _at(self, x: Tensor, place: float) -> Tensor:
        """Return the image at a position of the path, from sharp (0) to blurred (1); spaced finer at the sharp end."""
        start, end = MIN_SIGMA ** (1 / 3), self.sigma ** (1 / 3)
        return blurred(x, (start + place * (end - start)) ** 3) if place else x
