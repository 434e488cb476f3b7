"""Jobs: single flight, replacement, cancelling, a bounded queue and memory. Events tell the time, never sleep."""

import gc
import logging
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from attribution import Refusal
from attribution.ui import session
from attribution.work.jobs import MAX_JOBS_PER_ADDRESS, RESERVED_PLACES, Job, Jobs

WAIT = 10.0  # seconds after which a test fails, far beyond what any step takes
Work = Callable[[Job[Any]], Any]


class Gate:
    """Work that says when it has started and ends when it is told to."""

    def __init__(self, result: object = "result") -> None:
        self.started, self.opened = threading.Event(), threading.Event()
        self.result, self.runs = result, 0

    def __call__(self, job: Job[Any]) -> object:
        self.runs += 1
        self.started.set()
        assert self.opened.wait(WAIT)
        job.report(1.0)
        return self.result


@pytest.fixture
def gates() -> Iterator[Callable[..., Gate]]:
    """Make gates; all of them are open when the test ends, so that no job stays behind one."""
    made: list[Gate] = []

    def make(result: object = "result") -> Gate:
        made.append(Gate(result))
        return made[-1]

    yield make
    for gate in made:
        gate.opened.set()


@pytest.fixture
def jobs() -> Jobs[Any]:
    return Jobs(queue=3)


def settle(jobs: Jobs[Any]) -> None:
    """Wait until every job that was asked for before has ended."""
    with jobs._lock:
        assert jobs._lock.wait_for(lambda: not any(each.open or each.queued for each in jobs._lines.values()), WAIT)


def give(result: object) -> Work:
    return lambda job: result


def never(job: Job[Any]) -> None:
    raise AssertionError("this work must not run")


def started(jobs: Jobs[Any], gate: Gate, key: str = "first", owner: str = "ann", device: str = "cpu") -> Job[Any]:
    job = jobs.submit(device, key, owner, gate)
    assert gate.started.wait(WAIT)
    return job


def test_a_job_runs_and_gives_its_result(jobs: Jobs[Any]) -> None:
    job = jobs.submit("cpu", "key", "ann", give(42))
    settle(jobs)
    assert (job.state, job.result, job.sentence, job.active) == ("done", 42, "", False)


def test_a_job_passes_through_its_states(jobs: Jobs[Any], gates: Callable[..., Gate]) -> None:
    first, second = gates(), gates("second")
    running = started(jobs, first)
    waiting = jobs.submit("cpu", "second", "bob", second)
    assert (running.state, running.active, running.result) == ("running", True, None)
    assert (waiting.state, waiting.active, waiting.result) == ("queued", True, None)
    first.opened.set()
    assert second.started.wait(WAIT)
    assert (running.state, waiting.state) == ("done", "running")
    second.opened.set()
    settle(jobs)
    assert (waiting.state, waiting.result) == ("done", "second")


def test_progress_and_the_last_message_can_be_seen(jobs: Jobs[Any]) -> None:
    reported, seen = threading.Event(), threading.Event()

    def work(job: Job[Any]) -> None:
        job.report(0.25, "gradients")
        job.report(0.5)
        reported.set()
        assert seen.wait(WAIT)

    job = jobs.submit("cpu", "key", "ann", work)
    assert reported.wait(WAIT)
    found = job.fraction, job.message
    seen.set()
    assert found == (0.5, "gradients")


def test_two_owners_of_one_key_share_one_run(jobs: Jobs[Any], gates: Callable[..., Gate]) -> None:
    gate = gates()
    first = started(jobs, gate, "key", "ann")
    second = jobs.submit("cpu", "key", "bob", never)
    assert second is first
    gate.opened.set()
    settle(jobs)
    assert (first.state, first.result, gate.runs) == ("done", "result", 1)


def test_two_owners_share_a_job_that_still_waits(jobs: Jobs[Any], gates: Callable[..., Gate]) -> None:
    blocker, runs = gates(), []
    started(jobs, blocker)
    first = jobs.submit("cpu", "key", "bob", lambda job: runs.append("bob"))
    assert jobs.submit("cpu", "key", "cid", lambda job: runs.append("cid")) is first
    blocker.opened.set()
    settle(jobs)
    assert runs == ["bob"]


def test_many_sessions_asking_at_once_start_one_run(jobs: Jobs[Any], gates: Callable[..., Gate]) -> None:
    gate, barrier = gates(), threading.Barrier(8)
    found: list[Job[Any]] = []

    def ask(owner: str) -> None:
        barrier.wait(WAIT)
        found.append(jobs.submit("cpu", "key", owner, gate))

    sessions = [threading.Thread(target=ask, args=(f"session {number}",)) for number in range(8)]
    for each in sessions:
        each.start()
    for each in sessions:
        each.join(WAIT)
    gate.opened.set()
    settle(jobs)
    assert len(found) == 8
    assert len(set(map(id, found))) == 1
    assert gate.runs == 1


