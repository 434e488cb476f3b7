"""The one place that runs the network: scores and gradients in chunks, counted, cancellable."""

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

IMAGES = 0.3  # of the memory beside the libraries
CHUNK = {"cpu": 4, "cuda": 32, "mps": 8}  # images at a time, by kind of device

T = TypeVar("T")
Tick = Callable[[float, Callable[[], Tensor] | None], None]  # fraction done, what gives the map so far


@dataclass(frozen=True)
class Tape:
    """A forward pass of the photo whose graph is kept."""

    x: Tensor  # (1, 3, H, W), requires a gradient
    logits: Tensor  # (1, K)
    rectifiers: Rectifiers
    outputs: dict[str, Output]  # by the name of the module that gave it


class Scorer:
    """Scores and gradients of one photo's target under one model.

    The photo is sent forward once for everything that asks about the photo itself: its class, its score and the
    gradients under every rule. Whoever asks first pays.

    Attributes:
        model: The model.
        pixels: (3, H, W), the photo as it was given.
        x: (3, H, W), the photo, on the model's device and in its dtype.
        chunk: Images at a time, at most.
        forwards: Images sent forward so far.
        backwards: Images whose signal was sent back so far.
    """

    def __init__(
        self,
        model: Model,
        x: Tensor,
        target: Target,
        chunk: int | None = None,
    ) -> None:
        """Run nothing yet.

        Args:
            model: The model.
            x: (3, H, W), pixels in [0, 1].
            target: The class and score; an open class becomes the predicted one.
            chunk: Images at a time. Default: by the kind of device.
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
        """The photo's most probable classes and the explained one, as `Model.predict` gives them."""
        return tuple(self.model.rank(self._logits, also=self.target.index))

    @property
    def saturated(self) -> bool:
        """Whether the slope of the photo's probability underflows in the network's dtype."""
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
        """Differentiate the score of every image, as many at a time as fit.

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
        """Run on all images at once, or, where the memory does not hold them, on halves, from now on."""
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
        """Send the photo forward and keep the graph, unless it is there already."""
        if self._tape is None:
            x = self.x[None].detach().requires_grad_()
            with torch.enable_grad(), Rectifiers() as rectifiers, outputs() as found:
                logits = self.model.logits(x)
            self.forwards += 1
            self._tape = Tape(x, logits, rectifiers, found)
        return self._tape

    def backward(self, rule: str) -> Tensor:
        """Send the photo's signal back under a rectifier rule.

        All rules share one forward pass; its graph is kept until `release`.

        Args:
            rule: A key of `rectifiers.RULES`.

        Returns:
            (3, H, W), per unit of pixel value; the exact gradient of the score for the rule "gradient".
        """
        return self._back(self.record().x, rule)[0]

    def features(self, layer: Layer) -> tuple[Tensor, Tensor]:
        """What the photo gives at a layer, and the gradient of the score there, both (C, h, w)."""
        output = self.record().outputs[layer.name].tensor
        return layer.maps(output.detach())[0], layer.maps(self._back(output, "gradient"))[0]

    def _back(self, place: Tensor, rule: str) -> Tensor:
        tape = self.record()
        tape.rectifiers.rule = rule
        with torch.enable_grad():
            potential = self.target.potential(tape.logits).sum()
            (gradient,) = torch.autograd.grad(potential, place, retain_graph=True)
        self.backwards += 1
        return self._scale(gradient, tape.logits)

    @property
    def interception(self) -> Interception:
        """What the forward pass of the photo was seen to use."""
        tape = self.record()
        return tape.rectifiers.seen(tape.logits)

    def release(self) -> None:
        """Free the graph of the photo's forward pass."""
        self._tape = None

    def pieces(self, count: int) -> Iterator[range]:
        """Cut range(count) into pieces of at most `chunk`, which may shrink on the way."""
        done = 0
        while done < count:
            piece = range(done, min(done + self.chunk, count))
            yield piece
            done = piece.stop

    def chunks(self, images: Tensor) -> Iterator[Tensor]:
        """Cut (N, ...) into pieces of at most `chunk` along the first dimension."""
        yield from torch.split(images, self.chunk)

    @cached_property
    def _logits(self) -> Tensor:
        """Of the photo, (K,), float64 on the CPU; from the recorded pass if there is one."""
        return _double(self._tape.logits if self._tape else self._forward(self.x[None]))[0]

    def _forward(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            logits = self.model.logits(images)
        self.forwards += len(images)
        return logits

    def _potential(self, logits: Tensor) -> Tensor:
        """(N, K) to (N,), for numbers that are reported: float64."""
        return self.target.potential(_double(logits))

    def _scale(self, gradients: Tensor, logits: Tensor) -> Tensor:
        """From the gradient of the potential to that of the score, (N, ...)."""
        return gradients * self.target.slope(self._potential(logits)).to(gradients).view(
            -1, *[1] * (gradients.ndim - 1)
        )


def _chunk(model: Model) -> int:
    """By the kind of device; no more than fits into its memory, or the part of the budget that is for images."""
    if model.device.type == "cuda":
        unused = torch.cuda.memory_reserved(model.device) - torch.cuda.memory_allocated(model.device)  # torch's own
        free = 0.8 * (torch.cuda.mem_get_info(model.device)[0] + unused)
    else:
        free = share(IMAGES)
    return max(1, min(CHUNK[model.device.type], int(free) // max(1, model.inspection.image_memory)))


def _double(values: Tensor) -> Tensor:
    """Detached, on the CPU (MPS has no float64), in float64."""
    return values.detach().cpu().double()
