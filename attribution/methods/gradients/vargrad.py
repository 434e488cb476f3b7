"""VarGrad."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attribution.methods.citation import Citation
from attribution.methods.gradients.noisy_gradients import NoisyGradients


@dataclass(frozen=True)
class VarGrad(NoisyGradients):
    """The variance of the gradients of noisy copies of the photo."""

    key: ClassVar[str] = "vargrad"
    title: ClassVar[str] = "VarGrad"
    power: ClassVar[int] = 2
    unit: ClassVar[str] = "({score} per pixel value)\u00b2"
    idea: ClassVar[str] = (
        "Where a little noise changes the gradient, the network decides. The map is the variance over noisy copies."
    )
    formula: ClassVar[str] = r"\operatorname{Var}_{j} \frac{\partial F}{\partial x}(x + \sigma \epsilon_j)"
    shows: ClassVar[str] = "Pixels where the network's slope is not the same for every noisy copy."
    cannot: ClassVar[str] = "A slope that is always there: a linear network has no variance at all."
    passes: ClassVar[str] = "Removing its pixels and retraining costs the network most (Hooker et al. 2019)."
    fails: ClassVar[str] = "Known answers: of a linear function it is zero everywhere."
    deviation: ClassVar[str] = "Divided by n, as Captum does, and not by n - 1."
    source: ClassVar[Citation] = Citation(
        ("Julius Adebayo", "Justin Gilmer", "Ian Goodfellow", "Been Kim"),
        2018,
        "Local Explanation Methods for Deep Neural Networks Lack Sensitivity to Parameter Values",
        "1810.03307",
    )

    @staticmethod
    def combine(first: Tensor, mean: Tensor, square: Tensor) -> Tensor:
        del first
        return (square - mean.square()).clamp_(min=0)
