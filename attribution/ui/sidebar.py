"""The sidebar that all pages share: it chooses everything that defines an analysis."""

from dataclasses import dataclass

import streamlit as st
from PIL import Image

from attribution.methods import METHODS
from attribution.methods.method import GROUPS, Method
from attribution.models import DEFAULT, MODELS
from attribution.models.record import Facts
from attribution.network.device import available_devices
from attribution.photo.decode import MAX_BYTES, open_image
from attribution.photo.preprocessing import Preprocessing
from attribution.photo.samples import FIRST, SAMPLES, open_sample, sample_title
from attribution.refusal import Refusal
from attribution.settings import described
from attribution.targets.target import SCORES, Score, Target
from attribution.ui.crop.crop import show_crop
from attribution.ui.forms import ask, held, reset
from attribution.work.analysis import Analysis, estimate
from attribution.work.cache import DECODED, Recent

SLOW = 2  # seconds from which on the picker tells them
_photos: Recent[Image.Image | Refusal] = Recent("photos", DECODED)
OPEN = -1  # stands for the predicted class, or for all other classes
MEANINGS: dict[Score, str] = {
    "probability": "Probability p: the softmax output, in [0, 1]. It saturates where the network is sure.",
    "log_odds": "Log-odds: log p / (1 - p), in nats. The same question, but it never saturates.",
    "logit": "Logit z: the class's own output before softmax. It also holds what all classes share.",
}
MEANINGS_VERSUS: dict[Score, str] = {
    "probability": "Probability p of the target if these two classes were the only ones: sigmoid(z1 - z2).",
    "log_odds": "Log-odds between the two classes, in nats: the difference of their logits, z1 - z2.",
    "logit": "The difference of the two logits, z1 - z2; the same as their log-odds.",
}


@dataclass(frozen=True, eq=False)
class Photo:
    """The photo of this session: what identifies it, its name for people, and its pixels."""

    name: str
    title: str
    image: Image.Image


@dataclass(frozen=True)
class _Upload:
    """What a session holds of its upload: when it lets go of this, the photo is gone, too."""

    name: str


def choose() -> tuple[Analysis | str, tuple[Method, ...]]:
    """Show the sidebar.

    Returns:
        The analysis that is chosen, or a sentence that says what is missing; and the methods.
    """
    _defaults()
    refusal = ""
    with st.sidebar:
        try:
            photo = _photo()
        except Refusal as refused:  # what stands below is shown all the same, and keeps its values
            photo, refusal = None, str(refused)
            st.caption(refusal)  # here, too: on a phone the sidebar covers the page
        under_photo = st.container()
        facts = _model()
        if photo:
            with under_photo:
                across, down = _crop(photo, facts.preprocessing)
        device = _device()
        target = _target(facts.classes)
        methods = _methods()
    if photo is None:
        return refusal or "There is no photo yet; choose one in the sidebar.", methods
    if isinstance(target, str):
        return target, methods
    left, top, right, bottom = facts.preprocessing.box(photo.image, across, down)
    full = (max(1, round(bottom - top)), max(1, round(right - left)))
    x = facts.preprocessing.prepare(photo.image, across, down)
    return Analysis(x, full, photo.title, st.session_state.model, device, target, methods), methods


def _defaults() -> None:
    """What the widgets show that nobody has touched and no link has set."""
    usual = {
        "source": "Samples",
        "sample": FIRST,
        "across": 50,
        "down": 50,
        "model": DEFAULT,
        "target": OPEN,
        "versus": OPEN,
        "score": SCORES[0],
        "methods": [key for key, method in METHODS.items() if method.chosen],
    }
    for key, value in usual.items():
        st.session_state.setdefault(key, value)


def _photo() -> Photo | None:
    sources = ("Samples", "Upload", "Camera")
    source = st.segmented_control("Photo", sources, required=True, key="source", width="stretch", on_change=_centre)
    if source == "Samples":
        _let_go()
        name = st.selectbox(
            "Sample photo",
            list(SAMPLES),
            format_func=sample_title,
            key="sample",
            label_visibility="collapsed",
            on_change=_centre,
        )
        return Photo(name, sample_title(name), open_sample(name))
    if source == "Upload":
        upload = st.file_uploader(
            "Upload a photo",
            type=["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff", "heic", "heif"],
            max_upload_size=MAX_BYTES // 1_000_000,
            key="upload",
            help="At most 30 MB and 40 megapixels. It is kept in the memory of this server only; small copies and maps "
            "stay there until newer ones replace them.",
            on_change=_centre,
        )
    else:
        upload = st.camera_input("Take a photo", key="camera", on_change=_centre)
    if not upload:
        _let_go()
        return None
    title = "Your photo" if source == "Upload" else "Your picture"
    return Photo(upload.file_id, title, _decoded(upload.file_id, upload.getvalue()))


