"""Quadrature: the definitions, weights that sum to 1, and the polynomials each rule integrates exactly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribution.path import RULES

STEPS = [1, 2, 3, 5, 10, 25, 50, 1000]
DEFINITIONS = {  # steps -> (node, weight) of each step, from the table of the design
    "left": lambda n: [(k / n, 1 / n) for k in range(n)],
    "right": lambda n: [((k + 1) / n, 1 / n) for k in range(n)],
    "midpoint": lambda n: [((k + 1 / 2) / n, 1 / n) for k in range(n)],
    "inclusive": lambda n: [(k / (n - 1), 1 / n) for k in range(n)],
    "trapezoid": lambda n: [(k / (n - 1), (0.5 if k in (0, n - 1) else 1) / (n - 1)) for k in range(n)],
}


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("rule", RULES)
def test_weights_sum_to_one_and_nodes_lie_on_the_path(rule: str, steps: int) -> None:
    nodes, weights = RULES[rule](steps)
    assert nodes.shape == weights.shape == (steps,)
    assert weights.sum() == pytest.approx(1, abs=1e-13)
    assert nodes.min() >= 0
    assert nodes.max() <= 1
    assert (np.diff(nodes) > 0).all()


@pytest.mark.parametrize("steps", STEPS[1:])
@pytest.mark.parametrize("rule", DEFINITIONS)
def test_each_rule_is_its_definition(rule: str, steps: int) -> None:
    np.testing.assert_allclose(np.stack(RULES[rule](steps), 1), DEFINITIONS[rule](steps), atol=1e-15)


@pytest.mark.parametrize("rule", RULES)
def test_one_step_is_the_midpoint_except_for_left_and_right(rule: str) -> None:
    nodes, weights = RULES[rule](1)
    assert (nodes.tolist(), weights.tolist()) == ([{"left": 0, "right": 1}.get(rule, 0.5)], [1])


@given(st.lists(st.floats(-2, 2), min_size=1, max_size=10), st.integers(2, 40), st.sampled_from(list(RULES)))
def test_polynomials_are_exact_up_to_the_rules_degree(coefficients: list[float], steps: int, rule: str) -> None:
    degree = {"midpoint": 1, "trapezoid": 1, "inclusive": 1, "gauss_legendre": 2 * steps - 1}.get(rule, 0)
    polynomial = np.polynomial.Polynomial(coefficients[: degree + 1])
    nodes, weights = RULES[rule](steps)
    assert weights @ polynomial(nodes) == pytest.approx(polynomial.integ()(1), abs=1e-12)


@pytest.mark.parametrize(
    ("rule", "error"),
    [("left", -1 / 4), ("right", 1 / 4), ("inclusive", 1 / 18), ("midpoint", -1 / 48), ("trapezoid", 1 / 54)],
)
def test_the_first_polynomial_that_is_not_exact_is_off_by_a_known_amount(rule: str, error: float) -> None:
    """For a with left and right, for a^2 with the others."""
    steps = {"midpoint": 2, "inclusive": 4, "trapezoid": 4}.get(rule, 2)
    power = 1 if rule in ("left", "right") else 2
    nodes, weights = RULES[rule](steps)
    assert weights @ nodes**power - 1 / (power + 1) == pytest.approx(error)