def test_asking_again_for_ones_own_job_changes_nothing(jobs: Jobs[Any], gates: Callable[..., Gate]) -> None:
    gate = gates()
    job = started(jobs, gate)
    assert jobs.submit("cpu", "first", "ann", never) is job
    gate.opened.set()
    settle(jobs)
    assert job.state == "done"


def test_a_newer_job_of_a_session_replaces_its_waiting_one(jobs: Jobs[Any], gates: Callable[..., Gate]) -> None:
    blocker = gates()
    started(jobs, blocker, owner="ann")
    older = jobs.submit("cpu", "older", "bob", never)
    newer = jobs.submit("cpu", "newer", "bob", give("newer"))
    assert (older.state, older.active) == ("cancelled", False)
    blocker.opened.set()
    settle(jobs)
    assert (older.state, older.result) == ("cancelled", None)
    assert (newer.state, newer.result) == ("done", "newer")


def test_a_newer_job_of_a_session_stops_its_running_one_at_its_next_report(
    jobs: Jobs[Any], gates: Callable[..., Gate]
) -> None:
    gate = gates()
    went_on: list[str] = []

    def work(job: Job[Any]) -> str:
        gate(job)
        went_on.append("after the report")
        return "older"

    older = jobs.submit("cpu", "older", "ann", work)
    assert gate.started.wait(WAIT)
    newer = jobs.submit("cpu", "newer", "ann", give("newer"))
    gate.opened.set()
    settle(jobs)
    assert (older.state, older.result, older.sentence) == ("cancelled", None, "")
    assert went_on == []
    assert (newer.state, newer.result) == ("done", "newer")


def test_jobs_of_other_sessions_are_not_replaced(jobs: Jobs[Any], gates: Callable[..., Gate]) -> None:
    gate = gates()
    mine = started(jobs, gate, owner="ann")
    yours = jobs.submit("cpu", "second", "bob", give("yours"))
    jobs.submit("cpu", "third", "cid", give("another"))
    gate.opened.set()
    settle(jobs)
    assert (mine.state, yours.state, yours.result) == ("done", "done", "yours")


def test_a_job_that_one_of_two_owners_cancels_goes_on(jobs: Jobs[Any], gates: Callable[..., Gate]) -> None:
    gate = gates()
    job = started(jobs, gate, "key", "ann")
    jobs.submit("cpu", "key", "bob", never)
    jobs.cancel("ann")
    gate.opened.set()
    settle(jobs)
    assert (job.state, job.result) == ("done", "result")


def test_a_job_that_one_of_two_owners_replaces_goes_on(jobs: Jobs[Any], gates: Callable[..., Gate]) -> None:
    gate = gates()
    job = started(jobs, gate, "key", "ann")
    jobs.submit("cpu", "key", "bob", never)
    jobs.submit("cpu", "other", "ann", give("other"))
    gate.opened.set()
    settle(jobs)
    assert (job.state, job.result) == ("done", "result")


@pytest.mark.parametrize("order", [("ann", "bob"), ("bob", "ann")])
def test_a_job_that_all_owners_cancel_stops(
    jobs: Jobs[Any], gates: Callable[..., Gate], order: tuple[str, str]
) -> None:
    gate = gates()
    job = started(jobs, gate, "key", "ann")
    jobs.submit("cpu", "key", "bob", never)
    for owner in order:
        jobs.cancel(owner)
    gate.opened.set()
    settle(jobs)
    assert (job.state, job.result) == ("cancelled", None)


def test_a_waiting_job_that_is_cancelled_never_runs(jobs: Jobs[Any], gates: Callable[..., Gate]) -> None:
    blocker = gates()
    started(jobs, blocker)
    job = jobs.submit("cpu", "second", "bob", never)
    jobs.cancel("bob")
    assert job.state == "cancelled"
    blocker.opened.set()
    settle(jobs)
    assert job.state == "cancelled"


