"""Encoding of pixels as 8-bit RGB, PNG or a data URL."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def eight_bit(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Convert pixels in [0, 1], (..., 3, H, W), to 8-bit RGB, (..., H, W, 3)."""
    rgb: NDArray[np.uint8] = np.rint(np.clip(np.moveaxis(pixels, -3, -1), 0, 1) * 255).astype(np.uint8)
    return rgb


def png(image: Image.Image | NDArray[np.uint8]) -> bytes:
    """Encode 8-bit RGB, (H, W, 3), as a PNG file."""
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, "PNG")
    return file.getvalue()


def data_url(image: Image.Image | NDArray[np.uint8]) -> str:
    """Return 8-bit RGB, (H, W, 3), as a PNG data URL."""
    return f"data:image/png;base64,{base64.b64encode(png(image)).decode()}"
