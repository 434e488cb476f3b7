"""The main page: the photo, its predictions and the maps side by side."""

import streamlit as st

from attribution.ui.pictures import COLUMNS, show_maps, show_photo, show_prediction, show_strip
from attribution.ui.worker import follow

st.header("Why did the network decide that?")
with st.container():  # always there, so that what stands below keeps its place when the progress bar comes and goes
    outcome = follow(st.session_state.analysis)
if outcome is None:
    st.stop()

photo, prediction = st.columns([1, COLUMNS - 1])
with photo:
    show_photo(outcome)
with prediction:
    show_prediction(outcome)
show_maps(outcome)
st.caption(
    "Maps: sum of absolute values over the three channels, each map rescaled by itself; white is least, black is most. "
    "A map shows what the network reacts to, not what is true."
)
for strip in outcome.strips:
    show_strip(strip)
