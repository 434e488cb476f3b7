"""Preprocessing: from a photo to the network's input."""

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from attribution.photo.crop import FIT, MIN_SIZE, Size
from attribution.refusal import Refusal

Interpolation = Literal["bilinear", "bicubic", "nearest", "box", "hamming", "lanczos"]
Box = tuple[float, float, float, float]  # left, top, right and bottom in pixels of a photo
RESAMPLING = {name: Image.Resampling[name.upper()] for name in get_args(Interpolation)}
MAX_RESIZED = 1 << 26  # pixels of a resized photo; 1 x 65535 pixels would become 256 x 17 million
GREY = 0.5  # colour of bars if the network's mean is zero, which is no mean colour


@dataclass(frozen=True)
class Preprocessing:
    """The crop, size and normalisation that a network expects.

    Attributes:
        size: (H, W) of the network's input.
        mean: Mean per channel, (channels,), subtracted from pixels in [0, 1].
        std: Standard deviation per channel, (channels,), by which the difference is divided.
        crop: Side of the square crop, relative to the shorter side of the photo. Default: 0.875.
        interpolation: A key of RESAMPLING, such as "bilinear" or "bicubic" (default).
        channels: Channels of the network's input: 3 (default), or 1 for grey, the mean of red, green and blue.
        resize: Size of the whole photo in pixels before the crop: the shorter side, or (H, W), to which it is
            stretched. The crop then starts at a whole pixel, as in other libraries. Default: None; the crop is exactly
            as large as `crop` says.
        rounds_down: True if the crop of a resized photo starts at the pixel rounded down, as in Hugging Face's
            processors; False (default) for the nearest, as in torchvision.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop: float = 0.875
    interpolation: Interpolation = "bicubic"
    channels: int = 3
    resize: int | tuple[int, int] | None = None
    rounds_down: bool = False

    def __post_init__(self) -> None:
        """Refuse invalid settings."""
        if not 0 < self.crop <= 1:
            raise Refusal(f"The crop must be above 0 and at most 1, got {self.crop}.")
        if self.interpolation not in get_args(Interpolation):
            offered = ", ".join(RESAMPLING)
            raise Refusal(f"The interpolation must be one of {offered}, got {self.interpolation!r}.")
        if len(self.size) != 2 or min(self.size) < 1:
            raise Refusal(f"The size {self.size} must be (height, width), each at least 1.")
        if self.resize is not None:
            height, width = self.resize if isinstance(self.resize, tuple) else (self.resize, self.resize)
            if height < self.size[0] or width < self.size[1]:
                raise Refusal(f"The photo is resized to {self.resize}, which is smaller than the size {self.size}.")
        if self.channels not in (1, 3):
            raise Refusal(f"A network with {self.channels} channels cannot be explained; only 1 and 3 are supported.")
        if not len(self.mean) == len(self.std) == self.channels or not all(each > 0 for each in self.std):
            count = "three numbers" if self.channels == 3 else "one number"
            raise Refusal(f"Mean {self.mean} and std {self.std} must be {count} each, and std must be positive.")

    @property
    def bar_colour(self) -> tuple[float, float, float]:
        """Red, green and blue, in [0, 1], of the bars around a whole photo: the mean, or grey if the mean is zero."""
        mean = self.mean if any(self.mean) else (GREY,)
        red, green, blue = (min(1.0, max(0.0, each)) for each in mean * (3 // len(mean)))
        return red, green, blue

    def box(self, image: Image.Image, across: float = 0.5, down: float = 0.5, size: Size = None) -> Box:
        """Return the crop of an image: a square, or a rectangle if the network's own crop is one.

        Args:
            image: An image of any size.
            across: Horizontal position of the crop, from 0 (left) to 1 (right). Default: 0.5, the centre.
            down: Vertical position of the crop, from 0 (top) to 1 (bottom). Default: 0.5.
            size: Shorter side of the crop as a share of the photo's shorter side, from 0.1 to 1; "fit" for the smallest
                crop that contains the whole photo, in its centre; None (default) for the size that the network expects.

        Returns:
            Left, top, right and bottom in pixels of the image; outside the image where "fit" leaves bars.

        Raises:
            Refusal: If the size is out of its range.
        """
        if size == FIT:
            x, y, width, height = self._fitted(image)
            wide, high = image.width / width, image.height / height  # of one pixel of the input
            return -x * wide, -y * high, (self.size[1] - x) * wide, (self.size[0] - y) * high
        if size is None and self.resize is not None:
            width, height, x, y = self._resized(image, across, down)
            wide, high = self.size[1] * image.width / width, self.size[0] * image.height / height
            left, top = x * image.width / width, y * image.height / height
        else:
            wide, high = self._sides(image, size)
            left, top = across * (image.width - wide), down * (image.height - high)
        return left, top, min(left + wide, image.width), min(top + high, image.height)

    def _sides(self, image: Image.Image, size: Size) -> tuple[float, float]:
        """Return the width and height of the crop in pixels of the image."""
        if size is not None and not (isinstance(size, int | float) and MIN_SIZE <= size <= 1):
            raise Refusal(f"The size of the crop must be from {MIN_SIZE} to 1, {FIT!r} or None, got {size!r}.")
        if self.resize is None:
            side = (self.crop if size is None else size) * min(image.size)
            return side, side
        left, top, right, bottom = self.box(image)
        own = right - left, bottom - top
        scale = 1.0 if size is None else size * min(image.size) / min(own)
        scale = min(scale, image.width / own[0], image.height / own[1])
        return own[0] * scale, own[1] * scale

    def _fitted(self, image: Image.Image) -> tuple[int, int, int, int]:
        """Return the left and top pixel, the width and the height of the whole photo in the network's input."""
        wide, high = self._sides(image, None)
        scale = max(image.width / wide, image.height / high)
        shares = image.width / (wide * scale), image.height / (high * scale)
        width, height = (max(1, round(side * share)) for side, share in zip(self.size[::-1], shares, strict=True))
        return (self.size[1] - width) // 2, (self.size[0] - height) // 2, width, height

    def _resized(self, image: Image.Image, across: float, down: float) -> tuple[int, int, int, int]:
        """Return the size of the resized image, (W, H), and the left and top pixel of the crop in it."""
        if isinstance(self.resize, tuple):
            height, width = self.resize
        else:
            assert self.resize is not None
            width, height = (int(self.resize * side / min(image.size)) for side in image.size)
        whole = math.floor if self.rounds_down else round
        return width, height, whole(across * (width - self.size[1])), whole(down * (height - self.size[0]))

    def prepare(self, image: Image.Image, across: float = 0.5, down: float = 0.5, size: Size = None) -> Tensor:
        """Crop and resize an image to the network's input.

        Args:
            image: An RGB image of any size.
            across: As for `box`.
            down: As for `box`.
            size: As for `box`; the bars that "fit" leaves have `bar_colour`.

        Returns:
            (3, H, W), float32 on the CPU, pixels in [0, 1], before normalisation; three equal channels if the network's
            input is grey.

        Raises:
            Refusal: If the size is out of its range.
        """
        height, width = self.size
        upright = ImageOps.exif_transpose(image).convert("RGB")
        resample = RESAMPLING[self.interpolation]
        if size == FIT:
            left, top, *inside = self._fitted(upright)
            pixels = np.tile(np.array(self.bar_colour, np.float32), (height, width, 1))
            shown = self._pixels(upright.resize(inside, resample))
            pixels[top : top + inside[1], left : left + inside[0]] = shown
        elif size is None and self.resize is not None and math.prod(self._resized(upright, 0, 0)[:2]) <= MAX_RESIZED:
            *whole, left, top = self._resized(upright, across, down)  # in two steps, to be exact
            small = upright.resize(whole, resample)
            pixels = self._pixels(small.crop((left, top, left + width, top + height)))
        else:
            pixels = self._pixels(upright.resize((width, height), resample, box=self.box(upright, across, down, size)))
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()

    def _pixels(self, image: Image.Image) -> NDArray[Any]:
        """Return the pixels of an image, (H, W, 3), in [0, 1]; grey in three channels if the network's input is."""
        pixels = np.array(image, dtype=np.float32) / 255
        if self.channels == 1:
            pixels = pixels.mean(2, dtype=np.float64, keepdims=True).astype(np.float32).repeat(3, 2)
        return pixels
