"""Sanity checks: does a map change when the network that it explains is destroyed?

Adebayo et al. 2018, arXiv:1810.03292: weights are replaced by random ones, layer by layer, and each map is compared
with the one of the trained network. A map that stays the same does not show what the network has learnt. A map that
changes is not proven right by that: the order of the layers and the measure decide much (Binder et al. 2023,
arXiv:2211.12486), and on some tasks trained and random networks react to the same pixels (Yona and Greenfeld 2021,
arXiv:2110.14297).

Random weights are drawn from the normal distribution that has the mean and the spread of the trained tensor, so that
signals keep their size; a batch norm's statistics are shuffled among its channels. Every module has a seed of its own,
the same at every stage; a tensor that several modules hold is drawn once.

The class swap is the random-logit test of Sixt et al. 2020 (arXiv:1912.09818): the map of the logit of the explained
class beside that of a class drawn at random. Logits, since two probabilities move against each other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attribution.baselines.noise import SEED
from attribution.checks.controls import edges, noise
from attribution.checks.likeness import Likeness, likeness
from attribution.engine import compare, exact_gradients
from attribution.methods.method import Method
from attribution.network.frozen import frozen_copy
from attribution.network.model import Model
from attribution.refusal import Refusal
from attribution.result import Attribution, Results
from attribution.settings import Choice, Configurable, Number, setting
from attribution.targets.target import Target

ORDERS = {
    "top": "from the classes down to the pixels, one group after the other",
    "bottom": "from the pixels up to the classes, one group after the other",
    "single": "one group at a time, all others as they were trained",
}
HELD, PICKED = "held", "picked_again"
PRIME, SWAP = 1_000_003, 1  # so that no two draws share their random numbers

OnStage = Callable[["Stage"], None]


@dataclass(frozen=True)
class Randomisation(Configurable):
    """Settings of the check.

    Attributes:
        order: A key of ORDERS. Default: top.
        stages: Beside the trained network, at most; neighbouring layers share one. Default: 12.
        target_class: HELD explains one class at all stages: the given one, or that which the trained network predicts.
            PICKED explains the class that each network predicts.
        seed: Of the random weights. Default: 0.
    """

    key: ClassVar[str] = "sanity"
    title: ClassVar[str] = "Sanity"

    order: str = setting(Choice("Where the random weights begin: top, with the classes.", tuple(ORDERS)), "top")
    stages: int = setting(Number("Networks beside the trained one; neighbouring layers share one.", 1, 100), 12)
    target_class: str = setting(
        Choice("One class is held all along, or each network explains the class that it predicts.", (HELD, PICKED)),
        HELD,
    )
    seed: int = setting(SEED, 0)


@dataclass(frozen=True, eq=False)
class Stage:
    """The maps of one network.

    Attributes:
        layers: Whose weights became random at this stage; empty for the network as it was trained.
        results: One a method.
        likeness: To the maps of the trained network, one a method; None where there is no map.
    """

    layers: tuple[str, ...]
    results: Results
    likeness: tuple[Likeness | None, ...]


@dataclass(frozen=True, eq=False)
class Sanity:
    """The findings.

    Attributes:
        methods: That were checked.
        plan: Settings.
        stages: The trained network first, then one for each group of layers.
        controls: Maps that know nothing of the network, by name, and their likeness to the map of each method.
        swap: The maps of another class's logit, and their likeness to those of the explained class's logit.
    """

    methods: tuple[Method, ...]
    plan: Randomisation
    stages: tuple[Stage, ...]
    controls: dict[str, tuple[NDArray[np.float32], tuple[Likeness | None, ...]]]
    swap: Stage | None = None

    def label(self, number: int) -> str:
        """Which layers are random at a stage."""
        if not (names := self.stages[number].layers):
            return "as trained"
        first, last = (name or "the network itself" for name in (names[0], names[-1]))
        if self.plan.order == "single":
            return first if len(names) == 1 else f"{first} to {last}"
        return f"down to {first}" if self.plan.order == "top" else f"up to {last}"

    def sentence(self, place: int) -> str:
        """Return the findings about one method in words."""
        title, alike = self.methods[place].title, [stage.likeness[place] for stage in self.stages]
        first, kept = alike[0], [each.absolute for each in alike[1:] if each is not None and each.absolute is not None]
        if first is None:
            return f"{title} has no map to compare."
        if first.absolute is None:
            return f"{title} has the same value everywhere, so there is nothing to keep."
        if self.plan.order == "single" and kept:
            least = min(range(len(kept)), key=kept.__getitem__)
            return f"{title} keeps {self._share(min(kept), place)} where it keeps least, with stage {least + 1} random."
        flat = next((n for n, each in enumerate(alike) if each is None or each.absolute is None), len(alike))
        if flat < len(alike):
            return f"{title} has the same value everywhere from stage {flat} on, so nothing of its map is kept."
        return f"{title} keeps {self._share(kept[-1], place)} after all weights are random."

    def _share(self, kept: float, place: int) -> str:
        """Return the similarity that is kept, beside that of the controls."""
        if kept <= 0:
            return f"nothing of its map (rank correlation {kept:.2f})"
        alike = [found[place] for _, found in self.controls.values()]
        most = max((each.absolute or 0.0 for each in alike if each), default=0.0)
        seen = f", no more than what a control has of it ({most:.2f})," if kept <= most else ""
        return f"{kept:.2f} of its map{seen}"

    def swapped(self, place: int) -> str:
        """Return the similarity of the maps of two classes in words; empty where it is not known."""
        result, alike = (self.swap.results[place], self.swap.likeness[place]) if self.swap else (None, None)
        if not isinstance(result, Attribution) or alike is None or alike.absolute is None or alike.signed is None:
            return ""
        return (
            f"Its map of another class, {result.explained}, is alike to {alike.absolute:.2f} (signed "
            f"{alike.signed:.2f}); at 1 it would not know the class."
        )


def layers(model: Model, most: int = 12) -> tuple[tuple[str, ...], ...]:
    """Group the modules that have weights, in the order in which a photo meets them.

    Args:
        model: The model.
        most: Groups, at most.

    Returns:
        Names of modules, group by group; the network itself is "". What is read without being called, such as the
        projection of an attention, goes with what it belongs to.

    Raises:
        Refusal: If the network has no weights.
    """
    net, order = frozen_copy(model.net, shared=[*model.net.parameters(), *model.net.buffers()]), list[str]()
    weighted = {name for name, module in net.named_modules() if _tensors(module)}
    if not weighted:
        raise Refusal(f"{model.name} has no weights that could be random.")
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
    """Return the modules that contain a module, the nearest first, the network itself last."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(len(parts) - 1, -1, -1)]


