"""python -m attribution check: status 0 if the installation works, 1 and one sentence if it does not."""

import copy
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from toys import randomise

import attribution as at
from attribution import cli as command_line
from attribution import selftest as checking

ROOT = Path(__file__).parents[1]


def blind(net: nn.Module) -> nn.Module:
    """Make a network call everything a German shepherd."""
    last = net.classifier[1]
    last.weight.data.zero_()
    last.bias.data.zero_()
    last.bias.data[235] = 9.0
    return net


def overflowing(net: nn.Module) -> nn.Module:
    net.classifier[1].bias.data[235] = float("nan")
    return net


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run the command, which must exit with status 1 and one line on standard error, and return that line."""
    assert command_line.main(["check", *arguments]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.endswith(".\n")
    return err


def test_it_works_as_a_container_starts_it() -> None:
    command = [sys.executable, "-W", "error", "-m", "attribution", "check", "--device", "cpu"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.fullmatch(
        r"squeezenet1_1 on cpu: German shepherd, probability 0\.997; integrated gradients account for the score "
        r"difference within [0-4]\.\d%; \d+\.\d s\n",
        ended.stdout,
    )


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (randomise, "for the sample photo of a German shepherd"),
        (blind, "returns a map that sums to 0, but the scores of the sample photo and a black image are"),
        (overflowing, "not finite"),
    ],
)
def test_a_damaged_network_is_reported(
    damage: Callable[[nn.Module], nn.Module],
    words: str,
    squeezenet: at.Model,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = squeezenet.with_net(damage(copy.deepcopy(squeezenet.net)))
    monkeypatch.setattr(checking, "load_model", lambda name, device: model)
    assert words in refused(capsys)


def test_a_map_that_does_not_sum_to_the_score_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checking, "IntegratedGradients", lambda: at.IntegratedGradients(steps=1))
    assert "returns a map that sums to" in refused(capsys, "--device", "cpu")


def test_a_map_of_another_shape_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], squeezenet: at.Model, shepherd: torch.Tensor
) -> None:
    result = at.attribute(squeezenet, shepherd[:, :200, :200], at.IntegratedGradients())
    monkeypatch.setattr(checking, "attribute", lambda *arguments: result)
    assert "returns a map of shape (3, 200, 200) for (3, 227, 227)" in refused(capsys, "--device", "cpu")


@pytest.mark.parametrize("error", [RuntimeError("the driver is too old\nand more"), OSError(), MemoryError()])
def test_any_error_is_reported_in_one_sentence(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(name: str, device: str) -> None:
        raise error

    monkeypatch.setattr(checking, "load_model", fail)
    line = refused(capsys)
    assert f"No map could be computed on auto ({type(error).__name__}" in line
    assert "and more" not in line


def test_an_unavailable_device_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert "The device 'cuda:99' is not available" in refused(capsys, "--device", "cuda:99")
