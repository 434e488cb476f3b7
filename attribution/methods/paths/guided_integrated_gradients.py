"""Guided integrated gradients."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attribution.methods.citation import Citation
from attribution.methods.method import Tick
from attribution.methods.paths.from_baseline import FromBaseline, Walked
from attribution.network.scorer import Scorer
from attribution.settings import Choice, Number, setting

ROUNDING_TOLERANCE = 1e-6  # share of the path below which a remaining distance counts as rounding


@dataclass(frozen=True)
class GuidedIntegratedGradients(FromBaseline):
    """Integrated gradients along a path that first moves the values with the smallest gradients.

    Attributes:
        steps: Gradient evaluations along the path, in sequence. Default: 50; the paper uses 200.
        fraction: Share of the values that move at a time. Default: 0.25.
        band: Maximum lead or lag of a value relative to the straight path, as a share of the path. Default: 0.02.
        rule: "trapezoid" (default), or "left" as in the paper.
    """

    key: ClassVar[str] = "guided_integrated_gradients"
    title: ClassVar[str] = "Guided integrated gradients"
    idea: ClassVar[str] = (
        "A straight path crosses regions whose steep gradients are unrelated to the class and add noise. "
        "This path moves the values with the smallest gradients first, which keeps it in flatter regions."
    )
    formula: ClassVar[str] = (
        r"\int_0^1 \frac{\partial F}{\partial x}\big(\gamma(t)\big) \odot \gamma'(t)\, dt"
        r"\quad\text{along the guided path } \gamma"
    )
    shows: ClassVar[str] = "How the score difference is distributed over the pixels, with less noise in the background."
    cannot: ClassVar[str] = "Pixels equal to the baseline. It is also slow, since each step depends on the one before."
    passes: ClassVar[str] = "Completeness along its path, up to delta, which more steps do not necessarily reduce."
    fails: ClassVar[str] = "The path depends on the network, so two networks are explained along different paths."
    deviation: ClassVar[str] = (
        "Each step is multiplied by the mean of the gradients at its two ends. With the paper's left rule (rule=left), "
        "the values of one photo summed to 2.6 for a score of 1.0; with the mean, to 1.1."
    )
    source: ClassVar[Citation] = Citation(
        (
            "Andrei Kapishnikov",
            "Subhashini Venugopalan",
            "Besim Avci",
            "Ben Wedin",
            "Michael Terry",
            "Tolga Bolukbasi",
        ),
        2021,
        "Guided Integrated Gradients: An Adaptive Path Method for Removing Noise",
        "2106.09788",
        "CVPR",
    )

    blind: ClassVar[bool] = True
    converges: ClassVar[bool] = False

    steps: int = setting(Number("Gradient evaluations along the path, in sequence.", 2, 1000), 50)
    fraction: float = setting(Number("Share of the values that move at a time.", 0.01, 1.0), 0.25)
    band: float = setting(
        Number("Maximum lead or lag of a value relative to the straight path, as a share of it.", 0.0, 1.0), 0.02
    )
    rule: str = setting(
        Choice("Quadrature: mean gradient of both ends of a step, or of its start.", ("trapezoid", "left")), "trapezoid"
    )

    def walk(self, scorer: Scorer, baseline: Tensor, tick: Tick) -> Walked:
        difference = scorer.x - baseline
        weight = difference.abs() / difference.abs().sum().clamp(min=torch.finfo(baseline.dtype).tiny)
        values, place, before = (torch.zeros_like(baseline) for _ in range(3))  # place: progress of each value
        both = self.rule == "trapezoid"
        moves = self.steps - both
        first = 0.0
        for step in range(self.steps):
            gradients, scores = scorer.gradients((baseline + place * difference)[None])
            first = first if step else float(scores[0])
            moved = self._step(place, weight, gradients[0].abs(), (step + 1) / moves) if step < moves else place
            after, place = difference * (moved - place), moved
            values += gradients[0] * ((before + after) / 2 if both else after)
            before = after
            tick((step + 1) / self.steps, values.clone)
        return Walked(values, first)

    def _step(self, place: Tensor, weight: Tensor, steepness: Tensor, reach: float) -> Tensor:
        """Move the values until their weighted mean progress is `reach`; return their new progress.

        Args:
            place: Progress of each value, in [0, 1], (3, H, W).
            weight: Each value's share of the total distance, (3, H, W); sums to 1.
            steepness: Absolute gradient, (3, H, W).
            reach: Target progress, from 0 to 1.
        """
        low, high = max(0.0, reach - self.band), min(1.0, reach + self.band)
        place = place.clamp(min=low)
        many = 1 + int(self.fraction * (place.numel() - 1))
        while True:
            missing = reach - float((weight * place).sum())
            able = (place < high) & (weight > 0)
            if missing <= ROUNDING_TOLERANCE or not able.any():
                return place
            steepness = steepness.where(able, torch.inf)
            threshold = steepness.flatten().kthvalue(many).values
            moving = able & (steepness <= threshold)
            if not moving.any():  # NaN gradients, which the engine refuses later
                return place
            way = torch.where(moving, high - place, 0)
            share = missing / float((weight * way).sum())
            if share <= 1:
                return place + share * way
            place = torch.where(moving, high, place)
