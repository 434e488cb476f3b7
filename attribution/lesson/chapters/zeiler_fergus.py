"""Chapter 5: the rule of Zeiler and Fergus never looks at the input."""

from dataclasses import dataclass
from typing import ClassVar

from attribution.lesson.neurons_chapter import NETWORK, NeuronsChapter


@dataclass(frozen=True)
class ZeilerFergusRule(NeuronsChapter):
    """Three neurons, with Zeiler-Fergus in the foreground."""

    key: ClassVar[str] = "zeiler_fergus"
    title: ClassVar[str] = "Zeiler-Fergus"
    number: ClassVar[int] = 5
    formula: ClassVar[str] = r"R_{\mathrm{below}} = \max(0,\ R)"
    right: ClassVar[str] = "b"
    focus: ClassVar[str] = "zeiler_fergus"
    code: ClassVar[str] = (
        NETWORK
        + """\
for pair in ((2.0, 1.0), (1.0, 2.0), (-2.0, 1.0), (-2.0, -3.0)):
    x = torch.tensor(pair).expand(3, 1, 2)
    print(pair, at.attribute(model, x, at.ZeilerFergus(), at.Target(0, "logit")).values[0, 0])
"""
    )
