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

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

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
from attribution.result import Attribution, Results
from attribution.settings import Choice, Configurable, Number, setting
from attribution.targets.target import Target

ORDERS = {
    "top": "cumulatively from the output down to the input",
    "bottom": "cumulatively from the input up to the output",
    "single": "one group at a time, with all others as trained",
}
HELD_CLASS, PICKED_CLASS = "held", "picked_again"
SEED_FACTOR = 1_000_003  # factor of the seed, so that no two modules share a random stream
SWAP_STREAM = 1  # combined with the seed: random stream that draws the other class

OnStage = Callable[["Stage"], None]


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


@dataclass(frozen=True, eq=False)
class Stage:
    """The maps at one stage of randomisation.

    Attributes:
        layers: Layers randomised at this stage; empty for the trained network.
        results: One per method.
        likeness: Similarity to the maps of the trained network, one per method; None if there is no map.
    """

    layers: tuple[str, ...]
    results: Results
    likeness: tuple[Likeness | None, ...]


@dataclass(frozen=True, eq=False)
class Sanity:
    """The findings of the sanity checks.

    Attributes:
        methods: The methods checked.
        plan: Settings.
        stages: The trained network first, then one stage per group of layers.
        controls: Control maps by name, each with its similarity to the map of every method.
        swap: The logit maps of another class, with their similarity to those of the explained class.
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
        """Summarise the findings about one method."""
        title, alike = self.methods[place].title, [stage.likeness[place] for stage in self.stages]
        first, kept = alike[0], [each.absolute for each in alike[1:] if each is not None and each.absolute is not None]
        if first is None:
            return f"{title}: no map to compare."
        if first.absolute is None:
            return f"{title}: the map of the trained network is constant, so there is nothing to compare."
        if self.plan.order == "single" and kept:
            least = min(range(len(kept)), key=kept.__getitem__)
            return f"{title}: lowest similarity at stage {least + 1}, {self._share(min(kept), place)}."
        flat = next((n for n, each in enumerate(alike) if each is None or each.absolute is None), len(alike))
        if flat < len(alike):
            return f"{title}: the map is constant from stage {flat} on, so there is nothing to compare."
        return f"{title}: similarity after randomising all weights, {self._share(kept[-1], place)}."

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
    on_progress: Callable[[float], None] = lambda fraction: None,
    on_stage: OnStage = lambda stage: None,
) -> Sanity:
    """Explain one photo at every stage of randomisation.

    Args:
        model: The model.
        x: (3, H, W), pixels in [0, 1].
        methods: The methods to check.
        target: Class and score. Default: the probability of the class that the trained network predicts.
        plan: Settings. Default: 12 stages from the top, with the class held fixed.
        on_progress: Called between chunks with the fraction done; if it raises, the work stops.
        on_stage: Called with each stage as soon as it is available, the trained network first.

    Raises:
        Refusal: If `compare` refuses, no method supports the model, or the network has no weights.
    """
    with exact_gradients(model):
        return _randomise(
            model, x, methods, target or model.default_target, plan or Randomisation(), on_progress, on_stage
        )


def _randomise(
    model: Model,
    x: Tensor,
    methods: Sequence[Method],
    target: Target,
    plan: Randomisation,
    on_progress: Callable[[float], None],
    on_stage: OnStage,
) -> Sanity:
    groups = layers(model, plan.stages)
    groups = groups[::-1] if plan.order == "top" else groups
    has_swap = model.output.has_rivals and len(model.classes) > 1
    whole = len(groups) + 1 + 2 * has_swap  # plus the trained network, and two runs for the class swap
    stages, gone = list[Stage](), tuple[str, ...]()

    def explained(network: Model, target: Target, number: int) -> Results:
        def progressed(fraction: float, partial: object) -> None:
            on_progress((number + fraction) / whole)

        return compare(network, x, methods, target, on_progress=progressed)

    if plan.target_class == PICKED_CLASS:
        target = Target(None, target.score)
    for number, names in enumerate(((), *groups)):
        gone = names if plan.order == "single" else (*gone, *names)
        results = explained(randomised(model, gone, plan.seed) if gone else model, target, number)
        first = stages[0].results if stages else results
        if not first.maps:
            raise Refusal(" ".join(map(str, results)) or "No method is chosen; choose at least one.")
        stages.append(Stage(names, results, tuple(map(_between, first, results))))
        on_stage(stages[-1])
        if not number and plan.target_class == HELD_CLASS:
            target = results.maps[0].target
    controls = {
        name: (values, tuple(_between(result, values) for result in stages[0].results))
        for name, values in (("edges of the photo", edges(x)), ("noise", noise(x, plan.seed)))
    }
    if not has_swap:
        return Sanity(tuple(methods), plan, tuple(stages), controls)
    index = stages[0].results.maps[0].target.index
    others = [each for each in range(len(model.classes)) if each != index]
    other = int(np.random.default_rng((plan.seed, SWAP_STREAM)).choice(others))
    one, two = (explained(model, Target(each, "logit"), whole - 2 + n) for n, each in enumerate((index, other)))
    swap = Stage((), two, tuple(map(_between, one, two)))
    return Sanity(tuple(methods), plan, tuple(stages), controls, swap)


def _between(one: object, other: object) -> Likeness | None:
    values = [each.values if isinstance(each, Attribution) else each for each in (one, other)]
    if any(isinstance(each, Refusal) for each in values):
        return None
    return likeness(*values)  # type: ignore[arg-type]
