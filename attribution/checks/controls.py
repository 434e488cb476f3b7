"""Maps of the photo alone, which know nothing of the network: what a check of a real map is compared with."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Map = NDArray[np.float32]  # (3, H, W), a third of each pixel's value on every channel

SPREAD = 0.25  # standard deviation of the centred Gaussian, over the photo's sides


def edges(x: Tensor) -> Map:
    """Strength of the photo's edges, by Sobel's filter on its grey values.

    Args:
        x: (3, H, W), pixels in [0, 1].
    """
    from skimage.filters import sobel  # here, since it takes a second

    return _map(sobel(x.cpu().double().numpy().mean(0)))  # type: ignore[no-untyped-call]


def noise(x: Tensor, seed: int = 0) -> Map:
    """Independent uniform numbers: the pixels in random order."""
    return _map(np.random.default_rng(seed).random(tuple(x.shape[1:])))


def centre(x: Tensor) -> Map:
    """Return a Gaussian at the centre of the photo, where photographers place their subject."""
    down, across = (torch.linspace(-0.5, 0.5, side, dtype=torch.float64) / SPREAD for side in x.shape[1:])
    return _map(torch.exp(-(down[:, None] ** 2 + across**2) / 2).numpy())


def _map(heat: NDArray[np.floating]) -> Map:
    return np.repeat(heat[None] / 3, 3, 0).astype(np.float32)
