"""Results on a page: the predictions, the maps with their costs, and images along a path."""

from dataclasses import replace

import streamlit as st

from attribution.export.maps import computed, settings
from attribution.methods.method import Method
from attribution.photo.encode import eight_bit
from attribution.refusal import Refusal, Remedy
from attribution.result import Attribution
from attribution.ui import panels
from attribution.ui.heading import show_heading
from attribution.ui.session import rerun_page, session
from attribution.ui.sidebar import apply_remedy, explain_class
from attribution.viewer.message import Place, pack_classes, pack_partial, pack_photo, pack_toolbar
from attribution.work.analysis import Outcome, Strip

GROUP = "explore"
COLUMNS = 3  # panels per row on a desktop
HEADER_WIDTHS = (1, 3)  # relative widths of the photo and what is beside it, on the other pages
MIN_PANEL_WIDTH = 150  # pixels of a panel's width; a phone shows two side by side
WARNING = ":material/warning:"


def show_header(outcome: Outcome) -> None:
    """Show the photo, the model and the score in one line, the most probable classes, and the viewer's controls."""
    explained = next(iter(outcome.finished.maps), None)
    score = f" Explaining: {explained.statement}." if explained else ""
    show_heading(f"{outcome.analysis.heading}{score}", compact=True)
    show_prediction(outcome)
    with st.container(key="controls"):
        panels.show(pack_toolbar(GROUP, session().view, session().window), "toolbar")


def show_prediction(outcome: Outcome) -> None:
    """Show the most probable classes and the explained class as buttons; a click explains a class."""
    target, output = outcome.analysis.target, outcome.analysis.record.facts().output
    if not output.has_shares:
        (number,) = outcome.prediction
        st.text(f"Predicted: {replace(target, value_unit=output.unit).predicted(*number)}")
        return

    def choose(place: int) -> None:
        if place < len(outcome.prediction):
            explain_class(outcome.prediction[place][0])

    with st.container(key="prediction"):
        panels.show(pack_classes(outcome.prediction, outcome.explained), "classes", choose=choose)


def show_beside(outcome: Outcome) -> None:
    """Show the same analysis under the other models, each below a line with its prediction."""
    pending = [Refusal("Still computing.") for _ in outcome.analysis.beside[len(outcome.beside) :]]
    rows = zip(outcome.analysis.beside, (*outcome.beside, *pending), strict=True)
    for number, (analysis, found) in enumerate(rows, 2):
        with st.container(key=f"beside-{number}"):
            st.divider()
            if isinstance(found, Refusal):
                st.text(f"{analysis.record.title}: {found}")
            else:
                _show_heading(found)
                _show_grid(found, f"-{number}")


def _show_heading(outcome: Outcome) -> None:
    """Show what another model predicts."""
    analysis = outcome.analysis
    target = replace(analysis.target, value_unit=analysis.record.facts().output.unit)
    explained = next(iter(outcome.finished.maps), None)
    score = f" Explaining: {explained.statement}." if explained else ""
    st.text(f"{analysis.record.title}.{score}")
    st.text("Predicted: " + "; ".join(target.predicted(*each) for each in outcome.prediction[:3]) + ".")


def show_maps(outcome: Outcome) -> None:
    """Show all maps in linked panels."""
    if not outcome.analysis.methods:
        st.info("Choose at least one method in the sidebar to see a map.", icon=":material/touch_app:")
    _show_grid(outcome)
    _show_mark(outcome)


def _show_grid(outcome: Outcome, row: str = "") -> None:
    """Show a panel per method. `row` is the suffix of the keys of another model than the first."""
    analysis = outcome.analysis
    grid = st.grid(min(COLUMNS, 1 + len(analysis.methods)), min_column_width=MIN_PANEL_WIDTH, gap="xsmall")
    with grid, st.container(key=f"map-photo{row}", gap=None):
        seer = analysis.record.title if row else "the network"
        place = _place(outcome, "photo", f"The photo as {seer} sees it", row, "Photo")
        panels.show(pack_photo(eight_bit(analysis.x.numpy()), place), f"panel-photo{row}", marks=not row)
    for number, method in enumerate(analysis.methods):
        with grid, st.container(key=f"map-{method.key}{row}", gap=None):
            result = outcome.results.get(number)
            if isinstance(result, Refusal):
                st.text(method.title)
                st.info(str(result))
            elif result:
                _show_map(result, method, outcome, row)
            elif partial := outcome.growing.get(number):
                _show_panel(partial, method, outcome, row, growing=True)
                st.caption("Partial map: still computing.")
            else:
                st.text(method.title)
                st.skeleton(height=220)


def _show_map(result: Attribution, method: Method, outcome: Outcome, row: str) -> None:
    _show_panel(result, method, outcome, row, growing=False)
    notes = f", {len(result.notes)} note{'s'[: len(result.notes) > 1]}" if result.notes else ""
    label = f"{WARNING} {result.account}" if result.doubtful else f"Details{notes}"
    with st.expander(label):
        _show_captions(result, method)
        for number, remedy in enumerate(result.remedies):
            st.button(remedy.title, key=f"remedy-{method.key}{row}-{number}", on_click=_apply, args=(remedy, method))


def _apply(remedy: Remedy, method: Method) -> None:
    apply_remedy(remedy, method)
    rerun_page()


def _show_captions(result: Attribution, method: Method) -> None:
    if result.settings:
        st.caption(f"Settings: {settings(result)}.")
    hint = f"Shows: {method.shows} Cannot show: {method.cannot} {method.source}."
    st.caption(computed(result), help=hint)
    if result.account:
        st.caption(f":material/warning: {result.account}" if result.doubtful else result.account)
    for note in result.notes:
        st.caption(f":material/info: {note}")


def _show_panel(result: Attribution, method: Method, outcome: Outcome, row: str, growing: bool) -> None:
    keys = "Arrow keys move the crosshair, + and - zoom, Enter marks a pixel, R starts and ends a region."
    label = f"{method.title} map for {result.explained}. {keys}"
    place = _place(outcome, method.key, label, row, f"{method.title}: {result.explained}")
    packed = pack_partial(result, place) if growing else panels.packed_once(result, place)
    panels.show(packed, f"panel-{method.key}{row}", marks=not row)


def _place(outcome: Outcome, name: str, label: str, row: str, title: str) -> Place:
    analysis = outcome.analysis
    file = f"{analysis.photo}-{analysis.model}-{name}".replace(" ", "_").lower()
    return Place(GROUP, f"{name}{row}", label, analysis.full, file, title, row=row, frame=analysis.frame)


def _show_mark(outcome: Outcome) -> None:
    """Show the raw values of the last marked pixel, taken from the results."""
    if not (mark := session().mark):
        return
    x, y = mark.x, mark.y
    values = [
        f"{method.title} {float(result.values[:, y, x].sum()):+.3g}"
        for place, method in enumerate(outcome.analysis.methods)
        if isinstance(result := outcome.results.get(place), Attribution)
        and y < result.values.shape[1]
        and x < result.values.shape[2]
    ]
    if values:
        st.text(f"Marked pixel x {x}, y {y}: {', '.join(values)}")


def show_strip(strip: Strip) -> None:
    """Show images along the integration path of one method."""
    st.markdown(f"**Images along the integration path** ({strip.method.title})")
    grid = st.grid(len(strip.alphas), min_column_width=MIN_PANEL_WIDTH // 2)
    for alpha, url in zip(strip.alphas, strip.urls, strict=True):
        with grid, st.container(gap="xsmall"):
            st.image(url, width="stretch", alt=f"Image at {alpha:.0%} of the path")
            st.caption(f"{alpha:.0%}")
