"""Caches of finished work for all sessions: the values used last, within a number of bytes."""

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

# Of the memory beside the libraries; the rest is for images on their way through a network, and for what sessions hold.
WORK = 0.1  # maps and what is measured
PHOTOS = 0.1  # one of 12 megapixels takes 48 MB
NETWORKS = 0.4


class Store:
    """Values by key; the least recently used is evicted first."""

    def __init__(self, limit: Callable[[], float]) -> None:
        """Keep nothing yet.

        Args:
            limit: Gives the bytes that may be kept. A value larger than that is not kept.
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
        """Keep a value, and let the oldest go; whoever uses one of them still can."""
        size = bytes_of(value)
        with self._held():
            self._values.pop(key, None)
            if size <= self._limit():
                self._make_room(size)
                self._values[key] = value, size

    def make_room(self, size: float) -> None:
        """Let the oldest go until so many bytes could be added."""
        with self._held():
            self._make_room(size)

    def drop(self, key: Hashable) -> None:
        """Let a value go. May be called by a finaliser, which can come while this very thread changes the store."""
        self._dropped.append(key)
        self._clear()

    def _clear(self) -> None:
        """Let go of what was dropped; where the store is at work, it does so itself afterwards."""
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
        """Bytes kept."""
        return sum(size for _, size in self._values.values())


class Recent(Generic[V]):
    """The values of one kind in a store."""

    def __init__(self, kind: str, store: Store | None = None) -> None:
        """Share a store with other kinds.

        Args:
            kind: Unique among those of the store.
            store: Default: the one of all finished work.
        """
        self._kind, self._store = kind, store or FINISHED

    def get(self, key: Hashable) -> V | None:
        """Return the value, or None."""
        value: V | None = self._store.get((self._kind, key))
        return value

    def put(self, key: Hashable, value: V) -> None:
        """Keep a value."""
        self._store.put((self._kind, key), value)

    def drop_with(self, owner: object, key: Hashable) -> None:
        """Let a value go when its owner goes; said once, however often the value is put."""
        weakref.finalize(owner, self._store.drop, (self._kind, key))


FINISHED = Store(lambda: share(WORK))
DECODED = Store(lambda: share(PHOTOS))
LOADED = Store(lambda: share(NETWORKS))


def bytes_of(value: Any) -> int:
    """Return the bytes of the arrays, tensors, images and texts inside a value, each counted once."""
    return sum({id(each): size for each, size in _parts(value, set())}.values())


def _parts(value: Any, seen: set[int]) -> Iterator[tuple[Any, int]]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, np.ndarray | Tensor):
        yield value, int(value.nbytes)
    elif isinstance(value, Image.Image):
        yield value, 4 * value.width * value.height  # Pillow's, for RGB too
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
