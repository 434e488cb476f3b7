"""The dashboard with networks that nobody would want: served by test_hostile.py and test_sessions.py."""

import os
import runpy
from collections.abc import Callable
from pathlib import Path

import streamlit as st
import torch
from torch import Tensor, nn

import door
from attribution.models import MODELS
from attribution.models.record import Facts, ModelRecord
from attribution.photo.preprocessing import Preprocessing
from attribution.system.download import Progress, fetch

ROOT = Path(__file__).parents[1]
CLASSES = ("<b>bold</b>", "![x](https://tracker.example/a.png)", "$a_b$ :red[c]", "<img src=x onerror=alert(1)>", "e")


class Net(nn.Module):
    """Five logits: the sum of the pixels, weighted by `kind`."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.bias = kind, nn.Parameter(torch.arange(5.0))

    def forward(self, x: Tensor) -> Tensor:
        total = torch.relu(x).mean((1, 2, 3))
        if self.kind == "zero":
            total = 0 * total
        if self.kind == "broken":
            total = torch.sqrt(total - total.detach())  # its derivative is infinite, and times zero no number
        return self.bias.flip(0) + total[:, None] * torch.tensor([1.0, 0.5, 0.25, 0.1, 0.0])


def fail(error: Exception) -> nn.Module:
    """Raise an error, as loading a network may."""
    raise error


def download(progress: Progress | None) -> nn.Module:
    """A network whose weights come from where the test says."""
    fetch(os.environ["TEST_WEIGHTS"], "00", Path(os.environ["TEST_CACHE"]) / "net.pth", progress)
    return Net("constant")


NETWORKS: dict[str, Callable[[Progress | None], nn.Module]] = {
    **{kind: lambda progress, kind=kind: Net(kind) for kind in ("constant", "zero", "broken")},
    "raising": lambda progress: fail(RuntimeError("secret of the server")),
    "exhausting": lambda progress: fail(MemoryError()),
    "downloading": download,
}


def main() -> None:
    """Draw the dashboard, with these networks beside its own."""
    for kind, build in NETWORKS.items():
        facts = Facts(Preprocessing((32, 32), (0, 0, 0), (1, 1, 1), 1.0), CLASSES, 60, 0, "none", "this test")
        MODELS[kind] = ModelRecord(kind, kind, True, lambda facts=facts: facts, build)
    runpy.run_path(str(ROOT / "streamlit_app.py"), run_name="__main__")


if __name__ == "__main__":
    main()
else:  # imported by the server
    app = st.App(__file__, middleware=door.install(30_000_000), lifespan=door.lifespan)
