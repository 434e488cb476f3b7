"""Scorer: methods run the network only through it; it computes scores and gradients in chunks, counting passes."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.network.admission import same_logits
from attribution.network.attention import Attentions, ExplicitAttention, Weights
from attribution.network.lanes import lane_count, spread
from attribution.network.layer import Layer
from attribution.network.layers import Output, outputs
from attribution.network.model import Model
from attribution.network.rectifiers import Interception, Rectifiers
from attribution.network.relevance import Met, Relevance, Rules
from attribution.network.rescale import Rescale
from attribution.refusal import Refusal
from attribution.system.memory import exhausted, share
from attribution.targets.target import Target

IMAGE_MEMORY_SHARE = 0.3  # share of the memory that the libraries leave free, for the images that run at a time
CHUNK_SIZES = {"cpu": 4, "cuda": 32, "mps": 8}  # maximum images per chunk, by type of device
CHUNKS_PER_LANE = 2  # in a piece of work, so that a lane on a busy core gets fewer of them

T = TypeVar("T")
Mixture = Callable[["Scorer"], Sequence[tuple[float, Target]]]


@dataclass(frozen=True)
class Known:
    """The findings of an earlier scorer of the same photo and model.

    Attributes:
        logits: (K,), of the photo, in float64 on the CPU.
        uses_given: As in `Scorer`.
    """

    logits: Tensor
    uses_given: bool


@dataclass(frozen=True)
class Tape:
    """A recorded forward pass of one photo or several, with its graph."""

    scorers: "tuple[Scorer, ...]"  # of the photos, N
    x: Tensor  # (N, 3, H, W), requires a gradient
    logits: Tensor  # (N, K)
    rectifiers: Rectifiers
    outputs: dict[str, Output]  # by module name
    gradients: dict[Any, Tensor | None]  # of the potentials, by rule, identity of the tensor and targets


@dataclass(frozen=True)
class Rescaled:
    """The result of the rescale rule for one baseline.

    Attributes:
        multipliers: (3, H, W); times the photo's difference from the baseline, they distribute the score difference.
        baseline_score: Score of the baseline.
        others: Names of the nonlinear operators that keep their plain derivative.
    """

    multipliers: Tensor
    baseline_score: float
    others: tuple[str, ...]


@dataclass(frozen=True)
class Propagated:
    """The result of layer-wise relevance propagation.

    Attributes:
        values: (3, H, W), in the unit of the score.
        conservation: The sum of the relevance at every stage, by the stage's name, from the logits to the pixels.
        met: The operators of the pass.
    """

    values: Tensor
    conservation: tuple[tuple[str, float], ...]
    met: Met


class Scorer:
    """Scores and gradients of one photo under one model, for one target at a time.

    A single forward pass of the photo serves its class, its score and its gradients under every rule, for all targets.
    The first caller runs it. Images that are scored for one target are not run again for the others.

    Attributes:
        model: The model.
        pixels: (3, H, W), the photo as passed in.
        x: (3, H, W), the photo, on the model's device and in its dtype.
        chunk: Maximum images per chunk; reduced when memory runs out.
        lanes: Chunks that run side by side; 1 except on the CPU.
        forwards: Forward passes so far, counted per image.
        backwards: Backward passes so far, counted per image.
        uses_given: True if the given network runs, since the derived one computes other logits for this photo.
    """

    def __init__(
        self, model: Model, x: Tensor, target: Target, chunk: int | None = None, *, further: Sequence[Target] = ()
    ) -> None:
        """Prepare a photo without running the network.

        Args:
            model: The model.
            x: (3, H, W), pixels in [0, 1].
            target: Class and score; if the class is None, the predicted class is used.
            chunk: Maximum images per chunk. Default: by the type of device and its memory.
            further: Other targets, for `aim`. Default: none.
        """
        self.model = model
        self._asked = (target, *further)
        self._place = 0
        self.pixels = x.cpu().numpy()
        self.x = x.to(model.device, model.dtype)
        most = _images(model)
        self.chunk = chunk or min(CHUNK_SIZES[model.device.type], most)
        self.lanes = max(1, min(lane_count(), most // self.chunk)) if model.device.type == "cpu" else 1
        self.forwards = 0
        self.backwards = 0
        self.uses_given = self._settled = False
        self._run = model.logits
        self._tape: Tape | None = None
        self._together: tuple[Scorer, ...] = ()
        self._uncounted = 0  # forward passes that others ran for this photo, too
        self._scored: dict[bytes, list[NDArray[np.float64]]] = {}  # scores per target, by SHA-256 of the images

    @property
    def known(self) -> Known:
        """The photo's logits, for another scorer."""
        return Known(self._logits, self.uses_given)

    @known.setter
    def known(self, known: Known) -> None:
        self._logits, self.uses_given, self._settled = known.logits, known.uses_given, True
        self._run = self.model.given_logits if known.uses_given else self.model.logits

    def aim(self, place: int) -> None:
        """Change to another of the targets; 0 is the first."""
        self._place = place

    @staticmethod
    def join(scorers: "Sequence[Scorer]") -> None:
        """Let scorers of one model, for one target each, share the recorded forward pass and its backward passes.

        Args:
            scorers: Scorers of photos of one size, as many as fit into memory at a time.
        """
        for each in scorers:
            each._together = tuple(scorers)

    @cached_property
    def _targets(self) -> list[Target]:
        return [asked.resolve(self._logits, self.model.output) for asked in self._asked]

    @property
    def target(self) -> Target:
        """The current target with its class filled in."""
        return self._targets[self._place]

    @property
    def score(self) -> float:
        """The score of the photo."""
        return float(self.target.value(self._potential(self._logits[None])))

    @property
    def prediction(self) -> tuple[tuple[int, str, float], ...]:
        """The photo's most probable classes and the explained class, as returned by `Model.predict`."""
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
            Scores, (N,).
        """
        targets = self._targets  # first, since the photo decides which network runs
        key = hashlib.sha256(images.cpu().numpy().tobytes()).digest() if len(targets) > 1 else None
        found = self._scored.get(key) if key else None
        if found is None:
            logits = self.logits(images)
            found = [each.value(each.potential(logits, self.model.output)).numpy() for each in targets]
        if key:
            self._scored[key] = found
        return found[self._place]

    def logits(self, images: Tensor) -> Tensor:
        """Compute the logits of images, (N, 3, H, W), as (N, K) in float64."""
        _ = self._targets  # first, since the photo decides which network runs
        self.forwards += len(images)
        return _double(torch.cat(self._spread(self._forward, images)))

    def gradients(self, images: Tensor) -> tuple[Tensor, NDArray[np.float64]]:
        """Compute the gradient of the score for every image, in chunks that fit into memory.

        Args:
            images: (N, 3, H, W).

        Returns:
            Gradients, (N, 3, H, W), per unit of pixel value, and scores, (N,).
        """
        _ = self.target  # first, since the photo decides which network runs
        gradients, scores = zip(*self._spread(self._gradients, images), strict=True)
        self.forwards += len(images)
        self.backwards += len(images)
        return torch.cat(gradients) if len(gradients) > 1 else gradients[0], np.concatenate(scores)

    def _gradients(self, images: Tensor) -> tuple[Tensor, NDArray[np.float64]]:
        x = images.detach().requires_grad_()
        with torch.enable_grad():
            logits = self._run(x)
            (gradients,) = torch.autograd.grad(self.target.potential(logits, self.model.output).sum(), x)
        return self._scale(gradients, logits), self.target.value(self._potential(logits)).numpy()

    def _spread(self, run: Callable[[Tensor], T], images: Tensor) -> list[T]:
        """Run on chunks of the images; if memory runs out, repeat with half the chunk size, then without lanes."""
        while True:
            try:
                return spread(run, list(self.chunks(images)), self.lanes)
            except RuntimeError as error:
                size = min(self.chunk, len(images))
                if not exhausted(error) or size == self.lanes == 1:
                    raise
            if size == 1:
                self.lanes = 1
            self.chunk = -(-size // 2)
            if self.model.device.type == "cuda":
                torch.cuda.empty_cache()

    def record(self) -> Tape:
        """Run the photo's forward pass and keep its graph; return the existing one if there is one."""
        if self._tape is None:
            self._record()
        self.forwards, self._uncounted = self.forwards + self._uncounted, 0
        if self._tape is None:  # the derived network returns other logits
            self._tape = self._taped()
            self.forwards += 1
        return self._tape

    def _record(self) -> None:
        """Run the forward pass for all photos that share it, and keep its graph for those whose logits are right."""
        tape = self._taped(scorers=self._together)
        for row, each in enumerate(tape.scorers):
            each._tape = tape if each._settle(tape.logits[row, None]) else None
            each._together, each._uncounted = (), 1

    def _taped(
        self,
        run: Callable[[Tensor], Tensor] | None = None,
        kept: str | None = None,
        scorers: "Sequence[Scorer] | None" = None,
    ) -> Tape:
        scorers = tuple(scorers or (self,))
        x = torch.stack([each.x for each in scorers]).detach().requires_grad_()
        with torch.enable_grad(), Rectifiers() as rectifiers, outputs(kept) as found:
            logits = self._sent(run or self._run, x)
        return Tape(scorers, x, logits, rectifiers, found, {})

    def _sent(self, run: Callable[[Tensor], Tensor], photo: Tensor) -> Tensor:
        """Run the photo through the network.

        Raises:
            Refusal: If that fails, and the photo has another size than the model's.
        """
        try:
            return run(photo)
        except Exception as error:
            size = (photo.shape[2], photo.shape[3])
            if isinstance(error, Refusal) or exhausted(error) or size == self.model.preprocessing.size:
                raise
            height, width = self.model.preprocessing.size
            raise Refusal(
                f"{self.model.name} fails on a photo of {size[0]} x {size[1]} pixels; use its own size, {height} x "
                f"{width}, as model.prepare does."
            ) from error

    def backward(self, rule: str) -> Tensor:
        """Backpropagate the photo's score to its pixels under a rectifier rule.

        All rules share one forward pass, whose graph is kept until `release`.

        Args:
            rule: A key of `rectifiers.BACKWARD_RULES`.

        Returns:
            (3, H, W), per unit of pixel value; the exact gradient of the score for the rule "gradient".
        """
        tape = self.record()
        gradient = self._back(tape, tape.x, rule)
        return torch.zeros_like(self.x) if gradient is None else gradient[0]

    def maps(self, layer: Layer, *, as_given: bool = False) -> Tensor:
        """Return a layer's output for the photo, (C, h, w).

        Args:
            layer: The layer.
            as_given: As for `features`.

        Raises:
            Refusal: If the layer does not run for this photo.
        """
        tape, output = self._output(layer, as_given)
        return layer.maps(output.detach())[tape.scorers.index(self)]

    def features(
        self, layer: Layer, *, as_given: bool = False, mixture: Mixture | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return a layer's output for the photo and the score's gradient with respect to it, both (C, h, w).

        Args:
            layer: The layer.
            as_given: True for the output of this very module in the given network, in a pass of its own. Default:
                False; a batch norm may be folded into the module, or an operator in place may follow it.
            mixture: A function of a scorer that returns targets and their weights; the gradient is that of the weighted
                sum of their scores. Default: the score of the current target.

        Raises:
            Refusal: If the layer does not run for this photo, or does not affect its logits.
        """
        tape, output = self._output(layer, as_given)
        gradient = self._back(tape, output, "gradient", mixture)
        if gradient is None:
            raise Refusal(f"The layer {layer.name!r} does not affect the logits of this photo; name another layer.")
        row = tape.scorers.index(self)
        return layer.maps(output.detach())[row], layer.maps(gradient)[0]

    def attention(self, *, gradients: bool = False) -> list[Weights]:
        """Return the attention weights of every layer for the photo, in a pass of its own, in which they are explicit.

        Args:
            gradients: True for the gradient of the score with respect to them, too. Default: False.

        Raises:
            Refusal: If the attentions do not relate the same tokens, or that pass returns other logits.
        """
        known, x = self._logits, self.x[None].detach().requires_grad_()
        self.forwards += 1
        with torch.enable_grad(), ExplicitAttention():
            logits = self._sent(self._run, x)
        if not same_logits(logits, known[None]):
            raise Refusal(
                f"{self.model.name} returns other logits for this photo when its attention weights are read; choose "
                "another method."
            )
        found = Attentions(self.model.name, logits, self.model.inspection.min_batch)
        found.check()
        weights = found.weights()
        if not gradients:
            return [Weights(each) for each in weights]
        self.backwards += 1
        with torch.enable_grad():
            slopes = found.gradients(self.target.potential(logits, self.model.output))
        return [Weights(each, self._scale(slope, logits)) for each, slope in zip(weights, slopes, strict=True)]

    def _output(self, layer: Layer, as_given: bool) -> tuple[Tape, Tensor]:
        """Return a layer's output, and the recorded pass in which it was computed."""
        tape = self._taped(self.model.given_logits, layer.name) if as_given else self.record()
        self.forwards += as_given
        if layer.name not in tape.outputs:
            raise Refusal(f"The layer {layer.name!r} does not run for this photo; name another layer.")
        return tape, tape.outputs[layer.name].tensor

    def rivals(self, count: int) -> list[int]:
        """Return the classes with the highest logits beside the target's class, at most `count`."""
        order = self._logits.argsort(descending=True, stable=True).tolist()
        return [index for index in order if index != self.target.index][:count]

    def _back(self, tape: Tape, tensor: Tensor, rule: str, mixture: Mixture | None = None) -> Tensor | None:
        """Backpropagate the score to a tensor of a recorded pass, (N, ...), and return this photo's part, (1, ...).

        The scores of all its photos are backpropagated at once, since each depends on its own photo only. None if the
        logits do not depend on the tensor.
        """
        row = tape.scorers.index(self)
        mixed = None if mixture is None else tuple(tuple(mixture(each)) for each in tape.scorers)
        key = (rule, id(tensor), mixed, *(each._place for each in tape.scorers))
        if key not in tape.gradients:
            tape.rectifiers.rule = rule
            with torch.enable_grad():
                potentials = [
                    each._mixed(tape.logits[place, None], mixed[place])
                    if mixed
                    else each.target.potential(tape.logits[place, None], self.model.output)
                    for place, each in enumerate(tape.scorers)
                ]
                (tape.gradients[key],) = torch.autograd.grad(
                    torch.cat(potentials).sum(), tensor, retain_graph=True, allow_unused=True
                )
        gradient = tape.gradients[key]
        self.backwards += 1
        if gradient is None or mixed:
            return gradient if gradient is None else gradient[row, None]
        return self._scale(gradient[row, None], tape.logits[row, None])

    def _mixed(self, logits: Tensor, mixture: Sequence[tuple[float, Target]]) -> Tensor:
        """Return a number, (1,), whose gradient is that of the weighted sum of the scores of logits, (1, K)."""
        potentials = [target.potential(logits, self.model.output) for _, target in mixture]
        slopes = [target.slope(target.potential(_double(logits), self.model.output)) for _, target in mixture]
        terms = zip(mixture, potentials, slopes, strict=True)
        return torch.stack([weight * slope.to(each) * each for (weight, _), each, slope in terms]).sum(0)

    def rescale(self, baselines: Tensor) -> Iterator[Rescaled]:
        """Backpropagate the photo's score to its pixels under the rescale rule, for one baseline after another.

        The rule covers the score too: the logarithm and the exponentials in the log-odds, the sigmoid in the
        probability. So the sum over the pixels is the difference of the scores.

        Args:
            baselines: (K, 3, H, W).

        Raises:
            Refusal: If the network runs other operators for a baseline than for the photo.
        """
        _ = self.target  # first, since the photo decides which network runs
        rescale = Rescale()
        x, score = self._differentiable(self.x, rescale)
        others = rescale.others(score)
        for baseline in baselines:
            _, other = self._differentiable(baseline, rescale.baseline())
            (multipliers,) = torch.autograd.grad(score, x, retain_graph=True)
            self.backwards += 1
            yield Rescaled(multipliers[0], float(other.detach()), others)

    def relevance(self, rules: Rules) -> Propagated:
        """Propagate the relevance of the photo's logits, times the gradient of the score, to its pixels.

        Args:
            rules: The rules of layer-wise relevance propagation.

        Raises:
            Refusal: If the first linear operator has a rule of its own, but there is none to which it applies.
        """
        _ = self.target  # first, since the photo decides which network runs
        x = self.x[None].detach().requires_grad_()
        self.forwards += 1
        self.backwards += 1
        with torch.enable_grad():
            with Relevance(rules, x) as relevance:
                logits = self._sent(self._run, x)
            met = relevance.met(logits)
            stages = relevance.stages(logits)
            potential = self.target.potential(logits, self.model.output)
            signal, *signals = torch.autograd.grad(potential.sum(), [x, *stages])
        values = self._scale(x.detach() * signal + relevance.deposited, logits)[0]
        sums = [float(_double(stage * each).sum()) for stage, each in zip(stages, signals, strict=True)]
        slope = float(self.target.slope(self._potential(logits)))
        names = ["logits", *(" x ".join(map(str, stage.shape[1:])) for stage in stages[1:])]
        conserved = [(name, slope * each) for name, each in zip(names, sums, strict=True)]
        return Propagated(values, (*conserved, ("pixels", float(_double(values).sum()))), met)

    def _differentiable(self, image: Tensor, mode: AbstractContextManager[object]) -> tuple[Tensor, Tensor]:
        """Run an image, and compute its score in float64, in a context; return the image, (1, 3, H, W), and the score.

        Args:
            image: (3, H, W).
            mode: The context.
        """
        x = image[None].detach().requires_grad_()
        self.forwards += 1
        with torch.enable_grad(), mode:
            logits = self._sent(self._run, x).cpu().double()  # MPS lacks float64
            return x, self.target.value(self.target.potential(logits, self.model.output))

    @property
    def interception(self) -> Interception:
        """The rectifiers and other nonlinear operators in the photo's forward pass."""
        tape = self.record()
        return tape.rectifiers.seen(tape.logits)

    def release(self) -> None:
        """Free the graph of the photo's forward pass, and the scores of images; share no further pass."""
        self._tape, self._together = None, ()
        self._scored.clear()

    @property
    def piece(self) -> int:
        """The number of images to score at a time, after which progress is reported."""
        return self.chunk if self.lanes == 1 else self.chunk * self.lanes * CHUNKS_PER_LANE

    def pieces(self, count: int) -> Iterator[range]:
        """Split range(count) into pieces of a few chunks for each lane; the chunk may be reduced between two pieces."""
        done = 0
        while done < count:
            piece = range(done, min(done + self.piece, count))
            yield piece
            done = piece.stop

    def chunks(self, images: Tensor) -> Iterator[Tensor]:
        """Split (N, ...) along the first dimension into chunks of at most `chunk`, and fewer if lanes would be idle."""
        yield from torch.split(images, min(self.chunk, -(-len(images) // self.lanes)))

    @cached_property
    def _logits(self) -> Tensor:
        """The photo's logits, (K,), float64 on the CPU; taken from the recorded pass if there is one."""
        if self._tape:
            return _double(self._tape.logits)[self._tape.scorers.index(self)]
        self.forwards += 1
        logits = self._forward(self.x[None])
        return _double(logits if self._settle(logits) else self._forward(self.x[None]))[0]

    def _settle(self, logits: Tensor) -> bool:
        """Compare the photo's logits once with the given network's, which runs from then on if they differ.

        Its pass is not counted, since no map uses it.

        Returns:
            True if the logits are right.
        """
        if self._settled:
            return True
        self._settled = True
        self.uses_given = not self.model.agrees(self.x[None], logits)
        if self.uses_given:
            self._run = self.model.given_logits
        return not self.uses_given

    def _forward(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            return self._sent(self._run, images)

    def _potential(self, logits: Tensor) -> Tensor:
        """Compute the target's potential, (N, K) -> (N,), in float64, since scores are reported."""
        return self.target.potential(_double(logits), self.model.output)

    def _scale(self, gradients: Tensor, logits: Tensor) -> Tensor:
        """Convert gradients of the potential, (N, ...), to gradients of the score."""
        return gradients * self.target.slope(self._potential(logits)).to(gradients).view(
            -1, *[1] * (gradients.ndim - 1)
        )


def _images(model: Model) -> int:
    """Return how many images fit into the device's free memory or the memory budget for images; at least 1."""
    if model.device.type == "cuda":
        cached = torch.cuda.memory_reserved(model.device) - torch.cuda.memory_allocated(model.device)
        free = 0.8 * (torch.cuda.mem_get_info(model.device)[0] + cached)
    else:
        free = share(IMAGE_MEMORY_SHARE)
    return max(1, int(free) // max(1, model.inspection.image_memory))


def _double(values: Tensor) -> Tensor:
    """Detach, move to the CPU (MPS lacks float64) and convert to float64."""
    return values.detach().cpu().double()
