"""Zeiler-Fergus backpropagation, also called deconvnet."""

from dataclasses import dataclass
from typing import ClassVar

from attribution.methods.citation import Citation
from attribution.methods.gradients.backward_rule import BackwardRule


@dataclass(frozen=True)
class ZeilerFergus(BackwardRule):
    """The signal sent back as a deconvolutional network does: rectified on its way, whatever the photo opened."""

    key: ClassVar[str] = "zeiler_fergus"
    title: ClassVar[str] = "Zeiler-Fergus"
    group: ClassVar[str] = "rectifier rules"
    idea: ClassVar[str] = (
        "The network is run backwards as one that draws: every layer transposed, every rectifier applied to the signal "
        "on its way down. Only the switches of max-pooling remember the photo."
    )
    formula: ClassVar[str] = r"R^{l} = \max(0, R^{l+1}) \text{ at every rectifier}"
    shows: ClassVar[str] = "Patterns that the class responds to, placed by the max-pooling switches."
    cannot: ClassVar[str] = "Much of this photo: without max-pooling the map hardly depends on it."
    passes: ClassVar[str] = "Where all inputs of rectifiers are positive it is guided backpropagation."
    fails: ClassVar[str] = "It hardly changes with random upper weights; without switches not even with the photo."
    deviation: ClassVar[str] = "None for rectifiers; other activations keep their derivative, which a note says."
    source: ClassVar[Citation] = Citation(
        ("Matthew D. Zeiler", "Rob Fergus"),
        2014,
        "Visualizing and Understanding Convolutional Networks",
        "1311.2901",
        "ECCV",
    )

    rule: ClassVar[str] = "zeiler_fergus"
    ignores_gates: ClassVar[bool] = True
