"""Photos: real encoded bytes in, an upright RGB image within limits out."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile

from attribution import Refusal, images, open_image

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
RED, GREEN, BLUE, GREY, WHITE = (220, 30, 20), (30, 180, 40), (20, 40, 200), (120, 120, 120), (255, 255, 255)
ORIENTATION = 0x0112  # EXIF tag
FINE: dict[str, dict[str, Any]] = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def quarters(height: int = 32, width: int = 48) -> NDArray[np.uint8]:
    """Four colours, no two quarters alike, so that every turn and every mirror image differs."""
    pixels = np.empty((height, width, 3), np.uint8)
    top, left = height // 2, width // 2
    pixels[:top, :left], pixels[:top, left:] = RED, GREEN
    pixels[top:, :left], pixels[top:, left:] = BLUE, GREY
    return pixels


def noise(size: tuple[int, int] = (64, 64)) -> Image.Image:
    generator = np.random.default_rng(7)
    return Image.fromarray(generator.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    packed = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + packed + chunk(b"IEND", b"")


def check_refused(source: Any, match: str) -> None:
    with pytest.raises(Refusal, match=match) as caught:
        open_image(source)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_pixels_that_were_saved(kind: str) -> None:
    pixels = quarters()
    found = open_image(encode(Image.fromarray(pixels), kind, **FINE.get(kind, {})))
    assert found.mode == "RGB"
    assert found.size == (48, 32)
    np.testing.assert_allclose(np.asarray(found, int), pixels, atol=8 if kind == "JPEG" else 0)


def test_path_text_bytes_and_file_objects_give_the_same(tmp_path: Path) -> None:
    data = encode(noise(), "PNG")
    path = tmp_path / "noise.png"
    path.write_bytes(data)
    with path.open("rb") as file:
        sources: list[Any] = [path, str(path), data, bytearray(data), io.BytesIO(data), file]
        found = [np.asarray(open_image(source)) for source in sources]
    assert all(np.array_equal(pixels, np.asarray(noise())) for pixels in found)


def test_the_content_decides_and_not_the_name(tmp_path: Path) -> None:
    right, wrong = tmp_path / "photo.txt", tmp_path / "text.png"
    right.write_bytes(encode(noise(), "PNG"))
    wrong.write_text("This is no photo.")
    assert open_image(right).size == (64, 64)
    check_refused(wrong, "text.png is not a photo that can be read")


STORED: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {  # from upright to what the sensor wrote
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: upright.transpose(1, 0, 2)[::-1],
    7: lambda upright: upright.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda upright: upright.transpose(1, 0, 2)[:, ::-1],
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", STORED)
def test_every_orientation_of_a_camera_is_put_upright(orientation: int, kind: str) -> None:
    upright = quarters()
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    found = open_image(encode(stored, kind, exif=exif, **FINE.get(kind, {})))
    assert found.size == (48, 32)
    np.testing.assert_allclose(np.asarray(found, int), upright, atol=8 if kind == "JPEG" else 0)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0neither II nor MM",
        b"Exif\0\0",
        b"Exif\0\0II*\0\x08\0\0\0\xff\0\x12\x01",
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0\0\0\0\0",
    ],
    ids=["no header", "empty", "cut off", "orientation 99"],
)
def test_a_sound_photo_with_broken_metadata_is_read(kind: str, exif: bytes) -> None:
    found = open_image(encode(Image.fromarray(quarters()), kind, exif=exif))
    assert found.size == (48, 32)
    np.testing.assert_allclose(np.asarray(found)[4, 4].astype(int), RED, atol=12)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_transparency_is_laid_on_white(kind: str) -> None:
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0] = [(*RED, 255), (*RED, 0), (*RED, 51)]
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    found = np.asarray(open_image(encode(Image.fromarray(pixels), kind, **options)), int)
    mixed = [0.2 * part + 0.8 * 255 for part in RED]
    np.testing.assert_allclose(found[0], [RED, WHITE, mixed], atol=1)


def test_grey_with_transparency_is_laid_on_white() -> None:
    pixels = np.array([[(40, 255), (40, 0)]], np.uint8)
    found = open_image(encode(Image.fromarray(pixels), "PNG"))
    np.testing.assert_array_equal(found, [[(40, 40, 40), WHITE]])


@pytest.mark.parametrize(("kind", "transparency"), [("PNG", 1), ("GIF", 1), ("PNG", b"\xff\x00\xff")])
def test_a_transparent_entry_of_the_palette_is_laid_on_white(kind: str, transparency: int | bytes) -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([*RED, *GREEN, *BLUE])
    image.putdata([0, 1, 2])
    found = open_image(encode(image, kind, transparency=transparency))
    np.testing.assert_array_equal(found, [[RED, WHITE, BLUE]])


def test_a_transparent_colour_is_laid_on_white() -> None:
    image = Image.fromarray(np.array([[RED, GREEN]], np.uint8))
    found = open_image(encode(image, "PNG", transparency=GREEN))
    np.testing.assert_array_equal(found, [[RED, WHITE]])


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_and_not_clipped(kind: str) -> None:
    levels = np.array([[0, 255, 256, 0x4000, 0x8000, 0xC000, 0xFFFF]], np.uint16)
    found = np.asarray(open_image(encode(Image.fromarray(levels), kind)), int)
    np.testing.assert_allclose(found, np.repeat(levels[..., None] / 257, 3, axis=2), atol=1)
    assert found[0, -1].tolist() == [255, 255, 255]


def test_16_bit_colour_and_16_bit_grey_with_transparency_are_scaled() -> None:
    colour = open_image(png(2, 1, 16, 2, b"\0" + struct.pack(">6H", 0x8000, 0, 0xFFFF, 0x4000, 0x4000, 0x4000)))
    np.testing.assert_allclose(np.asarray(colour, int), [[(128, 0, 255), (64, 64, 64)]], atol=1)
    grey = open_image(png(2, 1, 16, 4, b"\0" + struct.pack(">4H", 0x4000, 0xFFFF, 0x4000, 0)))
    np.testing.assert_allclose(np.asarray(grey, int), [[(64, 64, 64), WHITE]], atol=1)


@pytest.mark.parametrize(("mode", "colour", "rgb"), [("L", 90, (90,) * 3), ("1", 1, WHITE), ("1", 0, (0, 0, 0))])
def test_grey_and_black_and_white_become_rgb(mode: str, colour: int, rgb: tuple[int, int, int]) -> None:
    found = open_image(encode(Image.new(mode, (5, 4), colour), "PNG"))
    assert found.mode == "RGB"
    assert found.getcolors() == [(20, rgb)]


@pytest.mark.parametrize(
    ("ink", "rgb"),
    [((0, 255, 255, 0), (255, 0, 0)), ((255, 0, 255, 0), (0, 255, 0)), ((0,) * 4, WHITE), ((0, 0, 0, 255), (0, 0, 0))],
)
@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_converted_and_not_inverted(kind: str, ink: tuple[int, ...], rgb: tuple[int, ...]) -> None:
    found = open_image(encode(Image.new("CMYK", (16, 16), ink), kind))
    np.testing.assert_allclose(np.asarray(found)[8, 8].astype(int), rgb, atol=3)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken(kind: str) -> None:
    first, second = Image.new("RGB", (8, 6), RED), Image.new("RGB", (8, 6), BLUE)
    options = {"lossless": True} if kind == "WEBP" else {}
    found = open_image(encode(first, kind, save_all=True, append_images=[second], **options))
    assert found.getcolors() == [(48, RED)]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_single_pixel_is_a_photo(kind: str) -> None:
    found = open_image(encode(Image.new("RGB", (1, 1), GREY), kind))
    assert found.size == (1, 1)
    np.testing.assert_allclose(np.asarray(found)[0, 0].astype(int), GREY, atol=2)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_result_holds_no_metadata(kind: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker of the camera"
    exif[ORIENTATION] = 6
    profile = b"profile" * 30
    found = open_image(encode(noise(), kind, exif=exif, icc_profile=profile, dpi=(300, 300)))
    assert found.info == {}
    assert not found.getexif()
    again = encode(found, "PNG")
    assert b"Maker of the camera" not in again
    assert b"iCCP" not in again


def test_text_chunks_and_comments_are_dropped() -> None:
    assert open_image(encode(noise(), "JPEG", comment=b"private")).info == {}
    assert open_image(encode(noise(), "GIF", comment=b"private")).info == {}


def huge_png(side: int) -> bytes:
    return png(side, side, 8, 2, b"\0")


def huge_bmp(side: int) -> bytes:
    data = bytearray(encode(Image.new("RGB", (1, 1)), "BMP"))
    data[18:26] = struct.pack("<ii", side, side)
    return bytes(data)


def huge_gif(side: int) -> bytes:
    data = bytearray(encode(Image.new("RGB", (1, 1)), "GIF"))
    data[6:10] = struct.pack("<HH", side, side)
    return bytes(data)


def huge_jpeg(side: int) -> bytes:
    data = bytearray(encode(Image.new("RGB", (8, 8)), "JPEG"))
    start = data.index(b"\xff\xc0") + 5  # height and width in the frame header
    data[start : start + 4] = struct.pack(">HH", side, side)
    return bytes(data)


@pytest.mark.parametrize(
    "side",
    [
        pytest.param(8_000, id="64 megapixels"),
        pytest.param(12_000, id="144, of which Pillow warns"),
        pytest.param(20_000, id="400, which Pillow itself refuses"),
    ],
)
@pytest.mark.parametrize("make", [huge_png, huge_bmp, huge_gif, huge_jpeg])
def test_a_small_file_that_claims_a_huge_size_is_refused_before_it_is_decoded(
    make: Callable[[int], bytes], side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(self: ImageFile.ImageFile) -> None:
        raise AssertionError("decoding has started")

    data = make(side)
    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    assert len(data) < 10_000
    check_refused(data, f"The file has {side**2 / 1e6:.0f} megapixels; at most 50 can be read. Save a smaller copy.")


def test_the_limit_of_pixels_is_the_last_size_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(noise(), "PNG")
    monkeypatch.setattr(images, "MAX_PIXELS", 64 * 64)
    assert open_image(data).size == (64, 64)
    monkeypatch.setattr(images, "MAX_PIXELS", 64 * 64 - 1)
    check_refused(data, "megapixels; at most")


def test_the_limit_of_bytes_is_the_last_size_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(noise(), "PNG")
    path = tmp_path / "noise.png"
    path.write_bytes(data)
    monkeypatch.setattr(images, "MAX_BYTES", len(data))
    assert all(open_image(source).size == (64, 64) for source in (data, path, io.BytesIO(data)))
    monkeypatch.setattr(images, "MAX_BYTES", len(data) - 1)
    for source in (data, path, io.BytesIO(data)):
        check_refused(source, "limit is .* MB.*Save a smaller copy")


def test_the_size_of_a_file_that_is_too_large_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_BYTES", 2_000_000)
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(5_000_000)
    check_refused(path.read_bytes(), "The file has 5 MB; the limit is 2 MB")
    with pytest.raises(Refusal, match="limit is 2 MB") as caught:
        open_image(path)
    assert "has 2 MB" not in str(caught.value)  # of a file no more than the limit is read, but that is not its size


def test_no_more_of_a_file_is_read_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_BYTES", 1000)
    source = io.BytesIO(bytes(5000))
    check_refused(source, "limit")
    assert source.tell() <= 1001


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"This is no photo.", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7", b"\x89PNG\r\n\x1a\n"],
)
def test_what_is_no_photo_is_refused(data: bytes) -> None:
    check_refused(data, "The file is not a photo that can be read; use PNG, JPEG, WEBP, BMP, GIF or TIFF")


def test_a_format_that_is_not_listed_is_refused() -> None:
    check_refused(encode(noise(), "ICO"), "is not a photo that can be read")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "TIFF"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_photo_that_is_cut_off_is_refused(kind: str, share: float) -> None:
    data = encode(noise(), kind, **({"compression": "tiff_lzw"} if kind == "TIFF" else {}))
    check_refused(data[: int(share * len(data))], "The file is (damaged or cut off|not a photo that can be read)")


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_photo_that_is_cut_off_in_its_pixels_is_called_so(kind: str) -> None:
    data = encode(noise(), kind)
    check_refused(data[: len(data) // 2], "The file is damaged or cut off; save it again and retry")


def test_a_png_with_a_flipped_bit_is_refused() -> None:
    data = bytearray(encode(noise(), "PNG"))
    data[len(data) // 2] ^= 1
    check_refused(bytes(data), "The file is damaged or cut off")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    check_refused(tmp_path / "missing.jpg", "missing.jpg cannot be read: No such file")
    check_refused(str(tmp_path), f"{tmp_path} cannot be read: Is a directory")


def test_the_name_of_a_file_object_stands_in_its_refusal(tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("This is no photo.")
    with path.open("rb") as file:
        check_refused(file, "notes.jpg is not a photo")
    check_refused(io.BytesIO(b"no photo"), "The file is not a photo")
