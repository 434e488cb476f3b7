"""Facts about a network that a pass of two images of noise reveals when a model is made."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attribution.network.rectifiers import Interception, Rectifiers
from attribution.refusal import Refusal

MAX_MIXING = 1e-2  # relative difference of logits above which an image depends on its neighbours in a batch
PEAK_OVER_SAVED = 1.25  # peak memory of a pass and its backward pass, over what the pass saves; measured on ResNet-50
MAX_ROUNDING = 1e-5  # relative difference of two maps that counts as rounding

Send = Callable[[Tensor, torch.memory_format], Tensor]  # pixels (N, 3, H, W) -> logits (N, K), in a memory layout


@dataclass(frozen=True)
class Inspection:
    """Facts about a network.

    Attributes:
        layout: Memory layout that the network accepts; channels last where possible, since it is faster.
        operators: Rectifiers and other activations of a forward pass.
        image_memory: Bytes of one image in a pass with its gradient: the peak on CUDA; elsewhere those that the pass
            saves for the backward pass, and a quarter more.
        fixed_adjoint: True if two images of noise have the same Zeiler-Fergus map: no max-pooling, no gates, no norms.
    """

    layout: torch.memory_format
    operators: Interception
    image_memory: int
    fixed_adjoint: bool


def noise(size: tuple[int, int]) -> Tensor:
    """Return two images of noise, (2, 3, H, W), the second one dark."""
    images = torch.rand((2, 3, *size), generator=torch.Generator().manual_seed(0))
    images[1] *= 0.3
    return images


def inspect(name: str, net: nn.Module, x: Tensor, send: Send) -> Inspection:
    """Send two images through a network and back.

    Args:
        name: Name of the model, for refusals.
        net: The frozen network; its memory layout is changed.
        x: (2, 3, H, W), on the network's device and in its dtype.
        send: Sends pixels through the network, and refuses what are no logits.

    Raises:
        Refusal: If the network fails on the images, mixes them, returns probabilities, or cannot be differentiated.
    """
    x = x.requires_grad_()
    cuda = x.device.type == "cuda"
    held = torch.cuda.memory_allocated(x.device) if cuda else 0
    if cuda:
        torch.cuda.reset_peak_memory_stats(x.device)
    saved: dict[int, int] = {}  # bytes that the pass saves for the backward pass, by address

    def count(tensor: Tensor) -> Tensor:
        saved[tensor.data_ptr()] = max(tensor.nbytes, saved.get(tensor.data_ptr(), 0))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        layout, logits, rectifiers = _first_pass(name, net, x, send)
    if bool((logits > 0).all()) and bool(((logits.sum(1) - 1).abs() < 1e-4).all()):
        raise Refusal(f"{name} returns values above 0 that sum to 1, as after a softmax; return its logits instead.")
    if not logits.requires_grad:
        raise Refusal(f"{name} passes no gradient back to its input; remove detach, no_grad or quantisation.")
    with torch.no_grad():
        alone = send(x[:1], layout)
    if (alone - logits[:1]).abs().max() > MAX_MIXING * logits.abs().max():
        raise Refusal(f"{name} mixes the images of a batch; use batch norm with its running statistics.")
    operators = rectifiers.seen(logits)
    rectifiers.rule = "zeiler_fergus"
    signal = torch.randn(logits.shape[1], generator=torch.Generator().manual_seed(0)).to(logits)
    try:
        (maps,) = torch.autograd.grad((logits * signal).sum(), x)
    except Exception as error:
        raise Refusal(
            f"{name} fails in the backward pass ({type(error).__name__}); switch checkpointing off."
        ) from error
    weights = sum(saved.get(each.data_ptr(), 0) for each in (*net.parameters(), *net.buffers()))
    kept = int(PEAK_OVER_SAVED * (sum(saved.values()) - weights))
    peak = torch.cuda.max_memory_allocated(x.device) - held if cuda else kept
    alike = bool((maps[0] - maps[1]).abs().max() <= MAX_ROUNDING * maps.abs().max())
    return Inspection(layout, operators, peak // len(x), alike and bool(maps.any()))


def _first_pass(name: str, net: nn.Module, x: Tensor, send: Send) -> tuple[torch.memory_format, Tensor, Rectifiers]:
    """Find the memory layout that the network accepts: some operators, such as view(N, -1), need contiguous rows."""
    failure: Exception | None = None
    for layout in (torch.channels_last, torch.contiguous_format):
        net.to(memory_format=layout)
        try:
            with torch.inference_mode(False), torch.enable_grad(), Rectifiers() as rectifiers:
                return layout, send(x, layout), rectifiers
        except RuntimeError as error:
            failure = error
    reason = str(failure).split("\n")[0]
    raise Refusal(
        f"{name} fails on images of shape {tuple(x.shape)}: {reason}; check its size and its layers."
    ) from failure
