"""Attribution: the values of one map with their provenance."""

import dataclasses
import json
import math
import os
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution.drawing.heatmap import grey, reduce
from attribution.network.rectifiers import Interception
from attribution.photo.encode import data_url, eight_bit
from attribution.refusal import Refusal
from attribution.system.files import storing, whole_file
from attribution.targets.target import Target

VERSION = "0.1.0"
NEGLIGIBLE = 1e-3  # score difference below which a share of it says nothing
ARRAYS = ("values", "pixels")
FAR = 0.05  # relative delta above which a map is marked
CLOSE = 0.01  # relative delta above which more steps are worth their time


@dataclass(frozen=True, eq=False, repr=False)
class Attribution:
    """How much each value of the photo counted, and how that was found.

    Attributes:
        values: (3, H, W), signed, in units of the score, or of its square; per unit of pixel value for gradients, and
            already multiplied by the distance from the baseline where there is one.
        pixels: (3, H, W), the photo as the network saw it, in [0, 1].
        score: What the network gives the photo.
        baseline_score: What it gives the baseline; None without a baseline.
        delta: sum(values) - (score - baseline_score); None where the method is not complete.
        method: Key of the method.
        settings: Its settings as plain values.
        target: The class and score that were explained.
        model: Name of the model.
        forwards: Images sent forward through the network.
        backwards: Images whose signal was sent back.
        chunk: Images at a time, at most.
        seconds: Wall time.
        rectifiers: What the pass that the map comes from was seen to use; None where nobody looked.
        notes: Warnings, as sentences.
        explained: The target in words.
        prediction: The five most probable classes, and the explained one, as `Model.predict` gives them.
        versions: What it was computed with: packages, device, threads, and the SHA-256 of the weights.
        unit: Of the values.
        converges: Whether more steps would bring delta down.
    """

    values: NDArray[Any]
    pixels: NDArray[Any]
    score: float
    baseline_score: float | None
    delta: float | None
    method: str
    settings: dict[str, int | float | str]
    target: Target
    model: str
    forwards: int
    backwards: int
    chunk: int
    seconds: float
    rectifiers: Interception | None = None
    notes: tuple[str, ...] = ()
    explained: str = ""
    prediction: tuple[tuple[int, str, float], ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    unit: str = ""
    converges: bool = True

    @property
    def relative_delta(self) -> float | None:
        """|delta| over |score - baseline_score|; None without a delta, or where the two scores differ by rounding."""
        if (
            self.delta is None
            or self.baseline_score is None
            or math.isclose(self.score, self.baseline_score, rel_tol=1e-5)
        ):
            return None
        return abs(self.delta / (self.score - self.baseline_score))

    @property
    def doubtful(self) -> bool:
        """Whether the values miss more than 5 % of the score difference."""
        return (self.relative_delta or 0.0) > FAR

    @property
    def account(self) -> str | None:
        """One sentence on how much of the score difference the map accounts for; None without a delta."""
        if self.delta is None or self.baseline_score is None:
            return None
        difference = self.score - self.baseline_score
        if abs(difference) < NEGLIGIBLE:
            return (
                f"The score differs from the baseline's by {difference:.1g} only, so there is little to account for "
                f"(delta {self.delta:+.1g})."
            )
        share = f"The map accounts for {difference + self.delta:#.3g} of the {difference:#.3g} score difference"
        relative = abs(self.delta / difference)
        more = "; more steps would bring it closer" if relative > CLOSE and self.converges else ""
        return f"{share}, {relative:.1%} off{more}."

    def facts(self) -> dict[str, Any]:
        """Everything but the arrays, as JSON can hold it."""
        names = [item.name for item in dataclasses.fields(self) if item.name not in ARRAYS]
        shown = {name: getattr(self, name) for name in names}
        for name in ("target", "rectifiers"):
            shown[name] = shown[name] and dataclasses.asdict(shown[name])
        return shown

    @property
    def marked_account(self) -> str:
        """The account with a warning sign if the map is doubtful; empty without a delta."""
        return f"\u26a0 {self.account}" if self.doubtful else self.account or ""

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.values.shape))
        return (
            f"Attribution({self.method} of {self.explained!r} by {self.model}, score {self.score:.4g}, values {shape})"
        )

    def _repr_html_(self) -> str:
        """In a notebook: the photo, the map white-to-black, and what they are."""
        pictures = (eight_bit(self.pixels), grey(reduce(self.values)))
        images = "".join(
            f'<img src="{data_url(picture)}" style="width: 16rem; margin-right: 1rem">' for picture in pictures
        )
        lines = [
            f"{self.method} for {self.explained} by {self.model}",
            f"score {self.score:.3g}",
            f"\u26a0 {self.account}" if self.doubtful else self.account or "",
        ]
        text = "".join(f"<div>{escape(line)}</div>" for line in (*lines, *self.notes) if line)
        return f"<div>{images}{text}</div>"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one npz file, without pickles; `load` gives the same back.

        Raises:
            Refusal: If the disk does not take it.
        """
        with whole_file(path) as file, storing(path):  # a path given to numpy would get a second ending
            arrays = {name: getattr(self, name) for name in ARRAYS}
            np.savez_compressed(file, **arrays, facts=np.array(json.dumps(self.facts())))


class Results(list[Attribution | Refusal]):
    """The results of several methods for one photo, in the order in which the methods were given."""

    @property
    def maps(self) -> list[Attribution]:
        """The attributions, without the refusals."""
        return [result for result in self if isinstance(result, Attribution)]

    @property
    def refusals(self) -> list[Refusal]:
        """The refusals, each of a method that cannot serve."""
        return [result for result in self if isinstance(result, Refusal)]


def load(path: str | os.PathLike[str]) -> Attribution:
    """Read what `Attribution.save` wrote.

    Raises:
        Refusal: If the file is missing or was not written by `save`.
    """
    try:
        # Opened here, since numpy does not close a file that turns out to be no archive.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays, facts = {name: archive[name] for name in ARRAYS}, json.loads(str(archive["facts"]))
        seen = facts.pop("rectifiers")
        return Attribution(
            **arrays,
            target=Target(**facts.pop("target")),
            rectifiers=seen and Interception(**{**seen, "others": tuple(seen["others"])}),
            notes=tuple(facts.pop("notes")),
            prediction=tuple((int(i), str(name), float(p)) for i, name, p in facts.pop("prediction")),
            **facts,
        )
    except OSError as error:
        raise Refusal(f"{os.fspath(path)} cannot be read: {error.strerror or error}.") from None
    except Exception:
        raise Refusal(f"{os.fspath(path)} is not a saved attribution; write one with Attribution.save.") from None
