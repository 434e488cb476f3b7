"""Architectures without weights: timm's and torchvision's by name, Hugging Face's by their config.json.

The libraries are imported when they are asked for.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import torch
from torch import nn

from attribution.models.wrap import Logits, timm_preprocessing, torchvision_preprocessing
from attribution.photo.preprocessing import Preprocessing
from attribution.refusal import Refusal
from attribution.settings import digest

MAX_CONFIG_CHARACTERS = 100_000
MAX_NUMBER = 100_000  # in a Hugging Face configuration, such as a width
MAX_LAYERS = 500  # layers or blocks in it, all together
LAYER_WORDS = ("layer", "depth", "block", "repeat", "attend")  # parts of the names of such numbers
MAX_SIDE = 1024  # pixels of the input's sides
IGNORED = (
    "auto_map",
    "attribute_map",
    "quantization_config",
    "id2label",
    "label2id",
    "num_labels",
    "torch_dtype",
    "dtype",
)


@dataclass(frozen=True)
class Architecture(ABC):
    """A network that can be built for any number of logits.

    Attributes:
        name: Name in its library.
        library: Name of the library.
        knows_normalisation: True if mean and std of `preprocessing` are those of the library's weights.
    """

    name: str
    library: ClassVar[str]
    knows_normalisation: ClassVar[bool] = True

    @abstractmethod
    def build(self, logits: int, channels: int = 3) -> nn.Module:
        """Build the network with random weights, on torch's default device.

        Args:
            logits: Number of logits.
            channels: Channels of its input: 3 (default) or 1.
        """

    @property
    def title(self) -> str:
        """Name for people."""
        return self.name

    @property
    def text(self) -> str:
        """Library and name; different for architectures that compute different functions."""
        return f"{self.library}/{self.name}"

    @staticmethod
    def saved_names(net: nn.Module) -> dict[str, str]:
        """Return the names of a network's tensors by those under which its library saves them, where they differ."""
        del net
        return {}

    @staticmethod
    def returning_logits(net: nn.Module) -> nn.Module:
        """Return a network of this architecture that returns its logits as a tensor."""
        return net

    @abstractmethod
    def preprocessing(self) -> Preprocessing:
        """Return the preprocessing that its weights usually expect, for three channels."""


class _Timm(Architecture):
    library = "timm"

    def build(self, logits: int, channels: int = 3) -> nn.Module:
        import timm

        grey: dict[str, Any] = {"in_chans": 1} if channels == 1 else {}  # not every architecture has the option
        net: nn.Module = timm.create_model(self.name, num_classes=logits, **grey)
        return net

    def preprocessing(self) -> Preprocessing:
        with torch.device("meta"):
            return timm_preprocessing(self.build(2))


class _Torchvision(Architecture):
    library = "torchvision"

    def build(self, logits: int, channels: int = 3) -> nn.Module:
        from torchvision.models import get_model

        random = {"init_weights": False} if self.name in ("googlenet", "inception_v3") else {}  # else takes seconds
        net: nn.Module = get_model(self.name, num_classes=logits, **random)
        if channels == 1:
            _make_grey(net)
        return net

    def preprocessing(self) -> Preprocessing:
        from torchvision.models import get_model_weights

        return torchvision_preprocessing(get_model_weights(self.name)["DEFAULT"])


class _HuggingFace(Architecture):
    """An architecture of Hugging Face; its name is the content of config.json."""

    library = "transformers"
    knows_normalisation = False

    def build(self, logits: int, channels: int = 3) -> nn.Module:
        from transformers import AutoConfig, AutoModelForImageClassification

        fields = _checked(self.name)
        grey = {"num_channels": 1} if channels == 1 else {}
        config = AutoConfig.for_model(**fields | {"num_labels": logits} | grey)
        net: nn.Module = AutoModelForImageClassification.from_config(config)  # type: ignore[no-untyped-call]
        return net

    @property
    def title(self) -> str:
        return str(_checked(self.name)["model_type"])

    @property
    def text(self) -> str:
        return (
            f"{self.library}/{self.title}, configuration {digest(json.dumps(_checked(self.name), sort_keys=True))[:8]}"
        )

    @staticmethod
    def saved_names(net: nn.Module) -> dict[str, str]:
        from transformers.core_model_loading import revert_weight_conversion

        tensors = net.state_dict()
        names = {id(tensor): name for name, tensor in tensors.items()}
        saved = revert_weight_conversion(net, dict(tensors))  # type: ignore[arg-type]
        return {name: names[id(tensor)] for name, tensor in saved.items() if names.get(id(tensor), name) != name}

    @staticmethod
    def returning_logits(net: nn.Module) -> nn.Module:
        return Logits(net)

    def preprocessing(self) -> Preprocessing:
        """Return the size that the configuration names, to which photos are stretched; mean and std are unknown."""
        fields = _checked(self.name)
        side = fields.get("image_size") or fields.get("vision_config", {}).get("image_size") or 224
        height, width = side if isinstance(side, list) and len(side) == 2 else (side, side)
        if not all(isinstance(each, int) and 1 <= each <= MAX_SIDE for each in (height, width)):
            raise Refusal(f"The configuration asks for image_size = {str(side)[:40]}; it must be from 1 to {MAX_SIDE}.")
        return Preprocessing((height, width), (0.5,) * 3, (0.5,) * 3, resize=(height, width), interpolation="bilinear")


