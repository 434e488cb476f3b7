"""Results on a page: the predictions, the maps with their costs, and images along a path."""

from dataclasses import dataclass, replace

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
from attribution.ui.watch import is_computing
from attribution.viewer.message import Place, pack_classes, pack_partial, pack_photo, pack_toolbar
from attribution.work.analysis import Outcome, Strip

PAGE = "explore"
GROUP = PAGE
COLUMNS = 3  # panels per row on a desktop
MIN_ROW_COLUMNS, MAX_ROW_COLUMNS = 4, 6  # the same if there is a row of maps per class or model
HEADER_WIDTHS = (1, 3)  # relative widths of the photo and what is beside it, on the other pages
MIN_PANEL_WIDTH = 150  # pixels of a panel's width; a phone shows two side by side
WARNING = ":material/warning:"


@dataclass(frozen=True)
class _Row:
    """A row of maps.

    Attributes:
        suffix: Suffix of the keys, unique on the page. Default: none, for the first row.
        photo: Suffix of the row whose photo belongs to the maps. Default: the first.
    """

    suffix: str = ""
    photo: str = ""

    @property
    def shows_photo(self) -> bool:
        """True if the row has a photo of its own."""
        return self.suffix == self.photo


FIRST_ROW = _Row()


def show_header(outcome: Outcome) -> None:
    """Show the photo, the model and the score in one line, the most probable classes, and the viewer's controls."""
    show_heading(f"{outcome.analysis.heading}{_explaining(outcome)}", compact=True)
    show_prediction(outcome)
    with st.container(key="controls"):
        panels.show(pack_toolbar(GROUP, session().view, session().window, by=_earlier_model(outcome)), "toolbar")


def _explaining(outcome: Outcome) -> str:
    """Return a sentence on the explained class and its score, with a space in front; empty before the first map."""
    return f" Explaining: {outcome.statement}." if outcome.statement else ""


def _earlier_model(outcome: Outcome) -> str:
    """Return the model of an outcome that is not of the chosen photo, model and class; empty if it is."""
    chosen = session().analysis
    current = isinstance(chosen, str) or chosen.subject == outcome.analysis.subject
    return "" if current else outcome.analysis.record.title


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
                _show_grid(found, _Row(f"-{number}", f"-{number}"), _columns(outcome))


def _columns(outcome: Outcome) -> int:
    """Return the panels per row on a desktop; smaller ones if several classes or models have a row each."""
    panels = 1 + len(outcome.analysis.methods)
    if outcome.also or outcome.analysis.beside:
        return min(MAX_ROW_COLUMNS, max(MIN_ROW_COLUMNS, panels))
    return min(COLUMNS, panels)


def _show_heading(outcome: Outcome) -> None:
    """Show what another model predicts."""
    analysis = outcome.analysis
    target = replace(analysis.target, value_unit=analysis.record.facts().output.unit)
    st.text(f"{analysis.record.title}.{_explaining(outcome)}")
    st.text("Predicted: " + "; ".join(target.predicted(*each) for each in outcome.prediction[:3]) + ".")


def show_maps(outcome: Outcome) -> None:
    """Show all maps in linked panels, one row per class."""
    if not outcome.analysis.methods:
        st.info("Choose at least one method in the sidebar to see a map.", icon=":material/touch_app:")
    columns = _columns(outcome)
    _show_grid(outcome, FIRST_ROW, columns)
    for other in outcome.also:
        _show_grid(other, _Row(f"-class-{other.explained}"), columns)
    _show_mark(outcome)


