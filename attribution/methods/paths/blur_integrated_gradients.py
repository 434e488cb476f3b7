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

LEAST = 0.2  # pixels; a Gaussian below that changes nothing


@dataclass(frozen=True)
class BlurIntegratedGradients(Method):
    """The gradient integrated along a path on which the photo comes into focus.

    Attributes:
        steps: Gradient evaluations along the path. Default: 50.
        sigma: Standard deviation of the blur at which the path starts, in pixels. Default: 50.
    """

    key: ClassVar[str] = "blur_integrated_gradients"
    title: ClassVar[str] = "Blur integrated gradients"
    group: ClassVar[str] = "paths"
    idea: ClassVar[str] = (
        "The photo comes into focus, and each gradient on the way is multiplied by what focusing changed. "
        "No value leaves the photo's own range on this path, and no baseline has to be chosen."
    )
    formula: ClassVar[str] = (
        r"-\int_0^{\sigma} \frac{\partial F}{\partial x}\big(L(x, s)\big) \odot "
        r"\frac{\partial L(x, s)}{\partial s}\, ds"
    )
    shows: ClassVar[str] = "How the score difference from the blurred photo is shared among the pixels."
    cannot: ClassVar[str] = "Even surfaces: where blurring changes nothing a pixel gets nothing."
    passes: ClassVar[str] = "Completeness: the values sum to the score difference from the blurred photo."
    fails: ClassVar[str] = "A network that lives on broad colour is explained by edges all the same."
    deviation: ClassVar[str] = (
        "Beyond its edges the photo's last pixels are repeated, where the paper sees black and so finds edges there. "
        "Steps are finer where the blur is small, and the gradient is taken in their middle."
    )
    source: ClassVar[Citation] = Citation(
        ("Shawn Xu", "Subhashini Venugopalan", "Mukund Sundararajan"),
        2020,
        "Attribution in Scale and Space",
        "2004.03383",
        "CVPR",
    )
    complete: ClassVar[bool] = True

    steps: int = setting(Number("Gradients taken while the photo comes into focus.", 1, 1000), 50)
    sigma: float = setting(Number("Blur at which the path starts, in pixels.", 1.0, 100.0), 50.0)

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

    def path_images(self, x: Tensor, count: int) -> tuple[NDArray[np.float64], Tensor]:
        alphas = np.linspace(0, 1, count)
        return alphas, torch.stack([self._at(x, 1 - alpha) for alpha in alphas])

    def _at(self, x: Tensor, place: float) -> Tensor:
        """Return the photo on the path, from sharp (0) to blurred (1); steps are finer at the sharp end."""
        start, end = LEAST ** (1 / 3), self.sigma ** (1 / 3)
        return blurred(x, (start + place * (end - start)) ** 3) if place else x
