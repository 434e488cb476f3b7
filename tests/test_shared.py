"""Photos that links contain: stored for a day within limits, and one sentence where there is none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from streamlit.testing.v1 import AppTest

import attribution as at
from attribution.drawing.view import View
from attribution.photo.preprocessing import Preprocessing
from attribution.refusal import Refusal
from attribution.ui import photo as source
from attribution.ui import share as dialog
from attribution.viewer.message import WHOLE_WINDOW
from attribution.work import shared
from attribution.work.analysis import PreparedAnalysis
from attribution.work.shared import GONE, LIFETIME, NAME, Prepared, SharedPhotos

ROOT = Path(__file__).parents[1]
STEPS = Preprocessing((8, 8), (0, 0, 0), (1, 1, 1))
BOX = (0.0, 0.0, 8.0, 8.0)


class Clock:
    """Seconds that the test sets."""

    now = 1e9

    def __call__(self) -> float:
        return self.now


def photo(level: int = 7, side: int = 8) -> dict[Preprocessing, Prepared]:
    return {STEPS: Prepared(torch.full((3, side, side), level) / 255, BOX)}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> SharedPhotos:
    return SharedPhotos(clock, lambda: 500.0)


def test_what_comes_back_is_what_was_put_bit_by_bit_in_colour_and_in_grey(store: SharedPhotos) -> None:
    colour = torch.arange(192, dtype=torch.uint8).view(3, 8, 8).float() / 255
    grey = torch.rand(1, 4, 4, generator=torch.Generator().manual_seed(0)).expand(3, 4, 4)  # no multiple of 1/255
    for x in (colour, grey):
        name = store.put({STEPS: Prepared(x, BOX)})
        assert NAME.fullmatch(name)
        found = store.get(name)
        assert found
        assert found[STEPS].x.numpy().tobytes() == x.numpy().tobytes()
        assert found[STEPS].box == BOX


def test_a_photo_ends_after_24_hours_and_makes_room(store: SharedPhotos, clock: Clock) -> None:
    name = store.put(photo())
    store.put(photo())
    with pytest.raises(Refusal, match=r"already keeps 2 shared photos, its limit; try again later"):
        store.put(photo())
    clock.now += LIFETIME - 1
    assert store.get(name)
    clock.now += 1
    assert store.get(name) is None
    assert store.get(store.put(photo()))


def test_a_photo_is_deleted_after_24_hours_even_if_nobody_visits(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting: list[tuple[float, Callable[[], None]]] = []

    class Timer:
        def __init__(self, seconds: float, function: Callable[[], None]) -> None:
            waiting.append((seconds, function))

        def start(self) -> None:
            pass

    monkeypatch.setattr(shared, "Timer", Timer)
    store = SharedPhotos(clock, lambda: 500.0)
    store.put(photo())
    clock.now += 60
    store.put(photo())
    for left in (1, 0):
        ((seconds, end),) = waiting
        waiting.clear()
        clock.now = clock.now - 60 + seconds if left else clock.now + seconds
        end()
        assert len(store._photos) == left
    assert waiting == []


def test_the_number_of_photos_is_bounded_too(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "MAX_PHOTOS", 2)
    store = SharedPhotos(clock, lambda: 1e9)
    names = [store.put(photo()) for _ in range(2)]
    with pytest.raises(Refusal, match="already keeps 2"):
        store.put(photo())
    store.drop(names[0])
    store.put(photo())
    assert store.get(names[1])  # no photo was evicted for another


def test_a_photo_that_is_too_large_is_refused(store: SharedPhotos) -> None:
    with pytest.raises(Refusal, match=r"^The photo takes .* MB, but at most 0\.0 MB can be shared; choose a model"):
        store.put(photo(side=16))


@pytest.fixture
def page_store(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> SharedPhotos:
    """The store of the pages of a test."""
    store = SharedPhotos(clock, lambda: 1e6)
    for module in (source, dialog):
        monkeypatch.setattr(module, "SHARED_PHOTOS", store)
    monkeypatch.setattr(PreparedAnalysis, "compute", lambda self, job: None)
    return store


def opened(**link: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
    for name, text in link.items():
        app.query_params[name] = text
    return said_without_exception(app.run())


def said_without_exception(app: AppTest) -> AppTest:
    assert not app.exception
    return app


def said(app: AppTest) -> list[str]:
    return [each.value for each in (*app.warning, *app.text)]


def test_a_name_of_which_there_is_no_photo_gives_one_sentence(
    page_store: SharedPhotos, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said(opened(photo="shared:" + "A" * 22)) == [GONE]  # guessed, or of a server that was restarted
    deleted, expired, off = (page_store.put(photo()) for _ in range(3))
    page_store.drop(deleted)
    assert said(opened(photo=f"shared:{deleted}")) == [GONE]
    app = opened(photo=f"shared:{off}")
    assert GONE not in said(app)
    monkeypatch.setenv("ATTRIBUTION_SHARE_PHOTOS", "0")
    assert GONE in said(said_without_exception(app.run()))
    assert said(opened(photo=f"shared:{off}")) == [GONE]
    monkeypatch.delenv("ATTRIBUTION_SHARE_PHOTOS")
    clock.now += LIFETIME
    assert said(opened(photo=f"shared:{expired}")) == [GONE]
    for name in ("", "x", "A" * 21 + "/", "../../../etc/passwd", "A" * 400):
        (sentence,) = said(opened(photo=f"shared:{name}"))
        assert sentence.startswith("Ignored 'photo' in the link: ")


def sharing(samples: Path) -> AppTest:
    """A page with an upload and the dialog open."""
    app = opened(photo="upload")
    app.file_uploader(key="upload").upload("a.jpg", (samples / "giant_panda.jpg").read_bytes()).run()
    app.session_state["session"].share = View(), WHOLE_WINDOW
    return said_without_exception(app.run())


def shared_names(app: AppTest) -> Any:
    return app.session_state["session"].shares


def test_the_dialog_shares_a_photo_once_and_deletes_it(page_store: SharedPhotos, samples: Path) -> None:
    app = sharing(samples)
    assert not shared_names(app)  # nothing is kept before it is asked for
    for asked in (True, False, True):
        app.checkbox(key="share-photo").set_value(asked).run()
    (name,) = shared_names(app).values()
    crops = page_store.get(name)
    assert crops
    model = at.load_model("squeezenet1_1", device="cpu")
    seen = model.prepare(at.open_image(samples / "giant_panda.jpg"))
    assert [crop.x.numpy().tobytes() for crop in crops.values()] == [seen.numpy().tobytes()]
    app.button(key="delete-shared").click().run()
    assert page_store.get(name) is None
    assert not app.checkbox(key="share-photo").value
    assert not [button for button in app.button if button.key == "delete-shared"]


def test_a_full_store_gives_a_sentence_in_the_dialog(
    page_store: SharedPhotos, samples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "MAX_PHOTOS", 0)
    app = sharing(samples)
    app.checkbox(key="share-photo").set_value(True).run()
    assert "already keeps 0 shared photos" in "\n".join(said(said_without_exception(app)))


def test_the_switch_hides_the_choice_and_refuses(
    page_store: SharedPhotos, samples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATTRIBUTION_SHARE_PHOTOS", "0")
    assert "share-photo" not in [each.key for each in sharing(samples).checkbox]
    with pytest.raises(Refusal, match="shares no photos, since ATTRIBUTION_SHARE_PHOTOS is 0"):
        page_store.put(photo())


def test_models_with_other_crops_see_of_a_shared_photo_what_they_saw_of_the_whole(
    page_store: SharedPhotos, samples: Path
) -> None:
    def prepared(app: AppTest) -> list[tuple[bytes, Any, Any]]:
        found = app.session_state["session"].analysis
        return [(each.x.numpy().tobytes(), each.full, each.frame) for each in (found, *found.beside)]

    app = opened(photo="upload", beside="efficientnet_lite0", crop="30,80")
    app.file_uploader(key="upload").upload("a.jpg", (samples / "dog_over_cat.jpg").read_bytes()).run()
    name = page_store.put(app.session_state["session"].crops)
    visitor = opened(photo=f"shared:{name}", beside="efficientnet_lite0")
    assert len(prepared(visitor)) == 2
    assert prepared(visitor) == prepared(app)
    visitor.selectbox(key="model").set_value("efficientnet_lite0").run()
    assert prepared(said_without_exception(visitor))[0][0] == prepared(app)[1][0]
