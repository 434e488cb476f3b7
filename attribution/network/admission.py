"""Admission of a network: what its logits must not depend on.

Networks that cannot be explained are refused here, before the first photo: those that fail, return no logits, mix the
images of a batch, are random, compute in 16 bits, or use weights that they do not hold, which no copy could keep.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from attribution.network.frozen import held_tensors
from attribution.network.nonlinear import tensors
from attribution.refusal import Refusal
from attribution.system.memory import exhausted

SAME_LOGITS = 1e-4  # largest difference of two networks' logits, relative to their spread, that counts as rounding
MIXING_TOLERANCE = 1e-2  # the same for an image alone and in a batch

Run = Callable[[nn.Module, Tensor], Tensor]  # (network, pixels) -> logits


def admit(name: str, net: nn.Module, classes: int, images: Tensor, run: Run) -> Tensor:
    """Run images through a network, alone and together.

    Args:
        name: The model's name, for refusals.
        net: The frozen network.
        classes: Number of classes.
        images: (N, 3, H, W), at least two different ones.
        run: Runs a network on pixels.

    Returns:
        The logits of the images, each alone, (N, K).

    Raises:
        Refusal: If the network cannot be explained.
    """
    with torch.no_grad(), _Observer(net) as observer:
        try:
            alone = torch.cat([expect_logits(name, run(net, each), 1, classes) for each in torch.split(images, 1)])
            together = expect_logits(name, run(net, images), len(images), classes)
        except Refusal:
            raise
        except Exception as error:
            raise Refusal(
                f"{name} fails on images of shape {tuple(images.shape)}: {reason(error)}; {_remedy(net, error)}."
            ) from error
        again = run(net, images[:1])
    if observer.foreign:
        raise Refusal(
            f"{name} uses weights of shape {observer.foreign[0]} that it does not hold; make their module an "
            "attribute of the network."
        )
    if observer.half:
        raise Refusal(
            f"{name} computes in {observer.half} inside; gradient maps need float32; remove autocast and half()."
        )
    if bool((alone > 0).all()) and bool(((alone.sum(1) - 1).abs() < 1e-4).all()):
        raise Refusal(f"{name} returns probabilities (positive values that sum to 1); return the logits instead.")
    if not same_logits(again, alone[:1]):
        raise Refusal(f"{name} returns other logits for the same image each time; remove what is random in it.")
    if not same_logits(together, alone, MIXING_TOLERANCE):
        raise Refusal(f"{name} mixes the images of a batch; make batch norm use its running statistics.")
    return alone


def _remedy(net: nn.Module, error: Exception) -> str:
    """Return a remedy for a network that fails."""
    first = next((each for each in net.modules() if isinstance(each, nn.Conv2d)), None)
    if first is not None and f"to have {first.in_channels} channels" in str(error):
        if first.in_channels in (1, 3):
            return f"its first convolution takes {first.in_channels} channels, so pass channels={first.in_channels}"
        return f"its first convolution takes {first.in_channels} channels, but only 1 and 3 are supported"
    return "check its input size and layers"


def reason(error: Exception) -> str:
    """Return the first line of the message of an error of the network, for a refusal.

    Raises:
        Exception: The error itself, if memory ran out: a refusal would blame the network.
    """
    if exhausted(error):
        raise error
    return str(error).split("\n")[0]


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


def same_logits(found: Tensor, expected: Tensor, tolerance: float = SAME_LOGITS) -> bool:
    """True if logits, (N, K), differ by less than a tolerance, relative to their spread."""
    found, expected = (each.detach().double().nan_to_num() for each in (found.cpu(), expected.cpu()))
    rounding = 100 * torch.finfo(torch.float32).eps * expected.abs().max()
    return bool((found - expected).abs().max() <= tolerance * spread(expected) + rounding)


def spread(logits: Tensor) -> Tensor:
    """Return the largest deviation of logits, (N, K), from an image's mean; the largest size if there is only one."""
    return (logits - logits.mean(1, keepdim=True) if logits.shape[1] > 1 else logits).abs().max()


def _shape(tensor: Tensor, images: int) -> str:
    """Write a shape with N for the number of images."""
    sides = ["N" if i == 0 and side == images else str(side) for i, side in enumerate(tensor.shape)]
    return f"({', '.join(sides)}{',' if len(sides) == 1 else ''})"


class _Observer(TorchFunctionMode):
    """A context that looks at the tensors of a forward pass.

    Attributes:
        half: A 16-bit type in which something is computed, if any.
        foreign: Shapes of the parameters that the network uses but does not hold.
    """

    def __init__(self, net: nn.Module) -> None:
        """Start with the tensors that the network holds."""
        super().__init__()
        self._held = {id(each) for each in held_tensors(net)}
        self.half: torch.dtype | None = None
        self.foreign: list[tuple[int, ...]] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Forward every call, and look at its tensors."""
        result = func(*args, **(kwargs or {}))
        used = (each for each in tensors((args, kwargs or {})) if isinstance(each, nn.Parameter))
        self.foreign += [tuple(each.shape) for each in used if id(each) not in self._held]
        found = (each.dtype for each in tensors(result) if each.dtype in (torch.float16, torch.bfloat16))
        self.half = next(found, self.half)
        return result
