"""The interface of a method: a frozen dataclass of settings that computes a map from a scorer."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.methods.citation import Citation
from attribution.network.model import Model
from attribution.network.rectifiers import Interception
from attribution.network.scorer import Scorer
from attribution.refusal import Remedy
from attribution.settings import AUTO, Configurable, Number, described

MIN_NEGATIVE_SHARE = 0.1  # smallest negative share of a map that a note mentions
GROUPS = (
    "gradients",
    "rectifier rules",
    "paths",
    "propagation",
    "activations",
    "attention",
    "perturbations",
)  # in the order of the picker
Tick = Callable[[float, Callable[[], Tensor] | None], None]  # fraction done, function that returns the map so far


@dataclass(frozen=True)
class Cost:
    """The number of passes that a map needs besides the photo's own forward pass.

    Attributes:
        forwards: Forward passes, counted per image.
        backwards: Backward passes, counted per image.
    """

    forwards: int
    backwards: int

    @property
    def passes(self) -> int:
        """The number of passes in both directions."""
        return self.forwards + self.backwards


@dataclass(frozen=True)
class Computed:
    """The output of a method.

    Attributes:
        values: (3, H, W), signed, in the method's unit.
        baseline_score: Score of the baseline; None without a baseline.
        rectifiers: Rectifiers and other nonlinear operators in the pass; None if they were not recorded.
        notes: Warnings, as sentences.
        remedies: Changes that the notes recommend.
        error: Estimated L2 error of the values, relative to their L2 norm; None if it is not estimated.
        segments: (H, W), labels from 0 to M - 1 of segments with one value each; None without segments.
        standard_error: (M,), of each segment's sum of values, due to the choice of masks; None without segments.
        conservation: For a method that propagates relevance, its sum at every stage, by name, from the logits to the
            pixels.
    """

    values: Tensor
    baseline_score: float | None = None
    rectifiers: Interception | None = None
    notes: tuple[str, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    error: float | None = None
    segments: NDArray[np.int64] | None = None
    standard_error: NDArray[np.float64] | None = None
    conservation: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Method(Configurable):
    """A method with its settings and its documentation.

    Attributes:
        group: One of GROUPS.
        idea: Explanation in two sentences.
        formula: LaTeX; F is the score, x the photo, b the baseline.
        shows: Properties of the photo and the network that the map shows.
        cannot: Properties that it cannot show.
        passes: A property or test that the method is known to satisfy.
        fails: A property or test that it is known to violate.
        deviation: Difference from the paper; empty if none.
        source: The paper.
        complete: True if the values sum to the score difference from the baseline.
        blind: True if a value equal to the baseline gets zero, however important it is.
        converges: True if more steps reduce delta.
        unit: Unit of the values; {score} represents the unit of the score.
        per_value: True if the values are per unit of pixel value, not yet multiplied by a difference of pixel values.
        derivative: True if the values are derivatives of the score, or such derivatives times pixel values.
        power: Exponent of the score's unit in the unit of the values. Default: 1.
        shares_forward: True if it only needs passes of the photo itself; such methods run first.
        chosen: True if it is selected when the dashboard opens.
        signed: True if its maps are drawn in signed colours by default: a negative value is evidence against the
            target. False for gradients, whose sign says whether a brighter pixel helps, and for integrated gradients,
            which the page draws white to black beside them.
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
    derivative: ClassVar[bool] = False
    power: ClassVar[int] = 1
    shares_forward: ClassVar[bool] = False
    chosen: ClassVar[bool] = False
    signed: ClassVar[bool] = False

    def refusal(self, model: Model) -> str | None:
        """Return one sentence on why this method does not support a model; None if it does."""
        del model
        return None

    @abstractmethod
    def cost(self, size: tuple[int, int]) -> Cost:
        """Return the number of passes for a photo of (H, W) pixels; the usual number if the photo decides."""

    @abstractmethod
    def compute(self, scorer: Scorer, tick: Tick) -> Computed:
        """Compute the map of the scorer's photo.

        Args:
            scorer: Scores and gradients of the photo.
            tick: Called between chunks with the fraction done and a function that returns the map so far, or None.

        Raises:
            Refusal: If the map cannot be computed for this photo.
        """

    def settled(self, evaluations: int) -> "Method":
        """Return the same method with the number of steps that a map took instead of automatic ones.

        Args:
            evaluations: Gradient evaluations of that map.
        """
        if getattr(self, "steps", 0) != AUTO:
            return self
        number: dict[str, Any] = {"steps": evaluations}
        return replace(self, **number)

    def refined(self, evaluations: int) -> "Method | None":
        """Return the same method with twice the steps, up to their maximum; None if it cannot take more.

        Args:
            evaluations: Gradient evaluations of the map so far, which automatic steps have decided.
        """
        kind, steps = described(type(self)).get("steps"), getattr(self.settled(evaluations), "steps", 0)
        if not isinstance(kind, Number) or steps >= kind.high:
            return None
        more: dict[str, Any] = {"steps": min(2 * steps, int(kind.high))}
        return replace(self, **more)

    def baseline_image(self, x: Tensor) -> Tensor | None:
        """Return the image with which the values compare the photo, (3, H, W); None if there is none, or several.

        Args:
            x: (3, H, W), pixels in [0, 1].
        """
        del x
        return None

    def with_baseline(self, baseline: Configurable) -> "Method | None":
        """Return the same method with another baseline; None if it has none to choose.

        Args:
            baseline: An instance of a class in BASELINES.
        """
        del baseline
        return None

    def path_images(self, x: Tensor, count: int) -> tuple[NDArray[np.float64], Tensor] | None:
        """Return images along the method's path, for display.

        Args:
            x: (3, H, W), pixels in [0, 1].
            count: Number of images.

        Returns:
            Positions in [0, 1], (count,), and images, (count, 3, H, W); None if the method has no path to show.
        """
        del x, count
        return None


def against(heat: Tensor) -> tuple[str, ...]:
    """Return a note if a large share of a map, (H, W), is negative."""
    share = float(heat.clamp(max=0).sum().abs() / heat.abs().sum().clamp(min=torch.finfo(heat.dtype).tiny))
    if share < MIN_NEGATIVE_SHARE:
        return ()
    return (f"{share:.0%} of this map's total magnitude is negative, that is, evidence against the class.",)


def per_pixel(heat: Tensor) -> Tensor:
    """Distribute each pixel's value, (H, W), equally over the channels, (3, H, W)."""
    return (heat / 3).repeat(3, 1, 1)
