"""Kernel SHAP."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from attribution.methods.citation import Citation
from attribution.methods.method import Cost
from attribution.methods.perturbations.segmented import DIVIDED, Fit, Segmented
from attribution.methods.perturbations.weighted_least_squares import solve

LEAST_PAIRS = 2  # of each size, for a standard error


@dataclass(frozen=True)
class KernelSHAP(Segmented):
    """Shapley values of the segments, by weighted least squares over coalitions of visible segments.

    If the masks suffice for all coalitions, the values are the Shapley values; otherwise an estimate with standard
    errors. A coalition is always scored together with its complement. Sizes whose coalitions the masks suffice for are
    complete, the smallest and largest first; those of other sizes are drawn without replacement.

    Attributes:
        segments: Wanted number of segments; that reached differs. Default: 50.
        masks: Number of masked photos, at least two per segment unless fewer show all coalitions. Default: 1000.
        compactness: Weight of distance against colour in SLIC. Default: 10.
        baseline: Image shown where a segment is hidden. Default: grey.
        seed: Random seed. Default: 0.
    """

    key: ClassVar[str] = "kernel_shap"
    title: ClassVar[str] = "Kernel SHAP"
    complete: ClassVar[bool] = True
    idea: ClassVar[str] = (
        "The segments share the score difference from the baseline. A segment's Shapley value is the change of the "
        "score when it appears, averaged over all orders in which the segments can appear."
    )
    formula: ClassVar[str] = (
        r"\operatorname*{arg\,min}_{\varphi} \sum_{z} \pi(z) \big(F(x_z) - F(b) - \varphi \cdot z\big)^2 \\"
        r"\pi(z) = \frac{M - 1}{\binom{M}{|z|}\, |z|\, (M - |z|)} \\ \sum_i \varphi_i = F(x) - F(b) "
    )
    shows: ClassVar[str] = "How the score difference from the baseline is distributed over the segments."
    cannot: ClassVar[str] = "Detail finer than a segment; with few masks, sampling noise looks like evidence."
    passes: ClassVar[str] = (
        "Completeness: the values sum to the score difference. With all coalitions, a segment that never matters gets "
        "zero, and two that always act alike get the same."
    )
    fails: ClassVar[str] = (
        "Photos with hidden segments are out of distribution, and the map depends on the segmentation and the baseline."
    )
    deviation: ClassVar[str] = (
        "Coalitions are drawn in pairs of complements, and none twice. Unlike in the authors' code, no lasso selects "
        f"segments. {DIVIDED}."
    )
    source: ClassVar[Citation] = Citation(
        ("Scott M. Lundberg", "Su-In Lee"),
        2017,
        "A Unified Approach to Interpreting Model Predictions",
        "1705.07874",
        "NeurIPS",
    )

    def cost(self, size: tuple[int, int]) -> Cost:
        pairs = min(self.masks // 2, 2 ** (self.segments - 1) - 1)
        return Cost((2 * pairs + 1) * self.baseline.count, 0)

    def draw(self, count: int, random: torch.Generator) -> NDArray[np.bool_]:
        existing = _pairs(count)
        pairs = min(self.masks // 2, sum(existing))
        if pairs < sum(existing):
            self.require(2 * pairs, count)
        rows = np.zeros((pairs, count), dtype=np.bool_)
        wanted = _allocated(pairs, existing, _size_weights(count))
        members = [each for size in range(1, len(wanted) + 1) for each in _coalitions(count, size, wanted, random)]
        order = torch.randperm(pairs, generator=random).tolist()  # so that the first of them are like all
        for row, place in enumerate(order):
            rows[row, list(members[place])] = True
        return np.stack([rows, ~rows], 1).reshape(2 * pairs, count)

    def fit(
        self, masks: NDArray[np.bool_], scores: NDArray[np.float64], score: float, baseline_score: float | None
    ) -> Fit:
        count = masks.shape[1]
        whole = score - (baseline_score or 0.0)
        shown = masks[::2].astype(np.float64)  # of a coalition and its complement, that of the smaller size
        sizes = masks[::2].sum(1)
        # A pair determines the sum of half its values minus the other half. Subtracting equal shares of the whole
        # leaves rows that are orthogonal to ones, so the solution of minimum norm sums to zero: the constraint.
        rows = shown - sizes[:, None] / count
        targets = (scores[::2] - scores[1::2]) / 2 - whole * (sizes / count - 0.5)
        drawn = np.bincount(sizes, minlength=count // 2 + 1)[1:]
        weights = (np.array(_size_weights(count)) / np.maximum(drawn, 1))[sizes - 1]
        found = solve(rows, targets, weights)
        variance = np.zeros(count)
        for size, (few, many) in enumerate(zip(drawn, _pairs(count), strict=True), 1):
            changes = found.influences[sizes == size]
            if 0 < few < many:  # otherwise nothing is left to chance
                around = changes - changes.mean(0) if few > 1 else changes
                variance += (1 - few / many) * few / max(few - 1, 1) * np.square(around).sum(0)
        return Fit(whole / count + found.coefficients, np.sqrt(variance), found.rank == count - 1)


def _pairs(count: int) -> list[int]:
    """Return the number of pairs of a coalition of each size, from 1 to M / 2, and its complement."""
    return [comb(count, size) // (1 + (2 * size == count)) for size in range(1, count // 2 + 1)]


def _size_weights(count: int) -> list[float]:
    """Return the total kernel weight of the pairs of each size, from 1 to M / 2, up to a common factor."""
    return [1 / (size * (count - size) * (1 + (2 * size == count))) for size in range(1, count // 2 + 1)]


def _allocated(pairs: int, existing: list[int], weights: list[float]) -> list[int]:
    """Distribute pairs over the sizes by their weights, at most those that exist, and at least two where possible."""
    found = [min(LEAST_PAIRS, each) for each in existing]
    open_ = [size for size, each in enumerate(existing) if found[size] < each]
    while open_ and (left := pairs - sum(found)) > 0:
        whole = sum(weights[size] for size in open_)
        wanted = {size: left * weights[size] / whole for size in open_}
        full = [size for size in open_ if found[size] + wanted[size] >= existing[size]]
        if full:
            for size in full:
                found[size] = existing[size]
            open_ = [size for size in open_ if size not in full]
            continue
        for size in open_:
            found[size] += int(wanted[size])
        for size in sorted(open_, key=lambda each: int(wanted[each]) - wanted[each])[: pairs - sum(found)]:
            found[size] += 1
    return found


def _coalitions(count: int, size: int, wanted: list[int], random: torch.Generator) -> Iterator[tuple[int, ...]]:
    """Yield the wanted number of different coalitions of a size, of which none is another's complement."""
    halved = 2 * size == count  # the complement has the same size: the one with segment 0 represents both
    if wanted[size - 1] == _pairs(count)[size - 1]:
        yield from (each for each in combinations(range(count), size) if not halved or each[0] == 0)
        return
    seen: set[tuple[int, ...]] = set()
    while len(seen) < wanted[size - 1]:
        order = torch.randperm(count, generator=random).tolist()
        members = order[:size] if not halved or 0 in order[:size] else order[size:]
        each = tuple(sorted(members))
        if each not in seen:
            seen.add(each)
            yield each
