"""Chapter 9: maps without gradients, beside one covered window."""

from dataclasses import dataclass
from typing import ClassVar

from attribution.baselines.covered import FILLS
from attribution.lesson.chapter import Chapter
from attribution.lesson.figure import Figure, Picture
from attribution.lesson.numerals import plain, signed
from attribution.lesson.patch import LAST, PATCHES
from attribution.lesson.subject import Subject
from attribution.methods.activations.grad_cam import GradCAM
from attribution.methods.method import Method
from attribution.methods.perturbations.occlusion import Occlusion
from attribution.photo.encode import eight_bit
from attribution.result import Attribution
from attribution.settings import Choice, Number, setting

COVERS = ("grey", "black", "white", "blur")


@dataclass(frozen=True)
class Covering(Chapter):
    """The photo with one window covered, beside occlusion, which tries every window, and Grad-CAM.

    Attributes:
        place: Number of the window, row by row from the top left.
        fill: Key of what covers it.
    """

    key: ClassVar[str] = "covering"
    title: ClassVar[str] = "Without gradients"
    number: ClassVar[int] = 9
    formula: ClassVar[str] = r"m(w) = S(x) - S(x \;\mathrm{with}\; w \;\mathrm{covered})"
    pointed: ClassVar[str] = "place"
    hidden: ClassVar[tuple[str, ...]] = ("occlusion", "grad_cam")
    right: ClassVar[str] = "a"
    code: ClassVar[str] = """\
import torch

import attribution as at


class Ears(torch.nn.Module):
    def forward(self, x):
        left, right = x[..., :14].mean((1, 2, 3)), x[..., 14:].mean((1, 2, 3))
        return torch.stack([torch.clamp(left + right, max=1.0), 0 * left], 1)


model = at.Model("two ears", Ears(), (28, 28), (0, 0, 0), (1, 1, 1), ("dog", "other"), device="cpu")
for mask in ("0/0/14/28", "0/0/28/28"):
    tried = at.probe(model, torch.ones(3, 28, 28), mask, at.baselines.Black(), target=at.Target(0, "logit"))
    print(f"{tried.change:+.0f}")
"""

    place: int = setting(Number("Number of the window, row by row from the top left.", 0, LAST), 12)
    fill: str = setting(Choice("Cover.", COVERS, {key: FILLS[key].title for key in COVERS}), "grey")

    def figure(self, subject: Subject | None) -> Figure:
        assert subject
        height, width = subject.x.shape[1:]
        side = _side((height, width))
        row, column = (
            min(each, (length - 1) // side)
            for each, length in zip(divmod(self.place, PATCHES), (height, width), strict=True)
        )
        window = (..., slice(row * side, (row + 1) * side), slice(column * side, (column + 1) * side))
        covered = subject.x.clone()
        covered[window] = FILLS[self.fill]().image(subject.x)[window]
        (after,) = subject.scores(covered[None])
        methods = self.methods((height, width))
        found = [each for each in subject.explain(methods) if isinstance(each, Attribution)]
        return Figure(
            (
                Picture("covered", eight_bit(covered.numpy())),
                *(Picture(each.method, each) for each in found),
            ),
            facts={
                "before": plain(subject.score),
                "after": plain(float(after)),
                "change": signed(float(after) - subject.score),
                "axis": subject.target.axis,
            },
        )

    def methods(self, size: tuple[int, int]) -> tuple[Method, ...]:
        return (Occlusion(_side(size), _side(size), FILLS[self.fill]()), GradCAM())


def _side(size: tuple[int, int]) -> int:
    """Return the side of a window in pixels; at most seven are beside each other in an image of size (H, W)."""
    return -(-max(size) // PATCHES)
