"""Preprocessing: from a photo to the network's input."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from attribution.refusal import Refusal

Interpolation = Literal["bilinear", "bicubic", "nearest", "box", "hamming", "lanczos"]
RESAMPLING = {name: Image.Resampling[name.upper()] for name in get_args(Interpolation)}


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

    def box(self, image: Image.Image, across: float = 0.5, down: float = 0.5) -> tuple[float, float, float, float]:
        """Return the square crop of an image.

        Args:
            image: An image of any size.
            across: Horizontal position of the crop, from 0 (left) to 1 (right). Default: 0.5, the centre.
            down: Vertical position of the crop, from 0 (top) to 1 (bottom). Default: 0.5.

        Returns:
            Left, top, right and bottom in pixels of the image.
        """
        if self.resize is not None:
            width, height, *start = self._resized(image, across, down)
            x, y = image.width / width, image.height / height
            return start[0] * x, start[1] * y, (start[0] + self.size[1]) * x, (start[1] + self.size[0]) * y
        side = self.crop * min(image.size)
        left, top = across * (image.width - side), down * (image.height - side)
        return left, top, left + side, top + side

    def _resized(self, image: Image.Image, across: float, down: float) -> tuple[int, int, int, int]:
        """Return the size of the resized image, (W, H), and the left and top pixel of the crop in it."""
        if isinstance(self.resize, tuple):
            height, width = self.resize
        else:
            assert self.resize is not None
            width, height = (int(self.resize * side / min(image.size)) for side in image.size)
        whole = math.floor if self.rounds_down else round
        return width, height, whole(across * (width - self.size[1])), whole(down * (height - self.size[0]))

    def prepare(self, image: Image.Image, across: float = 0.5, down: float = 0.5) -> Tensor:
        """Crop and resize an image to the network's input.

        Args:
            image: An RGB image of any size.
            across: As for `box`.
            down: As for `box`.

        Returns:
            (3, H, W), float32 on the CPU, pixels in [0, 1], before normalisation; three equal channels if the network's
            input is grey.
        """
        height, width = self.size
        upright = ImageOps.exif_transpose(image).convert("RGB")
        resample = RESAMPLING[self.interpolation]
        if self.resize is None:
            small = upright.resize((width, height), resample, box=self.box(upright, across, down))
        else:  # in two steps, to be exact
            *whole, left, top = self._resized(upright, across, down)
            small = upright.resize(whole, resample).crop((left, top, left + width, top + height))
        pixels = np.array(small, dtype=np.float32) / 255  # (H, W, 3)
        if self.channels == 1:
            pixels = pixels.mean(2, dtype=np.float64, keepdims=True).astype(np.float32).repeat(3, 2)
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
