"""A covered photo as part of an export: a table, a picture, facts for the manifest, and a section of the report."""

import base64
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from attribution.baselines.covered import Covered
from attribution.checks.challenges.attempt import CHALLENGES, Attempt
from attribution.checks.challenges.challenge import Judged
from attribution.checks.probe import Probe
from attribution.checks.surroundings import Surroundings, amounts
from attribution.photo.encode import eight_bit, png
from attribution.settings import plain, write


@dataclass(frozen=True, eq=False)
class Probed:
    """A probe with what belongs to it.

    Attributes:
        attempt: What is covered, by what, and for which challenge.
        found: The probe of these cells and this fill.
        around: Surroundings of the region. Default: none.
        judged: The verdict, if there is a challenge. Default: none.
    """

    attempt: Attempt
    found: Probe
    around: Surroundings | None = None
    judged: Judged | None = None

    @property
    def lines(self) -> list[str]:
        """The region and the change, then one line per map and for the control, then the sentences."""
        found, target = self.found, self.found.target
        (change,) = amounts(target, found.change, signed=True)
        before = target.quantity(found.before)
        return [
            f"Covered: {found.area:.1%} of the photo, fill {write(found.fill)}",
            f"Score: {before} before, {found.after:.3g} after; the change is {change}",
            *(f"{index} {name}: {target.share(old)} to {target.share(new)}" for index, name, old, new in found.top),
            *(": ".join([title, ", ".join(filter(None, cells))]) for title, *cells in self.rows),
            *self.sentences,
        ]

    @property
    def rows(self) -> Iterator[tuple[str, str, str, str]]:
        """Title, forecast, error and note of every map and of the control, for people; absent numbers are empty."""
        for each in (*self.found.maps, self.found.control):
            forecast, error = ("", "") if each.value is None else ("no forecast with this fill", "")
            if each.value is not None and each.error is not None:
                forecast = f"forecast {amounts(self.found.target, each.value, signed=True)[0]}"
                error = f"error {amounts(self.found.target, each.error, signed=True)[0]}"
            yield each.title, forecast, error, each.note

    @property
    def sentences(self) -> list[str]:
        """The verdict and the surroundings in words."""
        verdict = [f"{CHALLENGES[self.attempt.challenge].title}: {self.judged.sentence}"] if self.judged else []
        return [*verdict, *(self.around.sentences if self.around else ())]

    @property
    def facts(self) -> dict[str, Any]:
        """The probe in JSON-compatible form."""
        found = self.found
        return {
            "attempt": plain(self.attempt),
            "target": plain(found.target),
            "area": found.area,
            "before": found.before,
            "after": found.after,
            "change": found.change,
            "sentences": self.sentences,
        }

    def table(self) -> bytes:
        """Return the maps and the control as CSV; numbers in full precision, in the unit of the score."""
        file = io.StringIO(newline="")
        out, found = csv.writer(file), self.found
        measured = {
            "before": found.before,
            "after": found.after,
            "change": found.change,
            "area": found.area,
            "class": found.target.index,
            "score": found.target.score,
            "probe": write(self.attempt, full=True),
        }
        out.writerow(["title", "method", "forecast", "valid", "error", "share", "note", *measured])
        for each in (*found.maps, found.control):
            numbers = [each.value, each.valid, each.error, each.share]
            cells = [each.title, each.method, *numbers, each.note, *measured.values()]
            out.writerow(["" if cell is None else cell for cell in cells])
        return file.getvalue().encode()

    def picture(self, pixels: NDArray[np.float32]) -> bytes:
        """Return the covered photo as PNG.

        Args:
            pixels: (3, H, W), the photo.
        """
        shown = Covered(self.found.cells, self.found.fill).image(torch.from_numpy(pixels))
        return png(eight_bit(shown.numpy()))

    def section(self, pixels: NDArray[np.float32]) -> str:
        """Return the section of the report.

        Args:
            pixels: (3, H, W), the photo.
        """
        image = base64.b64encode(self.picture(pixels)).decode()
        score, change = self.lines[:2]
        rows = "\n".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in self.rows)
        return "\n".join(
            [
                "<h2>Covered photo</h2>",
                f'<p><img src="data:image/png;base64,{image}" alt="The covered photo"></p>',
                *(f"<p>{escape(line)}</p>" for line in (score, change)),
                f"<table><tbody>{rows}</tbody></table>",
                *(f"<p>{escape(sentence)}</p>" for sentence in self.sentences),
                f"<p><code>{escape(write(self.attempt, full=True))}</code></p>",
            ]
        )

    def script(self) -> str:
        """Return the lines of `reproduce.py` that repeat the measurement."""
        fill, target = write(self.found.fill, full=True), write(self.found.target)
        return SCRIPT.format(
            cells=self.found.cells.text,
            fill=fill,
            target=target,
            challenge=self.attempt.challenge,
            after=self.found.after,
        )


SCRIPT = """# The covered photo; challenge: {challenge}
found = at.probe(model, x, "{cells}", at.read_baseline("{fill}"), target=at.read_target("{target}"))
off = abs(found.after - {after!r}) / max(abs({after!r}), abs(found.before), 1e-9)
print(f"covered: {{'identical' if off == 0 else f'differs by {{off:.1e}} relative to the score'}}")
worst = max(worst, off)
"""
