"""Forged messages, by Streamlit's own protocol: none ends in a traceback, an error card, or harm to another session."""

import asyncio
import contextlib
import random
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from dashboard import FIRST, serving
from forged import forged
from PIL import Image
from session import WAIT, Session, memory, run
from streamlit.components.v2.bidi_component.main import _make_trigger_id
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState

from attribution.photo.encode import png

PAGES = ("", "path", "baselines", "probe", "sanity", "faithfulness", "batch", "methods", "learn")
BRIEF = (
    "model=constant&faithfulness=faithfulness(steps=3,samples=2,moves=1)&sanity=sanity(stages=2)&path=path(steps=2)"
    "&probe=probe(challenge=fool)"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int, Path]]:
    log = tmp_path_factory.mktemp("server") / "log"
    with serving(log, "tests/hostile_app.py", ATTRIBUTION_MEMORY_MB="800") as (address, process):
        yield address.removeprefix("http://"), process.pid, log


def names(session: Session) -> list[str]:
    """The names of all widgets on the page, and those of the events of its components."""
    found = set[str]()
    for each in session.elements:
        element = getattr(each, str(each.WhichOneof("type")))
        if isinstance(name := getattr(element, "id", ""), str) and name:
            found.add(name)
            if each.WhichOneof("type") == "bidi_component":
                found.add(_make_trigger_id(name, "events"))
    return sorted(found)


def test_hundreds_of_forged_states_end_in_nothing(server: tuple[str, int, Path]) -> None:
    address, process, log = server

    async def attack(page: str, chance: random.Random, count: int) -> None:
        eve = Session(address, page=page, query=BRIEF)
        await eve.open()
        states = forged(names(eve), chance)
        for _ in range(count):
            state = next(states)
            eve.states = {state.id: state}
            await asyncio.wait_for(eve.run(), WAIT)
            assert "exception" not in eve.troubles(), state
        eve.states = {}
        await eve.run()
        assert "exception" not in eve.troubles()
        await eve.close()

    async def visit() -> None:
        bob = Session(address, query="model=constant")
        await asyncio.wait_for(bob.open(), WAIT)
        bob.set("Model", "constant")
        before = bob.maps()
        assert list(before) == FIRST
        libraries = Session(address, query="model=timm/nothing")  # imports timm, as a dialog does
        await libraries.open()
        await libraries.close()
        chance = random.Random(0)
        for page in PAGES:
            await attack(page, chance, 14)  # fills the caches and loads the libraries of every page
        held = memory(process)
        for page in PAGES:
            await attack(page, chance, 10)
        for page in PAGES:  # freed memory is returned to the system at the end of a job; a leak is not
            if memory(process) - held < 80:
                break
            await attack(page, chance, 10)
        assert memory(process) - held < 80
        await asyncio.wait_for(bob.run(), WAIT)
        await asyncio.wait_for(bob.settle(), WAIT)
        assert {key: values.tobytes() for key, values in bob.maps().items()} == {
            key: values.tobytes() for key, values in before.items()
        }
        assert bob.troubles() == []
        await bob.close()

    run(visit())
    said = log.read_text()
    assert "Traceback" not in said
    assert max(map(len, said.splitlines())) <= 2000


def test_a_browser_that_empties_the_caches_does_not_replace_the_queue(server: tuple[str, int, Path]) -> None:
    address, _, _ = server

    async def visit() -> None:
        ann, bob, eve = (Session(address, query=f"photo={photo}") for photo in ("espresso", "ladybug", "lorikeet"))
        for each in (ann, bob, eve):
            await asyncio.wait_for(each.open(), WAIT)
        ann.set("Steps", 990.0)
        await asyncio.wait_for(ann.run(), WAIT)
        assert ann.busy
        await eve.send(BackMsg(clear_cache=True))
        watching = asyncio.create_task(ann.settle())  # a job that nobody looks at ends
        bob.set("Steps", 980.0)
        try:
            texts: list[str] = []
            await asyncio.wait_for(bob.run(), WAIT)
            for _ in range(300):
                texts = [each.progress.text for each in bob.elements if each.WhichOneof("type") == "progress"]
                # The first if the server's memory allows two open jobs.
                if any(re.search("(sharing the processor with|Queued behind) 1 ", text) for text in texts):
                    break
                await asyncio.sleep(bob.after)
                await asyncio.wait_for(bob.run(bob.fragment), WAIT)
            else:
                pytest.fail(f"shares no queue: {texts}")
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
            for each in (ann, bob, eve):
                await each.close()

    run(visit())


