"""The study of a path: against closed forms, and on the embedded network."""

import numpy as np
import pytest
import torch
from toys import image, toy

import attribution as at
from attribution.checks import convergence
from attribution.checks.convergence import MAX_ADAPTIVE_STEPS, study
from attribution.methods.paths import straight_path
from attribution.methods.paths.quadrature import RULES, START_NODES
from attribution.refusal import Remedy

REFERENCE_STEPS = 192  # long enough to tell the rules apart


@pytest.fixture(scope="module")
def found(squeezenet: at.Model, shepherd: torch.Tensor) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convergence, "REFERENCE_STEPS", REFERENCE_STEPS)
        return study(squeezenet, shepherd, at.baselines.Black(), at.Target(235), 25)


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


def test_on_a_real_network_the_adaptive_rule_is_nearest(found: object) -> None:
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
    found: object, squeezenet: at.Model, shepherd: torch.Tensor
) -> None:
    reference = at.attribute(squeezenet, shepherd, at.IntegratedGradients(REFERENCE_STEPS, rule="midpoint")).values
    for rule, steps in (("adaptive", 28), ("midpoint", 20)):
        values = at.attribute(squeezenet, shepherd, at.IntegratedGradients(steps, rule=rule)).values
        error = np.linalg.norm(values - reference) / np.linalg.norm(reference)
        assert dict(found.curves[rule])[steps] == pytest.approx(error, rel=0.02)


def test_automatic_steps_stop_where_the_map_is_5_percent_off(
    found: object, squeezenet: at.Model, shepherd: torch.Tensor
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


def test_other_steps_measure_the_table_alone_again(found: object, squeezenet: at.Model, shepherd: torch.Tensor) -> None:
    seen: list[float] = []
    again = study(squeezenet, shepherd, at.baselines.Black(), at.Target(235), 10, known=found, on_progress=seen.append)
    assert len(seen) < 40  # chunks of the seven rules
    assert again.steps == 10
    assert again.evaluated.shape == (3, 10)
    assert again.curves == found.curves
    assert {each.rule: each.error for each in again.figures}["midpoint"] == dict(found.curves["midpoint"])[10]


def test_the_steps_that_are_enough_lie_between_two_measurements() -> None:
    """The left rule's map of a parabola is off by 0.4 / 5 * 10 / n (above): 5 % from 16 steps on, and 1 % from 80."""
    model = toy(lambda x: x[:, 0] ** 2 + x[:, 1], 3)
    found = study(model, image(2, 3), at.baselines.Black(), at.Target(0, "logit"), 10)
    found.curves["left"] = [(n, 0.8 / n) for n in (5, 12, 20, 50)]
    assert found.enough("left", 0.05) == 16
    assert found.enough("left", 0.01) is None
    assert found.enough("left", 1.0) == 5
    assert found.doubt < 1e-9


def test_what_is_reached_follows_the_score_all_along(found: object) -> None:
    gained = np.interp(np.linspace(0, 1, len(found.reached))[1:-1], found.nodes, found.scores) - found.baseline_score
    assert abs(found.reached[1:-1] - gained).max() < 0.03 * abs(found.score - found.baseline_score)


def test_a_study_can_be_stopped(squeezenet: at.Model, shepherd: torch.Tensor) -> None:
    def stop(fraction: float) -> None:
        if fraction > 0.01:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study(squeezenet, shepherd, at.baselines.White(), on_progress=stop)
