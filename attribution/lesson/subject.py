"""The photo that a figure is about, with its model and target, and the maps and scores of it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from attribution.engine import compare
from attribution.methods.method import Method
from attribution.network.model import Model
from attribution.network.scorer import Scorer
from attribution.photo.encode import eight_bit
from attribution.refusal import Refusal
from attribution.result import Attribution
from attribution.targets.target import Target

Tick = Callable[[float], None]  # called with the fraction done; if it raises, the work stops


class Kept(Protocol):
    """A place where the maps of one model are kept."""

    def get(self, x: Tensor, target: Target, method: Method) -> Attribution | Refusal | None:
        """Return a kept map, or None."""

    def put(self, x: Tensor, target: Target, method: Method, found: Attribution | Refusal) -> None:
        """Keep a map."""


class KeepsNothing:
    """A place that keeps nothing."""

    def get(self, x: Tensor, target: Target, method: Method) -> None:
        """Return None."""

    def put(self, x: Tensor, target: Target, method: Method, found: Attribution | Refusal) -> None:
        """Do nothing."""


class Subject:
    """A photo, a model and a target.

    Attributes:
        model: The model.
        x: (3, H, W), pixels in [0, 1].
        tick: Called between chunks with the fraction of the current maps that is done.
        kept: Place where maps are kept.
    """

    def __init__(
        self,
        model: Model,
        x: Tensor,
        target: Target | None = None,
        tick: Tick = lambda done: None,
        kept: Kept | None = None,
    ) -> None:
        """Ask about a photo without running the network.

        Args:
            model: The model.
            x: (3, H, W), pixels in [0, 1].
            target: Class and score. Default: the default score of the predicted class.
            tick: As above. Default: does nothing.
            kept: As above. Default: one that keeps nothing.
        """
        self.model, self.x, self.tick, self.kept = model, x, tick, kept or KeepsNothing()
        self._asked = target or model.default_target

    @cached_property
    def _scorer(self) -> Scorer:
        return Scorer(self.model, self.x, self._asked)

    @property
    def target(self) -> Target:
        """The target with its class filled in."""
        return self._scorer.target

    @property
    def score(self) -> float:
        """Score of the photo."""
        return self._scorer.score

    @cached_property
    def photo(self) -> NDArray[np.uint8]:
        """(H, W, 3), the photo in 8-bit RGB."""
        return eight_bit(self.x.numpy())

    def at(self, x: Tensor) -> "Subject":
        """Return the same question about another image of the same size; the class stays."""
        return Subject(self.model, x, self.target, self.tick, self.kept)

    def photo_of(self, x: Tensor) -> "Subject":
        """Return a question about another photo, whose predicted class is explained."""
        return Subject(self.model, x, replace(self._asked, index=None, versus=None), self.tick, self.kept)

    def of(self, index: int) -> "Subject":
        """Return the same question about another class; without a second class."""
        return Subject(self.model, self.x, replace(self.target, index=index, versus=None), self.tick, self.kept)

    def scored(self, score: str) -> "Subject":
        """Return the same question about another score, if the network offers it."""
        if score not in self.model.output.scores:
            return self
        return Subject(self.model, self.x, replace(self._asked, score=score), self.tick, self.kept)

    def by(self, model: Model) -> "Subject":
        """Return the same question to another model, whose maps are not kept; the class stays."""
        return Subject(model, self.x, self.target, self.tick)

    def maps(self, *methods: Method) -> list[Attribution]:
        """Return the maps of several methods.

        Raises:
            Refusal: If one of them refuses.
        """
        found = self.explain(methods)
        for each in found:
            if isinstance(each, Refusal):
                raise each
        return [each for each in found if isinstance(each, Attribution)]

    def explain(self, methods: Sequence[Method]) -> list[Attribution | Refusal]:
        """Return the results of several methods, from the place where they are kept or computed."""
        found = dict[Method, Attribution | Refusal]()
        for each in methods:
            if (known := self.kept.get(self.x, self._asked, each)) is not None:
                found[each] = known
        if missing := [each for each in methods if each not in found]:
            new = compare(self.model, self.x, missing, self._asked, on_progress=lambda done, _: self.tick(done))
            for method, result in zip(missing, new, strict=True):
                self.kept.put(self.x, self._asked, method, result)
                found[method] = result
        return [found[each] for each in methods]

    def scores(self, images: Tensor) -> NDArray[np.float64]:
        """Return the scores, (N,), of images, (N, 3, H, W)."""
        found = []
        for piece in self._scorer.pieces(len(images)):
            found.append(self._scorer.scores(images[piece.start : piece.stop].to(self.model.device, self.model.dtype)))
            self.tick(piece.stop / len(images))
        return np.concatenate(found)
