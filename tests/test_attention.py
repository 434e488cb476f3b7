"""Attention rollout and relevance: known answers, every spelling of attention, and the libraries' transformers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import reference
import timm
import torch
import torch.nn.functional as F
import transformers as hf
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision import models as zoo
from toys import model_of, noise, randomise, vision_transformer

import attribution as at
from attribution.methods.method import Method
from attribution.network.attention import Tokens, Weights
from attribution.network.layer import Layer

CLASSES, WIDTH, HEADS = 5, 8, 2
LOGIT = at.Target(1, "logit")
METHODS: list[Method] = [at.AttentionRollout(), at.AttentionRelevance()]


def explicit(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v


def transposed(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (v.mT @ (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1).mT).mT


def einsum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = torch.einsum("nhtd,nhsd->nhts", q, k).div(q.shape[-1] ** 0.5).softmax(-1)
    return torch.einsum("nhts,nhsd->nhtd", F.dropout(weights, 0.5, False), v)


def scaled(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(7 * q, k, v, scale=q.shape[-1] ** -0.5 / 7)


def masked(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, attn_mask=torch.ones(q.shape[2], k.shape[2], dtype=torch.bool))


def biased(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch._C._nn.scaled_dot_product_attention(q, k, v, torch.full((q.shape[2], k.shape[2]), 0.7).to(q))


SPELLINGS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "fused": F.scaled_dot_product_attention,
    "aten": torch.ops.aten.scaled_dot_product_attention,
    "aten default": torch.ops.aten.scaled_dot_product_attention.default,
    "scaled": scaled,
    "masked": masked,
    "biased": biased,
    "explicit": explicit,
    "transposed": transposed,
    "einsum": einsum,
}
MODULES = {
    "batch first": {"batch_first": True},  # satisfies all conditions of PyTorch's fast path but the gradient
    "sequence first": {"batch_first": False},
    "needs weights": {"batch_first": True, "need_weights": True},
}


class Block(nn.Module):
    """Attention and a small network, each with a norm before it and a skip connection around it."""

    def __init__(self, spelling: Any) -> None:
        super().__init__()
        self.spelling, self.heads = spelling, HEADS
        self.before, self.after = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.out(self.mix(self.before(x)))
        return x + self.mlp(self.after(x))

    def mix(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.spelling(q, k, v).transpose(1, 2).flatten(2)


class ModuleBlock(Block):
    """The same with PyTorch's module."""

    def __init__(self, options: dict[str, bool]) -> None:
        super().__init__(None)
        self.needs = options.get("need_weights", False)
        self.module = nn.MultiheadAttention(WIDTH, HEADS, batch_first=options["batch_first"])

    def mix(self, x: Tensor) -> Tensor:
        x = x if self.module.batch_first else x.transpose(0, 1)
        mixed, weights = self.module(x, x, x, need_weights=self.needs)
        assert (weights is not None) == self.needs
        return mixed if self.module.batch_first else mixed.transpose(0, 1)


