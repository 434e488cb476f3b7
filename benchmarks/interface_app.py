"""Four real maps of one photo, then of another, at a click: in the linked viewer, or as a Plotly heatmap grid.

Run by interface.py, with ?grid=viewer or ?grid=plotly.
"""

import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from attribution.drawing.heatmap import reduce
from attribution.engine import compare
from attribution.methods import METHODS
from attribution.models import load_model
from attribution.photo.decode import open_image
from attribution.result import Attribution
from attribution.ui import panels
from attribution.viewer.message import Place, pack_map


@st.cache_resource
def maps() -> list[list[Attribution]]:
    """The maps of two sample photos."""
    model = load_model("squeezenet1_1", "cpu")
    photos = [f"assets/samples/{name}.jpg" for name in ("german_shepherd_on_grass", "golden_retriever")]
    methods = [METHODS[key]() for key in METHODS if METHODS[key].chosen]
    found = [compare(model, model.prepare(open_image(photo)), methods) for photo in photos]
    return [[result for result in row if isinstance(result, Attribution)] for row in found]


st.set_page_config(layout="wide")
shown = st.session_state.setdefault("shown", 0)
if st.button("Next"):
    shown = st.session_state.shown = 1 - shown
st.text(f"shown {shown}")
results = maps()[shown]
if st.query_params.get("grid") == "plotly":
    figure = make_subplots(1, len(results))
    for column, result in enumerate(results, start=1):
        heat = reduce(result.values).astype("float32")
        figure.add_trace(go.Heatmap(z=heat, colorscale="gray_r", showscale=False), 1, column)
    figure.update_yaxes(autorange="reversed", matches="y")
    figure.update_xaxes(matches="x")
    st.plotly_chart(figure, key="grid")
else:
    panels.load_viewer()
    for cell, result in zip(st.columns(len(results)), results, strict=True):
        with cell:
            packed = pack_map(result.values, "p", Place("bench", result.method, result.method, (227, 227)))
            panels.show(packed, f"panel-{result.method}")
