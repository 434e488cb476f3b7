"""The interface of a baseline: an image that represents "nothing to see", from which a path starts."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attribution.settings import Configurable


@dataclass(frozen=True)
class Baseline(Configurable):
    """An image made from the photo, in pixel space.

    Attributes:
        shows: One sentence: what this baseline takes for "nothing to see", and what it hides.
    """

    shows: ClassVar[str]

    @property
    def count(self) -> int:
        """The number of images that `images` returns."""
        return 1

    @abstractmethod
    def image(self, x: Tensor) -> Tensor:
        """Return the baseline of one photo; of several the first.

        Args:
            x: (3, H, W), the photo as the network sees it, pixels in [0, 1].

        Returns:
            (3, H, W), on the device and in the dtype of x.
        """

    def images(self, x: Tensor) -> Tensor:
        """Return all baselines of one photo, (K, 3, H, W); their maps are averaged. Most have one."""
        return self.image(x)[None]
