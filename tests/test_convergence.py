"""The study of a path: against closed forms, and on the embedded network."""

import numpy as np
import pytest
import torch
from toys import image, toy

import attribution as at
from attribution.checks.convergence import ERROR_LEVELS, MAX_ADAPTIVE_STEPS, PIECES, REFERENCE_STEPS, Study, study
from attribution.methods.paths import straight_path
from attribution.methods.paths.quadrature import RULES, START_NODES
from attribution.refusal import Remedy


@pytest.fixture(scope="module")
def seen(squeezenet: at.Model, shepherd: torch.Tensor) -> list[Study]:
    """The study from its first picture to the last."""
    so_far: list[Study] = []
    last = study(squeezenet, shepherd, at.baselines.Black(), at.Target(235), 25, on_found=so_far.append)
    return [*so_far, last]


@pytest.fixture(scope="module")
def found(seen: list[Study]) -> Study:
    return seen[-1]


def test_a_parabola_is_known_all_along_the_path() -> None:
    """F = x1^2 + x2 along alpha * (2, 3): score 4 alpha^2 + 3 alpha, integrand 8 alpha + 3."""
    model = toy(lambda x: x[:, 0] ** 2 + x[:, 1], 3)
    seen: list[float] = []
    found = study(model, image(2, 3), at.baselines.Black(), at.Target(0, "logit"), 10, on_progress=seen.append)
    np.testing.assert_allclose(found.scores, 4 * found.nodes**2 + 3 * found.nodes, atol=1e-12)
    np.testing.assert_allclose(found.slopes, 8 * found.nodes + 3, atol=1e-12)
    nodes, scores, slopes = found.evaluated
    np.testing.assert_allclose(scores, 4 * nodes**2 + 3 * nodes, atol=1e-12)
    np.testing.assert_allclose(slopes, 8 * nodes + 3, atol=1e-12)
    assert (found.score, found.baseline_score) == (7, 0)
    place = np.linspace(0, 1, len(found.reached))
    np.testing.assert_allclose(found.reached, 4 * place**2 + 3 * place, atol=1e-9)
    np.testing.assert_allclose(found.accumulated[-1].ravel(), [7], rtol=1e-6)
    errors = {figures.rule: figures for figures in found.figures}
    assert set(errors) == {"adaptive", *RULES}
    assert errors["midpoint"].error < 1e-9
    # left: sum 8 * (k/n)/n = 4 (n-1)/n, so the map is off by 0.4 of sqrt(4^2 + 3^2)
    assert errors["left"].error == pytest.approx(0.4 / 5, rel=1e-6)
    assert errors["left"].delta == pytest.approx(0.4 / 7, rel=1e-6)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1, abs=0.02)


def test_on_a_real_network_the_adaptive_rule_is_nearest(found: Study) -> None:
    errors = {figures.rule: figures.error for figures in found.figures}
    assert min(errors, key=errors.get) == "adaptive"
    assert errors["adaptive"] < 0.06
    assert all(figures.seconds > 0 and 0.9 < figures.rank <= 1 for figures in found.figures)
    assert found.enough("adaptive", 0.05) < found.enough("midpoint", 0.05)
    assert found.enough("midpoint", 1e-6) is None
    assert found.explained == "German shepherd"
    assert found.reached[-1] == pytest.approx(found.score - found.baseline_score, abs=0.01)
    assert len(found.nodes) == REFERENCE_STEPS
    assert found.curves["adaptive"][-1][0] == MAX_ADAPTIVE_STEPS
    assert found.evaluated.shape == (3, 25)


def test_a_curve_measures_what_a_map_with_these_steps_is(
    found: Study, squeezenet: at.Model, shepherd: torch.Tensor
) -> None:
    for rule, steps in (("adaptive", 28), ("midpoint", 4), ("midpoint", 16)):
        values = at.attribute(squeezenet, shepherd, at.IntegratedGradients(steps, rule=rule)).values
        error = np.linalg.norm(values - found.reference) / np.linalg.norm(found.reference)
        assert dict(found.curves[rule])[steps] == pytest.approx(error, rel=1e-3)
    errors = {each.rule: each.error for each in found.figures}
    for rule in ("adaptive", "left", "gauss_legendre"):
        values = at.attribute(squeezenet, shepherd, at.IntegratedGradients(25, rule=rule)).values
        error = np.linalg.norm(values - found.reference) / np.linalg.norm(found.reference)
        assert errors[rule] == pytest.approx(error, rel=1e-3)


def test_automatic_steps_stop_where_the_map_is_5_percent_off(
    found: Study, squeezenet: at.Model, shepherd: torch.Tensor
) -> None:
    result, again = (at.attribute(squeezenet, shepherd, at.IntegratedGradients()) for _ in range(2))
    error = np.linalg.norm(result.values - found.reference) / np.linalg.norm(found.reference)
    assert result.error == pytest.approx(error, rel=0.25)
    assert error < 0.05
    assert dict(found.curves["adaptive"])[result.backwards - 8] > 0.05  # two rounds earlier
    said = f"After {result.backwards} gradients, the estimated error of the map is {result.error:.1%}."
    assert result.account.endswith(said)
    assert result.notes == ()
    assert again.values.tobytes() == result.values.tobytes()
    assert (again.backwards, again.error) == (result.backwards, result.error)


