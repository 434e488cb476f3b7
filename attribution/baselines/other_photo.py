"""Another photo as the baseline: why this photo and not that one?"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from PIL import ImageOps
from torch import Tensor

from attribution.baselines.baseline import Baseline
from attribution.photo.samples import SAMPLES, open_sample
from attribution.settings import Choice, setting


@dataclass(frozen=True)
class OtherPhoto(Baseline):
    """One of the sample photos, centre-cropped to the shape of the photo.

    Attributes:
        photo: A key of `samples.SAMPLES`. Default: the first.
    """

    key: ClassVar[str] = "other_photo"
    title: ClassVar[str] = "Another photo"
    shows: ClassVar[str] = "The score change from that photo to this one; features of either photo count as evidence."

    photo: str = setting(Choice("Sample photo used as the baseline.", tuple(SAMPLES)), next(iter(SAMPLES)))

    def image(self, x: Tensor) -> Tensor:
        return sample(x, self.photo)


def sample(x: Tensor, name: str) -> Tensor:
    """Return a sample photo with the shape and dtype of x."""
    small = ImageOps.fit(open_sample(name), (x.shape[2], x.shape[1]))
    return torch.from_numpy(np.array(small, dtype=np.float32) / 255).permute(2, 0, 1).to(x)
