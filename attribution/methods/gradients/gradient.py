"""The gradient of the score."""

from dataclasses import dataclass
from typing import ClassVar

from attribution.methods.citation import Citation
from attribution.methods.gradients.backward_rule import BackwardRule


@dataclass(frozen=True)
class Gradient(BackwardRule):
    """The derivative of the score with respect to every pixel."""

    key: ClassVar[str] = "gradient"
    title: ClassVar[str] = "Gradient"
    group: ClassVar[str] = "gradients"
    idea: ClassVar[str] = (
        "How much would the score change if a pixel changed slightly? "
        "One backward pass answers this for all pixels at once."
    )
    formula: ClassVar[str] = r"\frac{\partial F}{\partial x}"
    shows: ClassVar[str] = "Pixels for which a small change would change the score most."
    cannot: ClassVar[str] = "What produced the score: where it is saturated, important pixels have almost no gradient."
    passes: ClassVar[str] = "The map changes with the class and when the weights are randomised (Adebayo et al. 2018)."
    fails: ClassVar[str] = "Sensitivity: a value that changes the score can get zero."
    source: ClassVar[Citation] = Citation(
        ("Karen Simonyan", "Andrea Vedaldi", "Andrew Zisserman"),
        2013,
        "Deep Inside Convolutional Networks: Visualising Image Classification Models and Saliency Maps",
        "1312.6034",
    )

    rule: ClassVar[str] = "gradient"
    needs_rectifiers: ClassVar[bool] = False
    derivative: ClassVar[bool] = True
