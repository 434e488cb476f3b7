"""Occlusion."""

from dataclasses import dataclass
from typing import ClassVar

from attribution.baselines import BASELINES
from attribution.baselines.baseline import Baseline
from attribution.baselines.constant import Grey
from attribution.methods.citation import Citation
from attribution.methods.gradients.zeiler_fergus import ZeilerFergus
from attribution.methods.method import Computed, Cost, Method, Tick, against, per_pixel
from attribution.network.scorer import Scorer
from attribution.settings import Number, Part, setting


@dataclass(frozen=True)
class Occlusion(Method):
    """The drop in score when a window is covered.

    Attributes:
        window: Side of the window in pixels of the network's input. Default: 32.
        stride: Distance between neighbouring windows in pixels. Default: 16.
        baseline: Image that covers the window. Default: grey, as in the paper.
    """

    key: ClassVar[str] = "occlusion"
    title: ClassVar[str] = "Occlusion"
    group: ClassVar[str] = "perturbations"
    signed: ClassVar[bool] = True
    idea: ClassVar[str] = (
        "A window P of the photo is covered; the score drops if the network relied on it. The window slides over the "
        "photo, and drops of overlapping windows are averaged."
    )
    formula: ClassVar[str] = (
        r"\operatorname{mean}_{P \ni i}\ \big(F(x) - F(x_{\text{outside } P},\ b_{\text{inside } P})\big)"
    )
    shows: ClassVar[str] = (
        "Regions whose removal lowers the score; in the signed view also those whose removal raises it."
    )
    cannot: ClassVar[str] = (
        "Detail finer than a window; and redundant evidence: covering one of two sufficient parts changes nothing."
    )
    passes: ClassVar[str] = "Implementation invariance: equal functions get equal maps. No gradient is needed."
    fails: ClassVar[str] = "Covered photos are out of distribution: the edge of the window itself can change the score."
    deviation: ClassVar[str] = "The paper does not average. Windows that cross the border are clipped."
    source: ClassVar[Citation] = ZeilerFergus.source

    window: int = setting(Number("Side of the window, in pixels of the network's input.", 1, 500), 32)
    stride: int = setting(Number("Distance between neighbouring windows, in pixels; at most the window.", 1, 500), 16)
    baseline: Baseline = setting(Part("Image that covers the window; maps of several are averaged.", BASELINES), Grey())

    def cost(self, size: tuple[int, int]) -> Cost:
        down, across = self._starts(size)
        return Cost(len(down) * len(across) * self.baseline.count, 0)

    def compute(self, scorer: Scorer, tick: Tick) -> Computed:
        size = (scorer.x.shape[1], scorer.x.shape[2])
        drops, covers = scorer.x.new_zeros(size), scorer.x.new_zeros(size)
        fillers = self.baseline.images(scorer.x)  # (K, 3, H, W)
        covered = [(filler, rows, columns) for filler in fillers for rows, columns in self._windows(size)]
        for piece in scorer.pieces(len(covered)):
            part = covered[piece.start : piece.stop]
            images = scorer.x.repeat(len(part), 1, 1, 1)
            for image, (filler, rows, columns) in zip(images, part, strict=True):
                image[:, rows, columns] = filler[:, rows, columns]
            for score, (_, rows, columns) in zip(scorer.scores(images), part, strict=True):
                drops[rows, columns] += scorer.score - float(score)
                covers[rows, columns] += 1
            tick(piece.stop / len(covered), lambda: per_pixel(drops / covers.clamp(min=1)))
        heat = drops / covers
        lowered = f"The stride was reduced to the window's side, {self.window} pixels, so that every pixel is covered."
        return Computed(per_pixel(heat), notes=((lowered,) if self.stride > self.window else ()) + against(heat))

    def _windows(self, size: tuple[int, int]) -> list[tuple[slice, slice]]:
        """Return the rows and columns of every window; each pixel of the photo is in at least one."""
        down, across = self._starts(size)
        return [
            (slice(top, min(top + self.window, size[0])), slice(left, min(left + self.window, size[1])))
            for top in down
            for left in across
        ]

    def _starts(self, size: tuple[int, int]) -> tuple[range, range]:
        """Return the first rows and the first columns of the windows."""
        stride = min(self.stride, self.window)
        down, across = (range(0, max(0, side - self.window) + stride, stride) for side in size)
        return down, across
