"""Limits on requests from browsers, and headers on responses.

Imports neither torch nor the package, so that the server starts at once.
"""

import asyncio
import contextlib
import json
import logging
import os
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import streamlit as st
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from streamlit.runtime import get_instance, memory_uploaded_file_manager, runtime_util
from streamlit.runtime.state.common import unpack_widget_state_value
from streamlit.runtime.state.session_state import SessionState
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

MB = 1_000_000  # bytes
MAX_SENT_BYTES = 32 * MB  # bytes of a message to a browser; `server.maxMessageSize` limits incoming messages
MAX_SOCKETS = 256  # open websockets; each may buffer an incomplete message
MAX_SOCKETS_PER_ADDRESS = 192  # open websockets of one IP address, which may be that of a school or a proxy
MAX_STORED_UPLOADS = 1000  # uploads kept per session; those of the page Batch are kept until it has taken them over
MAX_SESSION_BYTES = 120 * MB  # bytes of a session's completed uploads
MAX_STORED_BYTES = 240 * MB  # bytes of completed uploads, all sessions together
MAX_ARRIVING_BYTES = 90 * MB  # bytes of uploads in progress, all sessions together
MAX_CHECKPOINT_MB = 500  # MiB of a checkpoint, where they are allowed; the bounds above then grow by one checkpoint
CHECKPOINT_VARIABLE = "ATTRIBUTION_ALLOW_CHECKPOINTS"
LOCAL_ADDRESSES = ("localhost", "127.0.0.1", "::1")
MAX_ACTIVE_UPLOADS = 2  # uploads in progress per session; others wait
MAX_WAITING_UPLOADS = 500  # uploads of a session that wait, such as the photos of a batch
MAX_NAME_LENGTH = 200  # characters of a file name, counted from its end
ENDING = ".png"  # added to every file name
MAX_SILENCE = 20.0  # seconds without data before an upload is aborted
MAX_DURATION = 300.0  # seconds before an unfinished upload is aborted
SHUTDOWN_TIMEOUT = 5.0  # seconds to wait for the running job; Docker kills the process after 10

NUMBER_KINDS = {"int_value", "double_value"}  # protobuf fields; a browser may send a number in either
UPLOAD_PATH = re.compile(r"/_stcore/upload_file/([^/]+)/[^/]+/?$")
CLOSED_PATHS = re.compile(r"/_stcore/(metrics|agent)(/|$)")  # server metrics, and an unused API
MEDIA_PATH = re.compile(r"/media/")


def allows_checkpoints() -> bool:
    """True if browsers may upload checkpoints: on localhost unless the variable is "0", elsewhere only if it is "1"."""
    said = os.environ.get(CHECKPOINT_VARIABLE, "")
    return said == "1" or (said != "0" and st.get_option("server.address") in LOCAL_ADDRESSES)


class BoundedUploads(memory_uploaded_file_manager.MemoryUploadedFileManager):
    """Uploads in memory, limited per session and in total.

    Attributes:
        checkpoint_bytes: Maximum size of a checkpoint in bytes; 0 if none are allowed.
    """

    checkpoint_bytes = 0

    def add_file(self, session_id: str, file: UploadedFileRec) -> None:
        """Store a file and evict the oldest files of its session.

        Raises:
            HTTPException: If the session has ended, or the files of all sessions would exceed the memory limit.
        """
        if not get_instance().is_active_session(session_id):  # nothing would ever remove the file
            raise HTTPException(400, "The session has ended; reload the page.")
        own = self.file_storage.get(session_id, {})
        held = {key: len(each.data) for key, each in list(own.items()) if key != file.file_id}
        most = MAX_SESSION_BYTES + self.checkpoint_bytes - len(file.data)
        for oldest in list(held):
            if len(held) < MAX_STORED_UPLOADS and sum(held.values()) <= most:
                break
            self.remove_file(session_id, oldest)
            del held[oldest]
        free = MAX_STORED_BYTES + self.checkpoint_bytes - len(file.data)
        if self._total_bytes > free:
            for other in [each for each in self.file_storage if not get_instance().is_active_session(each)]:
                self.remove_session_files(other)
        if self._total_bytes > free:
            raise HTTPException(507, "The server is storing too many files; try again in a few minutes.")
        # Streamlit raises at every run if a name has an ending that its uploader does not take; the format is detected
        # from the content.
        super().add_file(session_id, file._replace(name=f"{file.name[-MAX_NAME_LENGTH:]}{ENDING}"))


