"""The command line: mostly in this process, once or twice as people start it."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import attribution as at
from attribution import cli as command_line
from attribution.baselines.constant import Constant
from attribution.export.folder import picture

ROOT = Path(__file__).parents[1]
DEFAULT_METHODS = ["gradient", "guided_backprop", "zeiler_fergus", "integrated_gradients"]


@dataclass
class Ran:
    status: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run one command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Ran:
        try:
            status = command_line.main([str(argument) for argument in arguments])
        except SystemExit as ended:  # argparse
            status = ended.code if isinstance(ended.code, int) else 1
        return Ran(status, *capsys.readouterr())

    return run


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> at.Model:
    """A network of a few weights in place of the one that is asked for: what the command does with it is the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 14, 3))
    model = at.Model("small", net, (16, 16), (0.5,) * 3, (0.5,) * 3, ("cat", "dog", "bird"), device="cpu")
    monkeypatch.setattr(command_line, "load_model", lambda *arguments: model)
    return model


def photo(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize(
    ("crop", "sentence"),
    [
        ("20/80/50", "The crop is 50% of the photo"),
        ("fit", "The whole photo is scaled into the square; the mean colour fills the rest."),
        ("50/50", "16 x 16 pixels.<"),
    ],
)
def test_the_crop_is_that_of_python_and_in_manifest_and_report(
    run: Run, small: at.Model, tmp_path: Path, crop: str, sentence: str
) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (40, 90, 3), dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "wide.png")
    arguments = ("--methods", "gradient", "--score", "logit", "--report")
    assert run("explain", "wide.png", "--crop", crop, *arguments).status == 0
    pixels = np.load(tmp_path / "out" / "wide" / "attributions.npz")["pixels"]
    found = at.Analysis(crop=crop).crop
    assert np.array_equal(pixels, small.prepare(at.open_image(tmp_path / "wide.png"), *found.shares))
    manifest = json.loads((tmp_path / "out" / "wide" / "manifest.json").read_text())
    assert manifest["analysis"]["crop"] == crop
    assert sentence in (tmp_path / "out" / "wide" / "report.html").read_text()


FILES = ["CITATION.bib", "attributions.npz", "manifest.json", "photo.png", "reproduce.py"]


def manifest(folder: Path) -> Any:
    return json.loads((folder / "manifest.json").read_text())


def arrays(folder: Path) -> dict[str, Any]:
    with np.load(folder / "attributions.npz", allow_pickle=False) as archive:
        return dict(archive)


