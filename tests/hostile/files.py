"""Files that somebody may upload: good photos in every format and mode, and thousands that are meant to do harm.

Everything is made from fixed seeds, so a name always stands for the same bytes on one machine. HEIC is among them where
the optional package pillow-heif is installed.
"""

import importlib.util
import io
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from itertools import chain, zip_longest
from typing import Any

import numpy as np
from PIL import Image, ImageCms, features

SECRET = "c0ffee-5ecret"  # stands in many files, and must stand in no sentence
PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))  # Adam7
EXTENSIONS = ("jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff")  # that the page accepts
HEIC = importlib.util.find_spec("pillow_heif") is not None

File = tuple[str, bytes]


def pixels(mode: str = "RGB", size: tuple[int, int] = (48, 32)) -> Image.Image:
    """A picture with slopes, an edge and noise, the same each time."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    slopes = np.stack([x * 255 // width, y * 255 // height, (x + y) % 64 * 4], -1)
    noise = np.random.default_rng(0).integers(0, 40, (height, width, 3))
    image = Image.fromarray(np.clip(slopes + noise, 0, 255).astype(np.uint8))
    if mode in ("RGBA", "LA"):
        image.putalpha(image.getchannel("R"))
    if mode.startswith("I;16"):
        levels = np.asarray(image.convert("L")).astype(np.uint16) * 257
        return Image.fromarray(levels.astype(">u2" if mode == "I;16B" else "<u2"))
    image = image.quantize(32) if mode == "P" else image.convert(mode)
    image.info.clear()  # of a profile that holds the time
    return image


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The image as a file."""
    file = io.BytesIO()
    if kind == "HEIF":
        importlib.import_module("pillow_heif").from_pillow(image).save(file, **options)
    else:
        image.save(file, kind, **options)
    return file.getvalue()


# -- builders, for what Pillow itself never writes --------------------------------------------------------------------


def part(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(
    size: tuple[int, int],
    depth: int,
    colour: int,
    packed: bytes,
    before: bytes = b"",
    after: bytes = b"",
    lace: int = 0,
) -> bytes:
    """A PNG of compressed rows, with chunks before and after them."""
    header = part(b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, lace))
    return b"\x89PNG\r\n\x1a\n" + header + before + part(b"IDAT", packed) + after + part(b"IEND", b"")


def rows(samples: np.ndarray) -> bytes:
    """Compressed rows of a PNG, none of them filtered."""
    return zlib.compress(b"".join(b"\0" + row.tobytes() for row in samples))


