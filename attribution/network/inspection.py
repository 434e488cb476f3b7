"""Inspection: the batch size and memory format in which a network runs, and facts that hold for every photo.

PyTorch has had kernels whose gradient is wrong for one image or in one memory format only. So when a model is made, an
image and a pair are sent in both formats and back under every rectifier rule. If all maps agree, the fastest
configuration is used. If not, the gradient in float64 decides, which must agree with the finite difference of the
logits.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from attribution.network.admission import reason, same_logits, spread
from attribution.network.frozen import frozen_copy, held_tensors
from attribution.network.rectifiers import BACKWARD_RULES, Interception, Rectifiers
from attribution.refusal import Refusal

# Largest distance of two maps, relative to their length, that counts as rounding: a rectifier that rounding opens or
# closes changes the map of a random ResNet-50 by 0.005.
SAME_MAP = 0.02
WRONG_MAP = 0.05  # distance from float64 at which no configuration is used
NUDGES = (0.01, 0.001)  # expected changes of the logits, relative to their spread
OFF = 0.5  # deviation from the expected change at which a gradient is not the derivative
PROBED_STEP = 1e-7  # half the step of the finite difference in float64, in pixel values; 1e-5 crosses rectifiers' kinks
CONSTANT_MAP = 1e-5  # largest difference of two images' maps, relative to the largest value, that counts as rounding
BACKWARD_FACTOR = 1.25  # peak memory of both passes, relative to the saved tensors; measured on ResNet-50


class Send(Protocol):
    """A function that runs a network on pixels in a memory format."""

    def __call__(self, net: nn.Module, pixels: Tensor, memory_format: torch.memory_format) -> Tensor: ...


@dataclass(frozen=True)
class Inspection:
    """The configuration in which a network runs, and facts about it.

    Attributes:
        memory_format: Memory format of the input and of the convolutions' weights.
        min_batch: Smallest number of images per pass; 2 if a single image must be sent twice.
        operators: Rectifiers and other nonlinear operators.
        image_memory: Bytes per image of a forward and backward pass: the measured peak on CUDA, elsewhere an estimate
            from the tensors saved for the backward pass.
        fixed_adjoint: True if two images have the same Zeiler-Fergus map: no max-pooling, no gates, no norms.
        is_derivative: False if the gradient is far from the finite difference of the logits, as with a custom backward
            pass, a straight-through estimator or what is hidden from autograd.
    """

    memory_format: torch.memory_format
    min_batch: int
    operators: Interception
    image_memory: int
    fixed_adjoint: bool
    is_derivative: bool


@dataclass(frozen=True)
class _Probe:
    """A forward pass of one or two images, and the maps of a random combination of the logits, by rule."""

    logits: Tensor  # (N, K)
    maps: dict[str, Tensor]  # (N, 3, H, W)
    operators: Interception
    memory: int


def inspect(
    name: str, variants: dict[torch.memory_format, nn.Module], net: nn.Module, x: Tensor, logits: Tensor, send: Send
) -> Inspection:
    """Choose the fastest configuration in which a network's gradients are right.

    Args:
        name: The model's name, for refusals.
        variants: Networks that compute the same function, by memory format, the fastest first.
        net: The given network.
        x: (2, 3, H, W), different images.
        logits: (2, K), computed by the given network.
        send: Runs a network on pixels in a memory format.

    Raises:
        Refusal: If the network passes no gradient back, or no configuration is right.
    """
    probes: dict[tuple[int, torch.memory_format], _Probe] = {}
    failure = Refusal(f"{name} returns other logits when gradients are enabled; use a plain torch.nn.Module.")
    for min_batch in (1, 2):
        for memory_format, variant in variants.items():
            try:
                probe = _probe(name, variant, x[:min_batch], partial(send, memory_format=memory_format))
            except Refusal as refusal:  # such as view(N, -1) on channels last
                failure = refusal.with_traceback(None)  # which would keep the graph
                continue
            if same_logits(probe.logits, logits[:min_batch]):
                probes[min_batch, memory_format] = probe
    if not probes:
        raise failure
    min_batch, memory_format = _agreeing(name, probes, net, x, send)
    pair = probes.get((2, memory_format), probes[min_batch, memory_format])
    fixed = pair.maps.get("zeiler_fergus", pair.maps["gradient"])
    return Inspection(
        memory_format=memory_format,
        min_batch=min_batch,
        operators=pair.operators,
        image_memory=pair.memory // len(pair.logits),
        fixed_adjoint=bool((fixed[0] - fixed[-1]).abs().max() <= CONSTANT_MAP * fixed.abs().max())
        and bool(fixed.any()),
        is_derivative=_is_derivative(
            lambda pixels: send(variants[memory_format], pixels, memory_format), x[:min_batch], pair
        ),
    )


def _is_derivative(run: Callable[[Tensor], Tensor], x: Tensor, probe: _Probe) -> bool:
    """True if, for one of two steps along the gradient, the logits change as it predicts."""
    gradient, signal = _finite(probe.maps["gradient"]), _signal(probe.logits)
    width = float(spread(probe.logits))
    slope = float(gradient.square().sum())
    for part in NUDGES if slope * width > 0 else ():
        step = (part * width / slope * gradient).to(x)  # should change the combination by `part` of the spread
        with torch.no_grad():
            rise, fall = (float(run(x + sign * step)[0] @ signal) for sign in (1, -1))
        if abs((rise - fall) / (2 * part * width) - 1) < OFF:
            return True
    return slope * width == 0


def _agreeing(
    name: str, probes: dict[tuple[int, torch.memory_format], _Probe], net: nn.Module, x: Tensor, send: Send
) -> tuple[int, torch.memory_format]:
    """Return the first configuration whose maps are those of all others, or else of float64."""
    first = next(iter(probes.values()))
    if len(probes) > 1 and all(_distance(each, first) <= SAME_MAP for each in probes.values()):
        return next(iter(probes))
    exact = _exact(name, net, x, send)
    distances = {each: _distance(probe, exact) for each, probe in probes.items()}
    best = min(distances.values())
    if best > WRONG_MAP:
        raise Refusal(
            f"{name} has a gradient that differs between one image, a pair and memory formats, and never agrees with "
            f"float64 ({best:.0%} off at best); replace the operator that causes it."
        )
    return next(each for each, distance in distances.items() if distance <= max(SAME_MAP, 2 * best))


def _distance(found: _Probe, expected: _Probe) -> float:
    """Return the largest distance of the first image's maps under any rule, relative to the length of the expected."""
    pairs = [(_finite(found.maps[rule]), _finite(maps)) for rule, maps in expected.maps.items()]
    return max(float((one - other).norm() / other.norm().clamp(min=1e-30)) for one, other in pairs)


