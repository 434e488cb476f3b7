"""Photos a second of the command batch beside a loop over Captum and beside the command explain, and what it survives.

The photos are crops and flips of the samples. Ours and the peers run in turn in this process, on the same photos and
cores, and each writes a PNG per map; medians of the rounds. Captum runs with its defaults, its maps drawn by its own
viewer, and once more drawn as ours are, since that viewer takes half of its time.

    make benchmark NAME=batch  # about 20 minutes

A name after it runs one part: speed, memory, killed, broken, ray or straight.
"""

import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import captum.attr as captum
import matplotlib
import numpy as np
import pyarrow.parquet as pq
import torch
from captum.attr import visualization
from matplotlib import pyplot
from PIL import Image, ImageOps
from torch import Tensor, nn
from verdict import Verdict

import attribution as at
from attribution.batch import Plan, Run
from attribution.batch.table import TABLE
from attribution.cli import main as command
from attribution.drawing.heatmap import colour, colour_maps, reduce, span, unit
from attribution.network.frozen import frozen_copy
from attribution.photo.encode import png
from attribution.system.memory import keep_freed_memory
from attribution.system.storage import Storage

ROOT = Path(__file__).parents[1]
SAMPLES = sorted((ROOT / "assets" / "samples").glob("*.jpg"))
MODELS = ("squeezenet1_1", "efficientnet_lite0")
METHODS = ("gradient", "integrated_gradients(steps=25)")
PHOTOS, BROKEN, KILLS, MANY = 500, 0.05, 10, 10_000
ROUNDS, OURS, THEIRS = 3, 24, 6  # photos a round
Draw = Callable[[Tensor, Tensor, Path], None]
POLL = 0.05  # seconds between two looks at a running command


def photos(folder: Path, count: int) -> Path:
    """Write crops and flips of the samples."""
    chance, samples = random.Random(0), [Image.open(path).convert("RGB") for path in SAMPLES]
    folder.mkdir(parents=True)
    for number in range(count):
        whole = samples[number % len(samples)]
        side = int(min(whole.size) * chance.uniform(0.7, 1))
        left, top = chance.randint(0, whole.width - side), chance.randint(0, whole.height - side)
        part = whole.crop((left, top, left + side, top + side))
        (ImageOps.mirror(part) if chance.random() < 0.5 else part).save(folder / f"{number:05}.jpg", quality=90)
    return folder


def plan(folder: Path, model: at.Model, methods: tuple[str, ...] = METHODS) -> Plan:
    """Return the plan of a batch of these photos."""
    analysis = at.Analysis(model=model.name, methods=tuple(at.read_method(each) for each in methods))
    return Plan(str(folder), analysis, weights=model.weights)


def explain(key: str, out: Path, folder: Path) -> None:
    """Run the command explain in this process."""
    names = [str(path) for path in sorted(folder.iterdir())]
    own = ["--model", key, "--methods", *METHODS, "--device", "cpu", "--out", str(out)]
    with redirect_stdout(StringIO()):
        command(["explain", *names, *own])


def batch(model: at.Model, out: Path, folder: Path) -> None:
    """Run a batch in this process, as the command does."""
    shutil.rmtree(out, ignore_errors=True)
    run = Run(plan(folder, model), Storage(str(out)))
    run.go(model, "local", None, lambda count: None)
    run.collect()


class Captum:
    """A loop over Captum as its tutorials write it: one photo after the other, defaults, 25 steps."""

    def __init__(self, model: at.Model) -> None:
        self.model, self.net = model, frozen_copy(model.net).requires_grad_(True)
        for module in self.net.modules():
            if isinstance(module, nn.ReLU):  # Captum cannot hook one in place
                module.inplace = False
        self.gradient = captum.Saliency(self.probabilities)
        self.integrated = captum.IntegratedGradients(self.probabilities)

    def probabilities(self, x: Tensor) -> Tensor:
        return torch.softmax(self.net((x - self.model._mean) / self.model._std), 1)

    def run(self, out: Path, draw: Draw, folder: Path) -> None:
        """Explain the photos of a folder."""
        for path in sorted(folder.iterdir()):
            self.explain(path, out, draw)

    def explain(self, path: Path, out: Path, draw: Draw) -> None:
        """Explain one photo."""
        x = self.model.prepare(at.open_image(path))[None].requires_grad_()
        with torch.no_grad():
            target = int(self.probabilities(x).argmax())
        gradient = self.gradient.attribute(x, target=target, abs=False)
        integrated, _ = self.integrated.attribute(x, target=target, n_steps=25, return_convergence_delta=True)
        out.mkdir(parents=True, exist_ok=True)
        for name, values in (("gradient", gradient), ("integrated", integrated)):
            draw(values.detach(), x.detach(), out / f"{path.stem}_{name}.png")


