"""The methods page: a card for each one, read from the registry."""

import streamlit as st

from attribution.methods import METHODS
from attribution.methods.method import GROUPS, Method
from attribution.models import MODELS
from attribution.settings import default, described
from attribution.ui.session import session
from attribution.work.analysis import estimate

BRIEF = 0.1  # seconds below which a time says nothing


def show_card(method: type[Method], size: tuple[int, int]) -> None:
    """Show everything that the class of a method says about it."""
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
    seconds = estimate(method(), session().chosen.model, st.session_state.device)
    about = f", about {seconds:.1f} s here" if seconds and seconds >= BRIEF else ""
    st.caption(
        f"With its defaults at {size[0]} x {size[1]} pixels it sends {cost.forwards} images forward and "
        f"{cost.backwards} back through the network, beside the prediction itself{about}."
    )
    for name, kind in described(method).items():
        usual = kind.plain(default(method, name))
        st.caption(f"**{name.replace('_', ' ').capitalize()}**: {kind.help} May be {kind.range}. Default: {usual}.")
    source = method.source
    link = f"[arXiv:{source.arxiv}](https://arxiv.org/abs/{source.arxiv})" if source.arxiv else source.journal
    st.caption(f"{', '.join(source.authors)} {source.year}: {source.title}. {link}.")


size = MODELS[session().chosen.model].facts().preprocessing.size
st.header("What each map can and cannot show")
st.caption(
    "A sharp map is not a faithful one (Adebayo et al. 2018, arXiv:1810.03292). In the formulas F is the score, "
    "x the photo, b the baseline, A the features of a layer, R the signal on its way back, L(x, s) the photo blurred "
    "by s pixels, \u03b5 noise of size 1, and \u2299 multiplies value by value."
)
for group in GROUPS:
    st.markdown(f"### {group.capitalize()}")
    for each in METHODS.values():
        if each.group == group:
            with st.container(border=True, key=f"card-{each.key}"):
                show_card(each, size)
