"""PyTorch's operators: no value or gradient depends on the number of images or on how tensors are stored.

PyTorch chooses between kernels by the strides of a tensor, and where it chooses wrongly, numbers are wrong in silence.
"""

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

pytestmark = pytest.mark.slow

Function = Callable[[Tensor], Tensor]
Fault = tuple[int, str, str]  # the number of images, how the input is stored, and what follows or "value"
TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-8}  # of the largest value; a fault is about as large as that


def pixels(x: Tensor) -> Tensor:
    """Give (N, C, pixels) of (N, C, ...)."""
    return x.flatten(2) if x.ndim > 2 else x[..., None]


# How the input is stored. "One" repeats its values by a stride of zero.
LAYOUTS: dict[str, Function] = {
    "contiguous": lambda x: x,
    "channels last": lambda x: x.movedim(1, -1).contiguous().movedim(-1, 1),
    "tokens": lambda x: pixels(x).mT.contiguous().mT.view(x.shape),
    "tokens first": lambda x: pixels(x).permute(2, 0, 1).contiguous().permute(1, 2, 0).view(x.shape),
    "transposed": lambda x: x.mT.contiguous().mT,
    "images last": lambda x: x.flatten(1).T.contiguous().T.view(x.shape),
    "half of the channels": lambda x: torch.cat([x, x], 1)[:, x.shape[1] :],
    "half of the channels last": lambda x: (
        torch.cat([x, x], 1).movedim(1, -1).contiguous().movedim(-1, 1)[:, x.shape[1] :]
    ),
    "half of the columns": lambda x: torch.cat([x, x], -1)[..., x.shape[-1] :],
    "every second value": lambda x: torch.stack([x, x], -1)[..., 1],
    "one image": lambda x: x[:1].expand_as(x),
    "one channel": lambda x: x[:, :1].expand_as(x),
    "one pixel": lambda x: pixels(x)[..., :1].expand_as(pixels(x)).view(x.shape),
    "one value": lambda x: x.flatten(1)[:, :1].expand_as(x.flatten(1)).view(x.shape),
}
# What follows the operator, and so decides how the incoming signal is stored.
VIEWS: dict[str, Function] = {
    "contiguous": lambda y: y,
    "channels last": lambda y: y.movedim(1, -1),
    "tokens": lambda y: pixels(y).mT,
    "tokens first": lambda y: pixels(y).permute(2, 0, 1),
    "transposed": lambda y: y.mT,
    "images last": lambda y: y.flatten(1).T,
    "half of the channels": lambda y: torch.cat([y.detach(), y], 1),
    "half of the channels last": lambda y: torch.cat([y.detach(), y], 1).movedim(1, -1),
    "half of the columns": lambda y: torch.cat([y.detach(), y], -1),
    "every second value": lambda y: torch.stack([y.detach(), y], -1),
    "sum over images": lambda y: y.sum(0),
    "sum over channels": lambda y: y.sum(1),
    "sum over pixels": lambda y: pixels(y).sum(2),
    "sum": lambda y: y.sum(),
}


