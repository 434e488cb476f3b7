"""The devices of this machine and their numerical precision."""

import torch

from attribution.refusal import Refusal


def available_devices() -> list[str]:
    """List the devices of this machine, the fastest first; "cpu" is always last."""
    cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return [*cuda, *mps, "cpu"]


def choose_device(device: str) -> torch.device:
    """Turn "auto", "cpu", "cuda", "cuda:1" or "mps" into a device.

    Raises:
        Refusal: If the device is not available.
    """
    available = available_devices()
    if device == "auto":
        return torch.device(available[0])
    wanted = "cuda:0" if device == "cuda" else device
    if wanted not in available:
        raise Refusal(f"The device {device!r} is not available; choose one of auto, {', '.join(available)}.")
    return torch.device(wanted)


def full_precision() -> None:
    """Disable TF32 in this process, since gradient maps need full float32. Called when a model is moved to a GPU."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
