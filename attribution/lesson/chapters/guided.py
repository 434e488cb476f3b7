"""Chapter 4: guided backpropagation is another rule, and not a sharper gradient."""

from dataclasses import dataclass
from typing import ClassVar

from attribution.lesson.neurons_chapter import NETWORK, NeuronsChapter


@dataclass(frozen=True)
class Guided(NeuronsChapter):
    """Three neurons, with guided backpropagation in the foreground."""

    key: ClassVar[str] = "guided"
    title: ClassVar[str] = "Guided is another rule"
    number: ClassVar[int] = 4
    formula: ClassVar[str] = r"R_{\mathrm{below}} = [\,z > 0\,]\ \max(0,\ R)"
    right: ClassVar[str] = "c"
    focus: ClassVar[str] = "guided"
    code: ClassVar[str] = (
        NETWORK
        + """\
for x1 in (2.0, 2.1):
    x = torch.tensor([x1, 1.0]).expand(3, 1, 2)
    guided = at.attribute(model, x, at.GuidedBackprop(), at.Target(0, "logit"))
    print(f"score {guided.score:.1f}, guided {guided.values[0, 0]}")
"""
    )
