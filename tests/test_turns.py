"""Turns of jobs at one device: who goes first, what suspension costs, and that only one has the device."""

import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from attribution.system.clock import working_time
from attribution.ui import watch
from attribution.work.jobs import MAX_OPEN_JOBS, Job, Jobs

WAIT = 10.0  # seconds after which a test fails
ALWAYS = -math.inf  # quantum with which every report hands the device over


class Steps:
    """Work in steps: each notes its name and waits for `go`, if it must, before its report."""

    def __init__(self, name: str, count: int, noted: list[str], held: bool = False) -> None:
        self.name, self.count, self.noted = name, count, noted
        self.begun, self.go = threading.Event(), threading.Event()
        if not held:
            self.go.set()

    def __call__(self, job: Job[Any]) -> str:
        for number in range(self.count):
            self.noted.append(f"{self.name} {number}")
            self.begun.set()
            assert self.go.wait(WAIT)
            job.report((number + 1) / self.count, self.name)
        return self.name


def settle(jobs: Jobs[Any]) -> None:
    with jobs._lock:
        assert jobs._lock.wait_for(lambda: not any(each.open or each.queued for each in jobs._lines.values()), WAIT)


@pytest.fixture
def held() -> Iterator[Callable[..., Steps]]:
    """Make work that waits; all of it goes on when the test ends."""
    made: list[Steps] = []

    def make(name: str, count: int, noted: list[str]) -> Steps:
        made.append(Steps(name, count, noted, held=True))
        return made[-1]

    yield make
    for each in made:
        each.go.set()


def begin(jobs: Jobs[Any], work: Steps) -> Job[Any]:
    job = jobs.submit("cpu", work.name, work.name, work)
    assert work.begun.wait(WAIT)
    return job


def test_a_short_job_waits_for_one_report_of_a_long_one(held: Callable[..., Steps]) -> None:
    jobs: Jobs[Any] = Jobs(quantum=0.0)
    noted: list[str] = []
    long = held("long", 3, noted)
    first = begin(jobs, long)
    second = jobs.submit("cpu", "short", "bob", Steps("short", 1, noted))
    assert (first.state, second.state, jobs.ahead(second), jobs.others(first)) == ("running", "queued", 0, 1)
    long.go.set()
    settle(jobs)
    assert noted == ["long 0", "short 0", "long 1", "long 2"]
    assert (first.result, second.result) == ("long", "short")


def test_the_job_that_has_had_the_least_of_the_device_goes_first(held: Callable[..., Steps]) -> None:
    jobs: Jobs[Any] = Jobs(quantum=0.0)
    noted: list[str] = []
    first, last = held("first", 1, noted), held("last", 1, noted)

    def work(job: Job[Any]) -> None:
        job._worked += float(job.key)
        job.report(0.0)  # the next begins, which has had nothing
        noted.append(job.key)

    begin(jobs, first)
    for seconds in ("70", "50", "60"):
        jobs.submit("cpu", seconds, seconds, work)
    jobs.submit("cpu", "last", "last", last)
    first.go.set()
    assert last.begun.wait(WAIT)
    last.go.set()
    settle(jobs)
    assert noted == ["first 0", "last 0", "50", "60", "70"]


def test_equal_jobs_do_not_take_the_device_from_each_other_at_every_report() -> None:
    jobs: Jobs[Any] = Jobs(quantum=WAIT)
    noted: list[str] = []
    for name in ("one", "two"):
        jobs.submit("cpu", name, name, Steps(name, 3, noted))
    settle(jobs)
    assert noted == [f"{name} {number}" for name in ("one", "two") for number in range(3)]


def test_a_suspended_job_that_is_cancelled_ends_while_another_has_the_device(held: Callable[..., Steps]) -> None:
    jobs: Jobs[Any] = Jobs(quantum=0.0)
    noted: list[str] = []
    long, other = held("long", 3, noted), held("other", 1, noted)
    suspended = begin(jobs, long)
    jobs.submit("cpu", "other", "other", other)
    long.go.set()
    assert other.begun.wait(WAIT)
    jobs.cancel("long")
    with jobs._lock:
        assert jobs._lock.wait_for(lambda: len(jobs._lines["cpu"].open) == 1, WAIT)
    assert suspended.state == "cancelled"
    assert noted == ["long 0", "other 0"]


def test_a_suspended_job_does_not_run_into_the_limit(held: Callable[..., Steps]) -> None:
    jobs: Jobs[Any] = Jobs(quantum=0.0)
    times: list[float] = []
    other = held("other", 1, [])
    reached, submitted = threading.Event(), threading.Event()

    def work(job: Job[Any]) -> None:
        reached.set()
        assert submitted.wait(WAIT)
        times.append(working_time())
        job.report(0.5)
        times.append(working_time())

    job = jobs.submit("cpu", "long", "ann", work)
    assert reached.wait(WAIT)
    jobs.submit("cpu", "other", "other", other)
    submitted.set()
    assert other.begun.wait(WAIT)
    before = job.seconds
    threading.Event().wait(0.2)
    assert job.seconds == before
    other.go.set()
    settle(jobs)
    assert times[1] - times[0] < 0.2  # what a map says of its duration
    assert job.left is not None
    assert job.left >= 0.2  # as long as it has taken so far, suspended or not


def test_without_memory_a_job_runs_to_its_end_before_the_next_begins(held: Callable[..., Steps]) -> None:
    jobs: Jobs[Any] = Jobs(quantum=ALWAYS, room=lambda: False)
    noted: list[str] = []
    long = held("long", 2, noted)
    begin(jobs, long)
    short = jobs.submit("cpu", "short", "bob", Steps("short", 1, noted))
    long.go.set()
    settle(jobs)
    assert noted == ["long 0", "long 1", "short 0"]
    assert short.result == "short"


