"""Chapter 4: guided backpropagation is another rule, and not a sharper gradient."""

from dataclasses import dataclass
from typing import ClassVar

from attribution.lesson.neurons_chapter import NeuronsChapter


@dataclass(frozen=True)
class Guided(NeuronsChapter):
    """Three neurons, with guided backpropagation in the foreground."""

    key: ClassVar[str] = "guided"
    title: ClassVar[str] = "Guided is another rule"
    number: ClassVar[int] = 4
    formula: ClassVar[str] = r"R_{\mathrm{below}} = [\,z > 0\,]\ \max(0,\ R)"
    right: ClassVar[str] = "c"
    focus: ClassVar[str] = "guided"
    code: ClassVar[str] = """\
import torch

import attribution as at


class Net(torch.nn.Module):
    def forward(self, x):
        x1, x2 = x[:, 0, 0].T
        a, b, c = torch.relu(torch.stack([x1 + x2, x1 - x2, x2 - x1]))
        return torch.stack([2 * a - 3 * b + 4 * c, 2 * a - 5 * b - c], 1)


model = at.Model("three neurons", Net(), (1, 2), (0, 0, 0), (1, 1, 1), ("1", "2"))
for x1 in (2.0, 2.1):
    x = torch.tensor([x1, 1.0]).expand(3, 1, 2)
    guided = at.attribute(model, x, at.GuidedBackprop(), at.Target(0, "logit"))
    print(f"score {guided.score:.1f}, guided {guided.values[0, 0]}")
"""
