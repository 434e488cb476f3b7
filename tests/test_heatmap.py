"""From values to a picture: the vectors that the browser reads too, and what holds for any map."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from attribution.drawing.heatmap import (
    REDUCTIONS,
    clipped,
    colour,
    colour_maps,
    is_blank,
    outlined,
    reduce,
    shared,
    span,
    unit,
)
from attribution.drawing.view import View

VECTORS = json.loads(Path(__file__).with_name("heatmap_vectors.json").read_text())


def grey(heat: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The white-to-black picture, (H, W, 3), of one number per pixel, (H, W)."""
    values = np.stack([heat, np.zeros_like(heat), np.zeros_like(heat)])
    return View("grey", clip=100).draw([values], np.zeros((*heat.shape, 3), np.uint8))[0].rgb


patient = hypothesis_settings(deadline=None)


@pytest.mark.parametrize("case", VECTORS["maps"], ids=lambda case: case["name"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_maps_follow_the_vectors(case: dict[str, Any], reduction: str) -> None:
    values = np.array(case["channels"], dtype=np.float64).reshape(3, 1, -1) * case["scale"]
    expected = case["expected"][reduction]
    heat = reduce(values, reduction)
    near = {"rtol": 1e-12, "atol": 1e-15}
    np.testing.assert_allclose(heat[0], expected["heat"], **near)
    for clip, at_clip in expected["at_clip"].items():
        ends = span(heat, float(clip), reduction == "signed_sum")
        np.testing.assert_allclose(ends, at_clip["span"], **near)
        assert clipped(heat, tuple(at_clip["span"])) == pytest.approx(at_clip["clipped"])
        np.testing.assert_allclose(unit(heat, ends)[0], at_clip["unit"], **near)


def test_colours_and_shared_spans_follow_the_vectors() -> None:
    assert {each["colours"] for each in VECTORS["colours"]} == set(colour_maps())
    for each in VECTORS["colours"]:
        assert colour(np.array([[each["place"]]]), colour_maps()[each["colours"]])[0, 0].tolist() == each["rgb"]
    for each in VECTORS["shared"]:
        assert list(shared([tuple(ends) for ends in each["spans"]])) == each["expected"]


def test_outlines_follow_the_vectors() -> None:
    for each in VECTORS["outlines"]:
        segments = np.array(each["segments"]).reshape(-1, each["width"])
        rgb = np.array(each["rgb"], np.uint8).reshape(*segments.shape, 3)
        np.testing.assert_array_equal(outlined(rgb, segments).reshape(-1, 3), each["expected"])


def test_the_view_says_whether_segments_are_outlined() -> None:
    values, photo, segments = np.ones((3, 4, 4)), np.zeros((4, 4, 3), np.uint8), np.arange(16).reshape(4, 4)
    shown, plain = (
        View(outlines=choice).draw([values], photo, [True], [segments])[0].rgb for choice in ("shown", "hidden")
    )
    np.testing.assert_array_equal(plain, View().draw([values], photo, [True])[0].rgb)
    np.testing.assert_array_equal(shown, outlined(plain, segments))
    assert (shown != plain).any()


def test_channels_are_reduced_by_the_sum_of_their_absolutes() -> None:
    values = np.array([[[1, -2]], [[-3, 0.5]], [[0, -0.25]]], np.float32)
    heat = reduce(values)
    assert heat.dtype == np.float64
    np.testing.assert_array_equal(heat, [[4, 2.75]])


def test_channels_that_cancel_do_not_vanish() -> None:
    values = np.array([[[1.0]], [[-1.0]], [[0.0]]])
    assert reduce(values) == 2


def test_half_precision_does_not_overflow() -> None:
    assert reduce(np.full((3, 1, 1), 60_000, np.float16)) == 180_000  # float16 ends at 65,504


def test_the_least_is_white_and_the_greatest_black() -> None:
    picture = grey(np.array([[2.0, 3.0], [4.0, 6.0]]))
    assert picture.dtype == np.uint8
    assert picture.shape == (2, 2, 3)
    np.testing.assert_array_equal(picture[..., 0], [[255, 191], [128, 0]])
    np.testing.assert_array_equal(picture[..., 1], picture[..., 0])
    np.testing.assert_array_equal(picture[..., 2], picture[..., 0])


@pytest.mark.parametrize("scale", [1e-320, 1e-30, 1.0, 1e30, 1e300])
def test_the_picture_does_not_depend_on_the_unit(scale: float) -> None:
    picture = grey(np.array([[0.0, 1.0, 2.0]]) * scale)
    np.testing.assert_array_equal(picture[0, :, 0], [255, 128, 0])


heats = arrays(np.float64, array_shapes(min_dims=2, max_dims=2), elements=st.floats(0, 1e6))


@patient
@given(heats)
def test_the_order_of_values_is_the_order_of_shades(heat: NDArray[np.float64]) -> None:
    before = heat.copy()
    shades = grey(heat)[..., 0].ravel()
    order = np.argsort(heat, axis=None)
    assert (np.diff(shades[order].astype(int)) <= 0).all()
    assert set(shades[[heat.argmin(), heat.argmax()]]) == ({255} if is_blank(span(heat)) else {255, 0})
    np.testing.assert_array_equal(heat, before)


@pytest.mark.parametrize("level", [0.0, 1.0, 5e-324, 1e300])
@pytest.mark.parametrize("shape", [(4, 5), (1, 1)])
def test_a_constant_map_is_blank_and_white(level: float, shape: tuple[int, int]) -> None:
    heat = np.full(shape, level)
    assert is_blank(span(heat))
    assert (grey(heat) == 255).all()


def test_an_all_zero_attribution_is_blank_and_white() -> None:
    heat = reduce(np.zeros((3, 4, 5), np.float32))
    assert is_blank(span(heat))
    assert (grey(heat) == 255).all()


def test_one_pixel_that_differs_is_not_blank() -> None:
    heat = np.ones((4, 5))
    heat[2, 3] += 1e-12
    assert not is_blank(span(heat))
    assert grey(heat)[2, 3].tolist() == [0, 0, 0]
    assert (grey(heat) == 255).sum() == 3 * 19


def test_a_signed_map_of_zeros_has_the_colour_of_zero() -> None:
    grey = np.full((4, 4, 3), 128, np.uint8)
    (drawn,) = View("signed").draw([np.zeros((3, 4, 4))], grey, [True])
    (sparse,) = View("signed", clip=100).draw([np.eye(4)[None].repeat(3, 0)], grey, [True])
    assert drawn.blank
    assert (drawn.rgb[0, 0] == sparse.rgb[0, 1]).all()
