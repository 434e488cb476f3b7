"""Facts about a model that are known before it is loaded."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from torch import nn

from attribution.photo.preprocessing import Preprocessing
from attribution.system.assets import asset
from attribution.system.download import Progress


@dataclass(frozen=True)
class Facts:
    """Facts of one set of weights.

    Attributes:
        preprocessing: From a photo to the network's input.
        classes: Class names, (K,).
        top1: Accuracy on the ImageNet validation set in percent, as its authors published it.
        download: Size in MB (10^6 bytes); 0 if it comes with the installation.
        licence: Of the weights.
        source: Where architecture and weights come from.
    """

    preprocessing: Preprocessing
    classes: tuple[str, ...]
    top1: float
    download: float
    licence: str
    source: str


@dataclass(frozen=True)
class ModelRecord:
    """One entry of the registry.

    Attributes:
        key: Name in the registry, on the command line and in the URL.
        embedded: Whether it works without a network.
        facts: Gives the facts; may import the library that knows them, which takes a second or two the first time.
        build: Makes the network with its weights; reports the download.
    """

    key: str
    embedded: bool
    facts: Callable[[], Facts]
    build: Callable[[Progress | None], nn.Module]


@cache
def imagenet_classes() -> tuple[str, ...]:
    """Return the 1000 class names of ILSVRC 2012 in the order of their indices, as torchvision spells them."""
    return tuple(asset("models/imagenet_classes.txt").read_text().splitlines())
