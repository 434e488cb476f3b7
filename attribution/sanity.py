"""Sanity checks: does a map change when the network that it explains is destroyed?

Adebayo et al. 2018, arXiv:1810.03292: weights are replaced by random ones, layer by layer, and each map is compared
with the one of the trained network. A map that stays the same does not tell what the network has learnt. A map that
changes is not proven right by that: the order of the layers and the measure decide much (Binder et al. 2023,
arXiv:2211.12486), and on some tasks trained and random networks react to the same pixels (Yona and Greenfeld 2021,
arXiv:2110.14297).

Random weights are drawn from the normal distribution that has the mean and the spread of the trained tensor, so that
signals keep their size; a batch norm's statistics are shuffled among its channels. Every module has a seed of its own,
the same at every stage.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attribution.baselines.noise import SEED
from attribution.controls import edges, noise
from attribution.engine import compare
from attribution.frozen import frozen_copy
from attribution.heatmap import rank_correlation, reduce
from attribution.methods.method import Method
from attribution.model import Model
from attribution.refusal import Refusal
from attribution.result import Attribution
from attribution.settings import Choice, Configurable, Number, setting
from attribution.target import Target

ORDERS = {
    "top": "from the classes down to the pixels, one layer after the other",
    "bottom": "from the pixels up to the classes, one layer after the other",
    "single": "one layer at a time, all others as they were trained",
}
HELD, PICKED = "held", "picked_again"
CLIP = 99.5  # percentile at which a map is cut before its structure is compared
PRIME = 1_000_003

OnStage = Callable[["Stage"], None]


@dataclass(frozen=True)
class Randomisation(Configurable):
    """How the network is taken apart.

    Attributes:
        order: A key of ORDERS. Default: top.
        stages: Beside the trained network, at most; neighbouring layers share one. Default: 12.
        target_class: HELD explains the class that the trained network predicts, PICKED each network's own.
        seed: Of the random weights. Default: 0.
    """

    key: ClassVar[str] = "sanity"
    title: ClassVar[str] = "Sanity"

    order: str = setting(Choice("Where the random weights begin: top, with the classes.", tuple(ORDERS)), "top")
    stages: int = setting(Number("Networks beside the trained one; neighbouring layers share one.", 1, 100), 12)
    target_class: str = setting(
        Choice("The class that the trained network predicts is held, or each network picks its own.", (HELD, PICKED)),
        HELD,
    )
    seed: int = setting(SEED, 0)


@dataclass(frozen=True)
class Likeness:
    """How alike two maps are; None where one of them is the same everywhere.

    Attributes:
        absolute: Spearman correlation of the pixels' sizes, from -1 to 1.
        signed: Spearman correlation of their signed sums, from -1 to 1.
        structure: SSIM of the two as pictures (Wang et al. 2004), from -1 to 1.
    """

    absolute: float | None
    signed: float | None
    structure: float | None


@dataclass(frozen=True, eq=False)
class Stage:
    """The maps of one network.

    Attributes:
        layers: Whose weights became random at this stage; empty for the network as it was trained.
        results: One a method.
        likeness: To the maps of the trained network, one a method; None where there is no map.
    """

    layers: tuple[str, ...]
    results: tuple[Attribution | Refusal, ...]
    likeness: tuple[Likeness | None, ...]


@dataclass(frozen=True, eq=False)
class Sanity:
    """What was found.

    Attributes:
        methods: That were checked.
        plan: As it was asked for.
        stages: The trained network first, then one for each group of layers.
        controls: Maps that know nothing of the network, by name, and their likeness to the map of each method.
    """

    methods: tuple[Method, ...]
    plan: Randomisation
    stages: tuple[Stage, ...]
    controls: dict[str, tuple[NDArray[np.float32], tuple[Likeness | None, ...]]]

    def label(self, number: int) -> str:
        """Which layers are random at a stage."""
        if not (names := self.stages[number].layers):
            return "as trained"
        if self.plan.order == "single":
            return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
        return f"down to {names[0]}" if self.plan.order == "top" else f"up to {names[-1]}"

    def sentence(self, place: int) -> str:
        """What was found about one method, in plain words."""
        title, last = self.methods[place].title, self.stages[-1].likeness[place]
        if last is None:
            return f"{title} has no map to compare."
        if last.absolute is None:
            return f"{title} has the same value everywhere in the end, so nothing of its map is kept."
        single = self.plan.order == "single"
        when = "with random weights in one layer, the last" if single else "after all weights are random"
        return f"{title} keeps {last.absolute:.2f} of its map {when} (rank correlation of the pixels' sizes)."


def layers(model: Model, most: int = 12) -> tuple[tuple[str, ...], ...]:
    """Group the modules that have weights, in the order in which a photo meets them.

    Args:
        model: The model.
        most: Groups, at most.

    Returns:
        Names of modules, group by group.
    """
    net, order = frozen_copy(model._net), list[str]()
    weighted = {name for name, module in net.named_modules() if any(True for _ in module.parameters(recurse=False))}
    for name, module in net.named_modules():
        if name in weighted:
            module.register_forward_hook(lambda *_, name=name: order.append(name) if name not in order else None)
    with torch.no_grad():
        model._send(net, torch.zeros(1, 3, *model.preprocessing.size).to(model.device, model.dtype))
    # What is read without being called, such as the projection of an attention, goes with what it belongs to.
    above = {name: next((each for each in _ancestors(name) if each in order), "") for name in weighted - {*order}}
    together = [(name, *sorted(each for each, owner in above.items() if owner == name)) for name in order]
    groups = np.array_split(np.arange(len(together)), min(most, len(together)))
    return tuple(tuple(name for place in group for name in together[place]) for group in groups)


def _ancestors(name: str) -> list[str]:
    """Of a module, the nearest first."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(len(parts) - 1, 0, -1)]


