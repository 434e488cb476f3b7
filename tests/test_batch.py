"""Batches: photos explained together, the plan and its groups, the table, and the command, also when it is killed."""

import csv
import dataclasses
import io
import json
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from toys import brief, model_of, noise, randomise

import attribution as at
from attribution.batch import Plan, Run, measures
from attribution.batch.plan import PLAN, photos, stored
from attribution.batch.table import COLUMNS, SHEET, TABLE, WIDE
from attribution.cli import main
from attribution.engine import compare_photos
from attribution.photo.cells import GRID
from attribution.photo.collection import Collection
from attribution.refusal import Refusal
from attribution.settings import write
from attribution.system.storage import Storage
from attribution.targets.target import Target

ROOT = Path(__file__).parents[1]
SIDE = 32
NET = """
import torch
from torch import nn
import attribution as at

class Slow(nn.Module):
    def forward(self, x):
        import time
        time.sleep({seconds})
        return x

def make(device="auto"):
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), Slow()]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 3))
    return at.Model("tiny", net, (32, 32), (0.5,) * 3, (0.2,) * 3, ["cat", "dog", "bird"], device=device)
"""


def small(classes: int = 3) -> nn.Sequential:
    layers = [nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten()]
    return randomise(nn.Sequential(*layers, nn.Linear(96, classes)))


