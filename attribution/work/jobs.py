"""Background jobs: one worker per device, a bounded queue, progress, cancellation, one job per key.

Independent of networks and pages. Submitting the key of an active job returns that job. A session's new job replaces
its old one and inherits its place in the queue. Sessions that submit the same key share one job, which keeps its place
and stops only when all of them have left it or are disconnected.
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

MAX_QUEUED_JOBS = 64  # jobs queued per device, one per session
MAX_JOBS_PER_ADDRESS = 8  # jobs queued per IP address when the queue is nearly full
RESERVED_PLACES = 16  # places for IP addresses with fewer jobs; a school class behind one address fits in the rest
MAX_SECONDS = 900.0  # seconds that a job may run
MIN_FRACTION = 0.1  # smallest fraction done at which the time left is estimated
NEWEST_WEIGHT = 0.3  # weight of the newest job in a device's running mean of durations
MAX_SILENCE = 120.0  # seconds without a poll before a session counts as gone; hidden tabs poll once a minute


class Cancelled(Exception):
    """Raised inside a job when no session is waiting for it any more."""


class Overdue(Exception):
    """Raised inside a job when it has run too long."""


class Job(Generic[R]):
    """One unit of background work.

    Attributes:
        key: Text that identifies the result.
        state: "queued", "running", "done", "failed" or "cancelled".
        fraction: Fraction done, in [0, 1].
        message: Current activity, for display.
        so_far: Unfinished result; kept if the job is cancelled or fails. None if there is none, and once it is done.
        result: Result of the work, once the state is "done".
        sentence: Reason for the failure, for display, once the state is "failed".
        seconds: Running time in seconds, so far or in total.
        address: IP address of the session that submitted it; empty if unknown.
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
        """Create a queued job; arguments as for `Jobs` and `Jobs.submit`."""
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
        self._lock = threading.Lock()  # guards the owners
        self._owners = {owner: time.monotonic()}  # time of each session's last poll

    @classmethod
    def done(cls, key: str, result: R) -> "Job[R]":
        """Return a finished job with a known result."""
        job = cls(key, lambda _: result, owner="")
        job.result, job.state = result, "done"
        return job

    @property
    def active(self) -> bool:
        """True if the job is queued or running."""
        return self.state in ("queued", "running")

    @property
    def name(self) -> str:
        """Eight hexadecimal digits of the key's SHA-256, for the log."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:8]

    @property
    def seconds(self) -> float:
        return (self._ended or time.monotonic()) - self._started if self._started else 0.0

    @property
    def left(self) -> float | None:
        """The estimated seconds left, from the fraction done; None if there is no estimate yet."""
        if self.fraction < MIN_FRACTION:
            return None
        return self.seconds * (1 - self.fraction) / self.fraction

    @property
    def wanted(self) -> bool:
        """True if at least one session is still waiting for the job."""
        now = time.monotonic()
        return any(now - looked < MAX_SILENCE and self._alive(owner) for owner, looked in self._owners.copy().items())

    def look(self, owner: str) -> bool:
        """Record a poll by a session; return False if the session has left this job."""
        with self._lock:
            if owner not in self._owners:
                return False
            self._owners[owner] = time.monotonic()
            return True

    def _join(self, owner: str) -> None:
        with self._lock:
            self._owners[owner] = time.monotonic()

    def _leave(self, owner: str) -> bool:
        """Remove a session; return True if others remain."""
        with self._lock:
            self._owners.pop(owner, None)
            return bool(self._owners)

    def report(self, fraction: float, message: str = "", so_far: R | None = None) -> None:
        """Record progress; called often by the work. Omitted arguments keep their last value.

        Raises:
            Cancelled: If no session is waiting for the result any more.
            Overdue: If the job has run too long.
        """
        if not self.wanted:
            raise Cancelled
        if self.seconds > self._limit:
            raise Overdue
        self.fraction, self.message, self.so_far = fraction, message or self.message, so_far or self.so_far

    def _run(self) -> bool:
        """Run the work; return True if it succeeded."""
        self._started = time.monotonic()
        try:
            self.result = self._work(self)
            self.state = "done"
        except Cancelled:
            self.state = "cancelled"
        except Refusal as refusal:
            self.sentence, self.state = str(refusal), "failed"
        except Overdue:
            remedy = "choose fewer methods, classes or steps, or a smaller model"
            self.sentence = f"Stopped after the limit of {self._limit:.0f} s; {remedy}."
            self.state = "failed"
        except BaseException as failure:  # any failure, so that the worker survives
            what = "Out of memory; choose a smaller model" if exhausted(failure) else "Something went wrong"
            self.sentence, self.state = report(failure, what, job=self.name, **self.about), "failed"
        finally:
            self._ended = time.monotonic()
            if self.state == "done":
                self.so_far = None
            del self._work  # may reference a photo, and sessions keep their last job
        return self.state == "done"


class Jobs(Generic[R]):
    """The jobs of this process."""

    def __init__(
        self,
        queue: int = MAX_QUEUED_JOBS,
        alive: Callable[[str], bool] = lambda owner: True,
        limit: float = MAX_SECONDS,
    ) -> None:
        """Create an empty queue; a device's worker starts with its first job.

        Args:
            queue: Maximum number of queued jobs per device.
            alive: Returns True if a session is connected; jobs of disconnected sessions are stopped and evicted.
            limit: Maximum running time of a job in seconds.
        """
        self._queue, self._alive, self._limit = queue, alive, limit
        self._running: dict[str, Job[R]] = {}  # by device
        self._mean: dict[str, float] = {}  # mean duration of a job in seconds, by device
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
        """Queue a job, and leave the session's older jobs.

        Args:
            device: The device whose worker runs it.
            key: Identifies the result; must change whenever the result would.
            owner: Id of the session.
            work: Called with the job, to which it reports progress. A Refusal becomes the job's sentence.
            about: Fields for the log.
            address: IP address of the session. Default: unknown, which is not limited.

        Returns:
            The job; shared with other sessions if the key is already active.

        Raises:
            Refusal: If the queue is full, or its last places are reserved for other IP addresses.
        """
        with self._lock:
            if key in self._active:
                self._leave(owner, except_key=key)
                self._active[key]._join(owner)
                return self._active[key]
            if device not in self._waiting:
                self._waiting[device] = deque()
                threading.Thread(target=self._serve, args=(device,), name=f"jobs on {device}", daemon=True).start()
            queued = self._evict(device)
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
        """Raise a Refusal if an IP address may not queue another job."""
        if len(queued) >= self._queue:
            raise Refusal(f"The queue is full ({len(queued)} analyses); try again in a minute.")
        own = sum(job.address == address for job in queued)
        if address and own >= MAX_JOBS_PER_ADDRESS and len(queued) >= self._queue - RESERVED_PLACES:
            raise Refusal(f"Too many analyses from your network are queued ({own}); try again in a minute.")

    def cancel(self, owner: str) -> None:
        """Remove a session from all its jobs; a job without sessions stops at its next report."""
        with self._lock:
            self._leave(owner)

    def close(self, patience: float) -> None:
        """Start no more jobs, and stop running ones at their next report.

        If the process exited during a job, it would leave a partial download behind, and torch would abort.

        Args:
            patience: Maximum seconds to wait for running jobs.
        """
        with self._lock:
            self._closed = True
            for job in list(self._active.values()):
                for owner in list(job._owners):
                    self._leave(owner)
            self._lock.wait_for(lambda: not self._running, patience)

    def ahead(self, job: Job[R]) -> int:
        """Return the number of jobs queued ahead of a queued job."""
        with self._lock:
            return self._place(job)[1]

    def behind(self, job: Job[R]) -> int:
        """Return the number of jobs queued behind a running job."""
        with self._lock:
            return next((len(self._queued(device)) for device, each in self._running.items() if each is job), 0)

    def wait(self, job: Job[R]) -> float | None:
        """Return the estimated seconds until a queued job starts; None if there is no estimate yet.

        Uses the running job's pace so far, and the mean duration of past jobs for each queued one.
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
        """Return the device for which a job is queued and the number of jobs ahead; ("", 0) if it is not queued."""
        for device in self._waiting:
            if job in (queued := self._queued(device)):
                return device, queued.index(job)
        return "", 0

    def _queued(self, device: str) -> list[Job[R]]:
        """Return the queued jobs of a device for which a session is still waiting."""
        return [job for job in self._waiting[device] if job.wanted]

    def _evict(self, device: str) -> deque[Job[R]]:
        """Drop the queued jobs of a device for which no session is waiting, and return the queue."""
        for job in [job for job in self._waiting[device] if not job.wanted]:
            self._drop(job)
        return self._waiting[device]

    def _leave(self, owner: str, except_key: str | None = None) -> None:
        for key, job in list(self._active.items()):
            if key == except_key or owner not in job._owners:
                continue
            if not job._leave(owner):
                self._drop(job)

    def _drop(self, job: Job[R]) -> None:
        if self._active.get(job.key) is job:
            del self._active[job.key]  # a later request for this key creates a new job
        if job.state == "queued":
            job.state = "cancelled"
        for line in self._waiting.values():
            if job in line:
                line.remove(job)

    def _serve(self, device: str) -> None:
        """Run the jobs of one device until the process exits."""
        while True:
            with self._lock:
                while self._closed or not self._evict(device):
                    self._lock.wait()
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
            del job  # so that an idle worker holds no reference to it
            with self._lock:
                del self._running[device]
                self._lock.notify_all()
