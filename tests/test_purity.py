"""The caller's network is unchanged after a success, after an exception, after a cancel, and with two threads."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision import models as zoo
from toys import CONVOLUTIONAL, brief, model_of, noise, randomise, vision_transformer

import attribution as at
from attribution.methods.method import Method

METHODS = [brief(method) for method in at.METHODS.values()]


class Broken(nn.Module):
    """A network that fails after a number of calls."""

    def __init__(self, net: nn.Module, after: int) -> None:
        super().__init__()
        self.net, self.left = net, after

    def forward(self, x: Tensor) -> Tensor:
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("out of order")
        return self.net(x)


def seen(net: nn.Module) -> Iterator[Any]:
    """Yield everything about a network that an attribution might change."""
    yield [name for name, _ in net.named_modules()]
    for module in net.modules():
        yield module.training, getattr(module, "inplace", None), type(module)
        yield {name: dict(value) for name, value in vars(module).items() if "_hooks" in name}
    for tensor in (*net.parameters(), *net.buffers()):
        digest = hashlib.sha256(tensor.detach().contiguous().numpy().tobytes()).hexdigest()
        yield digest, tensor.requires_grad, tensor.grad is None, tensor.stride(), tensor.device
    yield torch.is_grad_enabled(), torch.get_num_threads(), torch.get_rng_state().tolist()


def callers_net() -> nn.Module:
    """Return a network in the middle of training: in training mode, with a hook and a gradient."""
    net = randomise(zoo.resnet18(weights=None, num_classes=10)).train()
    net.layer1[0].relu.register_forward_hook(lambda *_: None)
    net.fc.weight.grad = torch.ones_like(net.fc.weight)
    return net


def callers_transformer() -> nn.Module:
    """Return another one."""
    net = randomise(vision_transformer(classes=10)).train()
    net.encoder.ln.register_forward_hook(lambda *_: None)
    return net


@pytest.mark.parametrize("made", [callers_net, callers_transformer])
def test_success_leaves_everything_as_it_was(made: Callable[[], nn.Module]) -> None:
    net = made()
    before = list(seen(net))
    model, x = model_of(net, (64, 64), 10), noise(3, 64, 64)
    for _ in range(2):
        at.compare(model, x, METHODS)
    model.predict(x)
    assert list(seen(net)) == before


@cache
def broken_and_whole(made: Callable[[], nn.Module]) -> tuple[nn.Module, at.Model, at.Model]:
    """Return a network that can fail, its model, and a model that cannot."""
    net = Broken(made(), after=1000)
    return net, model_of(net, (64, 64), 10), model_of(made(), (64, 64), 10)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.key)
def test_an_exception_leaves_everything_as_it_was(method: Method) -> None:
    made = callers_net if method.key in CONVOLUTIONAL else callers_transformer
    net, model, whole = broken_and_whole(made)
    before = list(seen(net))
    model.running_net.left = 0
    with pytest.raises(RuntimeError, match="out of order"):
        at.attribute(model, noise(3, 64, 64), method)
    assert list(seen(net)) == before
    model.running_net.left = 1000
    expected = at.attribute(whole, noise(3, 64, 64), method).values
    assert np.array_equal(at.attribute(model, noise(3, 64, 64), method).values, expected)


def test_a_cancel_leaves_everything_as_it_was() -> None:
    net = callers_net()
    model, x, before = model_of(net, (64, 64), 10), noise(3, 64, 64), list(seen(net))
    expected = at.attribute(model, x, at.IntegratedGradients(8)).values

    def cancel(fraction: float, partial: object) -> None:
        if fraction > 0.3:
            raise KeyboardInterrupt

    for method in METHODS:
        with pytest.raises(KeyboardInterrupt):
            at.compare(model, x, [at.Gradient(), method, at.IntegratedGradients(20)], on_progress=cancel)
    assert list(seen(net)) == before
    assert np.array_equal(at.attribute(model, x, at.IntegratedGradients(8)).values, expected)


def test_changing_the_callers_network_later_changes_no_map() -> None:
    net = callers_net()
    model, x = model_of(net, (64, 64), 10), noise(3, 64, 64)
    before = at.attribute(model, x, at.Gradient()).values
    net.fc.weight.data.zero_()
    assert np.array_equal(at.attribute(model, x, at.Gradient()).values, before)


@pytest.mark.parametrize("made", [callers_net, callers_transformer])
def test_gradients_disabled_by_the_caller_stay_disabled_and_do_not_matter(made: Callable[[], nn.Module]) -> None:
    model, x = model_of(made(), (64, 64), 10), noise(3, 64, 64)
    expected = at.compare(model, x, METHODS)
    with torch.no_grad():
        found = at.compare(model, x, METHODS)
        assert not torch.is_grad_enabled()
    for one, other in zip(found.maps, expected.maps, strict=True):
        assert np.array_equal(one.values, other.values)


def test_two_threads_on_one_model_compute_the_same_maps_as_one() -> None:
    model = model_of(callers_net(), (64, 64), 10)
    photos = [noise(3, 64, 64, seed=seed) for seed in range(6)]
    methods = [at.IntegratedGradients(5), at.GuidedBackprop(), at.ZeilerFergus(), at.Gradient()]
    torch.set_num_threads(1)

    def maps(x: Tensor) -> list[np.ndarray]:
        return [result.values for result in at.compare(model, x, methods)]

    alone = [maps(x) for x in photos]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(maps, photos * 3))
    for expected, found in zip(alone * 3, together, strict=True):
        for one, other in zip(expected, found, strict=True):
            assert np.array_equal(one, other)
