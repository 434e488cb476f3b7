"""Model randomisation: what is shared, what is random, and what is known to come out."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from test_contract import NETS
from torch import Tensor, nn
from torchvision import models as zoo
from toys import model_of, noise, randomise

import attribution as at
from attribution.checks import sanity
from attribution.checks.sanity import HELD_CLASS, PICKED_CLASS, Part, Randomisation, layers, likeness, randomised
from attribution.methods.method import Method

SIDE = 64


@pytest.fixture(scope="module")
def resnet() -> at.Model:
    return model_of(randomise(zoo.resnet18(weights=None, num_classes=12)), (SIDE, SIDE), 12)


def digest(net: nn.Module) -> dict[str, str]:
    tensors = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    return {name: hashlib.sha256(each.contiguous().numpy().tobytes()).hexdigest() for name, each in tensors.items()}


@pytest.mark.parametrize("name", NETS)
def test_all_weights_are_in_some_layer_once_in_the_order_of_the_pass(name: str) -> None:
    model = model_of(randomise(NETS[name]()), (SIDE, SIDE), 12)
    names = [each for group in layers(model, 1000) for each in group]
    statistics = ("running_mean", "running_var")
    weighted = [
        each
        for each, module in model.net.named_modules()
        if list(module.parameters(recurse=False)) or any(hasattr(module, name) for name in statistics)
    ]
    assert sorted(names) == sorted(weighted)
    assert len(layers(model, 5)) == 5
    assert [each for group in layers(model, 5) for each in group] == names
    if name == "vit":  # the class token stands in the network itself, the place of a patch in the encoder
        assert names[:2] == ["", "conv_proj"]
        assert names[-1] == "heads.head"


def test_what_is_not_randomised_is_shared_and_the_original_stays_as_it_was(resnet: at.Model) -> None:
    before, x = digest(resnet.net), noise(3, SIDE, SIDE)
    expected = at.attribute(resnet, x, at.Gradient()).values
    names = ["layer4.1.conv2", "layer4.1.bn2", "fc"]
    twin = randomised(resnet, names)
    ours, theirs = dict(resnet.net.named_parameters()), dict(twin.net.named_parameters())
    for name, tensor in theirs.items():
        assert (tensor is ours[name]) == (name.rpartition(".")[0] not in names), name
    changed = {name for name, each in digest(twin.net).items() if each != before[name]}
    assert {name.rpartition(".")[0] for name in changed} == set(names)
    assert digest(resnet.net) == before
    assert np.array_equal(at.attribute(resnet, x, at.Gradient()).values, expected)
    assert abs(at.attribute(twin, x, at.Gradient()).values - expected).max() > 0.1 * abs(expected).max()
    assert twin.weights != resnet.weights


def test_no_two_layers_of_one_shape_get_the_same_numbers_and_all_keep_their_spread(resnet: at.Model) -> None:
    names = [name for group in layers(resnet) for name in group]
    twin, other = randomised(resnet, names), randomised(resnet, names, seed=1)
    weights = [each for each in twin.net.parameters() if each.numel() > 1000]
    alike = [
        float(np.corrcoef(one.ravel(), two.ravel())[0, 1])  # whatever the spread of either
        for place, one in enumerate(weights)
        for two in weights[:place]
        if one.shape == two.shape
    ]
    assert len(alike) > 10
    assert max(map(abs, alike)) < 0.1
    for (name, ours), theirs, again in zip(
        resnet.net.named_parameters(), twin.net.parameters(), other.net.parameters(), strict=True
    ):
        if ours.numel() > 1000:
            assert float(theirs.std()) == pytest.approx(float(ours.std()), rel=0.1), name
            assert not torch.equal(theirs, again)
    for (name, ours), theirs in zip(resnet.net.named_buffers(), twin.net.buffers(), strict=True):
        assert sorted(ours.ravel().tolist()) == sorted(theirs.ravel().tolist()), name


def test_a_layer_has_the_same_random_weights_at_every_stage(resnet: at.Model) -> None:
    one, both = randomised(resnet, ["fc"]), randomised(resnet, ["layer1.0.conv1", "fc"])
    assert torch.equal(one.net.fc.weight, both.net.fc.weight)


@pytest.mark.parametrize("order", at.sanity.ORDERS)
def test_stages_follow_the_order(resnet: at.Model, order: str) -> None:
    x, seen, fractions = noise(3, SIDE, SIDE), [], []
    found = at.sanity.randomise(
        *(resnet, x, [at.Gradient(), at.GradCAM(9)], at.Target(3), Randomisation(order, 4)),
        on_found=seen.append,
        on_progress=fractions.append,
    )
    groups = layers(resnet, 4)
    assert [stage.layers for stage in found.stages] == [(), *(groups[::-1] if order == "top" else groups)]
    assert seen[-1] is found
    known = [[number for number, stage in enumerate(each.stages) if all(stage.results)] for each in seen]
    assert [max(each, default=None) for each in known][:2] == [None, None]
    assert list(dict.fromkeys(number for each in known for number in each)) == [0, 4, 2, 1, 3]
    assert list(dict.fromkeys(map(len, known))) == [0, 1, 2, 3, 4, 5]
    for so_far in seen:  # what is shown early is final
        for early, late in zip(so_far.stages, found.stages, strict=True):
            assert early.layers == late.layers
            assert all(one is None or one is two for one, two in zip(early.results, late.results, strict=True))
    assert fractions == sorted(fractions)
    assert all(each.results[0].target == at.Target(3) for each in found.stages)
    assert found.stages[0].likeness[0].absolute == pytest.approx(1)
    assert found.stages[0].likeness[0].structure == pytest.approx(1)
    gone = [name for group in found.stages[1:3] for name in group.layers] if order != "single" else groups[1]
    expected = at.attribute(randomised(resnet, gone), x, at.Gradient(), at.Target(3)).values
    assert np.array_equal(found.stages[2].results[0].values, expected)
    assert isinstance(found.stages[0].results[1], at.Refusal)
    assert found.stages[1].likeness[1] is None
    assert found.sentence(1) == "Grad-CAM: no map to compare."
    assert found.sentence(0).startswith("Gradient: ")
    assert set(found.controls) == {"edges of the photo", "noise"}
    values, alike = found.controls["noise"]
    assert values.shape == x.shape
    assert abs(alike[0].absolute) < 0.05


def test_the_class_is_held_or_picked_again(resnet: at.Model) -> None:
    x = noise(3, SIDE, SIDE)
    held, picked = (
        at.sanity.randomise(resnet, x, [at.Gradient()], None, Randomisation("top", 3, picked, 2))
        for picked in (HELD_CLASS, PICKED_CLASS)
    )
    assert len({stage.results[0].target.index for stage in held.stages}) == 1
    last = randomised(resnet, [name for group in layers(resnet) for name in group], seed=2)
    assert picked.stages[-1].results[0].target.index == last.predict(x)[0][0]


def test_random_networks_take_as_many_automatic_steps_as_the_trained_one(resnet: at.Model) -> None:
    x, plan = noise(3, SIDE, SIDE), Randomisation("top", 2)
    found = at.sanity.randomise(resnet, x, [at.IntegratedGradients()], at.Target(1), plan)
    first, *others = [stage.results[0] for stage in found.stages]
    assert first.settings["steps"] == "auto"
    assert [each.settings["steps"] for each in others] == [first.backwards] * (len(found.stages) - 1)


def test_kept_maps_are_not_computed_again(resnet: at.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    x, plan, computed = noise(3, SIDE, SIDE), Randomisation("top", 4), list[str]()

    class Kept(dict[Part, at.Attribution | at.Refusal]):
        def put(self, part: Part, found: at.Attribution | at.Refusal) -> None:
            self[part] = found

    def counted(model: at.Model, x: Tensor, methods: list[Method], *rest: object, **more: object) -> object:
        computed.extend(method.key for method in methods)
        return at.compare(model, x, methods, *rest, **more)

    monkeypatch.setattr(sanity, "compare", counted)
    kept, pair = Kept(), [at.Gradient(), at.GuidedBackprop()]
    first = at.sanity.randomise(resnet, x, pair[:1], at.Target(3), plan, kept=kept)
    assert computed == ["gradient"] * 7  # five networks, and two classes
    computed.clear()
    both = at.sanity.randomise(resnet, x, pair, at.Target(3), plan, kept=kept)
    assert computed == ["guided_backprop"] * 7
    assert all(one.results[0] is two.results[0] for one, two in zip(first.stages, both.stages, strict=True))
    computed.clear()
    at.sanity.randomise(resnet, x, pair, at.Target(3), Randomisation("bottom", 4), kept=kept)
    assert computed == ["gradient", "guided_backprop"] * 3  # neither the trained nor the wholly random network
    fresh = at.sanity.randomise(resnet, x, pair, at.Target(3), plan)
    for one, two in zip((*both.stages, both.swap), (*fresh.stages, fresh.swap), strict=True):
        assert one.likeness == two.likeness
        assert all(np.array_equal(a.values, b.values) for a, b in zip(one.results, two.results, strict=True))


def test_a_cancel_leaves_the_network_as_it_was(resnet: at.Model) -> None:
    before = digest(resnet.net)

    def stop(fraction: float) -> None:
        if fraction > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        at.sanity.randomise(resnet, noise(3, SIDE, SIDE), [at.Gradient()], on_progress=stop)
    assert digest(resnet.net) == before


def test_an_unknown_order_is_refused(resnet: at.Model) -> None:
    with pytest.raises(at.Refusal, match=r"^Sanity: order must be one of top, bottom, single, got 'sideways'\.$"):
        at.sanity.randomise(resnet, noise(3, SIDE, SIDE), [at.Gradient()], None, Randomisation("sideways"))


def test_likeness_is_what_its_names_say() -> None:
    one = np.random.default_rng(0).normal(size=(3, 20, 20))
    same, opposite, flat = likeness(one, 5 * one), likeness(one, -one), likeness(one, np.zeros_like(one))
    assert (same.absolute, same.signed, same.structure) == pytest.approx((1, 1, 1))
    assert (opposite.absolute, opposite.signed, opposite.structure) == pytest.approx((1, -1, 1))
    assert (flat.absolute, flat.signed, flat.structure) == (None, None, None)
    other = np.random.default_rng(1).normal(size=(3, 20, 20))
    expected = spearmanr(np.abs(one).sum(0).ravel(), np.abs(other).sum(0).ravel()).statistic
    assert likeness(one, other).absolute == pytest.approx(expected)


def test_guided_backpropagation_keeps_its_map_where_the_gradient_loses_it(
    squeezenet: at.Model, shepherd: Tensor
) -> None:
    """The known result of Adebayo et al.: half of the layers random, from the top."""
    methods = [at.Gradient(), at.GuidedBackprop()]
    found = at.sanity.randomise(squeezenet, shepherd, methods, at.Target(235, "logit"), Randomisation("top", 6))
    gradient, guided = (np.mean([stage.likeness[place].absolute for stage in found.stages[1:]]) for place in range(2))
    assert gradient < guided - 0.1
    assert found.swap.results[0].target.score == "logit"
    assert found.swap.results[0].target.index != 235
    assert found.swap.likeness[1].absolute > found.swap.likeness[0].absolute
    assert found.swapped(1).startswith("Similarity between its logit maps of this class and ")
    classes = (235, found.swap.results[1].target.index)
    one, two = (at.attribute(squeezenet, shepherd, methods[1], at.Target(each, "logit")) for each in classes)
    assert found.swap.likeness[1] == likeness(one.values, two.values)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["squeezenet1_1", "efficientnet_lite0"])
def test_over_all_samples_the_gradient_falls_faster_than_guided_backpropagation(name: str, samples: Path) -> None:
    """The known result of Adebayo et al., from the top; the numbers are printed."""
    model, methods = at.load_model(name, device="cpu"), [at.Gradient(), at.GuidedBackprop()]
    curves = []
    for path in sorted(samples.glob("*.jpg")):
        found = at.sanity.randomise(model, model.prepare(at.open_image(path)), methods)
        curves.append([[alike.absolute for alike in stage.likeness] for stage in found.stages])
    mean = np.mean(curves, 0)  # (stages, 2)
    for stage, label in enumerate(map(found.label, range(len(mean)))):
        print(f"{name} {label}: gradient {mean[stage, 0]:.2f}, guided backpropagation {mean[stage, 1]:.2f}")
    half = len(mean) // 2
    assert (mean[1 : half + 1, 0] < mean[1 : half + 1, 1] - 0.1).all()


class Tied(nn.Module):
    """Two layers of one weight, one that is read without being called, and statistics without weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.second.weight = self.first.weight
        self.norm, self.head = nn.BatchNorm2d(3, affine=False), nn.Linear(3, 4)
        self.norm.running_mean.copy_(torch.tensor([0.1, 0.2, 0.3]))
        self.register_buffer("places", torch.arange(7))
        self.scale = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.second(self.first(x).relu())).relu().mean((2, 3)) * self.scale
        return nn.functional.linear(x, self.head.weight, self.head.bias)