def read_architecture(text: str) -> Architecture:
    """Return an architecture.

    Args:
        text: `timm/NAME`, `torchvision/NAME`, or the content of a Hugging Face config.json.

    Raises:
        Refusal: If there is none.
    """
    library, _, name = text.partition("/")
    if library == "timm" and name in timm_names():
        return _Timm(name)
    if library == "torchvision" and name in torchvision_names():
        return _Torchvision(name)
    if text.lstrip().startswith("{"):
        _checked(text)
        return _HuggingFace(text)
    raise Refusal(
        f"There is no architecture {text[:80]!r}; write timm/NAME, torchvision/NAME, or the path of a Hugging Face "
        "config.json."
    )


@cache
def timm_names() -> tuple[str, ...]:
    """Return the names of timm's architectures."""
    import timm

    return tuple(timm.list_models())


@cache
def torchvision_names() -> tuple[str, ...]:
    """Return the names of torchvision's classifiers of images."""
    from torchvision import models

    return tuple(models.list_models(module=models))


def _make_grey(net: nn.Module) -> None:
    """Replace the convolutions that take the image by ones with a single input channel."""
    for path, layer in list(net.named_modules()):
        if isinstance(layer, nn.Conv2d) and layer.in_channels == 3:
            parent, _, name = path.rpartition(".")
            single = nn.Conv2d(
                1,
                layer.out_channels,
                layer.kernel_size,  # type: ignore[arg-type]
                layer.stride,  # type: ignore[arg-type]
                layer.padding,  # type: ignore[arg-type]
                layer.dilation,  # type: ignore[arg-type]
                bias=layer.bias is not None,
            )
            setattr(net.get_submodule(parent), name, single)


def _checked(text: str) -> dict[str, Any]:
    """Return the fields of a config.json that a stranger may have written.

    Raises:
        Refusal: If it is not one, or asks for a network that no machine could hold.
    """
    try:
        fields = json.loads(text) if len(text) <= MAX_CONFIG_CHARACTERS else None
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict) or not isinstance(fields.get("model_type"), str):
        raise Refusal("The configuration is not a Hugging Face config.json: it needs a field model_type.")
    if "timm" in fields["model_type"]:
        raise Refusal("The configuration is of a timm network; choose the architecture timm/NAME instead.")
    layers = 0.0
    for name, number in _numbers(fields):
        is_layers = any(word in name for word in LAYER_WORDS)
        layers += abs(number) if is_layers else 0
        most, asked = (MAX_LAYERS, layers) if is_layers else (MAX_NUMBER, abs(number))
        if not asked <= most:
            raise Refusal(f"The configuration asks for {name[:40]} = {str(number)[:20]}; at most {most:,} is built.")
    harmless: dict[str, Any] = _harmless(fields)
    return harmless


def _harmless(value: Any) -> Any:
    """Return a configuration without fields that load code or files, and without the number of classes."""
    if isinstance(value, list):
        return [_harmless(inside) for inside in value]
    if isinstance(value, dict):
        return {
            name: _harmless(inside)
            for name, inside in value.items()
            if not name.startswith("_") and not name.endswith("_implementation") and name not in IGNORED
        }
    return value


def _numbers(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for each, inside in value.items():
            yield from _numbers(inside, str(each))
    elif isinstance(value, list):
        yield name, len(value)
        for inside in value:
            yield from _numbers(inside, name)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, value
