"""Long work: one worker for each device, a bounded queue, progress, cancel, one job for each key.

It depends on neither networks nor pages. A session may submit the same key again and again: the job is the same while
it is active. Its newest job replaces its older one and takes over its place in the queue. Sessions that submit the same
key share one job, which keeps its place and stops only when all of them have left it or are disconnected.
"""

import hashlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Literal, TypeVar

from attribution.refusal import Refusal
from attribution.system.incident import report
from attribution.system.memory import exhausted, give_back

R = TypeVar("R")
State = Literal["queued", "running", "done", "failed", "cancelled"]

MAX_QUEUED = 64  # jobs queued for one device, one for each session
MAX_PER_ADDRESS = 8  # jobs of one network address that may be queued while the queue is nearly full
RESERVED_PLACES = 16  # places of the queue for addresses with fewer jobs; a class behind one address fits in the rest
MAX_SECONDS = 900.0  # seconds that a job may run
MIN_FRACTION = 0.1  # fraction done from which the time left is estimated
NEWEST_WEIGHT = 0.3  # weight of the newest job in the mean duration of a device's jobs
MAX_SILENCE = 120.0  # seconds without a look after which a session counts as gone; a hidden tab looks once a minute


class Cancelled(Exception):
    """Raised inside a job that no session waits for any more."""


class Overdue(Exception):
    """Raised inside a job that has run too long."""


