"""Exports: files that reproduce, a sheet, a report. On real maps of the embedded network."""

import ast
import io
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dashboard import ROOT
from PIL import Image
from toys import Toy, image, model_of

import attribution as at
from attribution.baselines import BASELINES
from attribution.checks.challenges.attempt import Attempt
from attribution.checks.challenges.challenge import Judged
from attribution.settings import restore
from attribution.settings import write as text_of

Results = list[at.Attribution | at.Refusal]
METHODS = [at.Gradient(), at.IntegratedGradients(3), at.IntegratedGradients(2, at.baselines.Constant((0.1, 0.2, 0.3)))]
NAMES = ["gradient", "integrated_gradients", "integrated_gradients-2"]


@pytest.fixture(scope="module")
def results(squeezenet: at.Model, shepherd: torch.Tensor) -> Results:
    return at.compare(squeezenet, shepherd, METHODS, at.Target(235, "log_odds", 207))


def test_a_folder_holds_the_values_the_facts_and_the_pictures(
    results: Results, shepherd: torch.Tensor, tmp_path: Path
) -> None:
    at.export.folder(results, tmp_path / "deep" / "out", "dog.jpg")
    folder = tmp_path / "deep" / "out"
    pictures = ["photo.png", *(f"{name}.png" for name in NAMES)]
    rest = ["attributions.npz", "manifest.json", "reproduce.py", "CITATION.bib"]
    assert {path.name for path in folder.iterdir()} == {*rest, *pictures}
    with np.load(folder / "attributions.npz", allow_pickle=False) as found:
        np.testing.assert_array_equal(found["pixels"], shepherd)
        for name, result in zip(NAMES, results, strict=True):
            assert isinstance(result, at.Attribution)
            np.testing.assert_array_equal(found[name], result.values)
            with Image.open(folder / f"{name}.png") as drawn:
                np.testing.assert_array_equal(np.asarray(drawn), result.draw(at.View("grey", clip=100)))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["photo"] == "dog.jpg"
    assert manifest["prediction"][0]["class"] == "German shepherd"
    assert [each["name"] for each in manifest["maps"]] == NAMES
    assert {each["explained"] for each in manifest["maps"]} == {"German shepherd against golden retriever, log-odds"}
    assert {each["versions"]["device"] for each in manifest["maps"]} == {"cpu"}
    assert re.fullmatch("[0-9a-f]{64}", manifest["maps"][0]["versions"]["weights"])
    bibliography = (folder / "CITATION.bib").read_text()
    assert bibliography.count("@") == 2  # two methods, three maps
    assert "Axiomatic Attribution for Deep Networks" in bibliography


def test_a_second_folder_leaves_no_picture_of_the_first(results: Results, tmp_path: Path) -> None:
    at.export.folder(results, tmp_path)
    (tmp_path / "mine.png").write_bytes(b"mine")
    at.export.folder(results[:1], tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["gradient.png", "mine.png", "photo.png"]


def reproduce(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "reproduce.py")]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_zip_of_an_analysis_gives_the_same_bytes_again(results: Results, tmp_path: Path) -> None:
    at.export.archive(results, tmp_path / "maps.zip")
    with zipfile.ZipFile(tmp_path / "maps.zip") as packed:
        packed.extractall(tmp_path)
    ran = reproduce(tmp_path / "attribution-maps")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == ["weights: identical", *(f"{name}: identical" for name in NAMES)]


def test_a_probe_is_in_folder_report_and_script(squeezenet: at.Model, shepherd: torch.Tensor, tmp_path: Path) -> None:
    attempt = Attempt("10/8/6/6", at.baselines.Black(), "keep", 0.4)
    maps = at.compare(squeezenet, shepherd, [at.Gradient()], at.Target(235, "log_odds"))
    found = at.probe(squeezenet, shepherd, attempt.cells, attempt.fill, maps)
    verdict = Judged(False, None, "Not <even> close.")
    probed = at.export.Probed(attempt, found, judged=verdict)
    at.export.folder(maps, tmp_path, probed=probed)
    report = tmp_path / "report.html"
    at.export.report(maps, report, probed=probed)
    assert "Keep: Not &lt;even&gt; close." in report.read_text()
    assert text_of(attempt, full=True) in report.read_text()
    facts = json.loads((tmp_path / "manifest.json").read_text())["probe"]
    assert restore(Attempt, facts["attempt"]) == attempt
    assert facts["change"] == found.change
    ran = reproduce(tmp_path)
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, "covered: identical")
    assert "# The covered photo; challenge: keep" in (tmp_path / "reproduce.py").read_text()


def test_another_chunk_is_said_and_other_values_fail(results: Results, tmp_path: Path) -> None:
    at.export.folder(results, tmp_path)
    script = tmp_path / "reproduce.py"
    script.write_text(script.read_text().replace("chunk=4", "chunk=1"))
    ran = reproduce(tmp_path)
    assert ran.returncode == 0
    assert "gradient: identical" in ran.stdout
    with np.load(tmp_path / "attributions.npz") as saved:
        arrays = dict(saved)
    arrays["gradient"] = arrays["gradient"] * np.float32(1.001)
    np.savez(tmp_path / "attributions.npz", **arrays)
    ran = reproduce(tmp_path)
    assert ran.returncode == 1
    assert re.search(r"^gradient: differs by 1\.0e-03 relative to the largest value$", ran.stdout, re.MULTILINE)


