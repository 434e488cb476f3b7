"""Guided backpropagation."""

from dataclasses import dataclass
from typing import ClassVar

from attribution.methods.citation import Citation
from attribution.methods.gradients.backward_rule import BackwardRule


@dataclass(frozen=True)
class GuidedBackprop(BackwardRule):
    """The gradient, with every negative signal stopped at every rectifier that was open."""

    key: ClassVar[str] = "guided_backprop"
    title: ClassVar[str] = "Guided backpropagation"
    group: ClassVar[str] = "rectifier rules"
    idea: ClassVar[str] = (
        "The gradient is a sum of signals for and against the class. On the way back every negative signal is stopped "
        "at every rectifier, which leaves a sharp picture."
    )
    formula: ClassVar[str] = r"R^{l} = \big[z^{l} > 0\big] \odot \max(0, R^{l+1}) \text{ at every rectifier}"
    shows: ClassVar[str] = "Sharp structure, such as eyes and a nose, that excites the network."
    cannot: ClassVar[str] = "Why this class: the map is nearly the same for other classes and half-random networks."
    passes: ClassVar[str] = "Where no signal is negative it is the gradient."
    fails: ClassVar[str] = "It hardly changes with the class or with random upper weights (Adebayo et al. 2018)."
    deviation: ClassVar[str] = "None for rectifiers; other activations keep their derivative, which a note says."
    source: ClassVar[Citation] = Citation(
        ("Jost Tobias Springenberg", "Alexey Dosovitskiy", "Thomas Brox", "Martin Riedmiller"),
        2015,
        "Striving for Simplicity: The All Convolutional Net",
        "1412.6806",
        "ICLR Workshop",
    )

    rule: ClassVar[str] = "guided"
