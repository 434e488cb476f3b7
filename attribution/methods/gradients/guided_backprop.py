"""Guided backpropagation."""

from dataclasses import dataclass
from typing import ClassVar

from attribution.methods.citation import Citation
from attribution.methods.gradients.backward_rule import BackwardRule


@dataclass(frozen=True)
class GuidedBackprop(BackwardRule):
    """The gradient, with negative signals set to zero at every rectifier."""

    key: ClassVar[str] = "guided_backprop"
    title: ClassVar[str] = "Guided backpropagation"
    group: ClassVar[str] = "rectifier rules"
    idea: ClassVar[str] = (
        "Backpropagation mixes positive and negative signals. Setting negative ones to zero at every rectifier gives "
        "a sharp map."
    )
    formula: ClassVar[str] = r"R^{l} = \big[z^{l} > 0\big] \odot \max(0, R^{l+1}) \text{ at every rectifier}"
    shows: ClassVar[str] = "Fine structure that the network responds to, such as eyes and a nose."
    cannot: ClassVar[str] = (
        "Why this class: the map is nearly the same for other classes and for partly randomised networks."
    )
    passes: ClassVar[str] = "If no signal is negative, it equals the gradient."
    fails: ClassVar[str] = (
        "The map hardly changes with the class or when upper layers are randomised (Adebayo et al. 2018)."
    )
    deviation: ClassVar[str] = "Other nonlinear operators keep their derivative, as stated in a note."
    source: ClassVar[Citation] = Citation(
        ("Jost Tobias Springenberg", "Alexey Dosovitskiy", "Thomas Brox", "Martin Riedmiller"),
        2015,
        "Striving for Simplicity: The All Convolutional Net",
        "1412.6806",
        "ICLR Workshop",
    )

    rule: ClassVar[str] = "guided"
