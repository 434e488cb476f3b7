"""Attributions with their provenance: saved, loaded, shown; and Results."""

import builtins
import dataclasses
import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings as hypothesis_settings

import attribution as at
from attribution.network.rectifiers import Interception
from attribution.result import ARRAY_FIELDS, Results

patient = hypothesis_settings(deadline=None)


@pytest.fixture
def full() -> at.Attribution:
    """An attribution in which every field has a value, and no number is round."""
    return at.Attribution(
        values=np.random.default_rng(1).normal(size=(3, 5, 7)).astype(np.float32),
        pixels=np.random.default_rng(2).random((3, 5, 7), np.float32),
        score=1 / 3,
        baseline_score=-2e-17,
        delta=0.1,
        method="integrated_gradients",
        settings={"steps": 25, "baseline": "constant(colour=#808080)", "share": 0.1},
        target=at.Target(235, "log_odds", 207),
        model='a "quoted" name, 日本語',
        forwards=26,
        backwards=25,
        chunk=4,
        seconds=1.234567890123,
        rectifiers=Interception(26, ("gelu", "sigmoid")),
        notes=("One warning.", "Another: 5 % \n in two lines."),
        explained="German shepherd against golden retriever, log-odds",
        prediction=((235, "German shepherd", 1 / 7), (207, "golden retriever", 1e-300)),
        versions={"torch": "2.0", "attribution": at.VERSION},
        segments=np.arange(35).reshape(5, 7) // 12,
        standard_error=np.array([0.1, 1 / 3, 1e-300]),
    )


@pytest.fixture
def bare() -> at.Attribution:
    """An attribution in which every field is None or empty if it may be."""
    return at.Attribution(
        values=np.zeros((3, 2, 2), np.float64),
        pixels=np.zeros((3, 2, 2), np.float32),
        score=0.0,
        baseline_score=None,
        delta=None,
        method="gradient",
        settings={},
        target=at.Target(),
        model="",
        forwards=0,
        backwards=0,
        chunk=1,
        seconds=0.0,
    )


def check_same(found: at.Attribution, saved: at.Attribution) -> None:
    for field in dataclasses.fields(at.Attribution):
        left, right = getattr(found, field.name), getattr(saved, field.name)
        assert type(left) is type(right), field.name
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right)
        else:
            assert left == right, field.name


@pytest.mark.parametrize("name", ["full", "bare"])
def test_a_saved_attribution_is_loaded_as_it_was(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    saved: at.Attribution = request.getfixturevalue(name)
    saved.save(tmp_path / "map.npz")
    check_same(at.load(tmp_path / "map.npz"), saved)
    check_same(at.load(str(tmp_path / "map.npz")), saved)


def test_a_computed_attribution_is_loaded_as_it_was(squeezenet: at.Model, shepherd: Any, tmp_path: Path) -> None:
    methods = [at.Gradient(), at.GuidedBackprop(), at.IntegratedGradients(steps=2)]
    for saved in at.compare(squeezenet, shepherd, methods):
        assert isinstance(saved, at.Attribution)
        saved.save(tmp_path / "map.npz")
        check_same(at.load(tmp_path / "map.npz"), saved)


def test_the_file_has_the_given_name_and_replaces_an_older_one(full: at.Attribution, tmp_path: Path) -> None:
    path = tmp_path / "map"
    path.write_text("something older and longer" * 1000)
    full.save(path)
    assert list(tmp_path.iterdir()) == [path]
    check_same(at.load(path), full)


def test_the_file_contains_no_pickle(full: at.Attribution, tmp_path: Path) -> None:
    full.save(tmp_path / "map.npz")
    with np.load(tmp_path / "map.npz", allow_pickle=False) as archive:
        contents = dict(archive)
    assert sorted(contents) == ["facts", "pixels", "segments", "standard_error", "values"]
    assert not any(content.dtype.hasobject for content in contents.values())
    facts = json.loads(str(contents["facts"]))
    assert facts["target"] == {"index": 235, "score": "log_odds", "versus": 207, "value_unit": ""}
    assert facts["rectifiers"]["others"] == ["gelu", "sigmoid"]


def test_facts_can_be_written_as_json(full: at.Attribution, bare: at.Attribution) -> None:
    assert json.loads(json.dumps(full.facts()))["notes"] == list(full.notes)
    assert full.facts().keys() == {field.name for field in dataclasses.fields(at.Attribution)} - set(ARRAY_FIELDS)
    assert bare.facts()["rectifiers"] is None


def test_an_attribution_cannot_be_changed(full: at.Attribution) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        full.score = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("delta", "score", "baseline_score", "relative"),
    [(0.1, 0.7, 0.2, 0.2), (-0.1, 0.7, 0.2, 0.2), (0.1, 0.2, 0.7, 0.2), (0.1, 0.5, 0.5, None), (None, 0.7, None, None)],
)
def test_the_relative_delta_is_a_share_of_the_score_difference(
    bare: at.Attribution, delta: float | None, score: float, baseline_score: float | None, relative: float | None
) -> None:
    found = dataclasses.replace(bare, delta=delta, score=score, baseline_score=baseline_score).relative_delta
    assert found == (relative if relative is None else pytest.approx(relative))


