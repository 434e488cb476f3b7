"""Attribution: the values of one map with their provenance. Results: the results of several methods."""

import dataclasses
import io
import json
import math
import os
from dataclasses import dataclass, field
from html import escape
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from attribution.drawing.view import View
from attribution.network.rectifiers import Interception
from attribution.photo.encode import data_url, eight_bit
from attribution.refusal import Refusal, Remedy
from attribution.system.files import storing, whole_file
from attribution.targets.target import Target

VERSION = "0.1.0"
ARRAY_FIELDS = ("values", "pixels", "segments", "standard_error")  # the last two may be missing
NEGLIGIBLE_DIFFERENCE = 1e-3  # score difference from the baseline below which a relative delta is meaningless
DOUBTFUL_DELTA = 0.05  # relative delta above which a map is marked as doubtful
IMPROVABLE_DELTA = 0.01  # relative delta above which more steps are recommended
IMPROVABLE_ERROR = 0.05  # estimated relative error of the map above which more steps are recommended


@dataclass(frozen=True, eq=False, repr=False)
class Attribution:
    """One map: the contribution of each value of the photo to the score, and how it was computed.

    Attributes:
        values: (3, H, W), signed, in `unit`; gradients are per unit of pixel value, methods with a baseline are
            multiplied by the difference from it.
        pixels: (3, H, W), the photo as the network saw it, in [0, 1].
        score: Score of the photo.
        baseline_score: Score of the baseline; None without a baseline.
        delta: sum(values) - (score - baseline_score); None if the method is not complete.
        method: Key of the method.
        settings: Settings of the method as plain values.
        target: Class and score that are explained.
        model: Name of the model.
        forwards: Forward passes, counted per image.
        backwards: Backward passes, counted per image.
        chunk: Maximum images per chunk.
        seconds: Duration in seconds, without suspensions for other jobs.
        rectifiers: Rectifiers and other nonlinear operators in the map's forward pass; None if they were not recorded.
        notes: Warnings, as sentences.
        explained: Description of the target.
        prediction: The five most probable classes and the explained class, as returned by `Model.predict`.
        versions: Versions of the packages, the device, the number of threads, and the SHA-256 of the weights.
        unit: Unit of the values.
        converges: True if more steps reduce delta.
        signed: True if the map is drawn in signed colours by default.
        remedies: Changes that the notes or the account recommend.
        error: Estimated L2 error of the map, relative to its L2 norm; None if the method does not estimate it.
        segments: (H, W), labels from 0 to M - 1 of segments with one value each; None without segments.
        standard_error: (M,), of each segment's sum of values, due to the choice of masks; None without segments.
        conservation: Sum of the relevance at every stage of the network, by the stage's name, from the logits to the
            pixels; empty if the method propagates none.
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
    signed: bool = False
    remedies: tuple[Remedy, ...] = ()
    error: float | None = None
    segments: NDArray[np.int64] | None = None
    standard_error: NDArray[np.float64] | None = None
    conservation: tuple[tuple[str, float], ...] = ()

    @property
    def relative_delta(self) -> float | None:
        """|delta| / |score - baseline_score|; None without a delta, or if the two scores are equal up to rounding."""
        if (
            self.delta is None
            or self.baseline_score is None
            or math.isclose(self.score, self.baseline_score, rel_tol=1e-5)
        ):
            return None
        return abs(self.delta / (self.score - self.baseline_score))

    @property
    def doubtful(self) -> bool:
        """True if the sum of the values is off by more than 5% of the score difference."""
        return (self.relative_delta or 0.0) > DOUBTFUL_DELTA

    @property
    def improvable(self) -> bool:
        """True if more steps help and the map is off by over 5%, or its sum by over 1% (5% if `error` is known)."""
        if self.delta is None or self.baseline_score is None or not self.converges:
            return False
        if (self.error or 0.0) > IMPROVABLE_ERROR:
            return True
        difference = abs(self.score - self.baseline_score)
        tolerance = IMPROVABLE_DELTA if self.error is None else DOUBTFUL_DELTA  # the map's own error says more
        return difference >= NEGLIGIBLE_DIFFERENCE and abs(self.delta) > tolerance * difference

    @property
    def negligible(self) -> bool:
        """True if the score hardly differs from the baseline's, so that there is little to explain."""
        return self.baseline_score is not None and abs(self.score - self.baseline_score) < NEGLIGIBLE_DIFFERENCE

    @property
    def account(self) -> str | None:
        """Sentences on the map's sum, compared with the score difference, and its error; None without a delta."""
        if self.delta is None or self.baseline_score is None:
            return None
        difference = self.score - self.baseline_score
        gradients = f"After {self.backwards} gradients, the estimated error of the map is"
        error = "" if self.error is None else f" {gradients} {self.error:.1%}."
        if self.negligible:
            unreliable = ", and the map is unreliable" if abs(self.delta) > abs(difference) else ""
            return (
                f"The score differs from the baseline's by only {difference:.1g}, so there is little to explain"
                f"{unreliable} (delta {self.delta:+.1g}).{error}"
            )
        decimals = max(0, 2 - math.floor(math.log10(abs(difference))))  # three significant digits
        relative = abs(self.delta / difference)
        more = "; more steps would reduce " + ("the error" if self.error is None else "both") if self.improvable else ""
        if self.error is not None:
            return (
                f"The map sums to {difference + self.delta:.{decimals}f}; the score difference is "
                f"{difference:.{decimals}f} ({relative:.1%} off).{error[:-1]}{more}."
            )
        return (
            f"The map sums to {difference + self.delta:.{decimals}f}; the score difference is "
            f"{difference:.{decimals}f} ({relative:.1%} off{more}).{error}"
        )

    @property
    def statement(self) -> str:
        """The explained class with its score, such as "German shepherd (probability 0.997)"."""
        name = self.explained.removesuffix(f", {self.target.kind.title.lower()}")
        return f"{name} ({self.target.quantity(self.score)})"

    def draw(self, view: View | None = None) -> NDArray[np.uint8]:
        """Draw the map, (H, W, 3), 8-bit RGB.

        Args:
            view: View settings. Default: as the method asks for, signed or white to black.
        """
        return (view or View()).draw([self.values], eight_bit(self.pixels), [self.signed], [self.segments])[0].rgb

    def facts(self) -> dict[str, Any]:
        """Return all fields except the arrays, as JSON-compatible values."""
        names = [item.name for item in dataclasses.fields(self) if item.name not in ARRAY_FIELDS]
        facts = {name: getattr(self, name) for name in names}
        for name in ("target", "rectifiers"):
            facts[name] = facts[name] and dataclasses.asdict(facts[name])
        facts["remedies"] = [dataclasses.asdict(each) for each in self.remedies]
        return facts

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
        """Return HTML for notebooks: the photo, the map and a caption."""
        pictures = (eight_bit(self.pixels), self.draw())
        images = "".join(
            f'<img src="{data_url(picture)}" style="width: 16rem; margin-right: 1rem">' for picture in pictures
        )
        lines = [
            f"{self.method} for {self.explained} by {self.model}",
            f"score {self.score:.3g}",
            self.marked_account,
        ]
        text = "".join(f"<div>{escape(line)}</div>" for line in (*lines, *self.notes) if line)
        return f"<div>{images}{text}</div>"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one npz file without pickles; `load` reads it.

        Raises:
            Refusal: If the file cannot be written.
        """
        with whole_file(path) as file, storing(path):  # numpy would append .npz to a path
            self._write(file)

    def encode(self) -> bytes:
        """Return the content of the file that `save` writes."""
        file = io.BytesIO()
        self._write(file)
        return file.getvalue()

    def _write(self, file: BinaryIO) -> None:
        arrays = {name: array for name in ARRAY_FIELDS if (array := getattr(self, name)) is not None}
        np.savez_compressed(file, **arrays, facts=np.array(json.dumps(self.facts())))


class Results(list[Attribution | Refusal]):
    """The results of several methods for one photo, in the order of the methods."""

    @property
    def maps(self) -> list[Attribution]:
        """The attributions, without the refusals."""
        return [result for result in self if isinstance(result, Attribution)]

    @property
    def refusals(self) -> list[Refusal]:
        """The refusals, without the attributions."""
        return [result for result in self if isinstance(result, Refusal)]


def load(path: str | os.PathLike[str]) -> Attribution:
    """Read a file written by `Attribution.save`.

    Raises:
        Refusal: If the file is missing or was not written by `save`.
    """
    try:
        # Opened here, since numpy does not close files that are not archives.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in ARRAY_FIELDS if name in archive}
            facts = json.loads(str(archive["facts"]))
        seen = facts.pop("rectifiers")
        return Attribution(
            **arrays,
            target=Target(**facts.pop("target")),
            rectifiers=seen and Interception(**{**seen, "others": tuple(seen["others"])}),
            notes=tuple(facts.pop("notes")),
            remedies=tuple(Remedy(**each) for each in facts.pop("remedies", ())),
            prediction=tuple((int(i), str(name), float(p)) for i, name, p in facts.pop("prediction")),
            conservation=tuple((str(name), float(total)) for name, total in facts.pop("conservation", ())),
            **facts,
        )
    except OSError as error:
        raise Refusal(f"{os.fspath(path)} cannot be read: {error.strerror or error}.") from error
    except Exception as error:
        raise Refusal(
            f"{os.fspath(path)} is not a saved attribution; choose a file written by Attribution.save."
        ) from error
