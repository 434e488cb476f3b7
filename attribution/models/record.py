"""Records of models: facts that are known before loading."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from torch import nn

from attribution.photo.preprocessing import Preprocessing
from attribution.system.assets import asset
from attribution.system.download import Progress
from attribution.targets.classes import Classes
from attribution.targets.output import Output

DEFAULT_OUTPUT = Classes()


@dataclass(frozen=True)
class Facts:
    """Facts about one set of weights.

    Attributes:
        preprocessing: Preprocessing of photos.
        classes: Class names, (K,).
        top1: Top-1 accuracy on the ImageNet validation set in percent, as published.
        download: Download size in MB (10^6 bytes); 0 if the weights are part of the installation.
        licence: Licence of the weights.
        source: Origin of the architecture and the weights.
        output: Kind of output. Default: classes.
    """

    preprocessing: Preprocessing
    classes: tuple[str, ...]
    top1: float
    download: float
    licence: str
    source: str
    output: Output = DEFAULT_OUTPUT


@dataclass(frozen=True)
class ModelRecord:
    """One entry of the registry.

    Attributes:
        key: Name in the registry, on the command line and in the URL.
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


@cache
def imagenet_classes() -> tuple[str, ...]:
    """Return the 1000 class names of ILSVRC 2012 in index order, as spelled by torchvision."""
    return tuple(asset("models/imagenet_classes.txt").read_text().splitlines())
