"""Baselines: the definition of each, and that several are the average of their maps."""

import numpy as np
import pytest
import torch
from torch import nn
from toys import model_of, noise, randomise

import attribution as at
from attribution import baselines
from attribution.baselines.photo import blurred
from attribution.photo.samples import SAMPLES, open_sample


def x(seed: int = 0, side: int = 16) -> torch.Tensor:
    return noise(3, side, side, seed=seed, dtype=torch.float64)


@pytest.mark.parametrize(
    ("baseline", "colour"),
    [
        (baselines.Black(), (0, 0, 0)),
        (baselines.White(), (1, 1, 1)),
        (baselines.Grey(), (0.5, 0.5, 0.5)),
        (baselines.Constant((0.1, 0.2, 0.3)), (0.1, 0.2, 0.3)),
        (baselines.ImageNetMean(), (0.485, 0.456, 0.406)),
        (baselines.PhotoMean(), tuple(x().mean((1, 2)).tolist())),
    ],
    ids=str,
)
def test_a_colour_is_everywhere(baseline: baselines.Baseline, colour: tuple[float, ...]) -> None:
    for channel, level in zip(baseline.image(x()), colour, strict=True):
        np.testing.assert_allclose(channel, level, atol=1e-12)


def test_the_maximum_distance_is_the_farther_end() -> None:
    photo, far = x(), baselines.MaximumDistance().image(x())
    assert set(far.unique().tolist()) == {0.0, 1.0}
    assert ((photo - far).abs() >= 0.5).all()


@pytest.mark.parametrize("sigma", [0.5, 2, 20])
def test_blur_is_the_gaussian_of_pillow_inside(sigma: float) -> None:
    """A point becomes the sampled Gaussian; a constant stays itself, also at the edges; the sum is kept."""
    point = torch.zeros(3, 151, 151, dtype=torch.float64)
    point[:, 75, 75] = 1
    seen = baselines.Blur(sigma).image(point)
    away = np.arange(-75, 76)
    profile = np.where(np.abs(away) <= np.ceil(3 * sigma), np.exp(-(away**2) / (2 * sigma**2)), 0)
    expected = np.outer(profile, profile) / profile.sum() ** 2
    np.testing.assert_allclose(seen[0], expected, atol=1e-9)
    assert float(seen.sum()) == pytest.approx(3)
    flat = torch.full((3, 9, 9), 0.3, dtype=torch.float64)
    np.testing.assert_allclose(blurred(flat, sigma), flat, atol=1e-12)


def test_noise_is_seeded_spread_as_it_says_and_inside_the_range() -> None:
    photo = x(side=200)
    uniform = baselines.UniformNoise(3).image(photo)
    assert torch.equal(uniform, baselines.UniformNoise(3).image(x(1, 200)))  # whatever the photo
    assert not torch.equal(uniform, baselines.UniformNoise(4).image(photo))
    assert float(uniform.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(uniform.var()) == pytest.approx(1 / 12, abs=0.002)
    grey = torch.full_like(photo, 0.5)
    gaussian = baselines.GaussianNoise(0.1).image(grey)
    assert float(gaussian.std()) == pytest.approx(0.1, abs=0.002)
    strong = baselines.GaussianNoise(5.0).image(grey)
    assert (float(strong.min()), float(strong.max())) == (0, 1)


def test_another_photo_is_that_photo_in_the_same_shape(samples: object) -> None:
    assert set(SAMPLES)
    for name in SAMPLES:
        image = baselines.OtherPhoto(name).image(noise(3, 20, 30))
        assert image.shape == (3, 20, 30)
        assert float(image.std()) > 0.05
    first, second = (baselines.OtherPhoto(name).image(x()) for name in list(SAMPLES)[:2])
    assert not torch.equal(first, second)


@pytest.mark.parametrize("several", [baselines.BlackAndWhite(), baselines.NoiseDraws(3), baselines.SamplePhotos(2)])
def test_several_baselines_give_the_mean_of_their_maps(several: baselines.Baseline) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
    model, photo = model_of(randomise(net).double(), (8, 8), 3), x(side=8)
    result = at.attribute(model, photo, at.IntegratedGradients(7, several))
    singles = []
    for each in several.images(photo):

        class One(baselines.Baseline):
            key, title, fixed = "one", "One", each

            def image(self, x: torch.Tensor) -> torch.Tensor:
                return self.fixed

        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(at.BASELINES, "one", One)
            singles.append(at.attribute(model, photo, at.IntegratedGradients(7, One())))
    assert len(singles) == len(several.images(photo)) > 1
    np.testing.assert_allclose(result.values, np.mean([each.values for each in singles], 0), atol=1e-12)
    assert result.baseline_score == pytest.approx(np.mean([each.baseline_score for each in singles]))
    assert result.delta == pytest.approx(np.mean([each.delta for each in singles]))
    assert result.backwards == 7 * len(singles)


@pytest.mark.parametrize("name", list(SAMPLES))
def test_no_sample_is_its_own_baseline_among_several(name: str, squeezenet: at.Model) -> None:
    photo = squeezenet.prepare(open_sample(name))
    others = baselines.SamplePhotos(len(SAMPLES) - 1).images(photo)
    own = baselines.OtherPhoto(name).image(photo)
    assert len(others) == len(SAMPLES) - 1
    assert not any(torch.equal(other, own) for other in others)
