"""Seconds for maps of integrated gradients of which none is more than 5 % off: ours and Captum's.

Same photos, same process, real weights of both embedded networks; probability of the predicted class, black baseline.
The error of a map is its L2 distance from a reference of 1500 midpoint evaluations over the reference's norm; the
worst photo counts. Ours stop by themselves (automatic steps); Captum gets the fewest steps with which no photo is more
than 5 % off. It runs as it comes (all steps in one batch, Gauss-Legendre) and with the fastest of several values of
internal_batch_size. Seconds are those of all photos together, medians of runs of ours and Captum's in turn.

    make benchmark NAME=integrated_gradients
"""

import copy
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from captum.attr import IntegratedGradients
from numpy.typing import NDArray
from torch import Tensor, nn
from verdict import Verdict

import attribution as at
from attribution.methods.paths.straight_path import average
from attribution.network.scorer import Scorer
from attribution.photo.samples import SAMPLES, open_sample

Values = NDArray[np.float32]
Run = Callable[["Case"], Values]
PHOTOS = list(SAMPLES)[:4]
ERROR = 0.05
WORST_ERROR = 0.055  # floor of the worst error of ours, whose steps stop at an estimate
REFERENCE = 1500
RUNS = 5
BATCHES = (1, 2, 4, 8, 16)
AIM = {"defaults": 15.0, "tuned": 5.0}
FLOOR = {"defaults": 7.0, "tuned": 3.0}


class Softmax(nn.Module):
    """The network that Captum explains: pixels in, probabilities out, as torchvision and timm build it."""

    def __init__(self, model: at.Model) -> None:
        """Take the network as it was loaded: nothing folded, frozen or laid out otherwise."""
        super().__init__()
        self.model = model
        self.net = copy.deepcopy(model.net).requires_grad_(True)

    def forward(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, K)."""
        normalised = (pixels - self.model._mean) / self.model._std
        probabilities: Tensor = self.net(normalised).softmax(1)
        return probabilities


@dataclass
class Case:
    """A photo, its predicted class and the reference map."""

    x: Tensor
    index: int
    reference: Values

    def error(self, values: Values) -> float:
        """Relative L2 distance from the reference."""
        return float(np.linalg.norm(values - self.reference) / np.linalg.norm(self.reference))


def cases(model: at.Model) -> list[Case]:
    """All photos with their references."""
    found = []
    for name in PHOTOS:
        x = model.prepare(open_sample(name))
        index = model.predict(x, 1)[0][0]
        found.append(Case(x, index, reference(model, x, index)))
    return found


def reference(model: at.Model, x: Tensor, index: int) -> Values:
    """The map by REFERENCE midpoint evaluations."""
    scorer = Scorer(model, x, at.Target(index))
    found = average(scorer, torch.zeros_like(scorer.x), REFERENCE, "midpoint", lambda *_: None)
    return (scorer.x * found.gradient).numpy()


def ours(model: at.Model, case: Case) -> at.Attribution:
    """Our map of a case."""
    return at.attribute(model, case.x, at.IntegratedGradients(), at.Target(case.index))


def captum(net: Softmax, batch: int | None, steps: int) -> Run:
    """Captum's map of a case."""
    explainer = IntegratedGradients(net)

    def run(case: Case) -> Values:
        x = case.x[None]
        values = explainer.attribute(
            x, torch.zeros_like(x), target=case.index, n_steps=steps, internal_batch_size=batch
        )
        found: Values = values[0].detach().float().numpy()
        return found

    return run


def fewest(make: Callable[[int], Run], steps: range, found: list[Case]) -> tuple[int, float]:
    """The fewest evaluations with which no photo's map is more than ERROR off, and the worst error then."""
    hardest = found[0]
    for number in steps:
        run, worst = make(number), 0.0
        for case in sorted(found, key=lambda case: case is not hardest):  # the one that failed last comes first
            worst = max(worst, case.error(run(case)))
            if worst > ERROR:
                hardest = case
                break
        else:
            return number, worst
    raise RuntimeError(f"No number of steps up to {steps[-1]} keeps every map within {ERROR:.0%}.")


def seconds(runs: dict[str, Run], found: list[Case]) -> dict[str, float]:
    """Median seconds for all photos, all contestants in turn."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():  # warms up
        run(found[0])
    for _ in range(RUNS):
        for name, run in runs.items():
            started = time.perf_counter()
            for case in found:
                run(case)
            times[name].append(time.perf_counter() - started)
    return {name: statistics.median(each) for name, each in times.items()}


def main() -> int:
    """Print every figure and the verdict."""
    verdict = Verdict()
    for name in ("squeezenet1_1", "efficientnet_lite0"):
        model = at.load_model(name, device="cpu")
        net, found = Softmax(model), cases(model)
        maps = [ours(model, case) for case in found]
        counts = [each.backwards for each in maps]
        worst = max(case.error(each.values) for case, each in zip(found, maps, strict=True))
        estimated = max(each.error or 0.0 for each in maps)
        print(f"{name} ours: {', '.join(map(str, counts))} evaluations, worst estimated error {estimated:.3f}")
        verdict.judge(f"{name} worst error of ours", f"{worst:.3f}", worst, ERROR, WORST_ERROR)
        steps, their_worst = fewest(partial(captum, net, 8), range(20, 400, 10), found)
        print(f"{name} Captum: {steps} evaluations, worst error {their_worst:.3f}")
        batches = seconds({str(batch): captum(net, batch, steps) for batch in BATCHES}, found[:1])
        best = min(BATCHES, key=lambda batch: batches[str(batch)])
        runs: dict[str, Run] = {"ours": lambda case, model=model: ours(model, case).values}  # type: ignore[misc]
        runs |= {"defaults": captum(net, None, steps), "tuned": captum(net, best, steps)}
        times = seconds(runs, found)
        pace = 1000 * times["ours"] / sum(counts)
        print(f"{name} seconds: ours {times['ours']:.2f} for {len(found)} photos ({pace:.1f} ms an evaluation)")
        for peer, floor in FLOOR.items():
            ratio = times[peer] / times["ours"]
            label = peer if peer == "defaults" else f"internal_batch_size={best}"
            text = f"{times[peer]:.2f} s, {ratio:.1f}x"
            verdict.judge(f"{name} against Captum with {label}", text, ratio, AIM[peer], floor, more=True)
    return verdict.status()


if __name__ == "__main__":
    sys.exit(main())
