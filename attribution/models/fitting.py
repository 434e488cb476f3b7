"""The weights of a checkpoint in a network of a given architecture, whatever prefix and number of classes they have."""

import re
from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attribution.models.architecture import Architecture
from attribution.refusal import Refusal, first_line

SHOWN = 3  # names in a message
MIN_SHARE = 0.5  # share of an architecture's tensors that a checkpoint of it has at least, whatever else is wrong
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Fitted:
    """A network with the weights of a checkpoint.

    Attributes:
        net: The network on the CPU, in float32.
        logits: Number of its logits.
        channels: Channels of its input, 1 or 3.
    """

    net: nn.Module
    logits: int
    channels: int


def fit(tensors: Mapping[str, Tensor], architecture: Architecture, logits: int | None = None) -> Fitted:
    """Build a network and load a checkpoint into it.

    A prefix such as `module.` is removed, what has no such prefix is ignored, and a head that was replaced by a
    `Sequential` with one linear layer is found.

    Args:
        tensors: The checkpoint's tensors by name, of any floating dtype; loaded as float32.
        architecture: The architecture.
        logits: Number of logits. Default: that of the checkpoint.

    Raises:
        Refusal: If the checkpoint does not fit; names the likely cause and some differences.
    """
    (expected, saved), (other, _) = _shapes(architecture, 2), _shapes(architecture, 3)
    head = {name: axis for name in expected for axis in _axes(expected[name], other.get(name, ()))}
    named = _without_prefix(tensors, {*expected, *saved})
    named = _with_head({saved.get(name, name): tensor for name, tensor in named.items()}, expected, head)
    matching = sum(name in named for name in expected)
    if matching < MIN_SHARE * len(expected):
        raise Refusal(
            f"The checkpoint is of another architecture: {matching} of the {len(expected)} tensors of "
            f"{architecture.title} are in it. It has {_some(named)}; the architecture has {_some(expected)}."
        )
    sizes = {named[name].shape[axis] for name, axis in head.items() if name in named and axis < named[name].ndim}
    count = min(sizes, default=0)
    if not sizes:
        places = tuple(f"{name.rpartition('.')[0]}." for name in head)
        if own := [name for name in named if name.startswith(places)]:
            kept = f"The checkpoint has another head than {architecture.title} ({_some(own)})"
            raise Refusal(f"{kept}; use at.Model in a Python file.")
        raise Refusal(f"The checkpoint has no head ({_some(head)}), so it cannot classify; save the whole network.")
    if logits is not None and count != logits:
        raise Refusal(f"The head has {_logits(logits)}, the checkpoint {count}; change the class names or the output.")
    channels = 1 if any(_is_grey(tuple(named[name].shape), expected[name]) for name in expected if name in named) else 3
    _compare(named, _shapes(architecture, count, channels)[0], architecture)
    with torch.device("cpu"):
        net = _build(architecture, count, channels)
    net.load_state_dict({name: tensor for name, tensor in named.items() if name in net.state_dict()}, strict=False)
    return Fitted(net.float().eval(), count, channels)


def _build(architecture: Architecture, logits: int, channels: int = 3) -> nn.Module:
    try:
        return architecture.build(logits, channels)
    except Refusal:
        raise
    except Exception as error:  # of any type, from a library
        raise Refusal(
            f"{architecture.title} cannot be built for {_logits(logits)} and {channels} channels "
            f"({first_line(error)[:200]}); use at.Model in a Python file."
        ) from error


def _shapes(architecture: Architecture, logits: int, channels: int = 3) -> tuple[Shapes, dict[str, str]]:
    """Return the shapes of an architecture's tensors and the names under which they are saved, without memory."""
    with torch.device("meta"):
        net = _build(architecture, logits, channels)
    return {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}, architecture.saved_names(net)


def _axes(one: tuple[int, ...], other: tuple[int, ...]) -> list[int]:
    """Return the first axis in which two shapes differ, if there is one."""
    return [axis for axis, sides in enumerate(zip(one, other, strict=False)) if sides[0] != sides[1]][:1]


def _without_prefix(tensors: Mapping[str, Tensor], expected: Set[str]) -> dict[str, Tensor]:
    """Return the tensors below the prefix under which most of the expected ones are."""
    found = Counter[str]()
    for name in tensors:
        parts = name.split(".")
        for place in range(len(parts)):
            if ".".join(parts[place:]) in expected:
                found[".".join([*parts[:place], ""]) if place else ""] += 1
    prefix = found.most_common(1)[0][0] if found else ""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _with_head(named: dict[str, Tensor], expected: Shapes, head: Mapping[str, int]) -> dict[str, Tensor]:
    """Rename the single linear layer of a `Sequential` that replaced the head, such as `fc.1.weight` to `fc.weight`."""
    for name in head:
        parent, _, kind = name.rpartition(".")
        inside = [each for each in named if re.fullmatch(rf"{re.escape(parent)}\.\d+\.{kind}", each)]
        others = [each for each in named if each.startswith(f"{parent}.") and each not in expected]
        if name not in named and len(inside) == 1 and len(others) <= 2:
            named = {name if each == inside[0] else each: tensor for each, tensor in named.items()}
    return named


def _is_grey(found: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """True if a convolution that takes the image has one input channel instead of three."""
    return len(found) == len(expected) == 4 and (found[1], expected[1]) == (1, 3) and found[0] == expected[0]


def _compare(named: Mapping[str, Tensor], expected: Shapes, architecture: Architecture) -> None:
    """Refuse tensors that differ from the architecture's in names, shapes or kind."""
    missing = [name for name in expected if name not in named and not name.endswith("num_batches_tracked")]
    unknown = [name for name in named if name not in expected]
    shapes = [
        f"{name} is {_shape(tuple(named[name].shape))}, not {_shape(expected[name])}"
        for name in expected
        if name in named and tuple(named[name].shape) != expected[name]
    ]
    numbers = [name for name in expected if name in named and named[name].is_complex()]
    differences = [
        f"{len(shapes)} of another shape ({'; '.join(shapes[:SHOWN])})" if shapes else "",
        f"{len(missing)} missing ({_some(missing)})" if missing else "",
        f"{len(unknown)} not expected ({_some(unknown)})" if unknown else "",
        f"{len(numbers)} complex ({_some(numbers)})" if numbers else "",
    ]
    if any(differences):
        cause = "a head or layers of its own" if missing and unknown else "another variant or size of the architecture"
        raise Refusal(
            f"The checkpoint does not fit {architecture.title}; it looks like {cause}. Tensors: "
            f"{', '.join(filter(None, differences))}. Choose another architecture, or use at.Model in a Python file."
        )


def _logits(count: int) -> str:
    return "1 logit" if count == 1 else f"{count} classes"


def _shape(sides: tuple[int, ...]) -> str:
    return " x ".join(map(str, sides)) or "a number"


def _some(names: Mapping[str, object] | list[str]) -> str:
    shown = [name if len(name) <= 60 else f"{name[:57]}..." for name in list(names)[:SHOWN]]
    return ", ".join(shown) + (", ..." if len(names) > SHOWN else "") or "none"
