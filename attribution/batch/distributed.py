"""The engine on several machines: Ray Data hands each group to one of a pool of actors, and repeats it if one dies."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import ray
import ray.data
import torch

from attribution.batch.group import explain_group
from attribution.batch.plan import Photo, Plan, groups, photos, stored
from attribution.models import load_model
from attribution.network.model import Model
from attribution.photo.collection import Collection
from attribution.refusal import Refusal, first_line
from attribution.system.memory import keep_freed_memory
from attribution.system.storage import Storage, absolute

MAX_BLOCKS = 10_000  # tasks of a run; each is one group, or several of more photos


class Worker:
    """An actor: a model that was loaded once, and the groups of a plan."""

    def __init__(self, place: str, collection: str, device: str) -> None:
        """Load the model.

        Args:
            place: Path or URL of the results, with the stored plan and photos.
            collection: Path or URL of the photos.
            device: As for `load_model`.

        Raises:
            Refusal: If the model's weights are not those of the plan.
        """
        keep_freed_memory()
        self.storage = Storage(place)
        self.plan = replace(stored(self.storage), collection=collection)
        torch.set_num_threads(self.plan.threads)
        self.model = load_model(self.plan.analysis.model, device)
        if self.model.weights != self.plan.weights:
            raise Refusal(f"{self.model.name} has other weights on this machine than where the batch began.")
        self.collection = Collection(collection)
        self.groups = {each[0].group: each for each in groups(photos(self.storage))}

    def __call__(self, batch: Mapping[str, Any]) -> Mapping[str, Any]:
        """Explain the groups of a batch of Ray's, and return their numbers."""
        for group in batch["group"].tolist():
            explain_group(self.model, self.plan, self.groups[group], self.collection, self.storage)
        return {"group": np.asarray(batch["group"])}


def run(
    model: Model,
    plan: Plan,
    groups: Sequence[Sequence[Photo]],
    storage: Storage,
    on_done: Callable[[int], None],
    workers: int | None = None,
) -> None:
    """Explain groups of photos in actors of a Ray cluster, or of this machine if there is none.

    Args:
        model: The model of the plan. Every actor loads its own: on a GPU of its own if this one is on a GPU, otherwise
            on as many cores as the plan has threads.
        plan: The plan.
        groups: The groups to do.
        storage: Storage of the results, which all machines can reach, as they can the photos.
        on_done: Called with the number of every group whose rows are stored.
        workers: Actors. Default: as many as the cluster has room for.

    Raises:
        Refusal: If there is no cluster at RAY_ADDRESS, or an actor cannot load the model or store the results.
    """
    if not groups:
        return
    began = not ray.is_initialized()
    try:
        ray.init(ignore_reinit_error=True, log_to_driver=False, logging_level="warning")
    except (ConnectionError, ray.exceptions.RayError) as error:
        raise Refusal(f"The Ray cluster does not answer: {first_line(error)}; see docs/batch.md.") from error
    ray.data.DataContext.get_current().enable_progress_bars = False
    gpu = model.device.type == "cuda"
    room = ray.cluster_resources()
    count = workers or max(1, int(room.get("GPU", 1) if gpu else room["CPU"] // plan.threads))
    numbers = ray.data.from_items(
        [{"group": each[0].group} for each in groups], override_num_blocks=min(len(groups), MAX_BLOCKS)
    )
    explained = numbers.map_batches(
        Worker,
        fn_constructor_args=(absolute(storage.place), absolute(plan.collection), model.device.type),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=min(count, len(groups))),
        num_cpus=0 if gpu else plan.threads,
        num_gpus=1 if gpu else 0,
    )
    try:
        for row in explained.iter_rows():
            on_done(int(row["group"]))
    except ray.exceptions.RayError as error:
        if isinstance(cause := getattr(error, "cause", None), Refusal):
            raise cause from error
        raise
    finally:
        if began:
            ray.shutdown()
