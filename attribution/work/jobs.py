"""Background jobs: time slices on each device, a bounded queue, progress, cancellation, one job per key.

Independent of networks and pages. Every job has a thread, and one of them at a time has the device. At each report it
hands the device to the job that has had the least of it (least attained service, in levels), so that a short job waits
for one chunk of a long one. Submitting the key of an active job returns that job. A session's new job replaces its old
one and inherits its place in the queue. Sessions that submit the same key share one job, which stops only when all of
them have left it or are disconnected.
"""

import hashlib
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from attribution.refusal import Refusal
from attribution.system.clock import leave_out
from attribution.system.incident import report
from attribution.system.memory import exhausted, give_back, keep_one_heap

R = TypeVar("R")
State = Literal["queued", "running", "done", "failed", "cancelled"]

MAX_QUEUED_JOBS = 64  # jobs queued per device; a session has one, or one per question of the probe page
MAX_JOBS_PER_ADDRESS = 8  # jobs queued per IP address when the queue is nearly full
RESERVED_PLACES = 16  # places for IP addresses with fewer jobs; a school class behind one address fits in the rest
# Jobs of a device that have begun and not ended, except those aside. A suspended one holds 7 MB on the embedded
# networks, 30 to 70 MB while it keeps the graph of a forward pass, and up to 1 GB in checks of large networks: `room`
# bounds them, too.
MAX_OPEN_JOBS = 8
QUANTUM = 0.5  # seconds of the device, after which a job is of the second level
LEVEL_GROWTH = 4  # ratio of the seconds at which two successive levels begin
MAX_SECONDS = 900.0  # seconds that a job may work, without those in which others have the device
MIN_FRACTION = 0.1  # smallest fraction done at which the time left is estimated
CHECK_INTERVAL = 1.0  # seconds between two checks whether a suspended job is still wanted
MIN_LARGE = 0.1  # seconds of a job after which freed memory is returned to the system, which takes 10 ms
MAX_SILENCE = 120.0  # seconds without a poll before a session counts as gone; hidden tabs poll once a minute


class Cancelled(Exception):
    """Raised inside a job when no session is waiting for it any more."""


class Overdue(Exception):
    """Raised inside a job when it has worked too long."""