def _finite(maps: Tensor) -> Tensor:
    """Return the first of several maps in float64 on the CPU, with zeros where it overflows."""
    return maps[0].cpu().double().nan_to_num(0, 0, 0)


def _exact(name: str, net: nn.Module, x: Tensor, send: Send) -> _Probe:
    """Return the maps in float64 that agree with the finite difference of the logits."""
    twin, x = frozen_copy(net).cpu(), x.detach().cpu().double()  # MPS has no float64
    for tensor in held_tensors(twin):
        tensor.data = tensor.data.cpu().double() if tensor.is_floating_point() else tensor.data.cpu()

    def run(net: nn.Module, pixels: Tensor) -> Tensor:
        return send(net, pixels, torch.contiguous_format)

    step = PROBED_STEP * torch.randn(x.shape[1:], generator=torch.Generator().manual_seed(1)).to(x)
    try:
        with torch.no_grad():
            ends = [run(twin, x[:1] + sign * step)[0] for sign in (1, -1)]
    except RuntimeError as error:
        raise Refusal(
            f"{name} has a gradient that differs between one image, a pair and memory formats, and cannot run in "
            f"float64 to decide ({reason(error)}); remove what converts to float32 in it."
        ) from error
    slope = float((ends[0] - ends[1]) @ _signal(ends[0]))
    for images in (x, x[:1]):
        probe = _probe(name, twin, images, run)
        if abs(2 * float((probe.maps["gradient"][0] * step).sum()) - slope) <= WRONG_MAP * abs(slope):
            return probe
    raise Refusal(
        f"{name} has a gradient that is not the derivative of its logits, also in float64; replace the operator that "
        "causes it."
    )


def _probe(name: str, net: nn.Module, x: Tensor, run: Callable[[nn.Module, Tensor], Tensor]) -> _Probe:
    """Send images forward, and a random combination of their logits back under every rule that applies.

    Raises:
        Refusal: If either pass fails.
    """
    x = x.detach().requires_grad_()
    memory = _Memory(x.device)
    hooks = torch.autograd.graph.saved_tensors_hooks(memory.save, memory.load)
    try:
        with hooks, Rectifiers() as rectifiers:
            logits = run(net, x)
    except Exception as error:
        raise Refusal(
            f"{name} fails in the forward pass with gradients: {reason(error)}; use a plain torch.nn.Module."
        ) from error
    if not logits.requires_grad:
        raise Refusal(f"{name} passes no gradient back to its input; remove detach, no_grad or quantisation.")
    operators = rectifiers.seen(logits)
    maps, rules = {}, list(BACKWARD_RULES) if operators.count else ["gradient"]
    for rule in rules:
        rectifiers.rule = rule
        more = rule != rules[-1]
        try:
            (maps[rule],) = torch.autograd.grad((logits @ _signal(logits)).sum(), x, retain_graph=more)
        except Exception as error:
            raise Refusal(
                f"{name} fails in the backward pass ({type(error).__name__}: {reason(error)}); disable "
                "checkpointing, and operators in place."
            ) from error
    return _Probe(logits.detach(), maps, operators, memory.peak(held_tensors(net)))


def _signal(logits: Tensor) -> Tensor:
    """Return a seeded random combination of logits, (K,)."""
    return torch.randn(logits.shape[-1], generator=torch.Generator().manual_seed(0)).to(logits)


class _Memory:
    """The memory of a forward and backward pass, measured from construction on."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._saved: dict[int, int] = {}  # bytes by data pointer, of tensors saved for the backward pass
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._allocated = torch.cuda.memory_allocated(device)

    def save(self, tensor: Tensor) -> tuple[Tensor, int]:
        """Count a tensor that autograd saves; tensors with the same data pointer count once."""
        if tensor.layout is torch.strided:
            self._saved[tensor.data_ptr()] = max(tensor.nbytes, self._saved.get(tensor.data_ptr(), 0))
        return tensor.detach(), tensor._version  # the graph would keep itself alive through its own output

    @staticmethod
    def load(saved: tuple[Tensor, int]) -> Tensor:
        """Return a saved tensor; without these hooks autograd itself would check that it was not overwritten."""
        tensor, version = saved
        if tensor._version != version:
            raise RuntimeError("a result that the derivative needs was overwritten in place")
        return tensor

    def peak(self, weights: Iterable[Tensor]) -> int:
        """Return the peak in bytes, without the weights, which stay in memory anyway."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) - self._allocated
        held = sum(self._saved.get(each.data_ptr(), 0) for each in weights if each.layout is torch.strided)
        return int(BACKWARD_FACTOR * (sum(self._saved.values()) - held))