class Job(Generic[R]):
    """One piece of work.

    Attributes:
        key: Text that identifies the result.
        state: "queued", "running", "done", "failed" or "cancelled".
        fraction: Fraction done, in [0, 1].
        message: Current activity, for people.
        so_far: Unfinished result; None before there is one.
        result: Result of the work, once the state is "done".
        sentence: Reason of the failure, for people, once the state is "failed".
        seconds: Seconds that it has run so far, or in all.
        address: Network address of the session that submitted it; empty if unknown.
    """

    def __init__(
        self,
        key: str,
        work: Callable[["Job[R]"], R],
        owner: str,
        about: Mapping[str, str] | None = None,
        alive: Callable[[str], bool] = lambda owner: True,
        limit: float = MAX_SECONDS,
        address: str = "",
    ) -> None:
        """Make a queued job; arguments as for `Jobs` and `Jobs.submit`."""
        self.key = key
        self.state: State = "queued"
        self.fraction = 0.0
        self.message = ""
        self.so_far: R | None = None
        self.result: R | None = None
        self.sentence = ""
        self.about = dict(about or {})
        self.address = address
        self._alive, self._limit = alive, limit
        self._started = self._ended = 0.0
        self._work = work
        self._lock = threading.Lock()  # of the owners
        self._owners = {owner: time.monotonic()}  # when each looked last

    @classmethod
    def done(cls, key: str, result: R) -> "Job[R]":
        """Return a finished job for a result that is known already."""
        job = cls(key, lambda _: result, owner="")
        job.result, job.state = result, "done"
        return job

    @property
    def active(self) -> bool:
        """True if it is queued or running."""
        return self.state in ("queued", "running")

    @property
    def name(self) -> str:
        """The key as eight hexadecimal digits, for the log."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:8]

    @property
    def seconds(self) -> float:
        return (self._ended or time.monotonic()) - self._started if self._started else 0.0

    @property
    def left(self) -> float | None:
        """The estimated seconds left, from the fraction done; None before there is an estimate."""
        if self.fraction < MIN_FRACTION:
            return None
        return self.seconds * (1 - self.fraction) / self.fraction

    @property
    def wanted(self) -> bool:
        """True if some session still waits for it."""
        now = time.monotonic()
        return any(now - looked < MAX_SILENCE and self._alive(owner) for owner, looked in self._owners.copy().items())

    def look(self, owner: str) -> bool:
        """Record that a session still waits for this job; return False if it has left it."""
        with self._lock:
            if owner not in self._owners:
                return False
            self._owners[owner] = time.monotonic()
            return True

    def _join(self, owner: str) -> None:
        with self._lock:
            self._owners[owner] = time.monotonic()

    def _leave(self, owner: str) -> bool:
        """Remove a session; return True if another one still waits."""
        with self._lock:
            self._owners.pop(owner, None)
            return bool(self._owners)

    def report(self, fraction: float, message: str = "", so_far: R | None = None) -> None:
        """Record the progress; called often by the work. Arguments that are left out keep their last value.

        Raises:
            Cancelled: If no session waits for the result any more.
            Overdue: If the work has taken too long.
        """
        if not self.wanted:
            raise Cancelled
        if self.seconds > self._limit:
            raise Overdue
        self.fraction, self.message, self.so_far = fraction, message or self.message, so_far or self.so_far

    def _run(self) -> bool:
        """Run the work; return True if it finished."""
        self._started = time.monotonic()
        try:
            self.result = self._work(self)
            self.state = "done"
        except Cancelled:
            self.state = "cancelled"
        except Refusal as refusal:
            self.sentence, self.state = str(refusal), "failed"
        except Overdue:
            self.sentence = (
                f"This took longer than {self._limit:.0f} s and was stopped; choose fewer methods, fewer steps or a "
                "smaller model."
            )
            self.state = "failed"
        except BaseException as failure:  # of whatever type: the worker serves the next job
            what = "Out of memory; choose a smaller model" if exhausted(failure) else "Something went wrong"
            self.sentence, self.state = report(failure, what, job=self.name, **self.about), "failed"
        finally:
            self._ended = time.monotonic()
            self.so_far = None
            del self._work  # it may hold a photo, and a session keeps its last job
        return self.state == "done"


class Jobs(Generic[R]):
    """All jobs of this process."""

    def __init__(
        self, queue: int = MAX_QUEUED, alive: Callable[[str], bool] = lambda owner: True, limit: float = MAX_SECONDS
    ) -> None:
        """Start no worker yet; that of a device starts with its first job.

        Args:
            queue: Jobs that may be queued for one device.
            alive: True if a session is connected; jobs of one that is not are stopped and evicted.
            limit: Seconds that a job may run.
        """
        self._queue, self._alive, self._limit = queue, alive, limit
        self._running: dict[str, Job[R]] = {}  # by device
        self._mean: dict[str, float] = {}  # seconds of a job, by device
        self._lock = threading.Condition()
        self._waiting: dict[str, deque[Job[R]]] = {}  # by device
        self._active: dict[str, Job[R]] = {}  # queued and running, by key
        self._closed = False

    def submit(
        self,
        device: str,
        key: str,
        owner: str,
        work: Callable[[Job[R]], R],
        about: Mapping[str, str] | None = None,
        address: str = "",
    ) -> Job[R]:
        """Queue a job, and leave the older jobs of the session.

        Args:
            device: The device whose worker runs it.
            key: Identifies the result; must change whenever the result would.
            owner: The session.
            work: Called with the job, to which it reports. A Refusal becomes the job's sentence.
            about: Fields for the log.
            address: Network address of the session. Default: unknown, which is not limited.

        Returns:
            The job; shared with other sessions if the key is active already.

        Raises:
            Refusal: If the queue is full, or its last places are reserved for other addresses.
        """
        with self._lock:
            if key in self._active:
                self._leave(owner, except_key=key)
                self._active[key]._join(owner)
                return self._active[key]
            if device not in self._waiting:
                self._waiting[device] = deque()
                threading.Thread(target=self._serve, args=(device,), name=f"jobs on {device}", daemon=True).start()
            self._evict(device)
            queued = self._waiting[device]
            place = next((place for place, job in enumerate(queued) if set(job._owners) == {owner}), len(queued))
            if place == len(queued):
                self._refuse(queued, address)
            self._leave(owner)
            job = Job(key, work, owner, about, self._alive, self._limit, address)
            self._active[key] = job
            queued.insert(place, job)
            self._lock.notify_all()
            return job

    def _refuse(self, queued: Sequence[Job[R]], address: str) -> None:
        """Raise a Refusal if there is no place for another job of an address."""
        if len(queued) >= self._queue:
            raise Refusal(f"{len(queued)} analyses are queued already; try again in a minute.")
        own = sum(job.address == address for job in queued)
        if address and own >= MAX_PER_ADDRESS and len(queued) >= self._queue - RESERVED_PLACES:
            raise Refusal(f"{own} analyses from your network are queued already; try again in a minute.")

    def cancel(self, owner: str) -> None:
        """Leave all jobs of a session; a job without a session stops at its next report."""
        with self._lock:
            self._leave(owner)

    def close(self, patience: float) -> None:
        """Start no more jobs, and stop the running ones at their next report.

        A process that ends in the middle of one would leave a half-written download, and torch would abort.

        Args:
            patience: Seconds to wait for them, at most.
        """
        with self._lock:
            self._closed = True
            for job in list(self._active.values()):
                for owner in list(job._owners):
                    self._leave(owner)
            self._lock.wait_for(lambda: not self._running, patience)

    def ahead(self, job: Job[R]) -> int:
        """Return the number of jobs queued in front of a job."""
        with self._lock:
            return self._place(job)[1]

    def behind(self, job: Job[R]) -> int:
        """Return the number of jobs queued behind a running job."""
        with self._lock:
            return next((len(self._queued(device)) for device, each in self._running.items() if each is job), 0)

    def wait(self, job: Job[R]) -> float | None:
        """Return the estimated seconds until a queued job starts; None before there is an estimate.

        The running job is taken at its pace so far, and each queued one at the mean duration of those before.
        """
        with self._lock:
            device, place = self._place(job)
            mean, running = self._mean.get(device), self._running.get(device)
            left = running.left if running else 0.0
            if running and left is None and mean is not None and mean > running.seconds:
                left = mean - running.seconds
            if left is None or not device or (place and mean is None):
                return None
            return left + place * (mean or 0.0)

    def _place(self, job: Job[R]) -> tuple[str, int]:
        """Return the device that a job is queued for and the number of jobs in front; no device if it is not queued."""
        for device in self._waiting:
            if job in (queued := self._queued(device)):
                return device, queued.index(job)
        return "", 0

    def _queued(self, device: str) -> list[Job[R]]:
        """Return the queued jobs of a device that a session still waits for."""
        return [job for job in self._waiting[device] if job.wanted]

    def _evict(self, device: str) -> None:
        """Drop the queued jobs of a device that no session waits for."""
        for job in [job for job in self._waiting[device] if not job.wanted]:
            self._drop(job)

    def _leave(self, owner: str, except_key: str | None = None) -> None:
        for key, job in list(self._active.items()):
            if key == except_key or owner not in job._owners:
                continue
            if not job._leave(owner):
                self._drop(job)

    def _drop(self, job: Job[R]) -> None:
        if self._active.get(job.key) is job:
            del self._active[job.key]  # a later request for this key makes a new job
        if job.state == "queued":
            job.state = "cancelled"
        for line in self._waiting.values():
            if job in line:
                line.remove(job)

    def _serve(self, device: str) -> None:
        """Run the jobs of one device, for as long as the process lives."""
        while True:
            with self._lock:
                while self._closed or not self._queued(device):
                    self._lock.wait()
                self._evict(device)
                job = self._running[device] = self._waiting[device].popleft()
                job.state = "running"
            finished = job._run()
            with self._lock:
                if self._active.get(job.key) is job:
                    del self._active[job.key]
                if finished:
                    before = self._mean.get(device, job.seconds)
                    self._mean[device] = before + NEWEST_WEIGHT * (job.seconds - before)
            said = {"job": job.name, "state": job.state, "seconds": round(job.seconds, 2), **job.about}
            said["reason"] = job.sentence
            logging.getLogger(__name__).info("job ended", extra=said)
            give_back()
            del job  # so that nothing of it is kept while the worker is idle
            with self._lock:
                del self._running[device]
                self._lock.notify_all()
