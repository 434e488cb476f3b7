"""Finer-CAM."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from attribution.methods.activations.grad_cam import GradCAM
from attribution.methods.citation import Citation
from attribution.methods.method import Tick
from attribution.network.layer import Layer
from attribution.network.model import Model
from attribution.network.scorer import Mixture, Scorer
from attribution.settings import Number, setting
from attribution.targets.target import Target


@dataclass(frozen=True)
class FinerCAM(GradCAM):
    """Grad-CAM of the difference between the score of the class and those of its rivals.

    Attributes:
        gamma: Weight of the rivals' mean score, 0 to 1. Default: 0.6.
        rivals: Number of rivals, the classes with the next highest logits. Default: 3.
    """

    key: ClassVar[str] = "finer_cam"
    title: ClassVar[str] = "Finer-CAM"
    idea: ClassVar[str] = (
        "Similar classes share most of their features, so Grad-CAM highlights the same region for all of them. "
        "Finer-CAM subtracts the scores of the most similar classes, which leaves what tells the class apart."
    )
    formula: ClassVar[str] = (
        r"\max\Big(0,\ \sum_k A^k \cdot \tfrac{1}{hw}\sum_{ij} \frac{\partial F_\Delta}{\partial A^k_{ij}}\Big) \\"
        r"F_\Delta = F_c - \tfrac{\gamma}{D} \textstyle\sum_{d=1}^{D} F_d "
    )
    shows: ClassVar[str] = "The region that supports the class more than its rivals."
    cannot: ClassVar[str] = "Features that the class shares with its rivals; detail finer than one cell of the layer."
    passes: ClassVar[str] = "With gamma 0 it is Grad-CAM; with gamma 1 and one rival, Grad-CAM of the class against it."
    fails: ClassVar[str] = "The map depends on the rivals, which differ from photo to photo."
    deviation: ClassVar[str] = (
        "The paper's scores are logits; here they are the chosen score. Rivals are the classes with the next highest "
        "logits, or the second class if one is chosen."
    )
    source: ClassVar[Citation] = Citation(
        (
            "Ziheng Zhang",
            "Jianyang Gu",
            "Arpita Chowdhury",
            "Zheda Mai",
            "David Carlyn",
            "Tanya Berger-Wolf",
            "Yu Su",
            "Wei-Lun Chao",
        ),
        2025,
        "Finer-CAM: Spotting the Difference Reveals Finer Details for Visual Explanation",
        "2501.11309",
        "CVPR",
    )

    gamma: float = setting(Number("Weight of the rivals' mean score; 0 is Grad-CAM.", 0.0, 1.0), 0.6)
    rivals: int = setting(Number("Number of rivals: the classes with the next highest logits.", 1, 20), 3)

    def refusal(self, model: Model) -> str | None:
        if not model.output.has_rivals:
            return f"{self.title} compares classes, but {model.name} has no logit for each; choose Grad-CAM instead."
        return super().refusal(model)

    @property
    def mixture(self) -> Mixture:
        return self._difference

    def _difference(self, scorer: Scorer) -> Sequence[tuple[float, Target]]:
        """Return the targets of the class and its rivals, with their weights."""
        rivals = self._rivals(scorer)
        target = replace(scorer.target, versus=None)
        return [
            (1.0, target),
            *((-self.gamma / len(rivals), replace(target, index=rival)) for rival in rivals),
        ]

    def cells(self, scorer: Scorer, layer: Layer, tick: Tick) -> tuple[Tensor, tuple[str, ...]]:
        names = [f"{scorer.model.classes[rival]} ({rival})" for rival in self._rivals(scorer)]
        return super().cells(scorer, layer, tick)[0], (f"Compared with {'; '.join(names)}.",)

    def _rivals(self, scorer: Scorer) -> list[int]:
        versus = scorer.target.versus
        return scorer.rivals(self.rivals) if versus is None else [versus]
