"""RISE."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from attribution.baselines import BASELINES
from attribution.baselines.baseline import Baseline
from attribution.baselines.constant import Black
from attribution.baselines.noise import SEED
from attribution.methods.citation import Citation
from attribution.methods.method import Computed, Cost, Method, Tick, against, per_pixel
from attribution.network.scorer import Scorer
from attribution.settings import Number, Part, setting


@dataclass(frozen=True)
class RISE(Method):
    """The mean of many random masks, each weighed by the score of the photo behind it.

    Attributes:
        masks: How many. Default: 1000; the paper takes 4000 to 8000.
        cells: Cells along one side of a mask before it is enlarged. Default: 7.
        kept: Share of the cells that let the photo through. Default: 0.5.
        baseline: What is seen where a mask is closed. Default: black.
        seed: Of the random numbers. Default: 0.
    """

    key: ClassVar[str] = "rise"
    title: ClassVar[str] = "RISE"
    group: ClassVar[str] = "perturbations"
    idea: ClassVar[str] = (
        "The photo is seen through many random masks M with soft edges, open in a share p of their cells. A pixel is "
        "important if the score is high when it is seen."
    )
    formula: ClassVar[str] = r"\tfrac{1}{np}\sum_{j=1}^{n} \big(F(x \odot M_j + b \odot (1 - M_j)) - \bar F\big)\, M_j"
    shows: ClassVar[str] = "Regions that raise the score when they are seen, measured and not derived."
    cannot: ClassVar[str] = "Detail below a cell; and with few masks its own grain is taken for evidence."
    passes: ClassVar[str] = "It needs no gradient, and equal functions get equal maps."
    fails: ClassVar[str] = "Half-covered photos are no photos that the network knows."
    deviation: ClassVar[str] = (
        "The mean score is subtracted. So zero means no influence, and places that few masks happen to show are not "
        "taken for unimportant."
    )
    source: ClassVar[Citation] = Citation(
        ("Vitali Petsiuk", "Abir Das", "Kate Saenko"),
        2018,
        "RISE: Randomized Input Sampling for Explanation of Black-box Models",
        "1806.07421",
        "BMVC",
    )

    masks: int = setting(Number("Random masks; more make the map smoother.", 1, 10_000), 1000)
    cells: int = setting(Number("Cells along one side of a mask.", 1, 50), 7)
    kept: float = setting(Number("Share of the cells that let the photo through.", 0.05, 0.95), 0.5)
    baseline: Baseline = setting(
        Part("What is seen where a mask is closed; the maps of several are averaged.", BASELINES), Black()
    )
    seed: int = setting(SEED, 0)

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
        """Draw masks in [0, 1], (N, 1, H, W): cells, open or closed, enlarged and shifted by less than a cell."""
        sides = [-(-side // self.cells) for side in x.shape[1:]]  # of a cell
        found = []
        for _ in range(count):  # one after the other, so that the chunk size changes no mask
            open_ = (torch.rand(self.cells, self.cells, generator=random) < self.kept).float()
            large = functional.interpolate(
                open_[None, None], [(self.cells + 1) * side for side in sides], mode="bilinear"
            )
            top, left = (int(torch.randint(side, (), generator=random)) for side in sides)
            found.append(large[0, :, top : top + x.shape[1], left : left + x.shape[2]])
        return torch.stack(found).to(x)
