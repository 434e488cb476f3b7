"""What several test files use."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

import attribution as at

settings.register_profile("ci", derandomize=True)  # new examples are looked for at a desk, not where a landing waits
if "CI" in os.environ:
    settings.load_profile("ci")

SAMPLES = Path(__file__).parents[1] / "assets" / "samples"


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    """Leave the number of threads as it was found, whatever a test sets."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of sample photos."""
    return SAMPLES


@pytest.fixture(scope="session")
def squeezenet() -> at.Model:
    """The embedded default model, with its real weights."""
    return at.load_model("squeezenet1_1", device="cpu")


@pytest.fixture(scope="session")
def shepherd(squeezenet: at.Model) -> torch.Tensor:
    """The default photo, prepared for the default model."""
    return squeezenet.prepare(at.open_image(SAMPLES / "german_shepherd_on_grass.jpg"))
