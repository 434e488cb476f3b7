"""Caches shared by all sessions: least-recently-used eviction within a limit in bytes."""

import dataclasses
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any, Generic, TypeVar

import numpy as np
from PIL import Image
from torch import Tensor, nn

from attribution.system.memory import share

V = TypeVar("V")

# Shares of the memory that the libraries leave free; the rest is for activations during passes and session state.
RESULT_SHARE = 0.1  # share for maps and measurements
PHOTO_SHARE = 0.1  # share for decoded photos; 12 megapixels take 48 MB
MODEL_SHARE = 0.4  # share for loaded models


class Store:
    """A cache of values by key; the least recently used is evicted first."""

    def __init__(self, limit: Callable[[], float]) -> None:
        """Start empty.

        Args:
            limit: Returns the maximum number of bytes. A larger value is not stored.
        """
        self._limit, self._lock = limit, Lock()
        self._dropped: deque[Hashable] = deque()
        self._values: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get(self, key: Hashable) -> Any:
        """Return the value, or None."""
        with self._held():
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key, (None, 0))[0]

    def put(self, key: Hashable, value: Any) -> None:
        """Store a value, evicting the oldest if necessary; references to evicted values stay valid."""
        size = bytes_of(value)
        with self._held():
            self._values.pop(key, None)
            if size <= self._limit():
                self._make_room(size)
                self._values[key] = value, size

    def make_room(self, size: float) -> None:
        """Evict the oldest values until this many bytes are free."""
        with self._held():
            self._make_room(size)

    def drop(self, key: Hashable) -> None:
        """Evict a value. Safe to call from a finaliser, which may run while the same thread holds the lock."""
        self._dropped.append(key)
        self._clear()

    def _clear(self) -> None:
        """Evict dropped values; if the lock is held, its holder does so on release."""
        while self._dropped and self._lock.acquire(blocking=False):
            try:
                while self._dropped:
                    self._values.pop(self._dropped.popleft(), None)
            finally:
                self._lock.release()

    @contextmanager
    def _held(self) -> Iterator[None]:
        with self._lock:
            yield
        self._clear()

    def _make_room(self, size: float) -> None:
        while self._values and self.size + size > self._limit():
            self._values.popitem(last=False)

    @property
    def size(self) -> int:
        """The number of bytes stored."""
        return sum(size for _, size in self._values.values())


class Recent(Generic[V]):
    """A view of one kind of values in a store."""

    def __init__(self, kind: str, store: Store | None = None) -> None:
        """Use a store that other kinds may share.

        Args:
            kind: Name of the kind, unique in the store.
            store: The store. Default: RESULT_STORE.
        """
        self._kind, self._store = kind, store or RESULT_STORE

    def get(self, key: Hashable) -> V | None:
        """Return the value, or None."""
        value: V | None = self._store.get((self._kind, key))
        return value

    def put(self, key: Hashable, value: V) -> None:
        """Store a value."""
        self._store.put((self._kind, key), value)

    def drop_with(self, owner: object, key: Hashable) -> None:
        """Evict a value when its owner is garbage-collected; one call suffices, however often the value is stored."""
        weakref.finalize(owner, self._store.drop, (self._kind, key))


RESULT_STORE = Store(lambda: share(RESULT_SHARE))
PHOTO_STORE = Store(lambda: share(PHOTO_SHARE))
MODEL_STORE = Store(lambda: share(MODEL_SHARE))


def bytes_of(value: Any) -> int:
    """Return the total size in bytes of the arrays, tensors, images and strings inside a value, each counted once."""
    return sum({id(each): size for each, size in _parts(value, set())}.values())


def _parts(value: Any, seen: set[int]) -> Iterator[tuple[Any, int]]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, np.ndarray | Tensor):
        yield value, int(value.nbytes)
    elif isinstance(value, Image.Image):
        yield value, 4 * value.width * value.height  # Pillow uses four bytes per pixel, also for RGB
    elif isinstance(value, str | bytes):
        yield value, len(value)
    elif isinstance(value, nn.Module):
        for tensor in (*value.parameters(), *value.buffers()):
            yield from _parts(tensor, seen)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _parts(each, seen)
    elif isinstance(value, list | tuple | set):
        for each in value:
            yield from _parts(each, seen)
    elif dataclasses.is_dataclass(value) or hasattr(value, "__dict__"):
        for each in vars(value).values():
            yield from _parts(each, seen)
