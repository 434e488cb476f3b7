"""The share button and its dialog: the link, its QR code, and for a day the photo; and messages about a link."""

import hashlib
import io
from dataclasses import replace
from urllib.parse import urlsplit, urlunsplit

import segno
import streamlit as st

from attribution.analysis import Analysis
from attribution.drawing.view import View
from attribution.refusal import Refusal
from attribution.settings import plain
from attribution.ui import panels
from attribution.ui.address import MISSING_PHOTO_NOTE, UPLOAD_SOURCES, parameter, query
from attribution.ui.error_card import error_card
from attribution.ui.photo import SHARED_PREFIX
from attribution.ui.pictures import GROUP
from attribution.ui.session import address, session
from attribution.viewer.message import WHOLE_WINDOW, Window, pack_copy, pack_link
from attribution.work.shared import SHARED_PHOTOS, Preparations, shares_photos

INCLUDE_KEY = "share-photo"
MAX_SHARES = 10  # photos of one session
UPLOAD_NOTE = "The link does not contain your photo."
LOCAL_NOTE = "The link works on this machine only; to share it in your network, start with make run SHARE=1."
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


def show_link(analysis: Analysis, page: str) -> None:
    """Show the button.

    Args:
        analysis: The analysis chosen in the sidebar.
        page: URL path of the open page.
    """
    state = session()
    asks_tab = (analysis.photo in UPLOAD_SOURCES or state.settled > 1) and not state.tab
    packed = pack_link(GROUP, state.view, state.window, query(analysis), page, state.restorations, asks_tab)
    panels.show(packed, "link")
    if state.share and not (state.export or state.adding):  # Streamlit shows one dialog at a time
        _dialog(analysis, *state.share)


def show_sentences() -> None:
    """Show the messages about the link until they are closed; as plain text, since they quote untrusted input."""
    state = session()
    if MISSING_PHOTO_NOTE in state.sentences and not isinstance(state.analysis, str):  # a photo has been added
        state.sentences.remove(MISSING_PHOTO_NOTE)
    if not state.sentences:
        return
    with st.container(border=True, key="link-sentences"):
        for sentence in state.sentences:
            st.text(sentence)
        st.button("Close", key="close-sentences", on_click=state.sentences.clear)


def _close() -> None:
    session().share = None


@st.dialog("Share", on_dismiss=_close)
@error_card()
def _dialog(analysis: Analysis, view: View, window: Window) -> None:
    first = st.container()  # above the choice that determines it
    if analysis.photo in UPLOAD_SOURCES:
        analysis = _with_photo(analysis)
    link = _link(analysis, view, window)
    with first:
        panels.show(pack_copy(link), "share-link")
        if analysis.photo in UPLOAD_SOURCES:
            st.caption(UPLOAD_NOTE)
        if urlsplit(link).hostname in LOCAL_NAMES:
            st.caption(LOCAL_NOTE)
    _show_code(link)


def _with_photo(analysis: Analysis) -> Analysis:
    """Show the choice of including the photo, and return the analysis that the link contains."""
    crops = session().crops
    if not (crops and shares_photos()):
        return analysis
    asked = st.checkbox("Include the photo for 24 hours", key=INCLUDE_KEY)
    st.caption(
        "Only the crop that the network sees is kept, in this server's memory. Whoever has the link sees it, until you "
        "delete it or 24 hours have passed."
    )
    if asked:
        try:
            analysis = replace(analysis, photo=f"{SHARED_PREFIX}{_shared(crops)}")
        except Refusal as refusal:
            st.text(str(refusal))
    shares = session().shares
    if shares:
        if not asked:
            st.caption("The photo is still on this server: links that contain it open it until you delete it.")
        name = "the shared photo" if len(shares) == 1 else f"your {len(shares)} shared photos"
        st.button(f"Delete {name}", key="delete-shared", on_click=_delete)
    return analysis


def _shared(crops: Preparations) -> str:
    """Return the name of the stored photo; store it if this session has not."""
    shares = session().shares
    parts = [part for steps, crop in crops.items() for part in (repr(steps).encode(), crop.x.numpy().tobytes())]
    content = hashlib.sha256(b"".join(parts)).hexdigest()
    if content not in shares or SHARED_PHOTOS.get(shares[content]) is None:
        if len(shares) >= MAX_SHARES:
            raise Refusal(
                f"You already share {len(shares)} photos, the limit; delete them, or share without the photo."
            )
        shares[content] = SHARED_PHOTOS.put(crops, address())
    return shares[content]


def _delete() -> None:
    for name in session().shares.values():
        SHARED_PHOTOS.drop(name)
    session().shares.clear()
    st.session_state[INCLUDE_KEY] = False


def _link(analysis: Analysis, view: View, window: Window) -> str:
    usual = plain(View())
    parts = {name: value for name, value in plain(view).items() if value != usual[name]}
    texts = {name: f"{value:.12g}" if isinstance(value, float) else str(value) for name, value in parts.items()}
    if window != WHOLE_WINDOW:
        texts["zoom"] = ",".join(f"{share:.12g}" for share in window)
    shown = [parameter(name, text) for name, text in texts.items()]
    page = urlsplit(st.context.url or "")
    return urlunsplit(page._replace(path=page.path or "/", query="&".join(filter(None, [query(analysis), *shown]))))


def _show_code(link: str) -> None:
    """Show the QR code, black on white in both themes, with the margin that scanners need."""
    try:
        code = segno.make(link, micro=False)
    except segno.DataOverflowError:
        st.caption("The link is too long for a QR code.")
        return
    file = io.BytesIO()
    code.save(file, kind="svg", border=4, light="white", omitsize=True)
    st.image(file.getvalue().decode(), width="stretch", alt="QR code of the link")
