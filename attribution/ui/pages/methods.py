"""The methods page: one card per method, generated from the registry."""

import streamlit as st

from attribution.export.maps import counted
from attribution.methods import METHODS
from attribution.methods.method import GROUPS, Method
from attribution.settings import default, described
from attribution.ui.models import find_model
from attribution.ui.session import session
from attribution.work.analysis import estimate

MIN_SHOWN_SECONDS = 0.1  # seconds; shorter estimates are hidden


def show_card(method: type[Method], size: tuple[int, int]) -> None:
    """Show the documentation of a method."""
    st.subheader(method.title, anchor=method.key)
    st.markdown(method.idea)
    st.latex(method.formula)
    left, right = st.columns(2)
    with left:
        st.markdown(f"**Shows.** {method.shows}")
        st.markdown(f"**Cannot show.** {method.cannot}")
    with right:
        st.markdown(f"**Passes.** {method.passes}")
        st.markdown(f"**Fails.** {method.fails}")
    if method.deviation:
        st.markdown(f"**Differs from the paper.** {method.deviation}")
    cost = method().cost(size)
    counts = ((cost.forwards, "forward"), (cost.backwards, "backward"))
    passes = " and ".join(counted(count, f"{way} pass") for count, way in counts if count)
    seconds = estimate(method(), find_model(session().chosen.model), st.session_state.device)
    about = f"; about {seconds:.1f} s on this server" if seconds and seconds >= MIN_SHOWN_SECONDS else ""
    st.caption(
        f"Cost with default settings at {size[0]} x {size[1]} pixels: {passes}, in addition to the prediction{about}."
    )
    for name, kind in described(method).items():
        usual = kind.plain(default(method, name))
        st.caption(f"**{name.replace('_', ' ').capitalize()}**: {kind.help} Must be {kind.range}. Default: {usual}.")
    source = method.source
    link = f"[arXiv:{source.arxiv}](https://arxiv.org/abs/{source.arxiv})" if source.arxiv else source.journal
    st.caption(f"{', '.join(source.authors)} {source.year}: {source.title}. {link}.")


size = find_model(session().chosen.model).facts().preprocessing.size
st.header("What each method can and cannot show")
st.caption(
    "A sharp map is not necessarily faithful (Adebayo et al. 2018, arXiv:1810.03292). In the formulas, F is the "
    "score, x the photo, b the baseline, A a layer's feature maps, R the backpropagated signal, L(x, s) the photo "
    "blurred with standard deviation s in pixels, \u03b5 standard normal noise, and \u2299 the elementwise product."
)
for group in GROUPS:
    st.markdown(f"### {group.capitalize()}")
    for each in METHODS.values():
        if each.group == group:
            with st.container(border=True, key=f"card-{each.key}"):
                show_card(each, size)
