"""A batch of one session: its photos and results in temporary folders, and the task that explains them."""

import contextlib
import csv
import io
import json
import os
import re
import shutil
import tempfile
import threading
import time
import uuid
import weakref
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO, Any

import pyarrow as pa
import torch

from attribution.analysis import Analysis
from attribution.batch.class_maps import MeanMap, mean_maps
from attribution.batch.group import Row, explain_group
from attribution.batch.plan import PLAN, Plan, groups, stored
from attribution.batch.prototypes import Key, Prototype, prototypes
from attribution.batch.run import Run
from attribution.batch.table import COLUMNS, WIDE, done, rows
from attribution.models.record import ModelRecord
from attribution.photo.collection import ENDINGS, Collection
from attribution.photo.decode import MAX_BYTES
from attribution.photo.samples import SAMPLES
from attribution.refusal import Refusal
from attribution.result import Attribution
from attribution.settings import digest
from attribution.system.assets import asset
from attribution.system.storage import Storage
from attribution.work.analysis import loaded
from attribution.work.jobs import Job

PHOTOS_VARIABLE = "ATTRIBUTION_BATCH_PHOTOS"  # most photos of a batch
BATCH_VARIABLE = "ATTRIBUTION_BATCH_MB"  # megabytes of its photos
ALL_VARIABLE = "ATTRIBUTION_BATCHES_MB"  # megabytes of all batches of the server: photos, and room for results
USUAL = {PHOTOS_VARIABLE: 200, BATCH_VARIABLE: 100, ALL_VARIABLE: 1000}
MAX_MEMBERS = 2000  # of a ZIP; each takes memory, and most of a small file can be entries
ENTRY = b"PK\x01\x02"  # begins each entry of a ZIP's directory
ZIP = b"PK\x03\x04"  # begins a ZIP that is not empty
ROW_BYTES = 20_000  # of a map: its row in three tables, with cells and features
MAX_NAME = 50  # characters of a photo's name
SHOWN = [name for name in COLUMNS.names if name not in WIDE]  # columns that the page keeps
TEXTS = (".csv", ".json", ".html")  # endings of files that a ZIP compresses
PLACES = ["number", "window_left", "window_top"]  # columns that the pictures of prototypes need
PREFIX = "attribution-batch-"  # of temporary folders


def limit(variable: str) -> int:
    """Return a limit: that of the environment variable, or the usual one.

    Raises:
        Refusal: If the variable is not a whole number.
    """
    text = os.environ.get(variable) or str(USUAL[variable])
    if not text.isdecimal() or not int(text):
        raise Refusal(f"{variable} must be a whole number from 1, got {text!r}.")
    return int(text)


class Folder:
    """A temporary folder that is deleted with this object, and at the end of the process.

    Attributes:
        path: Its path.
        bytes: Number of bytes that it may take.
    """

    def __init__(self) -> None:
        self.path, self.bytes = Path(tempfile.mkdtemp(prefix=PREFIX)), 0
        self._removed = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
        with _lock:
            _folders.add(self)

    def reserve(self, count: int) -> None:
        """Add to the bytes that it may take.

        Raises:
            Refusal: If all folders together would then take more than the server allows.
        """
        most = limit(ALL_VARIABLE)
        with _lock:
            if sum(each.bytes for each in _folders) + count > most * 1e6:
                raise Refusal(
                    f"The server's {most} MB for batches are in use, or this batch needs more; try fewer photos or "
                    f"methods, or again later. The limit is {ALL_VARIABLE}."
                )
            self.bytes += count

    def delete(self) -> None:
        """Delete the folder before this object."""
        self._removed()


_folders: weakref.WeakSet[Folder] = weakref.WeakSet()
_lock = threading.Lock()


def delete_all() -> None:
    """Delete all folders; for the end of the process, which a signal may end at once."""
    with _lock:
        for each in list(_folders):
            each.delete()


