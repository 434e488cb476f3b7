"""The methods page: what each one shows and cannot show, read from the registry."""

import streamlit as st

from attribution.methods import METHODS
from attribution.settings import default, described

st.header("What each map can and cannot show")
st.caption("A sharp map is not a faithful one (Adebayo et al. 2018, arXiv:1810.03292).")
for method in METHODS.values():
    with st.container(border=True):
        st.subheader(method.title)
        st.caption(f"{method.group.capitalize()}. {method.source}")
        st.markdown(f"**Shows.** {method.shows}")
        st.markdown(f"**Cannot show.** {method.cannot}")
        for name, kind in described(method).items():
            st.caption(
                f"{name.replace('_', ' ').capitalize()}: {kind.help} Default: {kind.plain(default(method, name))}."
            )
