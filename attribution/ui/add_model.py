"""The dialogs that add a model to the picker: a checkpoint of one's own, or one of timm's pretrained networks."""

from typing import Any

import streamlit as st
from streamlit.runtime import get_instance

from attribution.models import find
from attribution.models.architecture import read_architecture, timm_names, torchvision_names
from attribution.models.own import Checkpoint
from attribution.models.record import ModelRecord
from attribution.models.timm_hub import PREFIX, pretrained_names
from attribution.refusal import Refusal
from attribution.targets.target import OUTPUTS
from attribution.ui.error_card import error_card
from attribution.ui.session import session
from attribution.work.own import add

CONFIGURATION = "Hugging Face: config.json"
CLOSED = (
    "This server accepts no checkpoints from browsers. Run the dashboard on your own machine with make run, or set "
    "ATTRIBUTION_ALLOW_CHECKPOINTS=1 where it is started."
)


def offer_models(allows_checkpoints: bool) -> None:
    """Show the dialog that is open, if one is.

    Args:
        allows_checkpoints: True if browsers may upload checkpoints.
    """
    if session().adding == "own":
        _own(allows_checkpoints)
    elif session().adding == "timm":
        _timm()


def _close() -> None:
    session().adding = ""


def _choose(record: ModelRecord) -> None:
    """Add a model to the picker, choose it and close the dialog."""
    state = session()
    state.models[record.key] = record
    state.added, state.adding = record.key, ""
    st.rerun()


@st.dialog("A pretrained network from timm", on_dismiss=_close)
@error_card()
def _timm() -> None:
    with st.spinner("Reading timm's list."):
        names = pretrained_names()
    name = st.selectbox(f"Network ({len(names):,})", names, index=None, placeholder="Type to search", key="timm-name")
    if not name:
        return
    try:
        with st.spinner("Reading its facts."):
            record = find(f"{PREFIX}{name}")
            facts = record.facts()
    except Refusal as refusal:
        st.text(str(refusal))
        return
    height, width = facts.preprocessing.size
    st.caption(
        f"{len(facts.classes):,} classes, {height} x {width} pixels, {facts.size:.0f} MB download on first use. "
        f"Licence: {facts.licence or 'not stated'}."
    )
    if st.button("Use this network", type="primary"):
        _choose(record)


@st.dialog("Your own network", on_dismiss=_close)
@error_card()
def _own(allows_checkpoints: bool) -> None:
    if not allows_checkpoints:
        st.text(CLOSED)
        return
    with st.spinner("Reading the lists of timm and torchvision."):
        names = [f"torchvision/{name}" for name in torchvision_names()] + [f"timm/{name}" for name in timm_names()]
    state = st.session_state
    chosen = st.selectbox(
        "Architecture",
        [*names, CONFIGURATION],
        index=None,
        placeholder="Type to search, such as torchvision/resnet18",
        key="own-architecture",
        on_change=lambda: _prefill(state["own-architecture"]),
        help="What your network was made with: torchvision.models, timm.create_model, or transformers. The library "
        "also determines how photos are resized.",
    )
    if chosen == CONFIGURATION:
        file = st.file_uploader("config.json, as saved beside the weights", key="own-config")
        chosen = file.getvalue().decode(errors="replace") if file else None
    checkpoint = st.file_uploader(
        "Checkpoint",
        key="own-checkpoint",
        help="Safetensors, or what torch.save(net.state_dict(), ...) wrote, also inside a dictionary. Kept in this "
        "server's memory only. Nothing in it is executed.",
    )
    output = st.selectbox(
        "Output", list(OUTPUTS), format_func=lambda key: OUTPUTS[key].title.capitalize(), key="own-output"
    )
    classes = st.text_area(
        "Names", key="own-classes", placeholder="One per line", help="One per line, or JSON. Empty: numbers."
    )
    unit = st.text_input("Unit", key="own-unit") if not OUTPUTS[output].has_shares else ""
    side, mean, std = st.columns([1, 2, 2])
    size = side.number_input("Size", 0, 1024, key="own-size", help="Pixels of a side. 0: the architecture's.")
    settings = {
        "mean": mean.text_input("Mean", key="own-mean", help="Per channel, for pixels from 0 to 1."),
        "std": std.text_input("Std", key="own-std", help="Per channel."),
        "name": st.text_input("Name", key="own-name", placeholder="The architecture's"),
    }
    refused = st.container()  # above the button, so that it is seen
    if not (chosen and checkpoint):
        st.caption("Choose an architecture and a checkpoint.")
    added = st.button("Add", type="primary", disabled=not (chosen and checkpoint))
    if not (added and chosen and checkpoint):
        return
    try:
        with st.spinner("Reading the checkpoint."):
            described = Checkpoint("", chosen, classes, output, unit, size, **settings)
            record = add(described, checkpoint.getvalue())
    except Refusal as refusal:
        with refused, st.container(border=True):
            st.text(str(refusal))
        return
    uploads: Any = get_instance().uploaded_file_mgr
    uploads.remove_file(session().server_id, checkpoint.file_id)  # the network is kept instead
    _choose(record)


def _prefill(architecture: str | None) -> None:
    """Set size, mean and std to those that an architecture is usually trained with."""
    st.session_state.update({"own-size": 0, "own-mean": "", "own-std": ""})
    try:
        usual = read_architecture(architecture or "").preprocessing()
    except Refusal:  # of no architecture, or of a configuration that is still to be uploaded
        return
    texts = {"mean": usual.mean, "std": usual.std}
    st.session_state.update({f"own-{name}": ", ".join(map(repr, value)) for name, value in texts.items()})
    st.session_state["own-size"] = usual.size[0]
