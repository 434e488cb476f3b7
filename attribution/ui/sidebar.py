"""The sidebar, shared by all pages: every choice that defines an analysis."""

from collections.abc import Container, Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from attribution.analysis import MAX_ALSO, MAX_BESIDE, Analysis
from attribution.methods import METHODS, read_method
from attribution.methods.method import GROUPS, Method
from attribution.models.record import Facts, ModelRecord
from attribution.network.device import available_devices
from attribution.photo.crop import FIT, MIN_SIZE
from attribution.photo.samples import DEFAULT_SAMPLE, SAMPLES
from attribution.refusal import Refusal, Remedy
from attribution.settings import described
from attribution.targets.target import SCORES
from attribution.ui.class_box.class_box import ClassBox, show_class_boxes
from attribution.ui.forms import ask, fill, held, reset
from attribution.ui.models import offered as offered_models
from attribution.ui.photo import (
    OWN_SIZE,
    SHARED_PREFIX,
    Photo,
    choose_photo,
    chosen_crop,
    edit_crop,
    photo_name,
    saved_size,
    sources,
)
from attribution.ui.session import session
from attribution.viewer.message import WHOLE_FRAME, common_frames
from attribution.work.analysis import PreparedAnalysis, estimate, layers

MIN_SHOWN_SECONDS = 2  # shortest estimate, in seconds per map, that the method picker shows
DIALOGS = {"own": "Your own...", "timm": "timm..."}  # dialogs that add a model
OPEN_CLASS = -1  # index for "Predicted class" and "All other classes"


def choose() -> tuple[Analysis, PreparedAnalysis | str]:
    """Show the sidebar.

    Returns:
        The chosen analysis; and the same with its photo, ready to compute, or a message naming what is missing.
    """
    if session().added:
        st.session_state.model, session().added = session().added, ""
    _mend()
    state = st.session_state
    refusal = "No photo yet; choose one in the sidebar."
    with st.sidebar:
        try:
            photo = choose_photo()
        except Refusal as refused:  # the rest of the sidebar is still shown and keeps its values
            photo, refusal = None, str(refused)
            st.caption(refusal)  # also here, since the sidebar covers the page on a phone
        under_photo = st.container()
        record = _model()
        facts = record.facts()
        classes = range(OPEN_CLASS, len(facts.classes))
        _keep("target", classes, OPEN_CLASS)
        _keep("versus", classes if facts.output.compares else (), OPEN_CLASS)
        _keep("score", facts.output.scores, facts.output.scores[0])
        if session().classes not in ((), facts.classes):  # further classes of another model mean something else
            state.also = []
        session().classes = facts.classes
        if photo and not photo.crops:
            with under_photo:
                edit_crop(photo, facts.preprocessing)
        others = _beside(record)
        device = _device()
        also = _target(facts)
        methods = _methods(record)
    analysis = Analysis(
        photo=photo_name(),
        crop=chosen_crop(),
        model=state.model,
        target=None if state.target == OPEN_CLASS else state.target,
        versus=None if state.versus == OPEN_CLASS else state.versus,
        score=state.score,
        methods=methods,
        beside=tuple(other.key for other in others),
        also=also,
    )
    session().automatic = state.automatic
    if photo is None:
        session().crops = {}
        return analysis, refusal
    try:
        return analysis, _prepared(analysis, [record, *others], photo, device)
    except Refusal as refused:
        return analysis, str(refused)


def _prepared(analysis: Analysis, records: Sequence[ModelRecord], photo: Photo, device: str) -> PreparedAnalysis:
    """Return an analysis with the photo as each of the models sees it; the first is the analysis's own."""
    crop = analysis.crop.shares
    steps = [record.facts().preprocessing for record in records]
    known = session().crops if session().cropped == (photo.name, crop) else {}
    crops = [known.get(each) or photo.crop(each, *crop) for each in steps]
    frames = common_frames([seen.box for seen in crops]) if len(crops) > 1 else [WHOLE_FRAME]
    session().crops, session().cropped = dict(zip(steps, crops, strict=True)), (photo.name, crop)
    first, *others = (
        PreparedAnalysis(
            replace(analysis, model=record.key, beside=(), also=()),
            record,
            seen.x,
            saved_size(seen.box),
            photo.title,
            device,
            frame,
        )
        for record, seen, frame in zip(records, crops, frames, strict=True)
    )
    return replace(first, analysis=analysis, beside=tuple(others))


