"""What every method is: a frozen value of settings that turns a scorer into a map."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from attribution.citation import Citation
from attribution.model import Model
from attribution.rectifiers import Interception
from attribution.scorer import Scorer
from attribution.settings import Configurable

GROUPS = ("gradients", "rectifier rules", "paths", "activations", "perturbations")  # in the order of the picker


@dataclass(frozen=True)
class Computed:
    """What a method found.

    Attributes:
        values: (3, H, W), signed, in units of the score.
        baseline_score: Score of the baseline, where there is one.
        rectifiers: What the pass was seen to use, where somebody looked.
        notes: Warnings, as sentences.
    """

    values: Tensor
    baseline_score: float | None = None
    rectifiers: Interception | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Method(Configurable):
    """A method with its settings. Its docstring says what it shows, what it cannot show, deviations and the source.

    Attributes:
        group: One of GROUPS.
        shows: One sentence for people.
        cannot: One sentence for people.
        source: Paper.
        complete: Whether the values sum to the score difference from the baseline.
        shares_forward: Whether it asks the scorer only about the photo itself; such methods run first.
        chosen: Whether it is shown when the dashboard opens.
    """

    group: ClassVar[str]
    shows: ClassVar[str]
    cannot: ClassVar[str]
    source: ClassVar[Citation]
    complete: ClassVar[bool] = False
    shares_forward: ClassVar[bool] = False
    chosen: ClassVar[bool] = False

    def refusal(self, model: Model) -> str | None:
        """Say in one sentence why this method cannot serve a model; None if it can."""
        del model
        return None

    @abstractmethod
    def compute(self, scorer: Scorer) -> Computed:
        """Make the map of the scorer's photo.

        Raises:
            Refusal: If it cannot be made for this photo.
        """

    def path_images(self, x: Tensor, count: int) -> tuple[NDArray[np.float64], Tensor] | None:
        """The images that the method visits on its way, for looking at.

        Args:
            x: (3, H, W), pixels in [0, 1].
            count: How many.

        Returns:
            Positions in [0, 1], (count,), and images, (count, 3, H, W); None if the method has no path.
        """
        del x, count
        return None