@pytest.mark.parametrize(
    ("score", "delta", "converges", "account", "doubtful"),
    [
        (0.9, 0.0, True, "The map sums to 0.700; the score difference is 0.700 (0.0% off).", False),
        (0.9, -0.021, True, "sums to 0.679; the score difference is 0.700 (3.0% off; more steps", False),
        (0.9, -0.07, True, "sums to 0.630; the score difference is 0.700 (10.0% off; more steps", True),
        (0.9, -0.07, False, "sums to 0.630; the score difference is 0.700 (10.0% off).", True),
        (0.2001, 0.0, True, "The score differs from the baseline's by only 0.0001, so there is little", False),
    ],
)
def test_the_account_says_how_much_of_the_score_difference_is_explained(
    bare: at.Attribution, score: float, delta: float, converges: bool, account: str, doubtful: bool
) -> None:
    found = dataclasses.replace(bare, score=score, baseline_score=0.2, delta=delta, converges=converges)
    assert account in found.account
    assert found.doubtful == doubtful
    assert found.marked_account == ("\u26a0 " if doubtful else "") + found.account
    assert found.marked_account in found._repr_html_().replace("&#x27;", "'")
    assert (bare.account, bare.marked_account) == (None, "")


def test_results_are_a_list_that_separates_attributions_and_refusals(bare: at.Attribution) -> None:
    refusal = at.Refusal("No.")
    results = Results([bare, refusal, bare])
    assert results == [bare, refusal, bare]
    assert results.maps == [bare, bare]
    assert results.refusals == [refusal]


def check_refused(path: Path, match: str) -> None:
    with pytest.raises(at.Refusal, match=match) as caught:
        at.load(path)
    assert str(caught.value).startswith(str(path))
    assert str(caught.value).endswith(".")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    check_refused(tmp_path / "missing.npz", "cannot be read: No such file")
    check_refused(tmp_path, "cannot be read: Is a directory")


@pytest.mark.parametrize("content", [b"", b"This is no map.", b"PK\x03\x04", b"\x93NUMPY"])
def test_a_file_of_another_kind_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "map.npz").write_bytes(content)
    check_refused(tmp_path / "map.npz", "is not a saved attribution; choose a file written by Attribution.save")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_file_that_is_cut_off_is_refused(share: float, full: at.Attribution, tmp_path: Path) -> None:
    path = tmp_path / "map.npz"
    full.save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    check_refused(path, "is not a saved attribution")


def test_a_refused_file_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "map.npz"
    path.write_bytes(b"PK\x03\x04")
    opened: list[Any] = []
    really = io.open

    def spy(*args: Any, **kwargs: Any) -> Any:
        opened.append(really(*args, **kwargs))
        return opened[-1]

    with monkeypatch.context() as patched:
        patched.setattr(io, "open", spy)
        patched.setattr(builtins, "open", spy)
        check_refused(path, "is not a saved attribution")
    closed = [file.closed for file in opened]
    for file in opened:
        file.close()
    assert closed
    assert all(closed)


def test_a_single_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "map.npy", np.zeros((3, 2, 2)))
    check_refused(tmp_path / "map.npy", "is not a saved attribution")


def test_the_archive_of_a_folder_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "attributions.npz", pixels=np.zeros((3, 2, 2)), gradient=np.zeros((3, 2, 2)))
    check_refused(tmp_path / "attributions.npz", "is not a saved attribution")


@pytest.mark.parametrize(
    "change",
    [
        {"colour": "red"},
        {"target": {"index": 1, "score": "best", "versus": None}},
        {"target": None},
        {"notes": None},
        {"rectifiers": {"rectifiers": 1}},
    ],
)
def test_facts_that_save_does_not_write_are_refused(
    change: dict[str, Any], full: at.Attribution, tmp_path: Path
) -> None:
    path = tmp_path / "map.npz"
    np.savez(path, values=full.values, pixels=full.pixels, facts=np.array(json.dumps(full.facts() | change)))
    check_refused(path, "is not a saved attribution")


@pytest.mark.parametrize("missing", ["score", "target", "notes", "rectifiers", "model"])
def test_facts_that_lack_something_are_refused(missing: str, full: at.Attribution, tmp_path: Path) -> None:
    facts = {name: value for name, value in full.facts().items() if name != missing}
    np.savez(tmp_path / "map.npz", values=full.values, pixels=full.pixels, facts=np.array(json.dumps(facts)))
    check_refused(tmp_path / "map.npz", "is not a saved attribution")


class Trap:
    """An object that creates a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("place", ["values", "facts"])
def test_a_pickle_in_the_file_is_not_executed(place: str, full: at.Attribution, tmp_path: Path) -> None:
    path, marker = tmp_path / "map.npz", tmp_path / "executed"
    contents: dict[str, Any] = {
        "values": full.values,
        "pixels": full.pixels,
        "facts": np.array(json.dumps(full.facts())),
    }
    contents[place] = np.array([Trap(marker)], dtype=object)
    np.savez(path, **contents)
    with np.load(path, allow_pickle=True) as archive:
        assert archive[place].dtype.hasobject
    assert marker.exists(), "the trap must work, otherwise the test proves nothing"
    marker.rmdir()
    check_refused(path, "is not a saved attribution")
    assert not marker.exists()


def test_a_member_that_is_not_an_array_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("values.npy", "not an array")
        archive.writestr("facts.npy", "not an array")
    (tmp_path / "map.npz").write_bytes(buffer.getvalue())
    check_refused(tmp_path / "map.npz", "is not a saved attribution")


def test_the_account_tells_the_error_of_the_map_from_that_of_its_sum(bare: at.Attribution) -> None:
    found = dataclasses.replace(bare, score=0.9, baseline_score=0.2, delta=-0.021, converges=True, error=0.04)
    assert "(3.0% off). After" in found.account
    assert found.account.endswith("the estimated error of the map is 4.0%.")
    assert not found.improvable
    worse = dataclasses.replace(found, delta=-0.07)
    assert "(10.0% off). After" in worse.account
    assert worse.account.endswith("is 4.0%; more steps would reduce both.")
    nothing = dataclasses.replace(found, score=0.2 - 9e-6, delta=-8e-5)
    assert "little to explain, and the map is unreliable (delta -8e-05)" in nothing.account