class Tiny(nn.Module):
    """A transformer whose head reads the class token, or the mean of all tokens if there is none."""

    def __init__(
        self, spelling: Any = explicit, depth: int = 3, size: tuple[int, int] = (16, 16), first: bool = True
    ) -> None:
        super().__init__()
        kind = ModuleBlock if isinstance(spelling, dict) else Block
        self.patches = nn.Conv2d(3, WIDTH, 4, 4)
        self.first = nn.Parameter(torch.zeros(1, 1, WIDTH)) if first else None
        self.places = nn.Parameter(torch.zeros(1, size[0] * size[1] // 16 + first, WIDTH))
        self.blocks = nn.Sequential(*[kind(spelling) for _ in range(depth)])
        self.head = nn.Linear(WIDTH, CLASSES)
        random = torch.Generator().manual_seed(0)
        for name, each in sorted(self.named_parameters()):
            if "module" not in name:
                each.data.normal_(0, 0.7, generator=random)
        for block in self.blocks:
            if isinstance(block, ModuleBlock):
                block.module.in_proj_weight, block.module.in_proj_bias = block.qkv.weight, block.qkv.bias
                block.module.out_proj.weight.data, block.module.out_proj.bias.data = (
                    torch.eye(WIDTH),
                    torch.zeros(WIDTH),
                )
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).mT
        if self.first is not None:
            x = torch.cat([self.first.expand(len(x), -1, -1), x], 1)
        x = self.blocks(x + self.places)
        return self.head(x.mean(1) if self.first is None else x[:, 0])


def explained(net: nn.Module, size: tuple[int, int] = (16, 16)) -> list[np.ndarray]:
    """The maps of both methods, (H, W)."""
    x = noise(3, *size, dtype=torch.float64)
    return [each.values.sum(0) for each in at.compare(model_of(net, size, CLASSES), x, METHODS, LOGIT)]


def upsampled(row: Tensor, size: tuple[int, int], patch: int = 4) -> np.ndarray:
    """One value per patch, at the end of a row of tokens, as an image."""
    grid = (size[0] // patch, size[1] // patch)
    cells = row[-grid[0] * grid[1] :].double().view(1, 1, *grid)
    return F.interpolate(cells, size, mode="bilinear")[0, 0].numpy()


def same(found: np.ndarray, expected: np.ndarray, tolerance: float = 1e-9) -> None:
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("size", [(16, 16), (16, 32)])
@pytest.mark.parametrize("first", [True, False], ids=["class token", "mean"])
def test_maps_equal_the_literal_ones(size: tuple[int, int], first: bool) -> None:
    net = Tiny(size=size, first=first)
    layers = reference.attention(net, noise(3, *size, dtype=torch.float64), 1)
    products = reference.rollout([weights for weights, _ in layers]), reference.attention_relevance(layers)
    for found, product in zip(explained(net, size), products, strict=True):
        same(found, upsampled(product[0] if first else product.mean(0), size))


def test_one_layer() -> None:
    net = Tiny(depth=1)
    ((weights, gradients),) = reference.attention(net, noise(3, 16, 16, dtype=torch.float64), 1)
    rollout, relevance = explained(net)
    same(rollout, upsampled(weights.mean(0)[0] / 2, (16, 16)))
    same(relevance, upsampled((weights * gradients).clamp(min=0).mean(0)[0], (16, 16)))
    model, x = model_of(net, (16, 16), CLASSES), noise(3, 16, 16, dtype=torch.float64)
    odds, share = (
        at.attribute(model, x, at.AttentionRelevance(), at.Target(1, score)) for score in ("log_odds", "probability")
    )
    same(share.values, odds.values * share.score * (1 - share.score))


@pytest.fixture(scope="module")
def literal() -> list[np.ndarray]:
    """The maps of a network of two layers."""
    layers = reference.attention(Tiny(depth=2), noise(3, 16, 16, dtype=torch.float64), 1)
    products = reference.rollout([weights for weights, _ in layers]), reference.attention_relevance(layers)
    return [upsampled(each[0], (16, 16)) for each in products]


@pytest.mark.parametrize("spelling", [*SPELLINGS, *MODULES])
def test_every_spelling_has_the_same_map(literal: list[np.ndarray], spelling: str) -> None:
    for found, expected in zip(explained(Tiny((SPELLINGS | MODULES)[spelling], 2)), literal, strict=True):
        same(found, expected)


def causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    hidden = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).triu(1)
    return (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(hidden, -torch.inf).softmax(-1) @ v


PAIRS = {
    "causal": (causal, lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True)),
    "grouped": (
        lambda q, k, v: explicit(q, k[:, :1].repeat(1, HEADS, 1, 1), v[:, :1].repeat(1, HEADS, 1, 1)),
        lambda q, k, v: F.scaled_dot_product_attention(q, k[:, :1], v[:, :1], enable_gqa=True),
    ),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_options_of_fused_attention_are_followed(pair: str) -> None:
    ours, theirs = (explained(Tiny(spelling, 2, first=False)) for spelling in PAIRS[pair])
    for found, expected in zip(theirs, ours, strict=True):
        same(found, expected)


def test_a_network_that_needs_pairs_has_the_same_map(literal: list[np.ndarray]) -> None:
    model, x = model_of(Tiny(depth=2), (16, 16), CLASSES), noise(3, 16, 16, dtype=torch.float64)
    model.inspection = replace(model.inspection, min_batch=2)
    for found, expected in zip(at.compare(model, x, METHODS, LOGIT), literal, strict=True):
        same(found.values.sum(0), expected)


def test_only_relevance_depends_on_the_class() -> None:
    model, x = model_of(Tiny(), (16, 16), CLASSES), noise(3, 16, 16, dtype=torch.float64)
    for method, depends in zip(METHODS, (False, True), strict=True):
        one, other = at.compare(model, x, [method], targets=[at.Target(0, "logit"), at.Target(1, "logit")])
        assert np.array_equal(one[0].values, other[0].values) != depends
        assert ("The map is the same for every class." in one[0].notes) != depends


@given(st.integers(1, 4), st.integers(1, 3), st.integers(2, 9), st.booleans(), st.integers(0, 2**16), st.data())
def test_both_are_the_literal_products_and_shares_sum_to_one(
    depth: int, heads: int, count: int, pooled: bool, seed: int, data: st.DataObject
) -> None:
    random = torch.Generator().manual_seed(seed)

    def weights(outputs: int) -> Weights:
        shape = (heads, outputs, count)
        return Weights(torch.randn(shape, generator=random).softmax(-1), torch.randn(shape, generator=random))

    layers, pool = [weights(count) for _ in range(depth)], weights(1)
    read = (0,) if pooled else tuple(sorted(data.draw(st.sets(st.integers(0, count - 1), min_size=1))))
    tokens = Tokens(Layer("", 1, 1, count, 0), read)
    shares, relevances = (each.follow([*layers, pool][: depth + pooled], tokens) for each in METHODS)
    rollout = reference.rollout([each.values for each in layers])
    relevance = reference.attention_relevance([(each.values, each.gradient) for each in layers])
    if pooled:
        positive = (pool.values * pool.gradient).clamp(min=0).double().mean(0)[0]
        expected = pool.values.double().mean(0)[0] @ rollout, positive @ relevance + positive
    else:
        expected = rollout[list(read)].mean(0), relevance[list(read)].mean(0)
    np.testing.assert_allclose(shares, expected[0], atol=1e-6)
    np.testing.assert_allclose(relevances, expected[1], rtol=1e-4, atol=1e-6)
    assert float(shares.sum()) == pytest.approx(1, abs=1e-5)


# The libraries' networks: how the weights are read from each, and the row of the literal rollout that is expected.

SIDE, PATCH = 64, 16
Read = Callable[[nn.Module, Tensor], list[Tensor]]


def with_timm(net: nn.Module, x: Tensor) -> list[Tensor]:
    """Weights of timm's own unfused attention; (1, T) for that of a pooling head."""
    found: list[Tensor] = []
    for module in net.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False
        if isinstance(getattr(module, "attn_drop", None), nn.Dropout):
            module.attn_drop.register_forward_hook(lambda module, args, output: found.append(output.detach()[0]))
    net(x[None])
    return found


def with_torchvision(net: nn.Module, x: Tensor) -> list[Tensor]:
    found: list[Tensor] = []

    def keep(module: nn.MultiheadAttention, args: tuple[Tensor, ...], output: Any) -> None:
        found.append(module.forward(*args, need_weights=True, average_attn_weights=False)[1].detach()[0])

    for module in net.modules():
        if isinstance(module, nn.MultiheadAttention):
            module.register_forward_hook(keep)
    net(x[None])
    return found


def with_hugging_face(net: nn.Module, x: Tensor) -> list[Tensor]:
    net.set_attn_implementation("eager")
    return [each.detach()[0] for each in net(pixel_values=x[None], output_attentions=True).attentions]


def of_timm(name: str, **more: Any) -> Callable[[], nn.Module]:
    return lambda: timm.create_model(name, img_size=SIDE, num_classes=CLASSES, depth=2, **more)


def of_hugging_face(attention: str) -> Callable[[], nn.Module]:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}

    def make() -> nn.Module:
        config = hf.ViTConfig(**sizes, image_size=SIDE, patch_size=PATCH, num_labels=CLASSES)
        config._attn_implementation = attention
        return hf.ViTForImageClassification(config)

    return make


def first(product: Tensor) -> Tensor:
    return product[0]


def both(product: Tensor) -> Tensor:
    return product[:2].mean(0)


def patches(product: Tensor) -> Tensor:
    return product[1:].mean(0)


SERVED: dict[str, tuple[Callable[[], nn.Module], Read, Callable[[Tensor], Tensor], str]] = {
    "torchvision": (lambda: vision_transformer(SIDE, CLASSES), with_torchvision, first, "1 of 17 tokens"),
    "timm class token": (of_timm("vit_tiny_patch16_224"), with_timm, first, "1 of 17 tokens"),
    "timm distilled": (of_timm("deit_tiny_distilled_patch16_224"), with_timm, both, "2 of 18 tokens"),
    "timm average": (of_timm("vit_tiny_patch16_224", global_pool="avg"), with_timm, patches, "16 of 17 tokens"),
    "timm registers": (of_timm("vit_tiny_patch16_224", reg_tokens=3), with_timm, first, "1 of 20 tokens"),
    "timm bias": (of_timm("beit_base_patch16_224", embed_dim=48, num_heads=3), with_timm, patches, "16 of 17 tokens"),
    "hugging face fused": (of_hugging_face("sdpa"), with_hugging_face, first, "1 of 17 tokens"),
    "hugging face eager": (of_hugging_face("eager"), with_hugging_face, first, "1 of 17 tokens"),
}


class Logits(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        found = self.net(x)
        return found if isinstance(found, Tensor) else found.logits


def lively(make: Callable[[], nn.Module]) -> nn.Module:
    """The network with seeded weights; also those that `randomise` leaves."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return randomise(make())


@pytest.mark.parametrize("name", SERVED)
def test_the_libraries_transformers_are_served_with_their_own_weights(name: str) -> None:
    make, read, row, words = SERVED[name]
    net, x = lively(make), noise(3, SIDE, SIDE)
    model = model_of(Logits(net), (SIDE, SIDE), CLASSES, name)
    rollout, relevance = at.compare(model, x, METHODS, LOGIT)
    expected = upsampled(row(reference.rollout(read(net, x))), (SIDE, SIDE), PATCH)
    same(rollout.values.sum(0), expected, 1e-5)
    assert rollout.notes[0] == f"2 layers of attention, 4 x 4 tokens of the image; the logits depend on {words}."
    assert relevance.values.min() >= 0
    assert np.ptp(relevance.values) > 0


def test_attention_that_pools_the_tokens() -> None:
    net = lively(of_timm("vit_tiny_patch16_224", global_pool="map", class_token=False))
    x, weights = noise(3, SIDE, SIDE), []
    pool = net.attn_pool
    model = model_of(net, (SIDE, SIDE), CLASSES)
    result = at.attribute(model, x, at.AttentionRollout(), LOGIT)

    def keep(module: nn.Module, args: tuple[Tensor]) -> None:
        k = pool.kv(args[0])[0, :, : args[0].shape[2]].unflatten(1, (pool.num_heads, -1)).transpose(0, 1)
        q = pool.q(pool.latent)[0].unflatten(1, (pool.num_heads, -1)).transpose(0, 1)
        weights.append((q @ k.mT * pool.scale).softmax(-1).detach().double())

    pool.register_forward_pre_hook(keep)
    product = reference.rollout(with_timm(net, x))
    same(result.values.sum(0), upsampled((weights[0].mean(0) @ product)[0], (SIDE, SIDE), PATCH), 1e-5)
    assert result.notes[0].endswith("the logits depend on 16 tokens through the last one.")


def test_a_wrapped_network_of_hugging_face_is_served() -> None:
    processor = hf.ViTImageProcessor(size={"height": SIDE, "width": SIDE})
    model = at.wrap(lively(of_hugging_face("sdpa")).eval(), processor, device="cpu")
    assert not at.AttentionRollout().refusal(model)
    assert at.attribute(model, noise(3, SIDE, SIDE), at.AttentionRelevance()).values.any()


# Refusals.


class Refused(Tiny):
    """A transformer with something that attention maps do not follow."""

    def __init__(self, spelling: Any = explicit) -> None:
        super().__init__(spelling, depth=2, first=False)


class SideBySide(Refused):
    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).mT + self.places
        return self.head(sum(block(x) for block in self.blocks).mean(1))


class Convolved(Refused):
    def __init__(self) -> None:
        super().__init__()
        self.between = nn.Conv2d(WIDTH, WIDTH, 3, padding=1).double()

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks[0](self.patches(x).flatten(2).mT + self.places)
        x = self.between(x.mT.unflatten(2, (4, 4))).flatten(2).mT
        return self.head(self.blocks[1](x).mean(1))


class Windows(Refused):
    """Attention in rows, with the images and the rows in one dimension, as PyTorch's module needs."""

    def forward(self, x: Tensor) -> Tensor:
        x = (self.patches(x).flatten(2).mT + self.places).unflatten(1, (4, 4))
        return self.head(self.blocks(x.flatten(0, 1)).unflatten(0, (-1, 4)).mean((1, 2)))


class Pyramid(Tiny):
    """The same in the first layer, after which 2 x 2 tokens are left: each layer attends among four tokens."""

    def forward(self, x: Tensor) -> Tensor:
        x = (self.patches(x).flatten(2).mT + self.places).unflatten(1, (4, 4))
        x = self.blocks[0](x.flatten(0, 1)).unflatten(0, (-1, 4)).permute(0, 3, 1, 2)
        return self.head(self.blocks[1:](F.avg_pool2d(x, 2).flatten(2).mT).mean(1))


class Scrambled(torch.autograd.Function):
    """A kernel of someone's own."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        ctx.save_for_backward(q, k, v)
        return explicit(q, k, v)

    @staticmethod
    def backward(ctx: Any, signal: Tensor) -> tuple[Tensor, ...]:
        with torch.enable_grad():
            inputs = [each.detach().requires_grad_() for each in ctx.saved_tensors]
            return torch.autograd.grad(explicit(*inputs), inputs, signal)


class FastAttention(Scrambled):
    pass


def over_queries(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.mT).softmax(-2) @ v


def between_channels(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return ((q.mT @ k).softmax(-1) @ v.mT).mT


def gated(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (0.5 * (q @ k.mT).softmax(-1) + 0.5 / k.shape[2]) @ v


class Square(Refused):
    """As many channels in a head as tokens, so that shapes do not distinguish them."""

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).mT + self.places
        tokens = torch.cat([tokens, tokens], 2)
        return self.head(between_channels(*[tokens[:, None]] * 3)[:, 0].mean(1)[:, :WIDTH])


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "side by side": (SideBySide, "whose attentions run side by side"),
    "convolved": (Convolved, "which mixes its tokens by convolutions"),
    "windows": (
        lambda: Windows(MODULES["batch first"]),
        "whose attention is among 4 tokens at a time, which are no layer's grid",
    ),
    "pyramid": (
        lambda: Pyramid(MODULES["batch first"], first=False),
        "whose attention is windowed (4 tokens in a window)",
    ),
    "hidden": (lambda: Refused(FastAttention.apply), "whose attention weights are hidden inside FastAttention"),
    "opaque": (lambda: Refused(Scrambled.apply), "which has no softmax attention"),
    "over queries": (lambda: Refused(over_queries), "whose softmax does not weigh values directly"),
    "gated": (lambda: Refused(gated), "whose softmax does not weigh values directly"),
    "between channels": (lambda: Refused(between_channels), "whose attention is between channels"),
    "square": (Square, "whose attention is between channels"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_followed_is_refused(name: str) -> None:
    make, reason = REFUSED[name]
    refused(model_of(make(), (16, 16), CLASSES, name), reason)


def refused(model: at.Model, reason: str) -> None:
    for method in METHODS:
        sentence = method.refusal(model)
        assert sentence == f"Attention maps do not support {model.name}, {sentence.split(', ', 1)[1]}"
        assert reason in sentence
        assert sentence.endswith("; choose another method.")
        with pytest.raises(at.Refusal) as found:
            at.attribute(model, noise(3, *model.preprocessing.size), method)
        assert str(found.value) == sentence


LIBRARIES: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "swin": (
        lambda: timm.create_model(
            "swin_tiny_patch4_window7_224",
            img_size=SIDE,
            window_size=4,
            embed_dim=24,
            depths=(1, 1, 1, 1),
            num_heads=(1, 2, 4, 8),
            num_classes=CLASSES,
        ),
        "whose attention is windowed (16 tokens in a window)",
    ),
    "swin of torchvision": (
        lambda: zoo.SwinTransformer([4, 4], 24, [1, 1], [1, 2], [4, 4], num_classes=CLASSES),
        "whose attention is windowed (16 tokens in a window)",
    ),
    "xcit": (of_timm("xcit_nano_12_p16_224"), "whose attention is between channels"),
    "cait": (of_timm("cait_xxs24_224"), "whose softmax does not weigh values directly"),
    "pvt": (lambda: timm.create_model("pvt_v2_b0", num_classes=CLASSES), "attend among different tokens (256, 4, 64"),
    "levit": (
        lambda: timm.create_model("levit_128s", num_classes=CLASSES),
        "whose layers attend among different tokens (196, 49, 16)",
    ),
    "resnet": (lambda: timm.create_model("resnet10t", num_classes=CLASSES), "which has no softmax attention"),
}


@pytest.mark.parametrize("name", LIBRARIES)
def test_the_libraries_other_networks_are_refused(name: str) -> None:
    make, reason = LIBRARIES[name]
    side = 224 if name == "levit" else SIDE
    refused(model_of(lively(make), (side, side), CLASSES, name), reason)


def test_weights_that_are_not_those_of_the_prediction_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(Tiny(F.scaled_dot_product_attention), (16, 16), CLASSES)
    wrong = lambda q, k, v, *more, **options: (explicit(2 * q, k, v), None)  # noqa: E731
    monkeypatch.setattr(torch, "_scaled_dot_product_attention_math", wrong)
    for method in METHODS:
        with pytest.raises(at.Refusal, match="returns other logits for this photo when its attention weights are read"):
            at.attribute(model, noise(3, 16, 16, dtype=torch.float64), method)


def test_tokens_that_are_read_on_their_own_are_no_part_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(lively(of_timm("vit_tiny_patch16_224")), (SIDE, SIDE), CLASSES)
    (stage, *_) = model.stages_at((SIDE, SIDE))
    assert (stage.prefix, stage.suffix) == (1, 0)
    misread = replace(stage, prefix=0, suffix=1)  # as the raster of a few cells can be
    monkeypatch.setattr(at.Model, "stages_at", lambda *_: (misread,))
    assert model.tokens_at((SIDE, SIDE)) == Tokens(stage, (0,))
