"""Zeiler-Fergus backpropagation, also called deconvnet."""

from dataclasses import dataclass
from typing import ClassVar

from attribution.methods.citation import Citation
from attribution.methods.gradients.backward_rule import BackwardRule
from attribution.methods.gradients.guided_backprop import GuidedBackprop


@dataclass(frozen=True)
class ZeilerFergus(BackwardRule):
    """The signal of a deconvolutional network: rectified on the way back, whichever rectifiers the photo activated."""

    key: ClassVar[str] = "zeiler_fergus"
    title: ClassVar[str] = "Zeiler-Fergus"
    group: ClassVar[str] = "rectifier rules"
    idea: ClassVar[str] = (
        "The network is run backwards as a generator: every layer is transposed, and every rectifier is applied to the "
        "backward signal. Only the max-pooling switches depend on the photo."
    )
    formula: ClassVar[str] = r"R^{l} = \max(0, R^{l+1}) \text{ at every rectifier}"
    shows: ClassVar[str] = "Patterns that the class responds to, placed by the max-pooling switches."
    cannot: ClassVar[str] = "Much about this photo: without max-pooling the map hardly depends on it."
    passes: ClassVar[str] = "If all inputs of rectifiers are positive, it equals guided backpropagation."
    fails: ClassVar[str] = (
        "The map hardly changes when upper layers are randomised and, without max-pooling, hardly with the photo."
    )
    deviation: ClassVar[str] = "Other nonlinear operators keep their derivative, as stated in a note."
    source: ClassVar[Citation] = Citation(
        ("Matthew D. Zeiler", "Rob Fergus"),
        2014,
        "Visualizing and Understanding Convolutional Networks",
        "1311.2901",
        "ECCV",
    )

    rule: ClassVar[str] = "zeiler_fergus"
    ignores_gates: ClassVar[bool] = True
    instead: ClassVar[type[BackwardRule] | None] = GuidedBackprop
