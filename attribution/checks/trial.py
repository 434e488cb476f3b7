"""The settings of the faithfulness checks."""

from dataclasses import dataclass
from typing import ClassVar

from attribution.baselines import BASELINES
from attribution.baselines.baseline import Baseline
from attribution.baselines.constant import ImageNetMean
from attribution.baselines.noise import SEED
from attribution.baselines.photo import Blur
from attribution.drawing.heatmap import REDUCTIONS
from attribution.settings import Choice, Configurable, Number, Part, setting

SIZES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)  # n of sensitivity-n, over the number of pixels


@dataclass(frozen=True)
class Trial(Configurable):
    """Settings of the checks.

    Attributes:
        deleted_to: Filler of deleted pixels. Default: the mean colour of ImageNet, as in the paper.
        inserted_into: Image that insertion starts from. Default: the photo, blurred more than in the paper.
        removed_to: Filler for sensitivity-n and infidelity. Default: the mean colour of ImageNet.
        steps: Steps of deletion and insertion, at most; each replaces the same number of pixels. Default: 50.
        ranked_by: Reduction of the channels before ranking, a key of `heatmap.REDUCTIONS`.
        samples: Random sets for each n, and squares for infidelity. Default: 30; with 0 neither is measured.
        moves: Perturbed photos for max-sensitivity. Default: 10; with 0 it is not measured.
        radius: Largest perturbation of a pixel value, from 0 to 1. Default: 0.02.
        seed: Seed of all random numbers. Default: 0.
    """

    key: ClassVar[str] = "faithfulness"
    title: ClassVar[str] = "Faithfulness"

    deleted_to: Baseline = setting(Part("Filler of deleted pixels; the first of several.", BASELINES), ImageNetMean())
    inserted_into: Baseline = setting(
        Part("Image that insertion starts from; the first of several.", BASELINES), Blur()
    )
    removed_to: Baseline = setting(
        Part("Filler for sensitivity-n and infidelity; the first of several.", BASELINES), ImageNetMean()
    )
    steps: int = setting(Number("Steps of deletion and insertion; each replaces as many pixels.", 2, 500), 50)
    ranked_by: str = setting(Choice("Reduction of the channels before ranking.", tuple(REDUCTIONS)), "sum_of_absolutes")
    samples: int = setting(Number("Random sets for each n, and squares for infidelity; 0 skips both.", 0, 500), 30)
    moves: int = setting(Number("Perturbed photos for max-sensitivity; 0 skips it.", 0, 100), 10)
    radius: float = setting(Number("Largest perturbation of a pixel value, from 0 to 1.", 0.001, 0.5), 0.02)
    seed: int = setting(SEED, 0)
