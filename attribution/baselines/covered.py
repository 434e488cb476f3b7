"""The photo with some of its cells covered: what did they contribute?"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attribution.baselines.baseline import Baseline
from attribution.baselines.constant import Black, Constant, Grey, White
from attribution.baselines.other_photo import OtherPhoto
from attribution.baselines.photo import Blur, PhotoMean
from attribution.photo.cells import Cells, CellsSetting
from attribution.settings import Part, setting

# Images that hide what is under them.
FILLS: dict[str, type[Baseline]] = {
    fill.key: fill for fill in (Blur, PhotoMean, Grey, Black, White, OtherPhoto, Constant)
}
CENTRE = Cells.box(9, 9, 10, 10)


@dataclass(frozen=True)
class Covered(Baseline):
    """The photo itself outside the cells, and a fill inside them.

    Attributes:
        cells: The covered cells, as `Cells`, as a (28, 28) array or as their text. Default: a square in the middle.
        fill: What covers them, an instance of a class in FILLS. Default: the blurred photo.
    """

    key: ClassVar[str] = "covered"
    title: ClassVar[str] = "Photo, partly covered"
    shows: ClassVar[str] = (
        "Only what is covered counts as evidence: the values sum to the score that covering it costs, and are zero "
        "elsewhere."
    )

    cells: Cells = setting(CellsSetting("Cells that are covered.", shown=False), CENTRE)
    fill: Baseline = setting(Part("Image that covers them.", FILLS), Blur())

    def image(self, x: Tensor) -> Tensor:
        inside = self.cells.pixels((x.shape[1], x.shape[2])).to(x.device)
        return torch.where(inside, self.fill.image(x), x)
