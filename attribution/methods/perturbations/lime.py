"""LIME."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from attribution.methods.citation import Citation
from attribution.methods.perturbations.segmented import DIVIDED, Fit, Segmented
from attribution.methods.perturbations.weighted_least_squares import solve
from attribution.settings import Number, setting


@dataclass(frozen=True)
class LIME(Segmented):
    """The coefficients of a linear model of the score, fitted to photos with random segments hidden.

    Attributes:
        segments: Wanted number of segments; that reached differs. Default: 50.
        masks: Number of masked photos, at least two per segment. Default: 1000.
        compactness: Weight of distance against colour in SLIC. Default: 10.
        baseline: Image shown where a segment is hidden. Default: grey.
        seed: Random seed. Default: 0.
        width: Width of the kernel, in cosine distance from the whole photo. Default: 0.25, as in the authors' code.
        ridge: Penalty of the squared coefficients, which shrinks them; the standard errors leave this bias out.
            Default: 0; the authors' code uses 1.
    """

    key: ClassVar[str] = "lime"
    title: ClassVar[str] = "LIME"
    idea: ClassVar[str] = (
        "Random segments of the photo are hidden, and a linear model predicts the score from which segments are "
        "visible. Photos that show most of it weigh more; a segment's value is its coefficient."
    )
    formula: ClassVar[str] = (
        r"\operatorname*{arg\,min}_{\varphi,\,\varphi_0} "
        r"\sum_z \pi(z) \big(F(x_z) - \varphi_0 - \varphi \cdot z\big)^2 \\"
        r"\pi(z) = e^{-d(z)^2 / 2 \sigma^2} \\ d(z) = 1 - \sqrt{|z| / M} "
    )
    shows: ClassVar[str] = "Segments whose visibility raises the score; in the signed view also those that lower it."
    cannot: ClassVar[str] = "Detail finer than a segment, and interactions, which a linear model averages."
    passes: ClassVar[str] = (
        "A score that is linear in the segments is returned exactly, whatever the seed. Equal functions get equal maps."
    )
    fails: ClassVar[str] = (
        "Photos with hidden segments are out of distribution, the map depends on the segmentation and on the width of "
        "the kernel, and the values do not sum to the score difference."
    )
    deviation: ClassVar[str] = (
        "The paper selects a few segments and measures distance by L2; as in the authors' code, here the distance is "
        "the cosine distance of the masks, with all segments kept, SLIC in place of quickshift, the baseline in place "
        f"of a segment's mean colour, and no ridge, which would shrink the coefficients. {DIVIDED}."
    )
    source: ClassVar[Citation] = Citation(
        ("Marco Tulio Ribeiro", "Sameer Singh", "Carlos Guestrin"),
        2016,
        '"Why Should I Trust You?": Explaining the Predictions of Any Classifier',
        "1602.04938",
        "KDD",
    )

    width: float = setting(Number("Width of the kernel, in cosine distance from the whole photo.", 0.01, 10.0), 0.25)
    ridge: float = setting(
        Number("Penalty of the squared coefficients; standard errors do not include its bias.", 0.0, 1000.0), 0.0
    )

    def draw(self, count: int, random: torch.Generator) -> NDArray[np.bool_]:
        self.require(self.masks, count)
        drawn: NDArray[np.bool_] = torch.randint(2, (self.masks, count), generator=random).bool().numpy()
        return drawn

    def fit(
        self, masks: NDArray[np.bool_], scores: NDArray[np.float64], score: float, baseline_score: float | None
    ) -> Fit:
        rows = np.vstack([np.ones(masks.shape[1]), masks])  # the whole photo is a sample, too
        distances = 1 - np.sqrt(rows.mean(1))  # cosine
        weights = np.sqrt(np.exp(-np.square(distances / self.width)))
        found = solve(rows, np.append(score, scores), weights, self.ridge, intercept=True)
        errors = np.sqrt(np.square(found.influences).sum(0))
        effective = float(weights.sum() ** 2 / np.square(weights).sum())
        return Fit(found.coefficients, errors, found.rank == masks.shape[1], effective)
