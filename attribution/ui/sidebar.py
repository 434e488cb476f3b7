"""The sidebar that all pages share: it chooses everything that defines an analysis."""

from pathlib import Path

import streamlit as st
from PIL import Image, ImageDraw

from attribution.images import MAX_BYTES, open_image
from attribution.methods import METHODS
from attribution.methods.method import Method
from attribution.model import Preprocessing, available_devices
from attribution.models import DEFAULT, MODELS
from attribution.models.record import Facts
from attribution.refusal import Refusal
from attribution.settings import described
from attribution.target import SCORES, Score, Target
from attribution.ui.analysis import Analysis
from attribution.ui.forms import ask, reset

SAMPLES = {path.stem: path for path in sorted((Path(__file__).parents[2] / "assets" / "samples").glob("*.jpg"))}
FIRST = "german_shepherd_on_grass"
THUMBNAIL = 480  # pixels of the original's longer side, where the crop is shown
MEANINGS: dict[Score, str] = {
    "probability": "Probability: the softmax output, in [0, 1]. It saturates where the network is sure.",
    "log_odds": "Log-odds: log p / (1 - p), in nats. The same question, but it never saturates.",
    "logit": "Logit: the class's own output before softmax. It also holds what all classes share.",
}


def choose() -> Analysis | str:
    """Show the sidebar.

    Returns:
        The analysis that is chosen, or a sentence that says what is missing.
    """
    with st.sidebar:
        try:
            image = _photo()
            under_photo = st.container()
            facts = _model()
            if image:
                with under_photo:
                    across, down = _crop(image, facts.preprocessing)
            device = _device()
            target = _target(facts.classes)
            methods = _methods()
        except Refusal as refusal:
            return str(refusal)
    if image is None:
        return "There is no photo yet; choose one in the sidebar."
    left, top, right, bottom = facts.preprocessing.box(image, across, down)
    full = (max(1, round(bottom - top)), max(1, round(right - left)))
    x = facts.preprocessing.prepare(image, across, down)
    state = st.session_state
    photo = (
        sample_title(state.sample)
        if state.source == "Samples"
        else {"Upload": "your photo", "Camera": "your picture"}[state.source]
    )
    return Analysis(x, full, photo, state.model, device, target, methods)


def sample_title(name: str) -> str:
    """The name of a sample photo, for people."""
    return name.replace("_", " ").capitalize()


def _photo() -> Image.Image | None:
    sources = ("Samples", "Upload", "Camera")
    source = st.segmented_control("Photo", sources, default="Samples", required=True, key="source", width="stretch")
    if source == "Samples":
        names = list(SAMPLES)
        name = st.selectbox(
            "Sample photo",
            names,
            names.index(FIRST),
            format_func=sample_title,
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
            help="At most 30 MB and 50 megapixels. It stays on this server, in memory, while the page is open.",
        )
    else:
        upload = st.camera_input("Take a photo", key="camera")
    return _decoded(upload.file_id, upload.getvalue()) if upload else None


def _decoded(name: str, data: bytes) -> Image.Image:
    """The photo of this session, decoded once."""
    state = st.session_state
    if state.get("decoded", ("", None))[0] != name:
        state.decoded = ("", None)
        state.decoded = (name, open_image(data))
    image: Image.Image = state.decoded[1]
    return image


@st.cache_data(max_entries=len(SAMPLES), show_spinner=False)
def _sample(name: str) -> Image.Image:
    return open_image(SAMPLES[name])


def _crop(image: Image.Image, preprocessing: Preprocessing) -> tuple[float, float]:
    """Let the square be moved, and show it on the photo; what the network does not see is dimmed."""
    picture = st.container()
    with st.expander("Move the crop"):
        across = st.slider("Across", 0, 100, 50, format="%d%%", key="across") / 100
        down = st.slider("Down", 0, 100, 50, format="%d%%", key="down") / 100
    small = image.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    box = [round(side) for side in preprocessing.box(small, across, down)]
    shown = Image.blend(small, Image.new("RGB", small.size, "grey"), 0.7)
    shown.paste(small.crop((box[0], box[1], box[2], box[3])), (box[0], box[1]))
    ImageDraw.Draw(shown).rectangle((box[0], box[1], max(box[0], box[2] - 1), max(box[1], box[3] - 1)), outline="white")
    picture.image(shown, width="stretch", alt="The photo; the square that the network sees is framed, the rest dimmed")
    return across, down


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

    def other(index: int | None) -> str:
        return "all other classes" if index is None else label(index)

    options = [None, *range(len(classes))]
    hint = "Type to find a class of the list, or click a bar of the predictions."
    index = st.selectbox("Target class", options, format_func=label, key="target", help=hint)
    versus = st.selectbox(
        "Against", options, format_func=other, key="versus", help="A second class: why the target and not this one."
    )
    score = st.segmented_control(
        "Score",
        SCORES,
        default="probability",
        required=True,
        format_func=lambda score: score.replace("_", "-").capitalize(),
        key="score",
        width="stretch",
    )
    st.caption(MEANINGS[score])
    return Target(index, score, versus)


def _methods() -> tuple[Method, ...]:
    keys = st.pills(
        "Methods",
        list(METHODS),
        selection_mode="multi",
        default=[key for key, method in METHODS.items() if method.chosen],
        format_func=lambda key: METHODS[key].title,
        key="methods",
    )
    st.toggle(
        "Compute automatically",
        value=True,
        key="automatic",
        help="Off: a change waits until you press Compute. For slow models.",
    )
    return tuple(_settings(METHODS[key]) for key in METHODS if key in keys)


def _settings(method: type[Method]) -> Method:
    if described(method):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(f"**{method.title}**")
            st.button("Reset", key=f"reset-{method.key}", on_click=reset, args=(method.key,), type="tertiary")
    return ask(method, method.key)
