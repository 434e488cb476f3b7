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
        "Where noise changes the gradient, the score depends nonlinearly on the pixel. The map is the variance of the "
        "gradient over noisy copies."
    )
    formula: ClassVar[str] = r"\operatorname{Var}_{j} \frac{\partial F}{\partial x}(x + \sigma \epsilon_j)"
    shows: ClassVar[str] = "Pixels whose gradient varies between noisy copies."
    cannot: ClassVar[str] = "Constant gradients: for a linear network the map is zero."
    passes: ClassVar[str] = "Removing its top pixels and retraining lowers the accuracy most (Hooker et al. 2019)."
    fails: ClassVar[str] = "Linear functions: the map is zero everywhere, although pixels matter."
    deviation: ClassVar[str] = "The variance divides by n, as in Captum, not by n - 1."
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
