"""What needs an accelerator: maps there against the CPU, the rules across the backward thread, seconds.

Run by `make gpu-check`, in any Python that has torch, torchvision, timm, numpy and pillow. Prints one line a figure and
PASS or FAIL; exits with 2 where there is no accelerator.
"""

import statistics
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import torch  # noqa: E402
from torchvision import models as zoo  # noqa: E402
from toys import randomise  # noqa: E402

import attribution as at  # noqa: E402
from attribution.model import available_devices  # noqa: E402

METHODS = [at.Gradient(), at.GuidedBackprop(), at.ZeilerFergus(), at.IntegratedGradients(50)]
FARTHEST = 0.02  # relative L2 distance of a map from the CPU's: rounding opens or shuts single gates
PHOTO = ROOT / "assets" / "samples" / "german_shepherd_on_grass.jpg"


def random_resnet(device: str) -> at.Model:
    """ResNet-50 with random weights and batch-norm statistics that are not trivial."""
    classes = [str(index) for index in range(1000)]
    net = randomise(zoo.resnet50(weights=None))
    return at.Model("resnet50, random", net, (224, 224), (0.5,) * 3, (0.25,) * 3, classes, device=device)


def main() -> int:
    """Check the first accelerator of this machine."""
    device = available_devices()[0]
    if device == "cpu":
        print("This machine has no accelerator that torch can use.")
        return 2
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True  # a model must switch both off
    failed = []
    for load in (
        lambda device: at.load_model("squeezenet1_1", device),
        lambda device: at.load_model("efficientnet_lite0", device),
        random_resnet,
    ):
        here, there = load("cpu"), load(device)
        x = here.prepare(at.open_image(PHOTO))
        expected = at.compare(here, x, METHODS, at.Target(235))
        for method, reference in zip(METHODS, expected, strict=True):
            seconds = []
            for _ in range(5):
                result = at.attribute(there, x, method, at.Target(235))
                seconds.append(result.seconds)
            again = at.attribute(there, x, method, at.Target(235)).values
            distance = np.linalg.norm(result.values - reference.values) / np.linalg.norm(reference.values)
            same = np.array_equal(result.values, again)
            good = distance < FARTHEST and same
            failed += [] if good else [f"{here.name} {method.key}"]
            print(
                f"{here.name:18} {method.key:20} distance from the CPU {distance:.1e}, same twice {same}, "
                f"{statistics.median(seconds) * 1000:.1f} ms (CPU {reference.seconds * 1000:.0f} ms)"
            )
    print(f"FAIL: {', '.join(failed)}" if failed else f"PASS on {device}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