def normal(*shape: int, seed: int) -> Tensor:
    """Give seeded values that float32 holds too, in float64."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double()


def contiguous_pair(x: Tensor, filler: Tensor) -> Tensor:
    """Give two contiguous images, the second from the filler where there is only one."""
    return torch.cat([x, filler])[:2].clone(memory_format=torch.contiguous_format)


def frozen(operator: Function, dtype: torch.dtype) -> Function:
    """Give an operator in evaluation, its weights frozen and random."""
    if not isinstance(operator, nn.Module):
        return operator
    random = torch.Generator().manual_seed(2)
    for weight in operator.parameters():
        weight.data.normal_(0, 0.5, generator=random)
    for statistic in operator.buffers():
        if statistic.is_floating_point():
            statistic.uniform_(0.5, 1.5, generator=random)
    return copy.deepcopy(operator).eval().requires_grad_(False).to(dtype)


def check_by_finite_differences(operator: Function, x: Tensor) -> None:
    """Check that the gradient which all others are compared with is right."""
    x, along, step = x.clone().requires_grad_(), normal(*x.shape, seed=3), 1e-7
    y = operator(x)
    signal = normal(*y.shape, seed=4)
    terms = along * torch.autograd.grad(y, x, signal)[0]
    with torch.no_grad():
        change = operator(x + step * along) - operator(x - step * along)
    assert abs(terms.sum() - (signal * change).sum() / (2 * step)) < 1e-6 * (1 + terms.abs().sum())


def differs(found: Tensor, expected: Tensor) -> bool:
    error = (found - expected).abs().max()
    return not error <= TOLERANCE[found.dtype] * max(1, expected.abs().max())  # not a number differs


def faults(make: Callable[[int], Function], shapes: Sequence[tuple[int, ...]]) -> set[Fault]:
    """Find where an operator's value, or its gradient to the input, is wrong.

    What is right is computed in float64 from two contiguous images and a contiguous signal.

    Args:
        make: Gives the operator for a number of channels.
        shapes: Shapes of an image, (C, ...).
    """
    torch.set_num_threads(1)  # a second one has nothing to do but to wait
    found = set()
    for shape in shapes:
        operator, x = make(shape[0]), normal(2, *shape, seed=0)
        exact = frozen(operator, torch.float64)
        check_by_finite_differences(exact, x)
        operators = {dtype: frozen(operator, dtype) for dtype in TOLERANCE}
        for images, (layout, store) in product((1, 2), LAYOUTS.items()):
            pair = contiguous_pair(store(x[:images]), x).requires_grad_()
            expected = exact(pair)
            incoming, gradients = {}, {}
            for name, view in VIEWS.items():
                y = expected[:images].detach().requires_grad_()
                z = view(y)
                incoming[name] = normal(*z.shape, seed=1)
                (signal,) = torch.autograd.grad(z, y, incoming[name])
                signals = contiguous_pair(signal, signal)
                gradients[name] = torch.autograd.grad(expected, pair, signals, retain_graph=True)[0][:images]
            for dtype, each in operators.items():
                leaf = store(x[:images].to(dtype)).detach().requires_grad_()
                y = each(leaf)
                with torch.no_grad():
                    scored = each(leaf)
                if differs(y, expected[:images]) or differs(scored, expected[:images]):
                    found.add((images, layout, "value"))
                for name, view in VIEWS.items():
                    (gradient,) = torch.autograd.grad(view(y), leaf, incoming[name].to(dtype), retain_graph=True)
                    if differs(gradient, gradients[name]):
                        found.add((images, layout, name))
    return found


class Along(nn.Module):
    """A module applied along the channels of every pixel, or to the pixels as a sequence."""

    def __init__(
        self, module: nn.Module, call: Callable[[nn.Module, Tensor], Tensor] = lambda module, x: module(x)
    ) -> None:
        super().__init__()
        self.module, self.call = module, call

    def forward(self, x: Tensor) -> Tensor:
        return self.call(self.module, x.movedim(1, -1)).movedim(-1, 1)


def recurrent(module: nn.Module) -> Along:
    return Along(module, lambda module, x: module(x)[0])


def self_attention(channels: int, weights: bool = False) -> Along:
    attention = nn.MultiheadAttention(channels, math.gcd(channels, 4), batch_first=True)
    return Along(attention, lambda module, x: module(x, x, x, need_weights=weights)[0])


def attention(*backends: SDPBackend, mask: Function | None = None, **more: bool) -> Function:
    """Give scaled dot-product attention over the rows of each channel."""

    def attend(x: Tensor) -> Tensor:
        given = mask(torch.ones(x.shape[-2], x.shape[-2], dtype=x.dtype).tril()) if mask else None
        with sdpa_kernel([*backends, SDPBackend.MATH]):  # which takes what the others refuse
            return F.scaled_dot_product_attention(x, x.sin(), x.cos(), given, **more)

    return attend


def sampled(x: Tensor, **more: str) -> Tensor:
    """Sample images, and what lies outside them, at points between their pixels."""
    grid = 1.2 * torch.linspace(0, 90, 2 * 4 * 6 * 2, dtype=x.dtype).sin().view(2, 4, 6, 2)[: len(x)]
    return F.grid_sample(x, grid, align_corners=False, **more)


def sampled_where(x: Tensor) -> Tensor:
    """Sample fixed images at points which the input gives."""
    image = torch.linspace(0, 90, 2 * 3 * 5 * 6, dtype=x.dtype).sin().view(2, 3, 5, 6)[: len(x)]
    return F.grid_sample(image, torch.stack([x.mean(1), x.amax(1)], -1).tanh(), align_corners=False)


def fractional(x: Tensor) -> Tensor:
    where = torch.linspace(0.1, 0.9, 2 * x.shape[1] * 2, dtype=x.dtype).view(2, -1, 2)[: len(x)]
    return F.fractional_max_pool2d(x, 2, output_size=(3, 4), _random_samples=where)


def gathered(x: Tensor, dim: int) -> Tensor:
    index = 7 * torch.arange(x[0].numel()).view(x[0].shape) % x.shape[dim]
    return x.gather(dim, index.expand(x.shape))


def windows(x: Tensor) -> Tensor:
    return x.unfold(2, 3, 2).unfold(3, 2, 1).permute(0, 2, 3, 4, 5, 1).flatten(1, 2)


PICTURES = (1, 7, 9), (3, 7, 9), (8, 8, 8), (17, 7, 9), (3, 1, 1), (8, 1, 9), (17, 5, 1)
LARGE = PICTURES[:4]  # for windows that are larger than one pixel or row
SEQUENCES = (1, 9), (3, 16), (8, 9), (17, 4), (8, 1)
VOLUMES = (1, 3, 4, 5), (3, 4, 4, 4), (17, 3, 4, 5), (8, 1, 1, 1), (3, 2, 1, 9)
VECTORS = (1,), (3,), (8,), (17,)
FOURFOLD = (4, 7, 9), (12, 8, 8), (68, 5, 6), (8, 1, 1)  # for groups of channels


def on(shapes: Sequence[tuple[int, ...]], **functions: Function) -> dict[str, tuple]:
    """Give functions without weights the shapes of images that they are tried on."""
    return {name: (lambda channels, function=function: function, shapes) for name, function in functions.items()}


def plain(module: Callable, **more: object) -> Callable[[int], nn.Module]:
    """Give a norm without weights."""
    return lambda channels: module(channels, affine=False, **more)


def conv(module: Callable, growth: int, *given: object, **more: object) -> Callable[[int], nn.Module]:
    """Give a convolution to more channels."""
    return lambda channels: module(channels, channels + growth, *given, **more)


def depthwise(module: Callable, *given: object, **more: object) -> Callable[[int], nn.Module]:
    """Give a convolution of each channel alone."""
    return lambda channels: module(channels, channels, *given, groups=channels, **more)


OPERATORS: dict[str, tuple[Callable[[int], Function], Sequence[tuple[int, ...]]]] = {
    "batch norm of vectors": (nn.BatchNorm1d, VECTORS),
    "batch norm 1d": (nn.BatchNorm1d, SEQUENCES),
    "batch norm 2d": (nn.BatchNorm2d, PICTURES),
    "batch norm 3d": (nn.BatchNorm3d, VOLUMES),
    "batch norm 2d without weights": (plain(nn.BatchNorm2d), PICTURES),
    "instance norm 1d": (nn.InstanceNorm1d, SEQUENCES[:4]),
    "instance norm 2d": (nn.InstanceNorm2d, LARGE),
    "instance norm 3d": (nn.InstanceNorm3d, VOLUMES[:3]),
    "instance norm 2d with weights": (lambda c: nn.InstanceNorm2d(c, affine=True), LARGE),
    "instance norm 1d of the data set": (plain(nn.InstanceNorm1d, track_running_stats=True), SEQUENCES),
    "instance norm 2d of the data set": (plain(nn.InstanceNorm2d, track_running_stats=True), PICTURES),
    "instance norm 3d of the data set": (plain(nn.InstanceNorm3d, track_running_stats=True), VOLUMES),
    "group norm": (lambda c: nn.GroupNorm(math.gcd(c, 4), c), PICTURES),
    "group norm of one group": (lambda c: nn.GroupNorm(1, c), PICTURES),
    "group norm of single channels": (lambda c: nn.GroupNorm(c, c), LARGE),
    "group norm 3d": (lambda c: nn.GroupNorm(math.gcd(c, 4), c, affine=False), VOLUMES),
    "layer norm of channels": (lambda c: Along(nn.LayerNorm(c)), PICTURES),
    "layer norm of channels without weights": (lambda c: Along(nn.LayerNorm(c, elementwise_affine=False)), PICTURES),
    "layer norm of images": (lambda c: nn.LayerNorm((c, 7, 9)), LARGE[::3]),
    "rms norm of channels": (lambda c: Along(nn.RMSNorm(c, eps=1e-6)), PICTURES),
    "rms norm of images": (lambda c: nn.RMSNorm((c, 7, 9), eps=1e-6), LARGE[::3]),
    "local response norm": (lambda c: nn.LocalResponseNorm(5, alpha=0.3), PICTURES),
    "conv 1d": (conv(nn.Conv1d, 3, 3, padding=1), SEQUENCES),
    "conv 2d": (conv(nn.Conv2d, 3, 3, padding=1), PICTURES),
    "conv 2d stored channels last": (
        lambda c: nn.Conv2d(c, c + 3, 3, padding=1).to(memory_format=torch.channels_last),
        PICTURES,
    ),
    "conv 2d to 16 channels": (lambda c: nn.Conv2d(c, 16, 3, padding=1, bias=False), PICTURES),
    "conv 3d": (conv(nn.Conv3d, 3, 3, padding=1), VOLUMES),
    "conv 2d, dilated": (conv(nn.Conv2d, 3, 3, padding=2, dilation=2), PICTURES),
    "conv 2d, strided": (conv(nn.Conv2d, 3, 3, padding=1, stride=2), PICTURES),
    "conv 2d of pixels": (conv(nn.Conv2d, 3, 1), PICTURES),
    "conv 2d of pixels, strided": (conv(nn.Conv2d, 3, 1, stride=2), PICTURES),
    "conv 2d of patches": (conv(nn.Conv2d, 3, 4, stride=4), LARGE),
    "conv 2d of columns": (conv(nn.Conv2d, 1, (1, 7), padding=(0, 3)), PICTURES),
    "conv 2d, around the edge": (conv(nn.Conv2d, 3, 3, padding=1, padding_mode="circular"), LARGE),
    "conv 2d, grouped": (lambda c: nn.Conv2d(c, 8, 3, padding=1, groups=4), FOURFOLD),
    "conv 1d, depthwise": (depthwise(nn.Conv1d, 3, padding=1), SEQUENCES),
    "conv 2d, depthwise": (depthwise(nn.Conv2d, 3, padding=1), PICTURES),
    "conv 2d, depthwise, strided": (depthwise(nn.Conv2d, 5, padding=2, stride=2), PICTURES),
    "conv 2d, depthwise, dilated": (depthwise(nn.Conv2d, 3, padding=2, dilation=2), PICTURES),
    "conv 2d, two of each channel": (lambda c: nn.Conv2d(c, 2 * c, 3, padding=1, groups=c), PICTURES),
    "conv 2d, depthwise, stored channels last": (
        lambda c: nn.Conv2d(c, c, 3, padding=1, groups=c).to(memory_format=torch.channels_last),
        PICTURES,
    ),
    "conv 3d, depthwise": (depthwise(nn.Conv3d, 3, padding=1), VOLUMES),
    "conv 1d, transposed": (conv(nn.ConvTranspose1d, 3, 3, stride=2), SEQUENCES),
    "conv 2d, transposed": (conv(nn.ConvTranspose2d, 3, 3, padding=1), PICTURES),
    "conv 2d, transposed, strided": (conv(nn.ConvTranspose2d, 3, 2, stride=2), PICTURES),
    "conv 2d, transposed, depthwise": (depthwise(nn.ConvTranspose2d, 3, stride=2), PICTURES),
    "conv 3d, transposed": (conv(nn.ConvTranspose3d, 3, 3, stride=2), VOLUMES),
    "linear": (lambda c: Along(nn.Linear(c, 5)), PICTURES),
    "linear without bias": (lambda c: Along(nn.Linear(c, 16, bias=False)), PICTURES),
    "linear of columns": (lambda c: nn.Linear(9, 5), [(1, 7, 9), (17, 7, 9), (8, 1, 9), (8, 9)]),
    "linear of vectors": (lambda c: nn.Linear(c, 5), VECTORS),
    "multi-head attention": (self_attention, SEQUENCES),
    "multi-head attention with its weights": (lambda c: self_attention(c, weights=True), SEQUENCES),
    "prelu": (nn.PReLU, PICTURES),
    "prelu of one weight": (lambda c: nn.PReLU(), PICTURES),
    "lstm": (lambda c: recurrent(nn.LSTM(c, 5, batch_first=True, bidirectional=True)), SEQUENCES[2:]),
    "gru": (lambda c: recurrent(nn.GRU(c, 5, batch_first=True)), SEQUENCES[2:]),
    **on(
        PICTURES,
        max_pool=lambda x: F.max_pool2d(x, 3, 2, 1),
        max_pool_ceil=lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
        max_pool_overlapping=lambda x: F.max_pool2d(x, 3, 1, 1),
        avg_pool=lambda x: F.avg_pool2d(x, 3, 2, 1),
        avg_pool_ceil=lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
        adaptive_max_pool=lambda x: F.adaptive_max_pool2d(x, (3, 2)),
        adaptive_max_pool_to_one=lambda x: F.adaptive_max_pool2d(x, 1),
        adaptive_avg_pool=lambda x: F.adaptive_avg_pool2d(x, (3, 2)),
        adaptive_avg_pool_to_one=lambda x: F.adaptive_avg_pool2d(x, 1),
        nearest=lambda x: F.interpolate(x, scale_factor=1.7, mode="nearest"),
        nearest_doubled=lambda x: F.interpolate(x, scale_factor=2, mode="nearest"),
        nearest_exact=lambda x: F.interpolate(x, (5, 11), mode="nearest-exact"),
        area=lambda x: F.interpolate(x, (5, 11), mode="area"),
        bilinear=lambda x: F.interpolate(x, (5, 11), mode="bilinear"),
        bilinear_aligned=lambda x: F.interpolate(x, (5, 11), mode="bilinear", align_corners=True),
        bilinear_smooth=lambda x: F.interpolate(x, (5, 11), mode="bilinear", antialias=True),
        bicubic=lambda x: F.interpolate(x, (5, 11), mode="bicubic"),
        bicubic_aligned=lambda x: F.interpolate(x, (5, 11), mode="bicubic", align_corners=True),
        bicubic_smooth=lambda x: F.interpolate(x, (5, 11), mode="bicubic", antialias=True),
        grid_sample=lambda x: sampled(x, mode="bilinear", padding_mode="zeros"),
        grid_sample_nearest=lambda x: sampled(x, mode="nearest", padding_mode="border"),
        grid_sample_bicubic=lambda x: sampled(x, mode="bicubic", padding_mode="reflection"),
        grid_sample_where=sampled_where,
        unfold=lambda x: F.unfold(x, 3, padding=1),
        unfold_dilated=lambda x: F.unfold(x, 2, dilation=2, padding=1, stride=2),
        pad_constant=lambda x: F.pad(x, (1, 2, 2, 1)),
        pad_replicate=lambda x: F.pad(x, (1, 2, 2, 1), "replicate"),
        matmul=lambda x: x @ x.mT,
        matmul_transposed=lambda x: x.mT @ x,
        bmm=lambda x: torch.bmm(pixels(x).mT, pixels(x)),
        einsum=lambda x: torch.einsum("nchw,nkhw->nhck", x, x),
        softmax=lambda x: x.softmax(1),
        softmax_last=lambda x: x.softmax(-1),
        log_softmax=lambda x: x.log_softmax(1),
        log_softmax_last=lambda x: x.log_softmax(-1),
        attention_flash=attention(SDPBackend.FLASH_ATTENTION),
        attention_flash_causal=attention(SDPBackend.FLASH_ATTENTION, is_causal=True),
        attention_flash_masked=attention(SDPBackend.FLASH_ATTENTION, mask=Tensor.bool),
        attention_flash_biased=attention(SDPBackend.FLASH_ATTENTION, mask=Tensor.cos),
        attention_math=attention(),
        attention_math_causal=attention(is_causal=True),
        attention_math_masked=attention(mask=Tensor.bool),
        attention_math_biased=attention(mask=Tensor.cos),
        relu=F.relu,
        relu6=F.relu6,
        hardtanh=F.hardtanh,
        gelu=F.gelu,
        gelu_tanh=lambda x: F.gelu(x, approximate="tanh"),
        silu=F.silu,
        mish=F.mish,
        hardswish=F.hardswish,
        hardsigmoid=F.hardsigmoid,
        elu=F.elu,
        celu=lambda x: F.celu(x, 1.3),
        selu=F.selu,
        leaky_relu=lambda x: F.leaky_relu(x, 0.1),
        softplus=lambda x: F.softplus(x, 3, 2),
        tanh=torch.tanh,
        sigmoid=torch.sigmoid,
        cumsum=lambda x: x.cumsum(1),
        cumsum_last=lambda x: x.cumsum(-1),
        roll=lambda x: x.roll((1, 2), (2, 3)),
        flip=lambda x: x.flip(1, 3),
        topk=lambda x: x.topk(min(3, x.shape[1]), 1)[0],
        topk_last=lambda x: x.topk(min(3, x.shape[-1]), -1)[0],
        gather=lambda x: gathered(x, 1),
        gather_last=lambda x: gathered(x, -1),
        index_select=lambda x: x.index_select(1, torch.tensor([0, x.shape[1] - 1, 0])),
        index=lambda x: x[:, :, [0, -1, 0]],
        cat=lambda x: torch.cat([x, 2 * x, x.flip(1)], 1),
        stack=lambda x: torch.stack([x, 2 * x], 2),
        split=lambda x: torch.cat(x.split(2, 1)[::-1], 1),
        mean=lambda x: x.mean((2, 3)),
        mean_kept=lambda x: x * x.mean((2, 3), keepdim=True),
        var=lambda x: x.var((2, 3), correction=0),
        norm=lambda x: x.norm(dim=(2, 3)),
        norm_of_channels=lambda x: F.normalize(x, dim=1),
        amax=lambda x: x.amax((2, 3)),
        amax_of_channels=lambda x: x.amax(1),
        max_of_channels=lambda x: x.max(1)[0],
        where=lambda x: torch.where(x > 0, 2 * x, x.flip(1)),
        reshape=lambda x: x.transpose(1, 2).reshape(len(x), -1),
    ),
    **on(
        LARGE,
        # of a window without pixels, PyTorch 2.15 returns an index outside the image, where its gradient is written
        max_pool_dilated=lambda x: F.max_pool2d(x, 2, 1, 1, dilation=2),
        avg_pool_small=lambda x: F.avg_pool2d(x, 2),
        lp_pool=lambda x: F.lp_pool2d(x.abs() + 0.1, 3.0, 3, 2, ceil_mode=True),
        fractional_max_pool=fractional,
        pad_reflect=lambda x: F.pad(x, (1, 2, 2, 1), "reflect"),
        pad_circular=lambda x: F.pad(x, (1, 2, 2, 1), "circular"),
        fft=lambda x: torch.fft.irfft2(1.5 * torch.fft.rfft2(x), s=x.shape[2:]),
        std=lambda x: (x + torch.arange(x.shape[-1])).std((2, 3)),  # of equal values it has no gradient
        windows=windows,
    ),
    **on(
        SEQUENCES,
        max_pool_1d=lambda x: F.max_pool1d(x, 3, 2, 1),
        avg_pool_1d=lambda x: F.avg_pool1d(x, 3, 2, 1),
        adaptive_avg_pool_1d=lambda x: F.adaptive_avg_pool1d(x, 3),
        linear_1d=lambda x: F.interpolate(x, scale_factor=1.7, mode="linear"),
        pad_replicate_1d=lambda x: F.pad(x, (1, 2), "replicate"),
    ),
    **on(
        VOLUMES,
        max_pool_3d=lambda x: F.max_pool3d(x, 3, 2, 1),
        adaptive_max_pool_3d=lambda x: F.adaptive_max_pool3d(x, 2),
        adaptive_avg_pool_3d=lambda x: F.adaptive_avg_pool3d(x, 2),
        trilinear=lambda x: F.interpolate(x, scale_factor=1.7, mode="trilinear"),
        nearest_3d=lambda x: F.interpolate(x, scale_factor=1.7, mode="nearest"),
        pad_replicate_3d=lambda x: F.pad(x, (1, 1, 1, 2, 2, 1), "replicate"),
    ),
    **on(VOLUMES[:3], avg_pool_3d=lambda x: F.avg_pool3d(x, 3, 2, 1)),
    **on(
        FOURFOLD,
        pixel_shuffle=lambda x: F.pixel_shuffle(x, 2),
        channel_shuffle=lambda x: torch.channel_shuffle(x, 2),
        glu=lambda x: F.glu(x, 1),
        halves=lambda x: torch.mul(*x.chunk(2, 1)),
    ),
    **on([(1, 8, 8), (3, 2, 6), (17, 2, 2)], pixel_unshuffle=lambda x: F.pixel_unshuffle(x, 2)),
    **on([(4, 12), (12, 12), (68, 12)], fold=lambda x: F.fold(x, (4, 5), 2)),
}

# Faults of the installed PyTorch. Batch norm takes the signal of one image for stored like its input, when one of the
# two is stored as tokens and the other is contiguous. Instance norm is batch norm of one image, whose channels are the
# channels of all images. "Transposed" is contiguous where images have one row or column.
TOKENS = ["tokens", "tokens first"]
CONTIGUOUS = ["contiguous", "transposed", "images last", "half of the channels"]  # where there is one image
MIXED = {
    *product([1], [*CONTIGUOUS, "one image"], TOKENS),
    *product([1], TOKENS, [*CONTIGUOUS, "sum over images"]),
}
TURNED = {
    *product([1], LAYOUTS, ["channels last", *TOKENS]),
    *product([2], LAYOUTS, ["tokens first", "images last"]),
}
KNOWN: dict[str, set[Fault]] = {
    **{name: MIXED for name in OPERATORS if name.startswith(("batch norm 2d", "batch norm 3d"))},
    **{name: TURNED for name in OPERATORS if name.startswith(("instance norm 2d", "instance norm 3d"))},
}


@pytest.mark.parametrize("name", OPERATORS)
def test_no_fault_is_new_or_repaired(name: str) -> None:
    found, known = faults(*OPERATORS[name]), KNOWN.get(name, set())
    assert not found - known, f"{name} has a new fault in PyTorch {torch.__version__}: {sorted(found - known)}"
    assert not known - found, f"PyTorch {torch.__version__} repaired {name}, so that its workaround can go"


class Careless(torch.autograd.Function):
    """The identity, whose backward pass reads the signal of one image in the order of its memory."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, signal):
        last = signal.movedim(1, -1)
        return last.view(signal.shape) if len(signal) == 1 and last.is_contiguous() else signal


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (Careless.apply, product([1], LAYOUTS, ["channels last", *TOKENS])),
        (lambda x: x * (3 - len(x)), product([1], LAYOUTS, [*VIEWS, "value"])),
    ],
)
def test_the_search_finds_faults(function: Function, expected: Iterable[Fault]) -> None:
    assert faults(lambda channels: function, [(3, 7, 9)]) == set(expected)


def test_a_wrong_gradient_is_no_reference() -> None:
    with pytest.raises(AssertionError):
        faults(lambda channels: lambda x: x + x.detach(), [(3, 7, 9)])
