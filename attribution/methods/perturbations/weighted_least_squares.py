"""Weighted least squares with the influence of every row, from which standard errors follow."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEGLIGIBLE = 1e-10  # eigenvalue, as a share of the largest, that counts as zero
LEAST_FREEDOM = 1e-9  # 1 - leverage of a row that alone determines a coefficient


@dataclass(frozen=True, eq=False)
class Solution:
    """A weighted least-squares fit.

    Attributes:
        coefficients: (M,); those of minimum norm if the rows do not determine them.
        influences: (N, M), the estimated change of the coefficients by the error of each row. The squares of
            independent rows sum to the variance of the coefficients (the sandwich estimate HC2: residuals are divided
            by the square root of 1 - leverage).
        rank: Number of directions that the rows determine.
    """

    coefficients: NDArray[np.float64]
    influences: NDArray[np.float64]
    rank: int


def solve(
    rows: NDArray[np.float64],
    targets: NDArray[np.float64],
    weights: NDArray[np.float64],
    ridge: float = 0.0,
    intercept: bool = False,
) -> Solution:
    """Minimise the weighted sum of squared residuals plus the ridge times the squared norm of the coefficients.

    Args:
        rows: (N, M).
        targets: (N,).
        weights: (N,), not negative.
        ridge: Penalty of the coefficients, without the intercept. Default: 0.
        intercept: True to fit an intercept. Default: False.
    """
    leverage = np.zeros(len(rows))
    if intercept:
        shares = weights / weights.sum()
        rows, targets, leverage = rows - shares @ rows, targets - shares @ targets, shares
    size = rows.shape[1]
    values, vectors = np.linalg.eigh(rows.T @ (weights[:, None] * rows) + ridge * np.eye(size))
    kept = values > NEGLIGIBLE * max(values[-1], np.finfo(np.float64).tiny)
    inverse = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
    pulls = weights[:, None] * (rows @ inverse)  # (N, M), change of the coefficients by a change of each target
    coefficients = targets @ pulls
    freedom = np.clip(1 - leverage - (pulls * rows).sum(1), LEAST_FREEDOM, 1)
    residuals = (targets - rows @ coefficients) / np.sqrt(freedom)
    return Solution(coefficients, residuals[:, None] * pulls, int(kept.sum()))
