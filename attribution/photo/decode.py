"""Bytes or a path -> an upright sRGB image, within limits."""

import contextlib
import importlib
import io
import math
import os
import re
import threading
import warnings
from os import PathLike, fspath
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms, ImageOps
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, ROWSPERSTRIP, TILELENGTH, TILEWIDTH
from PIL.WebPImagePlugin import WebPImageFile

from attribution.refusal import Refusal

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")  # ISO/IEC 23008-12
MAX_BYTES = 30_000_000
MAX_PIXELS = 40_000_000  # 160 MB in Pillow, which keeps four bytes a pixel; a file of 10 kB can claim far more
MAX_SIDE = 65_535  # JPEG's own; Pillow keeps eight bytes a row: 1 x 40 million pixels took 1 GB
MAX_SCANS = 100  # libtiff's limit too; a JPEG of 300 kB that goes 1000 times over 40 megapixels took 53 s
MAX_HEAD = 16_000_000  # bytes read before the pixels: profile, previews, layers
MAX_PARTS = 10_000  # reads before the pixels; 7 million empty segments took 20 s and 1 GB
MAX_PROFILES = 10  # a PNG has one; each of 1 kB unpacks to 1 MB, and 29 MB of them took minutes
MARKER = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])")  # of a JPEG segment with a length, or the end of the image

# However many photos are uploaded at once, the memory is that of one; and `catch_warnings` changes what threads share.
_one_at_a_time = threading.Lock()


def open_image(source: str | PathLike[str] | bytes | BinaryIO) -> Image.Image:
    """Read a photo.

    The kind is decided by the content, never by the name: PNG, JPEG, WebP, BMP, GIF or TIFF, and HEIC where the package
    pillow-heif is installed. Of an animation the first frame is taken, an embedded profile is converted to sRGB,
    transparency is laid on white, 16-bit grey is scaled to 8 bits, and the orientation that a camera recorded is
    applied.

    Args:
        source: A path, the encoded bytes, or a binary file object.

    Returns:
        An RGB image, upright, without metadata.

    Raises:
        Refusal: If the source cannot be read, is no photo, is cut off, or is beyond the limits of
            30 MB, 40 megapixels and 65 535 pixels a side.
    """
    name, data, size = _load(source)
    if not data:
        raise Refusal(f"{name} is empty; choose another.")
    if size > MAX_BYTES:
        raise Refusal(
            f"{name} has {_millions(size)} MB; the limit is {_millions(MAX_BYTES)} MB, so save a smaller copy."
        )
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of sizes that are checked here, and of metadata that is dropped
        try:
            _check(name, data)
            return _rgb(name, _decode(data))
        except Refusal:
            raise
        except MemoryError as error:
            raise Refusal(f"{name} needs more memory than is free; save a smaller copy, or try again later.") from error
        except Exception as error:  # Pillow's decoders raise many types on what is cut off
            raise Refusal(f"{name} is damaged or cut off; save it again and retry.") from error


