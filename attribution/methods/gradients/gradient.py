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
        "How would the score change if a pixel changed a little? "
        "One pass back through the network answers that for all pixels at once."
    )
    formula: ClassVar[str] = r"\frac{\partial F}{\partial x}"
    shows: ClassVar[str] = "Pixels whose small change would change the score most."
    cannot: ClassVar[str] = "What made the score: where it is saturated, pixels that matter have no gradient."
    passes: ClassVar[str] = "It changes with the class and with random weights (Adebayo et al. 2018)."
    fails: ClassVar[str] = "Sensitivity: a value that made the score can get zero."
    source: ClassVar[Citation] = Citation(
        ("Karen Simonyan", "Andrea Vedaldi", "Andrew Zisserman"),
        2013,
        "Deep Inside Convolutional Networks: Visualising Image Classification Models and Saliency Maps",
        "1312.6034",
    )

    rule: ClassVar[str] = "gradient"
    needs_rectifiers: ClassVar[bool] = False