def written(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def smooth(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line explains a network without rectifiers, which guided backpropagation refuses."""
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.GELU(), nn.Flatten(), nn.LazyLinear(3))
    net(torch.zeros(1, 3, 8, 8))
    model = at.Model("smooth", net, (8, 8), (0.5,) * 3, (0.5,) * 3, ("cat", "dog", "bird"), device="cpu")
    monkeypatch.setattr(command_line, "load_model", lambda *arguments: model)


def test_the_worked_example_is_written(run: Run, samples: Path, squeezenet: at.Model, shepherd: torch.Tensor) -> None:
    ran = run("explain", samples / "german_shepherd_on_grass.jpg", "--device", "cpu")
    folder = Path("out/german_shepherd_on_grass")
    assert (ran.status, ran.out, ran.err) == (0, f"{folder}\n", "")
    pictures = [f"{name}.png" for name in DEFAULT_METHODS]
    assert written(folder) == sorted([*FILES, *pictures])
    found = arrays(folder)
    assert sorted(found) == sorted(["pixels", *DEFAULT_METHODS])
    np.testing.assert_array_equal(found["pixels"], shepherd)
    for name in DEFAULT_METHODS:
        assert found[name].shape == (3, 227, 227)
        assert np.isfinite(found[name]).all()
        assert found[name].any()
        with Image.open(folder / f"{name}.png") as image:
            assert (image.format, image.size) == ("PNG", (227, 227))
            assert image.convert("L").getextrema() == (0, 255)
    facts = manifest(folder)
    assert facts["photo"] == "german_shepherd_on_grass.jpg"
    assert facts["model"] == "squeezenet1_1"
    assert facts["prediction"][0]["index"] == 235
    assert [each["name"] for each in facts["maps"]] == DEFAULT_METHODS
    assert {each["explained"] for each in facts["maps"]} == {"German shepherd"}
    expected = at.attribute(squeezenet, shepherd, at.Gradient())
    np.testing.assert_allclose(found["gradient"], expected.values, atol=1e-5 * np.abs(expected.values).max())
    assert facts["maps"][0]["score"] == pytest.approx(expected.score)


def test_the_picture_is_that_of_the_saved_values(run: Run, small: at.Model, tmp_path: Path) -> None:
    run("explain", photo(tmp_path / "photo.png"), "--methods", "gradient")
    x = small.prepare(at.open_image(tmp_path / "photo.png"))
    expected = at.attribute(small, x, at.Gradient())
    np.testing.assert_array_equal(arrays(Path("out/photo"))["gradient"], expected.values)
    with Image.open("out/photo/gradient.png") as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(picture(expected)))


def test_settings_are_taken_from_the_command_line(run: Run, small: at.Model, tmp_path: Path) -> None:
    method = "integrated_gradients:steps=3,baseline=#ff0000,rule=left"
    ran = run("explain", photo(tmp_path / "photo.png"), "--methods", method, "gradient", "--out", "elsewhere/deep")
    assert (ran.status, ran.out, ran.err) == (0, "elsewhere/deep/photo\n", "")
    first, second = manifest(Path("elsewhere/deep/photo"))["maps"]
    assert first["settings"] == {"steps": 3, "baseline": "constant(colour=#ff0000)", "rule": "left"}
    assert first["backwards"] == 3
    assert second["method"] == "gradient"
    red = at.IntegratedGradients(steps=3, baseline=Constant((1.0, 0.0, 0.0)), rule="left")
    expected = at.attribute(small, small.prepare(at.open_image(tmp_path / "photo.png")), red)
    np.testing.assert_array_equal(arrays(Path("elsewhere/deep/photo"))["integrated_gradients"], expected.values)


def test_one_method_with_two_settings_gives_two_maps(run: Run, small: at.Model, tmp_path: Path) -> None:
    methods = ["integrated_gradients:baseline=white", "integrated_gradients:baseline=black"]
    run("explain", photo(tmp_path / "photo.png"), "--method", *methods)
    folder = Path("out/photo")
    names = ["integrated_gradients", "integrated_gradients-2"]
    assert [each["name"] for each in manifest(folder)["maps"]] == names
    assert [each["settings"]["baseline"] for each in manifest(folder)["maps"]] == ["white", "black"]
    first, second = (arrays(folder)[name] for name in names)
    assert not np.array_equal(first, second)
    assert {f"{name}.png" for name in names} <= set(written(folder))


def test_target_second_class_and_score_are_taken_from_the_command_line(
    run: Run, small: at.Model, tmp_path: Path
) -> None:
    ran = run(
        *("explain", photo(tmp_path / "photo.png"), "--methods", "gradient"),
        *("--target", "Dog", "--versus", "0", "--score", "log_odds"),
    )
    assert ran.status == 0
    (found,) = manifest(Path("out/photo"))["maps"]
    assert found["target"] == {"index": 1, "score": "log_odds", "versus": 0, "value_unit": ""}
    assert found["explained"] == "dog against cat, log-odds"
    pixels = torch.from_numpy(arrays(Path("out/photo"))["pixels"])
    cat, dog, _ = small.logits(pixels[None])[0].tolist()
    assert found["score"] == pytest.approx(dog - cat, rel=1e-5)


def test_class_0_is_a_class(run: Run, small: at.Model, tmp_path: Path) -> None:
    for text in ("0", "cat"):
        assert run("explain", photo(tmp_path / "photo.png"), "--methods", "gradient", "--target", text).status == 0
        assert manifest(Path("out/photo"))["maps"][0]["target"]["index"] == 0


def test_two_photos_of_one_name_get_a_folder_each(run: Run, small: at.Model, tmp_path: Path) -> None:
    paths = [
        photo(tmp_path / "a" / "dog.png", 1),
        photo(tmp_path / "b" / "dog.png", 2),
        photo(tmp_path / "dog-2.png", 3),
    ]
    ran = run("explain", *paths, "--methods", "gradient")
    assert (ran.status, ran.err) == (0, "")
    folders = [Path(line) for line in ran.out.splitlines()]
    assert len(set(folders)) == 3
    assert folders[0] == Path("out/dog")
    for folder, path in zip(folders, paths, strict=True):
        assert folder.parent == Path("out")
        np.testing.assert_array_equal(arrays(folder)["pixels"], small.prepare(at.open_image(path)))


def test_a_second_call_replaces_what_the_first_wrote(run: Run, small: at.Model, tmp_path: Path) -> None:
    path = photo(tmp_path / "dog.png", 1)
    first = run("explain", path, "--methods", "gradient")
    before = arrays(Path("out/dog"))["pixels"]
    photo(path, 2)
    assert run("explain", path, "--methods", "gradient").out == first.out
    assert not np.array_equal(arrays(Path("out/dog"))["pixels"], before)


def test_an_unreadable_photo_among_good_ones_is_reported_and_the_others_are_written(
    run: Run, small: at.Model, tmp_path: Path
) -> None:
    bad = tmp_path / "notes.jpg"
    bad.write_text("This is no photo.")
    good = [photo(tmp_path / "one.png", 1), photo(tmp_path / "two.png", 2)]
    ran = run("explain", good[0], bad, good[1], "--methods", "gradient")
    assert ran.status == 2
    assert ran.err == f"{bad} is not a readable photo; use PNG, JPEG, WEBP, BMP, GIF or TIFF.\n"
    assert ran.out.splitlines() == ["out/one", "out/two"]
    assert written(Path("out")) == ["one", "two"]


def test_a_missing_photo_is_reported(run: Run, small: at.Model, tmp_path: Path) -> None:
    ran = run("explain", "missing.png", photo(tmp_path / "one.png"), "--methods", "gradient")
    assert (ran.status, ran.out) == (2, "out/one\n")
    assert ran.err == "missing.png cannot be read: No such file or directory.\n"


def test_a_method_that_refuses_is_reported_and_the_others_are_written(run: Run, smooth: None, tmp_path: Path) -> None:
    path = photo(tmp_path / "photo.png")
    ran = run("explain", path, "--methods", "guided_backprop", "gradient")
    assert ran.status == 2
    assert ran.err.startswith(f"{path}: Guided backpropagation modifies the backward pass of rectifiers")
    assert ran.err.count("\n") == 1
    assert written(Path("out/photo")) == sorted([*FILES, "gradient.png"])
    (found,) = manifest(Path("out/photo"))["maps"]
    assert manifest(Path("out/photo"))["refused"] == [ran.err.split(": ", 1)[1].strip()]
    assert found["name"] == "gradient"


def test_a_photo_that_cannot_be_explained_is_named(run: Run, small: at.Model, tmp_path: Path) -> None:
    path = photo(tmp_path / "photo.png")
    predicted = small.predict(small.prepare(at.open_image(path)))[0][0]
    ran = run("explain", path, "--methods", "gradient", "--versus", predicted)
    assert (ran.status, ran.out) == (2, "")
    assert f"Class {predicted} is the explained class itself" in ran.err
    assert str(path) in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--methods", "nonsense"], "Unknown name 'nonsense'; choose one of gradient"),
        (
            ["--methods", "gradient", "integrated_gradients:steps=0"],
            "steps must be a whole number from 1 to 1000, or auto, got 0",
        ),
        (["--methods", "integrated_gradients:stepz=5"], "has no setting 'stepz'"),
        (["--methods", "integrated_gradients:steps"], "'steps' of integrated_gradients has no value"),
        (["--methods", "integrated_gradients:baseline=blue"], "Unknown name 'blue'; choose one of black"),
        (["--methods"], "--methods"),
        (["--methods", ""], "Unknown name ''"),
        (["--methods", "gradient", ""], "Unknown name ''"),
        (["--methods", "gradient~guided_backprop"], "Unknown name 'gradient~guided_backprop'"),
        (["--score", "best"], "'best'"),
        (["--model", "nonet"], "There is no model 'nonet'; choose one of squeezenet1_1"),
        (["--target", "no such class"], "has no class 'no such class'"),
        (["--target", "1000"], "has no class 1000; choose an index from 0 to 999"),
        (["--target", "-1"], "-1"),
        (["--target", ""], "has no class ''"),
        (["--versus", "no such class"], "has no class 'no such class'"),
        (["--target", "235", "--versus", "235"], "Class 235 is the explained class itself"),
        (["--device", "tpu"], "The device 'tpu' is not available; choose one of auto"),
        (["--device", "cuda:99"], "The device 'cuda:99' is not available"),
        (["--colour", "red"], "--colour"),
    ],
)
def test_what_is_asked_wrongly_ends_with_status_2_and_one_line(
    run: Run, tmp_path: Path, options: list[str], says: str
) -> None:
    ran = run("explain", photo(tmp_path / "photo.png"), *options)
    assert (ran.status, ran.out) == (2, "")
    assert says in ran.err
    assert ran.err.count("\n") == 1
    assert ran.err.endswith("\n")
    assert not Path("out").exists()


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["explain"], ["models", "more"]])
def test_an_incomplete_command_ends_with_status_2_and_one_line(run: Run, arguments: list[str]) -> None:
    ran = run(*arguments)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("attribution")
    assert ran.err.count("\n") == 1


def test_a_folder_that_cannot_be_written_is_reported_in_one_line(run: Run, small: at.Model, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be")
    ran = run("explain", photo(tmp_path / "photo.png"), "--methods", "gradient", "--out", "taken")
    assert (ran.status, ran.out) == (2, "")
    assert "taken" in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "registry"), [("models", at.MODELS), ("methods", at.METHODS), ("baselines", at.BASELINES)]
)
def test_every_key_is_listed(run: Run, command: str, registry: dict[str, Any]) -> None:
    ran = run(command)
    assert (ran.status, ran.err) == (0, "")
    lines = [line for line in ran.out.splitlines() if not line.startswith(" ")]
    assert [line.split()[0] for line in lines] == list(registry)


def test_every_setting_is_listed_with_its_default_and_range(run: Run) -> None:
    out = run("methods").out
    assert "  steps=25 " in out
    assert "  baseline=black " in out
    assert "Must be a whole number from 1 to 1000." in out
    assert "  colour=0.5/0.5/0.5 " in run("baselines").out


def test_models_are_listed_with_size_accuracy_and_download(run: Run) -> None:
    lines = {line.split()[0]: line for line in run("models").out.splitlines()}
    assert "227 x 227" in lines["squeezenet1_1"]
    assert "embedded" in lines["squeezenet1_1"]
    assert "top-1 69.8%" in lines["resnet18"]
    assert " 47 MB" in lines["resnet18"]


def test_there_is_no_progress_bar_where_standard_error_is_no_terminal(
    run: Run, small: at.Model, tmp_path: Path
) -> None:
    assert run("explain", photo(tmp_path / "photo.png")).err == ""


def test_on_a_terminal_the_progress_bar_fills_and_is_cleared(
    run: Run, small: at.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    err = run("explain", photo(tmp_path / "photo.png")).err
    assert "   0%" in err
    assert "] 100%" in err
    assert err.endswith("\r\033[K")
    assert "\n" not in err


def started(*arguments: object, cwd: Path = ROOT) -> Ran:
    command = [sys.executable, "-W", "error", "-m", "attribution", *map(str, arguments)]
    ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    return Ran(ended.returncode, ended.stdout, ended.stderr)


def test_the_command_works_as_people_start_it(tmp_path: Path, samples: Path) -> None:
    bad = tmp_path / "notes.jpg"
    bad.write_text("This is no photo.")
    ran = started(
        *("explain", bad, samples / "golden_retriever.jpg", "--methods", "gradient"),
        *("--device", "cpu", "--out", tmp_path / "out"),
    )
    folder = tmp_path / "out" / "golden_retriever"
    assert (ran.status, ran.out) == (2, f"{folder}\n")
    assert ran.err == f"{bad} is not a readable photo; use PNG, JPEG, WEBP, BMP, GIF or TIFF.\n"
    assert written(folder) == sorted([*FILES, "gradient.png"])
    assert manifest(folder)["maps"][0]["target"]["index"] == 207


def test_the_version_is_printed_as_people_ask_for_it() -> None:
    ran = started("--version")
    assert (ran.status, ran.out, ran.err) == (0, f"{at.VERSION}\n", "")


def test_a_report_and_a_sheet_are_written_on_demand(run: Run, small: at.Model, tmp_path: Path) -> None:
    ran = run("explain", photo(tmp_path / "photo.png"), "--methods", "gradient", "--report", "--figure")
    assert (ran.status, ran.err) == (0, "")
    assert written(Path("out/photo")) == sorted([*FILES, "figure.png", "gradient.png", "report.html"])
    assert "photo.png" in Path("out/photo/report.html").read_text()


def test_a_photo_that_every_method_refuses_leaves_no_folder(run: Run, smooth: None, tmp_path: Path) -> None:
    ran = run("explain", photo(tmp_path / "photo.png"), "--methods", "guided_backprop", "--report")
    assert (ran.status, ran.out) == (2, "")
    assert not Path("out").exists()


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_sanity_writes_a_row_a_map_and_a_picture(run: Run, small: at.Model, tmp_path: Path) -> None:
    path = photo(tmp_path / "photo.png")
    ran = run("sanity", path, "--methods", "gradient", "occlusion:window=4", "--order", "bottom", "--stages", 2)
    folder = Path("out/photo")
    assert (ran.status, ran.out, ran.err) == (0, f"{folder}\n", "")
    rows = table(folder / "sanity.csv")
    found = at.sanity.randomise(
        *(small, small.prepare(at.open_image(path)), [at.Gradient(), at.Occlusion(4)]),
        plan=at.sanity.Randomisation("bottom", 2),
    )
    assert [(row["stage"], row["method"]) for row in rows[:6]] == [
        (str(stage), method) for stage in range(3) for method in ("gradient", "occlusion")
    ]
    assert [row["random_layers"] for row in rows] == [
        *("", "", *[" ".join(found.stages[stage].layers) for stage in (1, 1, 2, 2)]),
        *("another class", "another class"),
        *("edges of the photo", "edges of the photo", "noise", "noise"),
    ]
    assert float(rows[2]["spearman"]) == found.stages[1].likeness[0].absolute
    assert float(rows[4]["score"]) == found.stages[2].results[0].score
    assert "window 4" in rows[1]["settings"]
    assert at.open_image(folder / "sanity.png").width > 400


def test_faithfulness_writes_the_numbers_the_curves_and_a_picture(run: Run, small: at.Model, tmp_path: Path) -> None:
    path = photo(tmp_path / "photo.png")
    arguments = "--methods gradient --steps 4 --samples 3 --moves 2 --deleted-to #ff0000".split()
    ran = run("faithfulness", path, *arguments)
    folder = Path("out/photo")
    assert (ran.status, ran.out, ran.err) == (0, f"{folder}\n", "")
    x = small.prepare(at.open_image(path))
    trial = at.faithfulness.Trial(at.baselines.Constant((1, 0, 0)), steps=4, samples=3, moves=2)
    found = at.faithfulness.measure(small, [at.attribute(small, x, at.Gradient())], trial)
    rows = table(folder / "faithfulness.csv")
    assert [(row["name"], row["kind"]) for row in rows] == [
        ("Gradient", "map"),
        *((name, "control") for name in ("random order", "a centred Gaussian", "the photo's edges")),
    ]
    assert float(rows[0]["deletion_area"]) == found.findings[0].deletion.area
    assert float(rows[0]["max_sensitivity"]) == found.findings[0].max_sensitivity
    assert float(rows[0]["infidelity_error"]) == found.findings[0].infidelity_error
    assert (rows[0]["moves"], rows[0]["samples"]) == ("2", "3")
    assert float(rows[2]["scaled_infidelity"]) == found.findings[2].scaled_infidelity
    assert rows[1]["infidelity"] == rows[1]["max_sensitivity"] == ""
    points = table(folder / "curves.csv")
    assert len(points) == 4 * 2 * 5
    assert [float(point["score"]) for point in points[:5]] == list(found.findings[0].deletion.scores)
    assert [float(point["share"]) for point in points[:5]] == [0, 0.25, 0.5, 0.75, 1]
    assert at.open_image(folder / "faithfulness.png").width > 400


def test_a_probe_writes_what_was_covered_and_what_every_map_forecast(run: Run, small: at.Model, tmp_path: Path) -> None:
    path = photo(tmp_path / "photo.png")
    methods = ["gradient", "integrated_gradients:steps=3", "occlusion:window=4", "integrated_gradients:baseline=white"]
    ran = run("probe", path, "--cells", "10/8/6/6", "--fill", "black", "--challenge", "flip", "--methods", *methods)
    folder = Path("out/photo")
    assert (ran.status, ran.out, ran.err) == (0, f"{folder}\n", "")
    x = small.prepare(at.open_image(path))
    maps = at.compare(small, x, list(map(at.read_method, methods)))
    found = at.probe(small, x, "10/8/6/6", at.baselines.Black(), maps)
    rows = table(folder / "probe.csv")
    expected = [*found.maps, found.control]
    assert [row["title"] for row in rows] == [each.title for each in expected]
    for row, each in zip(rows, expected, strict=True):
        assert row["forecast"] == ("" if each.value is None else repr(each.value))
        assert row["error"] == ("" if each.error is None else repr(each.error))
        assert (row["valid"], row["note"]) == (str(each.valid), each.note)
        assert float(row["change"]) == found.change
        assert row["probe"].endswith("fill=black,challenge=flip,guess=)")
    assert [row["note"] for row in rows][3:] == ["the map's baseline is another image", ""]
    facts = manifest(folder)["probe"]
    assert facts["attempt"]["cells"] == at.Cells.box(10, 8, 6, 6).text
    assert facts["after"] == found.after
    assert facts["sentences"][0].startswith("Flip: ")
    assert "fill" in facts["sentences"][1]
    mask = found.cells.pixels((16, 16)).numpy()
    with Image.open(folder / "covered.png") as image:
        assert not np.asarray(image)[mask].any()
    run("explain", path, "--methods", "gradient")
    assert not {"probe.csv", "covered.png"} & set(written(folder))
    ran = run("probe", path)
    assert ran.status == 2
    assert ran.err.startswith(f"{path}: Nothing is covered; name cells, such as --cells 10/8/6/6 for left")
    assert "cells must be cells of a grid of 28 x 28" in run("probe", path, "--cells", "1/2").err


def test_on_a_terminal_a_probe_is_told_line_by_line(
    run: Run, small: at.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    path = photo(tmp_path / "photo.png")
    ran = run("probe", path, "--cells", "0/0/14/28", "--methods", "gradient", "rise:masks=9")
    lines = [line.strip() for line in ran.out.splitlines()]
    assert "Covered: 50.0% of the photo, fill blur" in lines
    assert any(line.startswith("Score: probability 0.") and "; the change is " in line for line in lines)
    assert any(line.startswith("Gradient: forecast ") and line.endswith(", a forecast by the slope") for line in lines)
    assert any(line.startswith("RISE: ") and line.endswith("% of the map is covered") for line in lines)
    assert any(line.startswith("Area alone: forecast ") for line in lines)
    assert lines[-1].startswith("The network calls the completely covered photo '")


@pytest.mark.parametrize("command", ["sanity", "faithfulness", "probe"])
def test_a_check_of_maps_that_are_all_refused_says_why(run: Run, smooth: None, tmp_path: Path, command: str) -> None:
    more = ["--cells", "1/1/9/9"] if command == "probe" else []
    ran = run(command, photo(tmp_path / "photo.png"), "--methods", "guided_backprop", *more)
    assert (ran.status, ran.out) == (2, "")
    assert "rectifier" in ran.err
    assert not Path("out").exists()
    ran = run(command, "photo.png", "--seed", "-1")
    assert ran.status == 2
    assert "seed" in ran.err
