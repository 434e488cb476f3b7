"""The interface of a baseline: an uninformative image from which a path starts."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attribution.settings import Configurable


@dataclass(frozen=True)
class Baseline(Configurable):
    """An image, possibly derived from the photo, in pixel space.

    Attributes:
        shows: One sentence on what counts as evidence with this baseline, and what it hides.
    """

    shows: ClassVar[str]

    @property
    def count(self) -> int:
        """The number of images that `images` returns."""
        return 1

    @abstractmethod
    def image(self, x: Tensor) -> Tensor:
        """Return the baseline for a photo; the first, if there are several.

        Args:
            x: (3, H, W), the photo as the network sees it, pixels in [0, 1].

        Returns:
            (3, H, W), with the device and dtype of x.
        """

    def images(self, x: Tensor) -> Tensor:
        """Return all baselines for a photo, (K, 3, H, W), usually one; their maps are averaged."""
        return self.image(x)[None]
