"""The sidebar that all pages share: it chooses everything that defines an analysis."""

from pathlib import Path

import streamlit as st
from PIL import Image

from attribution.images import MAX_BYTES, open_image
from attribution.methods import METHODS
from attribution.methods.method import Method
from attribution.model import available_devices
from attribution.models import DEFAULT, MODELS
from attribution.models.record import Facts
from attribution.refusal import Refusal
from attribution.settings import described
from attribution.target import Target
from attribution.ui.analysis import Analysis
from attribution.ui.forms import ask

SAMPLES = {path.stem: path for path in sorted((Path(__file__).parents[2] / "assets" / "samples").glob("*.jpg"))}
FIRST = "german_shepherd_on_grass"


def choose() -> Analysis | str:
    """Show the sidebar.

    Returns:
        The analysis that is chosen, or a sentence that says what is missing.
    """
    with st.sidebar:
        try:
            image = _photo()
            facts = _model()
            x = facts.preprocessing.prepare(image) if image else None
            device = _device()
            target = _target(facts.classes)
            methods = _methods()
        except Refusal as refusal:
            return str(refusal)
    if x is None:
        return "Choose a photo in the sidebar, or take one."
    if not methods:
        return "Choose at least one method in the sidebar."
    return Analysis(x, st.session_state.model, device, target, methods)


def _photo() -> Image.Image | None:
    sources = ("Samples", "Upload", "Camera")
    source = st.segmented_control("Photo", sources, default="Samples", required=True, key="source", width="stretch")
    if source == "Samples":
        names = list(SAMPLES)
        name = st.selectbox(
            "Sample photo",
            names,
            names.index(FIRST),
            format_func=lambda name: name.replace("_", " ").capitalize(),
            key="sample",
            label_visibility="collapsed",
        )
        return _sample(name)
    if source == "Upload":
        upload = st.file_uploader(
            "Upload a photo",
            type=["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"],
            max_upload_size=MAX_BYTES // 1_000_000,
            key="upload",
            help="It stays on this server, in memory, while the page is open.",
        )
    else:
        upload = st.camera_input("Take a photo", key="camera")
    return open_image(upload.getvalue()) if upload else None


@st.cache_data(max_entries=len(SAMPLES), show_spinner=False)
def _sample(name: str) -> Image.Image:
    return open_image(SAMPLES[name])


def _model() -> Facts:
    def label(key: str) -> str:
        return key if MODELS[key].embedded else f"{key} (download)"

    name = st.selectbox("Model", list(MODELS), list(MODELS).index(DEFAULT), format_func=label, key="model")
    facts = MODELS[name].facts()
    size = "no download" if MODELS[name].embedded else f"{facts.download:.0f} MB to download once"
    st.caption(f"{facts.top1:.1f} % top-1 on ImageNet, {size}. Licence: {facts.licence}.")
    return facts


def _device() -> str:
    devices = available_devices()
    if len(devices) == 1:
        return devices[0]
    return st.selectbox("Device", devices, key="device", help="Where the network runs; the first is the fastest.")


def _target(classes: tuple[str, ...]) -> Target:
    def label(index: int | None) -> str:
        return "Predicted class" if index is None else f"{classes[index]} ({index})"

    index = st.selectbox(
        "Target class",
        [None, *range(len(classes))],
        format_func=label,
        key="target",
        help="The class whose probability is explained. Type to find one of the list.",
    )
    return Target(index)


def _methods() -> tuple[Method, ...]:
    keys = st.pills(
        "Methods",
        list(METHODS),
        selection_mode="multi",
        default=[key for key, method in METHODS.items() if method.chosen],
        format_func=lambda key: METHODS[key].title,
        key="methods",
    )
    methods = []
    for key in METHODS:
        if key in keys:
            if described(METHODS[key]):
                st.markdown(f"**{METHODS[key].title}**")
            methods.append(ask(METHODS[key], key))
    return tuple(methods)
