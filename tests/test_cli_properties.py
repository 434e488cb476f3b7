"""The command line with anything that can be typed: status 0 or 2 and one line, and what was written is read back."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as some
from PIL import Image
from test_settings import values_of
from torch import nn

import attribution as at
from attribution import cli as command_line
from attribution import selftest as checking
from attribution.checks.sanity import Randomisation
from attribution.checks.trial import Trial
from attribution.network.device import choose_device
from attribution.settings import Configurable, plain, write

ROOT = Path(__file__).parents[1]
PHOTOS = ["photo.png", "two\nlines.png", os.fsdecode(b"caf\xe9.png")]
COMMANDS = "explain sanity faithfulness probe check models methods baselines".split()
OPTIONS = "--model --methods --method --target --versus --score --device --out --seed --order --stages --steps".split()
OPTIONS += "--cells --fill".split()
FLAGS = "--report --figure --version --help -h -- -".split()
METHODS = ["gradient", "guided_backprop", "integrated_gradients:steps=2,rule=left", "occlusion(window=9)", "rise:masks"]
VALUES = [*"squeezenet1_1 resnet cat 0 1 3 -1 1e9 nan logit log_odds cpu cuda:9 auto top bottom".split(), "", "="]
# Anything but the separator of folders, so that nothing is written elsewhere, and what no argument can hold.
WORD = some.text(some.characters(exclude_characters="/\0", exclude_categories=["Cs"]))
ANYTHING = WORD | some.sampled_from([*COMMANDS, *OPTIONS, *FLAGS, *METHODS, *VALUES, *PHOTOS, "notes.jpg", "none.png"])


@dataclass
class Ran:
    status: object
    out: str
    err: str


def run(*words: str) -> Ran:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status: object = command_line.main(words)
        except SystemExit as ended:  # argparse
            status = ended.code
    return Ran(status, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder with photos, and a network of a few weights in place of every model."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 14, 3))
    model = at.Model("small", net, (16, 16), (0.5,) * 3, (0.5,) * 3, ("cat", "dog", "bird"), device="cpu")

    def load(name: str, device: str, *_: object) -> at.Model:
        choose_device(device)
        return model if name in at.MODELS else at.load_model(name)

    folder = tmp_path_factory.mktemp("typed") / "in" / "here"
    folder.mkdir(parents=True)
    for seed, name in enumerate(PHOTOS):
        pixels = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    (folder / "notes.jpg").write_text("This is no photo.")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setattr(command_line, "load_model", load)
        patched.setattr(checking, "load_model", load)
        yield


def expect_plain_words(words: list[str]) -> None:
    """Status 0 and silence, or 2 and one line, more for more photos; 1 where `check` finds a wrong network."""
    ran = run(*words)
    assert ran.status in (0, 2) or (ran.status == 1 and "check" in words)
    assert (ran.err == "") == (ran.status == 0)
    assert ran.err == "" or ran.err.endswith("\n")
    assert ran.err.count("\n") <= max(1, len(words))
    assert "Traceback" not in ran.out + ran.err


@settings(max_examples=300, deadline=None)
@given(some.lists(ANYTHING, max_size=8))
@example(["two\nlines"])
@example(["explain", "two\nlines"])
@example(["explain", "photo.png", "--colour\n"])
@example(["explain", *PHOTOS, "--methods", "gradient", "--report"])
def test_any_words_end_in_plain_ones(words: list[str]) -> None:
    expect_plain_words(words)


@settings(max_examples=30, deadline=None)
@given(
    command=some.sampled_from(["explain", "sanity", "faithfulness"]),
    photos=some.lists(some.sampled_from([*PHOTOS, "notes.jpg", "none.png"]) | WORD, min_size=1, max_size=2),
    methods=some.lists(some.sampled_from(METHODS) | WORD, min_size=1, max_size=3),
    options=some.dictionaries(some.sampled_from(OPTIONS), some.sampled_from(VALUES) | WORD, max_size=2),
)
def test_a_command_with_any_values_ends_in_plain_words(
    command: str, photos: list[str], methods: list[str], options: dict[str, str]
) -> None:
    brief = ["--steps", "3", "--samples", "2", "--moves", "1"] if command == "faithfulness" else []
    given_options = [word for pair in options.items() for word in pair]
    expect_plain_words([command, *photos, "--methods", *methods, *brief, *given_options])


METHOD = some.one_of([values_of(method) for method in at.METHODS.values()])


@settings(deadline=None)
@given(methods=some.lists(METHOD, min_size=1, max_size=4))
def test_methods_as_they_are_written_are_read_from_the_command_line(methods: list[Any]) -> None:
    asked: list[Any] = []

    def compare(model: object, x: object, methods: list[Any], *_: object, **__: object) -> None:
        asked.extend(methods)
        raise at.Refusal("This is enough.")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(command_line, "compare", compare)
        ran = run("explain", "photo.png", "--methods", *map(write, methods))
    assert (ran.status, ran.err) == (2, "photo.png: This is enough.\n")
    assert asked == methods


@pytest.mark.parametrize(("command", "cls"), [("sanity", Randomisation), ("faithfulness", Trial)])
@settings(deadline=None)
@given(data=some.data())
def test_settings_that_are_options_are_read_from_the_command_line(
    command: str, cls: type[Configurable], data: some.DataObject
) -> None:
    value = data.draw(values_of(cls))
    words = [f"--{name.replace('_', '-')}={content}" for name, content in plain(value).items()]
    options = command_line._parser().parse_args([command, "photo.png", *words])
    assert command_line._chosen(options, cls) == value


def test_a_name_that_is_no_text_goes_out_as_it_came_in(tmp_path: Path) -> None:
    (tmp_path / PHOTOS[2]).write_bytes(Path(PHOTOS[0]).read_bytes())
    command = [sys.executable, "-m", "attribution", "explain", PHOTOS[2], "--methods", "gradient", "--report"]
    strict = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8:strict"}
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=False, env=strict)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"out/caf\xe9\n", b"")
    assert "caf?.png" in (tmp_path / os.fsdecode(b"out/caf\xe9/report.html")).read_text()
