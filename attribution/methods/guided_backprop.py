"""Guided backpropagation."""

from dataclasses import dataclass
from typing import ClassVar

from attribution.citation import Citation
from attribution.methods.backward_rule import BackwardRule


@dataclass(frozen=True)
class GuidedBackprop(BackwardRule):
    """The gradient, with every negative signal stopped at every rectifier that was open.

    Shows fine structure that excites the network along paths without any inhibition. Cannot show class evidence
    reliably: it changes little when another class is asked for or upper weights are random (Adebayo et al. 2018,
    arXiv:1810.03292). Deviation: none for rectifiers; other activations keep their derivative, which is noted.
    Source: Springenberg et al. 2015, arXiv:1412.6806.
    """

    key: ClassVar[str] = "guided_backprop"
    title: ClassVar[str] = "Guided backpropagation"
    group: ClassVar[str] = "rectifier rules"
    shows: ClassVar[str] = "Sharp structure, such as eyes and a nose, that excites the network."
    cannot: ClassVar[str] = "Why this class: the map is nearly the same for other classes and half-random networks."
    source: ClassVar[Citation] = Citation(
        ("Jost Tobias Springenberg", "Alexey Dosovitskiy", "Thomas Brox", "Martin Riedmiller"),
        2015,
        "Striving for Simplicity: The All Convolutional Net",
        "1412.6806",
        "ICLR Workshop",
    )

    rule: ClassVar[str] = "guided"
