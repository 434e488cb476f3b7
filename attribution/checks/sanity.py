"""Sanity checks: does a map change when the network's weights are randomised?

Adebayo et al. 2018, arXiv:1810.03292: weights are randomised layer by layer, and each map is compared with that of the
trained network. A map that stays the same does not show what the network has learnt. A map that changes is not thereby
correct: results depend on the order of the layers and on the measure (Binder et al. 2023, arXiv:2211.12486), and on
some tasks trained and random networks respond to the same pixels (Yona and Greenfeld 2021, arXiv:2110.14297).

Random weights are drawn from a normal distribution with the mean and standard deviation of the trained tensor, so that
the scale of activations is preserved; batch-norm statistics are shuffled among channels. Every module has its own seed,
the same at every stage; a tensor shared by several modules is drawn once.

The class swap is the random-logit test of Sixt et al. 2020 (arXiv:1912.09818): it compares the logit map of the
explained class with that of a random class. Logits are used because probabilities of two classes are coupled.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attribution.baselines.noise import SEED_SETTING
from attribution.checks.controls import edges, noise
from attribution.checks.likeness import Likeness, likeness
from attribution.engine import compare, exact_gradients
from attribution.methods.method import Method
from attribution.network.frozen import frozen_copy, held_tensors
from attribution.network.model import Model
from attribution.refusal import Refusal
from attribution.result import Attribution
from attribution.settings import Choice, Configurable, Number, setting
from attribution.targets.target import Target

ORDERS = {
    "top": "cumulatively from the output down to the input",
    "bottom": "cumulatively from the input up to the output",
    "single": "one group at a time, with all others as trained",
}
CONTROLS = ("edges of the photo", "noise")
HELD_CLASS, PICKED_CLASS = "held", "picked_again"
SEED_FACTOR = 1_000_003  # factor of the seed, so that no two modules share a random stream
SWAP_STREAM = 1  # combined with the seed: random stream that draws the other class

OnFound = Callable[["Sanity"], None]
Map = Attribution | Refusal


@dataclass(frozen=True)
class Randomisation(Configurable):
    """Settings of the check.

    Attributes:
        order: A key of ORDERS. Default: top.
        stages: Maximum number of randomised networks; neighbouring layers are grouped. Default: 12.
        target_class: HELD_CLASS explains one class at all stages: the given class, or the one that the trained network
            predicts. PICKED_CLASS explains the class that each network predicts.
        seed: Random seed of the weights. Default: 0.
    """

    key: ClassVar[str] = "sanity"
    title: ClassVar[str] = "Sanity"

    order: str = setting(
        Choice("Order of randomisation: from the output (top), from the input (bottom), or singly.", tuple(ORDERS)),
        "top",
    )
    stages: int = setting(Number("Maximum number of randomised networks; neighbouring layers are grouped.", 1, 100), 12)
    target_class: str = setting(
        Choice("Explain one class at all stages (held), or each network's own prediction.", (HELD_CLASS, PICKED_CLASS)),
        HELD_CLASS,
    )
    seed: int = setting(SEED_SETTING, 0)


@dataclass(frozen=True)
class Part:
    """All that one map of the check depends on, except the model and the photo.

    Attributes:
        method: The method.
        target: Class and score; if the class is None, the network's own prediction.
        layers: All randomised layers, sorted; empty for the trained network.
        seed: Random seed of the weights; 0 for the trained network.
    """

    method: Method
    target: Target
    layers: tuple[str, ...] = ()
    seed: int = 0


class Maps(Protocol):
    """A place where finished maps are kept from one check to the next."""

    def get(self, part: Part) -> Map | None:
        """Return a kept map, or None."""

    def put(self, part: Part, found: Map) -> None:
        """Keep a map."""


class NoMaps:
    """A place that keeps nothing."""

    def get(self, part: Part) -> Map | None:
        """Return None."""

    def put(self, part: Part, found: Map) -> None:
        """Do nothing."""


@dataclass(frozen=True, eq=False)
class Stage:
    """The maps at one stage of randomisation.

    Attributes:
        layers: Layers randomised at this stage; empty for the trained network.
        results: One per method; None if it is not computed yet.
        likeness: Similarity to the maps of the trained network, one per method; None if there is no map.
    """

    layers: tuple[str, ...]
    results: tuple[Map | None, ...]
    likeness: tuple[Likeness | None, ...]

    @property
    def maps(self) -> list[Attribution]:
        """The maps so far, without the refusals."""
        return [each for each in self.results if isinstance(each, Attribution)]

    def having(self, place: int, result: Map, alike: Likeness | None) -> "Stage":
        """Return a copy with the result of one more method."""
        results, likeness = list(self.results), list(self.likeness)
        results[place], likeness[place] = result, alike
        return replace(self, results=tuple(results), likeness=tuple(likeness))


@dataclass(frozen=True, eq=False)
class Sanity:
    """The findings of the sanity checks.

    Attributes:
        methods: The methods checked.
        plan: Settings.
        stages: The trained network first, then one stage per group of layers, computed or not.
        controls: Control maps by name, each with its similarity to the map of every method; empty until the maps of
            the trained network are computed.
        swap: The logit maps of another class, with their similarity to those of the explained class; None for a
            network without rival classes.
    """

    methods: tuple[Method, ...]
    plan: Randomisation
    stages: tuple[Stage, ...]
    controls: dict[str, tuple[NDArray[np.float32], tuple[Likeness | None, ...]]]
    swap: Stage | None = None

    def label(self, number: int) -> str:
        """Describe the layers that are random at a stage."""
        if not (names := self.stages[number].layers):
            return "as trained"
        first, last = (name or "the network itself" for name in (names[0], names[-1]))
        if self.plan.order == "single":
            return first if len(names) == 1 else f"{first} to {last}"
        return f"down to {first}" if self.plan.order == "top" else f"up to {last}"

    def sentence(self, place: int) -> str:
        """Summarise the findings about one method, as far as its stages are computed."""
        known = [number for number, stage in enumerate(self.stages) if stage.results[place] is not None]
        stages = len(self.stages) - 1
        if not known or known[-1] < stages:  # the last stage is computed right after the trained network
            return f"{self.methods[place].title}: not computed yet."
        return f"{self.methods[place].title}: {self._finding(place, known)}."

    def _finding(self, place: int, known: Sequence[int]) -> str:
        """Return the finding about one method at some stages, which include the first and the last."""
        alike = {number: self.stages[number].likeness[place] for number in known}
        first = alike.pop(0)
        kept = {number: each.absolute for number, each in alike.items() if each and each.absolute is not None}
        if first is None:
            return "no map to compare"
        if first.absolute is None:
            return "the map of the trained network is constant, so there is nothing to compare"
        so_far = (
            "" if len(known) == len(self.stages) else f" (from {len(alike)} of {len(self.stages) - 1} stages so far)"
        )
        if self.plan.order == "single" and kept:
            least = min(kept, key=kept.__getitem__)
            return f"lowest similarity at stage {least}, {self._share(kept[least], place)}{so_far}"
        if len(kept) < len(alike):
            flat = [number for number in alike if number not in kept]
            nothing = "so there is nothing to compare"
            if so_far:
                return f"the map is constant at stage {flat[0]} or before{so_far}, {nothing}"
            if flat == list(range(flat[0], len(self.stages))):
                return f"the map is constant from stage {flat[0]} on, {nothing}"
            return f"the map is constant at stage{'s' * (len(flat) > 1)} {_runs(flat)}, {nothing} there"
        return f"similarity after randomising all weights, {self._share(kept[known[-1]], place)}"

    def _share(self, kept: float, place: int) -> str:
        """Format a similarity, compared with that of the controls."""
        alike = [found[place] for _, found in self.controls.values()]
        most = max((each.absolute or 0.0 for each in alike if each), default=0.0)
        return f"{kept:.2f}" + (f" (no higher than the best control, {most:.2f})" if kept <= most else "")

    def swapped(self, place: int) -> str:
        """Summarise the similarity of the maps of two classes; empty if unknown."""
        result, alike = (self.swap.results[place], self.swap.likeness[place]) if self.swap else (None, None)
        if not isinstance(result, Attribution) or alike is None or alike.absolute is None or alike.signed is None:
            return ""
        return (
            f"Similarity between its logit maps of this class and {result.explained.rpartition(', ')[0]}: "
            f"{alike.absolute:.2f} (signed: {alike.signed:.2f})."
        )


def layers(model: Model, most: int = 12) -> tuple[tuple[str, ...], ...]:
    """Group the modules that have weights, in the order of the forward pass.

    Args:
        model: The model.
        most: Maximum number of groups.

    Returns:
        Module names, group by group; the network itself is "". A module whose weights are read without calling it, such
        as the output projection of an attention, is grouped with the module that contains it.

    Raises:
        Refusal: If the network has no weights.
    """
    net, order = frozen_copy(model.net, shared=held_tensors(model.net)), list[str]()
    weighted = {name for name, module in net.named_modules() if _tensors(module)}
    if not weighted:
        raise Refusal(f"{model.name} has no weights to randomise; choose another model.")
    registered = {id(each) for each in net.parameters()}
    if any(isinstance(each, nn.Parameter) and id(each) not in registered for each in held_tensors(net)):
        raise Refusal(
            f"{model.name} has weights that are not randomised, since they belong to no module of its own; make their "
            "module an attribute of the network."
        )
    for name, module in net.named_modules():
        module.register_forward_pre_hook(lambda *_, name=name: order.append(name) if name not in order else None)
    with torch.no_grad():
        model.send(net, torch.zeros(1, 3, *model.preprocessing.size).to(model.device, model.dtype))
    met = {name: next(each for each in (name, *_above(name)) if each in order) for name in weighted}
    together = [tuple(sorted(each for each, place in met.items() if place == name)) for name in order]
    together = [names for names in together if names]
    groups = np.array_split(np.arange(len(together)), min(most, len(together)))
    return tuple(tuple(name for place in group for name in together[place]) for group in groups)


def _above(name: str) -> list[str]:
    """Return the names of the modules that contain a module, from the innermost to the network itself."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(len(parts) - 1, -1, -1)]


