"""DeepLIFT with the rescale rule."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from attribution.baselines import BASELINES
from attribution.baselines.baseline import Baseline
from attribution.baselines.constant import Black
from attribution.methods.citation import Citation
from attribution.methods.method import Computed, Cost, Method, Tick
from attribution.network.scorer import Scorer
from attribution.settings import Configurable, Part, setting


@dataclass(frozen=True)
class DeepLIFT(Method):
    """The score difference from a baseline, propagated back through the differences of all activations.

    Attributes:
        baseline: Image to compare the photo with; the maps of several are averaged. Default: black.
    """

    key: ClassVar[str] = "deep_lift"
    title: ClassVar[str] = "DeepLIFT"
    group: ClassVar[str] = "propagation"
    idea: ClassVar[str] = (
        "Where an activation is saturated, its derivative is zero, but its difference from a baseline is not. "
        "So on the way back, every derivative is replaced by the ratio of two differences."
    )
    formula: ClassVar[str] = (
        r"(x - b) \odot m \\"
        r"m^{l} = m^{l+1} \odot \frac{f(z^{l}) - f(z_b^{l})}{z^{l} - z_b^{l}} "
    )
    shows: ClassVar[str] = "How the score difference from the baseline is distributed over the pixels, in one step."
    cannot: ClassVar[str] = "Pixels equal to the baseline: they get zero, however important."
    passes: ClassVar[str] = (
        "Completeness in networks of linear operators, activations and max-pooling: the values sum to the score "
        "difference. With a single hidden layer, it equals integrated gradients of the logit."
    )
    fails: ClassVar[str] = (
        "Implementation invariance: equal functions can get different maps. Products of activations, as in attention, "
        "and norms break the sum."
    )
    deviation: ClassVar[str] = (
        "The rule extends to the score: to the sigmoid of a probability, and to the logarithm and the exponentials in "
        "log-odds. Max-pooling passes its difference to the larger of the two maxima."
    )
    source: ClassVar[Citation] = Citation(
        ("Avanti Shrikumar", "Peyton Greenside", "Anshul Kundaje"),
        2017,
        "Learning Important Features Through Propagating Activation Differences",
        "1704.02685",
        "ICML",
    )
    complete: ClassVar[bool] = True
    converges: ClassVar[bool] = False
    blind: ClassVar[bool] = True
    signed: ClassVar[bool] = True

    baseline: Baseline = setting(Part("Image to compare with; maps of several are averaged.", BASELINES), Black())

    def cost(self, size: tuple[int, int]) -> Cost:
        return Cost(1 + self.baseline.count, self.baseline.count)

    def compute(self, scorer: Scorer, tick: Tick) -> Computed:
        values, scores, others = torch.zeros_like(scorer.x), [], set[str]()
        baselines = self.baseline.images(scorer.x)  # (K, 3, H, W)
        for baseline, found in zip(baselines, scorer.rescale(baselines), strict=True):
            values += found.multipliers * (scorer.x - baseline)
            scores.append(found.baseline_score)
            others.update(found.others)
            tick(len(scores) / len(baselines), partial(torch.div, values, len(scores)))
        kept = f"Not covered by the rule, so the sum may be off: {', '.join(sorted(others))}."
        return Computed(
            values / len(baselines),
            baseline_score=sum(scores) / len(scores),
            notes=(kept,) if others else (),
        )

    def baseline_image(self, x: Tensor) -> Tensor | None:
        return self.baseline.image(x) if self.baseline.count == 1 else None

    def with_baseline(self, baseline: Configurable) -> Method:
        changed: dict[str, Any] = {"baseline": baseline}
        return replace(self, **changed)