def randomised(model: Model, names: Sequence[str], seed: int = 0) -> Model:
    """The model with random weights in some modules; all other tensors are shared with it.

    Args:
        model: The model; it is left as it is.
        names: Of modules, as `layers` gives them; of each its own tensors only.
        seed: Of the random numbers.
    """
    changed = {id(each) for name in names for each in _tensors(model._net.get_submodule(name))}
    tensors = (*model._net.parameters(), *model._net.buffers())
    net = frozen_copy(model._net, shared=[each for each in tensors if id(each) not in changed])
    places = {name: place for place, (name, _) in enumerate(model._net.named_modules())}
    for name in names:
        module = net.get_submodule(name)
        random = torch.Generator().manual_seed(seed * PRIME + places[name])
        for weight in module.parameters(recurse=False):
            _redraw(weight.data, random)
        for statistic in module.buffers(recurse=False):
            if statistic.ndim == 1:
                statistic.copy_(statistic[torch.randperm(len(statistic), generator=random).to(statistic.device)])
    return model.with_net(net)


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(recurse=False), *module.buffers(recurse=False)]


def _redraw(weight: Tensor, random: torch.Generator) -> None:
    """Fill with normal values of the same mean and standard deviation."""
    spread = float(weight.std(correction=0))
    values = torch.randn(weight.shape, generator=random) * spread + float(weight.mean())
    weight.copy_(values)


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
        Refusal: What `compare` refuses.
    """
    plan = plan or Randomisation()
    groups = layers(model, plan.stages)
    groups = groups[::-1] if plan.order == "top" else groups
    target, stages, gone = target or Target(), list[Stage](), tuple[str, ...]()
    if plan.target_class == PICKED:
        target = Target(None, target.score)
    for number, names in enumerate(((), *groups)):
        gone = names if plan.order == "single" else (*gone, *names)
        network = randomised(model, gone, plan.seed) if gone else model

        def progressed(fraction: float, partial: object, number: int = number) -> None:
            on_progress((number + fraction) / (len(groups) + 1))

        results = tuple(compare(network, x, methods, target, on_progress=progressed))
        first = stages[0].results if stages else results
        stages.append(Stage(names, results, tuple(map(_between, first, results))))
        on_stage(stages[-1])
        if not number and plan.target_class == HELD:
            explained = next((each.target.index for each in results if isinstance(each, Attribution)), target.index)
            target = replace(target, index=explained)
    controls = {
        name: (values, tuple(_between(result, values) for result in stages[0].results))
        for name, values in (("edges of the photo", edges(x)), ("noise", noise(x, plan.seed)))
    }
    return Sanity(tuple(methods), plan, tuple(stages), controls)


def class_swap(
    model: Model,
    x: Tensor,
    methods: Sequence[Method],
    trained: Sequence[Attribution | Refusal],
    other: int,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> Stage:
    """Explain another class of the same photo: a map that stays the same hardly knows the class.

    Args:
        model: The model.
        x: (3, H, W), pixels in [0, 1].
        methods: To be checked.
        trained: The maps of the one class, as `compare` gives them.
        other: Index of the other class.
        on_progress: As for `randomise`.

    Returns:
        The maps of the other class, and their likeness to those of the one.
    """
    first = next((each.target for each in trained if isinstance(each, Attribution)), Target())
    target = replace(first, index=other)
    results = compare(model, x, methods, target, on_progress=lambda fraction, partial: on_progress(fraction))
    return Stage((), tuple(results), tuple(map(_between, trained, results)))


def likeness(one: NDArray[np.floating], other: NDArray[np.floating]) -> Likeness:
    """Compare two maps, both (3, H, W)."""
    sizes, sums = ([reduce(each, how) for each in (one, other)] for how in ("sum_of_absolutes", "signed_sum"))
    return Likeness(rank_correlation(*sizes), rank_correlation(*sums), _structure(*sizes))


def _between(one: object, other: object) -> Likeness | None:
    values = [each.values if isinstance(each, Attribution) else each for each in (one, other)]
    if any(isinstance(each, Refusal) for each in values):
        return None
    return likeness(*values)  # type: ignore[arg-type]


def _structure(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    from skimage.metrics import structural_similarity  # here, since it takes a second

    tops = [np.percentile(each, CLIP) for each in (one, other)]
    if min(tops) <= 0 or min(one.shape) < 7:
        return None
    pictures = [np.clip(each / top, 0, 1) for each, top in zip((one, other), tops, strict=True)]
    return float(structural_similarity(*pictures, data_range=1.0))  # type: ignore[no-untyped-call]
