"""The gradient of the score."""

from dataclasses import dataclass
from typing import ClassVar

from attribution.citation import Citation
from attribution.methods.backward_rule import BackwardRule


@dataclass(frozen=True)
class Gradient(BackwardRule):
    """The derivative of the score with respect to every pixel.

    Shows which pixels would change the score if they changed a little. Cannot show what made the score: where it is
    saturated the gradient is small although the pixel mattered. Deviation: none; values stay signed.
    Source: Simonyan et al. 2013, arXiv:1312.6034.
    """

    key: ClassVar[str] = "gradient"
    title: ClassVar[str] = "Gradient"
    group: ClassVar[str] = "gradients"
    shows: ClassVar[str] = "Pixels whose small change would change the score most."
    cannot: ClassVar[str] = "What made the score: where it is saturated, pixels that matter have no gradient."
    source: ClassVar[Citation] = Citation(
        ("Karen Simonyan", "Andrea Vedaldi", "Andrew Zisserman"),
        2013,
        "Deep Inside Convolutional Networks: Visualising Image Classification Models and Saliency Maps",
        "1312.6034",
    )

    rule: ClassVar[str] = "gradient"
    needs_rectifiers: ClassVar[bool] = False
