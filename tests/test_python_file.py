"""Models of one's own from a Python file: in code, on the command line and in reproduce.py."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import attribution as at
from attribution.cli import main
from attribution.photo.samples import DEFAULT_SAMPLE
from attribution.system.assets import asset

FILE = """
import torch
from torch import nn

import attribution as at
from beside import KIND

def make(device="auto"):
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 8, 5, stride=4), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU()]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 1))
    return at.Model(
        "mine", net, (64, 64), (0.5,), (0.2,), ["age"], device=device, output=KIND, unit="years", channels=1
    )

def wrong():
    return 3

def failing():
    raise RuntimeError("no weights")
"""
REPOSITORY = Path(at.__file__).parents[1]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "beside.py").write_text('KIND = "number"\n')
    (tmp_path / "mine.py").write_text(FILE)
    return tmp_path / "mine.py"


def test_the_command_line_python_and_reproduce_make_the_same_maps(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = asset(f"samples/{DEFAULT_SAMPLE}.jpg")
    out, reference = tmp_path / "out", f"{file}:make"
    command = ["explain", str(photo), "--model", reference, "--device", "cpu", "--out", str(out)]
    assert main([*command, "--methods", "gradient", "integrated_gradients:steps=5", "--figure", "--report"]) == 0
    folder = Path(capsys.readouterr().out.strip())
    saved = np.load(folder / "attributions.npz")
    model = at.load_model(reference, device="cpu")
    assert model.name == "mine"
    x = model.prepare(at.open_image(photo))
    assert saved["pixels"].tobytes() == x.numpy().tobytes()
    for method in (at.Gradient(), at.IntegratedGradients(steps=5)):
        result = at.attribute(model, x, method)
        assert result.values.tobytes() == saved[method.key].tobytes()
        assert result.target == at.Target(0, "value", value_unit="years")
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": "", "OMP_NUM_THREADS": "1"}
    script = [sys.executable, str(folder / "reproduce.py")]
    without = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=120)
    assert without.returncode == 2
    assert "--model" in without.stderr
    done = subprocess.run([*script, "--model", reference], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "weights: identical" in done.stdout


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("missing", "has no function 'missing'"),
        ("wrong", "returns a int"),
        ("failing", "failed .RuntimeError: no weights"),
    ],
)
def test_what_makes_no_model_is_refused(file: Path, function: str, reason: str) -> None:
    before = list(sys.path)
    with pytest.raises(at.Refusal, match=reason):
        at.load_model(f"{file}:{function}")
    assert sys.path == before


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(at.Refusal, match="There is no file"):
        at.load_model(f"{tmp_path / 'none.py'}:make")


def test_a_link_never_runs_a_file(file: Path) -> None:
    from attribution.ui.address import parse

    file.write_text("raise SystemExit('the file ran')")
    found = parse({"model": f"{file}:make"})
    assert found.analysis.model == at.Analysis().model
    assert any("no model" in sentence for sentence in found.sentences)
