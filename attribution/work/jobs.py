"""Work that takes time: one worker a device, a bounded queue, progress, cancel, single flight by key.

Knows nothing of networks or pages. A session asks with `Jobs.submit`, again and again if it likes: the same key gives
the same job while it is at work. Its newest job replaces its older one and takes its place in the line. Sessions that
ask for the same key share one job, which keeps its place and stops only when all of them have left it or are gone.
"""

import hashlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Generic, Literal, TypeVar

from attribution.refusal import Refusal
from attribution.system.incident import report
from attribution.system.memory import exhausted, give_back

R = TypeVar("R")
State = Literal["queued", "running", "done", "failed", "cancelled"]

QUEUE = 64  # jobs that may wait for one device, one a session
LIMIT = 900.0  # seconds that a job may work
TELLING = 0.1  # of a job, from which on its pace is told
WEIGHT = 0.3  # of the last job in the mean time of a device's jobs
SILENCE = 120.0  # seconds after which a session that does not look has gone; a hidden tab looks once a minute


class Cancelled(Exception):
    """Raised inside a job that nobody wants any more."""


class Overdue(Exception):
    """Raised inside a job that has worked too long."""


class Job(Generic[R]):
    """One piece of work.

    Attributes:
        key: Jobs of one key give one result.
        state: "queued", "running", "done", "failed" or "cancelled".
        fraction: Done so far, in [0, 1].
        message: What is being done, for people.
        so_far: What the work has found until now.
        result: What the work returned, once the state is "done".
        sentence: Why it failed, for people, once the state is "failed".
        seconds: That it has worked so far, or did.
    """

    def __init__(
        self,
        key: str,
        work: Callable[["Job[R]"], R],
        owner: str,
        about: Mapping[str, str] | None = None,
        alive: Callable[[str], bool] = lambda owner: True,
        limit: float = LIMIT,
    ) -> None:
        """Wait to be run; arguments as for `Jobs` and `Jobs.submit`."""
        self.key = key
        self.state: State = "queued"
        self.fraction = 0.0
        self.message = ""
        self.so_far: R | None = None
        self.result: R | None = None
        self.sentence = ""
        self.about = dict(about or {})
        self._alive, self._limit = alive, limit
        self._started = self._ended = 0.0
        self._work = work
        self._lock = threading.Lock()  # of the owners
        self._owners = {owner: time.monotonic()}  # when each looked last

    @classmethod
    def done(cls, key: str, result: R) -> "Job[R]":
        """A job that had nothing to do, because its result was there."""
        job = cls(key, lambda _: result, owner="")
        job.result, job.state = result, "done"
        return job

    @property
    def active(self) -> bool:
        """Whether it is queued or running."""
        return self.state in ("queued", "running")

    @property
    def name(self) -> str:
        """Its key in eight letters, for the log."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:8]

    @property
    def seconds(self) -> float:
        return (self._ended or time.monotonic()) - self._started if self._started else 0.0

    @property
    def left(self) -> float | None:
        """Seconds that it will still work, by what it has done so far; None before that can be told."""
        if self.fraction < TELLING:
            return None
        return self.seconds * (1 - self.fraction) / self.fraction

    @property
    def wanted(self) -> bool:
        """Whether some session still waits for it."""
        now = time.monotonic()
        return any(now - looked < SILENCE and self._alive(owner) for owner, looked in self._owners.copy().items())

    def look(self, owner: str) -> bool:
        """Say that a session still waits for this job; False if it has left it."""
        with self._lock:
            if owner not in self._owners:
                return False
            self._owners[owner] = time.monotonic()
            return True

    def _join(self, owner: str) -> None:
        with self._lock:
            self._owners[owner] = time.monotonic()

    def _leave(self, owner: str) -> bool:
        """Let a session go; whether anybody is left."""
        with self._lock:
            self._owners.pop(owner, None)
            return bool(self._owners)

    def report(self, fraction: float, message: str = "", so_far: R | None = None) -> None:
        """Called by the work, often; what is left out stays as it was.

        Raises:
            Cancelled: If nobody wants the result any more.
            Overdue: If the work has taken too long.
        """
        if not self.wanted:
            raise Cancelled
        if self.seconds > self._limit:
            raise Overdue
        self.fraction, self.message, self.so_far = fraction, message or self.message, so_far or self.so_far

    def _run(self) -> bool:
        """Work; whether it came to its end."""
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
        except BaseException as failure:  # whatever it is, the worker serves the next job
            what = "The memory is used up; choose a smaller model" if exhausted(failure) else "Something went wrong"
            self.sentence, self.state = report(failure, what, job=self.name, **self.about), "failed"
        finally:
            self._ended = time.monotonic()
            self.so_far = None
            del self._work  # it may hold a photo, and a session keeps its last job
        return self.state == "done"


class Jobs(Generic[R]):
    """All work of this process."""

    def __init__(
        self, queue: int = QUEUE, alive: Callable[[str], bool] = lambda owner: True, limit: float = LIMIT
    ) -> None:
        """Start nothing yet; a device's worker starts with its first job.

        Args:
            queue: Jobs that may wait for one device.
            alive: Whether a session is still there; the jobs of one that is gone stop and leave the line.
            limit: Seconds that a job may work.
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
    ) -> Job[R]:
        """Ask for a result.

        Args:
            device: Whose worker is to do it.
            key: Names the result; must change whenever the result would.
            owner: The session that asks; its older jobs are left.
            work: Called with the job, to which it reports. A Refusal becomes the job's sentence.
            about: What the log may say of it.

        Returns:
            The job; shared if it is already being worked on.

        Raises:
            Refusal: If too many jobs are waiting.
        """
        with self._lock:
            if key in self._active:
                self._leave(owner, except_key=key)
                self._active[key]._join(owner)
                return self._active[key]
            if device not in self._waiting:
                self._waiting[device] = deque()
                threading.Thread(target=self._serve, args=(device,), name=f"jobs on {device}", daemon=True).start()
            line = self._line(device)
            place = next((place for place, job in enumerate(line) if set(job._owners) == {owner}), len(line))
            if place == len(line) >= self._queue:
                raise Refusal(f"{self._queue} analyses are waiting already; try again in a minute.")
            self._leave(owner)
            job = Job(key, work, owner, about, self._alive, self._limit)
            self._active[key] = job
            line.insert(place, job)
            self._lock.notify_all()
            return job

    def cancel(self, owner: str) -> None:
        """Leave all jobs of a session; a job without a session stops at its next report."""
        with self._lock:
            self._leave(owner)

    def close(self, patience: float) -> None:
        """Begin no job any more, and let those that run stop at their next report.

        A process that ends in the middle of one would leave a half-written download, and torch would abort.

        Args:
            patience: Seconds to wait for them at most.
        """
        with self._lock:
            self._closed = True
            for job in list(self._active.values()):
                for owner in list(job._owners):
                    self._leave(owner)
            self._lock.wait_for(lambda: not self._running, patience)

    def ahead(self, job: Job[R]) -> int:
        """How many jobs wait in front of this one."""
        with self._lock:
            return self._place(job)[1]

    def wait(self, job: Job[R]) -> float | None:
        """Seconds until a waiting job begins, by what the one at work has done and the mean of those before.

        Returns:
            None where nothing is known, as with a job that takes longer than others and does not tell how far it is.
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

    def behind(self, job: Job[R]) -> int:
        """How many jobs wait for the one that is at work."""
        with self._lock:
            return next((len(self._line(device)) for device, each in self._running.items() if each is job), 0)

    def _place(self, job: Job[R]) -> tuple[str, int]:
        """For which device a job waits, and how many in front of it; no device if it does not wait."""
        for device in self._waiting:
            if job in (line := self._line(device)):
                return device, line.index(job)
        return "", 0

    def _line(self, device: str) -> deque[Job[R]]:
        """The jobs that wait for a device, without those whose sessions are gone."""
        line = self._waiting[device]
        for job in [job for job in line if not job.wanted]:
            self._drop(job)
        return line

    def _leave(self, owner: str, except_key: str | None = None) -> None:
        for key, job in list(self._active.items()):
            if key == except_key or owner not in job._owners:
                continue
            if not job._leave(owner):
                self._drop(job)

    def _drop(self, job: Job[R]) -> None:
        if self._active.get(job.key) is job:
            del self._active[job.key]  # whoever asks for this key from now on gets a fresh job
        if job.state == "queued":
            job.state = "cancelled"
        for line in self._waiting.values():
            if job in line:
                line.remove(job)

    def _serve(self, device: str) -> None:
        """The worker of one device, for as long as the process lives."""
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._line(device) and not self._closed)
                job = self._running[device] = self._waiting[device].popleft()
                job.state = "running"
            finished = job._run()
            with self._lock:
                if self._active.get(job.key) is job:
                    del self._active[job.key]
                if finished:
                    before = self._mean.get(device, job.seconds)
                    self._mean[device] = before + WEIGHT * (job.seconds - before)
            said = {"job": job.name, "state": job.state, "seconds": round(job.seconds, 2), **job.about}
            said["reason"] = job.sentence
            logging.getLogger(__name__).info("job ended", extra=said)
            give_back()
            del job  # so that nothing of it is kept while nobody asks
            with self._lock:
                del self._running[device]
                self._lock.notify_all()
