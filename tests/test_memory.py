"""The memory budget, and the caches that keep to it."""

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest
from torch import nn
from toys import model_of, noise, randomise

import attribution as at
from attribution import open_image
from attribution.network import scorer
from attribution.network.scorer import Scorer
from attribution.system import memory
from attribution.system.memory import budget
from attribution.ui import photo
from attribution.work.analysis import PreparedAnalysis, loaded
from attribution.work.cache import PHOTO_STORE, Recent, Store, bytes_of


@pytest.fixture
def megabytes(monkeypatch: pytest.MonkeyPatch) -> object:
    """Set the budget."""

    def set_to(text: str) -> None:
        monkeypatch.setenv(memory.MEMORY_VARIABLE, text)
        budget.cache_clear()

    yield set_to
    monkeypatch.undo()
    budget.cache_clear()


def test_the_variable_decides_else_the_containers_limit_else_the_machine(
    megabytes: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    megabytes("1500")
    assert budget() == 1_500_000_000
    for wrong in ("many", "-3", "0", "1.5"):
        megabytes(wrong)
        with pytest.raises(at.Refusal, match=r"^ATTRIBUTION_MEMORY_MB must be a whole number of megabytes, got "):
            budget()
    monkeypatch.delenv(memory.MEMORY_VARIABLE)
    (tmp_path / "limit").write_text("700000000\n")
    (tmp_path / "none").write_text("max\n")
    for names, expected in ((("limit",), 700_000_000), (("none", "missing"), None)):
        monkeypatch.setattr(memory, "LIMIT_FILES", [str(tmp_path / name) for name in names])
        budget.cache_clear()
        assert budget() == expected or (expected is None and budget() > 1_000_000_000)


def test_a_store_keeps_what_was_asked_for_last_within_its_bytes() -> None:
    store = Store(lambda: 1000)
    first, second = Recent[np.ndarray]("first", store), Recent[np.ndarray]("second", store)
    for number in range(3):
        first.put(number, np.full(300, number, np.uint8))
    assert first.get(0) is not None  # now the youngest
    second.put(0, np.zeros(300, np.uint8))
    assert [first.get(number) is not None for number in range(3)] == [True, False, True]
    assert second.get(0) is not None
    assert second.get(1) is None
    assert store.size == 900
    first.put("large", np.zeros(2000, np.uint8))
    assert first.get("large") is None
    assert store.size == 900  # and nothing had to go for it
    first.put(0, np.zeros(10, np.uint8))
    first.put(0, np.zeros(20, np.uint8))
    assert store.size <= 1000


def test_a_value_goes_with_its_owner_even_while_the_store_is_at_work() -> None:
    class Owner:
        pass

    store = Store(lambda: 1000)
    kept = Recent[Image.Image]("photos", store)
    owner, other = Owner(), Owner()
    for each, key in ((owner, "first"), (other, "second")):
        kept.drop_with(each, key)
        kept.put(key, Image.new("RGB", (10, 10)))
    del each
    assert store.size == 800
    with store._held():
        del owner  # as the garbage collector may at any time; waiting for the store would never end
    assert store.size == 400
    del other
    assert store.size == 0


def test_a_network_that_is_dropped_is_freed_but_never_while_it_is_in_use() -> None:
    store = Store(lambda: 1000)
    kept = Recent[nn.Module]("models", store)
    kept.put("first", nn.Linear(10, 10))
    used = kept.get("first")
    seen = weakref.ref(used)
    kept.put("second", nn.Linear(14, 14))
    assert kept.get("first") is None
    assert used is not None
    assert used(torch.ones(10)).shape == (10,)
    del used
    gc.collect()
    assert seen() is None


def test_bytes_are_those_of_all_arrays_inside_each_once() -> None:
    values = np.zeros((3, 10, 10), np.float32)
    net = nn.Linear(10, 10)
    assert bytes_of([values, {"a": values, "b": torch.zeros(5)}]) == 1200 + 20
    assert bytes_of((net, net)) == 440
    model = model_of(randomise(nn.Sequential(nn.Flatten(), nn.Linear(48, 3))), (4, 4), 3)
    result = at.attribute(model, noise(3, 4, 4), at.Gradient())
    assert bytes_of(result) >= 2 * 48 * 4
    assert bytes_of(model) >= 49 * 3 * 4


def test_a_small_budget_makes_smaller_chunks_and_equal_maps(
    squeezenet: at.Model, shepherd: torch.Tensor, megabytes: object
) -> None:
    assert 10e6 < squeezenet.inspection.image_memory < 60e6
    usual = at.attribute(squeezenet, shepherd, at.IntegratedGradients(6))
    needed = 4 * 1.5 * squeezenet.inspection.image_memory / scorer.IMAGE_MEMORY_SHARE  # the libraries leave a quarter
    megabytes(str(round(needed / 1e6)))
    small = at.attribute(squeezenet, shepherd, at.IntegratedGradients(6))
    assert (usual.chunk, small.chunk) == (4, 1)
    assert np.abs(usual.values - small.values).max() <= 1e-5 * np.abs(usual.values).max()
    megabytes("1")
    assert Scorer(squeezenet, shepherd, at.Target()).chunk == 1


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux says what a process holds")
def test_there_is_room_as_long_as_a_share_of_the_budget_is_free(megabytes: object) -> None:
    used = memory.held() / 1e6
    assert used > 100
    megabytes(str(round(3 * used + 2000)))
    assert memory.has_room(0.3)
    megabytes(str(round(used / 2)))
    assert not memory.has_room(0.3)


def test_a_model_that_does_not_fit_is_refused_before_it_is_loaded(
    megabytes: object, monkeypatch: pytest.MonkeyPatch, shepherd: torch.Tensor
) -> None:
    from attribution.work import analysis
    from attribution.work.jobs import Job

    monkeypatch.setattr(analysis, "load", lambda *_: pytest.fail("it must not be loaded"))
    megabytes("900")
    asked = PreparedAnalysis(at.Analysis(model="vgg16"), at.MODELS["vgg16"], shepherd, (227, 227), "photo", "cpu")
    with pytest.raises(at.Refusal, match=r"^VGG-16 needs about 1\d\d\d MB of memory, .* choose a smaller"):
        loaded(asked, (job := Job("key", lambda job: None, "ann")), job.report)


def test_a_photo_that_is_taken_away_is_kept_no_longer_and_a_refusal_is_remembered(
    samples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def page() -> None:
        import streamlit as st

        from attribution.refusal import Refusal
        from attribution.ui.photo import _decoded
        from attribution.ui.session import session

        if "data" not in st.session_state:
            session().upload = None
            return
        try:
            st.text(_decoded(st.session_state.name, st.session_state.data).size)
        except Refusal as refusal:
            st.text(refusal)

    decoded: list[bytes] = []
    monkeypatch.setattr(photo, "open_image", lambda data: (decoded.append(data), open_image(data))[1])
    app = AppTest.from_function(page)
    for name, data in (("photo", (samples / "giant_panda.jpg").read_bytes()), ("text", b"This is no photo.")):
        app.session_state["name"], app.session_state["data"] = name, data
        first, second = app.run().text[0].value, app.run().text[0].value
        assert first == second
        assert decoded.pop() == data
        assert not decoded
        assert (PHOTO_STORE.size > 0) == (name == "photo")  # the one of before is gone, too
    app.session_state["name"], app.session_state["data"] = "photo", (samples / "giant_panda.jpg").read_bytes()
    app.run()
    assert PHOTO_STORE.size > 0
    del app.session_state["data"]
    app.run()
    gc.collect()
    assert PHOTO_STORE.size == 0
