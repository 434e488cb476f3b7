"""Chunks that run side by side have the values of chunks that run one after the other."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import attribution as at
from attribution.network.lanes import spread
from attribution.network.scorer import Scorer


@pytest.fixture(autouse=True)
def _two_threads(_number_of_threads: None) -> None:
    torch.set_num_threads(2)


class Keeps(nn.Module):
    """A network that keeps its input in itself during a pass."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3 * 8 * 8, 4)
        self.kept: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.kept = x
        time.sleep(0.02)  # in which another pass would replace it
        logits = self.head(self.kept.flatten(1))
        self.kept = None
        return logits * logits


def test_lanes_have_the_values_of_chunks_in_turn(squeezenet: at.Model, shepherd: Tensor) -> None:
    images = shepherd * torch.linspace(0.1, 1, 18).view(-1, 1, 1, 1)
    scorer = Scorer(squeezenet, shepherd, at.Target(235))
    assert (scorer.lanes, scorer.piece) == (2, 16)
    gradients, scores = scorer.gradients(images)
    forwards = scorer.scores(images)
    scorer.lanes = 1
    expected, expected_scores = scorer.gradients(images)
    assert (gradients - expected).abs().max() < 1e-5 * expected.abs().max()  # one thread rounds otherwise than two
    assert np.allclose(scores, expected_scores, rtol=1e-5)
    assert np.allclose(forwards, scorer.scores(images), rtol=1e-5)
    assert (scorer.forwards, scorer.backwards) == (18 * 4 + 1, 36)


def test_a_network_with_state_in_its_modules_is_not_shared_between_lanes() -> None:
    model = at.Model("keeps", Keeps(), (8, 8), (0.0,) * 3, (1.0,) * 3, list("abcd"), device="cpu")
    x = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(1))
    images = x * torch.linspace(0.1, 1, 12).view(-1, 1, 1, 1)
    scorer = Scorer(model, x, at.Target(1, "logit"))
    found, _ = scorer.gradients(images)
    scorer.lanes = 1
    assert torch.equal(found, scorer.gradients(images)[0])


def test_results_are_in_order_and_the_first_failure_is_raised_when_all_have_ended() -> None:
    ended: list[int] = []

    def run(part: Tensor) -> int:
        time.sleep(0.01 * (5 - int(part)))
        ended.append(int(part))
        if int(part) in (1, 3):
            raise ValueError(int(part))
        return int(part)

    parts = [torch.tensor(index) for index in (0, 2, 4)]
    assert spread(run, parts, lanes=2) == [0, 2, 4]
    ended.clear()
    with pytest.raises(ValueError, match="1"):
        spread(run, [torch.tensor(index) for index in range(5)], lanes=2)
    assert sorted(ended) == [0, 1, 2, 3, 4]


def test_the_chunk_is_halved_where_memory_runs_out_in_a_lane(
    squeezenet: at.Model, shepherd: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = shepherd * torch.linspace(0.1, 1, 6).view(-1, 1, 1, 1)
    expected = Scorer(squeezenet, shepherd, at.Target(235), chunk=2).scores(images)
    logits = squeezenet.logits

    def short(pixels: Tensor) -> Tensor:
        if len(pixels) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return logits(pixels)

    monkeypatch.setattr(squeezenet, "logits", short)
    scorer = Scorer(squeezenet, shepherd, at.Target(235))
    assert np.array_equal(scorer.scores(images), expected)
    assert (scorer.chunk, scorer.forwards) == (2, 7)


def test_a_lane_has_its_share_of_the_threads_and_others_keep_theirs() -> None:
    def threads(part: Tensor) -> tuple[str, int]:
        time.sleep(0.02)
        return threading.current_thread().name[:4], torch.get_num_threads()

    assert set(spread(threads, [torch.zeros(1)] * 4, lanes=2)) == {("lane", 1)}
    assert torch.get_num_threads() == 2
    with ThreadPoolExecutor(1) as fresh:
        assert fresh.submit(torch.get_num_threads).result() == 2