def test_tied_and_uncalled_layers_statistics_and_indices_are_seen_for_what_they_are() -> None:
    model = model_of(Tied(), (12, 12), 4)
    groups = layers(model, 9)
    assert groups == (("", "head"), ("first",), ("second",), ("norm",))
    one, both = randomised(model, ["first"]), randomised(model, ["first", "second"])
    assert torch.equal(one.net.first.weight, both.net.second.weight)
    assert one.net.first.weight is one.net.second.weight
    assert torch.equal(one.net.second.bias, model.net.second.bias)
    everything = randomised(model, [name for group in groups for name in group])
    assert torch.equal(everything.net.places, torch.arange(7))
    assert sorted(everything.net.norm.running_mean.tolist()) == sorted(model.net.norm.running_mean.tolist())
    assert not torch.equal(everything.net.head.weight, model.net.head.weight)
    assert not torch.equal(everything.net.scale, model.net.scale)
    with torch.inference_mode():
        found = at.sanity.randomise(model, noise(3, 12, 12), [at.Gradient()], plan=Randomisation("bottom", 9))
    assert found.label(1) == "up to head"


def test_what_cannot_be_checked_says_so(resnet: at.Model) -> None:
    bare = model_of(nn.Sequential(nn.AvgPool2d(4), nn.Flatten()), (4, 4), 3)
    with pytest.raises(at.Refusal, match=r"^toy has no weights to randomise; choose another model\.$"):
        at.sanity.randomise(bare, noise(3, 4, 4), [at.Gradient()])
    with pytest.raises(at.Refusal, match="has no stage 9"):
        at.sanity.randomise(resnet, noise(3, SIDE, SIDE), [at.GradCAM(9)])


