"""Base class of the methods that show and hide whole segments of the photo."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.baselines import BASELINES
from attribution.baselines.baseline import Baseline
from attribution.baselines.constant import Grey
from attribution.baselines.noise import SEED_SETTING
from attribution.methods.method import Computed, Cost, Method, Tick, against
from attribution.network.scorer import Scorer
from attribution.photo.segments import segment
from attribution.refusal import Refusal
from attribution.settings import Configurable, Number, Part, setting

PARTIAL_MAPS = 10  # a map so far takes a fit, so not every piece has one
NEGLIGIBLE = 1e-6  # value of a segment, relative to the score, up to which it is rounding
CLEAR_ERRORS = 2  # standard errors by which a value that is not zero differs from zero
DIVIDED = (
    "Each segment's value is divided equally among its pixels, so that regions can be summed and compared with other "
    "maps; a large segment is therefore paler than a small one of the same value, and the readout names the segment's "
    "own value"
)


@dataclass(frozen=True, eq=False)
class Fit:
    """The values of segments.

    Attributes:
        values: (M,), in the unit of the score.
        errors: (M,), their standard errors.
        determined: True if the masks determine the values.
        effective: Number of equally weighted masks whose values would be as precise; None if it does not matter.
    """

    values: NDArray[np.float64]
    errors: NDArray[np.float64]
    determined: bool
    effective: float | None = None


@dataclass(frozen=True)
class Segmented(Method):
    """A value per segment, from the scores of photos of which only some segments are shown.

    Attributes:
        segments: Wanted number of segments; that reached differs. Default: 50.
        masks: Number of masked photos. Default: 1000.
        compactness: Weight of distance against colour in SLIC. Default: 10.
        baseline: Image shown where a segment is hidden; the scores of several are averaged. Default: grey.
        seed: Random seed. Default: 0.
    """

    group: ClassVar[str] = "perturbations"
    signed: ClassVar[bool] = True
    converges: ClassVar[bool] = False

    segments: int = setting(Number("Number of segments to aim at; SLIC may find fewer or more.", 2, 500), 50)
    masks: int = setting(Number("Number of masked photos; at least two per segment.", 1, 10_000), 1000)
    compactness: float = setting(Number("Weight of distance against colour in a segment.", 0.1, 1000.0), 10.0)
    baseline: Baseline = setting(
        Part("Image shown where a segment is hidden; the scores of several are averaged.", BASELINES), Grey()
    )
    seed: int = setting(SEED_SETTING, 0)

    @abstractmethod
    def draw(self, count: int, random: torch.Generator) -> NDArray[np.bool_]:
        """Draw masks of M segments, (N, M), True where a segment is shown.

        Raises:
            Refusal: If there are too few masks for so many segments.
        """

    @abstractmethod
    def fit(
        self, masks: NDArray[np.bool_], scores: NDArray[np.float64], score: float, baseline_score: float | None
    ) -> Fit:
        """Compute the values of the segments.

        Args:
            masks: (N, M), as drawn, or the first of them.
            scores: (N,), of the masked photos.
            score: Score of the photo.
            baseline_score: Score of the baseline; None if the method is not complete.
        """

    def cost(self, size: tuple[int, int]) -> Cost:
        return Cost((self.masks + self.complete) * self.baseline.count, 0)

    def compute(self, scorer: Scorer, tick: Tick) -> Computed:
        labels = segment(scorer.x, self.segments, self.compactness)  # (H, W)
        masks = self.draw(int(labels.max()) + 1, torch.Generator().manual_seed(self.seed))
        fillers = self.baseline.images(scorer.x)  # (K, 3, H, W)
        baseline_score = float(scorer.scores(fillers).mean()) if self.complete else None
        scores, places = np.zeros(len(masks)), torch.from_numpy(labels).to(scorer.x.device)

        def fitted(count: int) -> Fit:
            return self.fit(masks[:count], scores[:count], scorer.score, baseline_score)

        def so_far(count: int) -> Tensor:
            return _spread(fitted(count - count % 2).values, labels, scorer.x)  # whole pairs

        for piece in scorer.pieces(len(masks)):
            part = slice(piece.start, piece.stop)
            shown = torch.from_numpy(masks[part]).to(places.device)[:, places][:, None]  # (N, 1, H, W)
            for filler in fillers:
                scores[part] += scorer.scores(torch.where(shown, scorer.x, filler)) / len(fillers)
            begun, done = (PARTIAL_MAPS * place // len(masks) for place in (piece.start, piece.stop))
            enough = done > begun and piece.stop >= 2 * masks.shape[1]
            tick(piece.stop / len(masks), partial(so_far, piece.stop) if enough else None)
        found = fitted(len(masks))
        if not found.determined:
            raise Refusal(
                f"{self.title}: {len(masks)} masked photos do not determine {masks.shape[1]} segments; increase masks, "
                "or ask for fewer segments."
            )
        values = _spread(found.values, labels, scorer.x)
        explains = np.abs(found.values).max() > NEGLIGIBLE * abs(scorer.score)
        return Computed(
            values,
            baseline_score=baseline_score,
            notes=(*self._summaries(found, len(masks)), *(against(values.sum(0)) if explains else ())),
            segments=labels,
            standard_error=found.errors,
        )

    def require(self, masks: int, count: int) -> None:
        """Refuse fewer than two masks for each of M segments.

        Raises:
            Refusal: If there are fewer.
        """
        if masks < 2 * count:
            raise Refusal(
                f"{self.title} needs at least {2 * count} masked photos for the {count} segments of this photo, got "
                f"{masks}; increase masks, or ask for fewer segments."
            )

    def baseline_image(self, x: Tensor) -> Tensor | None:
        return self.baseline.image(x) if self.baseline.count == 1 else None

    def with_baseline(self, baseline: Configurable) -> Method:
        changed: dict[str, Any] = {"baseline": baseline}
        return replace(self, **changed)

    def _summaries(self, found: Fit, masks: int) -> tuple[str, ...]:
        """Return sentences on the number of segments, their standard errors, and masks that hardly count."""
        summary, least = self._summary(found, masks), 2 * len(found.values)
        if found.effective is None or found.effective >= least:
            return (summary,)
        few = f"At this width, the masks count like only {found.effective:.0f} equally weighted ones"
        return summary, f"{few}, so the standard errors are too small; use a wider kernel or more masks."

    def _summary(self, found: Fit, masks: int) -> str:
        count = len(found.values)
        made = f"{count} segment{'s' * (count != 1)}, whose values are divided among their pixels"
        made += f"; {masks} masked photo{'s' * (masks != 1)}"
        if not found.errors.any():
            return f"{made}; the standard errors are zero."
        clear = int((np.abs(found.values) > CLEAR_ERRORS * found.errors).sum())
        differ = f"{clear} segments differ" if clear != 1 else "1 segment differs"
        return (
            f"{made}; the median standard error is {np.median(found.errors):.2g}, and {differ} from zero by more than "
            f"{CLEAR_ERRORS} standard errors."
        )


def _spread(values: NDArray[np.float64], labels: NDArray[np.int64], x: Tensor) -> Tensor:
    """Divide each segment's value, (M,), equally among its pixels and their channels, (3, H, W)."""
    shares = values / (3 * np.bincount(labels.ravel(), minlength=len(values)))
    return torch.from_numpy(shares[labels]).to(x).expand(3, -1, -1).clone()
