"""Adapters: a model from a network of timm, torchvision or Hugging Face, with its library's own preprocessing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image
from torch import Tensor, nn

from attribution.network.model import Model
from attribution.refusal import Refusal

KINDS = {"single_label_classification": "classes", "multi_label_classification": "labels", "regression": "number"}


@dataclass(frozen=True)
class _Read:
    """Facts that a library knows about a network."""

    net: nn.Module
    name: str
    size: tuple[int, int]
    mean: Sequence[float]
    std: Sequence[float]
    resize: int | tuple[int, int]
    interpolation: str
    classes: Sequence[str] | None = None
    output: str = "classes"
    rounds_down: bool = False


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
    return Model(
        name or read.name,
        read.net,
        read.size,
        read.mean,
        read.std,
        classes or read.classes or [str(index) for index in range(_count(net))],
        interpolation=read.interpolation,  # type: ignore[arg-type]
        device=device,
        output=output or read.output,
        unit=unit,
        channels=len(read.mean),
        resize=read.resize,
        rounds_down=read.rounds_down,
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
    settings: dict[str, Any] = net.pretrained_cfg  # type: ignore[assignment]
    names = settings.get("label_names")
    subset = data.infer_imagenet_subset(net)
    if names is None and subset:
        known = data.ImageNetInfo(subset)
        names = [known.index_to_description(index) for index in range(known.num_classes())]
    return _Read(
        net=net,
        name=settings["architecture"],
        size=(height, width),
        mean=config["mean"][:channels],
        std=config["std"][:channels],
        resize=enlarged if stretched else enlarged[0],
        interpolation=config["interpolation"],
        classes=names,
    )


def _torchvision(net: nn.Module, weights: Any) -> _Read:
    transforms = weights.transforms()
    (side,) = transforms.crop_size
    return _Read(
        net=net,
        name=type(net).__name__.lower(),
        size=(side, side),
        mean=transforms.mean,
        std=transforms.std,
        resize=transforms.resize_size[0],
        interpolation=transforms.interpolation.value,
        classes=weights.meta["categories"],
    )


def _hugging_face(net: nn.Module, processor: Any) -> _Read:
    config: Any = net.config
    side = processor.size or {}
    crop = getattr(processor, "crop_size", None) if getattr(processor, "do_center_crop", False) else None
    size, resize = _hugging_face_size(side, crop, getattr(processor, "crop_pct", None))
    names = [config.id2label[index] for index in range(config.num_labels)]
    return _Read(
        net=Logits(net),
        name=config.model_type,
        size=size,
        mean=processor.image_mean if processor.do_normalize else (0.0,) * config.num_channels,
        std=processor.image_std if processor.do_normalize else (1.0,) * config.num_channels,
        resize=resize,
        interpolation=Image.Resampling(int(processor.resample)).name.lower(),
        classes=names,
        rounds_down=True,
        output=KINDS.get(config.problem_type, "classes" if config.num_labels > 1 else "number"),
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
