"""Checks that need an accelerator: its maps and rectifier rules against the CPU's, and its speed.

Run by `make gpu-check`, in any Python that has torch, torchvision, timm, numpy and pillow. Prints one line per figure,
then PASS or FAIL; exits with status 2 without an accelerator.
"""

import statistics
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import torch  # noqa: E402
from timm import create_model  # noqa: E402
from torchvision import models as zoo  # noqa: E402
from toys import randomise  # noqa: E402

import attribution as at  # noqa: E402
from attribution.network.device import available_devices  # noqa: E402

METHODS = [
    *(at.Gradient(), at.GuidedBackprop(), at.ZeilerFergus(), at.IntegratedGradients(50, rule="midpoint")),
    *(at.DeepLIFT(), at.LRP(), at.GradCAMPlusPlus(), at.FinerCAM(negative="kept"), at.ScoreCAM(channels=8)),
    *(at.AttentionRollout(), at.AttentionRelevance()),
]
TARGET = at.Target(235, "logit")  # a probability of a random network can round to 0
MAP_DISTANCE = 0.02  # largest relative L2 distance of a map from the CPU's: rounding opens or closes single gates
MEAN_MAP_DISTANCE = 0.01  # the same for a mean of gradients
MACS = {"googlenet": 1.50e9, "resnet50": 4.09e9}  # multiply-accumulates of one forward pass at 224 x 224
PHOTO = ROOT / "assets" / "samples" / "german_shepherd_on_grass.jpg"


def random_resnet(device: str) -> at.Model:
    """Return a ResNet-50 with random weights and non-trivial batch-norm statistics."""
    classes = [str(index) for index in range(1000)]
    net = randomise(zoo.resnet50(weights=None))
    return at.Model("resnet50, random", net, (224, 224), (0.5,) * 3, (0.25,) * 3, classes, device=device)


def random_transformer(device: str) -> at.Model:
    """Return a small vision transformer with random weights."""
    torch.manual_seed(0)  # of the tokens
    net = randomise(create_model("vit_tiny_patch16_224"))
    classes = [str(index) for index in range(1000)]
    return at.Model("ViT-Ti, random", net, (224, 224), (0.5,) * 3, (0.5,) * 3, classes, device=device)


def speed(name: str, macs: float, device: str) -> None:
    """Print the time of integrated gradients with 50 steps, its share of the peak speed, and Captum's if installed."""
    extra = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    net = randomise(zoo.get_model(name, weights=None, **extra))
    model = at.Model(name, net, (224, 224), (0.5,) * 3, (0.25,) * 3, [str(i) for i in range(1000)], device=device)
    x = model.prepare(at.open_image(PHOTO))
    method = at.IntegratedGradients(50)
    ours = statistics.median(at.attribute(model, x, method, at.Target(0)).seconds for _ in range(7))
    reached = 4 * 50 * macs / ours / 1e12  # two operations per MAC, forward and backward
    limit = matrix_speed(device)
    print(f"{name:18} 50 steps in {ours * 1000:.1f} ms: {reached:.1f} of {limit:.1f} TFLOP/s, {reached / limit:.0%}")
    try:
        from captum.attr import IntegratedGradients
    except ImportError:
        return
    net = net.to(device)
    explain = IntegratedGradients(lambda pixels: net((pixels - 0.5) / 0.25).softmax(1))
    pixels, seconds = x[None].to(device), []
    for _ in range(7):
        torch.cuda.synchronize()
        started = time.perf_counter()
        explain.attribute(pixels, torch.zeros_like(pixels), target=0, n_steps=50)
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    captum = statistics.median(seconds)
    print(f"{name:18} Captum {captum * 1000:.1f} ms, {captum / ours:.1f}x (aim 5)")


def matrix_speed(device: str) -> float:
    """Measure the peak speed of the device in TFLOP/s: a large float32 matrix product without TF32."""
    one = torch.rand(8192, 8192, device=device)
    seconds = []
    for _ in range(5):
        torch.cuda.synchronize()
        started = time.perf_counter()
        one @ one
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return 2 * 8192**3 / statistics.median(seconds) / 1e12


def main() -> int:
    """Check the first accelerator of this machine and return the exit status."""
    device = available_devices()[0]
    if device == "cpu":
        print("This machine has no accelerator that PyTorch can use.")
        return 2
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True  # a model must disable both
    failed = []
    for load in (
        lambda device: at.load_model("squeezenet1_1", device),
        lambda device: at.load_model("efficientnet_lite0", device),
        random_resnet,
        random_transformer,
    ):
        here, there = load("cpu"), load(device)
        x = here.prepare(at.open_image(PHOTO))
        methods = [method for method in METHODS if not method.refusal(here)]
        expected = at.compare(here, x, methods, TARGET)
        for method, reference in zip(methods, expected, strict=True):
            seconds = []
            for _ in range(5):
                result = at.attribute(there, x, method, TARGET)
                seconds.append(result.seconds)
            again = at.attribute(there, x, method, TARGET).values
            distance = np.linalg.norm(result.values - reference.values) / np.linalg.norm(reference.values)
            same = np.array_equal(result.values, again)
            good = distance < (MEAN_MAP_DISTANCE if method.converges and method.complete else MAP_DISTANCE) and same
            failed += [] if good else [f"{here.name} {method.key}"]
            print(
                f"{here.name:18} {method.key:20} distance from the CPU {distance:.1e}, same twice {same}, "
                f"{statistics.median(seconds) * 1000:.1f} ms (CPU {reference.seconds * 1000:.0f} ms)"
            )
    for name, macs in MACS.items():
        speed(name, macs, device)
    print(f"FAIL: {', '.join(failed)}" if failed else f"PASS on {device}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
