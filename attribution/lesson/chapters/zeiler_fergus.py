"""Chapter 5: the rule of Zeiler and Fergus never looks at the input."""

from dataclasses import dataclass
from typing import ClassVar

from attribution.lesson.neurons_chapter import NeuronsChapter


@dataclass(frozen=True)
class ZeilerFergusRule(NeuronsChapter):
    """Three neurons, with Zeiler-Fergus in the foreground."""

    key: ClassVar[str] = "zeiler_fergus"
    title: ClassVar[str] = "Zeiler-Fergus"
    number: ClassVar[int] = 5
    formula: ClassVar[str] = r"R_{\mathrm{below}} = \max(0,\ R)"
    right: ClassVar[str] = "b"
    focus: ClassVar[str] = "zeiler_fergus"
    code: ClassVar[str] = """\
import torch

import attribution as at


class Net(torch.nn.Module):
    def forward(self, x):
        x1, x2 = x[:, 0, 0].T
        a, b, c = torch.relu(torch.stack([x1 + x2, x1 - x2, x2 - x1]))
        return torch.stack([2 * a - 3 * b + 4 * c, 2 * a - 5 * b - c], 1)


model = at.Model("three neurons", Net(), (1, 2), (0, 0, 0), (1, 1, 1), ("1", "2"))
for pair in ((2.0, 1.0), (1.0, 2.0), (-2.0, 1.0), (-2.0, -3.0)):
    x = torch.tensor(pair).expand(3, 1, 2)
    print(pair, at.attribute(model, x, at.ZeilerFergus(), at.Target(0, "logit")).values[0, 0])
"""
