"""Files that are there in whole or not at all, on a disk that is full for real."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from dashboard import ROOT
from full_disk import full_disk

import attribution as at
from attribution.checks.faithfulness import measure
from attribution.checks.sanity import Randomisation, randomise
from attribution.checks.trial import Trial
from attribution.system.files import store, store_all, whole_file

FULL = "could not be stored in .*: File too large\\.$"
Write = Callable[[Path], None]


def files(folder: Path) -> dict[str, bytes]:
    """All there is below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_that_belong_together_come_together_or_not_at_all(tmp_path: Path) -> None:
    old = {"a": b"old", "b": b"old"}
    store_all(tmp_path, old)
    with full_disk(10_000), pytest.raises(at.Refusal, match=f"^large {FULL}"):
        store_all(tmp_path, {"a": b"new", "c": b"new", "large": bytes(20_000), "b": b"new"})
    assert files(tmp_path) == old
    store_all(tmp_path, {"a": b"new", "large": bytes(20_000)})
    assert files(tmp_path) == {"a": b"new", "b": b"old", "large": bytes(20_000)}


def test_a_block_that_raises_leaves_nothing(tmp_path: Path) -> None:
    def stop() -> None:
        with whole_file(tmp_path / "file") as file:
            file.write(b"half")
            raise KeyError("stopped")

    with pytest.raises(KeyError, match="stopped"):
        stop()
    assert files(tmp_path) == {}


def test_a_file_has_the_rights_that_new_files_have_and_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "usual").write_bytes(b"")
    store(tmp_path / "file", b"content")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    store(tmp_path / "link", b"more")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"more"


def test_a_file_that_is_replaced_keeps_its_rights(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "file").chmod(0o600)
    store(tmp_path / "file", b"content")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["x" * 250, "\u5b57" * 83], ids=["letters", "three bytes each"])
def test_a_long_name_can_be_stored_and_one_that_is_too_long_is_told(tmp_path: Path, name: str) -> None:
    store(tmp_path / name, b"content")
    assert files(tmp_path) == {name: b"content"}
    with pytest.raises(at.Refusal, match=r"could not be stored in .*: File name too long"):
        store(tmp_path / (2 * name), b"content")


@pytest.mark.skipif(os.getuid() != 0, reason="Only root can become somebody else.")
def test_a_folder_that_may_not_be_entered_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    os.seteuid(65534)
    try:
        with pytest.raises(at.Refusal, match=r"^file could not be stored in .*: Permission denied\.$"):
            store(folder / "file", b"content")
    finally:
        os.seteuid(0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Only Linux has a device that is always full.")
def test_a_device_is_written_to_and_never_replaced() -> None:
    code = "from attribution.system.files import store; store('/dev/stdout', b'content')"
    piped = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT)
    assert piped.stdout == b"content"
    store("/dev/null", b"content")
    with pytest.raises(at.Refusal, match=r"^full could not be stored in /dev: No space left on device\.$"):
        store("/dev/full", b"content")
    assert not Path("/dev/null").is_file()
    assert not Path("/dev/full").is_file()


def test_a_folder_in_the_way_is_told(tmp_path: Path) -> None:
    with pytest.raises(at.Refusal, match=f"^{tmp_path.name} could not be stored in .*: Is a directory"):
        store(tmp_path, b"content")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(at.Refusal, match=r"^inner could not be stored in .*file: (Not a directory|File exists)"):
        store(tmp_path / "file" / "inner", b"content")


@pytest.fixture(scope="module")
def result(squeezenet: at.Model, shepherd: torch.Tensor) -> at.Attribution:
    return at.attribute(squeezenet, shepherd, at.Gradient())


@pytest.fixture(scope="module")
def writers(squeezenet: at.Model, shepherd: torch.Tensor, result: at.Attribution) -> dict[str, Write]:
    """Everything that writes files."""
    destroyed = randomise(squeezenet, shepherd, [at.Gradient()], at.Target(), Randomisation(stages=1))
    tried = measure(squeezenet, [result], Trial(steps=2, samples=0, moves=0))
    return {
        "folder": lambda path: at.export.folder([result], path),
        "archive": lambda path: at.export.archive([result], path / "maps.zip"),
        "figure": lambda path: at.export.figure([result], path / "figure.pdf"),
        "report": lambda path: at.export.report([result], path / "report.html"),
        "sanity": lambda path: at.export.sanity(destroyed, path),
        "faithfulness": lambda path: at.export.faithfulness(tried, path),
        "save": lambda path: result.save(path / "map.npz"),
    }


@pytest.mark.parametrize("kind", ["folder", "archive", "figure", "report", "sanity", "faithfulness", "save"])
def test_a_full_disk_leaves_what_was_there_and_the_next_time_works(
    writers: dict[str, Write], kind: str, tmp_path: Path
) -> None:
    write = writers[kind]
    write(tmp_path)
    before = files(tmp_path)
    largest = max(map(len, before.values()))
    for size in (0, largest // 2):
        with full_disk(size), pytest.raises(at.Refusal, match=FULL):
            write(tmp_path)
        assert files(tmp_path) == before
    write(tmp_path)
    assert files(tmp_path).keys() == before.keys()


def test_the_command_line_says_so_in_one_line_and_serves_the_other_photo(tmp_path: Path, samples: Path) -> None:
    photos = [str(samples / name) for name in ("german_shepherd_on_grass.jpg", "giant_panda.jpg")]
    for photo in photos:
        assert Path(photo).exists()
    out = tmp_path / "out"
    (out / "german_shepherd_on_grass").mkdir(parents=True)
    (out / "german_shepherd_on_grass" / "figure.png").mkdir()  # stands in the way of one photo's file
    command = [sys.executable, "-m", "attribution", "explain", *photos, "--methods", "gradient", "--figure"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True, env=environment, check=False)
    assert ran.returncode == 2
    said = f"{photos[0]}: figure.png could not be stored in {out / 'german_shepherd_on_grass'}: Is a directory."
    assert said in ran.stderr.splitlines()
    assert "Traceback" not in ran.stderr
    assert (out / "giant_panda" / "figure.png").read_bytes().startswith(b"\x89PNG")
