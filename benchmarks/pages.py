"""Waiting times on the pages that compute for seconds: until the first picture, and until everything is final.

The real server with both embedded models, looked at by a client of Streamlit's own protocol, which polls as the page's
script does. Cold: a new server, opened at the page. Warm: another visitor of the same page, whose results are kept.
A first picture shows something computed: the player, a map, of *Sanity* one of a randomised network, or a curve.

    make benchmark NAME=pages
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dashboard import serving
from session import Session, unpacked
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from verdict import Verdict

MODELS = ("squeezenet1_1", "efficientnet_lite0")
AIMS = {  # seconds: aim and floor of each figure, by model
    "squeezenet1_1": {"first": (3.0, 5.0), "final": (15.0, 25.0)},
    "efficientnet_lite0": {"first": (5.0, 8.0), "final": (15.0, 25.0)},
}
WARM = (1.0, 2.0)


def header(element: Any) -> dict[str, Any]:
    """Header of a message of the viewer or the player; empty for all others."""
    component = element.bidi_component
    known = any(name in component.component_name for name in ("viewer_panel", "path_player"))
    return unpacked(component.bytes)[0] if known and component.bytes else {}


def shows_map(element: Any) -> bool:
    """True if an element is a map, finished or partial."""
    return header(element).get("kind") in ("map", "partial")


def shows_random_map(element: Any) -> bool:
    """True if an element is the map of a network with random weights."""
    found = header(element)
    return found.get("kind") == "map" and found["id"].rpartition("-")[2].isdecimal() and not found["id"].endswith("-0")


def shows_curve(element: Any) -> bool:
    """True if an element is a chart with points."""
    if element.WhichOneof("type") != "echarts_chart":
        return False
    return any(series.get("data") for series in json.loads(element.echarts_chart.spec)["series"])


PAGES: dict[str, Callable[[Any], bool]] = {
    "path": lambda element: "accumulated" in header(element) or "reached" in header(element),
    "sanity": shows_random_map,
    "baselines": shows_map,
    "faithfulness": shows_curve,
}


@dataclass
class Visit(Session):
    """A visit of one page, timed from its opening.

    Attributes:
        wanted: True for an element that is a first picture.
        started: Time of the opening.
        first: Seconds until the first picture.
        final: Seconds until the page offers no more to cancel.
    """

    wanted: Callable[[Any], bool] = shows_map
    started: float = 0.0
    first: float = 0.0
    final: float = 0.0
    texts: list[str] = field(default_factory=list)

    def take_in(self, message: ForwardMsg) -> bool:
        before, ended = len(self.elements), super().take_in(message)
        if not self.first and len(self.elements) > before and self.wanted(self.elements[-1]):
            self.first = time.perf_counter() - self.started
        return ended

    async def time(self) -> "Visit":
        self.started = time.perf_counter()
        await self.open()
        self.final = time.perf_counter() - self.started
        self.texts = self.troubles()
        await self.close()
        return self


def visited(address: str, page: str, model: str) -> Visit:
    """Visit a page once."""
    host = address.removeprefix("http://")
    visit = asyncio.run(Visit(host, page=page, query=f"model={model}", wanted=PAGES[page]).time())
    if not visit.first or visit.texts:
        raise RuntimeError(f"{page} of {model} shows no picture: {visit.texts}")
    return visit


def main() -> int:
    """Print every figure and the verdict."""
    verdict = Verdict()
    with tempfile.TemporaryDirectory() as folder:
        for model in MODELS:
            for page in PAGES:
                with serving(Path(folder) / "log") as (address, _):
                    cold, warm = (visited(address, page, model) for _ in range(2))
                for name, value in (("first", cold.first), ("final", cold.final)):
                    label = f"pages {page}, {model}, {name} picture, cold"
                    verdict.judge(label, f"{value:.1f} s", value, *AIMS[model][name])
                label = f"pages {page}, {model}, final picture, warm"
                verdict.judge(label, f"{warm.final:.2f} s", warm.final, *WARM)
    return verdict.status()


if __name__ == "__main__":
    sys.exit(main())
