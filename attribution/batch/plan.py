"""The plan of a batch: its settings, and its photos in groups. It is stored with the results, so that a run resumes."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import PurePath
from typing import Any

from attribution.analysis import Analysis
from attribution.baselines.baseline import Baseline
from attribution.baselines.covered import FILLS
from attribution.baselines.photo import Blur
from attribution.methods.method import Method
from attribution.network.model import Model
from attribution.network.scorer import CHUNK_SIZES
from attribution.photo.collection import BOX, Collection, Entry, box_of
from attribution.refusal import Refusal
from attribution.settings import plain, read, restore, write
from attribution.system.storage import Storage, absolute
from attribution.targets.target import Target

PLAN, PHOTOS = "plan.json", "photos.csv"
UNDECODABLE = "surrogateescape"  # bytes of file names that are not UTF-8
COLUMNS = ("number", "group", "photo", "target", *BOX)


@dataclass(frozen=True)
class Photo:
    """A photo of a batch.

    Attributes:
        number: Its place in the batch, from 0.
        group: The group in which it is explained.
        entry: The photo in its collection.
    """

    number: int
    group: int
    entry: Entry

    @property
    def folder(self) -> str:
        """The folder of its pictures, within the results."""
        return f"photos/{self.number:06}"


@dataclass(frozen=True)
class Plan:
    """Everything on which the rows of a batch depend, except the photos.

    Attributes:
        collection: Path or URL of the photos.
        analysis: Model, methods, target and crop; its photo is ignored.
        listed: True if each photo's class is that of the column `target`, where it is not empty.
        fill: Image that covers the strongest window.
        raw: True to store the raw values, too.
        group: Photos that share a pass.
        threads: Threads of a pass on the CPU. Default: 1, so that any number of cores computes the same bytes.
        weights: SHA-256 of the model's weights.
    """

    collection: str
    analysis: Analysis
    listed: bool = False
    fill: Baseline = Blur()
    raw: bool = False
    group: int = CHUNK_SIZES["cpu"]
    threads: int = 1
    weights: str = ""

    @property
    def methods(self) -> tuple[Method, ...]:
        """The methods with their settings, each once."""
        return tuple(dict.fromkeys(self.analysis.methods))

    @property
    def leading(self) -> Method:
        """The method whose strongest windows are covered: the first complete one, or the first of all."""
        return next((method for method in self.methods if method.complete), self.methods[0])

    def target(self, model: Model, entry: Entry) -> Target:
        """Return the target of a photo.

        Raises:
            Refusal: If the model does not have the class of the list.
        """
        target = self.analysis.full_target
        if self.listed and entry.target:
            target = replace(target, index=model.find_class(entry.target))
        target.check(len(model.classes), model.output)
        return target

    def facts(self) -> dict[str, Any]:
        """Return the settings as JSON-compatible values."""
        analysis = {name: value for name, value in plain(self.analysis).items() if name != "photo"}
        kept = ("collection", "listed", "raw", "group", "threads", "weights")
        own = {name: getattr(self, name) for name in kept}
        return {**own, "fill": write(self.fill), "leading": write(self.leading), "analysis": analysis}

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "Plan":
        """Return the plan with these settings."""
        own = {name: value for name, value in facts.items() if name != "leading"}
        return cls(**{**own, "fill": read(own["fill"], FILLS), "analysis": restore(Analysis, own["analysis"])})

    def resume(self, storage: Storage) -> list[Photo]:
        """Store the plan, or compare it with the stored one; return all photos.

        New photos of the collection follow those of the earlier run.

        Raises:
            Refusal: If the folder contains a batch with other settings, targets or boxes, or the collection cannot be
            read.
        """
        earlier: list[Photo] = []
        if storage.has(PLAN):
            self._compare(json.loads(storage.read(PLAN)), storage.place)
            earlier = photos(storage) if storage.has(PHOTOS) else []
        known = {photo.entry.name: photo.entry for photo in earlier}
        entries = self._entries(storage)
        for entry in entries:
            if known.get(entry.name, entry) != entry:
                raise Refusal(
                    f"{entry.name} has another target or box than when {storage.place} was begun; choose another "
                    "folder."
                )
        new = [entry for entry in entries if entry.name not in known]
        first = earlier[-1].group + 1 if earlier else 0
        found = [
            *earlier,
            *(Photo(len(earlier) + place, first + place // self.group, entry) for place, entry in enumerate(new)),
        ]
        storage.write(PHOTOS, _sheet(found))
        storage.write(PLAN, (json.dumps(self.facts(), indent=2) + "\n").encode())
        return found

    def _entries(self, storage: Storage) -> list[Entry]:
        """Return the photos of the collection, without the pictures of a batch that is stored inside it."""
        root, out = PurePath(absolute(self.collection)), PurePath(absolute(storage.place))
        entries = Collection(self.collection).entries()
        if not out.is_relative_to(root):
            return entries
        if out == root:
            raise Refusal(f"The results cannot be stored among the photos in {storage.place}; choose another folder.")
        inside = out.relative_to(root)
        return [entry for entry in entries if not PurePath(entry.name).is_relative_to(inside)]

    def _compare(self, earlier: Mapping[str, Any], place: str) -> None:
        before = _flat(earlier)
        for name, value in _flat(self.facts()).items():
            if before.get(name) != value:
                raise Refusal(
                    f"{place} contains a batch with {name} {before.get(name)}, not {value}; choose another folder."
                )


def groups(photos: Sequence[Photo]) -> list[list[Photo]]:
    """Return the photos of each group."""
    return [list(found) for _, found in groupby(photos, lambda photo: photo.group)]


def photos(storage: Storage) -> list[Photo]:
    """Return the stored photos of a batch."""
    lines = csv.DictReader(io.StringIO(storage.read(PHOTOS).decode(errors=UNDECODABLE), newline=""))
    return [
        Photo(
            int(line["number"]),
            int(line["group"]),
            Entry(line["photo"], line["target"], box_of(line)),
        )
        for line in lines
    ]


def stored(storage: Storage) -> Plan:
    """Return the stored plan.

    Raises:
        Refusal: If there is none.
    """
    return Plan.of(json.loads(storage.read(PLAN)))


def _flat(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {**facts["analysis"], **facts, "analysis": None, "collection": None}  # which may have moved


def _sheet(found: Sequence[Photo]) -> bytes:
    text = io.StringIO(newline="")
    lines = csv.writer(text)
    lines.writerow(COLUMNS)
    for photo in found:
        lines.writerow(
            [photo.number, photo.group, photo.entry.name, photo.entry.target, *(photo.entry.box or ("",) * 4)]
        )
    return text.getvalue().encode(errors=UNDECODABLE)
