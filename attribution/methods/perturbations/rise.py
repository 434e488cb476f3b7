"""RISE."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from attribution.baselines import BASELINES
from attribution.baselines.baseline import Baseline
from attribution.baselines.constant import Black
from attribution.baselines.noise import SEED_SETTING
from attribution.methods.citation import Citation
from attribution.methods.method import Computed, Cost, Method, Tick, against, per_pixel
from attribution.network.scorer import Scorer
from attribution.settings import Number, Part, setting


@dataclass(frozen=True)
class RISE(Method):
    """The mean of many random masks, each weighted by the score of the masked photo.

    Attributes:
        masks: Number of masks. Default: 1000; the paper uses 4000 to 8000.
        cells: Cells along one side of a mask before upsampling. Default: 7.
        kept: Share of the cells that show the photo. Default: 0.5.
        baseline: Image shown where the photo is masked. Default: black.
        seed: Random seed. Default: 0.
    """

    key: ClassVar[str] = "rise"
    title: ClassVar[str] = "RISE"
    group: ClassVar[str] = "perturbations"
    signed: ClassVar[bool] = True
    idea: ClassVar[str] = (
        "The photo is masked by many random masks M with soft edges, each showing a share p of its cells. A pixel is "
        "important if the score is high when it is visible."
    )
    formula: ClassVar[str] = r"\tfrac{1}{np}\sum_{j=1}^{n} \big(F(x \odot M_j + b \odot (1 - M_j)) - \bar F\big)\, M_j"
    shows: ClassVar[str] = "Regions that raise the score when visible, measured without gradients."
    cannot: ClassVar[str] = "Detail finer than a cell; with few masks, sampling noise looks like evidence."
    passes: ClassVar[str] = "Implementation invariance: equal functions get equal maps. No gradient is needed."
    fails: ClassVar[str] = "Masked photos are out of distribution for the network."
    deviation: ClassVar[str] = (
        "The mean score is subtracted, so zero means no influence, and regions that happen to be visible in few masks "
        "do not look unimportant."
    )
    source: ClassVar[Citation] = Citation(
        ("Vitali Petsiuk", "Abir Das", "Kate Saenko"),
        2018,
        "RISE: Randomized Input Sampling for Explanation of Black-box Models",
        "1806.07421",
        "BMVC",
    )

    masks: int = setting(Number("Number of random masks; more reduce sampling noise.", 1, 10_000), 1000)
    cells: int = setting(Number("Cells along one side of a mask.", 1, 50), 7)
    kept: float = setting(Number("Share of the cells that show the photo.", 0.05, 0.95), 0.5)
    baseline: Baseline = setting(
        Part("Image shown where the photo is masked; maps of several are averaged.", BASELINES), Black()
    )
    seed: int = setting(SEED_SETTING, 0)

    def cost(self, size: tuple[int, int]) -> Cost:
        return Cost(self.masks * self.baseline.count, 0)

    def compute(self, scorer: Scorer, tick: Tick) -> Computed:
        fillers = self.baseline.images(scorer.x)  # (K, 3, H, W)
        seen, weighed = (scorer.x.new_zeros(scorer.x.shape[1:]) for _ in range(2))  # sums of M and of F * M
        total, count = 0.0, 0
        random = torch.Generator().manual_seed(self.seed)

        def heat() -> Tensor:
            return (weighed - total / count * seen) / (count * self.kept)

        for piece in scorer.pieces(self.masks):
            masks = self._draw(len(piece), scorer.x, random)  # (N, 1, H, W)
            for filler in fillers:
                scores = scorer.scores(torch.lerp(filler, scorer.x, masks))
                weighed += torch.tensordot(torch.from_numpy(scores).to(masks), masks[:, 0], dims=1)
                seen += masks.sum((0, 1))
                total, count = total + float(scores.sum()), count + len(scores)
            tick(piece.stop / self.masks, lambda: per_pixel(heat()))
        return Computed(per_pixel(heat()), notes=against(heat()))

    def _draw(self, count: int, x: Tensor, random: torch.Generator) -> Tensor:
        """Draw masks in [0, 1], (N, 1, H, W): binary cells, upsampled and shifted by less than a cell."""
        sides = [-(-side // self.cells) for side in x.shape[1:]]  # of a cell, in pixels
        found = []
        for _ in range(count):  # drawn one by one, so that the masks do not depend on the chunk size
            open_ = (torch.rand(self.cells, self.cells, generator=random) < self.kept).float()
            large = functional.interpolate(
                open_[None, None], [(self.cells + 1) * side for side in sides], mode="bilinear"
            )
            top, left = (int(torch.randint(side, (), generator=random)) for side in sides)
            found.append(large[0, :, top : top + x.shape[1], left : left + x.shape[2]])
        return torch.stack(found).to(x)