def write_photos(folder: Path, count: int) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    found = [folder / f"{number:02}.png" for number in range(count)]
    for path in found:
        Image.fromarray(random.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(path)
    return found


@pytest.fixture
def net(tmp_path: Path) -> str:
    (tmp_path / "net.py").write_text(NET.format(seconds=0))
    return f"{tmp_path}/net.py:make"


def table(out: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(out / TABLE).to_pylist()
    return rows


def lasting(out: Path) -> Any:
    """Return what another run of the same batch must repeat."""
    return pq.read_table(out / TABLE).drop_columns(["seconds"])


def test_photos_together_have_the_maps_that_each_has_alone() -> None:
    model = model_of(small().double(), (SIDE, SIDE), 3)
    xs = [noise(3, SIDE, SIDE, seed=seed) for seed in range(3)]
    targets = [Target(0), Target(None), Target(2, "logit", 1)]
    methods = [brief(method) for method in at.METHODS.values()]
    together = compare_photos(model, xs, methods, targets)
    for x, target, results in zip(xs, targets, together, strict=True):
        for one, alone in zip(results, at.compare(model, x, methods, target), strict=True):
            assert type(one) is type(alone)
            if isinstance(one, at.Attribution) and isinstance(alone, at.Attribution):
                scale = max(1e-12, float(np.abs(alone.values).max()))
                assert np.abs(one.values - alone.values).max() / scale < 1e-9, one.method
                assert (one.target, one.score) == (alone.target, pytest.approx(alone.score, abs=1e-12))
                assert (one.forwards, one.backwards) == (alone.forwards, alone.backwards)


def test_methods_of_the_photo_itself_share_its_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(small(), (SIDE, SIDE), 3)
    sizes, logits = list[int](), model.logits

    def counted(images: Tensor) -> Tensor:
        sizes.append(len(images))
        return logits(images)

    _ = model.stages  # which are found by a pass of their own
    monkeypatch.setattr(model, "logits", counted)
    xs = [noise(3, SIDE, SIDE, seed=seed) for seed in range(4)]
    compare_photos(model, xs, [at.Gradient(), at.GuidedBackprop(), at.GradCAM()], [Target(1)] * 4)
    assert sizes == [4]
    with pytest.raises(Refusal, match="different sizes"):
        compare_photos(model, [xs[0], xs[1][:, 1:]], [at.Gradient()], [Target(1)] * 2)


def test_a_photo_for_which_the_given_network_runs_leaves_the_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(small().double(), (SIDE, SIDE), 3)
    xs = [noise(3, SIDE, SIDE, seed=seed) for seed in range(3)]
    agrees = model.agrees
    monkeypatch.setattr(model, "agrees", lambda x, logits: agrees(x, logits) and not torch.equal(x[0], xs[1]))
    methods = [at.Gradient(), at.GuidedBackprop()]
    found = compare_photos(model, xs, methods, [Target(0)] * 3)
    assert [any("given network was used" in note for note in each.maps[0].notes) for each in found] == [
        False,
        True,
        False,
    ]
    for x, results in zip(xs, found, strict=True):
        for one, alone in zip(results.maps, at.compare(model, x, methods, Target(0)).maps, strict=True):
            np.testing.assert_allclose(one.values, alone.values, atol=1e-9 * np.abs(alone.values).max())


def test_measures_of_known_maps() -> None:
    model = model_of(small(), (56, 56), 3)
    base = at.attribute(model, noise(3, 56, 56), at.IntegratedGradients(steps=1), Target(0))

    def of(heat: np.ndarray[Any, Any]) -> at.Attribution:

        return dataclasses.replace(base, values=np.stack([heat, 0 * heat, 0 * heat]))

    flat, spot = np.ones((56, 56)), np.zeros((56, 56))
    spot[20:22, 40:42] = (1, -3), (2, 4)  # one cell
    assert measures.concentration(of(flat)) == pytest.approx(0.1, abs=1e-3)
    assert measures.concentration(of(spot)) == 1
    assert measures.concentration(of(0 * flat)) is None
    cells = measures.on_cells(of(spot))
    assert (cells[10, 20], cells.sum()) == (4, 4)  # signed, since the method is complete
    left, top = measures.strongest(cells)
    assert measures.window(left, top).grid[10, 20]
    assert measures.box_share(of(flat), (0.25, 0.5, 0.75, 1.0)) == pytest.approx(0.25)
    assert measures.box_share(of(flat), (0.1, 0, 0.1 + 1 / 112, 1)) == pytest.approx(1 / 112)  # half a pixel
    assert measures.box_share(of(spot), (40 / 56, 20 / 56, 41 / 56, 22 / 56)) == pytest.approx(0.3)
    assert measures.inside((10, 10, 60, 20), (20, 0, 40, 40)) == (0, 0.25, 1, 0.5)
    assert measures.inside((0, 0, 10, 10), (20, 0, 40, 40)) is None
    assert measures.agreements([of(flat), of(spot)]) == [None, None]
    rising = np.arange(56.0)[:, None] + np.zeros((56, 56))
    assert measures.agreements([of(rising), of(rising), of(55 - rising)]) == pytest.approx([0, 0, -1])


def test_the_window_cut_out_is_the_one_that_is_covered() -> None:
    for side in (28, 32, 50, 224):
        x = torch.arange(3.0 * side * side).view(3, side, side)
        for left, top in ((0, 0), (21, 21), (5, 13)):
            pixels = measures.window(left, top).pixels((side, side))
            rows, columns = measures._pixels(top, side), measures._pixels(left, side)
            expected = torch.zeros(side, side, dtype=torch.bool)
            expected[rows, columns] = True
            assert torch.equal(pixels, expected), (side, left, top)
            assert measures.cut(x, left, top).shape == x.shape


def test_a_folder_a_zip_and_a_list_are_the_same_photos(tmp_path: Path, net: str) -> None:
    folder = tmp_path / "photos"
    found = write_photos(folder / "deep", 5)
    (folder / "notes.txt").write_text("no photo")
    (folder / ".hidden.png").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as packed:
        for path in found:
            packed.write(path, str(path.relative_to(folder)))
        packed.writestr("__MACOSX/deep/._00.png", b"")
    (tmp_path / "list.csv").write_text(
        "\ufeffphoto,label\n" + "".join(f"photos/deep/{path.name},x\n" for path in found)
    )
    expected = [f"deep/{path.name}" for path in found]
    for place in (folder, tmp_path / "photos.zip"):
        assert [entry.name for entry in Collection(str(place)).entries()] == expected
    outs = {name: tmp_path / f"out-{name}" for name in ("photos", "photos.zip", "list.csv")}
    for name, out in outs.items():
        assert main(["batch", str(tmp_path / name), "--model", net, "--methods", "gradient", "--out", str(out)]) == 0
    hashes = [[row["map_sha256"] for row in table(out)] for out in outs.values()]
    assert hashes[0] == hashes[1] == hashes[2]
    assert len(set(hashes[0])) == 5


def test_a_list_names_targets_and_boxes_and_what_is_wrong_with_it(
    tmp_path: Path, net: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photos(tmp_path / "photos", 3)
    (tmp_path / "list.csv").write_text(
        "photo,target,left,top,right,bottom\nphotos/00.png,dog,10,5,30,25\nphotos/01.png,,,,,\nphotos/02.png,cow,,,,\n"
    )
    out = tmp_path / "out"
    arguments = ["batch", str(tmp_path / "list.csv"), "--model", net, "--methods", "gradient", "--out", str(out)]
    assert main([*arguments, "--target", "column"]) == 2
    dog, predicted, cow = table(out)
    assert (dog["target_class"], predicted["target"]) == ("dog", predicted["predicted"])
    assert "cow" in cow["refusal"]
    assert cow["method"] is None
    # The crop of 0.875 of a photo of 50 x 40 is from (7.5, 2.5) to (42.5, 37.5).
    assert [dog[f"box_{side}"] for side in ("left", "top", "right", "bottom")] == pytest.approx(
        [2.5 / 35, 2.5 / 35, 22.5 / 35, 22.5 / 35]
    )
    assert dog["box_area"] == pytest.approx((20 / 35) ** 2)
    assert 0 < dog["box_share"] < 1
    assert predicted["box_share"] is None
    (tmp_path / "list.csv").write_text((tmp_path / "list.csv").read_text().replace("dog", "cat"))
    assert main([*arguments, "--target", "column"]) == 2
    assert "photos/00.png has another target or box than when" in capsys.readouterr().err
    for text, sentence in (
        ("file\na.png\n", "no column photo, only file"),
        ("photo,left,top,right,bottom\na.png,1,2,1,3\n", "Line 2 of .* has the box 1/2/1/3"),
        ("photo,left\na.png,1\n", "Line 2 of .* has the box 1///"),
        ("photo\n", "contains no photo"),
    ):
        (tmp_path / "list.csv").write_text(text)
        with pytest.raises(Refusal, match=sentence):
            Collection(str(tmp_path / "list.csv")).entries()


def test_broken_photos_are_one_row_each_and_no_other_row_is_missing(tmp_path: Path, net: str) -> None:
    found = write_photos(tmp_path / "photos", 11)
    found[1].write_bytes(b"no photo")
    found[6].write_bytes(found[6].read_bytes()[:200])
    found[10].write_bytes(b"")
    out = tmp_path / "out"
    methods = ["gradient", "integrated_gradients:steps=3", "rise:masks=8"]
    assert main(["batch", str(tmp_path / "photos"), "--model", net, "--methods", *methods, "--out", str(out)]) == 2
    rows = table(out)
    wrong = [row for row in rows if row["refusal"]]
    assert [row["number"] for row in wrong] == [1, 6, 10]
    assert all(row["photo"] in row["refusal"] for row in wrong)
    assert len(rows) == 3 + 8 * 3
    for row in rows:
        if row["refusal"] is None:
            assert np.asarray(Image.open(out / row["picture"])).shape == (SIDE, SIDE, 3)
            assert (row["loss"] is None) == (row["method"] != "integrated_gradients(steps=3)")
            assert (row["features"] is None) == (row["loss"] is None)
            assert -1 <= row["agreement"] <= 1
    assert np.asarray(Image.open(out / "photos/000000/photo.jpg")).shape == (SIDE, SIDE, 3)
    lines = list(csv.DictReader((out / SHEET).read_text().splitlines()))
    assert lines[1]["method"] == "integrated_gradients(steps=3)"
    assert list(lines[1]) == [name for name in COLUMNS.names if name not in WIDE]


def test_rows_and_raw_values_are_those_of_python(tmp_path: Path, net: str) -> None:
    (path,) = write_photos(tmp_path / "photos", 1)
    out = tmp_path / "out"
    main(["batch", str(tmp_path / "photos"), "--model", net, "--methods", "gradient", "--out", str(out), "--raw"])
    (row,) = table(out)
    model = at.load_model(net)
    alone = at.attribute(model, model.prepare(at.open_image(path)), at.Gradient())
    np.testing.assert_allclose(at.load(out / "photos/000000/gradient.npz").values, alone.values, rtol=1e-4, atol=1e-9)
    assert row["score"] == pytest.approx(alone.score, rel=1e-6)
    assert row["predicted_class"] == alone.prediction[0][1]
    covered = at.baselines.Covered(measures.window(row["window_left"], row["window_top"]))
    x = model.prepare(at.open_image(path))
    after = at.attribute(model, covered.image(x), at.Gradient(), Target(row["target"])).score
    assert row["loss"] == pytest.approx(alone.score - after, abs=1e-6)
    assert len(row["features"]) == 8  # channels of the last feature maps


def test_another_setting_is_refused_and_a_new_photo_is_appended(tmp_path: Path, net: str) -> None:
    write_photos(tmp_path / "photos", 5)
    model, storage = at.load_model(net), Storage(str(tmp_path / "out"))
    analysis = at.Analysis(model=net, methods=(at.Gradient(),))
    plan = Plan(str(tmp_path / "photos"), analysis, weights=model.weights)
    run = Run(plan, storage)
    run.go(model, "local", None, lambda count: None)
    assert stored(storage) == plan
    with pytest.raises(Refusal, match=r"with methods gradient, not saliency|with methods gradient, not rise"):
        Run(Plan(str(tmp_path / "photos"), at.Analysis(model=net, methods=(at.RISE(),)), weights=plan.weights), storage)
    with pytest.raises(Refusal, match="with weights"):
        Run(Plan(str(tmp_path / "photos"), analysis, weights="others"), storage)
    write_photos(tmp_path / "photos", 6)
    (tmp_path / "photos" / "00.png").rename(tmp_path / "photos" / "aa.png")  # 00 is done
    again = Run(plan, storage)
    assert [photo.entry.name for photo in photos(storage)[5:]] == ["05.png", "aa.png"]
    assert [photo.group for photo in again.photos] == [0, 0, 0, 0, 1, 2, 2]
    counts = list[int]()
    again.go(model, "local", None, counts.append)
    assert sum(counts) == 2
    assert again.collect() == 0
    assert [row["number"] for row in table(tmp_path / "out")] == list(range(7))


@pytest.mark.parametrize("failure", [RuntimeError, ValueError])
def test_a_network_that_fails_for_one_photo_fails_for_that_one_only(
    tmp_path: Path, net: str, monkeypatch: pytest.MonkeyPatch, failure: type[Exception]
) -> None:
    write_photos(tmp_path / "photos", 4)
    model, storage = at.load_model(net), Storage(str(tmp_path / "out"))
    bad = model.prepare(at.open_image(tmp_path / "photos" / "02.png"))
    logits = model.logits

    def failing(images: Tensor) -> Tensor:
        if any(torch.equal(image.detach(), bad) for image in images):
            raise failure("no such kernel")
        return logits(images)

    monkeypatch.setattr(model, "logits", failing)
    run = Run(Plan(str(tmp_path / "photos"), at.Analysis(model=net, methods=(at.Gradient(),))), storage)
    run.go(model, "local", None, lambda count: None)
    assert run.collect() == 1
    rows = table(tmp_path / "out")
    assert [row["number"] for row in rows if row["refusal"]] == [2]
    assert "no such kernel" in rows[2]["refusal"]


def command(tmp_path: Path, out: str, *more: str) -> list[str]:
    own = ["--model", f"{tmp_path}/net.py:make", "--methods", "gradient", "integrated_gradients:steps=4"]
    return [sys.executable, "-m", "attribution", "batch", str(tmp_path / "photos"), *own, "--out", out, *more]


def test_killed_and_resumed_it_is_the_table_of_an_undisturbed_run(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET.format(seconds=0.02))
    found = write_photos(tmp_path / "photos", 32)
    found[7].write_bytes(b"no photo")
    out = tmp_path / "out"
    for signs, ending in ((1, signal.SIGKILL), (4, signal.SIGINT)):  # once one and four groups are stored
        running = subprocess.Popen(
            command(tmp_path, str(out), "--workers", "2"), cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 60
        while len(list(out.glob("rows/*.parquet"))) < signs and time.monotonic() < deadline:
            time.sleep(0.005)
        running.send_signal(ending)
        _, said = running.communicate(timeout=60)
        assert signs <= len(list(out.glob("rows/*.parquet"))) < 8
        if ending == signal.SIGINT:
            assert running.returncode == 130
            assert "the same command resumes" in said
            stopped = len(table(out))  # consistent: as many rows as the parts have
            assert stopped == sum(len(pq.read_table(part)) for part in out.glob("rows/*.parquet"))
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("rows/*.parquet")}
    assert main(command(tmp_path, str(out))[3:]) == 2
    assert {path.name: path.stat().st_mtime_ns for path in out.glob("rows/*.parquet") if path.name in before} == before
    assert main(command(tmp_path, str(tmp_path / "whole"), "--workers", "1")[3:]) == 2
    assert lasting(out).equals(lasting(tmp_path / "whole"))
    pictures = {path.relative_to(out): path.read_bytes() for path in out.glob("photos/*/*")}
    assert len(pictures) == 3 * 31
    assert pictures == {
        path.relative_to(tmp_path / "whole"): path.read_bytes() for path in (tmp_path / "whole").glob("photos/*/*")
    }


def test_photos_and_results_may_be_behind_a_url(tmp_path: Path, net: str) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for path in write_photos(tmp_path / "photos", 5):
        memory.pipe_file(f"/in/{path.name}", path.read_bytes())
    try:
        arguments = ["batch", "memory://in", "--model", net, "--methods", "gradient", "--out", "memory://out/here"]
        assert main(arguments) == 0
        storage = Storage("memory://out/here")
        rows = pq.read_table(io.BytesIO(storage.read(TABLE))).to_pylist()
        assert [row["photo"] for row in rows] == [f"{number:02}.png" for number in range(5)]
        assert Image.open(io.BytesIO(storage.read(rows[4]["picture"]))).size == (SIDE, SIDE)
        assert json.loads(storage.read(PLAN))["analysis"]["methods"] == write(at.Gradient())
        assert not any("part" in name.rpartition("/")[2] for name in storage.names())
    finally:
        memory.rm("/in", recursive=True)
        memory.rm("/out", recursive=True)


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("nowhere", "does not exist; name a folder, a ZIP or a CSV file"),
        ("net.py", "is not a folder, ZIP or CSV file; for one photo, use the command explain"),
        ("empty", "contains no photo; photos end in .bmp"),
        ("broken.zip", "cannot be opened"),
        ("ftpx://host/photos", "cannot be opened"),
    ],
)
def test_what_is_no_collection_is_refused_in_a_sentence(
    tmp_path: Path, net: str, place: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.zip").write_bytes(b"PK no archive")
    path = place if "://" in place else str(tmp_path / place)
    assert main(["batch", path, "--model", net, "--methods", "gradient", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert len(said.splitlines()) == 1


def test_cells_of_the_table_are_the_grid() -> None:
    assert COLUMNS.field("cells").type.list_size == GRID * GRID


def test_a_number_is_no_class(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", 2)
    net = randomise(
        nn.Sequential(nn.Conv2d(3, 4, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1))
    )
    model = at.Model("years", net, (SIDE, SIDE), (0.5,) * 3, (1,) * 3, ["age"], device="cpu", output="number")
    analysis = at.Analysis(score="value", methods=(at.Gradient(),))
    run = Run(Plan(str(tmp_path / "photos"), analysis), Storage(str(tmp_path / "out")))
    run.go(model, "local", None, lambda count: None)
    assert run.collect() == 0
    for row in table(tmp_path / "out"):
        assert (row["predicted"], row["target"], row["target_class"]) == (None, None, "age")
        assert row["score"] == row["probability"] != 0
        assert row["loss"] is not None


def test_a_rerun_does_not_explain_its_own_pictures(
    tmp_path: Path, net: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photos(tmp_path / "photos", 2)
    monkeypatch.chdir(tmp_path / "photos")
    arguments = ["batch", ".", "--model", net, "--methods", "gradient"]
    assert main(arguments) == main(arguments) == 0
    assert [row["photo"] for row in table(tmp_path / "photos" / "out")] == ["00.png", "01.png"]
    assert main([*arguments, "--out", "."]) == 2
    assert "cannot be stored among the photos" in capsys.readouterr().err
    (tmp_path / "list.csv").write_text("photo\na.png\na.png\n")
    with pytest.raises(Refusal, match=r"Line 3 of .* repeats a\.png"):
        Collection(str(tmp_path / "list.csv")).entries()
    (tmp_path / "list.csv").write_text('photo\n"' + "a" * 200_000)
    with pytest.raises(Refusal, match="is not a CSV file"):
        Collection(str(tmp_path / "list.csv")).entries()


def test_the_loss_is_of_the_network_that_was_explained_and_may_fail_alone(
    tmp_path: Path, net: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_photos(tmp_path / "photos", 2)
    model = at.load_model(net)
    given = model.given_logits
    monkeypatch.setattr(model, "agrees", lambda x, logits: False)
    monkeypatch.setattr(model, "given_logits", lambda images: 10 * given(images))
    analysis = at.Analysis(model=net, methods=(at.Gradient(),), score="logit", target=1)
    run = Run(Plan(str(tmp_path / "photos"), analysis), Storage(str(tmp_path / "out")))
    run.go(model, "local", None, lambda count: None)
    assert run.collect() == 0
    for row in table(tmp_path / "out"):
        x = model.prepare(at.open_image(tmp_path / "photos" / row["photo"]))
        covered = at.baselines.Covered(measures.window(row["window_left"], row["window_top"])).image(x)
        assert row["loss"] == pytest.approx(row["score"] - float(10 * given(covered[None])[0, 1]), rel=1e-4, abs=1e-5)
    pair = model.given_logits

    def failing(images: Tensor) -> Tensor:
        if len(images) == 2 and not torch.is_grad_enabled():
            raise IndexError("two")
        return pair(images)

    monkeypatch.setattr(model, "given_logits", failing)
    run = Run(Plan(str(tmp_path / "photos"), analysis), Storage(str(tmp_path / "other")))
    run.go(model, "local", None, lambda count: None)
    assert run.collect() == 0
    assert [(row["loss"], row["map_sha256"] is None) for row in table(tmp_path / "other")] == [(None, False)] * 2
