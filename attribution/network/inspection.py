"""Inspection: facts about a network that hold for every photo, determined with two noise images.

It takes one forward and one backward pass. Networks that cannot be explained are refused here, before the first photo.
"""

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attribution.network.rectifiers import Interception, Rectifiers
from attribution.refusal import Refusal

MIXING_TOLERANCE = 1e-2  # largest difference of logits between single and batched images, relative to the largest logit
MAP_TOLERANCE = 1e-5  # largest difference between two maps, relative to the largest value, that counts as rounding
BACKWARD_FACTOR = 1.25  # peak memory of both passes, relative to the saved tensors; measured on ResNet-50

Send = Callable[[nn.Module, Tensor, torch.memory_format], Tensor]  # (network, pixels, memory format) -> logits


@dataclass(frozen=True)
class Inspection:
    """Facts about one network.

    Attributes:
        memory_format: Memory format of the input: channels last if the network accepts it, otherwise contiguous.
        operators: Rectifiers and other activations in a forward pass.
        image_memory: Bytes per image of a forward and backward pass: the measured peak on CUDA, elsewhere an estimate
            from the tensors saved for the backward pass.
        fixed_adjoint: True if two images have the same Zeiler-Fergus map: no max-pooling, no gates, no norms.
    """

    memory_format: torch.memory_format
    operators: Interception
    image_memory: int
    fixed_adjoint: bool


def inspect(name: str, net: nn.Module, classes: int, x: Tensor, send: Send) -> Inspection:
    """Run noise images through a network, forward and backward.

    Args:
        name: The model's name, for refusals.
        net: The frozen network; its weights are converted to the chosen memory format.
        classes: Number of classes.
        x: (N, 3, H, W), at least two different images.
        send: Runs a network on pixels in a memory format.

    Raises:
        Refusal: If the network fails on such images or in the backward pass, does not return one logit per class,
            passes no gradient back, or mixes the images of a batch.
    """
    x = x.detach().requires_grad_()
    memory = _Memory(x.device)
    with torch.autograd.graph.saved_tensors_hooks(memory.save, lambda tensor: tensor):
        memory_format, logits, rectifiers = _first_pass(name, net, classes, x, send)
    if bool((logits > 0).all()) and bool(((logits.sum(1) - 1).abs() < 1e-4).all()):
        raise Refusal(f"{name} returns probabilities (positive values that sum to 1); return the logits instead.")
    if not logits.requires_grad:
        raise Refusal(f"{name} passes no gradient back to its input; remove detach, no_grad or quantisation.")
    with torch.no_grad():
        alone = expect_logits(name, send(net, x[:1], memory_format), 1, classes)
    if (alone - logits[:1]).abs().max() > MIXING_TOLERANCE * logits.abs().max():
        raise Refusal(f"{name} mixes the images of a batch; make batch norm use its running statistics.")
    operators = rectifiers.seen(logits)  # before the backward pass frees the graph
    maps = _zeiler_fergus_maps(name, x, logits, rectifiers)
    return Inspection(
        memory_format=memory_format,
        operators=operators,
        image_memory=memory.peak([*net.parameters(), *net.buffers()]) // len(x),
        fixed_adjoint=bool((maps[0] - maps[1]).abs().max() <= MAP_TOLERANCE * maps.abs().max()) and bool(maps.any()),
    )


def expect_logits(name: str, logits: object, images: int, classes: int) -> Tensor:
    """Return logits of shape (images, classes) unchanged.

    Raises:
        Refusal: If they are anything else.
    """
    if isinstance(logits, Tensor) and logits.shape == (images, classes):
        return logits
    given = f"shape {_shape(logits, images)}" if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
    raise Refusal(
        f"{name} returns {given}, but {classes} class names need logits of shape (N, {classes}); "
        "wrap it so that it returns one logit per class."
    )


def _shape(tensor: Tensor, images: int) -> str:
    """Write a shape with N for the number of images."""
    sides = ["N" if i == 0 and side == images else str(side) for i, side in enumerate(tensor.shape)]
    return f"({', '.join(sides)}{',' if len(sides) == 1 else ''})"


def _first_pass(
    name: str, net: nn.Module, classes: int, x: Tensor, send: Send
) -> tuple[torch.memory_format, Tensor, Rectifiers]:
    """Run in the fastest memory format that the network accepts; operators like view(N, -1) fail on channels last."""

    def attempt(memory_format: torch.memory_format) -> tuple[torch.memory_format, Tensor, Rectifiers]:
        net.to(memory_format=memory_format)
        with torch.inference_mode(False), torch.enable_grad(), Rectifiers() as rectifiers:
            logits = send(net, x, memory_format)
        return memory_format, expect_logits(name, logits, len(x), classes), rectifiers

    with contextlib.suppress(RuntimeError):
        return attempt(torch.channels_last)
    try:
        return attempt(torch.contiguous_format)
    except RuntimeError as error:
        reason = str(error).split("\n")[0]
        raise Refusal(
            f"{name} fails on images of shape {tuple(x.shape)}: {reason}; check its input size and layers."
        ) from error


def _zeiler_fergus_maps(name: str, x: Tensor, logits: Tensor, rectifiers: Rectifiers) -> Tensor:
    """Return the Zeiler-Fergus maps of a random linear combination of the logits, (N, 3, H, W)."""
    rectifiers.rule = "zeiler_fergus"
    signal = torch.randn(logits.shape[1], generator=torch.Generator().manual_seed(0)).to(logits)
    try:
        (maps,) = torch.autograd.grad((logits * signal).sum(), x)
    except Exception as error:
        raise Refusal(f"{name} fails in the backward pass ({type(error).__name__}); disable checkpointing.") from error
    return maps


class _Memory:
    """The memory of a forward and backward pass, measured from construction on."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._saved: dict[int, int] = {}  # bytes by data pointer, of tensors saved for the backward pass
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._allocated = torch.cuda.memory_allocated(device)

    def save(self, tensor: Tensor) -> Tensor:
        """Count a tensor that autograd saves; tensors with the same data pointer count once."""
        self._saved[tensor.data_ptr()] = max(tensor.nbytes, self._saved.get(tensor.data_ptr(), 0))
        return tensor

    def peak(self, weights: Iterable[Tensor]) -> int:
        """Return the peak in bytes, without the weights, which stay in memory anyway."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) - self._allocated
        held = sum(self._saved.get(each.data_ptr(), 0) for each in weights)
        return int(BACKWARD_FACTOR * (sum(self._saved.values()) - held))
