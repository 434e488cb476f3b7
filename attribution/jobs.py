"""Work that takes time: one worker a device, a bounded queue, progress, cancel, single flight by key.

Knows nothing of networks or pages. A session asks with `Jobs.submit`, again and again if it likes: the same key gives
the same job while it is at work. Its newest job replaces its older one. Sessions that ask for the same key share one
job, which stops only when all of them have left it.
"""

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from typing import Generic, Literal, TypeVar

from attribution.refusal import Refusal

R = TypeVar("R")
State = Literal["queued", "running", "done", "failed", "cancelled"]

QUEUE = 8  # jobs that may wait for one device
SILENCE = 120.0  # seconds after which a session that does not look has gone; a hidden tab looks once a minute


class Cancelled(Exception):
    """Raised inside a job that nobody wants any more."""


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
    """

    def __init__(self, key: str, work: Callable[["Job[R]"], R], owner: str) -> None:
        """Wait to be run."""
        self.key = key
        self.state: State = "queued"
        self.fraction = 0.0
        self.message = ""
        self.so_far: R | None = None
        self.result: R | None = None
        self.sentence = ""
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
        """
        if not any(time.monotonic() - looked < SILENCE for looked in self._owners.copy().values()):
            raise Cancelled
        self.fraction, self.message, self.so_far = fraction, message or self.message, so_far or self.so_far

    def _run(self) -> None:
        try:
            self.result = self._work(self)
            self.state = "done"
        except Cancelled:
            self.state = "cancelled"
        except Refusal as refusal:
            self.sentence, self.state = str(refusal), "failed"
        except BaseException:  # whatever it is, the worker serves the next job
            error = uuid.uuid4().hex[:8]
            logging.getLogger(__name__).exception("error %s", error)
            self.sentence = f"Something went wrong (error {error}); the details are in the log of the server."
            self.state = "failed"
        finally:
            del self._work  # it may hold a photo, and a session keeps its last job


class Jobs(Generic[R]):
    """All work of this process."""

    def __init__(self, queue: int = QUEUE) -> None:
        """Start nothing yet; a device's worker starts with its first job.

        Args:
            queue: Jobs that may wait for one device.
        """
        self._queue = queue
        self._lock = threading.Condition()
        self._waiting: dict[str, deque[Job[R]]] = {}  # by device
        self._active: dict[str, Job[R]] = {}  # queued and running, by key

    def submit(self, device: str, key: str, owner: str, work: Callable[[Job[R]], R]) -> Job[R]:
        """Ask for a result.

        Args:
            device: Whose worker is to do it.
            key: Names the result; must change whenever the result would.
            owner: The session that asks; its older jobs are left.
            work: Called with the job, to which it reports. A Refusal becomes the job's sentence.

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
            others = [job for job in self._waiting[device] if set(job._owners) != {owner}]
            if len(others) >= self._queue:
                raise Refusal(f"{self._queue} analyses are waiting already; try again in a minute.")
            self._leave(owner)
            job = Job(key, work, owner)
            self._active[key] = job
            self._waiting[device].append(job)
            self._lock.notify_all()
            return job

    def cancel(self, owner: str) -> None:
        """Leave all jobs of a session; a job without a session stops at its next report."""
        with self._lock:
            self._leave(owner)

    def ahead(self, job: Job[R]) -> int:
        """How many jobs wait in front of this one."""
        with self._lock:
            return next((queue.index(job) for queue in self._waiting.values() if job in queue), 0)

    def _leave(self, owner: str, except_key: str | None = None) -> None:
        for key, job in list(self._active.items()):
            if key == except_key or owner not in job._owners:
                continue
            if not job._leave(owner):
                del self._active[key]  # whoever asks for this key from now on gets a fresh job
                if job.state == "queued":
                    job.state = "cancelled"
                for queue in self._waiting.values():
                    if job in queue:
                        queue.remove(job)

    def _serve(self, device: str) -> None:
        """The worker of one device, for as long as the process lives."""
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._waiting[device])
                job = self._waiting[device].popleft()
                job.state = "running"
            job._run()
            with self._lock:
                if self._active.get(job.key) is job:
                    del self._active[job.key]
