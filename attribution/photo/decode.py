"""Decoding of photos, from a file or bytes to an upright sRGB image, within limits."""

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
MAX_BYTES = 30_000_000  # bytes of a file
MAX_PIXELS = 40_000_000  # 160 MB in Pillow, at four bytes per pixel; a 10 kB file can claim far more
MAX_SIDE = 65_535  # pixels, JPEG's limit; Pillow stores eight bytes per row, so 1 x 40 million pixels took 1 GB
MAX_SCANS = 100  # scans of a JPEG, also libtiff's limit; a 300 kB file with 1000 scans of 40 megapixels took 53 s
MAX_HEADER_BYTES = 16_000_000  # bytes read before the pixels: profiles, previews, layers
MAX_HEADER_READS = 10_000  # reads before the pixels; 7 million empty segments took 20 s and 1 GB
MAX_PROFILES = 10  # profiles of a PNG, normally one; 1 kB of profile inflates to 1 MB, and 29 MB of them took minutes
JPEG_MARKER = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])")  # a JPEG segment with a length, or the end of the image

# One photo is decoded at a time, to limit the memory, and because `catch_warnings` modifies state shared by threads.
_one_at_a_time = threading.Lock()


def open_image(source: str | PathLike[str] | bytes | BinaryIO) -> Image.Image:
    """Read a photo.

    The format is detected from the content, not the name: PNG, JPEG, WebP, BMP, GIF or TIFF, and HEIC if the package
    pillow-heif is installed. The first frame of an animation is used, embedded profiles are converted to sRGB,
    transparency is composited on white, 16-bit grey is scaled to 8 bits, and the EXIF orientation is applied.

    Args:
        source: A path, the encoded bytes, or a binary file object.

    Returns:
        An RGB image, upright, without metadata.

    Raises:
        Refusal: If the source cannot be read, is not a photo, is truncated, or exceeds the limits of 30 MB,
            40 megapixels and 65 535 pixels per side.
    """
    name, data, size = _load(source)
    if not data:
        raise Refusal(f"{name} is empty; choose another file.")
    if size > MAX_BYTES:
        raise Refusal(
            f"{name} is {_millions(size)} MB; the limit is {_millions(MAX_BYTES)} MB, so save a smaller copy."
        )
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # Pillow warns about sizes, which are checked here, and about metadata, which is dropped
        try:
            _check(name, data)
            return _rgb(name, _decode(data))
        except Refusal:
            raise
        except MemoryError as error:
            raise Refusal(
                f"{name} needs more memory than is available; save a smaller copy, or try again later."
            ) from error
        except Exception as error:  # Pillow's decoders raise many types on truncated files
            raise Refusal(f"{name} is damaged or truncated; save it again and retry.") from error


def _load(source: str | PathLike[str] | bytes | BinaryIO) -> tuple[str, bytes, int]:
    """Return the name for messages, the data (at most one byte over the limit), and the size in bytes if known."""
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
    """Return a file name for messages: on one line, shortened to its end."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in name)
    return plain if len(plain) <= 150 else f"...{plain[-150:]}"


def _millions(count: int) -> str:
    """Format a count in millions, rounded up, so that a value above a limit never reads like the limit."""
    return f"{math.ceil(count / 1e5) / 10:,.15g}"


class _Head(io.BytesIO):
    """A file whose header may only be read up to a limit, since Pillow keeps and some readers recopy every part."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.parts, self.bytes = MAX_HEADER_READS, MAX_HEADER_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.parts -= 1
        if size is not None and size >= 0:  # reads of the whole rest happen in C, without extra copies
            self.bytes -= len(data)
        if min(self.parts, self.bytes) < 0:
            raise OverflowError
        return data


class _WebP(WebPImageFile):
    """A WebP reader that frees its decoder, which holds two copies of the image, before Pillow makes two more."""

    def load_prepare(self) -> None:
        self._decoder = None
        super().load_prepare()


def _opened(file: io.BytesIO) -> Image.Image:
    """Open an image without decoding it; its size is then known."""
    start = file.read(12)
    file.seek(0)
    if start[:4] == b"RIFF":
        return _WebP(file)
    if start[4:8] == b"ftyp" and start[8:] in HEIC:
        heic: Image.Image = importlib.import_module("pillow_heif").HeifImageFile(
            file
        )  # without registering it in Pillow
        return heic
    return Image.open(file, formats=FORMATS)