def test_the_sentences_tell_what_is_kept_and_what_is_not() -> None:
    def found(order: str, *absolutes: float | None) -> at.sanity.Sanity:
        stages = [
            at.sanity.Stage(("layer",), (at.Refusal(""),), (at.sanity.Likeness(each, each, each),))
            for each in absolutes
        ]
        return at.sanity.Sanity((at.Gradient(),), Randomisation(order), tuple(stages), {})

    assert (
        found("top", 1.0, 0.8, 0.27).sentence(0).startswith("Gradient: similarity after randomising all weights, 0.27.")
    )
    assert found("top", 1.0, -0.2).sentence(0).startswith("Gradient: similarity after randomising all weights, -0.20")
    assert found("top", None, 0.5).sentence(0).endswith("is constant, so there is nothing to compare.")
    assert (
        found("top", 1.0, 0.5, None).sentence(0).endswith("constant from stage 2 on, so there is nothing to compare.")
    )
    some = found("top", 1.0, 0.5, None, 0.4, None, None, 0.3).sentence(0)
    assert some.endswith("constant at stages 2, 4 to 5, so there is nothing to compare there.")
    least = found("single", 1.0, 0.8, 0.3, 0.9).sentence(0)
    assert least.endswith("lowest similarity at stage 2, 0.30.")
    whole = found("top", 1.0, 0.8, 0.27)
    middle = dataclasses.replace(whole.stages[1], results=(None,), likeness=(None,))
    partial = dataclasses.replace(whole, stages=(whole.stages[0], middle, whole.stages[2]))
    assert partial.sentence(0).endswith("weights, 0.27.")
    partial = dataclasses.replace(whole, stages=(whole.stages[0], middle, middle))
    assert partial.sentence(0) == "Gradient: not computed yet."
    edges = (np.zeros((3, 2, 2), np.float32), (at.sanity.Likeness(0.4, 0.0, None),))
    seen = dataclasses.replace(found("top", 1.0, 0.27), controls={"edges": edges})
    assert "weights, 0.27 (no higher than the best control, 0.40)." in seen.sentence(0)
