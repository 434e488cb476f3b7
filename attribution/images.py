"""Bytes or a path -> an upright RGB image, within limits; and pixels -> a PNG."""

import base64
import contextlib
import io
import os
import re
import warnings
from os import PathLike, fspath
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from attribution.refusal import Refusal

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
MAX_BYTES = 30_000_000
MAX_PIXELS = 50_000_000  # 150 MB as RGB; a picture of 10 kB can claim far more


def open_image(source: str | PathLike[str] | bytes | BinaryIO) -> Image.Image:
    """Read a photo.

    The kind is decided by the content, never by the name. Of an animation the first frame is taken, transparency is
    laid on white, 16-bit grey is scaled to 8 bits, and the orientation that a camera recorded is applied.

    Args:
        source: A path, the encoded bytes, or a binary file object.

    Returns:
        An RGB image, upright, without metadata.

    Raises:
        Refusal: If the source cannot be read, is no photo, is cut off, or is beyond the limits of
            30 MB and 50 megapixels.
    """
    name, data, size = _load(source)
    if size > MAX_BYTES:
        raise Refusal(f"{name} has {size / 1e6:.0f} MB; the limit is {MAX_BYTES / 1e6:.0f} MB. Save a smaller copy.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of sizes that are checked here, and of metadata that is dropped
        image = _decode(name, data)
        with contextlib.suppress(Exception):  # a photo whose orientation cannot be read is shown as it is
            image = ImageOps.exif_transpose(image)
        return _rgb(name, image)


def eight_bit(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Pixels in [0, 1], (..., 3, H, W), to 8-bit RGB, (..., H, W, 3)."""
    rgb: NDArray[np.uint8] = np.rint(np.clip(np.moveaxis(pixels, -3, -1), 0, 1) * 255).astype(np.uint8)
    return rgb


def png(image: Image.Image | NDArray[np.uint8]) -> bytes:
    """Encode 8-bit RGB, (H, W, 3), as a PNG file."""
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, "PNG")
    return file.getvalue()


def data_url(image: Image.Image | NDArray[np.uint8]) -> str:
    """8-bit RGB, (H, W, 3), as an address that holds the whole picture."""
    return f"data:image/png;base64,{base64.b64encode(png(image)).decode()}"


def _load(source: str | PathLike[str] | bytes | BinaryIO) -> tuple[str, bytes, int]:
    """The name to use in a sentence, at most one byte more than allowed, and how many there are as far as is known."""
    if isinstance(source, bytes | bytearray):
        return "The file", bytes(source), len(source)
    if isinstance(source, str | PathLike):
        path = fspath(source)
        try:
            with open(path, "rb") as file:
                return path, file.read(MAX_BYTES + 1), os.fstat(file.fileno()).st_size
        except (OSError, ValueError) as error:
            raise Refusal(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    data = source.read(MAX_BYTES + 1)
    return str(getattr(source, "name", "The file")), data, len(data)


def _decode(name: str, data: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        pixels = image.width * image.height
    except Image.DecompressionBombError as error:  # "Image size (400000000 pixels) exceeds limit ..."
        pixels = int("".join(re.findall(r"\((\d+) pixels\)", str(error))) or MAX_PIXELS + 1)
    except Exception:  # Pillow's readers raise many types on what is no picture
        raise Refusal(
            f"{name} is not a photo that can be read; use {', '.join(FORMATS[:-1])} or {FORMATS[-1]}."
        ) from None
    if pixels > MAX_PIXELS:
        raise Refusal(
            f"{name} has {pixels / 1e6:.0f} megapixels; at most {MAX_PIXELS / 1e6:.0f} can be read. "
            "Save a smaller copy."
        )
    try:
        image.load()
    except Exception:
        raise Refusal(f"{name} is damaged or cut off; save it again and retry.") from None
    return image


def _rgb(name: str, image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F"):  # no range is agreed on, and Pillow would clip at 255
        raise Refusal(f"{name} has 32 bits a pixel and no agreed range; save it with 8 or 16 bits.")
    if image.mode.startswith("I;16"):
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    rgb = image.convert("RGB")
    rgb.info.clear()
    return rgb
