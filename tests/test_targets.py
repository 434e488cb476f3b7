"""compare() for several targets: the maps and passes of a call for each, except what the targets share."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from test_engine import counted
from torch import nn
from toys import brief, model_of, noise, randomise, vision_transformer

import attribution as at

TARGETS = [at.Target(2), at.Target(), at.Target(0, "logit", 3), at.Target(4, "log_odds")]
METHODS = [brief(method) for method in at.METHODS.values()]


def double() -> at.Model:
    layers = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 144, 5)]
    return model_of(randomise(nn.Sequential(*layers)).double(), (16, 16), 5)


def transformer() -> at.Model:
    return model_of(randomise(vision_transformer(32, 5)), (32, 32), 5)


@pytest.mark.parametrize(
    ("made", "side"),
    [(double, 16), (lambda: at.load_model("squeezenet1_1", "cpu"), 64), (transformer, 32)],
    ids=["float64", "float32", "transformer"],
)
def test_every_map_is_that_of_a_call_for_its_target(made: Callable[[], at.Model], side: int) -> None:
    model = made()
    x = noise(3, side, side, dtype=model.dtype)
    methods = [each for each in METHODS if not each.refusal(model)]
    alone = [at.compare(model, x, methods, target) for target in TARGETS]
    together = at.compare(model, x, methods, targets=TARGETS)
    turned = at.compare(model, x, methods, targets=TARGETS[::-1])[::-1]
    for found in (together, turned):
        for results, expected in zip(found, alone, strict=True):
            assert len(results.maps) == len(methods)
            for result, single in zip(results.maps, expected.maps, strict=True):
                assert result.values.tobytes() == single.values.tobytes(), result
                for name in ("score", "baseline_score", "delta", "target", "explained", "prediction", "unit"):
                    assert getattr(result, name) == getattr(single, name)
                assert set(single.notes) <= set(result.notes)  # one more if the passes were shared
                assert result.backwards == single.backwards


def passes(results: at.Results) -> dict[str, tuple[int, int]]:
    return {result.method: (result.forwards, result.backwards) for result in results.maps}


def test_targets_share_the_photos_pass_and_the_scores_of_the_same_images() -> None:
    model, net = counted()
    methods = [at.RISE(20), at.SmoothGrad(6), at.Occlusion(4, 2), *(at.Gradient(), at.GuidedBackprop())]
    x = noise(3, 8, 8)
    alone = passes(at.compare(model, x, methods, at.Target(2)))
    net.images = 0
    first, *others = map(passes, at.compare(model, x, methods, targets=[at.Target(2), at.Target(0), at.Target(2)]))
    assert first == alone
    assert first["gradient"] == (1, 1)
    shared = {"gradient": (0, 1), "rise": (0, 0), "occlusion": (0, 0)}
    assert others == [{**alone, **shared}] * 2
    counts = [forwards for each in (first, *others) for forwards, _ in each.values()]
    assert net.images == sum(counts)


def test_the_photos_pass_runs_once_even_if_no_method_records_it() -> None:
    model, net = counted()
    method = at.SmoothGrad(6)
    (first,), (second,) = at.compare(model, noise(3, 8, 8), [method], targets=[at.Target(1), at.Target(2)])
    assert isinstance(first, at.Attribution)
    assert isinstance(second, at.Attribution)
    assert (first.forwards, second.forwards, net.images) == (7, 6, 13)


def test_a_map_whose_passes_were_shared_says_so() -> None:
    methods, targets = [at.RISE(10), at.SmoothGrad(2)], [at.Target(1), at.Target(2)]
    first, second = at.compare(counted()[0], noise(3, 8, 8), methods, targets=targets)
    shared = [
        ["those of another class" in " ".join(each.notes) for each in results.maps] for results in (first, second)
    ]
    assert shared == [[False, False], [True, False]]
    assert second.maps[0].forwards == 0


def test_progress_covers_all_targets_and_results_come_with_their_place() -> None:
    model, _ = counted()
    fractions: list[float] = []
    came: dict[int, at.Attribution | at.Refusal] = {}
    methods, targets = [at.IntegratedGradients(9), at.Gradient(), at.RISE(20)], [at.Target(1), at.Target(3)]
    found = at.compare(
        model,
        noise(3, 8, 8),
        methods,
        targets=targets,
        on_progress=lambda fraction, _: fractions.append(fraction),
        on_result=lambda place, result: came.update({place: result}),
    )
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert list(came) == [1, 4, 0, 3, 2, 5]
    assert [came[place] for place in range(6)] == [each for results in found for each in results]


def test_less_memory_on_the_way_changes_only_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    methods, targets, x = [at.RISE(10)], [at.Target(1), at.Target(2)], noise(3, 8, 8)
    expected = at.compare(counted()[0], x, methods, targets=targets)
    model, net = counted()
    really, seen = at.Model.logits, 0

    def small(self: at.Model, pixels: torch.Tensor) -> torch.Tensor:
        nonlocal seen
        seen += len(pixels)
        if seen > 6 and len(pixels) > 1:
            raise RuntimeError("CUDA out of memory.")
        return really(self, pixels)

    monkeypatch.setattr(at.Model, "logits", small)
    for results, same in zip(at.compare(model, x, methods, targets=targets), expected, strict=True):
        np.testing.assert_allclose(results.maps[0].values, same.maps[0].values, rtol=1e-4, atol=1e-7)
    assert net.images > 11  # the second target's images come in other pieces, and are run again


def test_targets_that_cannot_be_explained_are_refused() -> None:
    model, _ = counted()
    for wrong, said in (
        ({"targets": []}, "no target"),
        ({"targets": [at.Target(1)], "target": at.Target(1)}, "choose one"),
        ({"targets": [at.Target(1), at.Target(9)]}, "no class 9"),
        ({"targets": [at.Target(1), 2]}, "got 2"),
        ({"targets": at.Target(1)}, r"such as targets=\["),
    ):
        with pytest.raises(at.Refusal, match=said):
            at.compare(model, noise(3, 8, 8), [at.Gradient()], **wrong)