def randomised(model: Model, names: Sequence[str], seed: int = 0) -> Model:
    """Return the model with random weights in some modules; all other tensors are shared with it.

    Args:
        model: The model; it is left as it is.
        names: Names of modules, from `layers`; only the own tensors of each become random.
        seed: Of the random numbers.
    """
    changed = {id(each) for name in names for each in _tensors(model.net.get_submodule(name))}
    tensors = (*model.net.parameters(), *model.net.buffers())
    net, drawn = frozen_copy(model.net, shared=[each for each in tensors if id(each) not in changed]), set[int]()
    for place, (name, module) in enumerate(model.net.named_modules()):
        random, twin = torch.Generator().manual_seed(seed * PRIME + place), net.get_submodule(name)
        for trained, weight in zip(_tensors(module), _tensors(twin), strict=True):
            if id(trained) not in changed or id(trained) in drawn:  # held by another module too
                continue
            drawn.add(id(trained))
            if isinstance(trained, nn.Parameter):
                weight.copy_(_drawn(trained, random))
            else:
                weight.copy_(trained[torch.randperm(len(trained), generator=random).to(trained.device)])
    return model.with_net(net)


def _tensors(module: nn.Module) -> list[Tensor]:
    """Return the tensors that a module itself has learnt: its weights, and the statistics of a batch norm."""
    statistics = (getattr(module, name, None) for name in ("running_mean", "running_var"))
    return [*module.parameters(recurse=False), *(each for each in statistics if isinstance(each, Tensor))]


def _drawn(weight: Tensor, random: torch.Generator) -> Tensor:
    """Normal values of the same mean and standard deviation."""
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
    """Explain one photo again and again while the network loses what it has learnt.

    Args:
        model: The model.
        x: (3, H, W), pixels in [0, 1].
        methods: To be checked.
        target: Class and score. Default: the probability of the class that the trained network predicts.
        plan: Which layers, in which order. Default: 12 stages from the top, the class held fixed.
        on_progress: Called between chunks with the fraction done; if it raises, the work stops.
        on_stage: Called with each stage when it is there, the trained network's first.

    Raises:
        Refusal: What `compare` refuses; if no method can serve; or if the network has no weights.
    """
    with exact_gradients(model):
        return _randomise(model, x, methods, target or Target(), plan or Randomisation(), on_progress, on_stage)


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
    whole = len(groups) + 3  # the trained network and the two maps of the class swap
    stages, gone = list[Stage](), tuple[str, ...]()

    def explained(network: Model, target: Target, number: int) -> Results:
        def progressed(fraction: float, partial: object) -> None:
            on_progress((number + fraction) / whole)

        return compare(network, x, methods, target, on_progress=progressed)

    if plan.target_class == PICKED:
        target = Target(None, target.score)
    for number, names in enumerate(((), *groups)):
        gone = names if plan.order == "single" else (*gone, *names)
        results = explained(randomised(model, gone, plan.seed) if gone else model, target, number)
        first = stages[0].results if stages else results
        if not first.maps:
            raise Refusal(" ".join(map(str, results)) or "No method is chosen.")
        stages.append(Stage(names, results, tuple(map(_between, first, results))))
        on_stage(stages[-1])
        if not number and plan.target_class == HELD:
            target = results.maps[0].target
    controls = {
        name: (values, tuple(_between(result, values) for result in stages[0].results))
        for name, values in (("edges of the photo", edges(x)), ("noise", noise(x, plan.seed)))
    }
    index = stages[0].results.maps[0].target.index
    others = [each for each in range(len(model.classes)) if each != index]
    other = int(np.random.default_rng((plan.seed, SWAP)).choice(others))
    one, two = (explained(model, Target(each, "logit"), whole - 2 + n) for n, each in enumerate((index, other)))
    swap = Stage((), two, tuple(map(_between, one, two)))
    return Sanity(tuple(methods), plan, tuple(stages), controls, swap)


def _between(one: object, other: object) -> Likeness | None:
    values = [each.values if isinstance(each, Attribution) else each for each in (one, other)]
    if any(isinstance(each, Refusal) for each in values):
        return None
    return likeness(*values)  # type: ignore[arg-type]
