"""Control maps, computed from the photo without the network, with which real maps are compared."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Map = NDArray[np.float32]  # (3, H, W), each pixel's value distributed equally over the channels

GAUSSIAN_SIGMA = 0.25  # standard deviation of the centred Gaussian, as a share of the photo's sides


def edges(x: Tensor) -> Map:
    """Return the strength of the photo's edges: a Sobel filter on its grey values.

    Args:
        x: (3, H, W), pixels in [0, 1].
    """
    from skimage.filters import sobel  # lazy: the import takes a second

    return _map(sobel(x.cpu().double().numpy().mean(0)))  # type: ignore[no-untyped-call]


def noise(x: Tensor, seed: int = 0) -> Map:
    """Return independent uniform numbers, that is, a random ranking of the pixels."""
    return _map(np.random.default_rng(seed).random(tuple(x.shape[1:])))


def centre(x: Tensor) -> Map:
    """Return a Gaussian at the centre of the photo, where the subject usually is."""
    down, across = (torch.linspace(-0.5, 0.5, side, dtype=torch.float64) / GAUSSIAN_SIGMA for side in x.shape[1:])
    return _map(torch.exp(-(down[:, None] ** 2 + across**2) / 2).numpy())


def _map(heat: NDArray[np.floating]) -> Map:
    return np.repeat(heat[None] / 3, 3, 0).astype(np.float32)
