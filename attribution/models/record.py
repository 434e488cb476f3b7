"""Records of models: facts that are known before loading."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

from torch import nn

from attribution.photo.preprocessing import Preprocessing
from attribution.settings import digest
from attribution.system.assets import asset
from attribution.system.download import Progress
from attribution.targets.classes import Classes
from attribution.targets.output import Output

USUAL_OUTPUT = Classes()


@dataclass(frozen=True)
class Facts:
    """Facts about one set of weights.

    Attributes:
        preprocessing: Preprocessing of photos.
        classes: Class names, (K,).
        top1: Top-1 accuracy on the ImageNet validation set in percent, as published; None if unknown.
        size: Size of the weights in MB (10^6 bytes).
        licence: Licence of the weights; empty if unknown.
        source: Origin of the architecture and the weights.
        output: Kind of output. Default: classes.
    """

    preprocessing: Preprocessing
    classes: tuple[str, ...]
    top1: float | None
    size: float
    licence: str
    source: str
    output: Output = USUAL_OUTPUT


@dataclass(frozen=True)
class ModelRecord:
    """One entry of the registry.

    Attributes:
        key: Name in the registry, on the command line and in links; for one's own network, as made by
            `own_key`.
        title: Name for people.
        embedded: True if no download is needed.
        facts: Returns the facts; the first call may import a library, which takes a second or two.
        build: Builds the network with its weights; reports download progress.
    """

    key: str
    title: str
    embedded: bool
    facts: Callable[[], Facts]
    build: Callable[[Progress | None], nn.Module]

    @property
    def name(self) -> str:
        """Name of the model in titles and manifests: the key, with only eight digits of a SHA-256."""
        name, own, digits = self.key.rpartition("@")
        return f"{name}@{digits[:8]}" if own else self.key

    @cached_property
    def identity(self) -> str:
        """SHA-256 of the key and the facts, for cache keys: weights may be used with other class names, for example."""
        return digest(self.key, self.facts())


def megabytes(net: nn.Module) -> float:
    """Return the size of a network's weights in MB (10^6 bytes)."""
    return float(sum(tensor.nbytes for tensor in net.state_dict().values())) / 1e6


def own_key(name: str, weights: str, facts: Facts) -> str:
    """Return the key of one's own network: its name, the SHA-256 of its weights, and eight digits for its facts.

    Args:
        name: Any name.
        weights: `Model.weights`.
        facts: Its facts, since the same weights may be used with other class names or another preprocessing.
    """
    return f"{name}@{weights}-{digest(facts)[:8]}"


@cache
def imagenet_classes() -> tuple[str, ...]:
    """Return the 1000 class names of ILSVRC 2012 in index order, as spelled by torchvision."""
    return tuple(asset("models/imagenet_classes.txt").read_text().splitlines())
