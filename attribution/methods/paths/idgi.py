"""IDGI: integrated gradients restricted to the direction of the gradient."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attribution.methods.citation import Citation
from attribution.methods.method import Tick
from attribution.methods.paths.from_baseline import FromBaseline, Walked
from attribution.methods.paths.quadrature import left
from attribution.methods.paths.straight_path import between
from attribution.network.scorer import Scorer
from attribution.settings import Number, setting


@dataclass(frozen=True)
class IDGI(FromBaseline):
    """The score change of each step, distributed over the pixels in proportion to their squared gradients.

    Attributes:
        steps: Gradient evaluations along the path, 1 to 1000. Default: 25.
    """

    key: ClassVar[str] = "idgi"
    title: ClassVar[str] = "IDGI"
    idea: ClassVar[str] = (
        "Most of each step is orthogonal to the gradient, which does not change the score but adds noise to the map. "
        "So the score change of step k is distributed in proportion to the squared gradient g alone."
    )
    formula: ClassVar[str] = r"\sum_{k} \frac{g_k \odot g_k}{\lVert g_k \rVert^2}\,\big(F(x_{k+1}) - F(x_k)\big)"
    shows: ClassVar[str] = (
        "The score difference, distributed by how sensitive the score is to each value along the path."
    )
    cannot: ClassVar[str] = (
        "Positive and negative contributions within one step: all values of a step have the same sign."
    )
    passes: ClassVar[str] = "Completeness at any number of steps; it is not blind to pixels equal to the baseline."
    fails: ClassVar[str] = "Linear functions: the value of a pixel is not its weight times its change."
    deviation: ClassVar[str] = (
        "The score change of a step with zero gradient is distributed by the gradient of a neighbouring step."
    )
    source: ClassVar[Citation] = Citation(
        ("Ruo Yang", "Binghui Wang", "Mustafa Bilgic"),
        2023,
        "IDGI: A Framework to Eliminate Explanation Noise from Integrated Gradients",
        "2303.14242",
        "CVPR",
    )

    steps: int = setting(Number("Gradient evaluations along the path.", 1, 1000), 25)

    def walk(self, scorer: Scorer, baseline: Tensor, tick: Tick) -> Walked:
        nodes, _ = left(self.steps)
        values, difference = torch.zeros_like(baseline), scorer.x - baseline
        share: Tensor | None = None  # of the last node that has a gradient
        first: float | None = None
        settled = 0.0  # the score up to which all change is distributed
        for piece in scorer.pieces(self.steps):
            alphas = torch.from_numpy(nodes[piece.start : piece.stop])
            gradients, scores = scorer.gradients(between(baseline, difference, alphas))
            if first is None:
                first = settled = float(scores[0])
            for gradient, score in zip(gradients, scores.tolist(), strict=True):
                if share is not None:
                    values.add_(share, alpha=score - settled)
                    settled = score
                share = _share(gradient) if gradient.any() else share
            tick(piece.stop / self.steps, values.clone)
        if share is not None:
            values.add_(share, alpha=scorer.score - settled)
        return Walked(values, first)


def _share(gradient: Tensor) -> Tensor:
    """Return squared gradients over their sum; scaled first, since the squares of small numbers underflow."""
    squares = (gradient / gradient.abs().max()).square()
    return squares / squares.sum()