def _decoded(name: str, data: bytes) -> Image.Image:
    """An upload, decoded once; again where others took its place in the meantime."""
    state = st.session_state
    if "upload_held" not in state or state.upload_held.name != name:
        state.upload_held = _Upload(name)
        _photos.drop_with(state.upload_held, name)
    if (found := _photos.get(name)) is None:
        try:
            found = open_image(data)
        except Refusal as refusal:  # remembered, too: to refuse can take as long as to decode
            found = Refusal(str(refusal))
        _photos.put(name, found)
    if isinstance(found, Refusal):
        raise Refusal(str(found))
    return found


def _let_go() -> None:
    """Nothing is kept of an upload that was taken away."""
    st.session_state.pop("upload_held", None)


def _crop(photo: Photo, preprocessing: Preprocessing) -> tuple[float, float]:
    """Where the square lies that the network sees; it can be moved on the photo."""
    state = st.session_state
    across, down = state.across / 100, state.down / 100
    show_crop(photo.image, photo.name, preprocessing, across, down, _move)
    st.caption("The network sees the square; drag it to move it.")
    return across, down


def _move(across: float, down: float) -> None:
    st.session_state.across, st.session_state.down = round(100 * across), round(100 * down)


def _centre() -> None:
    """Another photo is seen from its middle, but not the one that a link asked for."""
    if not st.session_state.pop("keep_crop", False):
        _move(0.5, 0.5)


def _model() -> Facts:
    def label(key: str) -> str:
        return key if MODELS[key].embedded else f"{key} (download)"

    name = st.selectbox("Model", list(MODELS), format_func=label, key="model")
    facts = MODELS[name].facts()
    size = "no download" if MODELS[name].embedded else f"{facts.download:.0f} MB to download once"
    st.caption(f"{facts.top1:.1f} % top-1 on ImageNet, {size}. Licence: {facts.licence}.")
    return facts


def _device() -> str:
    devices = available_devices()
    if len(devices) == 1:
        st.session_state.device = devices[0]
        return devices[0]
    return st.selectbox("Device", devices, key="device", help="Where the network runs; the first is the fastest.")


def _target(classes: tuple[str, ...]) -> Target | str:
    """The class and the score, or a sentence that says why they cannot be."""

    def label(index: int) -> str:
        return "Predicted class" if index == OPEN else f"{classes[index]} ({index})"

    def other(index: int) -> str:
        return "all other classes" if index == OPEN else label(index)

    options = [OPEN, *range(len(classes))]
    hint = "Type to find a class of the list, or click a bar of the predictions."
    index = st.selectbox("Target class", options, format_func=label, key="target", help=hint)
    versus = st.selectbox(
        "Against", options, format_func=other, key="versus", help="A second class: why the target and not this one."
    )
    score = (
        st.segmented_control(
            "Score",
            SCORES,
            required=True,
            format_func=lambda score: score.replace("_", "-").capitalize(),
            key="score",
            width="stretch",
        )
        or SCORES[0]
    )
    st.caption((MEANINGS if versus == OPEN else MEANINGS_VERSUS)[score])
    if index == versus != OPEN:
        return f"{classes[index]} cannot be compared with itself; choose another second class."
    return Target(None if index == OPEN else index, score, None if versus == OPEN else versus)


def _methods() -> tuple[Method, ...]:
    first = [key for key, method in METHODS.items() if method.chosen]
    keys = _pick("Methods", first)
    rest = [key for key in METHODS if key not in first]
    with st.expander("More methods", expanded=any(key in rest for key in keys)):
        for group in GROUPS:
            if offered := [key for key in rest if METHODS[key].group == group]:
                keys = _pick(group.capitalize(), offered)
    st.toggle(
        "Compute automatically",
        value=True,
        key="automatic",
        help="Off: a change waits until you press Compute. For slow models.",
    )
    return tuple(_settings(METHODS[key]) for key in METHODS if key in keys)


def _pick(label: str, offered: list[str]) -> list[str]:
    """Let people choose some of the methods on offer.

    Returns:
        All methods that are chosen, of this offer or another.
    """
    state = st.session_state
    place = f"methods-{label}"

    def choose() -> None:
        kept = [key for key in state.methods if key not in offered]
        state.methods = [key for key in METHODS if key in state[place] or key in kept]

    state[place] = [key for key in state.methods if key in offered]
    st.pills(
        label,
        offered,
        selection_mode="multi",
        format_func=lambda key: METHODS[key].title,
        key=place,
        on_change=choose,
    )
    methods = [held(METHODS[key], key, state) for key in offered]  # type: ignore[arg-type]
    seconds = {method.title: estimate(method, state.model, state.device) or 0.0 for method in methods}
    if slow := [f"{title} about {each:.0f} s" for title, each in seconds.items() if each >= SLOW]:
        st.caption(f"{', '.join(slow)}.")  # a label that changes would lose clicks
    chosen: list[str] = state.methods
    return chosen


def _settings(method: type[Method]) -> Method:
    if described(method):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(f"**{method.title}**")
            st.button("Reset", key=f"reset-{method.key}", on_click=reset, args=(method, method.key), type="tertiary")
    return ask(method, method.key)
