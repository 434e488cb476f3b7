"""Layer-wise relevance propagation: literal rules, LRP-0, conservation, and zennit as second opinion."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from reference import dense, relevance
from timm import create_model
from torch import Tensor, nn
from toys import model_of, noise, randomise, zoo_net
from zennit.attribution import Gradient
from zennit.composites import EpsilonAlpha2Beta1Flat, EpsilonPlusFlat, SpecialFirstLayerMapComposite, layer_map_base
from zennit.rules import Epsilon, ZBox, ZPlus
from zennit.torchvision import ResNetCanonizer, VGGCanonizer
from zennit.types import Convolution

import attribution as at
from attribution.methods.propagation.lrp import COMPOSITES

SIDE, CLASSES = 64, 12
LOGIT = at.Target(3, "logit")


def explain(net: nn.Module, x: Tensor, method: at.LRP, target: at.Target = LOGIT) -> at.Attribution:
    return at.attribute(model_of(net, (x.shape[1], x.shape[2]), CLASSES), x, method, target)


def without_biases(net: nn.Module) -> nn.Module:
    """The network with all biases and running means at zero."""
    for module in net.modules():
        for name in ("bias", "running_mean"):
            if isinstance(values := getattr(module, name, None), Tensor):
                values.data.zero_()
    return net


def small() -> nn.Sequential:
    """Convolutions of which the second has inputs of both signs, pooling and dense layers."""
    net = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3, padding=1)),
        nn.Sequential(nn.Conv2d(4, 4, 3, stride=2, groups=2), nn.ReLU(), nn.Flatten()),
        nn.Sequential(nn.Linear(36, 10), nn.ReLU()),
        nn.Sequential(nn.Linear(10, CLASSES)),
    )
    return randomise(net).double()


@pytest.mark.parametrize("composite", COMPOSITES)
def test_every_composite_follows_its_literal_rules(composite: str) -> None:
    net, x, epsilon = small(), noise(3, 7, 7, dtype=torch.float64), 0.01
    convolution, first = COMPOSITES[composite]
    activations = [x[None]]
    for layer in net:
        activations.append(layer(activations[-1]).detach())
    below = torch.zeros(CLASSES).double()
    below[3] = activations[-1][0, 3]
    rules = [first or convolution, convolution, "epsilon", "epsilon"]
    for layer, a, rule in list(zip(net, activations[:-1], rules, strict=True))[::-1]:
        weight, bias = dense(layer[0], tuple(a.shape[1:]))
        below = relevance(weight, bias, a.flatten(), below, rule, epsilon)
    found = explain(net, x, at.LRP(composite, epsilon))
    np.testing.assert_allclose(found.values.ravel(), below, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("name", ["resnet18", "vgg11", "squeezenet1_1", "googlenet"])
def test_lrp_0_is_input_x_gradient_in_rectifier_networks(name: str) -> None:
    more = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    model = model_of(zoo_net(name, CLASSES, **more).double(), (SIDE, SIDE), CLASSES)
    x = noise(3, SIDE, SIDE, dtype=torch.float64)
    for target in (LOGIT, at.Target(3), at.Target(3, "log_odds", 5)):
        product, found = at.compare(model, x, [at.InputXGradient(), at.LRP("epsilon", 0)], target)
        np.testing.assert_allclose(found.values, product.values, rtol=1e-9, atol=1e-13 * np.abs(product.values).max())
        assert any("input x gradient" in note for note in found.notes)


@pytest.mark.parametrize("composite", COMPOSITES)
def test_relevance_is_conserved_without_biases(composite: str) -> None:
    net = without_biases(zoo_net("resnet18", CLASSES)).double()
    found = explain(net, noise(3, SIDE, SIDE, dtype=torch.float64), at.LRP(composite, 0))
    assert len(found.conservation) > 6
    assert (found.conservation[0][0], found.conservation[-1][0]) == ("logits", "pixels")
    for _, total in found.conservation:
        assert total == pytest.approx(found.score, rel=1e-9)
    assert found.values.sum() == pytest.approx(found.score, rel=1e-9)


def test_biases_absorb_what_the_stages_lose() -> None:
    x = noise(3, SIDE, SIDE, dtype=torch.float64)
    found = explain(zoo_net("resnet18", CLASSES).double(), x, at.LRP())
    totals = [total for _, total in found.conservation]
    assert totals[0] == pytest.approx(found.score)
    assert totals[-1] == pytest.approx(found.values.sum())
    assert abs(totals[-1] / totals[0] - 1) > 0.01
    assert found.notes[0].startswith(f"Relevance: {totals[0]:.4g} at the logits (each times its gradient), ")
    assert f" {totals[-1]:.4g} at the pixels (" in found.notes[0]
    assert found.notes[0].endswith("changed by biases.")
    assert found.notes[1:] == ()


def test_a_note_warns_if_biases_absorb_nearly_everything() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, CLASSES))
    randomise(net)[0].bias.data.fill_(100.0)
    assert explain(net, noise(3, 8, 8), at.LRP("epsilon")).notes[1].startswith("Nearly all relevance was absorbed")


def zennits(name: str, epsilon: float) -> dict[str, object]:
    """Zennit's composites; its stabiliser of all other rules absorbs relevance, ours have none."""
    tiny, canonizers = 1e-14, [VGGCanonizer() if name == "vgg11" else ResNetCanonizer()]
    dark, light = torch.zeros(1, 3, 1, 1).double(), torch.ones(1, 3, 1, 1).double()
    box = SpecialFirstLayerMapComposite(
        [*layer_map_base(tiny), (Convolution, ZPlus(tiny)), (nn.Linear, Epsilon(epsilon))],
        [(Convolution, ZBox(dark, light, tiny))],
        canonizers,
    )
    return {
        "epsilon_plus_flat": EpsilonPlusFlat(epsilon, tiny, canonizers=canonizers),
        "epsilon_plus_box": box,
        "epsilon_alpha2_beta1_flat": EpsilonAlpha2Beta1Flat(epsilon, tiny, canonizers=canonizers),
    }


