"""Quadrature: the definitions, weights that sum to 1, and the polynomials each rule integrates exactly."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribution.methods.paths.quadrature import CELLS_PER_ROUND, RULES, START_NODES, Refinement

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


class Watched:
    """A function that counts where it is asked."""

    def __init__(self, function: Callable[[float], float]) -> None:
        self.function, self.asked = function, []

    def __call__(self, node: float) -> float:
        self.asked.append(node)
        return self.function(node)


def refined(steps: int, function: Callable[[float], float]) -> tuple[Refinement[float], list[list[float]]]:
    path, rounds = Refinement[float](steps, lambda width, left, right: width / 2 * abs(left - right)), []
    while wanted := path.wanted():
        rounds.append(wanted)
        path.take(wanted, [function(node) for node in wanted])
    return path, rounds


@given(st.integers(1, 200), st.integers(0, 10_000))
def test_refinement_uses_its_budget_and_no_node_twice(steps: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    function = Watched(lambda node: float(random.normal()))
    path, rounds = refined(steps, function)
    assert len(function.asked) == len(set(function.asked)) == len(path.nodes) == steps
    assert all(len(wanted) <= CELLS_PER_ROUND for wanted in rounds[1:])
    assert path.nodes == sorted(path.nodes)
    assert all(wanted == sorted(wanted) for wanted in rounds)
    assert path.weights.sum() == pytest.approx(1)
    assert (path.weights > 0).all()


@given(st.floats(-3, 3), st.floats(-3, 3), st.integers(2, 60))
def test_refinement_is_exact_for_straight_lines(a: float, b: float, steps: int) -> None:
    path, _ = refined(steps, lambda node: a * node + b)
    assert path.weights @ path.values == pytest.approx(a / 2 + b, abs=1e-12)


def test_more_steps_keep_the_nodes_of_fewer() -> None:
    def bend(node: float) -> float:
        return float(np.tanh(30 * (node - 0.3)))

    few, many = (
        refined(steps, bend)[0] for steps in (START_NODES + 2 * CELLS_PER_ROUND, START_NODES + 9 * CELLS_PER_ROUND)
    )
    assert set(few.nodes) < set(many.nodes)


def test_nodes_gather_where_the_function_jumps() -> None:
    places = np.random.default_rng(0).uniform(0.05, 0.95, 20)
    errors: dict[str, list[float]] = {rule: [] for rule in ("adaptive", *RULES)}
    for place in places:
        path, _ = refined(25, lambda node, place=place: float(node > place))
        assert min(np.diff(path.nodes)) < 1.01 / 7 / 2**4  # one round a level
        errors["adaptive"].append(abs(path.weights @ path.values - (1 - place)))
        for rule in RULES:
            nodes, weights = RULES[rule](25)
            errors[rule].append(abs(weights @ (nodes > place) - (1 - place)))
    assert all(np.mean(errors["adaptive"]) < 0.4 * np.mean(errors[rule]) for rule in RULES)


def test_one_step_of_refinement_is_the_midpoint() -> None:
    path, _ = refined(1, lambda node: node**2)
    assert (path.nodes, path.weights.tolist()) == ([0.5], [1])