@dataclass(frozen=True)
class _Sent:
    """A photo that was sent, by itself or in a ZIP."""

    name: str
    size: int
    open: Callable[[], Any]  # a file for reading


class Photos:
    """The photos of a session's batches, as files whose names are safe and in the order of their arrival.

    Attributes:
        folder: Their folder.
        names: Their file names.
        samples: True if they are the sample photos.
    """

    def __init__(self) -> None:
        self.folder, self.names, self.samples = Folder(), list[str](), False

    @classmethod
    def of_samples(cls) -> "Photos":
        """Return the sample photos."""
        found = cls()
        found.samples = True
        found.names = [f"{name}.jpg" for name in SAMPLES]
        found.folder.reserve(sum(asset(f"samples/{name}").stat().st_size for name in found.names))
        for name in found.names:
            shutil.copyfile(asset(f"samples/{name}"), found.folder.path / name)
        return found

    @property
    def size(self) -> int:
        """The number of bytes of all photos."""
        return self.folder.bytes

    def add(self, name: str, content: bytes) -> str:
        """Add a photo, or the photos in a ZIP; whether it can be read is found out by the batch.

        Args:
            name: Its file name, which is not trusted.
            content: The file, whose content determines whether it is a ZIP.

        Returns:
            A sentence on files of a ZIP that were left out; empty if there were none.

        Raises:
            Refusal: If it exceeds a limit, or the ZIP cannot be read; nothing is then added.
        """
        if not content.startswith(ZIP):
            self._add([_Sent(name, len(content), lambda: io.BytesIO(content))])
            return ""
        found, others = _members(_plain(name), content)
        self._add(found)
        if not others:
            return ""
        what = "1 file that is no photo was" if others == 1 else f"{others} files that are no photos were"
        return f"{_plain(name)}: {what} left out."

    def _add(self, sent: Sequence[_Sent]) -> None:
        most, size = limit(PHOTOS_VARIABLE), sum(each.size for each in sent)
        if len(self.names) + len(sent) > most:
            raise Refusal(
                f"A batch has at most {most} photos, and these would be {len(self.names) + len(sent)}; remove some, or "
                f"run the command attribution batch on your own machine. The limit is {PHOTOS_VARIABLE}."
            )
        if self.size + size > limit(BATCH_VARIABLE) * 1e6:
            raise Refusal(
                f"A batch has at most {limit(BATCH_VARIABLE)} MB of photos, and these would be "
                f"{(self.size + size) / 1e6:,.0f} MB unpacked; send smaller copies. The limit is {BATCH_VARIABLE}."
            )
        self.folder.reserve(size)
        for each in sent:
            file = f"{len(self.names) + 1:04} {_safe(each.name)}"
            # A damaged member of a ZIP is kept as far as it can be read.
            with (self.folder.path / file).open("wb") as kept, contextlib.suppress(Exception), each.open() as source:
                shutil.copyfileobj(source, kept)
            self.names.append(file)


def _members(name: str, content: bytes) -> tuple[list[_Sent], int]:
    """Return the photos in a ZIP, and the number of other files in it; nothing is unpacked.

    Raises:
        Refusal: If it is damaged, encrypted, or has too many members or no photo.
    """
    if content.count(ENTRY) > MAX_MEMBERS:  # before they are read
        raise Refusal(f"{name} has more than {MAX_MEMBERS} files; pack fewer.")
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        files = [each for each in archive.infolist() if not each.is_dir()]
    except Exception as error:  # malformed files raise many types
        raise Refusal(f"{name} is a damaged ZIP; pack it again.") from error
    chosen = [each for each in files if _is_photo(each.filename)]
    if any(each.flag_bits & 1 for each in chosen):
        raise Refusal(f"{name} is encrypted; pack it without a password.")
    if any(each.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for each in chosen):
        raise Refusal(f"{name} is packed by an unusual method; pack it again as an ordinary ZIP.")
    if not chosen:
        raise Refusal(f"{name} contains no photo; photos end in {', '.join(sorted(ENDINGS))}.")

    def sent(member: zipfile.ZipInfo) -> _Sent:  # no more than the size that it declares is ever read
        return _Sent(member.filename, min(member.file_size, MAX_BYTES + 1), lambda: _Part(archive, member))

    return [sent(each) for each in chosen], len(files) - len(chosen)


