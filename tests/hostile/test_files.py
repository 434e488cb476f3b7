"""Hostile files: a photo or one plain sentence, never anything else, and the memory is given back."""

import gc
import os
import warnings
from pathlib import Path

import pytest
from hostile.files import EXTENSIONS, KINDS, SECRET, files, good, sample
from session import memory

from attribution import Refusal, open_image
from attribution.system.memory import give_back

ALLOWED = 50.0  # MB


def resident() -> float:
    """The memory of this process in MB, without what it has freed."""
    gc.collect()
    give_back()
    return memory(os.getpid())


def wrong(data: bytes) -> str:
    """Return a sentence on what is not as it should be; empty if all is."""
    try:
        image = open_image(data)
    except Refusal as refusal:
        text = str(refusal)
        one = text.startswith("The file ") and text.endswith(".") and ". " not in text
        return "" if one and text.isprintable() and len(text) < 300 and SECRET not in text else repr(text)
    except Exception as error:
        return repr(error)
    return "" if image.mode == "RGB" and not image.info and min(image.size) > 0 else repr(image)


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    """Open every good file once, since what Pillow imports and allocates once is no leak."""
    for _, data in good():
        open_image(data)


def test_no_good_photo_is_refused() -> None:
    refused = []
    for name, data in good():
        try:
            assert open_image(data).mode == "RGB"
        except Refusal as refusal:
            refused.append((name, str(refusal)))
    assert refused == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_gives_a_photo_or_a_sentence_and_the_memory_back(kind: str) -> None:
    filters, before = list(warnings.filters), resident()
    found = {name: verdict for name, data in files(kind) if (verdict := wrong(data))}
    assert found == {}
    assert resident() - before < ALLOWED
    assert list(warnings.filters) == filters


def test_the_content_decides_under_any_name(tmp_path: Path) -> None:
    for name, data in files("renamed"):
        (tmp_path / name).write_bytes(data)
        assert open_image(tmp_path / name).mode == "RGB"


def test_what_is_no_photo_is_called_so() -> None:
    accepted = [name for name, data in files("foreign") if not _refused(data)]
    assert accepted == []


def _refused(data: bytes) -> bool:
    try:
        open_image(data)
    except Refusal:
        return True
    return False


def test_there_are_thousands_and_a_sample_holds_the_same_files_of_every_kind() -> None:
    some = dict(sample(60))
    assert len(some) == 60
    assert {name.split("-")[0] for name in some} == set(KINDS)
    assert all(name.split(".")[1] in (*EXTENSIONS, "heic") and len(data) < 5_000_000 for name, data in some.items())
    total = 0
    for kind in KINDS:
        for name, data in files(kind):
            total += 1
            assert some.get(name, data) == data
    assert total >= 2000
