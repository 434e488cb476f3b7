"""Lanes: threads that run chunks of images side by side, each on cores of its own.

PyTorch splits each operator among its threads, which wait for each other a hundred times a pass: beside another busy
process, all of them wait for the slowest. Lanes wait for each other once a call.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor, nn

from attribution.network.layers import watch

MAX_LANES = 4  # lanes of a machine with more cores, which then has several threads in each

T = TypeVar("T")


def lane_count() -> int:
    """Return the number of lanes for the calling thread: its number of PyTorch threads, up to the limit."""
    return min(MAX_LANES, torch.get_num_threads())


def spread(run: Callable[[Tensor], T], parts: Sequence[Tensor], lanes: int) -> list[T]:
    """Run a function on each part, several at a time.

    Args:
        run: The function. With more than one lane it runs in other threads, without the caller's context.
        parts: Its arguments.
        lanes: Parts at a time; 1 runs all of them in the calling thread.

    Returns:
        The results, in the order of the parts; if parts fail, the first failure is raised once all have ended.
    """
    if lanes == 1 or len(parts) == 1:
        return [run(part) for part in parts]
    futures = [_pool(lanes, torch.get_num_threads()).submit(run, part) for part in parts]
    failures = [failure for future in futures if (failure := future.exception())]
    if failures:
        raise failures[0]
    return [future.result() for future in futures]


@cache
def _pool(lanes: int, threads: int) -> ThreadPoolExecutor:
    """Return running lanes that share a number of PyTorch threads."""
    ready = threading.Barrier(lanes + 1)

    def start() -> None:
        torch.get_num_threads()  # begins the thread with the number set last, which would later replace the next line's
        torch.set_num_threads(max(1, threads // lanes))
        ready.wait()

    pool = ThreadPoolExecutor(lanes, "lane", initializer=start)
    for _ in range(lanes):
        pool.submit(lambda: None)
    ready.wait()
    torch.set_num_threads(threads)  # the number belongs to a thread, but new threads begin with the one set last
    return pool


class Twins:
    """Copies of a network that share its tensors, one for each pass that runs at the same time.

    A network may keep values in its modules during a pass. All of them are watched: see `layers.watch`.
    """

    def __init__(self, net: nn.Module, twin: Callable[[nn.Module], nn.Module]) -> None:
        """Begin with the network itself; `twin` makes a copy that shares its tensors."""
        self._twin = twin
        # Never runs, since a network cannot be copied during a pass, which may change it; nor is it watched, since some
        # modules would lose their hooks in a copy.
        self._original = twin(net)
        watch(net)
        self._spare = [net]

    @contextlib.contextmanager
    def lend(self) -> Iterator[nn.Module]:
        """Lend a copy that no other thread uses meanwhile."""
        try:
            net = self._spare.pop()
        except IndexError:
            net = self._twin(self._original)
            watch(net)
        try:
            yield net
        finally:
            self._spare.append(net)
