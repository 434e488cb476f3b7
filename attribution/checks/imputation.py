"""Noisy linear imputation, which ROAD uses instead of a filler: removed pixels become the mean of their neighbours.

Rong et al. 2022, "A Consistent and Efficient Evaluation Strategy for Attribution Methods", arXiv:2202.00449. Each
removed pixel equals the weighted mean of its eight neighbours, removed ones included: a linear system for all of them
at once. Unlike a filler, it leaves no edges from which the network could read which pixels were removed; a little noise
hides that the result is smooth.
"""

import numpy as np
from numpy.typing import NDArray

NOISE = 0.01  # standard deviation in units of pixel value, as in the authors' code
NOISE_STREAM = 2  # combined with the seed: random stream of the noise
DIRECT, DIAGONAL = 1 / 6, 1 / 12  # weights of a neighbour, as in the paper
NEIGHBOURS = {
    (down, across): DIAGONAL if down and across else DIRECT
    for down in (-1, 0, 1)
    for across in (-1, 0, 1)
    if down or across
}
KNOWN, OUTSIDE = -1, -2  # pixels without a number in the linear system


def impute(
    image: NDArray[np.floating], removed: NDArray[np.bool_], *, noise: float = NOISE, seed: int = 0
) -> NDArray[np.float64]:
    """Replace pixels by noisy linear imputation.

    Args:
        image: (C, H, W).
        removed: (H, W), True for the pixels to replace. If all are, they become the mean colour.
        noise: Standard deviation of the Gaussian noise on the replaced pixels, in units of the image. Default: 0.01.
        seed: Random seed of the noise. Default: 0.

    Returns:
        (C, H, W); pixels that are not removed are unchanged.
    """
    found = np.array(image, np.float64)
    if removed.all():
        found[:] = found.mean((1, 2), keepdims=True)
    elif removed.any():
        found[:, removed] = _solution(found, removed)
    random = np.random.default_rng((seed, NOISE_STREAM))
    return np.where(removed, found + noise * random.standard_normal(found.shape), found)


def _solution(image: NDArray[np.float64], removed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the removed pixels, (C, N), that equal the weighted means of their neighbours inside the image."""
    from scipy.sparse import csc_array  # lazy: the import takes a fifth of a second
    from scipy.sparse.linalg import splu

    rows, columns = np.nonzero(removed)
    numbers = np.full(removed.shape, KNOWN)
    numbers[removed] = np.arange(len(rows))
    numbers, padded = np.pad(numbers, 1, constant_values=OUTSIDE), np.pad(image, ((0, 0), (1, 1), (1, 1)))
    total, known = np.zeros(len(rows)), np.zeros((len(rows), len(image)))
    entries = []  # row, column, value
    for (down, across), weight in NEIGHBOURS.items():
        near = numbers[rows + 1 + down, columns + 1 + across]
        total += weight * (near != OUTSIDE)
        place = np.flatnonzero(near == KNOWN)
        known[place] += weight * padded[:, rows[place] + 1 + down, columns[place] + 1 + across].T
        place = np.flatnonzero(near >= 0)
        entries.append((place, near[place], np.full(len(place), -weight)))
    every = np.arange(len(rows))
    down_, across_, values = (np.concatenate(parts) for parts in zip((every, every, total), *entries, strict=True))
    matrix = csc_array((values, (down_, across_)), shape=(len(rows), len(rows)))  # symmetric, diagonally dominant
    solver = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    solved: NDArray[np.float64] = solver.solve(known).T
    return solved
