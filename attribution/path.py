"""Quadrature rules on [0, 1]: where along the path a gradient is taken, and how much it counts.

The integral of g is estimated as sum_k weights[k] * g(nodes[k]). The weights of every rule sum to 1.
With one step every rule but left and right is the midpoint.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Quadrature = tuple[NDArray[np.float64], NDArray[np.float64]]  # nodes, weights: (S,), (S,)


def _equal(nodes: NDArray[np.float64]) -> Quadrature:
    return nodes, np.full(len(nodes), 1 / len(nodes))


def left(steps: int) -> Quadrature:
    """Nodes k / n: starts at the baseline itself."""
    return _equal(np.arange(steps) / steps)


def right(steps: int) -> Quadrature:
    """Nodes (k + 1) / n: ends at the photo. The sum in the paper's equation 3."""
    return _equal((np.arange(steps) + 1) / steps)


def midpoint(steps: int) -> Quadrature:
    """Nodes (k + 1/2) / n: exact for linear integrands, neither end needed."""
    return _equal((np.arange(steps) + 0.5) / steps)


def inclusive(steps: int) -> Quadrature:
    """Nodes k / (n - 1), all weighted alike: the worked example's sum over path images. Over-weights both ends."""
    return midpoint(1) if steps == 1 else _equal(np.linspace(0, 1, steps))


def trapezoid(steps: int) -> Quadrature:
    """Nodes k / (n - 1), the ends counted half."""
    if steps == 1:
        return midpoint(1)
    weights = np.full(steps, 1 / (steps - 1))
    weights[[0, -1]] /= 2
    return np.linspace(0, 1, steps), weights


def gauss_legendre(steps: int) -> Quadrature:
    """Zeros of the Legendre polynomial: exact up to degree 2n - 1, but a ReLU network is no polynomial."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    return (nodes + 1) / 2, weights / 2


RULES: dict[str, Callable[[int], Quadrature]] = {
    rule.__name__: rule for rule in (midpoint, trapezoid, gauss_legendre, left, right, inclusive)
}
