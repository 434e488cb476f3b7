"""Guided integrated gradients."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attribution.methods.citation import Citation
from attribution.methods.method import Tick
from attribution.methods.paths.from_baseline import FromBaseline
from attribution.network.scorer import Scorer
from attribution.settings import Choice, Number, setting

ROUNDING = 1e-6  # of the whole way


@dataclass(frozen=True)
class GuidedIntegratedGradients(FromBaseline):
    """Integrated gradients along a path that moves the values first that change the score least.

    Attributes:
        steps: Gradient evaluations along the path, one after the other. Default: 50; the paper takes 200.
        fraction: Share of the values that move at a time. Default: 0.25.
        band: How far a value may be ahead of the straight path or behind it. Default: 0.02.
        rule: "trapezoid" (default), or "left" as in the paper.
    """

    key: ClassVar[str] = "guided_integrated_gradients"
    title: ClassVar[str] = "Guided integrated gradients"
    idea: ClassVar[str] = (
        "A straight path crosses steep places that have nothing to do with the class, and their gradients are noise. "
        "This path moves in each step the values with the smallest gradients, so that it stays where the score is calm."
    )
    formula: ClassVar[str] = (
        r"\int_0^1 \frac{\partial F}{\partial x}\big(\gamma(t)\big) \odot \gamma'(t)\, dt"
        r"\quad\text{along the guided path } \gamma"
    )
    shows: ClassVar[str] = "How the score difference is shared among the pixels, with less grain on the background."
    cannot: ClassVar[str] = "Pixels that equal the baseline; and each step needs the one before, so it is slow."
    passes: ClassVar[str] = "Completeness along its path, up to delta, which more steps need not bring down."
    fails: ClassVar[str] = "The path depends on the network, so maps of two networks follow two paths."
    deviation: ClassVar[str] = (
        "A move is multiplied by the mean of the gradients at its two ends. By the paper's left rule, which rule=left "
        "gives, the values of one photo summed to 2.6 for a score of 1.0; by the mean they summed to 1.1."
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

    steps: int = setting(Number("Gradients taken along the path, one after the other.", 2, 1000), 50)
    fraction: float = setting(Number("Share of the values that move at a time.", 0.01, 1.0), 0.25)
    band: float = setting(Number("How far a value may be ahead of the straight path or behind it.", 0.0, 1.0), 0.02)
    rule: str = setting(Choice("Which gradients a move is multiplied by.", ("trapezoid", "left")), "trapezoid")

    def walk(self, scorer: Scorer, baseline: Tensor, tick: Tick) -> tuple[Tensor, float | None]:
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
        return values, first

    def _step(self, place: Tensor, weight: Tensor, steepness: Tensor, reach: float) -> Tensor:
        """Move until the mean place, by weight, is `reach`.

        Args:
            place: Progress of each value, in [0, 1], (3, H, W).
            weight: Its share of the whole way, (3, H, W), sums to 1.
            steepness: Size of the gradient, (3, H, W).
            reach: From 0 to 1.
        """
        low, high = max(0.0, reach - self.band), min(1.0, reach + self.band)
        place = place.clamp(min=low)
        many = 1 + int(self.fraction * (place.numel() - 1))
        while True:
            missing = reach - float((weight * place).sum())
            able = (place < high) & (weight > 0)
            if missing <= ROUNDING or not able.any():
                return place
            steepness = steepness.where(able, torch.inf)
            threshold = steepness.flatten().kthvalue(many).values
            moving = able & (steepness <= threshold)
            if not moving.any():  # gradients that are no numbers, which the engine refuses
                return place
            way = torch.where(moving, high - place, 0)
            share = missing / float((weight * way).sum())
            if share <= 1:
                return place + share * way
            place = torch.where(moving, high, place)
