"""Bytes or a path -> an upright RGB image, within limits."""

import io
import warnings
from os import PathLike, fspath
from typing import BinaryIO

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
    name, data = _load(source)
    if len(data) > MAX_BYTES:
        raise Refusal(
            f"{name} has {len(data) / 1e6:.0f} MB; the limit is {MAX_BYTES / 1e6:.0f} MB. Save a smaller copy."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of sizes that the next check refuses or allows
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Exception:
        raise Refusal(
            f"{name} is not a photo that can be read; use {', '.join(FORMATS[:-1])} or {FORMATS[-1]}."
        ) from None
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise Refusal(
            f"{name} has {width * height / 1e6:.0f} megapixels; at most {MAX_PIXELS / 1e6:.0f} can be read. "
            "Save a smaller copy."
        )
    try:
        image.load()
        return _rgb(ImageOps.exif_transpose(image))
    except Exception:  # Pillow's decoders raise many types on damaged data
        raise Refusal(f"{name} is damaged or cut off; save it again and retry.") from None


def _load(source: str | PathLike[str] | bytes | BinaryIO) -> tuple[str, bytes]:
    """The name to use in a sentence, and at most one byte more than allowed."""
    if isinstance(source, bytes | bytearray):
        return "The file", bytes(source)
    if isinstance(source, str | PathLike):
        path = fspath(source)
        try:
            with open(path, "rb") as file:
                return path, file.read(MAX_BYTES + 1)
        except OSError as error:
            raise Refusal(f"{path} cannot be read: {error.strerror or error}.") from None
    return str(getattr(source, "name", "The file")), source.read(MAX_BYTES + 1)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # Pillow's own conversion clips everything above 255 to white
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    rgb = image.convert("RGB")
    rgb.info.clear()
    return rgb