def _show_grid(outcome: Outcome, row: _Row, columns: int) -> None:
    """Show the photo, or the class if the row has no photo of its own, and a panel per method."""
    analysis = outcome.analysis
    grid = st.grid(columns, min_column_width=MIN_PANEL_WIDTH, gap="xsmall")
    with grid, st.container(key=f"map-photo{row.suffix}", gap=None):
        if row.shows_photo:
            seer = analysis.record.title if row.suffix else "the network"
            place = _place(outcome, "photo", f"The photo as {seer} sees it", row, "Photo")
            panels.show(pack_photo(eight_bit(analysis.x.numpy()), place), f"panel-photo{row.suffix}", not row.photo)
        else:
            st.text(outcome.statement or outcome.classes[outcome.explained])
    for number, method in enumerate(analysis.methods):
        with grid, st.container(key=f"map-{method.key}{row.suffix}", gap=None):
            result = outcome.results.get(number)
            if isinstance(result, Refusal):
                st.text(method.title)
                st.info(str(result))
            elif result:
                _show_map(result, method, outcome, row)
            elif partial := outcome.growing.get(number):
                _show_panel(partial, method, outcome, row, growing=True)
                st.caption(
                    "Partial map: still computing." if is_computing(PAGE) else f"{WARNING} Partial map: not finished."
                )
            else:
                st.text(method.title)
                if is_computing(PAGE):
                    st.skeleton(height=220)
                else:
                    st.caption("Not computed.")


def _show_map(result: Attribution, method: Method, outcome: Outcome, row: _Row) -> None:
    _show_panel(result, method, outcome, row, growing=False)
    notes = f", {len(result.notes)} note{'s'[: len(result.notes) > 1]}" if result.notes else ""
    label = f"{WARNING} {result.account}" if result.doubtful else f"Details{notes}"
    with st.expander(label):
        _show_captions(result, method)
        remedies = () if row.photo else result.remedies  # they would change the first model's methods
        for number, remedy in enumerate(remedies):
            st.button(
                remedy.title, key=f"remedy-{method.key}{row.suffix}-{number}", on_click=_apply, args=(remedy, method)
            )


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
    if result.conservation:
        stages = [f"{stage}: {total:.4g}" for stage, total in result.conservation]
        st.caption("  \n".join(["Sum of the relevance at every stage:", *stages]))  # a table is cut off on a phone


def _show_panel(result: Attribution, method: Method, outcome: Outcome, row: _Row, growing: bool) -> None:
    keys = "Arrow keys move the crosshair, + and - zoom, Enter marks a pixel, R starts and ends a region."
    label = f"{method.title} map for {result.explained}. {keys}"
    place = _place(outcome, method.key, label, row, f"{method.title}: {result.explained}")
    packed = pack_partial(result, place) if growing else panels.packed_once(result, place)
    panels.show(packed, f"panel-{method.key}{row.suffix}", marks=not row.photo)


def _place(outcome: Outcome, name: str, label: str, row: _Row, title: str) -> Place:
    analysis = outcome.analysis
    file = f"{analysis.photo}-{analysis.model}-{name}{'' if row.shows_photo else row.suffix}".replace(" ", "_").lower()
    return Place(GROUP, f"{name}{row.suffix}", label, analysis.full, file, title, row=row.photo, frame=analysis.frame)


def _show_mark(outcome: Outcome) -> None:
    """Show the raw values of the last marked pixel, taken from the results; one line per class."""
    if not (mark := session().mark):
        return
    x, y = mark.x, mark.y
    for row in outcome.rows:
        values = [
            f"{method.title} {float(result.values[:, y, x].sum()):+.3g}"
            for place, method in enumerate(row.analysis.methods)
            if isinstance(result := row.results.get(place), Attribution)
            and y < result.values.shape[1]
            and x < result.values.shape[2]
        ]
        explained = f", {row.classes[row.explained]}" if outcome.also else ""
        if values:
            st.text(f"Marked pixel x {x}, y {y}{explained}: {', '.join(values)}")


def show_strip(strip: Strip) -> None:
    """Show images along the integration path of one method."""
    st.markdown(f"**Images along the integration path** ({strip.method.title})")
    grid = st.grid(len(strip.alphas), min_column_width=MIN_PANEL_WIDTH // 2)
    for alpha, url in zip(strip.alphas, strip.urls, strict=True):
        with grid:
            st.image(url, f"{alpha:.0%}", width="stretch", alt=f"Image at {alpha:.0%} of the path")
