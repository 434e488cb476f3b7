"""The interface of a method: a frozen value of settings that turns a scorer into a map."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.methods.citation import Citation
from attribution.network.model import Model
from attribution.network.rectifiers import Interception
from attribution.network.scorer import Scorer
from attribution.settings import Configurable

TOLD = 0.1  # share of a map that is negative from which on a note says so
GROUPS = ("gradients", "rectifier rules", "paths", "activations", "perturbations")  # in the order of the picker
Tick = Callable[[float, Callable[[], Tensor] | None], None]  # fraction done, function that returns the map so far


@dataclass(frozen=True)
class Cost:
    """The passes of a map beside the photo's own forward pass.

    Attributes:
        forwards: Images sent forward.
        backwards: Images whose signal is sent back.
    """

    forwards: int
    backwards: int

    @property
    def passes(self) -> int:
        """Both together."""
        return self.forwards + self.backwards


@dataclass(frozen=True)
class Computed:
    """The output of a method.

    Attributes:
        values: (3, H, W), signed, in units of the score, or of its square.
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
    """A method with its settings, and what people should know of it.

    Attributes:
        group: One of GROUPS.
        idea: Two sentences.
        formula: LaTeX; F is the score, x the photo, b the baseline.
        shows: What the map shows.
        cannot: What it cannot show.
        passes: A property or a test that it is known to pass.
        fails: One that it is known to fail.
        deviation: From the paper; empty where there is none.
        source: Paper.
        complete: Whether the values sum to the score difference from the baseline.
        blind: Whether a value that equals the baseline gets nothing, whatever it does.
        converges: Whether more steps bring delta down.
        unit: Unit of the values, with {score} for that of the score.
        per_value: Whether the values are per unit of pixel value, not yet multiplied by a distance.
        power: Of the score in the unit of the values. Default: 1.
        shares_forward: Whether it asks the scorer only about the photo itself; such methods run first.
        chosen: Whether it is shown when the dashboard opens.
    """

    group: ClassVar[str]
    idea: ClassVar[str]
    formula: ClassVar[str]
    shows: ClassVar[str]
    cannot: ClassVar[str]
    passes: ClassVar[str]
    fails: ClassVar[str]
    deviation: ClassVar[str] = ""
    source: ClassVar[Citation]
    complete: ClassVar[bool] = False
    blind: ClassVar[bool] = False
    converges: ClassVar[bool] = True
    unit: ClassVar[str] = "{score}"
    per_value: ClassVar[bool] = False
    power: ClassVar[int] = 1
    shares_forward: ClassVar[bool] = False
    chosen: ClassVar[bool] = False

    def refusal(self, model: Model) -> str | None:
        """Say in one sentence why this method cannot serve a model; None if it can."""
        del model
        return None

    @abstractmethod
    def cost(self, size: tuple[int, int]) -> Cost:
        """Return the number of passes for a photo of (H, W) pixels; refusals aside."""

    @abstractmethod
    def compute(self, scorer: Scorer, tick: Tick) -> Computed:
        """Compute the map of the scorer's photo.

        Args:
            scorer: Scores and gradients of the photo.
            tick: Called between chunks with the fraction done and a function that returns the map so far, or None.

        Raises:
            Refusal: If it cannot be made for this photo.
        """

    def path_images(self, x: Tensor, count: int) -> tuple[NDArray[np.float64], Tensor] | None:
        """Return images that the method visits on its path, to look at.

        Args:
            x: (3, H, W), pixels in [0, 1].
            count: How many.

        Returns:
            Positions in [0, 1], (count,), and images, (count, 3, H, W); None if there are none to show.
        """
        del x, count
        return None


def against(heat: Tensor) -> tuple[str, ...]:
    """Return a note on a map, (H, W), if much of it is negative."""
    share = float(heat.clamp(max=0).sum().abs() / heat.abs().sum().clamp(min=torch.finfo(heat.dtype).tiny))
    if share < TOLD:
        return ()
    return (f"{share:.0%} of this map is evidence against the class; the signed view shows which part.",)


def per_pixel(heat: Tensor) -> Tensor:
    """Spread values of pixels, (H, W), over the channels, a third on each: (3, H, W)."""
    return (heat / 3).repeat(3, 1, 1)
