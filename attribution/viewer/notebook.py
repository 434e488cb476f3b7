"""The linked viewer as a widget of notebooks: Jupyter, VS Code and Colab. Imports anywidget, which takes 0.2 s."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from attribution.viewer.bundle import bundle
from attribution.viewer.message import style, view_facts

_FOLDER = Path(__file__).parent


class LinkedViewer(anywidget.AnyWidget):
    """Linked panels below a cell.

    Attributes:
        messages: Messages of the photo, the toolbar and the maps, in this order.
        pixel: [column, row] of the pixel that was clicked last; empty without a mark.
    """

    _esm = bundle(_FOLDER / "notebook.js", view_facts())
    _css = f"{(_FOLDER / 'notebook.css').read_text()}\n.attribution {{\n{style()}\n}}"  # nested, to spare the notebook
    messages = traitlets.List(traitlets.Bytes()).tag(sync=True)
    pixel = traitlets.List(traitlets.Int()).tag(sync=True)

    def __init__(self, messages: Sequence[bytes], picture: bytes) -> None:
        """Create the widget.

        Args:
            messages: See the class.
            picture: A PNG file, shown where the widget cannot run, such as in a converted notebook.
        """
        super().__init__(messages=list(messages))
        self._picture = picture

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the widget's view and the picture."""
        found = super()._repr_mimebundle_(**options)
        data, about = found if isinstance(found, tuple) else (found or {}, {})
        return {**data, "image/png": base64.b64encode(self._picture).decode()}, about