def segment(marker: int, content: bytes) -> bytes:
    """A segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def tiff(
    body: bytes, changes: dict[int, tuple[int, int, bytes]] | None = None, following: int = 0, **more: int
) -> bytes:
    """A little-endian TIFF of one strip; `changes` are tags as (type, count, value), `more` other values of them."""
    values = {"width": 48, "height": 32, "bits": 8, "packing": 1, "colour": 1, "samples": 1} | more
    tags: dict[int, tuple[int, int, bytes]] = {
        256: (4, 1, struct.pack("<I", values["width"])),
        257: (4, 1, struct.pack("<I", values["height"])),
        258: (3, values["samples"], struct.pack("<H", values["bits"]) * values["samples"]),
        259: (3, 1, struct.pack("<H", values["packing"])),
        262: (3, 1, struct.pack("<H", values["colour"])),
        273: (4, 1, b"body"),
        277: (3, 1, struct.pack("<H", values["samples"])),
        278: (4, 1, struct.pack("<I", values["height"])),
        279: (4, 1, struct.pack("<I", len(body))),
    } | (changes or {})
    end = 8 + 2 + 12 * len(tags) + 4
    entries, outside = b"", b""
    for tag, (kind, count, value) in sorted(tags.items()):
        if len(value) > 4:
            outside, value = outside + value, struct.pack("<I", end + len(outside))
        entries += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
    entries = entries.replace(b"body", struct.pack("<I", end + len(outside)))
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + struct.pack("<I", following) + outside + body


def bmp(size: tuple[int, int], bits: int, packing: int, body: bytes, palette: bytes = b"", masks: bytes = b"") -> bytes:
    """A BMP with the usual header of 40 bytes."""
    start = 54 + len(masks) + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, *size, 1, bits, packing, 0, 0, 0, len(palette) // 4, 0)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + masks + palette + body


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """A WebP of these chunks."""
    body = b"".join(
        kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2) for kind, content in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def exif(*entries: tuple[int, int, int, bytes], following: int = 0, tail: bytes = b"") -> bytes:
    """EXIF of one directory of (tag, type, count, four bytes)."""
    body = b"".join(
        struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0") for tag, kind, count, value in entries
    )
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + struct.pack("<I", following) + tail


def profile(space: str) -> bytes:
    """A sound ICC profile, without the time at which it was made."""
    made: bytes = ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()
    return made[:24] + bytes(12) + made[36:]


def zeros(count: int) -> bytes:
    """Compressed zeros, a thousandth of their size."""
    packer = zlib.compressobj(9)
    return (
        b"".join(packer.compress(bytes(min(1 << 20, count - done))) for done in range(0, count, 1 << 20))
        + packer.flush()
    )


def with_exif(data: bytes) -> Iterator[File]:
    """The same EXIF in every format that carries it."""
    jpeg, webp = encode(pixels(), "JPEG"), encode(pixels(), "WEBP")
    if len(data) < 65_000:
        yield "jpg", jpeg[:2] + segment(0xE1, b"Exif\0\0" + data) + jpeg[2:]
    yield "png", png((48, 32), 8, 2, rows(np.asarray(pixels())), part(b"eXIf", data))
    yield "png", png((48, 32), 8, 2, rows(np.asarray(pixels())), after=part(b"eXIf", data))
    head = b"\x08\0\0\0" + struct.pack("<I", 47)[:3] + struct.pack("<I", 31)[:3]
    yield "webp", riff((b"VP8X", head), (b"VP8 ", webp[20:]), (b"EXIF", data))


# -- good photos ------------------------------------------------------------------------------------------------------


def good() -> Iterator[File]:
    """Valid photos in all formats and modes; none of them may be refused."""
    for at, (ending, data) in enumerate(chain(_png(), _jpeg(), _webp(), _bmp(), _gif(), _tiff(), _heic())):
        yield f"good-{at:03d}.{ending}", data


def _extras() -> dict[str, Any]:
    notes = Image.Exif()
    notes[0x0112], notes[0x010F], notes[0x011A] = 6, SECRET, 300.0
    return {"exif": notes, "icc_profile": profile("sRGB")}


def _turned(kind: str) -> Iterator[bytes]:
    for orientation in range(1, 9):
        notes = Image.Exif()
        notes[0x0112] = orientation
        yield encode(pixels(), kind, exif=notes)


def _png() -> Iterator[File]:
    rgb, levels = np.asarray(pixels()), np.asarray(pixels("I;16")).astype(">u2")
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        yield "png", encode(pixels(mode), "PNG")
    yield "png", encode(pixels("P"), "PNG", transparency=bytes(range(32)))
    yield "png", encode(pixels("L"), "PNG", transparency=40)
    yield "png", encode(pixels("RGB"), "PNG", transparency=tuple(rgb[0, 0].tolist()))
    yield "png", encode(pixels("RGBA"), "PNG", **_extras())
    yield "png", encode(pixels(), "PNG", save_all=True, append_images=[pixels("L").convert("RGB")] * 3)
    for colour, channels in ((0, 1), (2, 3), (4, 2), (6, 4)):
        yield "png", png((48, 32), 16, colour, rows(np.repeat(levels[..., None], channels, -1)))
    for depth in (1, 2, 4):
        packed = rows(np.tile(np.arange(6 * depth, dtype=np.uint8), (32, 1)))
        yield "png", png((48, 32), depth, 0, packed)
        yield "png", png((48, 32), depth, 3, packed, part(b"PLTE", bytes(range(3 * 2**depth))))
    for image in (rgb, rgb[:1, :1], rgb[:3, :5]):
        laced = b"".join(
            b"\0" + row.tobytes() for y, x, down, right in PASSES for row in image[y::down, x::right] if row.size
        )
        yield "png", png(image.shape[1::-1], 8, 2, zlib.compress(laced), lace=1)
    yield "png", png((48, 32), 8, 2, rows(rgb), part(b"tEXt", b"Comment\0" + SECRET.encode()), part(b"prVt", b"x"))
    packed = rows(rgb)
    spread = b"".join(part(b"IDAT", packed[at : at + 100]) for at in range(0, len(packed), 100))
    yield "png", png((48, 32), 8, 2, b"").replace(part(b"IDAT", b""), spread)
    for data in _turned("PNG"):
        yield "png", data


def _jpeg() -> Iterator[File]:
    for mode in ("L", "RGB", "CMYK"):
        for progressive in (False, True):
            yield "jpg", encode(pixels(mode), "JPEG", progressive=progressive)
    for quality, subsampling in ((1, 2), (50, 1), (100, 0)):
        yield "jpeg", encode(pixels(), "JPEG", quality=quality, subsampling=subsampling, optimize=True)
    yield "jpg", encode(pixels(), "JPEG", restart_marker_blocks=2, comment=SECRET)
    yield "jpg", encode(pixels(), "JPEG", **_extras())
    yield "jpg", encode(pixels(), "MPO", save_all=True, append_images=[pixels("L").convert("RGB")])
    jpeg = encode(pixels("CMYK"), "JPEG")
    at = jpeg.index(b"Adobe") + 11
    yield "jpg", jpeg[:at] + b"\2" + jpeg[at + 1 :]  # YCCK
    moving = np.random.default_rng(1).bytes(50_000)  # a phone appends a film
    yield "jpg", encode(pixels(), "JPEG", progressive=True) + moving
    for data in _turned("JPEG"):
        yield "jpg", data


def _webp() -> Iterator[File]:
    for mode in ("RGB", "RGBA"):
        for lossless in (False, True):
            yield "webp", encode(pixels(mode), "WEBP", lossless=lossless)
    yield "webp", encode(pixels("RGBA"), "WEBP", **_extras())
    yield "webp", encode(pixels(), "WEBP", save_all=True, append_images=[pixels("RGBA")] * 3)
    for data in _turned("WEBP"):
        yield "webp", data


def _bmp() -> Iterator[File]:
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        yield "bmp", encode(pixels(mode), "BMP")
    rgb, grey = np.asarray(pixels()), np.asarray(pixels("L"))
    yield "bmp", bmp((48, -32), 24, 0, rgb[..., ::-1].tobytes())  # the first row at the top
    packed = (rgb[..., 0].astype("<u2") >> 3 << 11) | (rgb[..., 1].astype("<u2") >> 2 << 5) | (rgb[..., 2] >> 3)
    yield "bmp", bmp((48, 32), 16, 3, packed.tobytes(), masks=struct.pack("<III", 0xF800, 0x7E0, 0x1F))
    palette = bytes(level for grey in range(256) for level in (grey, grey, grey, 0))
    runs = b"".join(b"".join(bytes((1, level)) for level in row.tolist()) + b"\0\0" for row in grey) + b"\0\1"
    yield "bmp", bmp((48, 32), 8, 1, runs, palette)
    os2 = b"BM" + struct.pack("<IHHIIHHHH", 26 + 48 * 32 * 3, 0, 0, 26, 12, 48, 32, 1, 24)
    yield "bmp", os2 + rgb.tobytes()


def _gif() -> Iterator[File]:
    for mode in ("1", "L", "P", "RGB"):
        for interlace in (0, 1):
            yield "gif", encode(pixels(mode), "GIF", interlace=interlace)
    yield "gif", encode(pixels("P"), "GIF", transparency=3, comment=SECRET)
    for disposal in range(4):
        frames = [pixels("P"), pixels("L").convert("P"), pixels("1").convert("P")]
        yield "gif", encode(frames[0], "GIF", save_all=True, append_images=frames[1:], disposal=disposal, loop=0)


def _tiff() -> Iterator[File]:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I;16B"):
        for packing in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
            yield "tif", encode(pixels(mode), "TIFF", compression=packing)
    for mode in ("L", "RGB", "CMYK", "YCbCr"):
        yield "tiff", encode(pixels(mode), "TIFF", compression="jpeg")
    for packing in ("group3", "group4", "tiff_ccitt"):
        yield "tif", encode(pixels("1"), "TIFF", compression=packing)
    for packing in ("zstd", "lzma"):
        yield "tif", encode(pixels(), "TIFF", compression=packing)
    yield "tif", encode(pixels(), "TIFF", big_tiff=True)
    yield "tif", encode(pixels(), "TIFF", compression="tiff_lzw", **_extras())
    yield "tif", encode(pixels(), "TIFF", save_all=True, append_images=[pixels("L"), pixels("1")])
    grey, rgb = np.asarray(pixels("L")), np.asarray(pixels())
    yield "tif", tiff(grey.tobytes(), colour=0)  # white is zero
    yield "tif", tiff(np.asarray(pixels("I;16")).astype("<u2").tobytes(), bits=16, colour=0)
    yield "tif", tiff(np.repeat(rgb.astype("<u2"), 1).tobytes(), bits=16, colour=2, samples=3)
    twelve = np.asarray(pixels("I;16")).astype(int).reshape(-1, 2) >> 4
    packed = np.stack([twelve[:, 0] >> 4, (twelve[:, 0] & 15) << 4 | twelve[:, 1] >> 8, twelve[:, 1] & 255], -1)
    yield "tif", tiff(packed.astype(np.uint8).tobytes(), bits=12)
    pair = np.stack([grey // 2, np.full_like(grey, 128)], -1)
    for meaning in (0, 1, 2):  # of the second sample: nothing, alpha already multiplied, alpha
        yield "tif", tiff(pair.tobytes(), {338: (3, 1, struct.pack("<H", meaning))}, samples=2)
    tile = {322: (4, 1, struct.pack("<I", 48)), 323: (4, 1, struct.pack("<I", 32)), 324: (4, 1, b"body")}
    for packing, body in ((1, grey.tobytes()), (8, zlib.compress(grey.tobytes()))):
        yield "tif", tiff(body, tile | {325: (4, 1, struct.pack("<I", len(body)))}, packing=packing)
    for data in _turned("TIFF"):
        yield "tif", data


def _heic() -> Iterator[File]:
    if HEIC:
        for mode in ("L", "RGB", "RGBA"):
            yield "heic", encode(pixels(mode, (64, 64)), "HEIF")
        yield "heic", encode(pixels(size=(64, 48)), "HEIF", exif=_extras()["exif"].tobytes())


# -- hostile files ----------------------------------------------------------------------------------------------------


def flipped() -> Iterator[File]:
    """Good photos with a few bits turned over, the half of them near the start, where the header is."""
    random = np.random.default_rng(10)
    for name, data in good():
        for step in range(6):
            changed = bytearray(data)
            for _ in range(int(random.integers(1, 9))):
                at = random.integers(min(len(data), 120) if step % 2 else len(data))
                changed[at] ^= 1 << int(random.integers(8))
            yield name, bytes(changed)


def cut() -> Iterator[File]:
    """Good photos that end too early."""
    random = np.random.default_rng(11)
    for name, data in good():
        for length in (*random.integers(1, min(len(data), 200), 2), *random.integers(1, len(data), 2), len(data) - 1):
            yield name, data[:length]


def spliced() -> Iterator[File]:
    """Good photos with a piece left out, doubled, made zero, made random or taken from another photo."""
    random = np.random.default_rng(12)
    photos = list(good())
    for at, (name, data) in enumerate(photos):
        start, end = sorted(random.integers(0, len(data), 2).tolist())
        other = photos[random.integers(len(photos))][1]
        pieces = (b"", data[start:end] * 2, bytes(end - start), random.bytes(end - start), other[start:])
        for piece in (pieces[at % 5], pieces[(at + 1) % 5]):
            yield name, data[:start] + piece + data[end:]


def oversized() -> Iterator[File]:
    """Headers that claim no size, or far more pixels than the file can hold."""
    sides = (0, 1, 6300, 6400, 9000, 13_000, 16_383, 30_000, 65_500, 65_535)
    for width in sides:
        for height in (width, 1, 65_535):
            yield "png", png((width, height), 8, 2, zlib.compress(b"\0"))
            yield "bmp", bmp((width, height), 24, 0, b"\0" * 100)
            gif = bytearray(encode(pixels("P"), "GIF"))
            gif[6:10] = struct.pack("<HH", width, height)
            yield "gif", bytes(gif)
            frame = gif.index(b",", 13 + 3 * 32)
            gif[6:10], gif[frame + 5 : frame + 9] = struct.pack("<HH", 48, 32), struct.pack("<HH", width, height)
            yield "gif", bytes(gif)
            for progressive in (False, True):
                jpeg = bytearray(encode(pixels(), "JPEG", progressive=progressive))
                at = jpeg.index(b"\xff\xc2" if progressive else b"\xff\xc0") + 5
                jpeg[at : at + 4] = struct.pack(">HH", height, width)
                yield "jpg", bytes(jpeg)
            yield "tif", tiff(b"\0" * 100, width=width, height=height)
            yield "tif", tiff(zlib.compress(bytes(100)), width=width, height=height, packing=8, colour=2, samples=3)
            size = struct.pack("<I", max(width - 1, 0))[:3] + struct.pack("<I", max(height - 1, 0))[:3]
            webp = encode(pixels(), "WEBP")
            yield "webp", riff((b"VP8X", b"\x10\0\0\0" + size), (b"VP8 ", webp[20:]))
            yield "webp", webp[:26] + struct.pack("<HH", width & 0x3FFF, height & 0x3FFF) + webp[30:]
            bits = ((width - 1) & 0x3FFF) | ((height - 1) & 0x3FFF) << 14
            lossless = encode(pixels(), "WEBP", lossless=True)
            yield "webp", lossless[:21] + struct.pack("<I", bits) + lossless[25:]
    for side in (2**31 - 1, 2**31, 2**32 - 1):
        yield "png", png((side, side), 16, 6, b"")
        yield "png", png((side, 1), 1, 0, b"")
        yield "tif", tiff(b"", width=side, height=side)
    for width, height in ((-1, 1), (1, -1), (-(2**31), -(2**31)), (2**31 - 1, -(2**31))):
        yield "bmp", bmp((width, height), 24, 0, b"")


def bombs() -> Iterator[File]:
    """Little data that decodes to much."""
    yield "png", png((9000, 9000), 1, 0, zeros(9000 * 1126))
    yield "png", png((6300, 6300), 8, 6, zeros(6300 * 25_201))  # just within the limit
    yield "png", png((6300, 6300), 8, 6, zeros(3000 * 25_201))  # and one with half its rows
    yield "png", png((64, 64), 8, 2, zeros(50_000_000))
    yield "png", png((40_000_000, 1), 8, 0, zeros(40_000_001))
    yield "png", png((1, 40_000_000), 1, 0, zeros(80_000_000))
    strip = zeros(6300 * 6300)
    for height in (6300, 2**31 - 1, 2**32 - 1):
        yield "tif", tiff(strip, {278: (4, 1, struct.pack("<I", height))}, width=6300, height=6300, packing=8)
        yield "tif", tiff(strip, {278: (4, 1, struct.pack("<I", height))}, packing=8)
    for side in (6000, 7000, 20_000, 46_000, 2**31 - 1):
        tile = {number: (4, 1, struct.pack("<I", side)) for number in (322, 323)}
        yield "tif", tiff(strip, tile | {324: (4, 1, b"body"), 325: (4, 1, struct.pack("<I", len(strip)))}, packing=8)
    for count in (200, 5000):
        yield "jpg", _many_scans(count, (64, 64))
    yield "jpg", _many_scans(300, (3000, 3000))
    yield "gif", _long_gif()
    yield "bmp", bmp((6300, 6300), 8, 1, b"\xff\1" * 1000 + b"\0\1", bytes(1024))
    yield "bmp", bmp((6300, 6300), 8, 1, b"\0\2\xff\xff" * 1000 + b"\0\1", bytes(1024))
    yield "bmp", bmp((6300, 6300), 4, 2, b"\0\0" * 10_000, bytes(64))
    yield "webp", encode(Image.new("RGB", (16_383, 100)), "WEBP", lossless=True, method=0)
    yield "gif", encode(Image.new("P", (5000, 5000)), "GIF")
    yield "bmp", bmp((16, 16), 8, 0, bytes(256), bytes(1024)) + bytes(2_000_000)


def _many_scans(count: int, size: tuple[int, int]) -> bytes:
    jpeg = encode(Image.new("L", size, 90), "JPEG", progressive=True)
    start = jpeg.rindex(b"\xff\xda")
    return jpeg[:start] + jpeg[start:-2] * count + jpeg[-2:]


def _long_gif() -> bytes:
    small, large = encode(Image.new("P", (16, 16)), "GIF"), encode(Image.new("P", (3000, 3000)), "GIF")
    return small[: small.index(b",", 13) + 10] + large[large.index(b",", 13) + 10 :]


def notes() -> Iterator[File]:
    """Photos whose metadata are the attack: far too large, far too many, or lies."""
    rgb, jpeg, secret = rows(np.asarray(pixels())), encode(pixels(), "JPEG"), SECRET.encode()
    size = (48, 32)
    for kind in b"tEXt zTXt iTXt iCCP eXIf pHYs gAMA tRNS PLTE sRGB acTL fcTL".split():
        for content in (b"", secret * 20_000, b"a\0\0" + zeros(20_000_000), b"a\0\0" + secret, b"\xff" * 40):
            chunk = part(kind, content)
            yield "png", png(size, 8, 2, rgb, before=chunk)
            yield "png", png(size, 8, 2, rgb, after=chunk)
    for kind, content in (
        (b"zTXt", b"\0\0" + zeros(1_000_000)),
        (b"tEXt", b"\0b"),
        (b"prVt", b""),
        (b"eXIf", b"II*\0"),
    ):
        many = b"".join(part(kind, b"%d" % at + content) for at in range(4000))
        yield "png", png(size, 8, 2, rgb, before=many)
        yield "png", png(size, 8, 2, rgb, after=many)
    long = part(b"tEXt", b"Comment\0")
    for length in (2**31 - 1, 2**32 - 1):
        yield "png", png(size, 8, 2, rgb, before=struct.pack(">I", length) + long[4:])
    for marker in range(0xE0, 0xF0):
        for start in (b"", b"Exif\0\0", b"ICC_PROFILE\0\1\1", b"Photoshop 3.0\0008BIM", b"Adobe", b"MPF\0"):
            yield "jpg", jpeg[:2] + segment(marker, start + secret) + jpeg[2:]
    for one in (segment(0xE1, b"Exif\0\0" + b"x" * 10), segment(0xE5, b""), segment(0xFE, b""), b"\xff"):
        yield "jpg", jpeg[:2] + one * 30_000 + jpeg[2:]
    pieces = b"".join(segment(0xE2, b"ICC_PROFILE\0" + bytes((at, 255)) + bytes(60_000)) for at in range(40))
    yield "jpg", jpeg[:2] + pieces + jpeg[2:]
    yield "jpg", jpeg[:2] + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + b"tiff:Orientation" * 4000) + jpeg[2:]
    gif = encode(pixels("P"), "GIF")
    at = gif.index(b",", 13 + 3 * 32)
    comments, controls = b"!\xfe" + b"\2ab" * 50_000 + b"\0", b"!\xf9\4\0\0\0\0\0" * 50_000
    for block in (comments, controls, b"!\xff\x0bXMP DataXMP" + secret + b"\0"):
        yield "gif", gif[:at] + block + gif[at:]
    for data in _lying_exif():
        yield from with_exif(data)
    for colours in _profiles():
        yield "jpg", encode(pixels(), "JPEG", icc_profile=colours)
        yield "png", encode(pixels(), "PNG", icc_profile=colours)
        yield "webp", encode(pixels(), "WEBP", icc_profile=colours)
        yield "tif", encode(pixels("CMYK"), "TIFF", icc_profile=colours)


def _lying_exif() -> Iterator[bytes]:
    secret = SECRET.encode()
    turn = (0x0112, 3, 1, b"\6\0")
    yield b""
    yield secret
    yield exif()
    yield exif(turn, following=8)  # the directory comes after itself
    yield exif(turn, following=2**32 - 1)
    yield exif(turn)[:-9]
    yield exif(*[turn] * 5000)
    yield exif(*[(at, 2, 4, b"abc") for at in range(20_000)])
    for pointer in (0x8769, 0x8825, 0xA005):  # directories inside the directory
        for offset in (0, 8, 2**31, 2**32 - 1):
            yield exif(turn, (pointer, 4, 1, struct.pack("<I", offset)))
    for kind in range(14):
        for count in (0, 1, 2, 1000, 2**32 - 1):
            yield exif((0x0112, kind, count, b"\x08\0\0\0"), tail=secret * 100)
    for value in (0, 9, 255, 65_535):
        yield exif((0x0112, 3, 1, struct.pack("<H", value)))
    ratios = 5000
    yield exif((0x0112, 5, ratios, struct.pack("<I", 26)), tail=struct.pack("<II", 1, 0) * ratios)
    yield exif(turn, (0x011A, 5, ratios, struct.pack("<I", 38)), tail=struct.pack("<II", 0, 0) * ratios)
    yield exif(turn, (0x010F, 2, 20_000, struct.pack("<I", 38)), tail=secret * 2000)


def _profiles() -> Iterator[bytes]:
    sound, lab = profile("sRGB"), profile("LAB")
    random = np.random.default_rng(13)
    yield from (b"x", SECRET.encode() * 100, sound[:100], sound[:-50], bytes(128), lab)
    for space in (b"CMYK", b"GRAY", b"XYZ ", b"FCLR", b"\0\0\0\0"):
        yield sound[:16] + space + sound[20:]
    for _ in range(25):
        changed = bytearray(sound)
        for at in random.integers(0, len(sound), 6):
            changed[at] = random.integers(256)
        yield bytes(changed)
    for _ in range(10):
        changed = bytearray(sound)  # the table of tags, with offsets and lengths that lie
        at = 132 + 4 * int(random.integers(0, 30))
        changed[at : at + 4] = random.choice([0, 1, 2**16, 2**31, 2**32 - 1]).item().to_bytes(4)
        yield bytes(changed)


def lying() -> Iterator[File]:
    """TIFF files whose tags do not fit their pixels."""
    body = pixels("L").tobytes()
    random = np.random.default_rng(14)
    tags = "256 257 258 259 262 266 273 274 277 278 279 282 284 317 320 322 323 324 325 330 338 339 347 530 34675 34665"
    values = (0, 1, 2, 3, 6, 7, 32, 255, 65_535, 16_777_216, 2**31 - 1, 2**31, 2**32 - 1)
    lies = ((0, 1), (2, 5), (5, 1), (12, 1), (13, 1), (3, 2**32 - 1), (4, 0), (1, 5000), (3, 70_000), (99, 1))
    packed = zlib.compress(body)
    for tag in map(int, tags.split()):
        for value in values:
            yield "tif", tiff(body, {tag: (4, 1, struct.pack("<I", value))})
            yield "tif", tiff(packed, {259: (3, 1, b"\x08\0"), tag: (4, 1, struct.pack("<I", value))})
        for kind, count in lies:
            yield "tif", tiff(body, {tag: (kind, count, b"\x08\0\0\0")}) + bytes(1000)
    for packing in (2, 3, 4, 5, 6, 7, 8, 32_773, 32_809, 32_946, 34_661, 34_676, 34_712, 34_925, 50_000, 50_001):
        for colour in (0, 1, 2, 5, 6):
            samples = {2: 3, 5: 4, 6: 3}.get(colour, 1)
            yield "tif", tiff(random.bytes(2000), packing=packing, colour=colour, samples=samples)
    yield "tif", tiff(body, following=8)  # the first page comes after itself
    yield "tif", tiff(body, {273: (4, 3000, struct.pack("<I", 8) * 3000)})
    yield "tif", tiff(body, {282: (5, 3000, struct.pack("<II", 1, 0) * 3000)})
    yield "tif", b"II*\0" + struct.pack("<IH", 8, 65_535) + b"\0\1\4\0\1\0\0\0\1\0\0\0" * 65_535
    yield "tif", b"II+\0\x08\0\0\0" + struct.pack("<Q", 16) + struct.pack("<Q", 2**63) + bytes(100)
    yield "tif", b"MM\0*" + struct.pack(">I", 2**32 - 1)


def animated() -> Iterator[File]:
    """Many frames, of which one is wanted."""
    frame = Image.new("RGB", (8, 8))
    for count in (2, 300):
        frames = [Image.new("RGB", (8, 8), (at % 256, at // 2 % 256, 9)) for at in range(count)]
        for kind, ending in (("GIF", "gif"), ("WEBP", "webp"), ("TIFF", "tif"), ("PNG", "png")):
            data = encode(frame, kind, save_all=True, append_images=frames)
            yield ending, data
            yield ending, data[: len(data) * 2 // 3]
    gif = encode(Image.new("P", (2, 2)), "GIF", optimize=False)
    at = gif.index(b",", 13)
    yield "gif", gif[:at] + gif[at:-1] * 50_000 + b";"
    webp = encode(frame, "WEBP", lossless=True, save_all=True, append_images=[Image.new("RGB", (8, 8), "red")])
    at = webp.index(b"ANMF")
    one = webp[at : at + 8 + struct.unpack("<I", webp[at + 4 : at + 8])[0]]
    many = webp[:at] + one * 20_000
    yield "webp", many[:4] + struct.pack("<I", len(many) - 8) + many[8:]


def foreign() -> Iterator[File]:
    """Yield files that are no photos at all, under the name of one."""
    random = np.random.default_rng(15)
    text = SECRET.encode()
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("a"), bytes(20_000_000))
    with tarfile.open(fileobj=tarred, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(SECRET))
    contents = [
        b"",
        b"\0",
        b"\n",
        b"\xef\xbb\xbf",
        text * 1000,
        (SECRET * 100).encode("utf-16"),
        zipped.getvalue(),
        tarred.getvalue(),
        b"\x1f\x8b\x08" + text,
        b"<!DOCTYPE html><script>alert('" + text + b"')</script>",
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'><text>" + text + b"</text></svg>",
        b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><svg>&a;</svg>",
        b"%PDF-1.7\n" + text,
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(" + text + b") print",
        pickle.dumps({"model": SECRET}),
        b"cos\nsystem\n(S'echo " + text + b"'\ntR.",
        b"PK\3\4",
        b"MZ" + bytes(200),
        b"\x7fELF" + bytes(200),
        b"#!/bin/sh\necho " + text,
        b"\x93NUMPY\1\0v\0{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
        b"\x89HDF\r\n\x1a\n" + text,
        b"RIFF\x24\0\0\0WAVEfmt " + text,
        b"RIFF\x24\0\0\0AVI LIST" + text,
        b"\0\0\0\x18ftypmp42" + text,
        b"\0\0\0\x18ftypheic" + text,
        b"\0\0\0\x18ftypmif1" + text * 100,
        b"\0\0\0\x18ftypavif" + text,
        b"ID3\3" + text,
        b"OggS" + text,
        b"\x1aE\xdf\xa3" + text,
        b"8BPS\0\1" + text,
        b"\0\0\1\0\1\0" + text,
        b"GIF89a<script>" + text,
        b"GIF89a",
        b"BM" + text,
        b"BM",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe0" + text,
        b"\xff\xd8\xff\xd9",
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n" + text,
        b"\x89PNG\r\n\x1a\n" + part(b"IEND", b""),
        b"RIFF\xff\xff\xff\xffWEBPVP8 " + text,
        b"RIFF\0\0\0\0WEBPVP8L",
        b"II*\0" + text,
        b"MM\0*",
        b"II+\0" + text,
        b"P6 9 9 255\n" + text,
        b"qoif" + text,
        b"SIMPLE  =                    T" + text,
        *(encode(pixels(), kind) for kind in "ICO PPM TGA PCX EPS DDS ICNS SGI QOI".split()),
        *(random.bytes(int(length)) for length in random.integers(1, 5000, 30)),
    ]
    if features.check("avif"):
        contents.append(encode(pixels(), "AVIF"))
    for start in (b"GIF89a", b"BM", b"\xff\xd8\xff\xe0", b"II*\0", b"RIFF"):
        contents += [start + random.bytes(300) for _ in range(8)]
    for at, content in enumerate(contents):
        yield EXTENSIONS[at % len(EXTENSIONS)], content


def renamed() -> Iterator[File]:
    """Good photos under the name of another format."""
    for name, data in good():
        at = (*EXTENSIONS, "heic").index(name.split(".")[-1])
        yield EXTENSIONS[(at + 3) % len(EXTENSIONS)], data


KINDS: dict[str, Callable[[], Iterator[File]]] = {
    made.__name__: made for made in (flipped, cut, spliced, oversized, bombs, notes, lying, animated, foreign, renamed)
}


def files(kind: str) -> Iterator[File]:
    """All files of one of the `KINDS`, by name."""
    for at, (name, data) in enumerate(KINDS[kind]()):
        yield f"{kind}-{at:03d}.{name.split('.')[-1]}", data


def sample(count: int) -> list[File]:
    """So many files of all kinds, evenly: for a test that takes long over each.

    Args:
        count: How many, 1 or more; fewer are given only where there are no more.

    Returns:
        Pairs of a name, which ends in an extension that the page accepts (or in .heic), and the bytes.
    """
    random = np.random.default_rng(16)
    kinds = []
    for kind in KINDS:
        made = list(files(kind))
        kinds.append([made[at] for at in random.permutation(len(made))])
    return [file for row in zip_longest(*kinds) for file in row if file][:count]
