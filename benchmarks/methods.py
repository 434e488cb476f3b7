"""Seconds of every method on SqueezeNet beside those of Captum, pytorch-grad-cam and zennit, where they have it.

Same photo, class, score (the logit, which all have), settings and process; ours and theirs in turn, medians. Each peer
runs with its defaults and, where it has a batch size, also with one of 4 images; the faster one counts. A method that
none has is timed alone.

    make benchmark NAME=methods

Run as a script, it takes keys of methods to measure only those.
"""

import copy
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from captum import attr
from pytorch_grad_cam import FinerCAM, GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM, ScoreCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import squeezenet1_1
from verdict import Verdict
from zennit.attribution import Gradient
from zennit.composites import EpsilonPlusFlat

import attribution as at
from attribution.network.frozen import frozen_copy
from attribution.photo.segments import segment

PHOTO = Path(__file__).parents[1] / "assets" / "samples" / "german_shepherd_on_grass.jpg"
TARGET = 235
RUNS = 25
LONG = 0.2  # seconds from which on a run is repeated five times only
STEPS, SAMPLES, WINDOW, STRIDE, MASKS = 25, 25, 32, 16, 100
AIM, FLOOR = 2.0, 1 / 1.1  # never slower than 1.1 times the peer


class Normalised(nn.Module):
    """The network as people give it to the peers: as it was loaded, in evaluation, behind a normalisation."""

    def __init__(self, model: at.Model) -> None:
        super().__init__()
        self.net = frozen_copy(model.net).requires_grad_(True)
        self.mean, self.std = model._mean, model._std
        for module in self.net.modules():
            if isinstance(module, nn.ReLU):  # Captum cannot hook one in place
                module.inplace = False

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net((x - self.mean) / self.std)
        return logits


def peers(net: Normalised, x: Tensor) -> dict[str, dict[str, Callable[[], Any]]]:
    """By our key: the peers' ways to the same map."""
    images, layer = x[None].requires_grad_(), net.net.features
    noisy: dict[str, Any] = {"stdevs": 0.15 * float(x.max() - x.min()), "nt_samples": SAMPLES, "target": TARGET}
    tunnel = attr.NoiseTunnel(attr.Saliency(net))

    def smooth(kind: str) -> dict[str, Callable[[], Any]]:
        def run(count: int | None) -> Callable[[], Any]:
            return lambda: tunnel.attribute(images, nt_type=kind, abs=False, nt_samples_batch_size=count, **noisy)

        return {"captum": run(None), "captum, 4 at a time": run(4)}

    def cam(kind: type) -> Callable[[], Any]:
        own = copy.deepcopy(net)  # whose hooks are no one else's
        made = kind(own, [own.net.features])
        return lambda: made(images, [ClassifierOutputTarget(TARGET)])

    def score(count: int) -> Callable[[], Any]:
        own = copy.deepcopy(net)
        made = ScoreCAM(own, [own.net.features])
        made.batch_size = count
        return lambda: made(images, [ClassifierOutputTarget(TARGET)])

    def finer() -> Callable[[], Any]:
        own = copy.deepcopy(net)
        made = FinerCAM(own, [own.net.features])
        return lambda: made(images, alpha=0.6, target_idx=TARGET)

    def occlude(count: int) -> Callable[[], Any]:
        window: dict[str, Any] = {
            "sliding_window_shapes": (3, WINDOW, WINDOW),
            "strides": (3, STRIDE, STRIDE),
            "baselines": 0.5,
        }
        return lambda: attr.Occlusion(net).attribute(images, target=TARGET, perturbations_per_eval=count, **window)

    separate = copy.deepcopy(net)  # in which each rectifier is a module of its own, as Captum's DeepLIFT demands
    separate.net = squeezenet1_1().eval()
    separate.net.load_state_dict(net.net.state_dict())
    for module in separate.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False

    def relevance() -> Any:
        with Gradient(net, EpsilonPlusFlat()) as attributor:
            return attributor(images, lambda logits: logits * functional.one_hot(torch.tensor([TARGET]), 1000))

    def integrate(count: int | None) -> Callable[[], Any]:
        return lambda: attr.IntegratedGradients(net).attribute(
            images, torch.zeros_like(images), TARGET, n_steps=STEPS, internal_batch_size=count
        )

    def segmented(made: attr.Attribution) -> dict[str, Callable[[], Any]]:
        given: dict[str, Any] = {"baselines": 0.5, "target": TARGET, "n_samples": MASKS}
        given["feature_mask"] = torch.from_numpy(segment(x, at.LIME().segments, at.LIME().compactness))[None, None]

        def run(count: int) -> Callable[[], Any]:
            return lambda: made.attribute(images, perturbations_per_eval=count, **given)

        return {"captum": run(1), "captum, 4 at a time": run(4)}

    return {
        "gradient": {"captum": lambda: attr.Saliency(net).attribute(images, TARGET, abs=False)},
        "guided_backprop": {"captum": lambda: attr.GuidedBackprop(net).attribute(images, TARGET)},
        "zeiler_fergus": {"captum": lambda: attr.Deconvolution(net).attribute(images, TARGET)},
        "integrated_gradients": {"captum": integrate(None), "captum, 4 at a time": integrate(4)},
        "input_x_gradient": {"captum": lambda: attr.InputXGradient(net).attribute(images, TARGET)},
        "smoothgrad": smooth("smoothgrad"),
        "smoothgrad_squared": smooth("smoothgrad_sq"),
        "vargrad": smooth("vargrad"),
        "grad_cam": {
            "captum": lambda: attr.LayerGradCam(net, layer).attribute(images, TARGET),
            "grad-cam": cam(GradCAM),
        },
        "guided_grad_cam": {"captum": lambda: attr.GuidedGradCam(net, layer).attribute(images, TARGET)},
        "grad_cam_plus_plus": {"grad-cam": cam(GradCAMPlusPlus)},
        "finer_cam": {"grad-cam": finer()},
        "score_cam": {"grad-cam": score(16), "grad-cam, 4 at a time": score(4)},
        "hires_cam": {"grad-cam": cam(HiResCAM)},
        "layer_cam": {"grad-cam": cam(LayerCAM)},
        "deep_lift": {"captum": lambda: attr.DeepLift(separate).attribute(images, torch.zeros_like(images), TARGET)},
        "lrp": {"zennit": relevance},
        "occlusion": {"captum": occlude(1), "captum, 4 at a time": occlude(4)},
        "lime": segmented(attr.Lime(net)),
        "kernel_shap": segmented(attr.KernelShap(net)),
    }


