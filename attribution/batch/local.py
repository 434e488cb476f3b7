"""The engine on this machine: threads that take one group each."""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import torch

from attribution.batch.group import explain_group
from attribution.batch.plan import Photo, Plan
from attribution.network.model import Model
from attribution.network.scorer import IMAGE_MEMORY_SHARE
from attribution.photo.collection import Collection
from attribution.result import Attribution
from attribution.system.memory import share
from attribution.system.storage import Storage

MAX_WORKERS = 8  # of a CPU with more cores: Python runs one thread at a time
SPARE = 1  # workers beyond the cores, so that one decodes or writes while the others compute
ACCELERATOR_WORKERS = 4  # the same where the device computes


class Stopped(Exception):
    """Raised inside a group when the run is stopped."""


def run(
    model: Model,
    plan: Plan,
    groups: Sequence[Sequence[Photo]],
    storage: Storage,
    on_done: Callable[[int], None],
    workers: int | None = None,
) -> None:
    """Explain groups of photos side by side; at most as many as there are workers are in memory.

    Args:
        model: The model of the plan.
        plan: The plan.
        groups: The groups to do.
        storage: Storage of the results.
        on_done: Called with the number of every group whose rows are stored.
        workers: Groups at a time. Default: by the number of cores and the memory.

    Raises:
        Refusal: If the results cannot be stored. Whatever interrupts it, the groups under way stop within one chunk
            and leave no row.
    """
    collection, stopped, threads = Collection(plan.collection), threading.Event(), torch.get_num_threads()
    _ = model.stages  # before threads need them

    def report(fraction: float, partial: Attribution | None) -> None:
        if stopped.is_set():
            raise Stopped

    def explain(photos: Sequence[Photo]) -> int:
        torch.set_num_threads(plan.threads)  # belongs to the thread
        explain_group(model, plan, photos, collection, storage, report)
        return photos[0].group

    count, pending = workers or usual_workers(model, plan), set[Future[int]]()
    with ThreadPoolExecutor(count, "batch") as pool:
        try:
            for photos in groups:
                pending.add(pool.submit(explain, photos))
                if len(pending) == count:
                    pending = _take(pending, on_done)
            while pending:
                pending = _take(pending, on_done)
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads)  # of the threads that begin from now on


def _take(pending: set[Future[int]], on_done: Callable[[int], None]) -> set[Future[int]]:
    """Wait for a group, and return those that are still under way."""
    finished, others = wait(pending, return_when=FIRST_COMPLETED)
    for each in finished:
        on_done(each.result())
    return others


def usual_workers(model: Model, plan: Plan) -> int:
    """Return the number of groups at a time: one more than the cores, or fewer if memory is short."""
    if model.device.type != "cpu":
        return ACCELERATOR_WORKERS
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    fitting = int(share(IMAGE_MEMORY_SHARE) / max(1, plan.group * model.inspection.image_memory))
    return max(1, min(cores // plan.threads + SPARE, MAX_WORKERS, fitting))