class Door:
    """ASGI middleware that runs before Streamlit's own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.sockets: Counter[str] = Counter()  # open websockets, by IP address
        self.arriving = 0  # bytes
        self.uploads: Counter[str] = Counter()  # uploads in progress or waiting, by session
        self.turns: dict[str, asyncio.Semaphore] = {}  # of sessions with uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or reject a request."""
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        elif scope["type"] != "http":
            await self.app(scope, receive, send)
        elif CLOSED_PATHS.search(scope["path"]):
            await PlainTextResponse("Not found", 404)(scope, receive, send)
        elif scope["method"] == "PUT" and (upload := UPLOAD_PATH.search(scope["path"])):
            await self._upload(upload[1], scope, receive, send)
        else:
            await self.app(scope, receive, _with_headers(scope, send))

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        address, _ = scope.get("client") or ("", 0)
        if self.sockets.total() >= MAX_SOCKETS or self.sockets[address] >= MAX_SOCKETS_PER_ADDRESS:
            await send({"type": "websocket.close", "code": 1013})  # "try again later"
            return
        self.sockets[address] += 1
        try:
            await self.app(scope, _without_left_pages(receive), send)
        finally:
            self.sockets[address] -= 1
            self.sockets += Counter()  # drops addresses without websockets

    async def _upload(self, session: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Receive a file once it is its turn; reject it if too many wait or if it stalls."""
        if self.uploads[session] >= MAX_WAITING_UPLOADS:
            response = PlainTextResponse("Too many files are still uploading; wait until some have finished.", 429)
            await response(scope, receive, send)
            return
        self.uploads[session] += 1
        try:
            async with self.turns.setdefault(session, asyncio.Semaphore(MAX_ACTIVE_UPLOADS)):
                await self._receive(scope, receive, send)
        finally:
            self.uploads[session] -= 1
            if not self.uploads[session]:
                del self.uploads[session], self.turns[session]

    async def _receive(self, scope: Scope, receive: Receive, send: Send) -> None:
        size, end = 0, asyncio.get_running_loop().time() + MAX_DURATION

        async def bounded() -> Message:
            nonlocal size
            wait = min(MAX_SILENCE, end - asyncio.get_running_loop().time())
            try:
                message = await asyncio.wait_for(receive(), max(0.0, wait))
            except TimeoutError as error:
                raise HTTPException(408, "The upload stalled; try again on a faster connection.") from error
            size += len(message.get("body", b""))
            self.arriving += len(message.get("body", b""))
            if self.arriving > MAX_ARRIVING_BYTES + BoundedUploads.checkpoint_bytes:
                raise HTTPException(503, "Too many files are being uploaded; try again in a minute.")
            return message

        try:
            with contextlib.suppress(ClientDisconnect):  # an aborted upload is not a server error
                await self.app(scope, bounded, _with_headers(scope, send))
        finally:
            self.arriving -= size


def _without_left_pages(receive: Receive) -> Receive:
    """Drop reruns of a fragment that a browser sent from a page after it had asked for another one.

    Streamlit would run the fragment after the new page, answer with the old page's hash, and the browser would then
    empty the new page.
    """
    current, wanted = "", ""  # hashes of pages: the last one seen, and the one asked for until the browser shows it

    async def received() -> Message:
        nonlocal current, wanted
        while True:
            message = await receive()
            try:
                request = BackMsg.FromString(message.get("bytes") or b"")
            except Exception:  # malformed; Streamlit reports it
                return message
            page = request.rerun_script.page_script_hash
            if not page:
                return message
            if not request.rerun_script.fragment_id:
                wanted = "" if page == current else page
                current = page
            elif wanted not in ("", page):
                continue
            else:
                current, wanted = page, ""
            return message

    return received


def _with_headers(scope: Scope, send: Send) -> Send:
    """Add headers to a response: browsers must not guess content types, and proxies must not cache exports."""
    extra = [(b"x-content-type-options", b"nosniff")]
    if MEDIA_PATH.search(scope["path"]):
        extra.append((b"cache-control", b"no-store"))

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            names = {name for name, _ in extra}
            message["headers"] = [pair for pair in message["headers"] if pair[0].lower() not in names] + extra
        await send(message)

    return sent


@contextlib.asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """Stop the running jobs at shutdown, since torch aborts if the process exits during one; delete all batches."""
    del app
    yield
    if watch := sys.modules.get("attribution.ui.watch"):  # imported by the first session
        await asyncio.to_thread(watch.JOBS.close, SHUTDOWN_TIMEOUT)
    if batch := sys.modules.get("attribution.work.batch"):
        await asyncio.to_thread(batch.delete_all)


def set_readable_widgets(self: SessionState, widget_states: WidgetStates) -> None:
    """Store the widget states that a browser sent, except those that their widgets cannot parse.

    Streamlit stores a state before parsing it, so a malformed one would crash every later run of the session.
    """
    readable = WidgetStates(widgets=[each for each in widget_states.widgets if _is_readable(self, each)])
    if dropped := len(widget_states.widgets) - len(readable.widgets):
        logging.getLogger("attribution.door").warning("dropped %d unreadable widget states", dropped)
    _set_widgets(self, readable)


def _is_readable(session: SessionState, state: WidgetState) -> bool:
    """True if the state's widget exists in this session and can parse it."""
    metadata = session._new_widget_state.widget_metadata.get(state.id)
    if metadata is None:  # a widget of a page that this session has not opened
        return False
    kind = state.WhichOneof("value")
    if kind not in (None, metadata.value_type) and {kind, metadata.value_type} != NUMBER_KINDS:
        return False
    try:
        if kind == "json_value":  # sent by a component; Streamlit would log each malformed one
            dict(json.loads(state.json_value))
        metadata.deserializer(unpack_widget_state_value(state))
    except Exception:  # any failure means that the state is unusable
        return False
    return True


_set_widgets = SessionState.set_widgets_from_proto


def install(limit: int) -> list[Middleware]:
    """Limit what Streamlit stores; call before its server is created.

    Args:
        limit: Maximum upload size in bytes; uploads stay in memory and are never written to a temporary file.

    Returns:
        The middleware for `st.App`.
    """
    MultiPartParser.spool_max_size = 1 + limit
    BoundedUploads.checkpoint_bytes = limit if allows_checkpoints() else 0
    memory_uploaded_file_manager.MemoryUploadedFileManager = BoundedUploads  # type: ignore[misc]
    SessionState.set_widgets_from_proto = set_readable_widgets  # type: ignore[method-assign]
    # Streamlit has one limit for both directions; its server has already read it.
    assert hasattr(runtime_util, "_max_message_size_bytes")
    runtime_util._max_message_size_bytes = MAX_SENT_BYTES
    return [Middleware(Door)]
