"""A figure of the lesson: pictures, at most one chart, and facts for the text. The page and the handout draw it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from attribution.result import Attribution


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture of a figure.

    Attributes:
        name: Name of its caption in the text, unique in the figure.
        image: A map, or (H, W, 3), 8-bit RGB.
    """

    name: str
    image: Attribution | NDArray[np.uint8]


@dataclass(frozen=True)
class Series:
    """One curve, or the bars of one colour.

    Attributes:
        name: Name of its label in the text, unique in the chart.
        values: (x, y) of each point of a curve; of a bar, the place of its category and its length.
        dots: True for single points without a line. Default: False.
    """

    name: str
    values: tuple[tuple[float, float], ...]
    dots: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart, whose axes keep their ends while a control moves.

    Attributes:
        across: Name of the horizontal axis in the text.
        up: Name of the vertical axis in the text.
        series: Curves, or bars if there are categories.
        range: Ends of the axis of the values.
        categories: Names of the groups of horizontal bars, as they are, such as classes. Default: none, for curves.
    """

    across: str
    up: str
    series: tuple[Series, ...]
    range: tuple[float, float]
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure.

    Attributes:
        pictures: In the order in which they are shown. Default: none.
        chart: Below the pictures. Default: none.
        facts: Texts by the name of their placeholder in the chapter's captions and answer. Default: none.
        right: Letter of the right guess, where only the figure knows it. Default: empty.
        top: Most probable classes to choose from: index, name and probability. Default: none.
        explained: Index of the explained one of them. Default: -1.
        strip: Small pictures of further photos, each with its map: title, (H, W, 3), 8-bit RGB, and map. Default: none.
    """

    pictures: tuple[Picture, ...] = ()
    chart: Chart | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    right: str = ""
    top: tuple[tuple[int, str, float], ...] = ()
    explained: int = -1
    strip: tuple[tuple[str, NDArray[np.uint8], Attribution], ...] = ()

    def without(self, names: Sequence[str]) -> "Figure":
        """Return a copy without some of its pictures and series."""
        pictures = tuple(each for each in self.pictures if each.name not in names)
        chart = self.chart
        if chart:
            series = tuple(each for each in chart.series if each.name not in names)
            chart = replace(chart, series=series) if series else None
        return replace(self, pictures=pictures, chart=chart)
