"""Score-CAM."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from attribution.baselines import BASELINES
from attribution.baselines.baseline import Baseline
from attribution.baselines.constant import Black
from attribution.methods.activations.class_activation import ClassActivation
from attribution.methods.citation import Citation
from attribution.methods.method import Cost, Tick
from attribution.network.layer import Layer
from attribution.network.scorer import Scorer
from attribution.settings import Number, Part, setting

CONSTANT = 1e-5  # range of a feature map, relative to its largest value, below which it is rounding
ALIKE = 3.0  # ratio of two weights below which the map hardly depends on the class
USUAL_CHANNELS = 512  # of the last layer: 512 to 2048 in most networks


@dataclass(frozen=True)
class ScoreCAM(ClassActivation):
    """The feature maps of a layer, each weighted by the score of the photo that is masked by it.

    Attributes:
        channels: Largest number of feature maps, those that vary most over the photo; 0 takes all. Default: 0.
        baseline: Image shown where the photo is masked; the scores of several are averaged. Default: black.
    """

    key: ClassVar[str] = "score_cam"
    title: ClassVar[str] = "Score-CAM"
    unit: ClassVar[str] = "activation"
    power: ClassVar[int] = 0
    idea: ClassVar[str] = (
        "Each feature map, rescaled to [0, 1], serves as a mask that shows the photo where the feature is strong. The "
        "maps are summed, weighted by a softmax of the masked photos' scores."
    )
    formula: ClassVar[str] = (
        r"\max\Big(0,\ \sum_k w_k A^k\Big) \\"
        r"w = \operatorname{softmax}_k\big(F(x_k) - F(b)\big) \\ x_k = b + H^k \odot (x - b) "
    )
    shows: ClassVar[str] = "The image region whose features alone are enough for the class. No gradient is needed."
    cannot: ClassVar[str] = (
        "Evidence against the class, since every weight is positive; detail finer than one cell of the layer."
    )
    passes: ClassVar[str] = "If all masked photos have the same score, all features get the same weight."
    fails: ClassVar[str] = (
        "Probabilities differ by at most 1, so their softmax weights differ by at most a factor of 2.7: the map is "
        "nearly the mean of all feature maps, for every class. Choose the logit. Masked photos are out of distribution."
    )
    deviation: ClassVar[str] = (
        "The paper masks the normalised photo, whose zero is the mean colour; here the baseline is chosen. As in the "
        "paper, the weights are a softmax over the features, which the authors' code leaves out."
    )
    source: ClassVar[Citation] = Citation(
        (
            "Haofan Wang",
            "Zifan Wang",
            "Mengnan Du",
            "Fan Yang",
            "Zijian Zhang",
            "Sirui Ding",
            "Piotr Mardziel",
            "Xia Hu",
        ),
        2020,
        "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks",
        "1910.01279",
        "CVPR Workshops",
    )

    channels: int = setting(
        Number("Largest number of feature maps: those that vary most over the photo; 0 takes all.", 0, 10_000), 0
    )
    baseline: Baseline = setting(
        Part("Image shown where the photo is masked; the scores of several are averaged.", BASELINES), Black()
    )

    def cost(self, size: tuple[int, int]) -> Cost:
        return Cost((1 + (self.channels or USUAL_CHANNELS)) * self.baseline.count, 0)

    def cells(self, scorer: Scorer, layer: Layer, tick: Tick) -> tuple[Tensor, tuple[str, ...]]:
        whole = scorer.maps(layer, as_given=bool(self.layer))
        maps = self._strongest(whole)  # (C, h, w)
        fillers = self.baseline.images(scorer.x)  # (K, 3, H, W)
        gains = torch.zeros(len(maps), dtype=torch.float64)
        ranges = maps.amax((1, 2)) - maps.amin((1, 2))
        order = (ranges > CONSTANT * maps.abs().amax((1, 2))).nonzero()[:, 0].cpu()  # a constant map masks everything
        empty = scorer.scores(fillers)

        def weighted() -> Tensor:
            return (gains.softmax(0).to(maps)[:, None, None] * maps).sum(0)

        for piece in scorer.pieces(len(order)):
            part = order[piece.start : piece.stop]
            masks = _masks(maps[part], scorer.x)
            for filler, score in zip(fillers, empty, strict=True):
                scores = torch.from_numpy(scorer.scores(torch.lerp(filler, scorer.x, masks)))
                gains[part] += (scores - score) / len(fillers)
            tick(piece.stop / len(order), lambda: self.heat(weighted(), scorer))
        ratio = float((gains.max() - gains.min()).exp())
        others = "the others are constant" if len(maps) == len(whole) else "those that vary most"
        used = f"{len(order)} of {len(whole)} feature maps served as masks ({others})"
        note = f"{used}; the largest weight is {ratio:.3g} times the smallest."
        alike = "The map is nearly the mean of all feature maps, for every class; explain the logit instead."
        return weighted(), (note, alike) if ratio < ALIKE else (note,)

    def _strongest(self, maps: Tensor) -> Tensor:
        """Return the feature maps with the largest variance, in their order."""
        if not 0 < self.channels < len(maps):
            return maps
        chosen = maps.flatten(1).var(1).argsort(descending=True, stable=True)[: self.channels]
        return maps[chosen.sort().values]


def _masks(maps: Tensor, x: Tensor) -> Tensor:
    """Rescale feature maps, (N, h, w), to the photo's size and to [0, 1], (N, 1, H, W)."""
    large = functional.interpolate(maps[:, None], x.shape[1:], mode="bilinear")
    low, high = large.amin((2, 3), keepdim=True), large.amax((2, 3), keepdim=True)
    return (large - low) / (high - low).clamp(min=torch.finfo(x.dtype).tiny)