def put(address: str, session: str, file: str, content: bytes, name: str = "photo.png") -> int:
    """Upload a file under an id of one's own choice; return the HTTP status."""
    boundary = "----boundary"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "X-Xsrftoken": TOKEN}
    headers["Cookie"] = f"_streamlit_xsrf={TOKEN}"
    url = f"http://{address}/_stcore/upload_file/{session}/{file}"
    request = urllib.request.Request(url, body, headers, method="PUT")
    try:
        with urllib.request.urlopen(request, timeout=WAIT) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


TOKEN = "2|00000000|00000000000000000000000000000000|1700000000"  # of one's own; the header has to match the cookie


async def show_upload(session: Session, file: str, name: str) -> None:
    """Have the page use an upload, as the browser does."""
    session.set_upload(file, name)
    session.set("Model", "constant")
    await asyncio.wait_for(session.run(), WAIT)
    await asyncio.wait_for(session.settle(), WAIT)


def crop_preview(session: Session) -> str:
    """The picture in which the crop is moved."""
    for each in session.elements:
        if each.WhichOneof("type") == "bidi_component" and "crop" in each.bidi_component.component_name:
            return str(each.bidi_component.json)
    return ""


def test_choices_that_no_list_offers_are_ignored(server: tuple[str, int, Path]) -> None:
    address, _, _ = server

    async def visit() -> None:
        for query in ("chapter=7&step=1", "chapter=7&step=2", "chapter=8&step=2"):
            eve = Session(address, page="learn", query=f"model=constant&{query}")
            await eve.open()
            for name in names(eve):
                if "lesson" in name or "guess" in name:
                    eve.states = {name: WidgetState(id=name, string_value="nonsense")}
                    await asyncio.wait_for(eve.run(), WAIT)
                    assert "exception" not in eve.troubles(), name
            await eve.close()

    run(visit())


def test_an_upload_changes_no_picture_of_another_session(server: tuple[str, int, Path]) -> None:
    address, _, log = server
    red, blue = (png(Image.new("RGB", (40, 40), colour)) for colour in ("red", "blue"))

    async def visit() -> None:
        query = "photo=upload&model=constant"
        eve, ann = Session(address, query=query), Session(address, query=query)
        for session, content in ((eve, red), (ann, blue)):
            await asyncio.wait_for(session.open(), WAIT)
            assert await asyncio.to_thread(put, address, session.name, "lorikeet", content) == 204
            await show_upload(session, "lorikeet", "photo.png")
        assert crop_preview(eve)
        assert crop_preview(eve) != crop_preview(ann)  # one id, two photos
        bob = Session(address, query="photo=lorikeet&model=constant")
        await asyncio.wait_for(bob.open(), WAIT)
        assert crop_preview(bob) not in (crop_preview(eve), crop_preview(ann))
        for name in ("a\0b.png", "drawing.svg", "page.html", "..\\..\\x", "n" * 5000):
            assert await asyncio.to_thread(put, address, eve.name, "odd", red, name.replace("\0", "%00")) in (204, 400)
            await show_upload(eve, "odd", name)
            assert "exception" not in eve.troubles()
        for session in (eve, ann, bob):
            await session.close()

    run(visit())
    assert "Traceback" not in log.read_text()
