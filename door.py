"""The door of the server: bounds on what browsers may send, and headers of what they receive.

It imports neither torch nor the package, so that the server answers at once.
"""

import asyncio
import contextlib
import json
import logging
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from streamlit.runtime import memory_uploaded_file_manager, runtime_util
from streamlit.runtime.state.common import unpack_widget_state_value
from streamlit.runtime.state.session_state import SessionState
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

MB = 1_000_000  # bytes
MAX_SENT_MESSAGE = 32 * MB  # bytes of a message to the browser; `server.maxMessageSize` bounds those that arrive
MAX_SOCKETS = 256  # open websockets; each may hold an unfinished message
MAX_FILES = 2  # uploads kept for one session: the photo in use, and the one that replaces it
MAX_STORED = 240 * MB  # bytes of uploads kept for all sessions
MAX_ARRIVING = 90 * MB  # bytes of unfinished uploads of all sessions
MAX_UPLOADS = 2  # unfinished uploads of one session
MAX_SILENCE = 20.0  # seconds without a byte after which an upload is stopped
MAX_DURATION = 300.0  # seconds after which an unfinished upload is stopped
SHUTDOWN_PATIENCE = 5.0  # seconds to wait for the running job; Docker kills after 10

NUMBERS = {"int_value", "double_value"}  # kinds of values, either of which a browser sends for a number
UPLOAD = re.compile(r"/_stcore/upload_file/([^/]+)/[^/]+/?$")
CLOSED = re.compile(r"/_stcore/(metrics|agent)(/|$)")  # operators' figures, and an interface that is not offered
MEDIA = re.compile(r"/media/")


class BoundedUploads(memory_uploaded_file_manager.MemoryUploadedFileManager):
    """Uploads in memory, without the names of files, bounded for a session and in all."""

    def add_file(self, session_id: str, file: UploadedFileRec) -> None:
        """Keep a file; of one session the oldest make room for it.

        Raises:
            HTTPException: If the files of all sessions would take too much memory.
        """
        held = [each for each in self.file_storage.get(session_id, {}) if each != file.file_id]
        for oldest in held[: max(0, len(held) + 1 - MAX_FILES)]:
            self.remove_file(session_id, oldest)
        if self._total_bytes + len(file.data) > MAX_STORED:
            raise HTTPException(507, "The server holds too many photos at the moment; try again in a few minutes.")
        super().add_file(session_id, file._replace(name="photo.png"))  # the content decides on the format


class Door:
    """ASGI middleware in front of Streamlit's own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.sockets = 0
        self.arriving = 0  # bytes
        self.uploads: Counter[str] = Counter()  # unfinished, by session

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        elif scope["type"] != "http":
            await self.app(scope, receive, send)
        elif CLOSED.search(scope["path"]):
            await PlainTextResponse("Not found", 404)(scope, receive, send)
        elif scope["method"] == "PUT" and (upload := UPLOAD.search(scope["path"])):
            await self._upload(upload[1], scope, receive, send)
        else:
            await self.app(scope, receive, _with_headers(scope, send))

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.sockets >= MAX_SOCKETS:
            await send({"type": "websocket.close", "code": 1013})  # try again later
            return
        self.sockets += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.sockets -= 1

    async def _upload(self, session: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Receive a file, unless too much is arriving already, or it stalls."""
        if self.uploads[session] >= MAX_UPLOADS:
            response = PlainTextResponse("Another photo is being uploaded; wait until it has arrived.", 429)
            await response(scope, receive, send)
            return
        size, end = 0, asyncio.get_running_loop().time() + MAX_DURATION

        async def bounded() -> Message:
            nonlocal size
            wait = min(MAX_SILENCE, end - asyncio.get_running_loop().time())
            try:
                message = await asyncio.wait_for(receive(), max(0.0, wait))
            except TimeoutError as error:
                raise HTTPException(408, "The upload stalled; try again on a faster line.") from error
            size += len(message.get("body", b""))
            self.arriving += len(message.get("body", b""))
            if self.arriving > MAX_ARRIVING:
                raise HTTPException(503, "The server is receiving too many photos; try again in a minute.")
            return message

        self.uploads[session] += 1
        try:
            with contextlib.suppress(ClientDisconnect):  # in the middle of an upload: no error of the server
                await self.app(scope, bounded, _with_headers(scope, send))
        finally:
            self.arriving -= size
            self.uploads[session] -= 1
            self.uploads += Counter()  # drops sessions without uploads


def _with_headers(scope: Scope, send: Send) -> Send:
    """Add headers to a response: what is served is of the type that it says, and no export is kept by a proxy."""
    extra = [(b"x-content-type-options", b"nosniff")]
    if MEDIA.search(scope["path"]):
        extra.append((b"cache-control", b"no-store"))

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            names = {name for name, _ in extra}
            message["headers"] = [pair for pair in message["headers"] if pair[0].lower() not in names] + extra
        await send(message)

    return sent


@contextlib.asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """Stop the running job when the server stops; a process that ends in the middle of one aborts."""
    del app
    yield
    if watch := sys.modules.get("attribution.ui.watch"):  # loaded with the first session
        await asyncio.to_thread(watch.JOBS.close, SHUTDOWN_PATIENCE)


def set_readable_widgets(self: SessionState, widget_states: WidgetStates) -> None:
    """Take in the states of widgets that a browser sent, without those that their widgets cannot read.

    Streamlit keeps a state before it reads it, so one that cannot be read would end every later run of the session.
    """
    readable = WidgetStates(widgets=[each for each in widget_states.widgets if _is_readable(self, each)])
    if dropped := len(widget_states.widgets) - len(readable.widgets):
        logging.getLogger("attribution.door").warning("dropped %d unreadable widget states", dropped)
    _set_widgets(self, readable)


def _is_readable(session: SessionState, state: WidgetState) -> bool:
    """True if a widget of the session can read a state."""
    metadata = session._new_widget_state.widget_metadata.get(state.id)
    if metadata is None:  # of a page that this session has not shown
        return False
    kind = state.WhichOneof("value")
    if kind not in (None, metadata.value_type) and {kind, metadata.value_type} != NUMBERS:
        return False
    try:
        if kind == "json_value":  # of a component; Streamlit would log each one that is malformed
            dict(json.loads(state.json_value))
        metadata.deserializer(unpack_widget_state_value(state))
    except Exception:  # of whatever type: the state is not used
        return False
    return True


_set_widgets = SessionState.set_widgets_from_proto


def install(limit: int) -> list[Middleware]:
    """Bound what Streamlit keeps, before its server is made.

    Args:
        limit: Bytes of the largest upload; none of them is written to a temporary file.

    Returns:
        The middleware for `st.App`.
    """
    MultiPartParser.spool_max_size = 1 + limit
    memory_uploaded_file_manager.MemoryUploadedFileManager = BoundedUploads  # type: ignore[misc]
    SessionState.set_widgets_from_proto = set_readable_widgets  # type: ignore[method-assign]
    # Streamlit has one limit for both directions; its server has read it by now.
    assert hasattr(runtime_util, "_max_message_size_bytes")
    runtime_util._max_message_size_bytes = MAX_SENT_MESSAGE
    return [Middleware(Door)]
