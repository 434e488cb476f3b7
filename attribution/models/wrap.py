"""Adapters: a model from a network of timm, torchvision or Hugging Face, with its library's own preprocessing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image
from torch import Tensor, nn

from attribution.network.model import Model
from attribution.photo.preprocessing import Preprocessing
from attribution.refusal import Refusal

KINDS = {"single_label_classification": "classes", "multi_label_classification": "labels", "regression": "number"}


@dataclass(frozen=True)
class _Read:
    """Facts that a library knows about a network."""

    net: nn.Module
    name: str
    preprocessing: Preprocessing
    classes: Sequence[str] | None = None
    output: str = "classes"


class Logits(nn.Module):
    """A Hugging Face classifier that returns its logits."""

    def __init__(self, net: nn.Module) -> None:
        """Wrap the classifier."""
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to logits, (N, K)."""
        logits: Tensor = self.net(pixel_values=x).logits
        return logits


def wrap(
    net: nn.Module,
    source: Any = None,
    *,
    name: str | None = None,
    classes: Sequence[str] | None = None,
    output: str | None = None,
    unit: str = "",
    device: str = "auto",
) -> Model:
    """Make a model from a network of timm, torchvision or Hugging Face.

    Size, crop, interpolation, mean, std and class names are the library's, so that pixels and logits are those of its
    own pipeline. Classes without a known name are called by their index.

    Args:
        net: The network with its weights.
        source: A torchvision weights enum, such as `ResNet18_Weights.IMAGENET1K_V1`, or a Hugging Face image processor.
            Default: None, for timm, whose networks carry their configuration.
        name: Name of the model. Default: the library's.
        classes: Class names. Default: the library's.
        output: As for `Model`. Default: the problem type of a Hugging Face configuration, else "classes".
        unit: As for `Model`.
        device: As for `Model`.

    Raises:
        Refusal: If the source is missing or unknown, or `Model` refuses.
    """
    read = _read(net, source)
    steps = read.preprocessing
    return Model(
        name or read.name,
        read.net,
        steps.size,
        steps.mean,
        steps.std,
        classes or read.classes or [str(index) for index in range(_count(net))],
        interpolation=steps.interpolation,
        device=device,
        output=output or read.output,
        unit=unit,
        channels=steps.channels,
        resize=steps.resize,
        rounds_down=steps.rounds_down,
    )


def timm_preprocessing(net: nn.Module) -> Preprocessing:
    """Return the preprocessing that a timm network is configured for.

    Raises:
        Refusal: If its way to crop is not supported.
    """
    import timm

    data: Any = timm.data
    config = data.resolve_model_data_config(net)
    channels, height, width = config["input_size"]
    if config["crop_mode"] not in ("center", "squash"):
        raise Refusal(f"timm's crop mode {config['crop_mode']!r} is not supported; use at.Model.")
    enlarged = math.floor(height / config["crop_pct"]), math.floor(width / config["crop_pct"])
    stretched = config["crop_mode"] == "squash"
    if height != width and not stretched:
        raise Refusal(
            f"A timm network for {height} x {width} pixels, which are no square, is not supported; use at.Model."
        )
    return Preprocessing(
        (height, width),
        tuple(config["mean"][:channels]),
        tuple(config["std"][:channels]),
        interpolation=config["interpolation"],
        channels=channels,
        resize=enlarged if stretched else enlarged[0],
    )


def timm_classes(net: nn.Module) -> Sequence[str] | None:
    """Return the class names of a timm network, if timm knows them."""
    import timm

    settings: dict[str, Any] = net.pretrained_cfg  # type: ignore[assignment]
    if names := settings.get("label_names"):
        return list(names)
    data: Any = timm.data
    if not (subset := data.infer_imagenet_subset(net)):
        return None
    known = data.ImageNetInfo(subset)
    return [known.index_to_description(index) for index in range(known.num_classes())]


def torchvision_preprocessing(weights: Any) -> Preprocessing:
    """Return the preprocessing of a torchvision weights enum."""
    transforms = weights.transforms()
    (side,) = transforms.crop_size
    return Preprocessing(
        (side, side),
        tuple(transforms.mean),
        tuple(transforms.std),
        interpolation=transforms.interpolation.value,
        resize=transforms.resize_size[0],
    )


def _read(net: nn.Module, source: Any) -> _Read:
    if source is not None and hasattr(source, "transforms") and hasattr(source, "meta"):
        return _torchvision(net, source)
    if hasattr(source, "image_mean") and hasattr(net, "config"):
        return _hugging_face(net, source)
    if source is None and hasattr(net, "pretrained_cfg"):
        return _timm(net)
    if source is None and hasattr(net, "config"):
        raise Refusal(f"{type(net).__name__} needs its image processor; use at.wrap(net, processor).")
    raise Refusal(
        f"{type(net).__name__} is not known to timm; pass a torchvision weights enum or a Hugging Face image "
        "processor, or use at.Model."
    )


def _timm(net: nn.Module) -> _Read:
    settings: dict[str, Any] = net.pretrained_cfg  # type: ignore[assignment]
    return _Read(net, settings["architecture"], timm_preprocessing(net), timm_classes(net))


def _torchvision(net: nn.Module, weights: Any) -> _Read:
    return _Read(net, type(net).__name__.lower(), torchvision_preprocessing(weights), weights.meta["categories"])


def _hugging_face(net: nn.Module, processor: Any) -> _Read:
    config: Any = net.config
    side = processor.size or {}
    crop = getattr(processor, "crop_size", None) if getattr(processor, "do_center_crop", False) else None
    size, resize = _hugging_face_size(side, crop, getattr(processor, "crop_pct", None))
    plain = not processor.do_normalize
    return _Read(
        Logits(net),
        config.model_type,
        Preprocessing(
            size,
            (0.0,) * config.num_channels if plain else tuple(processor.image_mean),
            (1.0,) * config.num_channels if plain else tuple(processor.image_std),
            interpolation=Image.Resampling(int(processor.resample)).name.lower(),  # type: ignore[arg-type]
            channels=config.num_channels,
            resize=resize,
            rounds_down=True,
        ),
        [config.id2label[index] for index in range(config.num_labels)],
        KINDS.get(config.problem_type, "classes" if config.num_labels > 1 else "number"),
    )


def _hugging_face_size(size: Any, crop: Any, share: float | None) -> tuple[tuple[int, int], int | tuple[int, int]]:
    """Return the size of the input and of the photo before the crop."""
    if "shortest_edge" in size:
        side = int(size["shortest_edge"])
        if crop:
            return (int(crop["height"]), int(crop["width"])), side
        if share and side < 384:  # as ConvNextImageProcessor does
            return (side, side), int(side / share)
        if share:
            return (side, side), (side, side)
    elif "height" in size:
        whole = int(size["height"]), int(size["width"])
        return ((int(crop["height"]), int(crop["width"])) if crop else whole), whole
    raise Refusal(f"An image processor of size {dict(size)} without a crop is not supported; use at.Model.")


def _count(net: nn.Module) -> int:
    count = getattr(net, "num_classes", None)
    if not isinstance(count, int):
        raise Refusal(f"The number of classes of {type(net).__name__} is not known; pass classes.")
    return count
