"""The methods page: one card per method, generated from the registry, with its map of the current photo and class."""

from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from attribution.export.maps import counted
from attribution.methods import METHODS
from attribution.methods.method import GROUPS, Method
from attribution.refusal import Refusal
from attribution.result import Attribution
from attribution.settings import default, described
from attribution.ui.forms import held
from attribution.ui.heading import show_heading
from attribution.ui.models import find_model
from attribution.ui.session import session
from attribution.ui.sidebar import add_method
from attribution.ui.thumbnail import SIDE, thumbnail
from attribution.ui.watch import show
from attribution.work.analysis import PreparedAnalysis, estimate

COLUMNS = 2  # cards per row on a desktop
MIN_CARD_WIDTH = 340  # pixels
MIN_SHOWN_SECONDS = 0.1  # seconds; shorter estimates are hidden
MAX_QUICK_SECONDS = 1.0  # longest estimate of a map that is drawn along with others
MAX_QUICK_PASSES = 2  # most passes of such a map while its duration is unknown
EXPLORE = Path(__file__).with_name("explore.py")
ASKED = "methods-asked"  # key of the photo and class, and of the methods, whose maps were asked for


def is_quick(method: Method, seconds: float | None, size: tuple[int, int]) -> bool:
    """True if a map takes less than a second, as far as is known."""
    return method.cost(size).passes <= MAX_QUICK_PASSES if seconds is None else seconds < MAX_QUICK_SECONDS


def show_contents() -> None:
    """Show links to all cards, one line per group."""
    for group in GROUPS:
        links = [f"[{each.title}](#{each.key})" for each in METHODS.values() if each.group == group]
        st.markdown(f":small[**{group.capitalize()}:** {', '.join(links)}]")


def show_cards(methods: Mapping[str, Method], analysis: PreparedAnalysis | str) -> None:
    """Show the cards of all methods, by group."""
    for group in GROUPS:
        st.header(group.capitalize(), anchor=group.replace(" ", "-"))
        grid = st.grid(COLUMNS, min_column_width=MIN_CARD_WIDTH, gap="xsmall")
        for key, method in methods.items():
            if method.group == group:
                found = None if isinstance(analysis, str) else analysis.known_map(method)
                with grid, st.container(border=True, key=f"card-{key}", gap=None):
                    show_card(METHODS[key], found)


def show_card(method: type[Method], found: Attribution | Refusal | None) -> None:
    """Show a method: its map if there is one, its idea, and what can be unfolded."""
    with st.container(horizontal=True, gap="small"):
        if isinstance(found, Attribution):
            st.image(thumbnail(found), width=SIDE, alt=f"{method.title} map for {found.explained}")
        else:
            st.html(f'<div class="no-map">{"Refused" if found else "No map yet"}</div>', width=SIDE)
        with st.container(gap=None):
            with st.container(horizontal=True, horizontal_alignment="distribute", key=f"try-{method.key}"):
                st.subheader(method.title, anchor=method.key)
                if st.button("Try it", key=f"try-{method.key}-button", on_click=add_method, args=(method.key,)):
                    st.switch_page(EXPLORE)
            st.caption(f"{method.idea} {found}" if isinstance(found, Refusal) else method.idea)
    with st.expander("Formula, limits and source"):
        show_text(method)


def show_text(method: type[Method]) -> None:
    """Show the documentation of a method."""
    st.latex(method.formula)
    st.markdown(f"**Shows.** {method.shows}")
    st.markdown(f"**Cannot show.** {method.cannot}")
    st.markdown(f"**Passes.** {method.passes}")
    st.markdown(f"**Fails.** {method.fails}")
    if method.deviation:
        st.markdown(f"**Differs from the paper.** {method.deviation}")
    cost = method().cost(size)
    counts = ((cost.forwards, "forward"), (cost.backwards, "backward"))
    passes = " and ".join(counted(count, f"{way} pass") for count, way in counts if count)
    seconds = estimate(method(), record, device)
    about = f"; about {seconds:.1f} s on this server" if seconds and seconds >= MIN_SHOWN_SECONDS else ""
    st.caption(
        f"Cost with default settings at {size[0]} x {size[1]} pixels: {passes}, in addition to the prediction{about}."
    )
    for name, kind in described(method).items():
        usual = kind.plain(default(method, name))
        st.caption(f"**{kind.named(name)}**: {kind.help} Must be {kind.range}. Default: {usual}.")
    source = method.source
    link = f"[arXiv:{source.arxiv}](https://arxiv.org/abs/{source.arxiv})" if source.arxiv else source.journal
    # Not a caption, in which links have too little contrast.
    st.markdown(f":small[{', '.join(source.authors)} {source.year}: {source.title}. {link}.]")


def quick_maps(methods: Mapping[str, Method], analysis: PreparedAnalysis) -> tuple[str, ...]:
    """Offer to draw the missing maps that take less than a second each.

    Returns:
        The keys of the methods whose maps were asked for, for this photo and class.
    """
    subject, asked = st.session_state.get(ASKED, ("", ()))
    asked = asked if subject == analysis.subject else ()
    seconds = {key: estimate(method, record, device) for key, method in methods.items()}
    quick = [key for key, method in methods.items() if is_quick(method, seconds[key], size)]
    missing = tuple(key for key in quick if key not in asked and analysis.known_map(methods[key]) is None)

    def ask() -> None:
        st.session_state[ASKED] = analysis.subject, (*asked, *missing)

    if missing:
        total = sum(seconds[key] or 0.0 for key in missing)
        about = f"about {max(1, round(total))} s" if total else "a few seconds"
        st.button(f"Draw {counted(len(missing), 'quick map')} ({about})", on_click=ask)
    return tuple(asked)


record, device = find_model(session().chosen.model), st.session_state.device
size = record.facts().preprocessing.size
analysis = session().analysis
methods: dict[str, Method] = {key: held(method, key, st.session_state) for key, method in METHODS.items()}  # type: ignore[arg-type]
show_heading("What each method can and cannot show")
show_contents()
st.caption(
    "A sharp map is not necessarily faithful (Adebayo et al. 2018, arXiv:1810.03292). In the formulas, F is the "
    "score, x the photo, b the baseline, A a layer's feature maps, R the backpropagated signal, L(x, s) the photo "
    "blurred with standard deviation s in pixels, \u03b5 standard normal noise, and \u2299 the elementwise product."
)
task: PreparedAnalysis | str = analysis
if not isinstance(analysis, str):  # without methods, the job predicts the class
    wanted = tuple(methods[key] for key in quick_maps(methods, analysis))
    task = analysis.alone.with_methods(wanted)
show("methods", task, lambda _: show_cards(methods, analysis), wait=lambda: show_cards(methods, analysis))
