"""The cost of one gradient evaluation, compared with the bare network and with Captum.

Ours is integrated gradients with 48 steps by a fixed rule. The bare network is a forward pass and the gradient of its
input in the fastest known form: frozen, batch norms folded, weights and images channels last, at the best of several
chunk sizes, with nothing interpolated, normalised, scored or accumulated. The two alternate; the figures are medians.
GoogLeNet and ResNet-50 have random weights, which do not affect the time. Captum, on SqueezeNet, has the fastest of
several values of internal_batch_size; it alternates with ours, alone and beside a process that keeps one core busy.

    make benchmark NAME=evaluation
"""

import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import torch
from integrated_gradients import Case, Softmax, captum
from torch import nn
from torchvision import models as zoo
from verdict import Verdict

import attribution as at

STEPS = 48
RUNS = 7
CHUNK_SIZES = (1, 2, 4, 8, 16)  # images per pass of the bare network
AIM, FLOOR = 1.10, 1.25  # time of ours over the bare network's: desired, and at most
CAPTUM_RATIO = 1.3  # time of Captum's over ours, at least
BUSY = "while True: pass"


def models() -> dict[str, at.Model]:
    """Return the four networks, at 224 x 224 or their own size."""
    random = {
        "googlenet": zoo.googlenet(weights=None, aux_logits=False, init_weights=False),
        "resnet50": zoo.resnet50(weights=None),
    }
    classes = [str(index) for index in range(1000)]
    made = {
        name: at.Model(name, net, (224, 224), (0.5,) * 3, (0.25,) * 3, classes, device="cpu")
        for name, net in random.items()
    }
    return {name: at.load_model(name, device="cpu") for name in ("squeezenet1_1", "efficientnet_lite0")} | made


def bare(net: nn.Module, images: torch.Tensor) -> None:
    """Run a forward pass and compute the gradient of its input."""
    x = images.detach().requires_grad_()
    torch.autograd.grad(net(x)[:, 0].sum(), x)


def ours(model: at.Model, x: torch.Tensor) -> None:
    """Compute integrated gradients."""
    at.attribute(model, x, at.IntegratedGradients(STEPS, rule="midpoint"), at.Target(0, "logit"))


def measure(model: at.Model) -> tuple[float, float, int]:
    """Return the milliseconds of an evaluation, ours and bare, and the bare network's best chunk size."""
    height, width = model.preprocessing.size
    x = torch.rand(3, height, width)
    images = torch.rand(STEPS, 3, height, width).contiguous(memory_format=torch.channels_last)
    times: dict[int, list[float]] = {0: [], **{chunk: [] for chunk in CHUNK_SIZES}}
    for _ in range(RUNS + 1):  # the first warms up
        started = time.perf_counter()
        ours(model, x)
        times[0].append(time.perf_counter() - started)
        for chunk in CHUNK_SIZES:
            started = time.perf_counter()
            for part in torch.split(images, chunk):
                bare(model.running_net, part)
            times[chunk].append(time.perf_counter() - started)
    medians = {chunk: 1000 * statistics.median(each[1:]) / STEPS for chunk, each in times.items()}
    best = min(CHUNK_SIZES, key=lambda chunk: medians[chunk])
    return medians[0], medians[best], best


@contextlib.contextmanager
def busy_core() -> Iterator[None]:
    """Keep one core busy."""
    with subprocess.Popen([sys.executable, "-c", BUSY]) as process:
        try:
            yield
        finally:
            process.kill()


def against_captum(model: at.Model) -> tuple[float, float, int]:
    """Return the milliseconds of an evaluation, ours and Captum's, and its best internal_batch_size."""
    x = torch.rand(3, *model.preprocessing.size)
    net, case = Softmax(model), Case(x, 0, x.numpy())
    runs = {chunk: captum(net, chunk, STEPS) for chunk in CHUNK_SIZES}
    times: dict[int, list[float]] = {0: [], **{chunk: [] for chunk in CHUNK_SIZES}}
    for _ in range(RUNS + 1):
        for chunk, took in times.items():
            started = time.perf_counter()
            runs[chunk](case) if chunk else ours(model, x)
            took.append(time.perf_counter() - started)
    medians = {chunk: 1000 * statistics.median(each[1:]) / STEPS for chunk, each in times.items()}
    best = min(CHUNK_SIZES, key=lambda chunk: medians[chunk])
    return medians[0], medians[best], best


def main() -> int:
    """Print every figure and the verdict, and return the exit status."""
    verdict = Verdict()
    squeezenet = at.load_model("squeezenet1_1", device="cpu")
    for where, place in (("alone", contextlib.nullcontext()), ("beside a busy core", busy_core())):
        with place:
            own, theirs, chunk = against_captum(squeezenet)
        text = f"{own:.1f} ms, Captum {theirs:.1f} ms with internal_batch_size={chunk}, {theirs / own:.2f}x"
        verdict.judge(f"evaluation {where}", text, theirs / own, CAPTUM_RATIO, CAPTUM_RATIO, more=True)
    for name, model in models().items():
        own, least, chunk = measure(model)
        ratio = own / least
        text = f"{own:.1f} ms, bare network {least:.1f} ms in chunks of {chunk}, {ratio:.2f}x"
        verdict.judge(f"evaluation {name}", text, ratio, AIM, FLOOR)
    return verdict.status()


if __name__ == "__main__":
    sys.exit(main())