def viewed(values: Tensor, x: Tensor, path: Path) -> None:
    """Draw a map by Captum's viewer."""
    map_, photo = (each[0].permute(1, 2, 0).numpy() for each in (values, x))
    figure, _ = visualization.visualize_image_attr(map_, photo, "heat_map", "absolute_value", use_pyplot=False)
    figure.savefig(path)


def drawn(values: Tensor, x: Tensor, path: Path) -> None:
    """Draw a map as ours are."""
    heat = reduce(values[0].numpy())
    path.write_bytes(png(colour(unit(heat, span(heat)), colour_maps()["grey"])))


def pace(run: Callable[[Path], Any], folder: Path, count: int) -> float:
    """Photos a second."""
    began = time.perf_counter()
    run(folder)
    return count / (time.perf_counter() - began)


def speed(verdict: Verdict, place: Path) -> None:
    """Ours and the peers in turn."""
    keep_freed_memory()
    few, many = photos(place / "few", THEIRS), photos(place / "many", OURS)
    for key in MODELS:
        model, out = at.load_model(key, device="cpu"), place / "out"
        loop = Captum(model)

        runs = {
            "batch": (partial(batch, model, out), many, OURS),
            "captum": (partial(loop.run, place / "captum", viewed), few, THEIRS),
            "captum, drawn as ours": (partial(loop.run, place / "captum", drawn), few, THEIRS),
            "explain": (partial(explain, key, out), few, THEIRS),
        }
        found: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(ROUNDS):
            for name, (run, folder, count) in runs.items():
                found[name].append(pace(run, folder, count))
        medians = {name: statistics.median(each) for name, each in found.items()}
        print(f"{key}: " + ", ".join(f"{name} {value:.2f} photos/s" for name, value in medians.items()), flush=True)
        ratio = medians["batch"] / medians["captum"]
        verdict.judge(f"{key}, against Captum", f"{ratio:.1f}x", ratio, 5, 3, more=True)
        print(f"{key}, against Captum drawn as ours: {medians['batch'] / medians['captum, drawn as ours']:.1f}x")
        ratio = medians["batch"] / medians["explain"]
        verdict.judge(f"{key}, against explain", f"{ratio:.1f}x", ratio, 2, 1.3, more=True)


def started(folder: Path, out: Path, *more: str, methods: tuple[str, ...] = METHODS) -> subprocess.Popen[str]:
    """Start the command in a process of its own."""
    own = ["batch", str(folder), "--methods", *methods, "--device", "cpu", "--out", str(out), *more]
    return subprocess.Popen([sys.executable, "-m", "attribution", *own], cwd=ROOT, stderr=subprocess.PIPE, text=True)


def stored(out: Path) -> int:
    """Photos whose rows are stored, by groups of four."""
    return 4 * len(list(out.glob("rows/*.parquet")))


def resident(process: subprocess.Popen[str]) -> float:
    """MB of memory that a process holds."""
    with suppress(OSError):
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return float(line.split()[1]) / 1000
    return 0.0


