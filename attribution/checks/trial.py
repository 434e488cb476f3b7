"""The settings of the faithfulness checks."""

from dataclasses import dataclass
from typing import ClassVar

from attribution.baselines import BASELINES
from attribution.baselines.baseline import Baseline
from attribution.baselines.constant import ImageNetMean
from attribution.baselines.noise import SEED_SETTING
from attribution.baselines.photo import Blur
from attribution.drawing.heatmap import REDUCTION_LABELS, REDUCTIONS
from attribution.settings import Choice, Configurable, Number, Part, setting

# Measured with the default settings on 11 photos, 2 networks, 4 maps and 3 controls: this tolerance saves 69% of the
# images of all steps. Areas differ by at most 1.7% of the score range from those with every step, 95% of them by less
# than 0.7%, with a root mean square of 0.9 standard errors.
TOLERANCE = 0.5
SET_SIZES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)  # n of sensitivity-n, as shares of all pixels


@dataclass(frozen=True)
class Trial(Configurable):
    """Settings of the faithfulness checks.

    Attributes:
        deleted_to: Filler for deleted pixels. Default: the mean colour of ImageNet, as in the paper.
        inserted_into: Start image of insertion. Default: the photo, blurred more than in the paper.
        removed_to: Filler for sensitivity-n and infidelity. Default: the mean colour of ImageNet.
        steps: Maximum number of deletion and insertion steps, each of the same number of pixels. Default: 50.
        road_steps: Maximum number of steps of ROAD; 0 skips it, since every image takes as long as several passes.
            Default: 0.
        tolerance: Accepted standard error of the area under a curve, in percent of the curve's score range; steps
            where the curve hardly bends are then left out. 0 measures every step. Default: 0.5.
        ranked_by: Reduction of the channels before ranking, a key of `heatmap.REDUCTIONS`. Default: sum_of_absolutes.
        samples: Largest number of random sets per n, and of squares for infidelity; 0 skips both. Default: 30.
        moves: Largest number of perturbed photos for max-sensitivity; 0 skips it. Default: 10.
        radius: Largest perturbation of a pixel value, in units of pixel value. Default: 0.02.
        seed: Random seed. Default: 0.
    """

    key: ClassVar[str] = "faithfulness"
    title: ClassVar[str] = "Faithfulness"

    deleted_to: Baseline = setting(Part("Filler for deleted pixels; the first of several.", BASELINES), ImageNetMean())
    inserted_into: Baseline = setting(Part("Start image of insertion; the first of several.", BASELINES), Blur())
    removed_to: Baseline = setting(
        Part("Filler for sensitivity-n and infidelity; the first of several.", BASELINES), ImageNetMean()
    )
    steps: int = setting(Number("Maximum number of deletion and insertion steps.", 2, 500), 50)
    road_steps: int = setting(
        Number(
            "Maximum number of steps of ROAD, in which noisy linear imputation replaces the pixels; 0 skips it.",
            0,
            500,
            name="ROAD steps",
        ),
        0,
    )
    tolerance: float = setting(
        Number("Accepted error of an area, in percent of the score range; 0 measures every step.", 0.0, 10.0), TOLERANCE
    )
    ranked_by: str = setting(
        Choice("Reduction of the channels before ranking.", tuple(REDUCTIONS), REDUCTION_LABELS), "sum_of_absolutes"
    )
    samples: int = setting(
        Number("Largest number of random sets per n, and of squares for infidelity; 0 skips both.", 0, 500), 30
    )
    moves: int = setting(Number("Largest number of perturbed photos for max-sensitivity; 0 skips it.", 0, 100), 10)
    radius: float = setting(Number("Largest perturbation, in units of pixel value.", 0.001, 0.5), 0.02)
    seed: int = setting(SEED_SETTING, 0)
