"""Scorer: the one place that runs the network for a photo. Scores and gradients, in chunks and counted."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.network.layers import Layer, Output, outputs
from attribution.network.model import Model
from attribution.network.rectifiers import Interception, Rectifiers
from attribution.system.memory import exhausted, share
from attribution.targets.target import Target

IMAGE_MEMORY_SHARE = 0.3  # share of the memory left by the libraries that a chunk of images may take
CHUNK_SIZES = {"cpu": 4, "cuda": 32, "mps": 8}  # maximum images per pass, by type of device

T = TypeVar("T")


@dataclass(frozen=True)
class Tape:
    """A forward pass of the photo, with its graph."""

    x: Tensor  # (1, 3, H, W), requires a gradient
    logits: Tensor  # (1, K)
    rectifiers: Rectifiers
    outputs: dict[str, Output]  # by module name


class Scorer:
    """Scores and gradients of one photo's target under one model.

    The photo is sent forward once for everything that depends on the photo alone: its class, its score and the
    gradients under every rule. The first caller runs that pass.

    Attributes:
        model: The model.
        pixels: (3, H, W), the photo as it was given.
        x: (3, H, W), the photo, on the model's device and in its dtype.
        chunk: Maximum images per pass; it shrinks when memory runs out.
        forwards: Images sent forward so far.
        backwards: Images sent back so far.
    """

    def __init__(self, model: Model, x: Tensor, target: Target, chunk: int | None = None) -> None:
        """Prepare a photo; the network does not run yet.

        Args:
            model: The model.
            x: (3, H, W), pixels in [0, 1].
            target: Class and score; an open class becomes the predicted one.
            chunk: Maximum images per pass. Default: by the type of device and its memory.
        """
        self.model = model
        self._asked = target
        self.pixels = x.cpu().numpy()
        self.x = x.to(model.device, model.dtype)
        self.chunk = chunk or _chunk(model)
        self.forwards = 0
        self.backwards = 0
        self._tape: Tape | None = None

    @cached_property
    def target(self) -> Target:
        """The target with its class filled in."""
        return self._asked.resolve(self._logits)

    @property
    def score(self) -> float:
        """The score of the photo."""
        return float(self.target.value(self._potential(self._logits[None])))

    @cached_property
    def prediction(self) -> tuple[tuple[int, str, float], ...]:
        """The photo's most probable classes and the explained one, in the form of `Model.predict`."""
        return tuple(self.model.rank(self._logits, also=self.target.index))

    @property
    def saturated(self) -> bool:
        """True if the slope of the photo's probability underflows in the network's dtype."""
        return float(self.target.slope(self._potential(self._logits[None]))) < torch.finfo(self.model.dtype).tiny

    def scores(self, images: Tensor) -> NDArray[np.float64]:
        """Score images.

        Args:
            images: (N, 3, H, W).

        Returns:
            (N,).
        """
        logits = torch.cat([part for chunk in self.chunks(images) for part in self._fitting(self._forward, chunk)])
        return self.target.value(self._potential(logits)).numpy()

    def gradients(self, images: Tensor) -> tuple[Tensor, NDArray[np.float64]]:
        """Differentiate the score of every image, as many per pass as fit into memory.

        Args:
            images: (N, 3, H, W).

        Returns:
            (N, 3, H, W), per unit of pixel value, and the scores, (N,).
        """
        parts = [self._fitting(self._gradients, chunk) for chunk in self.chunks(images)]
        gradients, scores = zip(*(pair for part in parts for pair in part), strict=True)
        return torch.cat(gradients) if len(gradients) > 1 else gradients[0], np.concatenate(scores)

    def _gradients(self, images: Tensor) -> tuple[Tensor, NDArray[np.float64]]:
        x = images.detach().requires_grad_()
        with torch.enable_grad():
            logits = self.model.logits(x)
            (gradients,) = torch.autograd.grad(self.target.potential(logits).sum(), x)
        self.forwards += len(x)
        self.backwards += len(x)
        return self._scale(gradients, logits), self.target.value(self._potential(logits)).numpy()

    def _fitting(self, run: Callable[[Tensor], T], images: Tensor) -> list[T]:
        """Run on all images at once; if memory runs out, halve the chunk for good and try again."""
        try:
            return [run(images)]
        except RuntimeError as error:
            if not exhausted(error) or len(images) == 1:
                raise
        self.chunk = -(-len(images) // 2)
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()
        return [part for half in self.chunks(images) for part in self._fitting(run, half)]

    def record(self) -> Tape:
        """Send the photo forward and keep the graph, unless that has been done."""
        if self._tape is None:
            x = self.x[None].detach().requires_grad_()
            with torch.enable_grad(), Rectifiers() as rectifiers, outputs() as found:
                logits = self.model.logits(x)
            self.forwards += 1
            self._tape = Tape(x, logits, rectifiers, found)
        return self._tape

    def backward(self, rule: str) -> Tensor:
        """Send the signal from the photo's score back to its pixels under a rectifier rule.

        All rules share one forward pass, whose graph is kept until `release`.

        Args:
            rule: A key of `rectifiers.BACKWARD_RULES`.

        Returns:
            (3, H, W), per unit of pixel value; for the rule "gradient" the exact gradient of the score.
        """
        return self._back(self.record().x, rule)[0]

    def features(self, layer: Layer) -> tuple[Tensor, Tensor]:
        """Return a layer's output for the photo and the gradient of the score there, both (C, h, w)."""
        output = self.record().outputs[layer.name].tensor
        return layer.maps(output.detach())[0], layer.maps(self._back(output, "gradient"))[0]

    def _back(self, tensor: Tensor, rule: str) -> Tensor:
        """Send the signal back to a tensor of the recorded pass."""
        tape = self.record()
        tape.rectifiers.rule = rule
        with torch.enable_grad():
            potential = self.target.potential(tape.logits).sum()
            (gradient,) = torch.autograd.grad(potential, tensor, retain_graph=True)
        self.backwards += 1
        return self._scale(gradient, tape.logits)

    @property
    def interception(self) -> Interception:
        """The rectifiers and other activations in the photo's forward pass."""
        tape = self.record()
        return tape.rectifiers.seen(tape.logits)

    def release(self) -> None:
        """Free the graph of the photo's forward pass."""
        self._tape = None

    def pieces(self, count: int) -> Iterator[range]:
        """Split range(count) into pieces of at most `chunk`, which may shrink between two pieces."""
        done = 0
        while done < count:
            piece = range(done, min(done + self.chunk, count))
            yield piece
            done = piece.stop

    def chunks(self, images: Tensor) -> Iterator[Tensor]:
        """Split (N, ...) into chunks of at most `chunk` along the first dimension."""
        yield from torch.split(images, self.chunk)

    @cached_property
    def _logits(self) -> Tensor:
        """The photo's logits, (K,), float64 on the CPU; from the recorded pass if there is one."""
        return _double(self._tape.logits if self._tape else self._forward(self.x[None]))[0]

    def _forward(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            logits = self.model.logits(images)
        self.forwards += len(images)
        return logits

    def _potential(self, logits: Tensor) -> Tensor:
        """Compute the target's potential, (N, K) to (N,), in float64, since it ends up in reported numbers."""
        return self.target.potential(_double(logits))

    def _scale(self, gradients: Tensor, logits: Tensor) -> Tensor:
        """Turn gradients of the potential, (N, ...), into gradients of the score."""
        return gradients * self.target.slope(self._potential(logits)).to(gradients).view(
            -1, *[1] * (gradients.ndim - 1)
        )


def _chunk(model: Model) -> int:
    """Return the chunk size of the device, reduced to what fits into its free memory or the budget for images."""
    if model.device.type == "cuda":
        cached = torch.cuda.memory_reserved(model.device) - torch.cuda.memory_allocated(model.device)
        free = 0.8 * (torch.cuda.mem_get_info(model.device)[0] + cached)
    else:
        free = share(IMAGE_MEMORY_SHARE)
    return max(1, min(CHUNK_SIZES[model.device.type], int(free) // max(1, model.inspection.image_memory)))


def _double(values: Tensor) -> Tensor:
    """Detach, move to the CPU (MPS has no float64) and convert to float64."""
    return values.detach().cpu().double()
