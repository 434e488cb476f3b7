"""Probes of one session: quick jobs of their own, for which a run of the board waits instead of polling."""

from typing import TypeVar

from attribution.refusal import Refusal
from attribution.ui.polling import poll_again
from attribution.ui.session import address, session
from attribution.ui.watch import JOBS, Task
from attribution.work.jobs import Job

R = TypeVar("R")
WAIT = 0.5  # seconds


def poll(name: str, after: float) -> None:
    """Rerun the surrounding fragment after this many seconds, to look at its jobs; the name is unique on the page."""
    session().polls += 1
    poll_again(session().polls, after, key=f"poll-{name}")


def forget_failure(purpose: str) -> None:
    """Let the next `ask` for a purpose begin anew if the last job has failed."""
    if (job := session().probes.get(purpose)) and job.state == "failed":
        del session().probes[purpose]


def ask(task: Task[R], purpose: str, wait: float = WAIT) -> Job[R]:
    """Return the job of a task, which may have ended; the session's earlier job for the same purpose is left.

    Args:
        task: The task.
        purpose: Name of what the session wants to know, such as "answer". Jobs for different purposes go on together.
        wait: Seconds to wait for its end. Default: as long as a probe may take.

    Returns:
        The job; if the queue is full, one that has failed with the reason.
    """
    if (known := task.remembered()) is not None:
        return Job.done(task.key, known)
    jobs, owner = session().probes, f"{session().owner}:{purpose}"
    job: Job[R] | None = jobs.get(purpose)
    if job is None or job.key != task.key or job.state == "cancelled" or (job.active and not job.look(owner)):
        about = {"session": session().owner, "task": type(task).__name__, "model": task.model}
        try:
            job = jobs[purpose] = JOBS.submit(task.device, task.key, owner, task.compute, about, address())
        except Refusal as refusal:
            job = Job(task.key, task.compute, owner)
            job.state, job.sentence = "failed", str(refusal)
    JOBS.wait(job, wait)
    return job
