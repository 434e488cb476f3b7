"""Baselines of one colour. Pixels of that colour in the photo get an attribution of exactly zero."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attribution.baselines.baseline import Baseline
from attribution.settings import Colour, ColourSetting, setting


def _fill(x: Tensor, colour: Colour) -> Tensor:
    return x.new_tensor(colour).view(3, 1, 1).expand_as(x)  # (3, H, W)


@dataclass(frozen=True)
class Black(Baseline):
    """A black image, the usual choice."""

    key: ClassVar[str] = "black"
    title: ClassVar[str] = "Black"
    shows: ClassVar[str] = (
        "Bright pixels count as evidence, dark ones do not: black parts of the photo get zero attribution."
    )

    def image(self, x: Tensor) -> Tensor:
        return _fill(x, (0.0, 0.0, 0.0))


@dataclass(frozen=True)
class White(Baseline):
    """A white image."""

    key: ClassVar[str] = "white"
    title: ClassVar[str] = "White"
    shows: ClassVar[str] = (
        "Dark pixels count as evidence, bright ones do not: white parts of the photo get zero attribution."
    )

    def image(self, x: Tensor) -> Tensor:
        return _fill(x, (1.0, 1.0, 1.0))


@dataclass(frozen=True)
class Grey(Baseline):
    """A mid-grey image."""

    key: ClassVar[str] = "grey"
    title: ClassVar[str] = "Grey"
    shows: ClassVar[str] = (
        "Bright and dark pixels both count as evidence; mid-grey parts of the photo get zero attribution."
    )

    def image(self, x: Tensor) -> Tensor:
        return _fill(x, (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class ImageNetMean(Baseline):
    """The mean colour of ImageNet, which is zero after the usual normalisation."""

    key: ClassVar[str] = "imagenet_mean"
    title: ClassVar[str] = "ImageNet mean"
    shows: ClassVar[str] = (
        "Differences from the mean colour of ImageNet, which is zero after normalisation, count as evidence."
    )

    def image(self, x: Tensor) -> Tensor:
        return _fill(x, (0.485, 0.456, 0.406))


@dataclass(frozen=True)
class Constant(Baseline):
    """An image of one colour of choice; the text form may be just the colour, such as `#808080`.

    Attributes:
        colour: Red, green and blue in [0, 1]. Default: mid-grey.
    """

    key: ClassVar[str] = "constant"
    title: ClassVar[str] = "One colour"
    shows: ClassVar[str] = (
        "The chosen colour does not count as evidence: parts of the photo in this colour get zero attribution."
    )

    colour: Colour = setting(ColourSetting("Colour of the baseline."), (0.5, 0.5, 0.5))

    @classmethod
    def shorthand(cls, text: str) -> "Constant | None":
        return cls(ColourSetting("").read(text)) if text.startswith("#") else None  # type: ignore[arg-type]

    def image(self, x: Tensor) -> Tensor:
        return _fill(x, self.colour)