@pytest.mark.parametrize("name", ["vgg11", "resnet18"])
def test_zennit_agrees(name: str) -> None:
    net, x = zoo_net(name, CLASSES).double(), noise(3, 32, 32, dtype=torch.float64)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.0  # zennit divides by sqrt(1 + eps) once more where it merges a batch norm
    for key, composite in zennits(name, 1e-6).items():
        with Gradient(copy.deepcopy(net), composite) as attributor:
            _, theirs = attributor(x[None], lambda logits: torch.eye(CLASSES).double()[[3]] * logits)
        found = explain(net, x, at.LRP(key)).values
        np.testing.assert_allclose(found, theirs[0], rtol=1e-6, atol=1e-9 * float(theirs.abs().max()))


SPELLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "clamp": lambda z: z.clamp(min=0),
    "in place": lambda z: (z * 1).clamp_(min=0),
    "a view in place": lambda z: F.relu((z * 1)[:], inplace=True),
    "hardtanh": lambda z: F.hardtanh(z, 0, 1e9),
    "relu6, in place": lambda z: F.relu6(z / 1e3, inplace=True) * 1e3,
}


class Spelled(nn.Module):
    """Convolutions, called as functions, and one spelling of the rectifier."""

    def __init__(self, rectifier: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(64, CLASSES)
        self.rectifier = rectifier

    def forward(self, x: Tensor) -> Tensor:
        x = self.rectifier(F.conv2d(x, self.first.weight, self.first.bias))
        x = self.rectifier(torch.conv2d(input=x, weight=self.second.weight, bias=self.second.bias))
        return F.linear(x.flatten(1), self.last.weight, self.last.bias)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spellings_agree(spelling: str) -> None:
    x = noise(3, 8, 8, dtype=torch.float64)
    one, other = (explain(randomise(Spelled(each)).double(), x, at.LRP()) for each in (F.relu, SPELLINGS[spelling]))
    np.testing.assert_allclose(one.values, other.values, rtol=1e-12)
    assert other.notes[1:] == ()


def test_activations_and_gates_pass_relevance_on_in_full() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.gate, self.last = nn.Conv2d(3, 4, 3), nn.Linear(4, 4), nn.Linear(4, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            x = F.silu(self.conv(x))
            x = x * self.gate(x.mean((2, 3))).sigmoid()[:, :, None, None]
            x = torch.mul(input=x, other=torch.ones(()).to(x))
            return self.last(F.layer_norm((x * torch.sigmoid(x)).mean((2, 3)), (4,)))

    net = without_biases(randomise(Gated())).double()
    found = explain(net, noise(3, 8, 8, dtype=torch.float64), at.LRP("epsilon_plus_box", 0))
    assert found.values.sum() == pytest.approx(found.score, rel=1e-9)
    assert "gate" in found.notes[1]
    assert found.notes[2:] == ()


def test_attention_is_refused() -> None:
    net = randomise(create_model("vit_tiny_patch16_224", img_size=SIDE, num_classes=CLASSES))
    with pytest.raises(at.Refusal, match="no rule for softmax and attention"):
        explain(net, noise(3, SIDE, SIDE), at.LRP())


class Flip(nn.Module):
    """Mirrors the image."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flip(3)


def test_reordered_pixels_get_their_own_relevance() -> None:
    x, net = noise(3, 8, 8, dtype=torch.float64), nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 12))
    randomise(net.double())
    for composite in ("epsilon_plus_flat", "epsilon_plus_box"):
        expected = explain(net, x.flip(2), at.LRP(composite)).values
        found = explain(nn.Sequential(Flip(), net), x, at.LRP(composite)).values
        np.testing.assert_allclose(found[..., ::-1], expected, rtol=1e-9)


@pytest.mark.parametrize("before", [nn.AvgPool2d(2), nn.PixelUnshuffle(2), nn.ZeroPad2d(1)])
def test_what_precedes_the_first_operator_shares_its_relevance(before: nn.Module) -> None:
    channels = before(torch.zeros(1, 3, 8, 8)).shape[1]
    net = nn.Sequential(before, nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(CLASSES))
    x = noise(3, 8, 8, dtype=torch.float64)
    net(x[None].float())
    randomise(net).double()
    for composite in ("epsilon_plus_flat", "epsilon_plus_box"):
        found = explain(net, x, at.LRP(composite))
        assert found.values.all()
        assert found.values.sum() == pytest.approx(found.conservation[-2][1], rel=1e-9)


@pytest.mark.parametrize("composite", COMPOSITES)
def test_padding_and_normalisation_may_be_inside_the_network(composite: str) -> None:
    class Inside(nn.Module):
        def __init__(self, inside: bool) -> None:
            super().__init__()
            self.inside, self.conv = inside, nn.Conv2d(3, 4, 3, padding=0 if inside else 1)
            self.head = nn.Linear(4 * 64, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            if self.inside:
                x = F.pad((x - 0.4) / 0.3, [1, 1, 1, 1])
            return self.head(F.relu(self.conv(x)).flatten(1))

    x, names = noise(3, 8, 8, dtype=torch.float64), [str(index) for index in range(CLASSES)]
    found = []
    for inside, mean, deviation in ((True, 0.0, 1.0), (False, 0.4, 0.3)):
        net = randomise(Inside(inside)).double()
        model = at.Model("made", net, (8, 8), (mean,) * 3, (deviation,) * 3, names, device="cpu")
        found.append(at.attribute(model, x, at.LRP(composite), LOGIT))
    np.testing.assert_allclose(found[0].values, found[1].values, rtol=1e-9, atol=1e-13)


class Begins(nn.Module):
    """A network whose first linear operator has no rule."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.conv, self.head = nn.Parameter(torch.rand(8, 8)), nn.Conv2d(3, 4, 3), nn.Linear(144, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.conv(F.relu(x @ self.weight))).flatten(1))


def test_a_first_operator_without_a_rule_is_refused_or_named() -> None:
    net, x = randomise(Begins()).double(), noise(3, 8, 8, dtype=torch.float64)
    for composite in ("epsilon_plus_flat", "epsilon_plus_box"):
        with pytest.raises(at.Refusal, match=r"that reads the pixels, but this network begins with bmm;"):
            explain(net, x, at.LRP(composite))
    found = explain(net, x, at.LRP("epsilon"))
    assert any(note.startswith("These operators follow the epsilon rule with epsilon 0: ") for note in found.notes)


GATES: dict[str, Callable[[Tensor], Tensor]] = {
    "hard sigmoid by hand": lambda z: z * (F.relu6(z + 3) / 6),
    "clamp": lambda z: ((z + 3) / 6).clamp(0, 1) * z,
    "hardsigmoid": lambda z: torch.mul(z, other=F.hardsigmoid(z)),
    "hardswish": F.hardswish,
    "keyword": lambda z: z.mul(other=F.hardsigmoid(z)).mul(other=1.0),
}


@pytest.mark.parametrize("gate", GATES)
def test_every_spelling_of_a_gate_conserves_relevance(gate: str) -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 3, bias=False), nn.Linear(144, CLASSES, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(GATES[gate](self.conv(x)).flatten(1))

    found = explain(randomise(Gated()).double(), noise(3, 8, 8, dtype=torch.float64), at.LRP(epsilon=0.0))
    assert found.values.sum() == pytest.approx(found.score, rel=1e-9)
    assert not any("share the relevance" in note for note in found.notes)


def test_probabilities_instead_of_logits_are_refused() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, CLASSES), nn.LogSoftmax(1))
    with pytest.raises(at.Refusal, match=r"no rule for log_softmax; let the network return its logits"):
        explain(randomise(net).double(), noise(3, 8, 8, dtype=torch.float64), at.LRP())


def test_squares_and_norms_are_no_input_x_gradient() -> None:
    class Squared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(144, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            return self.head((y * y).flatten(1))

    found = explain(randomise(Squared()).double(), noise(3, 8, 8, dtype=torch.float64), at.LRP("epsilon", 0.0))
    assert "Two activations that are multiplied share the relevance equally." in found.notes
    assert not any("input x gradient" in note for note in found.notes)


def test_grey_models_share_the_relevance_equally() -> None:
    net = randomise(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)))
    model = at.Model("grey", net, (8, 8), (0.4,), (0.3,), list("abc"), device="cpu", channels=1)
    for composite in ("epsilon_plus_flat", "epsilon_plus_box"):
        values = at.attribute(model, noise(3, 8, 8), at.LRP(composite)).values
        assert values.any()
        assert np.array_equal(values[0], values[2])


def test_conservation_is_saved(tmp_path: object) -> None:
    found = explain(small(), noise(3, 7, 7, dtype=torch.float64), at.LRP())
    found.save(tmp_path / "map.npz")
    assert at.load(tmp_path / "map.npz").conservation == found.conservation
    assert found.conservation