def fill_sidebar(analysis: Analysis) -> None:
    """Set the sidebar's widgets before they are shown, so that `choose` returns this analysis.

    Args:
        analysis: Its photo is a sample, "upload", "camera", or "shared:" and the name of a shared photo.
    """
    if analysis.photo.startswith(SHARED_PREFIX):
        session().shared = analysis.photo.removeprefix(SHARED_PREFIX)
        session().shared_crop = analysis.crop
    session().classes = ()  # the further classes are those of the model
    st.session_state.update(_widgets(analysis))
    for method in analysis.methods:
        fill(method, method.key, st.session_state)  # type: ignore[arg-type]


def explain_class(index: int) -> None:
    """Set the target class; call before the sidebar is shown, such as from a callback."""
    st.session_state.target = index


def apply_remedy(remedy: Remedy, method: Method) -> None:
    """Change the score, or a method and its settings; call from a callback, as for `explain_class`.

    Args:
        remedy: The change.
        method: The method whose map recommends it.
    """
    state = st.session_state
    if remedy.score:
        state.score = remedy.score
    if remedy.method:
        better = read_method(remedy.method)
        state.methods = [key for key in state.methods if key != method.key]
        add_method(better.key)
        fill(better, better.key, state)  # type: ignore[arg-type]


def add_method(key: str) -> None:
    """Add a method to the chosen ones; call from a callback, as for `explain_class`."""
    chosen = [*st.session_state.methods, key]
    st.session_state.methods = [each for each in METHODS if each in chosen]


def _widgets(analysis: Analysis) -> dict[str, Any]:
    """Return the values of the widgets that show an analysis."""
    sampled = analysis.photo in SAMPLES
    across, down, size = analysis.crop
    return {
        "source": "Samples" if sampled else analysis.photo.partition(":")[0].capitalize(),
        "sample": analysis.photo if sampled else DEFAULT_SAMPLE,
        "across": round(across),
        "down": round(down),
        "size": round(size) if isinstance(size, float) else OWN_SIZE,
        "fit": size == FIT,
        "model": analysis.model,
        "target": OPEN_CLASS if analysis.target is None else analysis.target,
        "versus": OPEN_CLASS if analysis.versus is None else analysis.versus,
        "score": analysis.score,
        "methods": [method.key for method in analysis.methods],
        "beside": list(analysis.beside),
        "also": list(analysis.also),
    }


def _mend() -> None:
    """Reset widgets that have no value, or one that they do not offer, to their defaults."""
    usual = _widgets(Analysis())
    offered: dict[str, Container[Any]] = {
        "source": sources(),
        "sample": SAMPLES,
        "across": range(101),
        "down": range(101),
        "size": (OWN_SIZE, *range(round(100 * MIN_SIZE), 101)),
        "fit": (True, False),
        "model": offered_models(),
    }
    for key, value in usual.items():
        if key in offered:
            _keep(key, offered[key], value)
        else:
            st.session_state.setdefault(key, value)
    _keep("device", available_devices(), available_devices()[0])
    _keep("automatic", (True, False), True)


def _keep(key: str, offered: Container[Any], usual: Any) -> None:
    """Reset a widget to its default unless its value is on offer; an unhashable value never is."""
    try:
        known = key in st.session_state and st.session_state[key] in offered
    except TypeError:
        known = False
    if not known:
        st.session_state[key] = usual


def _model() -> ModelRecord:
    models = offered_models()

    def label(key: str) -> str:
        return models[key].title if models[key].embedded else f"{models[key].title} (download)"

    record = models[st.selectbox("Model", list(models), format_func=label, key="model")]
    facts = record.facts()
    size = "no download" if record.embedded else f"{facts.size:.0f} MB download on first use"
    count = f"{len(facts.classes):,} " if facts.output.has_rivals else ""
    kind = f"{count}{facts.output.title}".capitalize()
    known = f"{facts.top1:.1f}% ImageNet top-1 accuracy, {size}" if facts.top1 else f"{kind}, {size}"
    st.caption(f"{known}. Licence: {facts.licence}." if facts.licence else f"{known}.")
    with st.container(horizontal=True):
        for name, title in DIALOGS.items():
            st.button(title, key=f"add-{name}", on_click=_add, args=(name,))
    return record