def randomised(model: Model, names: Sequence[str], seed: int = 0) -> Model:
    """Return a copy of the model with random weights in some modules; it shares all other tensors.

    Args:
        model: The model; not changed.
        names: Names of modules, from `layers`; only each module's own tensors are randomised, not its children's.
        seed: Random seed.
    """
    changed = {id(each) for name in names for each in _tensors(model.net.get_submodule(name))}
    tensors = held_tensors(model.net)
    net, drawn = frozen_copy(model.net, shared=[each for each in tensors if id(each) not in changed]), set[int]()
    for place, (name, module) in enumerate(model.net.named_modules()):
        random, twin = torch.Generator().manual_seed(seed * SEED_FACTOR + place), net.get_submodule(name)
        for trained, weight in zip(_tensors(module), _tensors(twin), strict=True):
            if id(trained) not in changed or id(trained) in drawn:  # shared with a module that was handled before
                continue
            drawn.add(id(trained))
            if isinstance(trained, nn.Parameter):
                weight.copy_(_drawn(trained, random))
            else:
                weight.copy_(trained[torch.randperm(len(trained), generator=random).to(trained.device)])
    return model.with_net(net)


def _tensors(module: nn.Module) -> list[Tensor]:
    """Return a module's own learnt tensors: its parameters and batch-norm statistics."""
    statistics = (getattr(module, name, None) for name in ("running_mean", "running_var"))
    return [*module.parameters(recurse=False), *(each for each in statistics if isinstance(each, Tensor))]