def test_automatic_steps_say_that_they_were_not_enough(
    squeezenet: at.Model, shepherd: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(straight_path, "MAX_AUTO_STEPS", 10)
    result = at.attribute(squeezenet, shepherd, at.IntegratedGradients())
    assert (result.backwards, result.settings["steps"]) == (10, "auto")
    assert result.error > 0.05
    assert result.notes == (
        f"After 10 automatic steps, the estimated error of the map is {result.error:.1%}, still above 5%.",
    )
    assert result.remedies == (Remedy("Use 20 steps", method="integrated_gradients(steps=20)"),)


def test_automatic_steps_end_at_once_on_a_linear_score_and_are_25_for_fixed_rules() -> None:
    model, target = toy(lambda x: x[:, 0] + 2 * x[:, 1], 3), at.Target(0, "logit")
    result = at.attribute(model, image(2, 3), at.IntegratedGradients(), target)
    assert (result.backwards, result.error) == (START_NODES, pytest.approx(0, abs=1e-12))
    unlike = at.attribute(model, image(0, 0), at.IntegratedGradients(), target)  # the baseline itself
    assert (unlike.backwards, unlike.error) == (START_NODES, 0)
    fixed = at.attribute(model, image(2, 3), at.IntegratedGradients(rule="midpoint"), target)
    assert (fixed.backwards, fixed.error) == (25, None)


def test_a_peak_between_two_nodes_is_found() -> None:
    """All nodes of the first round are flat: only the missing score says that there is more."""
    model = toy(lambda x: (x[:, 0] - 0.5).clamp(0, 0.02) / 0.02, 3)
    result = at.attribute(model, image(1), at.IntegratedGradients(), at.Target(0, "logit"))
    assert result.backwards > START_NODES
    assert result.values.sum() == pytest.approx(1, rel=0.1)


@pytest.mark.slow
def test_the_reference_is_as_near_as_512_even_steps_are(
    found: Study, squeezenet: at.Model, shepherd: torch.Tensor
) -> None:
    """Their distance is that of two maps with independent errors, of 0.5 % each."""
    even = at.attribute(squeezenet, shepherd, at.IntegratedGradients(512, rule="midpoint")).values
    assert np.linalg.norm(even - found.reference) / np.linalg.norm(even) < 0.01


def test_ranges_of_what_is_known_so_far_contain_what_is_found_in_the_end(seen: list[Study]) -> None:
    last = {each.rule: each for each in seen[-1].figures}
    spreads, checked = [], 0
    for so_far in seen[:-1]:
        for figures in so_far.figures:
            low, high = so_far.error_range(figures.error)
            assert low <= last[figures.rule].error <= high
            low, high = so_far.rank_range(figures.rank)
            assert low <= last[figures.rule].rank <= high
            checked += 1
        for rule, curve in so_far.curves.items():
            for steps, error in curve:
                low, high = so_far.error_range(error)
                assert low <= dict(seen[-1].curves[rule])[steps] <= high
        missing = np.linalg.norm(so_far.reference - seen[-1].reference) / np.linalg.norm(so_far.reference)
        assert missing <= so_far.drift
        spreads.append(so_far.drift)
    assert checked > 50
    assert spreads == sorted(spreads, reverse=True)
    assert spreads[-1] < spreads[0] / 10
    for level in ERROR_LEVELS:  # once the curves are complete
        few, many = seen[-2].enough_range("adaptive", level)
        assert few <= seen[-1].enough("adaptive", level) <= (many or MAX_ADAPTIVE_STEPS)
    assert not seen[0].figures
    assert len(seen[0].nodes) == PIECES + 1


def test_every_gradient_is_evaluated_once(seen: list[Study]) -> None:
    """Reference, adaptive curve, adaptive rule, and the common nodes of six fixed rules."""
    assert len(np.unique(seen[-1].nodes)) == len(seen[-1].nodes) == REFERENCE_STEPS
    before: set[float] = set()
    for so_far in seen:
        assert before <= set(so_far.nodes)
        before = set(so_far.nodes)


def test_other_steps_measure_the_table_alone_again(found: Study, squeezenet: at.Model, shepherd: torch.Tensor) -> None:
    seen: list[float] = []
    again = study(squeezenet, shepherd, at.baselines.Black(), at.Target(235), 16, known=found, on_progress=seen.append)
    assert len(seen) < 25  # chunks of the adaptive rule, and of the six fixed rules together
    assert again.steps == 16
    assert again.evaluated.shape == (3, 16)
    assert again.curves == found.curves
    errors = {each.rule: each.error for each in again.figures}
    for rule in ("adaptive", "midpoint"):
        assert errors[rule] == pytest.approx(dict(found.curves[rule])[16], rel=1e-3)
    assert again.reference is found.reference


def test_the_steps_that_are_enough_lie_between_two_measurements() -> None:
    """The left rule's map of a parabola is off by 0.4 / 5 * 10 / n (above): 5 % from 16 steps on, and 1 % from 80."""
    model = toy(lambda x: x[:, 0] ** 2 + x[:, 1], 3)
    found = study(model, image(2, 3), at.baselines.Black(), at.Target(0, "logit"), 10)
    found.curves["left"] = [(n, 0.8 / n) for n in (5, 12, 20, 50)]
    assert found.enough("left", 0.05) == 16
    assert found.enough("left", 0.01) is None
    assert found.enough("left", 1.0) == 5
    assert found.doubt < 1e-9


def test_what_is_reached_follows_the_score_all_along(found: Study) -> None:
    gained = np.interp(np.linspace(0, 1, len(found.reached))[1:-1], found.nodes, found.scores) - found.baseline_score
    assert abs(found.reached[1:-1] - gained).max() < 0.03 * abs(found.score - found.baseline_score)


def test_a_study_can_be_stopped(squeezenet: at.Model, shepherd: torch.Tensor) -> None:
    def stop(fraction: float) -> None:
        if fraction > 0.01:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study(squeezenet, shepherd, at.baselines.White(), on_progress=stop)
