"""What this process keeps of finished work, for all sessions: the values asked for last, within a number of bytes."""

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from threading import Lock
from typing import Any, Generic, TypeVar

import numpy as np
from torch import Tensor, nn

from attribution.memory import budget

V = TypeVar("V")

WORK = 0.1  # of the memory budget, for maps and what is measured
NETWORKS = 0.35  # of the memory budget


class Store:
    """Values by key; what was asked for longest ago goes first."""

    def __init__(self, limit: Callable[[], float]) -> None:
        """Keep nothing yet.

        Args:
            limit: Gives the bytes that may be kept. A value larger than that is not kept.
        """
        self._limit, self._lock = limit, Lock()
        self._values: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get(self, key: Hashable) -> Any:
        """The value, or None."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key, (None, 0))[0]

    def put(self, key: Hashable, value: Any) -> None:
        """Keep a value, and let the oldest go; whoever uses one of them still can."""
        size = bytes_of(value)
        with self._lock:
            self._values.pop(key, None)
            if size <= self._limit():
                self._make_room(size)
                self._values[key] = value, size

    def make_room(self, size: float) -> None:
        """Let the oldest go until so many bytes could be added."""
        with self._lock:
            self._make_room(size)

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
        """The value, or None."""
        value: V | None = self._store.get((self._kind, key))
        return value

    def put(self, key: Hashable, value: V) -> None:
        """Keep a value."""
        self._store.put((self._kind, key), value)


FINISHED = Store(lambda: WORK * budget())
LOADED = Store(lambda: NETWORKS * budget())


def bytes_of(value: Any) -> int:
    """Bytes of the arrays, tensors and texts inside a value, each counted once."""
    return sum({id(each): size for each, size in _parts(value, set())}.values())


def _parts(value: Any, seen: set[int]) -> Iterator[tuple[Any, int]]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, np.ndarray | Tensor):
        yield value, int(value.nbytes)
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