def _drawn(weight: Tensor, random: torch.Generator) -> Tensor:
    """Draw normal values with the tensor's mean and standard deviation."""
    return torch.randn(weight.shape, generator=random) * float(weight.std(correction=0)) + float(weight.mean())


def randomise(
    model: Model,
    x: Tensor,
    methods: Sequence[Method],
    target: Target | None = None,
    plan: Randomisation | None = None,
    *,
    kept: Maps | None = None,
    on_progress: Callable[[float], None] = lambda fraction: None,
    on_found: OnFound = lambda so_far: None,
) -> Sanity:
    """Explain one photo at every stage of randomisation.

    The trained network comes first, then the network of the last stage, then the stages between, each in the middle of
    a gap: the ends of the curves are known first. A method with automatic steps takes those of its trained map at every
    other stage.

    Args:
        model: The model.
        x: (3, H, W), pixels in [0, 1].
        methods: The methods to check.
        target: Class and score. Default: the probability of the class that the trained network predicts.
        plan: Settings. Default: 12 stages from the top, with the class held fixed.
        kept: Maps of this model and photo from earlier checks, to which new ones are added. Default: none.
        on_progress: Called between chunks with the fraction done; if it raises, the work stops.
        on_found: Called with the findings so far after every map.

    Raises:
        Refusal: If `compare` refuses, no method supports the model, or the network has no weights.
    """
    target, plan = target or model.default_target, plan or Randomisation()
    with exact_gradients(model):
        return _Check(model, x, methods, target, plan, NoMaps() if kept is None else kept, on_progress, on_found).run()


