"""Mount the path player: the image, the map so far and the score at any position of the path, drawn in the browser."""

from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from attribution.checks.convergence import Study
from attribution.drawing.view import View
from attribution.photo.encode import eight_bit
from attribution.viewer import message
from attribution.viewer.bundle import bundle

_FOLDER = Path(__file__).parent
_mount = st.components.v2.component(
    "path_player", css=(_FOLDER / "player.css").read_text(), js=bundle(_FOLDER / "player.js")
)


def pack(study: Study, pixels: NDArray[Any]) -> bytes:
    """Pack a study into one message: header length, header as JSON, then photo, baseline and maps, 8 bits each.

    Args:
        study: The measurements of one path.
        pixels: (3, H, W), the photo, in [0, 1].
    """
    pieces, height, width = study.accumulated.shape
    largest = float(np.percentile(study.accumulated[-1], View().clip)) or 1.0

    def rounded(values: NDArray[np.float64]) -> list[float]:
        return [float(f"{value:.5g}") for value in values]

    header = {
        "height": height,
        "width": width,
        "pieces": pieces,
        "gradients": len(study.nodes),
        "nodes": rounded(study.nodes),
        "scores": rounded(study.scores),
        "slopes": rounded(study.slopes),
        "evaluated": [rounded(row) for row in study.evaluated],
        "reached": rounded(study.reached),
        "score": study.score,
        "baselineScore": study.baseline_score,
        "unit": study.target.unit,
    }
    maps = np.rint(255 * np.minimum(1, study.accumulated / largest)).astype(np.uint8)
    body = b"".join(each.tobytes() for each in (eight_bit(pixels), eight_bit(study.baseline), maps))
    return message.pack(header, body)


def show_player(packed: bytes) -> None:
    """Show the player for one packed study."""
    _mount(data=packed, key="player")