def test_a_job_that_is_cancelled_just_as_the_worker_takes_it_does_not_come_back(
    jobs: Jobs[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, left = threading.Event(), threading.Event()
    run = Job._run

    def held(job: Job[Any]) -> None:
        taken.set()
        assert left.wait(WAIT)
        run(job)

    monkeypatch.setattr(Job, "_run", held)
    job = jobs.submit("cpu", "key", "ann", give("nobody wants this"))
    assert taken.wait(WAIT)
    jobs.cancel("ann")
    state = job.state
    left.set()
    settle(jobs)
    assert (state, job.state) != ("cancelled", "done")


def test_cancelling_without_a_job_does_nothing(jobs: Jobs[Any]) -> None:
    job = jobs.submit("cpu", "key", "ann", give(1))
    settle(jobs)
    jobs.cancel("ann")
    jobs.cancel("a session that never asked")
    assert (job.state, job.result) == ("done", 1)


def test_whoever_asks_for_a_cancelled_key_gets_a_fresh_job(jobs: Jobs[Any], gates: Callable[..., Gate]) -> None:
    gate = gates()
    left = started(jobs, gate, "key", "ann")
    jobs.cancel("ann")
    fresh = jobs.submit("cpu", "key", "bob", give("fresh"))
    assert fresh is not left
    gate.opened.set()
    settle(jobs)
    assert (left.state, fresh.state, fresh.result) == ("cancelled", "done", "fresh")


def test_a_full_queue_is_refused_and_takes_jobs_again_later(jobs: Jobs[Any], gates: Callable[..., Gate]) -> None:
    gate = gates()
    started(jobs, gate)
    waiting = [jobs.submit("cpu", f"waiting {n}", f"session {n}", give(n)) for n in range(3)]
    with pytest.raises(Refusal, match=r"The queue is full \(3 analyses\); try again in a minute\.$"):
        jobs.submit("cpu", "too many", "zoe", never)
    assert jobs.submit("cpu", "waiting 1", "zoe", never) is waiting[1], "sharing needs no place in the queue"
    gate.opened.set()
    other = jobs.submit("cuda:0", "another device", "zoe", give("free"))
    settle(jobs)
    assert other.result == "free"


def test_a_place_that_was_left_can_be_taken(jobs: Jobs[Any], gates: Callable[..., Gate]) -> None:
    gate = gates()
    started(jobs, gate)
    for number in range(3):
        jobs.submit("cpu", f"waiting {number}", f"session {number}", give(number))
    jobs.cancel("session 1")
    taken = jobs.submit("cpu", "taken", "zoe", give("taken"))
    assert taken.state == "queued"
    replaced = jobs.submit("cpu", "changed my mind", "zoe", give("changed"))
    assert (taken.state, replaced.state) == ("cancelled", "queued")


def test_jobs_run_in_the_order_asked(jobs: Jobs[Any], gates: Callable[..., Gate]) -> None:
    gate, order = gates(), []
    started(jobs, gate)
    for name in ("b", "a"):
        jobs.submit("cpu", name, f"session {name}", lambda job: order.append(job.key))
    gate.opened.set()
    settle(jobs)
    assert order == ["b", "a"]


def test_ahead_counts_the_jobs_that_wait_in_front(jobs: Jobs[Any], gates: Callable[..., Gate]) -> None:
    gate = gates()
    running = started(jobs, gate)
    waiting = [jobs.submit("cpu", f"waiting {n}", f"session {n}", give(n)) for n in range(3)]
    assert [jobs.ahead(job) for job in (running, *waiting)] == [0, 0, 1, 2]
    jobs.cancel("session 0")
    assert [jobs.ahead(job) for job in waiting[1:]] == [0, 1]
    gate.opened.set()
    settle(jobs)
    assert [jobs.ahead(job) for job in (running, *waiting)] == [0] * 4


def test_two_devices_work_at_the_same_time(jobs: Jobs[Any], gates: Callable[..., Gate]) -> None:
    first, second = gates(), gates()
    started(jobs, first, "one", "ann", "cpu")
    started(jobs, second, "two", "bob", "cuda:0")
    assert jobs.ahead(jobs.submit("cuda:0", "three", "cid", give(3))) == 0


def test_a_finished_job_is_done_anew_when_it_is_asked_for_again(jobs: Jobs[Any]) -> None:
    job = jobs.submit("cpu", "key", "ann", give("first"))
    settle(jobs)
    again = jobs.submit("cpu", "key", "ann", give("second"))
    settle(jobs)
    assert (job.result, again.result) == ("first", "second")


def test_a_refusal_becomes_the_sentence_of_the_job(jobs: Jobs[Any]) -> None:
    def work(job: Job[Any]) -> None:
        raise Refusal("The photo is too dark; take another.")

    job = jobs.submit("cpu", "key", "ann", work)
    settle(jobs)
    assert (job.state, job.sentence) == ("failed", "The photo is too dark; take another.")
    assert (job.result, job.active) == (None, False)


@pytest.mark.parametrize("error", [RuntimeError("secret path /home/ann"), MemoryError("secret"), ValueError("secret")])
def test_an_unexpected_error_becomes_a_sentence_with_an_id_and_without_its_text(
    jobs: Jobs[Any], error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def work(job: Job[Any]) -> None:
        raise error

    job = jobs.submit("cpu", "key", "ann", work)
    settle(jobs)
    assert job.state == "failed"
    found = re.search(r"\(error ([0-9a-f]{8})\)", job.sentence)
    assert found is not None
    assert "secret" not in job.sentence
    assert type(error).__name__ not in job.sentence
    assert job.sentence.endswith(".")
    assert f"error {found[1]}" in caplog.text
    assert "secret" in caplog.text


def test_the_worker_goes_on_after_an_unexpected_error(jobs: Jobs[Any]) -> None:
    def work(job: Job[Any]) -> None:
        raise ZeroDivisionError

    jobs.submit("cpu", "bad", "ann", work)
    after = jobs.submit("cpu", "good", "bob", give("good"))
    settle(jobs)
    assert after.result == "good"


@pytest.mark.parametrize("error", [Refusal("No."), RuntimeError("no")])
def test_a_failed_job_is_tried_again_when_it_is_asked_for_again(jobs: Jobs[Any], error: Exception) -> None:
    def work(job: Job[Any]) -> None:
        raise error

    failed = jobs.submit("cpu", "key", "ann", work)
    settle(jobs)
    again = jobs.submit("cpu", "key", "ann", give("now it works"))
    settle(jobs)
    assert again is not failed
    assert (failed.state, again.state, again.result) == ("failed", "done", "now it works")


def test_what_the_work_holds_is_let_go_when_it_is_done(jobs: Jobs[Any]) -> None:
    class Photo:
        pass

    photo = Photo()
    gone = weakref.ref(photo)

    def ask(photo: Photo) -> Job[Any]:
        return jobs.submit("cpu", "key", "ann", lambda job: f"{type(photo).__name__} explained")

    job = ask(photo)
    settle(jobs)
    del photo
    gc.collect()
    assert job.result == "Photo explained"
    assert gone() is None


def test_a_newer_job_of_a_session_takes_the_place_of_its_waiting_one(
    gates: Callable[..., Gate],
) -> None:
    jobs: Jobs[Any] = Jobs(queue=4)
    gate, order = gates(), []
    started(jobs, gate)
    for owner in ("bob", "cid", "dan"):
        jobs.submit("cpu", owner, owner, lambda job: order.append(job.key))
    newer = jobs.submit("cpu", "newer", "bob", lambda job: order.append(job.key))
    assert jobs.ahead(newer) == 0
    gate.opened.set()
    settle(jobs)
    assert order == ["newer", "cid", "dan"]


def test_the_jobs_of_sessions_that_are_gone_stop_and_leave_the_line(gates: Callable[..., Gate]) -> None:
    gone: set[str] = set()
    jobs: Jobs[Any] = Jobs(queue=2, alive=lambda owner: owner not in gone)
    gate, order = gates(), []
    running = started(jobs, gate)
    waiting = jobs.submit("cpu", "second", "bob", never)
    shared = jobs.submit("cpu", "third", "cid", lambda job: order.append("third"))
    jobs.submit("cpu", "third", "dan", never)
    gone |= {"ann", "bob", "cid"}
    assert jobs.ahead(shared) == 0  # bob's has left, and dan still waits for the third
    last = jobs.submit("cpu", "fourth", "eve", lambda job: order.append("fourth"))  # there is room for it
    assert waiting.state == "cancelled"
    gate.opened.set()
    settle_after(last)
    assert running.state == "cancelled"
    assert order == ["third", "fourth"]


@pytest.mark.parametrize("looks", range(4))
def test_a_session_that_ends_while_its_job_gets_the_device_does_not_stop_the_others(
    looks: int, gates: Callable[..., Gate]
) -> None:
    asked: list[str] = []

    def alive(owner: str) -> bool:
        """True, until a job that ends has looked a number of times at ann, who then closes the page."""
        if owner == "ann" and threading.current_thread().name == "job on cpu":
            asked.append(owner)
        return owner != "ann" or len(asked) <= looks

    jobs: Jobs[Any] = Jobs(alive=alive)
    blocker = gates()
    started(jobs, blocker, "blocker", "bob")
    jobs.submit("cpu", "first", "ann", lambda job: job.report(1.0))
    after = jobs.submit("cpu", "after", "cid", give("after"))
    blocker.opened.set()
    settle(jobs)
    assert asked
    assert after.result == "after"


def test_closing_waits_for_what_runs_drops_what_waits_and_begins_nothing(
    jobs: Jobs[Any], gates: Callable[..., Gate]
) -> None:
    gate = gates()
    running = started(jobs, gate)
    waiting = jobs.submit("cpu", "second", "bob", never)
    jobs.close(0.01)  # it does not end in time
    assert (running.state, waiting.state) == ("running", "cancelled")
    threading.Timer(0.1, gate.opened.set).start()
    jobs.close(WAIT)
    assert running.state == "cancelled"
    begun = threading.Event()
    jobs.submit("cpu", "third", "cid", lambda job: begun.set())
    assert not begun.wait(0.2)


def test_the_place_of_a_job_whose_session_leaves_just_then_is_no_error(gates: Callable[..., Gate]) -> None:
    gone: set[str] = set()
    jobs: Jobs[Any] = Jobs(alive=lambda owner: owner not in gone)
    started(jobs, gates())
    waiting = jobs.submit("cpu", "second", "bob", never)
    gone.add("bob")
    assert jobs.ahead(waiting) == 0


def test_a_job_that_works_too_long_is_stopped_and_says_so(gates: Callable[..., Gate]) -> None:
    jobs: Jobs[Any] = Jobs(limit=0.0)
    gate = gates()
    job = started(jobs, gate)
    gate.opened.set()
    settle_after(job)
    assert job.state == "failed"
    assert job.sentence.startswith("Stopped after the limit of 0 s; choose fewer methods")


def settle_after(job: Job[Any]) -> None:
    """Wait for one job, where another could not run."""
    deadline = time.monotonic() + WAIT
    while job.active:
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_a_job_without_memory_says_so_and_the_next_one_runs(jobs: Jobs[Any], error: Exception) -> None:
    def fail(job: Job[Any]) -> None:
        raise error

    job = jobs.submit("cpu", "key", "ann", fail)
    after = jobs.submit("cpu", "other", "bob", give(1))
    settle(jobs)
    assert re.fullmatch(r"Out of memory; choose a smaller model \(error \w{8}\); details are .*", job.sentence)
    assert after.result == 1


def test_the_log_says_who_what_and_how_long(jobs: Jobs[Any], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "attribution.work.jobs"):
        jobs.submit("cpu", "key", "ann", give(1), {"session": "ann", "model": "squeezenet1_1"})
        settle(jobs)
    (ended,) = [
        each for each in caplog.records if getattr(each, "session", "") == "ann"
    ]  # other tests' workers log late
    assert (ended.message, ended.state, ended.model) == ("job ended", "done", "squeezenet1_1")
    assert ended.seconds >= 0


def test_a_session_that_is_gone_stays_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    connected = {"theirs"}
    server = SimpleNamespace(is_active_session=connected.__contains__)
    monkeypatch.setattr(session.st.runtime, "exists", lambda: True)
    monkeypatch.setattr(session.st.runtime, "get_instance", lambda: server)
    ann = session.Session("ann", "theirs")
    session._sessions["ann"] = ann
    assert session.is_connected("ann")
    connected.clear()
    assert [session.is_connected("ann") for _ in range(3)] == [False] * 3
    connected.add("theirs")
    assert session.is_connected("ann")  # a line that broke and was mended
    del ann
    assert not session.is_connected("ann")
    assert "ann" not in session._sessions  # nothing is kept of a session that has ended


def test_the_last_places_are_reserved_for_other_addresses(gates: Callable[..., Gate]) -> None:
    jobs: Jobs[Any] = Jobs(queue=MAX_JOBS_PER_ADDRESS + RESERVED_PLACES)
    gate = gates()
    started(jobs, gate)
    for n in range(MAX_JOBS_PER_ADDRESS):
        jobs.submit("cpu", f"job {n}", f"session {n}", give(n), address="192.0.2.1")
    with pytest.raises(Refusal, match=rf"analyses from your network are queued \({MAX_JOBS_PER_ADDRESS}\); try again"):
        jobs.submit("cpu", "one more", "zoe", never, address="192.0.2.1")
    jobs.submit("cpu", "newer", "session 0", give(0), address="192.0.2.1")  # takes over a place of its own
    for n in range(RESERVED_PLACES):
        jobs.submit("cpu", f"other {n}", f"other session {n}", give(n), address=f"198.51.100.{n}")
    with pytest.raises(Refusal, match="The queue is full"):
        jobs.submit("cpu", "too many", "eve", never, address="203.0.113.1")
    gate.opened.set()