def _check(name: str, data: bytes) -> None:
    """Refuse files that are not photos or would cost too much to decode."""
    try:
        if data.count(b"iCCP") > MAX_PROFILES:
            raise OverflowError
        image = _opened(_Head(data))
        pixels = max(image.width * image.height, _tile(image))
    except Image.DecompressionBombError as error:  # "Image size (400000000 pixels) exceeds limit ..."
        pixels = max(MAX_PIXELS + 1, *map(int, re.findall(r"\((\d+) pixels\)", str(error))))
    except OverflowError as error:
        raise Refusal(
            f"{name} contains too much data besides its pixels; save a copy without layers and metadata."
        ) from error
    except ImportError as error:
        raise Refusal(
            f"{name} is a HEIC photo, which cannot be read without the package pillow-heif; save it as JPEG."
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # Pillow's readers raise many types on invalid files
        raise Refusal(f"{name} is not a readable photo; use {', '.join(FORMATS[:-1])} or {FORMATS[-1]}.") from error
    if pixels > MAX_PIXELS:
        raise Refusal(
            f"{name} has {_millions(pixels)} megapixels; the limit is {_millions(MAX_PIXELS)} megapixels, "
            "so save a smaller copy."
        )
    if max(image.size) > MAX_SIDE:
        raise Refusal(f"{name} has a side of {max(image.size)} pixels; the limit is {MAX_SIDE} pixels, so crop it.")
    if image.format in ("JPEG", "MPO") and _scans(data) > MAX_SCANS:
        raise Refusal(f"{name} has more than {MAX_SCANS} progressive scans; save it again as a baseline JPEG.")


def _decode(data: bytes) -> Image.Image:
    """Decode an image and turn it upright, without converting its colours."""
    image = _opened(io.BytesIO(data))
    image.load()
    with contextlib.suppress(Exception):  # if the orientation cannot be read, leave the photo as it is
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _tile(image: Image.Image) -> int:
    """Return the pixels of a TIFF's tile, which may exceed the image and is decoded in full; 0 without tiles."""
    tags: dict[int, int] = getattr(image, "tag_v2", {})
    if TILEWIDTH not in tags and TILELENGTH not in tags:
        return 0
    side = max(image.size)
    return tags.get(TILEWIDTH, side) * tags.get(TILELENGTH, tags.get(ROWSPERSTRIP, side))


def _scans(data: bytes) -> int:
    """Count the scans of a JPEG, up to one above the limit."""
    scans, at = 0, 2
    while scans <= MAX_SCANS and (marker := JPEG_MARKER.search(data, at)) and marker[1] != b"\xd9":
        scans += marker[1] == b"\xda"
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
    return scans


def _rgb(name: str, image: Image.Image) -> Image.Image:
    """Convert to sRGB on white. Images are rebound, never aliased, so that at most two copies exist."""
    if image.mode in ("I", "F"):  # Pillow would clip at 255
        raise Refusal(f"{name} has 32-bit pixels, whose range is not standardised; save it with 8 or 16 bits.")
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I;16"):
        image = _eight_bits(image)
    clear = image.info.get("transparency")
    if isinstance(clear, tuple) and max(clear) > 255:  # 16-bit colour, which Pillow has already scaled to 8 bits
        image.info["transparency"] = tuple(level >> 8 for level in clear)
    alpha = None
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode in ("L", "LA", "La") else "RGBA")
        alpha = image.getchannel("A")
    if image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode in ("1", "LA") else "RGB")
    if profile:
        with contextlib.suppress(Exception):  # ignore a broken profile, or one for another colour space
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
    """Convert 16-bit grey to 8 bits; for TIFF also 12-bit grey, and grey in which zero is white."""
    tags = getattr(image, "tag_v2", {})
    levels = np.asarray(image)
    grey = (levels >> (tags.get(BITSPERSAMPLE, (16,))[0] - 8)).astype(np.uint8)
    shown = Image.fromarray(~grey if tags.get(PHOTOMETRIC_INTERPRETATION) == 0 else grey)
    if "transparency" in image.info:
        shown.putalpha(Image.fromarray(np.where(levels == image.info["transparency"], 0, 255).astype(np.uint8)))
    return shown