class _Part(io.RawIOBase):
    """A member of a ZIP, up to one byte more than a photo may have."""

    def __init__(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
        self._file, self._left = archive.open(member), MAX_BYTES + 1

    def read(self, size: int = -1, /) -> bytes:
        found = self._file.read(min(self._left, 1 << 16 if size < 0 else size))
        self._left -= len(found)
        return found


def _is_photo(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    hidden = any(part == "__MACOSX" or (part[0] == "." and part not in (".", "..")) for part in path.parts)
    return not hidden and path.suffix.lower() in ENDINGS


def _safe(name: str) -> str:
    """Return a file name without folders and of usual characters, with the ending of a photo."""
    path = PurePosixPath(name.replace("\\", "/"))
    ending = path.suffix.lower() if path.suffix.lower() in ENDINGS else ".jpg"
    return (re.sub(r"[^\w .()+-]", "_", path.stem)[:MAX_NAME].strip(" .") or "photo") + ending


def _plain(name: str) -> str:
    """Return a file name for messages."""
    return re.sub(r"[^\w .()+-]", "_", PurePosixPath(name.replace("\\", "/")).name)[:MAX_NAME] or "The file"


@dataclass(frozen=True, eq=False)
class Driven:
    """Prototypes and mean maps of the classes of a batch.

    Attributes:
        places: Number of the photo and place of the window, by row.
        prototypes: As `prototypes` returns them.
        means: As `mean_maps` returns them.
    """

    places: pa.Table
    prototypes: dict[Key, tuple[Prototype, ...]]
    means: dict[Key, dict[str, MeanMap]]


class Batch:
    """The photos, the plan and the results of a batch.

    Attributes:
        photos: The photos.
        count: Number of photos.
        analysis: Model, methods, target and crop.
        record: Record of the model.
        device: Device, as for `attribution.load_model`.
        job: The last job that explains them; None before the first.
        thumbnails: Small copies of its pictures as data URLs, by file; 200 photos with four maps take 6 MB.
    """

    def __init__(self, photos: Photos, analysis: Analysis, record: ModelRecord, device: str) -> None:
        """Reserve room for the results.

        Raises:
            Refusal: If there is no photo or method, or no room.
        """
        if not photos.names:
            raise Refusal("No photo yet; add some.")
        if not analysis.methods:
            raise Refusal("Choose at least one method in the sidebar.")
        self.photos, self.count, self.record, self.device = photos, len(photos.names), record, device
        self.analysis = replace(analysis, beside=(), also=())
        self.job: Job[Explained] | None = None
        self.thumbnails: dict[str, str] = {}
        self._driven: tuple[int, Driven] | None = None
        height, width = record.facts().preprocessing.size
        each = 3 * height * width + ROW_BYTES  # of a picture at most, since PNG and JPEG are smaller
        self._folder = Folder()
        self._folder.reserve(self.count * (1 + len(self.analysis.methods)) * each)
        self._list = photos.folder.path / f"{uuid.uuid4().hex}.csv"  # photos may be added for the next batch
        with self._list.open("w", newline="") as file:
            csv.writer(file).writerows([["photo"], *([name] for name in photos.names)])
        self.storage, self._collecting = Storage(str(self._folder.path)), threading.Lock()

    @cached_property
    def key(self) -> str:
        """A key of its own, since nobody else has these photos."""
        return digest("batch", str(self._folder.path))

    @property
    def plan(self) -> Plan:
        """The plan; all cores share a pass, as in the other jobs of the server."""
        return Plan(str(self._list), self.analysis, threads=torch.get_num_threads())

    def photo(self, name: str) -> bytes:
        """Read a photo as it was sent.

        Raises:
            Refusal: If it cannot be read.
        """
        return Collection(str(self.photos.folder.path)).read(name)

    def driven(self, count: int) -> "Driven":
        """Return what drives the classes of the first `count` rows, which are all so far; kept until there are more."""
        if self._driven is None or self._driven[0] != count:
            table = rows(self.storage)
            self._driven = count, Driven(table.select(PLACES), prototypes(table), mean_maps(table))
        return self._driven[1]

    @property
    def _source(self) -> str:
        return "samples" if self.photos.samples else "uploads"

    def archive(self, file: IO[bytes]) -> None:
        """Write all results so far into a ZIP; no path of this server is in it."""
        with self._collecting:
            Run(stored(self.storage), self.storage).collect(self._source)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as packed:  # pictures and Parquet are compressed
            for name in self.storage.names():
                content = self.storage.read(name)
                if name == PLAN:
                    facts = json.loads(content) | {"collection": self._source}
                    content = (json.dumps(facts, indent=2) + "\n").encode()
                if not name.startswith("rows/"):  # they are in the table
                    packed.writestr(name, content, zipfile.ZIP_DEFLATED if name.endswith(TEXTS) else None)


@dataclass(frozen=True, eq=False)
class Explained:
    """The results of a batch so far.

    Attributes:
        rows: Rows of the table, without the wide columns.
        done: Number of photos that are done.
        pace: Photos a second; 0 before the first.
        finished: True if all photos are done.
    """

    rows: tuple[Row, ...]
    done: int
    pace: float = 0.0
    finished: bool = False


@dataclass(frozen=True, eq=False)
class BatchTask:
    """The explanation of the photos of a batch that are not done.

    Attributes:
        batch: The batch.
        owner: Id of the session, as the jobs know it. The job goes on as long as its browser is connected.
    """

    batch: Batch
    owner: str

    @property
    def key(self) -> str:
        """Key of the job."""
        return self.batch.key

    @property
    def device(self) -> str:
        """The device that the task needs."""
        return self.batch.device

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.batch.record.name

    def compute(self, job: Job[Explained]) -> Explained:
        """Explain the photos group by group; called in the job's thread."""
        batch = self.batch
        model = loaded(batch, job, job.report)
        plan, storage = replace(batch.plan, weights=model.weights), batch.storage
        photos, earlier = plan.resume(storage), done(storage)
        collection = Collection(plan.collection)
        kept: list[Row] = rows(storage).select(SHOWN).to_pylist()
        count = sum(photo.group in earlier for photo in photos)
        begun, first = time.monotonic(), count
        found = Explained(tuple(kept), count)
        job.report(count / len(photos), _said(found, len(photos)), found)
        for group in groups(photos):
            if group[0].group in earlier:
                continue
            size = len(group)

            def progressed(fraction: float, partial: Attribution | None, before: int = count, size: int = size) -> None:
                del partial
                job.look(self.owner)  # also while another page is shown
                job.report((before + size * fraction) / len(photos))

            new = explain_group(model, plan, group, collection, storage, progressed)
            kept += [{name: row.get(name) for name in SHOWN} for row in new]
            count += size
            pace = (count - first) / max(1e-9, time.monotonic() - begun)
            found = Explained(tuple(kept), count, pace)
            job.report(count / len(photos), _said(found, len(photos)), found)
        return replace(found, finished=True)

    def remembered(self) -> Explained | None:
        """Return None, since a batch is not cached."""
        return None


def _said(found: Explained, count: int) -> str:
    pace = f", {found.pace:.1f} photos/s" if found.pace else ""
    return f"{found.done} of {count} photos{pace}"