@pytest.mark.parametrize("baseline", BASELINES.values(), ids=BASELINES)
@pytest.mark.parametrize("method", at.METHODS.values(), ids=at.METHODS)
def test_the_script_of_every_method_and_baseline_can_be_compiled_and_rebuilds_it(
    method: type[Any], baseline: type[Any], results: Results
) -> None:
    from dataclasses import fields, replace

    from attribution.export.reproduce import script
    from attribution.settings import plain

    made = method(**({"baseline": baseline()} if "baseline" in {each.name for each in fields(method)} else {}))
    assert isinstance(results[0], at.Attribution)
    text = script({"map": replace(results[0], method=method.key, settings=plain(made))})
    compile(text, "reproduce.py", "exec")
    assert len(text.splitlines()) < 45
    assert "attribution." not in text  # public names only, so that modules can move
    (line,) = [line for line in text.splitlines() if line.startswith('    "map"')]
    written, target = ast.literal_eval("{" + line + "}")["map"]
    assert (at.read_method(written), at.read_target(target)) == (made, results[0].target)


def test_names_from_a_file_cannot_become_code(results: Results, tmp_path: Path) -> None:
    from dataclasses import replace

    assert isinstance(results[0], at.Attribution)
    hostile = {**results[0].versions, "device": 'cpu"); print("hacked', "weights": '"\nprint("hacked")\n"'}
    at.export.folder([replace(results[0], versions=hostile)], tmp_path)
    assert "hacked" not in reproduce(tmp_path).stdout


@pytest.mark.parametrize(
    "view", [at.View(), at.View("heat", scale="shared"), at.View("signed"), at.View("important")], ids=str
)
def test_the_sheet_shows_every_panel_at_print_resolution(results: Results, view: at.View, tmp_path: Path) -> None:
    at.export.figure(results, tmp_path / "sheet.png", view)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.info["dpi"] == pytest.approx((300, 300), abs=1)
        assert sheet.width == 4 * 2.4 * 300
        rows = np.asarray(sheet.convert("L"))
    middle = rows[rows.shape[0] // 2]
    assert all((quarter < 250).any() for quarter in np.array_split(middle, 4))


def test_the_sheet_is_also_a_vector_graphic_with_names_as_they_are(tmp_path: Path) -> None:
    model = at.Model(
        "mine", Toy(lambda x: x.sum(1), 3), (1, 1), (0, 0, 0), (1, 1, 1), ["$a_b$ <b>", "other"], device="cpu"
    )
    result = at.attribute(model, image(0.1, 0.2, 0.3), at.Gradient(), at.Target(0, "logit"))
    at.export.figure([result], tmp_path / "sheet.svg")
    at.export.figure([result] * 9, tmp_path / "many.pdf")  # two rows
    assert (tmp_path / "many.pdf").read_bytes().startswith(b"%PDF")
    assert "&lt;b&gt;" in (tmp_path / "sheet.svg").read_text()


def test_a_report_is_one_file_that_needs_nothing_else(results: Results, tmp_path: Path) -> None:
    at.export.report([*results, at.Refusal("It <b>refused</b>.")], tmp_path / "report.html", heading="<i>dog</i>")
    text = (tmp_path / "report.html").read_text()
    assert len(text) < 5_000_000
    assert "<i>" not in text
    assert "It &lt;b&gt;refused&lt;/b&gt;." in text
    assert not re.search(r"""(src|href)=["']|url\(|@import|import\(""", text)
    for sentence in ("German shepherd against golden retriever, log-odds", "steps 3, baseline black", "Axiomatic"):
        assert sentence in text
    file = io.BytesIO()
    at.export.report(results, file)
    assert file.getvalue().startswith(b"<!doctype html>")


def test_nothing_to_write_and_several_photos_are_refused(results: Results, tmp_path: Path) -> None:
    toy = model_of(Toy(lambda x: x.sum(1), 3), (1, 1), 2)
    other = at.attribute(toy, image(0.1, 0.2, 0.3), at.Gradient())
    for write in (at.export.folder, at.export.archive, at.export.figure, at.export.report):
        with pytest.raises(at.Refusal, match="There is no map to export"):
            write([at.Refusal("No.")], tmp_path / "file.png")
        with pytest.raises(at.Refusal, match="several photos or models"):
            write([*results, other], tmp_path / "file.png")
    assert not (tmp_path / "file.png").exists()


def test_an_attribution_shows_itself_in_a_notebook(results: Results) -> None:
    result = results[1]
    assert isinstance(result, at.Attribution)
    shown = result._repr_html_()
    assert shown.count('<img src="data:image/png;base64,') == 2
    assert "German shepherd against golden retriever, log-odds" in shown
    assert "score difference" in shown
