"""Photos that links contain: only what the networks see, in memory for a day, under names that nobody can guess."""

import os
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from threading import Lock, Timer

import torch
from torch import Tensor

from attribution.photo.preprocessing import Preprocessing
from attribution.refusal import Refusal
from attribution.system.memory import share
from attribution.work.cache import bytes_of

SHARE_VARIABLE = "ATTRIBUTION_SHARE_PHOTOS"
LIFETIME = 24 * 3600.0  # seconds
MAX_PHOTOS = 500
MAX_PER_ADDRESS = 200  # a school may have one address
SHARED_SHARE = 0.03  # share of the memory; a photo for one network takes 0.15 MB at 224 x 224 pixels
MAX_PHOTO_BYTES = 4_000_000  # bytes of one photo; 1000 x 1000 pixels take 3 MB
NAME = re.compile(r"[A-Za-z0-9_-]{22}")  # 128 bits
GONE = "The shared photo is no longer on this server; upload a photo or choose a sample."


@dataclass(frozen=True, eq=False)
class Prepared:
    """The part of a photo that a network sees.

    Attributes:
        x: (3, H, W), float32 in [0, 1], as `Preprocessing.prepare` returns it.
        box: Left, top, right and bottom in pixels of the photo.
    """

    x: Tensor
    box: tuple[float, float, float, float]


Preparations = Mapping[Preprocessing, Prepared]  # by the preprocessing of the networks that see them; never empty


class SharedPhotos:
    """A bounded store of photos, each deleted after a day.

    A full store refuses new photos, so that nobody can break the links of others.
    """

    def __init__(
        self, clock: Callable[[], float] = time.time, limit: Callable[[], float] = lambda: share(SHARED_SHARE)
    ) -> None:
        """Start empty.

        Args:
            clock: Returns the time in seconds.
            limit: Returns the maximum number of bytes of all photos.
        """
        self._clock, self._limit, self._lock = clock, limit, Lock()
        self._photos: dict[str, tuple[float, int, Preparations, str]] = {}  # end in seconds, bytes, crops, address
        self._timer: Timer | None = None

    def put(self, crops: Preparations, address: str = "") -> str:
        """Store a photo and return its random name.

        Args:
            crops: The photo as networks see it.
            address: IP address of the browser, which may store only a part of all photos; empty if unknown.

        Raises:
            Refusal: If photos may not be shared, the photo is too large or the store is full.
        """
        if not shares_photos():
            raise Refusal(f"This server shares no photos, since {SHARE_VARIABLE} is 0; share the link without it.")
        kept = {steps: replace(crop, x=_compact(crop.x)) for steps, crop in crops.items()}
        size, limit = bytes_of([crop.x for crop in kept.values()]), self._limit()
        if size > min(MAX_PHOTO_BYTES, limit):
            most = min(MAX_PHOTO_BYTES, limit) / 1e6
            raise Refusal(
                f"The photo takes {size / 1e6:.1f} MB, but at most {most:.1f} MB can be shared; choose a model with a "
                "smaller input, or compare fewer models."
            )
        with self._lock:
            self._expire()
            if len(self._photos) >= MAX_PHOTOS or size + sum(each[1] for each in self._photos.values()) > limit:
                raise Refusal(
                    f"This server already keeps {len(self._photos)} shared photos, its limit; try again later, or "
                    "share the link without the photo."
                )
            if sum(each[3] == address for each in self._photos.values()) >= MAX_PER_ADDRESS:
                raise Refusal(
                    f"Your network already shares {MAX_PER_ADDRESS} photos, the limit; share the link "
                    "without the photo."
                )
            name = secrets.token_urlsafe(16)
            self._photos[name] = self._clock() + LIFETIME, size, kept, address
            self._wait()
            return name

    def get(self, name: str) -> Preparations | None:
        """Return a photo, or None if there is none of this name or photos may not be shared."""
        with self._lock:
            self._expire()
            _, _, kept, _ = self._photos.get(name, (0, 0, {}, ""))
        if not kept or not shares_photos():
            return None
        return {steps: replace(crop, x=_restored(crop.x)) for steps, crop in kept.items()}

    def drop(self, name: str) -> None:
        """Delete a photo, if there is one of this name."""
        with self._lock:
            self._photos.pop(name, None)

    def _expire(self) -> None:
        for name in [name for name, (end, *_) in self._photos.items() if end <= self._clock()]:
            del self._photos[name]

    def _wait(self) -> None:
        """Wait for the end of the oldest photo in a thread, so that it is deleted even if nobody visits."""
        if self._photos and self._timer is None:
            end, *_ = next(iter(self._photos.values()))
            self._timer = Timer(max(1.0, end - self._clock()), self._end)
            self._timer.daemon = True
            self._timer.start()

    def _end(self) -> None:
        with self._lock:
            self._timer = None
            self._expire()
            self._wait()


SHARED_PHOTOS = SharedPhotos()


def shares_photos() -> bool:
    """True if photos may be shared: unless the variable is "0"."""
    return os.environ.get(SHARE_VARIABLE) != "0"


def _compact(x: Tensor) -> Tensor:
    """Convert to 8 bits where that is exact, as of every photo in colour; the mean of three channels has more."""
    levels = (255 * x).round().to(torch.uint8)
    return levels if torch.equal(_restored(levels), x) else x


def _restored(x: Tensor) -> Tensor:
    return x.float() / 255 if x.dtype == torch.uint8 else x
