"""A network of one's own from its checkpoint, described by settings: in the dashboard, or as text in code and commands.

`checkpoint:architecture=timm/resnet18,file=best.pt,classes=cat/dog/bird`
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from torch import nn

from attribution.models.architecture import read_architecture
from attribution.models.checkpoint import read_checkpoint
from attribution.models.fitting import fit
from attribution.models.record import Facts, ModelRecord, megabytes, own_key
from attribution.network.frozen import digest_of
from attribution.photo.preprocessing import Preprocessing
from attribution.refusal import Refusal
from attribution.settings import Choice, Configurable, Number, Text, read, setting
from attribution.targets.target import DEFAULT_OUTPUT, OUTPUTS, output_of


@dataclass(frozen=True)
class Checkpoint(Configurable):
    """A checkpoint and what it does not say about its network.

    Attributes:
        file: Path of the checkpoint; see `read_checkpoint`. Default: none, if its content is passed instead.
        architecture: As for `read_architecture`.
        classes: Class names: separated by slashes or line breaks, a JSON list, a JSON object of names by index, or the
            path of a file with them. Default: none; classes are then called by their index.
        output: A key of OUTPUTS. Default: classes.
        unit: Unit of a number. Default: none.
        size: Side of the network's input in pixels. Default: 0, the architecture's.
        mean: Mean per channel, as 0.485/0.456/0.406. Default: the architecture's.
        std: Standard deviation per channel, likewise.
        name: Name of the network. Default: the architecture's.
    """

    key: ClassVar[str] = "checkpoint"
    title: ClassVar[str] = "Checkpoint"

    file: str = setting(Text("Path of the checkpoint."), "")
    architecture: str = setting(Text("timm/NAME, torchvision/NAME, or the path of a Hugging Face config.json."), "")
    classes: str = setting(Text("Class names separated by slashes, or the path of a text or JSON file."), "")
    output: str = setting(Choice("Kind of output.", tuple(OUTPUTS)), DEFAULT_OUTPUT)
    unit: str = setting(Text("Unit of a number."), "")
    size: int = setting(Number("Side of the network's input in pixels; 0 for the architecture's.", 0, 1024), 0)
    mean: str = setting(Text("Mean per channel, as 0.485/0.456/0.406."), "")
    std: str = setting(Text("Standard deviation per channel, as 0.229/0.224/0.225."), "")
    name: str = setting(Text("Name of the network."), "")


@dataclass(frozen=True)
class OwnNetwork:
    """A network with its weights, and what is known about it.

    Attributes:
        key: As made by `own_key`.
        net: The network on the CPU.
        facts: What a record of models contains.
    """

    key: str
    net: nn.Module
    facts: Facts


def read_own(settings: Checkpoint, content: bytes | Path) -> OwnNetwork:
    """Load a checkpoint into its network.

    Args:
        settings: The checkpoint and its network; its texts are contents here, not paths, since anyone may write them.
        content: The content of the file, or its path.

    Raises:
        Refusal: If the architecture is unknown, the file cannot be read, or something does not fit.
    """
    architecture = read_architecture(settings.architecture)
    if not (architecture.knows_normalisation or (settings.mean and settings.std)):
        raise Refusal(
            "The configuration does not contain mean and std; copy image_mean and image_std from "
            "preprocessor_config.json, or write 0.5/0.5/0.5 if there is none."
        )
    output = output_of(settings.output, settings.unit)
    names = _names(settings.classes)
    if names and not output.fits(len(names)):
        raise Refusal(f"There are {len(names)} class names, but {output.title} needs {output.range}.")
    usual = architecture.preprocessing()
    wanted = len(names) if output.has_rivals else 1
    tensors = read_checkpoint(content)
    fitted = fit(tensors, architecture, wanted or None)
    if output.has_rivals and not output.fits(fitted.logits):
        raise Refusal(
            "The checkpoint has one logit, which is no choice of classes; choose the output binary or number."
        )
    facts = Facts(
        _preprocessing(settings, usual, fitted.channels),
        names or output.usual_names(fitted.logits),
        top1=None,
        size=megabytes(fitted.net),
        licence="",
        source=f"a checkpoint of one's own; architecture {architecture.text}",
        output=output,
    )
    net = architecture.returning_logits(fitted.net)
    return OwnNetwork(own_key(settings.name or architecture.title, digest_of(net), facts), net, facts)


def own_record(own: OwnNetwork, net: Callable[[], nn.Module]) -> ModelRecord:
    """Return the record of a loaded checkpoint.

    Args:
        own: The checkpoint in its network.
        net: Returns a network that the model may keep.
    """
    name, _, digits = own.key.rpartition("@")
    facts = own.facts  # not `own`, whose network may be evicted while the record lives on
    return ModelRecord(own.key, f"{name} ({digits[:8]})", embedded=True, facts=lambda: facts, build=lambda _: net())


def described(text: str) -> ModelRecord | None:
    """Return the record of a checkpoint that is described by a text, or None; reads files of this machine."""
    if not re.match(rf"{Checkpoint.key}[:(]", text):
        return None
    settings = read(text, {Checkpoint.key: Checkpoint})
    architecture, classes = (_content(each) for each in (settings.architecture, settings.classes))
    own = read_own(replace(settings, architecture=architecture, classes=classes), Path(settings.file))
    return own_record(own, lambda: own.net)


def _content(text: str) -> str:
    """Return the content of a text or JSON file if a text is the path of one, else the text."""
    is_path = text.endswith((".txt", ".json")) and Path(text).is_file()
    return Path(text).read_text(errors="replace") if is_path else text


def _names(text: str) -> tuple[str, ...]:
    """Return class names from text or JSON."""
    text = text.strip()
    if not text.startswith(("[", "{")):
        return tuple(name.strip() for name in text.split("\n" if "\n" in text else "/") if name.strip())
    try:
        found = json.loads(text)
        if isinstance(found, dict):  # {"0": "cat"} or {"cat": 0}
            pairs = [(int(key), value) if str(key).isdecimal() else (int(value), key) for key, value in found.items()]
            found = [name for _, name in sorted(pairs)]
            if [index for index, _ in sorted(pairs)] != list(range(len(pairs))):
                raise ValueError("the indices are not 0, 1, 2, ...")
        if not all(isinstance(name, str) for name in found):
            raise ValueError("a name is not a text")
    except (ValueError, TypeError, RecursionError) as error:
        raise Refusal(
            f"The class names are not JSON as expected ({error}); write a list, or an object of names by index."
        ) from error
    return tuple(found)


def _preprocessing(settings: Checkpoint, usual: Preprocessing, channels: int) -> Preprocessing:
    """Return the architecture's preprocessing with the size, mean and std that are given."""
    mean, std = (_numbers(text) for text in (settings.mean, settings.std))
    mean, std = mean or usual.mean, std or usual.std
    if channels == 1:
        mean, std = (sum(mean) / len(mean),), (sum(std) / len(std),)
    side, resize = settings.size, usual.resize
    if side and isinstance(resize, int):
        resize = max(side, round(resize * side / min(usual.size)))
    elif side:
        resize = (side, side)
    size = (side, side) if side else usual.size
    return replace(usual, size=size, resize=resize, channels=channels, mean=mean, std=std)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in re.split(r"[/,\s]+", text.strip()) if part)
    except ValueError:
        raise Refusal(f"{text[:60]!r} are not numbers; write them as 0.485/0.456/0.406.") from None
