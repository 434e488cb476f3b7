"""The report: one self-contained HTML file with the viewer, which works offline."""

import base64
import os
from html import escape
from pathlib import Path
from string import Template
from typing import BinaryIO

from attribution.drawing.view import View
from attribution.export.maps import Exported, by_target, computed, named, predicted, refused, settings, title
from attribution.export.probed import Probed
from attribution.methods import METHODS
from attribution.photo.crop import CENTRE, Crop
from attribution.photo.encode import eight_bit
from attribution.result import Attribution
from attribution.system.files import store
from attribution.viewer.message import WHOLE_WINDOW, Place, Window, module, pack_photo, pack_result, pack_toolbar, style

GROUP = "report"


def report(
    results: Exported,
    path: str | os.PathLike[str] | BinaryIO,
    view: View | None = None,
    heading: str = "Why did the network predict that?",
    window: Window = WHOLE_WINDOW,
    crop: Crop = CENTRE,
    probed: Probed | None = None,
) -> None:
    """Write a report: the photo and its maps in the linked viewer, with predictions, settings, notes and sources.

    Args:
        results: Results of one photo, as `compare` returns them.
        path: A path or an open binary file.
        view: Initial view settings. Default: as each method asks for, signed or white to black.
        heading: Heading of the page.
        window: Initially visible part: left, top and side, as shares of the photo's sides. Default: the whole photo.
        crop: The crop of the photo, for the description. Default: the centre.
        probed: A probe of the photo, for a section of its own. Default: none.

    Raises:
        Refusal: If there is no map, the maps are of several photos, or the file cannot be written.
    """
    store(path, _page(results, view or View(), heading, window, crop, probed).encode())


def _page(results: Exported, view: View, heading: str, window: Window, crop: Crop, probed: Probed | None) -> str:
    maps = named(results)
    first = next(iter(maps.values()))
    photo = eight_bit(first.pixels)
    _, height, width = first.pixels.shape
    sources = {str(METHODS[result.method].source): METHODS[result.method].source for result in maps.values()}
    page = Template(Path(__file__).with_name("report.html").read_text())
    facts = f"{first.model} on {first.versions.get('device', 'cpu')}, {width} x {height} pixels."
    return page.substitute(
        title=escape(heading),
        summary=escape(f"{facts} {crop.account}".strip()),
        style=style(),
        module=module(),
        photo=_encode(pack_photo(photo, Place(GROUP, "photo", "The photo as the network sees it", (height, width)))),
        toolbar=_encode(pack_toolbar(GROUP, view, window)),
        shown=first.target.kind.shown,
        prediction="\n".join(
            f'<tr><td>{escape(name)} ({index})</td><td class="number">{escape(first.target.share(share))}</td></tr>'
            for index, name, share in predicted(maps)
        ),
        maps="\n".join(_row(row, headed=len(row) < len(maps)) for row in by_target(maps)),
        probe=probed.section(first.pixels) if probed else "",
        refused="\n".join(f"<p>{escape(sentence)}</p>" for sentence in refused(results)),
        sources="\n".join(f"<li>{escape(short)}. {escape(source.title)}.</li>" for short, source in sources.items()),
        versions=escape(", ".join(f"{name} {version}" for name, version in first.versions.items())),
    )


def _row(maps: dict[str, Attribution], headed: bool) -> str:
    """Return the maps of one target, below its class if there are several targets."""
    heading = f"<h2>{escape(next(iter(maps.values())).statement)}</h2>" if headed else ""
    sections = (_map(name, result) for name, result in maps.items())
    return "\n".join([heading, '<div class="maps">', *sections, "</div>"])


def _map(name: str, result: Attribution) -> str:
    _, height, width = result.values.shape
    label = f"{title(result)} map for {result.explained}"
    packed = pack_result(result, Place(GROUP, name, label, (height, width), f"{result.model}-{name}"))
    score = f"{result.explained}: {result.target.quantity(result.score)}"
    cannot = f"Cannot show: {METHODS[result.method].cannot}"
    lines = [score, settings(result), computed(result), result.marked_account, *result.notes, cannot]
    return "\n".join(
        [
            f'<section class="map" id="{name}"><h3>{escape(title(result))}</h3>',
            f'<div data-message="{_encode(packed)}"></div>',
            *(f"<p>{escape(line)}</p>" for line in lines if line),
            "</section>",
        ]
    )


def _encode(message: bytes) -> str:
    return base64.b64encode(message).decode()
