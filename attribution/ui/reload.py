"""The upload of a tab, which is found again after a reload and after Back.

Streamlit stores the files of a session in the server's memory until it discards the session, some minutes after its
browser has left; `BoundedUploads` in door.py limits them. A reload makes a new session, which takes over the files of
the earlier one if its browser knows that one's random number. Links do not contain the number.
"""

import uuid
from typing import Any

import streamlit as st
from starlette.exceptions import HTTPException
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from attribution.ui.session import earlier, session


def keep(source: str, file: Any) -> bytes | None:
    """Remember the file of an uploader, and return its content.

    Args:
        source: Name of the source of the photo.
        file: The uploader's value; None if it is empty, such as after a reload.

    Returns:
        The encoded file; None if there is none. Without a value, the remembered file if it is still stored.
    """
    files = session().files
    if file:
        files[source] = file.file_id
        return bytes(file.getvalue())
    context = get_script_run_ctx()
    if not context or source not in files:
        return None
    stored = context.uploaded_file_mgr.get_files(context.session_id, [files[source]])
    if not stored:
        del files[source]
        return None
    st.button("Remove the photo", key="remove-photo", on_click=remove, args=(source,))
    return stored[0].data


def remove(source: str) -> None:
    """Delete the file of a source from the server's memory, such as when the uploader has another."""
    if (context := get_script_run_ctx()) and (file := session().files.pop(source, None)):
        manager: Any = context.uploaded_file_mgr
        manager.remove_file(context.session_id, file)


def uploader_key(key: str) -> str:
    """Return the widget key of an uploader, which is another one each time that it has been emptied."""
    count = session().uploaders.get(key, 0)
    return f"{key}-{count}" if count else key


def empty(key: str) -> None:
    """Empty an uploader: its files are forgotten by the page; those in the server's memory are not removed."""
    session().uploaders[key] = session().uploaders.get(key, 0) + 1


def put(source: str, content: bytes) -> None:
    """Store a file as if it had been uploaded for a source, in place of the earlier one.

    Raises:
        HTTPException: If the server's memory for uploads is full.
    """
    if context := get_script_run_ctx():
        remove(source)
        empty(source.lower())
        file = UploadedFileRec(uuid.uuid4().hex, "photo.png", "image/png", content)
        manager: Any = context.uploaded_file_mgr
        manager.add_file(context.session_id, file)
        session().files[source] = file.file_id


def claim(tab: str) -> None:
    """Take over the files of the tab's earlier sessions, and set the number of this session's tab."""
    state, context = session(), get_script_run_ctx()
    state.tab = tab
    if context is None:
        return
    manager: Any = context.uploaded_file_mgr
    for other in earlier(tab):
        for source, file in other.files.items():
            stored = manager.get_files(other.server_id, [file])
            if stored and source not in state.files:
                manager.remove_file(other.server_id, file)  # first, since the total is limited
                try:
                    manager.add_file(context.session_id, stored[0])
                    state.files[source] = file
                except HTTPException:
                    state.sentences.append("The server's memory for photos is full; upload yours again.")
        state.shares |= other.shares  # to delete them
        state.sent, state.batch = state.sent or other.sent, state.batch or other.batch
