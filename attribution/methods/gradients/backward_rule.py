"""Base class of gradient, guided backpropagation and Zeiler-Fergus: one backward pass under a rectifier rule."""

from dataclasses import dataclass
from typing import ClassVar

from attribution.methods.method import Computed, Cost, Method, Tick
from attribution.network.model import Model
from attribution.network.rectifiers import Interception
from attribution.network.scorer import Scorer
from attribution.refusal import Refusal, Remedy


@dataclass(frozen=True)
class BackwardRule(Method):
    """One backward pass in which every rectifier follows one rule.

    Attributes:
        rule: A key of `rectifiers.BACKWARD_RULES`.
        needs_rectifiers: True if the map equals the plain gradient when no rectifier is intercepted.
        ignores_gates: True if the rule ignores which rectifiers are active for the photo.
        instead: Method that depends on the photo where this one does not. Default: none.
    """

    rule: ClassVar[str]
    needs_rectifiers: ClassVar[bool] = True
    ignores_gates: ClassVar[bool] = False
    instead: ClassVar["type[BackwardRule] | None"] = None
    per_value: ClassVar[bool] = True
    unit: ClassVar[str] = "{score} per pixel value"
    shares_forward: ClassVar[bool] = True
    chosen: ClassVar[bool] = True

    def cost(self, size: tuple[int, int]) -> Cost:
        return Cost(0, 1)

    def refusal(self, model: Model) -> str | None:
        return self._refusal(model.inspection.operators)

    def compute(self, scorer: Scorer, tick: Tick) -> Computed:
        seen = scorer.interception
        if reason := self._refusal(seen):
            raise Refusal(reason)
        notes, remedies = tuple(self._notes(scorer, seen)), self._remedies(scorer)
        return Computed(scorer.backward(self.rule), rectifiers=seen, notes=notes, remedies=remedies)

    def _refusal(self, seen: Interception) -> str | None:
        if not self.needs_rectifiers or seen.count:
            return None
        instead = f"only {', '.join(seen.others)}" if seen.others else "it is linear"
        return (
            f"{self.title} modifies the backward pass of rectifiers, but this network has none ({instead}); its map "
            "would equal the plain gradient, so choose Gradient instead."
        )

    def _notes(self, scorer: Scorer, seen: Interception) -> list[str]:
        notes = []
        if self.needs_rectifiers and seen.others:
            notes.append(f"The rule applies to rectifiers only; {', '.join(seen.others)} kept the plain derivative.")
        if self._is_fixed(scorer):
            depends = (
                "does not depend on the photo"
                if scorer.target.has_fixed_signal(scorer.model.output)
                else "depends on the photo only through the class probabilities"
            )
            notes.append(f"This network has no max-pooling and no gates, so under this rule the map {depends}.")
        return notes

    def _is_fixed(self, scorer: Scorer) -> bool:
        """True if the map hardly depends on the photo."""
        return self.ignores_gates and scorer.model.inspection.fixed_adjoint

    def _remedies(self, scorer: Scorer) -> tuple[Remedy, ...]:
        if not self.instead or not self._is_fixed(scorer):
            return ()
        return (Remedy(f"Use {self.instead.title}", method=self.instead.key),)