def _beside(record: ModelRecord) -> list[ModelRecord]:
    """Show the picker of other models to compare with."""
    models = {key: each for key, each in offered_models().items() if key != record.key}
    state = st.session_state
    if state.beside != (kept := [key for key in state.beside if key in models][:MAX_BESIDE]):
        state.beside = kept  # otherwise untouched, since the browser answers a set value with another run
    keys = st.multiselect(
        "Compare with",
        list(models),
        format_func=lambda key: models[key].title,
        max_selections=MAX_BESIDE,
        key="beside",
        placeholder="Other models",
        select_all=False,
        help="Maps of up to two more models below the first ones, for the class of the same name.",
    )
    return [models[key] for key in keys]


def _add(name: str) -> None:
    session().adding = name


def _device() -> str:
    devices = available_devices()
    if len(devices) > 1:
        st.selectbox("Device", devices, key="device", help="Device that runs the network; the fastest is listed first.")
    device: str = st.session_state.device
    return device


def _target(facts: Facts) -> tuple[int, ...]:
    """Show the boxes of the classes and the score; return the further classes."""
    state = st.session_state
    taken = [index for index in (state.target, state.versus) if index != OPEN_CLASS]
    offered = range(len(facts.classes)) if len(facts.classes) > 1 else range(0)
    state.also = [index for index in state.also if index in offered and index not in taken][:MAX_ALSO]
    boxes = []
    if offered:
        hint = "Type to search, or click a class in the predictions."
        boxes.append(ClassBox("target", "Target class", hint, "Predicted class", _chosen(state.target)))
        hint = "Up to three more classes on the page Explore, one row each. Other models show the target class only."
        also = tuple(state.also)
        boxes.append(ClassBox("also", "Also explain", hint, "Other classes", also, MAX_ALSO, tuple(taken)))
    if facts.output.compares:
        hint = "Second class: why the target class and not this one?"
        boxes.append(ClassBox("versus", "Against", hint, "All other classes", _chosen(state.versus)))
    if boxes:
        show_class_boxes(facts.classes, boxes, _choose_classes)
    st.segmented_control(
        "Score",
        facts.output.scores,
        required=True,
        format_func=lambda key: SCORES[key].title,
        key="score",
        width="stretch",
    )
    score = SCORES[state.score]
    st.caption(score.meaning if state.versus == OPEN_CLASS else score.meaning_versus)
    return tuple(state.also)


def _chosen(index: int) -> tuple[int, ...]:
    return () if index == OPEN_CLASS else (index,)


def _choose_classes(box: str, chosen: tuple[int, ...]) -> None:
    st.session_state[box] = list(chosen) if box == "also" else (*chosen, OPEN_CLASS)[0]


def _methods(record: ModelRecord) -> tuple[Method, ...]:
    first = [key for key, method in METHODS.items() if method.chosen]
    keys = _pick("Methods", first, record)
    rest = [key for key in METHODS if key not in first]
    with st.expander("More methods", expanded=any(key in rest for key in keys)):
        for group in GROUPS:
            if offered := [key for key in rest if METHODS[key].group == group]:
                keys = _pick(group.capitalize(), offered, record)
    st.toggle(
        "Compute automatically",
        key="automatic",
        help="If off, changes take effect when you press Compute. Useful for slow models.",
    )
    return tuple(_settings(METHODS[key], record) for key in METHODS if key in keys)


def _pick(label: str, offered: list[str], record: ModelRecord) -> list[str]:
    """Show a picker for some of the methods, with estimates for a model.

    Returns:
        The keys of all chosen methods, including those of other pickers.
    """
    state = st.session_state
    place = f"methods-{label}"

    def choose() -> None:
        kept = [key for key in state.methods if key not in offered]
        state.methods = [key for key in METHODS if key in (state[place] or ()) or key in kept]

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
    seconds = {method.title: estimate(method, record, state.device) or 0.0 for method in methods}
    if slow := [f"{title} about {each:.0f} s" for title, each in seconds.items() if each >= MIN_SHOWN_SECONDS]:
        # Below the picker, since changing its labels would lose clicks.
        st.caption(f"On this server: {', '.join(slow)}.")
    chosen: list[str] = state.methods
    return chosen


def _settings(method: type[Method], record: ModelRecord) -> Method:
    if described(method):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(f"**{method.title}**")
            st.button("Reset", key=f"reset-{method.key}", on_click=reset, args=(method, method.key), type="tertiary")
    return ask(method, method.key, layers(record, st.session_state.device))