def test_only_so_many_jobs_begin(held: Callable[..., Steps]) -> None:
    jobs: Jobs[Any] = Jobs(quantum=0.0)
    noted: list[str] = []
    first, last = held("first", 2, noted), held("last", 2, noted)
    begin(jobs, first)
    for number in range(MAX_OPEN_JOBS - 2):
        jobs.submit("cpu", str(number), str(number), Steps(str(number), 2, noted))
    jobs.submit("cpu", "last", "last", last)
    first.go.set()
    assert last.begun.wait(WAIT)  # all others have begun
    late = jobs.submit("cpu", "late", "zoe", Steps("late", 1, noted))
    assert len(jobs._lines["cpu"].open) == MAX_OPEN_JOBS
    last.go.set()
    settle(jobs)
    assert late.result == "late"
    ended = next(place for place, each in enumerate(noted) if each.endswith(" 1"))
    assert noted.index("late 0") > ended


def test_a_job_aside_lets_others_have_the_device_and_takes_it_back(held: Callable[..., Steps]) -> None:
    jobs: Jobs[Any] = Jobs()
    noted: list[str] = []
    other, aside = held("other", 1, noted), threading.Event()

    def work(job: Job[Any]) -> str:
        with job.aside():
            aside.set()
            assert other.go.wait(WAIT)
            job.report(0.5, "downloading")
            noted.append("downloaded")
        noted.append("computed")
        return "done"

    job = jobs.submit("cpu", "download", "ann", work)
    assert aside.wait(WAIT)
    beside = jobs.submit("cpu", "other", "bob", other)
    assert other.begun.wait(WAIT)
    assert jobs.others(beside) == jobs.others(job) - 1 == 0  # one of them needs the device
    other.go.set()
    settle(jobs)
    assert job.result == "done"
    assert noted[-1] == "computed"


def test_jobs_aside_keep_no_other_from_beginning() -> None:
    jobs: Jobs[Any] = Jobs()
    ready = threading.Barrier(MAX_OPEN_JOBS + 1)
    loaded = threading.Event()

    def work(job: Job[Any]) -> bool:
        with job.aside():
            ready.wait(WAIT)
            return loaded.wait(WAIT)

    for number in range(MAX_OPEN_JOBS):
        jobs.submit("cpu", str(number), str(number), work)
    ready.wait(WAIT)
    begun = threading.Event()
    jobs.submit("cpu", "short", "zoe", lambda job: begun.set())
    assert begun.wait(1.0)
    loaded.set()
    settle(jobs)


def test_closing_ends_suspended_jobs(held: Callable[..., Steps]) -> None:
    jobs: Jobs[Any] = Jobs(quantum=0.0)
    long, other = held("long", 3, []), held("other", 2, [])
    first = begin(jobs, long)
    second = jobs.submit("cpu", "other", "other", other)
    long.go.set()
    assert other.begun.wait(WAIT)
    threading.Timer(0.05, other.go.set).start()
    jobs.close(WAIT)
    assert (first.state, second.state) == ("cancelled", "cancelled")


def test_one_job_at_a_time_has_the_device_whatever_is_cancelled() -> None:
    jobs: Jobs[Any] = Jobs(quantum=ALWAYS)
    inside, most, turns = [0], [0], [0]

    def work(job: Job[Any]) -> str:
        for number in range(100):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            turns[0] += 1
            inside[0] -= 1
            if job.key.endswith("3") and number == 50:
                jobs.cancel(job.key)
            job.report(number / 100)
        return job.key

    made = [jobs.submit("cpu", f"job {number}", f"job {number}", work) for number in range(30)]
    settle(jobs)
    assert most == [1]
    assert [each.state for each in made].count("cancelled") == 3
    assert all(each.result == each.key for each in made if each.state == "done")


def test_the_page_counts_other_people_only(held: Callable[..., Steps], monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: Jobs[Any] = Jobs(quantum=0.0)
    monkeypatch.setattr(watch, "JOBS", jobs)
    long, newer, other = held("long", 2, []), held("newer", 2, []), held("other", 1, [])
    begin(jobs, long)
    mine = jobs.submit("cpu", "newer", "long", newer)  # of the same person, whose older job still has the device
    assert watch._state(mine) == "Starting"
    assert jobs.others(mine) == 0
    yours = jobs.submit("cpu", "other", "other", other)
    assert watch._state(yours) == "Queued behind 1 analysis"
    long.go.set()
    assert newer.begun.wait(WAIT)
    mine.message = "Computing maps"
    assert watch._state(mine) == "Computing maps; sharing the processor with 1 other analysis"


def test_jobs_of_one_level_run_one_after_the_other(held: Callable[..., Steps]) -> None:
    """Equal jobs that took turns would all end when the last does."""
    jobs: Jobs[Any] = Jobs(quantum=WAIT)
    noted: list[str] = []
    first = held("a", 2, noted)
    begin(jobs, first)
    for name in ("b", "c"):
        jobs.submit("cpu", name, name, Steps(name, 2, noted))
    first.go.set()
    settle(jobs)
    assert noted == ["a 0", "a 1", "b 0", "b 1", "c 0", "c 1"]


def test_levels_grow_fourfold() -> None:
    job, jobs = Job[Any]("key", lambda job: None, "owner"), Jobs[Any](quantum=0.5)
    for seconds, level in ((0.0, 0), (0.49, 0), (0.5, 1), (1.9, 1), (2.1, 2), (7.9, 2), (8.1, 3)):
        job._worked = seconds
        assert jobs._level(job) == level