def memory(verdict: Verdict, place: Path) -> None:
    """All 500 photos; the most memory in tenths of the run, from photo 50 on."""
    folder, out = photos(place / "photos", PHOTOS), place / "out"
    for key in MODELS:
        shutil.rmtree(out, ignore_errors=True)
        running, most, first = started(folder, out, "--model", key), [0.0] * 11, 0.0
        while running.poll() is None:
            count = stored(out)
            first = first or (time.perf_counter() if count else 0.0)
            tenth = min(10, count * 10 // PHOTOS)
            most[tenth] = max(most[tenth], resident(running))
            if count < PHOTOS:
                last = time.perf_counter()
            time.sleep(POLL)
        early, late = max(most[1:3]), max(most[8:10])
        speed = (PHOTOS - 4) / (last - first)
        print(f"{key}: {PHOTOS} photos, {speed:.2f} photos/s, MB by tenths {[round(each) for each in most]}")
        verdict.judge(f"{key}, memory from photo 50 to 500", f"{late - early:+.0f} MB", late - early, 20, 60)


def table(out: Path) -> Any:
    """Return the rows that another run of the same batch must repeat."""
    return pq.read_table(out / TABLE).drop_columns(["seconds"])


def killed(verdict: Verdict, place: Path) -> None:
    """Ten kills at random times, each once new rows are stored."""
    folder, chance = photos(place / "photos", 120), random.Random(1)
    short = ("gradient", "integrated_gradients(steps=12)")
    assert started(folder, place / "whole", methods=short).wait() == 0
    kills, lost, before = 0, 0, 0
    while kills < KILLS:
        running = started(folder, place / "out", methods=short)
        while stored(place / "out") == before and running.poll() is None:  # until it works
            time.sleep(POLL)
        time.sleep(chance.uniform(0, 0.5))
        if running.poll() is not None:
            print(f"it ended after {kills} kills, too early")
            break
        running.send_signal(signal.SIGKILL)
        running.wait()
        kills, now = kills + 1, stored(place / "out")
        lost, before = lost + (now < before), now
    started(folder, place / "out", methods=short).wait()
    same = table(place / "out").equals(table(place / "whole"))
    verdict.judge(
        "killed and resumed",
        f"{kills} kills, table {'equal' if same else 'DIFFERENT'}",
        kills * same,
        KILLS,
        KILLS,
        more=True,
    )
    verdict.judge("rows lost by kills", f"{lost}", lost, 0, 0)


def broken(verdict: Verdict, place: Path) -> None:
    """Files that are empty, no photo or cut short."""
    folder = photos(place / "photos", 100)
    wrong = random.Random(2).sample(sorted(folder.iterdir()), round(BROKEN * 100))
    for number, path in enumerate(wrong):
        path.write_bytes((b"", b"no photo", path.read_bytes()[:1000])[number % 3])
    started(folder, place / "out", methods=("gradient",)).wait()
    rows = pq.read_table(place / "out" / TABLE).to_pylist()
    names = sorted(row["photo"] for row in rows if row["refusal"])
    right = names == sorted(path.name for path in wrong) and len(rows) == 100
    verdict.judge("error rows", f"{len(names)} of {len(rows)} for {len(wrong)} broken files", right, 1, 1, more=True)


def ray(verdict: Verdict, place: Path) -> None:
    """Photos a second of two actors over one, from the first group to the last."""
    folder, paces = photos(place / "photos", 64), []
    for actors in (1, 2):
        out = place / f"out{actors}"
        running, times = started(folder, out, "--engine", "ray", "--workers", str(actors)), list[tuple[float, int]]()
        while running.poll() is None:
            times.append((time.perf_counter(), stored(out)))
            time.sleep(POLL)
        began = next(at for at, count in times if count >= 4 * actors)
        ended = next(at for at, count in times if count >= 64)
        paces.append((64 - 4 * actors) / (ended - began))
    print(f"ray: one actor {paces[0]:.2f}, two actors {paces[1]:.2f} photos/s")
    verdict.judge("two actors against one", f"{paces[1] / paces[0]:.2f}x", paces[1] / paces[0], 1.6, 1.6, more=True)
    started(folder, place / "local").wait()
    running = started(folder, place / "kill", "--engine", "ray", "--workers", "2")
    while stored(place / "kill") < 32 and running.poll() is None:
        time.sleep(POLL)
    subprocess.run(["pkill", "-9", "--oldest", "-f", "ray::MapWorker"], check=True)
    running.wait()
    for label, run in (("rows of one actor", "out1"), ("of two", "out2"), ("of two, one of them killed", "kill")):
        same = table(place / run).equals(table(place / "local"))
        verdict.judge(f"{label}, as on this machine alone", "equal" if same else "DIFFERENT", same, 1, 1, more=True)


def straight(verdict: Verdict, place: Path) -> None:
    """Rows a second and bytes against the number of photos, with a network that takes no time."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 5, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)
    )
    model = at.Model("tiny", net, (32, 32), (0.5,) * 3, (0.2,) * 3, ("a", "b", "c"), device="cpu")
    folder, few = place / "photos", photos(place / "few", 200)
    folder.mkdir()
    for each in range(MANY):
        shutil.copy(few / f"{each % 200:05}.jpg", folder / f"{each:05}.jpg")
    run = Run(plan(folder, model, ("gradient",)), Storage(str(place / "out")))
    marks, began, done = [(0, 0.0, 0)], time.perf_counter(), 0

    def finished(count: int) -> None:
        nonlocal done
        done += count
        if done >= len(marks) * MANY // 10:
            size = sum(path.stat().st_size for path in (place / "out").rglob("*") if path.is_file())
            marks.append((done, time.perf_counter() - began, size))

    run.go(model, "local", None, finished)
    collected = time.perf_counter()
    run.collect()
    collected = time.perf_counter() - collected
    print(f"{MANY} photos in {marks[-1][1]:.0f} s, {marks[-1][2] / 1e6:.0f} MB; collected in {collected:.1f} s")
    counts, seconds, sizes = np.array(marks, dtype=float).T
    for name, values, unit_ in (("seconds", seconds, "s"), ("bytes", sizes, "B")):
        line = np.polyfit(counts, values, 1)
        off = float(np.abs(values - np.polyval(line, counts)).max() / values[-1])
        print(f"{name}: {line[0]:.4g} {unit_} a photo")
        verdict.judge(f"{name}, distance from a straight line", f"{off:.1%}", off, 0.02, 0.05)


PARTS = {part.__name__: part for part in (speed, memory, killed, broken, ray, straight)}


def main() -> int:
    """Run all parts, or those that are named."""
    warnings.simplefilter("ignore")
    matplotlib.use("agg")
    verdict = Verdict()
    for name in sys.argv[1:] or PARTS:
        with tempfile.TemporaryDirectory() as place:
            PARTS[name](verdict, Path(place))
        pyplot.close("all")
    return verdict.status()


if __name__ == "__main__":
    sys.exit(main())
