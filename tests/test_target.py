"""Scores: exact where autograd through softmax is not, and what each of them is."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from toys import answer, image, model_of, toy

import attribution as at


class Margin(nn.Module):
    """Ten logits linear in the pixels; class 0 leads its nine equal rivals by a margin."""

    def __init__(self, margin: float, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(0)
        self.linear = nn.Linear(3, 10, dtype=dtype)
        self.linear.weight.data.copy_(torch.randn(10, 3, generator=random))
        self.linear.bias.data.copy_(torch.tensor([margin, *[0.0] * 9]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x.flatten(1))


def exact(net: Margin, index: int) -> np.ndarray:
    """p_c (w_c - sum_k p_k w_k) at a black image, summed without cancellation in float64."""
    weights, logits = net.linear.weight.detach().double().numpy(), net.linear.bias.detach().double().numpy()
    odds = np.exp(logits - logits[index])  # of every class against c
    p = 1 / odds.sum()
    return p * p * sum(odds[k] * (weights[index] - weights[k]) for k in range(10) if k != index)


@pytest.mark.parametrize("margin", [0, 5, 12, 16, 18, 30, 60, 80])
@pytest.mark.parametrize("index", [0, 3])
def test_the_gradient_of_a_probability_is_exact_at_any_margin(margin: float, index: int) -> None:
    net = Margin(margin)
    result = at.attribute(model_of(net, (1, 1), 10), torch.zeros(3, 1, 1), at.Gradient(), at.Target(index))
    expected = exact(net, index)
    np.testing.assert_allclose(result.values.ravel(), expected, rtol=2e-6, atol=2e-6 * np.abs(expected).max())
    assert not result.notes


def test_autograd_through_softmax_is_wrong_where_ours_is_exact() -> None:
    net, x = Margin(18), torch.zeros(1, 3, 1, 1, requires_grad=True)
    (naive,) = torch.autograd.grad(net(x).softmax(1)[0, 0], x)
    expected = exact(net, 0)
    assert np.abs(naive.numpy().ravel() - expected).max() > 0.5 * np.abs(expected).max()


def test_beyond_what_float32_holds_a_note_proposes_log_odds() -> None:
    model = model_of(Margin(120), (1, 1), 10)
    probability = at.attribute(model, torch.zeros(3, 1, 1), at.Gradient(), at.Target(0))
    assert "choose log-odds" in probability.notes[0]
    log_odds = at.attribute(model, torch.zeros(3, 1, 1), at.Gradient(), at.Target(0, "log_odds"))
    assert not log_odds.notes
    assert log_odds.values.any()


def test_the_three_scores_and_their_versus() -> None:
    net = Margin(2, torch.float64)
    net.linear.bias.data = torch.tensor([2.0, 1.0, *[0.0] * 8], dtype=torch.float64)
    model, x = model_of(net, (1, 1), 10), image(0)
    others = math.e + 8
    scores = {
        at.Target(0): math.exp(2) / (math.exp(2) + others),
        at.Target(0, "log_odds"): 2 - math.log(others),
        at.Target(0, "logit"): 2,
        at.Target(0, versus=1): 1 / (1 + math.exp(-1)),
        at.Target(0, "log_odds", versus=1): 1,
        at.Target(0, "logit", versus=1): 1,
    }
    for target, score in scores.items():
        assert at.attribute(model, x, at.Gradient(), target).score == pytest.approx(score, rel=1e-12)
    weights = net.linear.weight.detach().numpy()
    versus = at.attribute(model, x, at.Gradient(), at.Target(0, "log_odds", versus=1)).values.ravel()
    np.testing.assert_allclose(versus, weights[0] - weights[1])


def test_an_open_target_is_the_predicted_class_with_the_score_asked_for() -> None:
    model = toy(lambda x: x.sum(1) - 1, 3)
    assert at.attribute(model, image(1, 1, 0), at.Gradient()).target == at.Target(0)
    result = at.attribute(model, image(0, 0, 0), at.Gradient(), at.Target(score="logit"))
    assert result.target == at.Target(1, "logit")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: at.Target(0, "softmax"), "one of probability, log_odds, logit, value, got 'softmax'"),
        (lambda: at.Target(4, versus=4), "Class 4 is the explained class itself"),
    ],
)
def test_targets_that_make_no_sense_are_refused_when_made(make: object, sentence: str) -> None:
    with pytest.raises(at.Refusal, match=sentence):
        make()


@pytest.mark.parametrize("target", [at.Target(2), at.Target(-1), at.Target(0, versus=2), at.Target(None, versus=9)])
def test_a_class_that_does_not_exist_is_refused(target: at.Target) -> None:
    with pytest.raises(at.Refusal, match=r"choose an index from 0 to 1\."):
        at.compare(toy(lambda x: x.sum(1), 3), image(0), [at.Gradient()], target)


def test_a_second_class_that_turns_out_to_be_the_predicted_one_is_refused() -> None:
    with pytest.raises(at.Refusal, match="Class 0 is the explained class itself; choose another second class"):
        answer(toy(lambda x: x.sum(1), 3), image(1), at.Gradient(), 1) and at.attribute(
            toy(lambda x: x.sum(1), 3), image(1), at.Gradient(), at.Target(versus=0)
        )