class _Check:
    """The computation behind `randomise`."""

    def __init__(
        self,
        model: Model,
        x: Tensor,
        methods: Sequence[Method],
        target: Target,
        plan: Randomisation,
        kept: Maps,
        on_progress: Callable[[float], None],
        on_found: OnFound,
    ) -> None:
        self.model, self.x, self.target, self.plan, self.kept = model, x, target, plan, kept
        self.on_progress, self.on_found = on_progress, on_found
        groups = layers(model, plan.stages)
        nothing = (None,) * len(methods)
        stages = [Stage(names, nothing, nothing) for names in ((), *(groups[::-1] if plan.order == "top" else groups))]
        swap = Stage((), nothing, nothing) if model.output.has_rivals and len(model.classes) > 1 else None
        self.found = Sanity(tuple(methods), plan, tuple(stages), {}, swap)
        self.costs = [1 + method.cost((x.shape[1], x.shape[2])).passes for method in methods]
        self.whole = (len(stages) + 2 * (swap is not None)) * sum(self.costs)
        self.done = 0

    def run(self) -> Sanity:
        held = self.plan.target_class == HELD_CLASS
        target = self.target if held else Target(None, self.target.score)
        self.on_found(self.found)
        self._explain(0, target)
        trained = self.found.stages[0]
        if not trained.maps:
            raise Refusal(" ".join(map(str, trained.results)) or "No method is chosen; choose at least one.")
        controls = dict(zip(CONTROLS, (edges(self.x), noise(self.x, self.plan.seed)), strict=True))
        self._add(
            controls={
                name: (values, tuple(_between(result, values) for result in trained.results))
                for name, values in controls.items()
            }
        )
        for number in _from_the_ends(len(self.found.stages)):
            self._explain(number, trained.maps[0].target if held else target)
        if self.found.swap:
            self._swap(trained.maps[0].target.index)
        return self.found

    def _explain(self, number: int, target: Target) -> None:
        """Compute the maps of one stage."""
        names = [stage.layers for stage in self.found.stages]
        gone = names[number] if self.plan.order == "single" else sum(names[: number + 1], ())

        def found(place: int, result: Map) -> None:
            stages = list(self.found.stages)
            trained = stages[0].results[place] if number else result
            stages[number] = stages[number].having(place, result, _between(trained, result))
            self._add(stages=tuple(stages))

        self._compute(target, gone, found)

    def _swap(self, index: int | None) -> None:
        """Compute the logit maps of the explained class and of another."""
        others = [each for each in range(len(self.model.classes)) if each != index]
        other = int(np.random.default_rng((self.plan.seed, SWAP_STREAM)).choice(others))
        ours: dict[int, Map] = {}

        def found(place: int, result: Map) -> None:
            assert self.found.swap
            self._add(swap=self.found.swap.having(place, result, _between(ours[place], result)))

        self._compute(Target(index, "logit"), (), ours.__setitem__)
        self._compute(Target(other, "logit"), (), found)

    def _compute(self, target: Target, gone: tuple[str, ...], on_result: Callable[[int, Map], None]) -> None:
        """Compute the maps of a network with some random layers, unless they are kept."""
        methods, missing = self.found.methods, list[int]()
        parts = [Part(each, target, tuple(sorted(gone)), self.plan.seed if gone else 0) for each in methods]
        for place, part in enumerate(parts):
            if (known := self.kept.get(part)) is None:
                missing.append(place)
            else:
                self.done += self.costs[place]
                on_result(place, known)
        if not missing:
            return
        share = sum(self.costs[place] for place in missing)

        def progressed(fraction: float, partial: object) -> None:
            self.on_progress((self.done + fraction * share) / self.whole)

        def found(number: int, result: Map) -> None:
            self.kept.put(parts[missing[number]], result)
            on_result(missing[number], result)

        network = randomised(self.model, gone, self.plan.seed) if gone else self.model
        chosen = [methods[place] for place in missing]
        if gone:  # as many steps as for the trained network: automatic ones would be up to three times as many
            trained = self.found.stages[0].results
            chosen = [
                each.settled(result.backwards) if isinstance(result := trained[place], Attribution) else each
                for place, each in zip(missing, chosen, strict=True)
            ]
        compare(network, self.x, chosen, target, on_progress=progressed, on_result=found)
        self.done += share

    def _add(self, **changes: Any) -> None:
        self.found = replace(self.found, **changes)
        self.on_found(self.found)


def _from_the_ends(stages: int) -> list[int]:
    """Return the numbers of the stages but the first: the last, then the middle of every gap, the widest first."""
    order, gaps = [stages - 1], deque([(0, stages - 1)])
    while gaps:
        low, high = gaps.popleft()
        if (middle := (low + high) // 2) > low:
            order.append(middle)
            gaps += [(low, middle), (middle, high)]
    return order


def _between(one: object, other: object) -> Likeness | None:
    values = [each.values if isinstance(each, Attribution) else each for each in (one, other)]
    if any(isinstance(each, Refusal) for each in values):
        return None
    return likeness(*values)  # type: ignore[arg-type]


def _runs(numbers: Sequence[int]) -> str:
    """Return increasing numbers as text, such as "3, 5 to 12"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)