def _load(source: str | PathLike[str] | bytes | BinaryIO) -> tuple[str, bytes, int]:
    """Return the name for sentences, at most one byte more than allowed, and the known number of bytes."""
    if isinstance(source, bytes | bytearray):
        return "The file", bytes(source), len(source)
    if isinstance(source, str | PathLike):
        path = fspath(source)
        try:
            with open(path, "rb") as file:
                return _shown(path), file.read(MAX_BYTES + 1), os.fstat(file.fileno()).st_size
        except (OSError, ValueError) as error:
            raise Refusal(f"{_shown(path)} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    data = source.read(MAX_BYTES + 1)
    return _shown(str(getattr(source, "name", "The file"))), data, len(data)


def _shown(name: str) -> str:
    """Return a file's name for a sentence: its end, on one line."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in name)
    return plain if len(plain) <= 150 else f"...{plain[-150:]}"


def _millions(count: int) -> str:
    """Rounded up, so that what is beyond a limit never reads like the limit."""
    return f"{math.ceil(count / 1e5) / 10:,.15g}"


class _Head(io.BytesIO):
    """A file of whose head only so much is read: Pillow keeps every part, and some readers copy all for each more."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.parts, self.bytes = MAX_PARTS, MAX_HEAD

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.parts -= 1
        if size is not None and size >= 0:  # what takes all at once is read in C, and kept once
            self.bytes -= len(data)
        if min(self.parts, self.bytes) < 0:
            raise OverflowError
        return data


class _WebP(WebPImageFile):
    """A WebP reader that frees its decoder, which holds two pictures, before Pillow makes a third and a fourth."""

    def load_prepare(self) -> None:
        self._decoder = None
        super().load_prepare()


def _opened(file: io.BytesIO) -> Image.Image:
    """Open the photo, which then has a size but is not decoded."""
    start = file.read(12)
    file.seek(0)
    if start[:4] == b"RIFF":
        return _WebP(file)
    if start[4:8] == b"ftyp" and start[8:] in HEIC:
        heic: Image.Image = importlib.import_module("pillow_heif").HeifImageFile(file)  # registers nothing in Pillow
        return heic
    return Image.open(file, formats=FORMATS)


def _check(name: str, data: bytes) -> None:
    """Refuse what is no photo, and what would cost too much to decode."""
    try:
        if data.count(b"iCCP") > MAX_PROFILES:
            raise OverflowError
        image = _opened(_Head(data))
        pixels = max(image.width * image.height, _tile(image))
    except Image.DecompressionBombError as error:  # "Image size (400000000 pixels) exceeds limit ..."
        pixels = max(MAX_PIXELS + 1, *map(int, re.findall(r"\((\d+) pixels\)", str(error))))
    except OverflowError as error:
        raise Refusal(f"{name} holds too much beside its pixels; save a copy without layers and metadata.") from error
    except ImportError as error:
        raise Refusal(
            f"{name} is a HEIC photo, which cannot be read without the package pillow-heif; save it as JPEG."
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # Pillow's readers raise many types on what is no picture
        raise Refusal(
            f"{name} is not a photo that can be read; use {', '.join(FORMATS[:-1])} or {FORMATS[-1]}."
        ) from error
    if pixels > MAX_PIXELS:
        raise Refusal(
            f"{name} has {_millions(pixels)} megapixels; at most {_millions(MAX_PIXELS)} can be read, "
            "so save a smaller copy."
        )
    if max(image.size) > MAX_SIDE:
        raise Refusal(f"{name} has a side of {max(image.size)} pixels; at most {MAX_SIDE} can be read, so crop it.")
    if image.format in ("JPEG", "MPO") and _scans(data) > MAX_SCANS:
        raise Refusal(f"{name} draws its pixels more than {MAX_SCANS} times; save it again as an ordinary JPEG.")


def _decode(data: bytes) -> Image.Image:
    """Decoded and upright, in the file's own colours."""
    image = _opened(io.BytesIO(data))
    image.load()
    with contextlib.suppress(Exception):  # a photo whose orientation cannot be read is shown as it is
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _tile(image: Image.Image) -> int:
    """Return the pixels of a tile of a TIFF: it can be larger than its image, and libtiff decodes all of it."""
    tags: dict[int, int] = getattr(image, "tag_v2", {})
    if TILEWIDTH not in tags and TILELENGTH not in tags:
        return 0
    side = max(image.size)
    return tags.get(TILEWIDTH, side) * tags.get(TILELENGTH, tags.get(ROWSPERSTRIP, side))


def _scans(data: bytes) -> int:
    """Count the scans of a JPEG over its pixels, up to the limit and one more."""
    scans, at = 0, 2
    while scans <= MAX_SCANS and (marker := MARKER.search(data, at)) and marker[1] != b"\xd9":
        scans += marker[1] == b"\xda"
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
    return scans


def _rgb(name: str, image: Image.Image) -> Image.Image:
    """Convert to sRGB on white. Every name is the only reference, so that at most two copies exist."""
    if image.mode in ("I", "F"):  # Pillow would clip at 255
        raise Refusal(f"{name} has pixels of 32 bits, for which no range is agreed on; save it with 8 or 16 bits.")
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I;16"):
        image = _eight_bits(image)
    clear = image.info.get("transparency")
    if isinstance(clear, tuple) and max(clear) > 255:  # of 16-bit colour, which Pillow has scaled already
        image.info["transparency"] = tuple(level >> 8 for level in clear)
    alpha = None
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode in ("L", "LA", "La") else "RGBA")
        alpha = image.getchannel("A")
    if image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode in ("1", "LA") else "RGB")
    if profile:
        with contextlib.suppress(Exception):  # a broken profile is ignored, and one for another kind of colours
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            image = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB") or image
    if alpha is not None:
        white = Image.new("RGB", image.size, "white")
        white.paste(image if image.mode == "RGB" else image.convert("RGB"), mask=alpha)
        return white
    rgb = image.convert("RGB")
    rgb.info.clear()
    return rgb


def _eight_bits(image: Image.Image) -> Image.Image:
    """Convert 16-bit grey to 8-bit grey; of TIFF also 12-bit grey, and grey whose zero is white."""
    tags = getattr(image, "tag_v2", {})
    levels = np.asarray(image)
    grey = (levels >> (tags.get(BITSPERSAMPLE, (16,))[0] - 8)).astype(np.uint8)
    shown = Image.fromarray(~grey if tags.get(PHOTOMETRIC_INTERPRETATION) == 0 else grey)
    if "transparency" in image.info:
        shown.putalpha(Image.fromarray(np.where(levels == image.info["transparency"], 0, 255).astype(np.uint8)))
    return shown
