"""One person's page without a browser: a client of Streamlit's own protocol, and what the server holds meanwhile."""

import asyncio
import contextlib
import json
import re
import struct
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import websockets
from numpy.typing import NDArray
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState

WAIT = 60.0  # seconds after which a test fails that waits for one thing
WHOLE = 240.0  # seconds after which a visit fails, before the test itself would: its thread would be waited for forever


@contextlib.asynccontextmanager
async def opening(sessions: Sequence["Session"]) -> AsyncIterator[None]:
    """Open pages, one after the other, and close them in the end."""
    try:
        for session in sessions:
            await asyncio.wait_for(session.open(), WAIT)
        yield
    finally:
        for session in sessions:
            await session.close()


def run(visit: Coroutine[Any, Any, Any]) -> None:
    """Run a visit in a thread of its own: Playwright leaves a running event loop behind in the main thread."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, asyncio.wait_for(visit, WHOLE)).result()


@dataclass
class Session:
    """One person's page.

    Attributes:
        address: Of the server, host and port.
        widgets: Names of the widgets, by their labels.
        elements: Of the run that is going on, or was the last.
        kept: Messages that the server need not send again.
        states: Of the widgets, as the page would send them.
        fragment: Of the page, which looks at the job.
        fragments: Of each component, by its name.
        page: Name of the page in the address; empty for the first.
        query: The address after its question mark.
        name: Of the session, as the server calls it.
        colour: The primary colour of the theme, from the server's settings.
        trigger: What a component sends with the next run only.
    """

    address: str
    widgets: dict[str, str] = field(default_factory=dict)
    elements: list[Any] = field(default_factory=list)
    kept: dict[str, ForwardMsg] = field(default_factory=dict)
    states: dict[str, WidgetState] = field(default_factory=dict)
    fragment: str = ""
    fragments: dict[str, str] = field(default_factory=dict)
    page: str = ""
    query: str = ""
    name: str = ""
    colour: str = ""
    waiting: list[int] = field(default_factory=list)
    trigger: WidgetState | None = None
    socket: websockets.ClientConnection | None = None

    async def open(self) -> None:
        url = f"ws://{self.address}/_stcore/stream"
        self.socket = await websockets.connect(url, subprotocols=[websockets.Subprotocol("streamlit")], max_size=None)
        await self.run()
        await self.settle()

    async def close(self) -> None:
        if self.socket:
            await self.socket.close()

    async def run(self, fragment: str = "") -> None:
        """Ask for a run of the page, or of the part that looks at the job, and take in what comes."""
        asked = BackMsg()
        state = asked.rerun_script
        state.fragment_id = fragment
        state.widget_states.widgets.extend(self.states.values())
        if self.trigger:
            state.widget_states.widgets.append(self.trigger)
            self.trigger = None
        state.cached_message_hashes.extend(self.kept)
        state.page_name, state.query_string = self.page, self.query
        await self.send(asked)
        await self.finish()

    async def send(self, message: BackMsg) -> None:
        """Send a message, whatever comes of it."""
        assert self.socket
        await self.socket.send(message.SerializeToString())

    async def finish(self) -> None:
        """Take in what comes until the run has ended."""
        assert self.socket
        while True:
            message = ForwardMsg()
            message.ParseFromString(await self.socket.recv())
            if self.take_in(message):
                return

    def take_in(self, message: ForwardMsg) -> bool:
        """One message; whether the run has ended with it, and no other follows."""
        kind = message.WhichOneof("type")
        if kind == "ref_hash":
            message = self.kept[message.ref_hash]
        elif message.metadata.cacheable:
            self.kept[message.hash] = message
        if kind == "new_session":
            self.elements, self.name = [], message.new_session.initialize.session_id or self.name
            self.colour = message.new_session.custom_theme.primary_color
        elif kind == "script_finished":
            return message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN
        elif message.WhichOneof("type") == "delta" and message.delta.HasField("new_element"):
            element = message.delta.new_element
            self.elements.append(element)
            self.fragment = message.delta.fragment_id or self.fragment
            if element.WhichOneof("type") == "bidi_component":
                self.fragments[element.bidi_component.id] = message.delta.fragment_id
            for name in ("selectbox", "number_input"):
                if element.WhichOneof("type") == name:
                    widget = getattr(element, name)
                    self.widgets[widget.label] = widget.id
        return False

    @property
    def busy(self) -> bool:
        """True if the page still offers to cancel."""
        return any(each.WhichOneof("type") == "button" and each.button.label == "Cancel" for each in self.elements)

    async def settle(self) -> None:
        """Look at the job as the page does, until it has ended."""
        while self.busy:
            said = [each.progress.text for each in self.elements if each.WhichOneof("type") == "progress"]
            self.waiting = [
                int(number) for text in said for number in re.findall(r"(?:behind|with) (\d+) (?:other )?anal", text)
            ]
            await asyncio.sleep(self.after)
            await self.run(self.fragment)

    @property
    def after(self) -> float:
        """Seconds after which the page polls again."""
        (polling,) = self.mounted("polling")
        return float(json.loads(polling.json)["after"]) / 1000

    def mounted(self, key: str) -> list[Any]:
        """The components on the page with a key."""
        components = [each.bidi_component for each in self.elements if each.WhichOneof("type") == "bidi_component"]
        return [each for each in components if each.id.endswith(f"-{key}")]

    def set(self, label: str, value: str | float) -> None:
        state = WidgetState(id=self.widgets[label])
        if isinstance(value, str):
            state.string_value = value
        else:
            state.double_value = value
        self.states[state.id] = state

    def set_upload(self, file: str, name: str) -> None:
        """Choose the uploader, and have it hold a file that was uploaded under an id."""
        source = next(each.button_group for each in self.elements if each.WhichOneof("type") == "button_group")
        chosen = WidgetState(id=source.id)
        chosen.string_array_value.data.append("Upload")
        self.states[chosen.id] = chosen
        uploader = next(each.file_uploader for each in self.elements if each.WhichOneof("type") == "file_uploader")
        state = WidgetState(id=uploader.id)
        info = state.file_uploader_state_value.uploaded_file_info.add()
        info.file_id, info.name, info.size = file, name, 1
        info.file_urls.file_id = file
        self.states[state.id] = state

    def choose_class(self, index: int) -> None:
        """Choose the target class on the next run, as the box in the browser does."""
        boxes = next(each for each in self.mounted("class-boxes") if each.bytes)
        model = json.loads(boxes.bytes)["model"]
        self.tell(boxes, "choice", {"box": "target", "model": model, "chosen": [index]})

    def tell(self, component: Any, event: str, value: object) -> None:
        """Have a component send an event with the next run."""
        self.states[component.id] = WidgetState(id=component.id, json_value="{}")
        self.trigger = WidgetState(id=f"$$STREAMLIT_INTERNAL_KEY_{component.id}__events")
        self.trigger.json_trigger_value = json.dumps([{"event": event, "value": value}])

    async def choose(self, settings: Mapping[str, str | float], target: int | None = None) -> float:
        """Change the page's settings, by their labels, and the target class; seconds until all maps are there."""
        started = time.perf_counter()
        for label, value in settings.items():
            self.set(label, value)
        if target is not None:
            self.choose_class(target)
        await self.run()
        await self.settle()
        return time.perf_counter() - started

    def maps(self) -> dict[str, NDArray[np.float64]]:
        """The finished maps on the page, by method."""
        found = {}
        for each in self.elements:
            if each.WhichOneof("type") == "bidi_component" and "viewer_panel" in each.bidi_component.component_name:
                header, body = unpacked(each.bidi_component.bytes)
                if header["kind"] == "map":
                    found[header["id"]] = values(header, body)
        return found

    def said(self) -> list[str]:
        """All texts on the page."""
        texts = [getattr(each, str(each.WhichOneof("type"))) for each in self.elements]
        return [str(each.body) for each in texts if hasattr(each, "body")]

    def troubles(self) -> list[str]:
        """The texts that a person would take for errors."""
        kinds = [each.WhichOneof("type") for each in self.elements]
        alerts = [each.alert.body for each in self.elements if each.WhichOneof("type") == "alert"]
        return [kind for kind in kinds if kind == "exception"] + alerts


def unpacked(message: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and body of a message of the viewer."""
    (length,) = struct.unpack_from("<I", message)
    return json.loads(message[4 : 4 + length]), message[4 + length :]


def values(header: dict[str, Any], body: bytes) -> NDArray[np.float64]:
    """A map, (3, H, W)."""
    return np.frombuffer(body, "<i2").reshape(3, header["height"], header["width"]) * float(header["scale"])


def memory(process: int, kind: str = "VmRSS") -> float:
    """MB that a process holds, or with "VmHWM" has ever held."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.findall(rf"{kind}:\s+(\d+) kB", status)[0]) * 1.024e-3
