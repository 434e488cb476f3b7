"""Batch norm is folded where that is exact and nowhere else."""

import pytest
import torch
from timm import create_model
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm
from torchvision import models as zoo
from toys import CONVOLUTIONAL, brief, model_of, noise, randomise

import attribution as at
from attribution.network.folding import fold
from attribution.network.lanes import Twins
from attribution.network.layers import watch


def folded(net: nn.Module, side: int = 64) -> tuple[nn.Module, int]:
    """Return the derived network and its number of remaining batch norms."""
    images = noise(2, 3, side, side, seed=5)

    def run(each: nn.Module) -> Tensor:
        with torch.no_grad():
            return each(images)

    found = fold(net, run, run(net))
    return found, sum(isinstance(module, nn.BatchNorm2d) for module in found.modules())


@pytest.mark.parametrize(
    ("make", "left"),
    [
        (lambda: zoo.resnet18(weights=None, num_classes=5), 0),
        (lambda: zoo.googlenet(weights=None, num_classes=5, aux_logits=False, init_weights=False), 0),
        (lambda: zoo.mobilenet_v2(weights=None, num_classes=5), 0),
        (lambda: zoo.densenet121(weights=None, num_classes=5), 62),  # most of its batch norms precede a convolution
        (lambda: create_model("tf_efficientnet_lite0", num_classes=5), 0),
    ],
    ids=["resnet18", "googlenet", "mobilenet_v2", "densenet121", "efficientnet_lite0"],
)
def test_networks_lose_the_batch_norms_after_their_convolutions(make: object, left: int) -> None:
    net = randomise(make())
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    derived, count = folded(net)
    assert derived is not net
    assert count == left
    x = noise(2, 3, 64, 64, seed=9)
    with torch.no_grad():
        torch.testing.assert_close(derived(x), net(x), rtol=1e-4, atol=1e-4 * float(net(x).abs().max()))
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_what_is_not_folded_is_shared() -> None:
    net = randomise(zoo.resnet18(weights=None, num_classes=5))
    derived, _ = folded(net)
    assert derived.fc.weight is net.fc.weight
    assert derived.conv1.weight is not net.conv1.weight


class Twice(nn.Module):
    """A convolution whose output is used both normalised and as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.head((functional.relu(self.norm(y)) + y).mean((2, 3)))


class Overwritten(Twice):
    """An in-place rectifier between convolution and batch norm."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.conv(x).relu_()).mean((2, 3)))


class Reused(Twice):
    """One convolution and one batch norm, both called twice."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.conv(x)).mean((2, 3)) + self.norm(self.conv(x.flip(3))).mean((2, 3)))


class Weighted(nn.Module):
    """A convolution whose weight is recomputed at every call."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = weight_norm(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(functional.relu(self.norm(self.conv(x))).mean((2, 3)))


@pytest.mark.parametrize("make", [Twice, Overwritten, Reused, Weighted])
def test_what_cannot_be_folded_exactly_is_left_as_it_is(make: type[nn.Module]) -> None:
    net = make()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.fill_(0.3)
            module.running_var.fill_(2.0)
            module.bias.data.fill_(0.1)
    net.eval()
    derived, _ = folded(net, 16)
    assert derived is net


# LRP depends on it by definition: a folded norm's shift is the convolution's bias, which shares its denominators.
@pytest.mark.parametrize("method", [key for key in CONVOLUTIONAL if key != "lrp"])
def test_folding_does_not_change_the_maps(method: str) -> None:
    model = model_of(randomise(zoo.resnet18(weights=None, num_classes=5)).double(), (64, 64), 5)
    assert model.running_net is not model.net
    x = noise(3, 64, 64, dtype=torch.float64)
    fast = at.attribute(model, x, brief(at.METHODS[method])).values
    watch(model.net)
    model.running_net, model._running = model.net, Twins(model.net, model._twin)
    given = at.attribute(model, x, brief(at.METHODS[method])).values
    assert abs(fast - given).max() < 1e-9 * abs(given).max()
