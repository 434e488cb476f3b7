"""Jobs that take turns at one network compute the bytes that each computes alone."""

import itertools
import math
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from toys import brief, noise

import attribution as at
from attribution.checks import convergence
from attribution.checks.faithfulness import Trial, measure
from attribution.checks.sanity import Randomisation, randomise
from attribution.methods import METHODS
from attribution.methods.method import Method
from attribution.models.record import ModelRecord
from attribution.system.download import Progress
from attribution.work import analysis
from attribution.work.analysis import PreparedAnalysis, loaded
from attribution.work.jobs import Job, Jobs

WAIT = 120.0  # seconds after which a test fails
SIDE = 64  # pixels
Work = Callable[[Job[Any]], Any]


def explain(model: at.Model, x: Tensor, *methods: Method) -> Work:
    return lambda job: at.compare(model, x, methods, on_progress=lambda fraction, _: job.report(fraction))


def works(model: at.Model) -> dict[str, Work]:
    """One job per method, and one per check, each with a photo of its own."""
    photos = (noise(3, SIDE, SIDE, seed=seed) for seed in range(1000))
    made = {key: explain(model, next(photos), brief(method)) for key, method in METHODS.items()}
    gradients = [at.Gradient(), at.GradCAM(), at.GuidedBackprop(), at.ZeilerFergus()]
    made["sharing a forward pass"] = explain(model, next(photos), *gradients)
    x = next(photos)
    maps = at.compare(model, x, [at.Gradient(), at.InputXGradient()]).maps
    trial, plan = Trial(steps=4, samples=2, moves=1), Randomisation(stages=2)

    def faithfulness(job: Job[Any]) -> Any:
        return measure(model, maps, trial, on_progress=job.report)

    def sanity(job: Job[Any]) -> Any:
        return randomise(model, x, gradients[:2], plan=plan, on_progress=job.report)

    def path(job: Job[Any]) -> Any:
        return convergence.study(model, x, at.baselines.Black(), steps=3, on_progress=job.report)

    return made | {"faithfulness": faithfulness, "sanity": sanity, "path": path}


def content(value: Any) -> list[object]:
    """All numbers of a result, but for durations and the chunk."""
    if isinstance(value, np.ndarray):
        return [value.dtype.str, value.shape, value.tobytes()]
    if isinstance(value, dict):
        return [each for key, part in value.items() for each in (key, *content(part))]
    if isinstance(value, list | tuple):
        return [each for part in value for each in content(part)]
    if hasattr(value, "__dataclass_fields__"):
        return content({key: each for key, each in vars(value).items() if key != "seconds"})
    if isinstance(value, Tensor):
        return content(value.numpy())
    return [repr(value)]


def test_every_method_and_check_computes_the_same_bytes_with_a_switch_at_every_report(
    squeezenet: at.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("REFERENCE_STEPS", 17), ("MAX_ADAPTIVE_STEPS", 8)):
        monkeypatch.setattr(convergence, name, value)
    made = works(squeezenet)
    alone = {name: content(work(Job(name, work, "ann"))) for name, work in made.items()}
    turns: list[str] = []

    def noting(name: str, work: Work) -> Work:
        def run(job: Job[Any]) -> Any:
            report = job.report
            job.report = lambda *given, **more: (report(*given, **more), turns.append(name))[0]  # type: ignore[method-assign]
            return work(job)

        return run

    jobs: Jobs[Any] = Jobs(queue=100, quantum=-math.inf)
    with jobs._lock:  # until all are queued
        asked = {name: jobs.submit("cpu", name, name, noting(name, work)) for name, work in made.items()}
    for job in asked.values():
        with jobs._lock:
            assert jobs._lock.wait_for(lambda job=job: not job.active, WAIT), job.key
    assert {name: job.sentence for name, job in asked.items() if job.state != "done"} == {}
    for name, job in asked.items():
        assert content(job.result) == alone[name], name
    switches = sum(one != other for one, other in itertools.pairwise(turns))
    assert switches > len(turns) / 2


def test_a_network_is_loaded_once_while_others_have_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []
    begun, go = threading.Event(), threading.Event()

    def build(progress: Progress | None) -> nn.Module:
        built.append("built")
        begun.set()
        assert progress
        progress(1, 2)
        assert go.wait(WAIT)
        return at.MODELS["squeezenet1_1"].build(None)

    record: ModelRecord = replace(at.MODELS["squeezenet1_1"], key="slow", build=build)
    asked = PreparedAnalysis(at.Analysis(), record, torch.zeros(3, SIDE, SIDE), (SIDE, SIDE), "photo", "cpu")
    monkeypatch.setattr(analysis, "_models", analysis.Recent("models of this test", analysis.MODEL_STORE))
    jobs: Jobs[Any] = Jobs(quantum=0.0)
    first = jobs.submit("cpu", "first", "ann", lambda job: loaded(asked, job, job.report))
    assert begun.wait(WAIT)
    second, third = (
        jobs.submit("cpu", owner, owner, lambda job: loaded(asked, job, job.report)) for owner in ("bob", "cid")
    )
    other = jobs.submit("cpu", "other", "dan", lambda job: "served")
    with jobs._lock:
        assert jobs._lock.wait_for(lambda: not other.active, WAIT)
    jobs.cancel("cid")
    with jobs._lock:
        assert jobs._lock.wait_for(lambda: third not in jobs._lines["cpu"].open, WAIT)
    go.set()
    with jobs._lock:
        assert jobs._lock.wait_for(lambda: not first.active and not second.active, WAIT)
    assert (first.state, second.state, third.state) == ("done", "done", "cancelled")
    assert first.result is second.result
    assert built == ["built"]


def test_models_that_load_at_the_same_time_fit_into_the_memory_for_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "share", lambda part: 100.0)
    jobs: Jobs[Any] = Jobs()
    sizes, held = (60.0, 60.0, 30.0, 90.0), list[list[float]]()

    def load(number: int) -> Work:
        def work(job: Job[Any]) -> None:
            with analysis._alone((str(number), "cpu"), sizes[number], job), job.aside():
                with analysis._loading_ended:
                    held.append(list(analysis._loading.values()))
                threading.Event().wait(0.02)

        return work

    for number in range(len(sizes)):
        jobs.submit("cpu", str(number), str(number), load(number))
    with jobs._lock:
        assert jobs._lock.wait_for(lambda: not any(each.open or each.queued for each in jobs._lines.values()), WAIT)
    assert len(held) == len(sizes)
    assert max(map(sum, held)) <= 100.0
    assert not analysis._loading