def ours(key: str) -> Any:
    """A method with the settings that the peers are given."""
    special: dict[str, dict[str, Any]] = {
        "integrated_gradients": {"rule": "gauss_legendre"},
        "occlusion": {"window": WINDOW, "stride": STRIDE, "baseline": at.baselines.Grey()},
        "lime": {"masks": MASKS},
        "kernel_shap": {"masks": MASKS},
    }
    return at.METHODS[key](**special.get(key, {}))


def seconds(ways: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Medians, measured in turn; the first round warms up and says how many are worth it."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    rounds = 1
    while rounds > 0:
        for name, run in ways.items():
            started = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - started)
        if len(next(iter(times.values()))) == 1:
            rounds = 1 + (5 if max(each[0] for each in times.values()) > LONG else RUNS)
        rounds -= 1
    return {name: statistics.median(each[1:]) for name, each in times.items()}


def main() -> int:
    """Print every figure and the verdict."""
    warnings.simplefilter("ignore")
    model = at.load_model("squeezenet1_1", device="cpu")
    x = model.prepare(at.open_image(PHOTO))
    theirs = peers(Normalised(at.load_model("squeezenet1_1", device="cpu")), x.clone())
    target, verdict = at.Target(TARGET, "logit"), Verdict()
    seconds({"warm": lambda: at.attribute(model, x, at.IntegratedGradients(), target)} | theirs["gradient"])
    for key in sys.argv[1:] or at.METHODS:
        method = ours(key)
        if reason := method.refusal(model):
            print(f"methods {key}: {reason}")
            continue
        found = seconds({"ours": lambda method=method: at.attribute(model, x, method, target)} | theirs.get(key, {}))
        own = found.pop("ours")
        if not found:
            print(f"methods {key}: {1000 * own:.0f} ms; no peer has it")
            continue
        name = min(found, key=lambda each: found[each])
        ratio = found[name] / own
        text = f"{1000 * own:.1f} ms, {name} {1000 * found[name]:.1f} ms, {ratio:.2f}x"
        verdict.judge(f"methods {key}", text, ratio, AIM, FLOOR, more=True)
    return verdict.status()


if __name__ == "__main__":
    sys.exit(main())
