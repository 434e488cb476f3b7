"""The linked viewer in a notebook."""

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attribution.drawing.view import View
from attribution.export.figure import figure
from attribution.export.maps import Exported, computed, named, settings, title
from attribution.photo.encode import eight_bit
from attribution.result import Attribution
from attribution.viewer.message import WHOLE_WINDOW, Place, Window, pack_photo, pack_result, pack_toolbar

if TYPE_CHECKING:
    from attribution.viewer.notebook import LinkedViewer

GROUP = "notebook"
DPI = 110  # dots per inch of the static picture


class Shown:
    """Maps that a notebook shows in the linked viewer.

    Attributes:
        maps: The maps by name, with their values.
    """

    def __init__(self, maps: dict[str, Attribution], widget: "LinkedViewer") -> None:
        """Hold the maps and the widget that shows them."""
        self.maps, self.widget = maps, widget

    @property
    def pixel(self) -> tuple[int, int] | None:
        """Column and row of the pixel that was clicked last; None without a mark."""
        column, row = self.widget.pixel or (None, None)
        return None if column is None or row is None else (column, row)

    @property
    def values(self) -> dict[str, NDArray[np.floating[Any]]]:
        """Values of the clicked pixel by map, (3,) each; empty without a mark."""
        if not (pixel := self.pixel):
            return {}
        return {name: each.values[:, pixel[1], pixel[0]] for name, each in self.maps.items()}

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """Return what a notebook displays: the widget, or a static picture."""
        return self.widget._repr_mimebundle_(**options)


def show(results: Exported, view: View | None = None, window: Window = WHOLE_WINDOW) -> Shown:
    """Show maps in a notebook, in the linked viewer: zoom, colours, regions and values of all panels at once.

    Works offline in Jupyter, VS Code and Colab. A notebook that is saved and converted shows a static picture.

    Args:
        results: Results of one photo, as `compare` returns them.
        view: Initial view settings. Default: as each method asks for, signed or white to black.
        window: Initially visible part: left, top and side, as shares of the photo's sides. Default: the whole photo.

    Returns:
        The maps and, after a click on a panel, the pixel and its values.

    Raises:
        Refusal: If there is no map, or the maps are of several photos.
    """
    from attribution.viewer.notebook import LinkedViewer  # lazy: imports anywidget

    maps, view = named(results), view or View()
    first = next(iter(maps.values()))
    size = first.pixels.shape[1:]
    photo = Place(
        GROUP, "photo", "The photo as the network sees it", size, title="Photo", below=f"Explaining: {first.statement}"
    )
    messages = [pack_photo(eight_bit(first.pixels), photo), pack_toolbar(GROUP, view, window, can_export=False)]
    messages += [pack_result(each, _place(name, each)) for name, each in maps.items()]
    picture = io.BytesIO()
    figure(results, picture, view, dpi=DPI)
    return Shown(maps, LinkedViewer(messages, picture.getvalue()))


def _place(name: str, result: Attribution) -> Place:
    lines = [result.explained, settings(result), computed(result), result.marked_account, *result.notes]
    return Place(
        GROUP,
        name,
        f"{title(result)} map for {result.explained}",
        result.values.shape[1:],
        f"{result.model}-{name}",
        title(result),
        "\n".join(filter(None, lines)),
    )
