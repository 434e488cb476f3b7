"""Zeiler-Fergus backpropagation, also called deconvnet."""

from dataclasses import dataclass
from typing import ClassVar

from attribution.citation import Citation
from attribution.methods.backward_rule import BackwardRule


@dataclass(frozen=True)
class ZeilerFergus(BackwardRule):
    """The signal sent back as a deconvolutional network does: rectified on its way, whatever the photo opened.

    Shows patterns that the class responds to, placed by the max-pooling switches. Cannot show much of this photo: it
    ignores which rectifiers were open, and without max-pooling or gates hardly depends on the photo at all.
    Deviation: none for rectifiers; other activations keep their derivative, which is noted.
    Source: Zeiler and Fergus 2014, arXiv:1311.2901.
    """

    key: ClassVar[str] = "zeiler_fergus"
    title: ClassVar[str] = "Zeiler-Fergus"
    group: ClassVar[str] = "rectifier rules"
    shows: ClassVar[str] = "Patterns that the class responds to, placed by the max-pooling switches."
    cannot: ClassVar[str] = "Much of this photo: without max-pooling the map hardly depends on it."
    source: ClassVar[Citation] = Citation(
        ("Matthew D. Zeiler", "Rob Fergus"),
        2014,
        "Visualizing and Understanding Convolutional Networks",
        "1311.2901",
        "ECCV",
    )

    rule: ClassVar[str] = "zeiler_fergus"
    ignores_gates: ClassVar[bool] = True