class Job(Generic[R]):
    """One unit of background work.

    Attributes:
        key: Text that identifies the result.
        state: "queued", "running" (also while another job has the device), "done", "failed" or "cancelled".
        fraction: Fraction done, in [0, 1].
        message: Current activity, for display.
        so_far: Unfinished result; kept if the job is cancelled or fails. None if there is none, and once it is done.
        result: Result of the work, once the state is "done".
        sentence: Reason for the failure, for display, once the state is "failed".
        seconds: Working time in seconds, so far or in total, without the time in which others have the device.
        device: The device that it shares with other jobs.
        address: IP address of the session that submitted it; empty if unknown.
    """

    def __init__(
        self,
        key: str,
        work: Callable[["Job[R]"], R],
        owner: str,
        about: Mapping[str, str] | None = None,
        address: str = "",
        device: str = "",
        jobs: "Jobs[R] | None" = None,
    ) -> None:
        """Create a queued job; arguments as for `Jobs.submit`. Without `jobs` it shares no device."""
        self.key = key
        self.state: State = "queued"
        self.fraction = 0.0
        self.message = ""
        self.so_far: R | None = None
        self.result: R | None = None
        self.sentence = ""
        self.about = dict(about or {})
        self.device, self.address = device, address
        self._jobs = jobs
        self._submitted, self._started = time.monotonic(), 0.0
        self._worked = self._apart = 0.0  # seconds before `_since`; those of all of them without the device
        self._since = 0.0  # since when it has been working; 0 while it does not
        self._waits = False  # for the device, after it has begun
        self._is_aside = False
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
    def age(self) -> float:
        """Seconds since the job was submitted."""
        return time.monotonic() - self._submitted

    @property
    def seconds(self) -> float:
        return self._worked + (time.monotonic() - self._since if self._since else 0.0)

    @property
    def _served(self) -> float:
        """Seconds that the job has had of the device."""
        return self.seconds - self._apart

    @property
    def left(self) -> float | None:
        """The estimated seconds left if the device stays as busy, from the fraction done; None without an estimate."""
        if self.fraction < MIN_FRACTION:
            return None
        return (time.monotonic() - self._started) * (1 - self.fraction) / self.fraction

    @property
    def wanted(self) -> bool:
        """True if at least one session is still waiting for the job."""
        now, alive = time.monotonic(), self._jobs.alive if self._jobs else lambda owner: True
        return any(now - looked < MAX_SILENCE and alive(owner) for owner, looked in self._owners.copy().items())

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
        """Record progress, and let a job go first that has had less of the device; called often by the work.

        No lock that another job may need can be held meanwhile. Omitted arguments keep their last value.

        Raises:
            Cancelled: If no session is waiting for the result any more.
            Overdue: If the job has worked too long.
        """
        if not self.wanted:
            raise Cancelled
        if self._jobs and self.seconds > self._jobs.limit:
            raise Overdue
        self.fraction, self.message, self.so_far = fraction, message or self.message, so_far or self.so_far
        if self._jobs:
            self._jobs._give_way(self)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Let others have the device during what does not need it, such as a download.

        Raises:
            Cancelled: At the end, if no session is waiting for the result any more.
        """
        if not self._jobs:
            yield
            return
        begun = time.monotonic()
        self._jobs._step_aside(self)
        try:
            yield
        finally:
            self._apart += time.monotonic() - begun
            self._jobs._come_back(self)

    def _run(self) -> None:
        """Run the work."""
        try:
            self.result, self.so_far = self._work(self), None  # before the state, which pages read first
            self.state = "done"
        except Cancelled:
            self.state = "cancelled"
        except Refusal as refusal:
            self.sentence, self.state = str(refusal), "failed"
        except Overdue:
            remedy = "choose fewer methods, classes or steps, or a smaller model"
            limit = self._jobs.limit if self._jobs else 0.0
            self.sentence = f"Stopped after the limit of {limit:.0f} s; {remedy}."
            self.state = "failed"
        except BaseException as failure:  # any failure, so that its place is given to another job
            what = "Out of memory; choose a smaller model" if exhausted(failure) else "Something went wrong"
            self.sentence, self.state = report(failure, what, job=self.name, **self.about), "failed"
        finally:
            self._pause()
            del self._work  # may reference a photo, and sessions keep their last job

    def _begin(self) -> None:
        """Start the clock of the work."""
        self._since = time.monotonic()

    def _pause(self) -> None:
        """Stop the clock of the work."""
        self._worked, self._since = self.seconds, 0.0


@dataclass(eq=False)
class _Line(Generic[R]):
    """The jobs of one device.

    Attributes:
        queued: Those that have not begun, in the order in which they will.
        open: Those that have begun and not ended.
        holder: The one that has the device.
        full: True if no further job may begin for now.
    """

    queued: list[Job[R]] = field(default_factory=list)
    open: list[Job[R]] = field(default_factory=list)
    holder: Job[R] | None = None
    full: bool = False

    @property
    def under_way(self) -> int:
        """The number of open jobs that are not aside."""
        return sum(not job._is_aside for job in self.open)


class Jobs(Generic[R]):
    """The jobs of this process.

    Attributes:
        alive: Returns True if a session is connected.
        limit: Maximum working time of a job in seconds.
    """

    def __init__(
        self,
        queue: int = MAX_QUEUED_JOBS,
        alive: Callable[[str], bool] = lambda owner: True,
        limit: float = MAX_SECONDS,
        room: Callable[[], bool] = lambda: True,
        quantum: float = QUANTUM,
    ) -> None:
        """Create an empty queue.

        Args:
            queue: Maximum number of queued jobs per device.
            alive: Returns True if a session is connected; jobs of disconnected sessions are stopped and evicted.
            limit: Maximum working time of a job in seconds.
            room: Returns True if there is memory for another job beside those that have begun. As long as there is
                none, the jobs that have begun run to their ends one after the other.
            quantum: Seconds of the device at which the second level begins. Jobs of one level run one after the other,
                since equal jobs that take turns would all end late. 0 for no levels, and below 0 for a hand-over at
                every report.
        """
        self._queue, self.alive, self.limit, self._room, self._quantum = queue, alive, limit, room, quantum
        self._lock = threading.Condition()
        self._lines: dict[str, _Line[R]] = {}  # by device
        self._active: dict[str, Job[R]] = {}  # queued and running, by key
        self._closed = False
        keep_one_heap()  # since every job has a thread

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
            device: The device that it needs.
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
            line = self._lines.setdefault(device, _Line())
            queued = self._evict(line)
            place = next((place for place, job in enumerate(queued) if set(job._owners) == {owner}), len(queued))
            if place == len(queued):
                self._refuse(queued, address)
            job = Job(key, work, owner, about, address, device, self)
            threading.Thread(target=self._serve, args=(line, job), name=f"job on {device}", daemon=True).start()
            self._leave(owner)
            self._active[key] = job
            queued.insert(place, job)
            if line.holder is None:
                self._hand_over(line)
            return job

    def _refuse(self, queued: Sequence[Job[R]], address: str) -> None:
        """Raise a Refusal if an IP address may not queue another job."""
        if len(queued) >= self._queue:
            raise Refusal(f"The queue is full ({len(queued)} analyses); try again in a minute.")
        own = sum(job.address == address for job in queued)
        if address and own >= MAX_JOBS_PER_ADDRESS and len(queued) >= self._queue - RESERVED_PLACES:
            raise Refusal(f"Too many analyses from your network are queued ({own}); try again in a minute.")

    def cancel(self, owner: str) -> None:
        """Remove a session from its jobs; one without sessions stops at its next report, or at once if suspended."""
        with self._lock:
            self._leave(owner)

    def close(self, patience: float) -> None:
        """Start no more jobs, and stop those that have begun at their next report.

        If the process exited during a job, it would leave a partial download behind, and torch would abort.

        Args:
            patience: Maximum seconds to wait for them.
        """
        with self._lock:
            self._closed = True
            for job in list(self._active.values()):
                for owner in list(job._owners):
                    self._leave(owner)
            self._lock.wait_for(lambda: not any(line.open for line in self._lines.values()), patience)

    def wait(self, job: Job[R], seconds: float) -> bool:
        """Wait for the end of a job that is quick; return True if it has ended."""
        with self._lock:
            return self._lock.wait_for(lambda: not job.active, seconds)

    def ahead(self, job: Job[R]) -> int:
        """Return the number of jobs that a queued job must wait for before it begins, without the one at work."""
        with self._lock:
            line = self._lines[job.device]
            queued = [each for each in line.queued if each.wanted]
            if job not in queued:
                return 0
            return queued.index(job) + (line.under_way if line.full else 0)

    def others(self, job: Job[R]) -> int:
        """Return the number of other jobs that need the device of a job and that a session is waiting for."""
        with self._lock:
            line = self._lines.get(job.device, _Line())
            need = [*line.queued, *(each for each in line.open if each._waits or each is line.holder)]
            return sum(each is not job and each.wanted for each in need)

    def busy(self, device: str, owner: str) -> bool:
        """True if a session other than the owner is waiting for a job on a device."""
        with self._lock:
            line = self._lines.get(device, _Line())
            return any(
                each.wanted and not all(name.startswith(owner) for name in each._owners.copy())
                for each in (*line.queued, *line.open)
            )

    def _evict(self, line: _Line[R]) -> list[Job[R]]:
        """Drop the queued jobs of a device for which no session is waiting, and return the queue."""
        for job in [job for job in line.queued if not job.wanted]:
            self._drop(job)
        return line.queued

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
            self._lines[job.device].queued.remove(job)
        self._lock.notify_all()  # it may be suspended

    def _give_way(self, job: Job[R]) -> None:
        """Let another job go first, if it is of a lower level; then wait for a turn."""
        with self._lock:
            line = self._lines[job.device]
            if line.holder is not job or (len(line.open) == 1 and not line.queued):
                return
            line.full = not self._room()
            if line.full:  # what it holds is best freed by its end
                return
            other = self._next(line)
            if other and (self._quantum < 0 or self._level(other) < self._level(job)):
                self._hand_over(line, other)
                self._await_turn(line, job)

    def _step_aside(self, job: Job[R]) -> None:
        """Take the device from a job that does not need it."""
        with self._lock:
            line, job._is_aside = self._lines[job.device], True
            if line.holder is job:
                self._hand_over(line)

    def _come_back(self, job: Job[R]) -> None:
        """Wait until a job has the device again."""
        with self._lock:
            job._is_aside = False
            self._await_turn(self._lines[job.device], job)

    def _await_turn(self, line: _Line[R], job: Job[R]) -> None:
        """Wait until a job has the device; raise Cancelled once no session waits for it."""
        begun, job._waits = time.monotonic(), True
        job._pause()
        try:
            if line.holder is None:
                self._hand_over(line)
            while job.wanted and line.holder is not job:
                self._lock.wait(CHECK_INTERVAL)
            if not job.wanted:
                raise Cancelled
        finally:
            job._waits = False
            job._begin()
            leave_out(time.monotonic() - begun)

    def _next(self, line: _Line[R]) -> Job[R] | None:
        """Return the job of the lowest level among those that need the device; the earliest of several."""
        found = min((job for job in line.open if job._waits), key=self._turn, default=None)
        line.full = (bool(found) and not self._room()) or line.under_way >= MAX_OPEN_JOBS
        if not line.full and not self._closed and (queued := self._evict(line)):
            found = min([queued[0], *([found] if found else [])], key=self._turn)
        return found

    def _turn(self, job: Job[R]) -> tuple[float, float]:
        """Return what decides on the next job: the least goes first."""
        return self._level(job), job._submitted

    def _level(self, job: Job[R]) -> float:
        """Return the level of a job, 0 for the first: its seconds of the device, on a coarse scale."""
        if self._quantum <= 0:
            return job._served
        return 0 if job._served < self._quantum else 1 + int(math.log(job._served / self._quantum, LEVEL_GROWTH))

    def _hand_over(self, line: _Line[R], job: Job[R] | None = None) -> None:
        """Give the device to a job; to the next one by default."""
        line.holder = job = job or self._next(line)
        if job and job.state == "queued":
            line.queued.remove(job)
            line.open.append(job)
            job.state = "running"
        self._lock.notify_all()

    def _serve(self, line: _Line[R], job: Job[R]) -> None:
        """Run a job in its thread once it has the device, and hand the device over when it ends."""
        with self._lock:
            self._lock.wait_for(lambda: job.state != "queued")
            if job.state == "cancelled":
                return
            job._begin()
            job._started = job._since
        job._run()
        with self._lock:
            if self._active.get(job.key) is job:
                del self._active[job.key]
        said = {"job": job.name, "state": job.state, "seconds": round(job.seconds, 2), **job.about}
        said["reason"] = job.sentence
        logging.getLogger(__name__).info("job ended", extra=said)
        if job.seconds > MIN_LARGE:
            give_back()
        with self._lock:
            line.open.remove(job)
            if line.holder is job:
                self._hand_over(line)
            self._lock.notify_all()
