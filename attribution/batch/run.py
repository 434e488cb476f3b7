"""The run of a batch: from a plan to the collected table and the gallery, by one of the engines."""

import importlib
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Protocol, cast

from attribution.analysis import Analysis
from attribution.batch.gallery import gallery
from attribution.batch.plan import Photo, Plan, groups
from attribution.batch.table import collect, done, rows
from attribution.network.model import Model
from attribution.refusal import Refusal
from attribution.settings import plain, write
from attribution.system.storage import Storage
from attribution.targets.target import SCORES

GALLERY = "gallery.html"
ENGINES = {"local": "attribution.batch.local", "ray": "attribution.batch.distributed"}


class Engine(Protocol):
    """The module of an engine."""

    def run(
        self,
        model: Model,
        plan: Plan,
        groups: Sequence[Sequence[Photo]],
        storage: Storage,
        on_done: Callable[[int], None],
        workers: int | None = None,
    ) -> None:
        """Explain groups of photos; see `local.run`."""


class Run:
    """A batch that may be begun, interrupted, resumed and collected.

    Attributes:
        plan: The plan.
        storage: Storage of the results.
        photos: All photos.
    """

    def __init__(self, plan: Plan, storage: Storage) -> None:
        """Store the plan, or resume the stored one.

        Raises:
            Refusal: As for `Plan.resume`.
        """
        self.plan, self.storage = plan, storage
        self.photos = plan.resume(storage)
        self._done = done(storage)

    @property
    def photos_done(self) -> int:
        """The number of photos whose rows are stored."""
        return sum(photo.group in self._done for photo in self.photos)

    def go(self, model: Model, engine: str, workers: int | None, on_photos: Callable[[int], None]) -> None:
        """Explain the photos that are not done.

        Args:
            model: The model of the plan.
            engine: A key of ENGINES.
            workers: Groups at a time, or actors; None for the usual number.
            on_photos: Called with the number of photos whose rows have been stored.

        Raises:
            Refusal: If the engine is not installed, or the results cannot be stored.
        """
        missing = [each for each in groups(self.photos) if each[0].group not in self._done]
        sizes = {each[0].group: len(each) for each in missing}

        def finished(group: int) -> None:
            self._done.add(group)
            on_photos(sizes[group])

        _engine(engine).run(model, self.plan, missing, self.storage, finished, workers)

    def collect(self, name: str = "") -> int:
        """Write `table.parquet`, `table.csv` and `gallery.html` from the rows so far.

        Args:
            name: Name of the photos, for the gallery. Default: that of the collection.

        Returns:
            The number of rows without a map.
        """
        refused = collect(self.storage)
        page = gallery(rows(self.storage), self._heading(name), self._facts(), write(self.plan.leading))
        self.storage.write(GALLERY, page.encode(errors="replace"))
        return refused

    def _heading(self, name: str) -> str:
        return f"Photos of {name or PurePath(self.plan.collection).name}"

    def _facts(self) -> dict[str, str]:
        analysis, done = self.plan.analysis, self.photos_done
        asked = plain(analysis)
        further = {"Class": "target", "Against class": "versus", "Crop": "crop"}
        default = plain(Analysis())
        return {
            "Model": analysis.model,
            "Photos": f"{done}" if done == len(self.photos) else f"{done} of {len(self.photos)}",
            "Score": SCORES[analysis.score].title.lower(),
            **{name: str(asked[key]) for name, key in further.items() if asked[key] != default[key]},
            "Covered with": write(self.plan.fill),
        }


def _engine(name: str) -> Engine:
    try:
        return cast(Engine, importlib.import_module(ENGINES[name]))
    except ModuleNotFoundError as error:
        raise Refusal(f"The engine {name} needs the package {error.name}; install requirements-{name}.txt.") from error
