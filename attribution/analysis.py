"""An analysis: everything that defines a set of maps, as one value with one text form."""

from dataclasses import dataclass
from typing import ClassVar

from attribution.methods import METHODS
from attribution.methods.method import Method
from attribution.models import DEFAULT
from attribution.photo.samples import FIRST
from attribution.result import Attribution
from attribution.settings import Choice, Configurable, Index, Pair, Several, Text, restore, setting
from attribution.targets.target import DEFAULT_SCORE, SCORES, Target


@dataclass(frozen=True)
class Analysis(Configurable):
    """A photo, a model, a target and methods with their settings.

    Links, the command line, the manifest of an export and the keys of caches are this value's text form.

    Attributes:
        photo: Name of a sample photo, or of a file. Default: the first sample.
        crop: Position of the network's square on the photo: 0 is left or top, 100 right or bottom, in percent of the
            free way. Default: the centre.
        model: Key of a model. Default: the embedded SqueezeNet.
        target: Index of the explained class. Default: None, the predicted class.
        versus: Index of a second class, to compare with. Default: None, all other classes.
        score: Key of a score. Default: probability.
        methods: With their settings. Default: the four of the worked example.
    """

    key: ClassVar[str] = "analysis"
    title: ClassVar[str] = "Analysis"

    photo: str = setting(Text("Name of a sample photo, or of a file."), FIRST)
    crop: tuple[float, float] = setting(
        Pair("Position of the network's square on the photo, across and down, in percent of the free way.", 0, 100),
        (50.0, 50.0),
    )
    model: str = setting(Text("Key of a model; the command `models` lists them."), DEFAULT)
    target: int | None = setting(Index("Class to explain, by index or name. Default: the predicted class."), None)
    versus: int | None = setting(Index("Second class, to compare with. Default: all other classes."), None)
    score: str = setting(Choice("Score to explain.", tuple(SCORES)), DEFAULT_SCORE)
    methods: tuple[Method, ...] = setting(
        Several("Methods with their settings.", METHODS),
        tuple(method() for method in METHODS.values() if method.chosen),
    )

    @property
    def full_target(self) -> Target:
        """The class, the second class and the score as one value.

        Raises:
            Refusal: If the two classes are the same.
        """
        return Target(self.target, self.score, self.versus)

    @classmethod
    def of(cls, maps: list[Attribution], photo: str, crop: tuple[float, float] = (50.0, 50.0)) -> "Analysis":
        """Make the analysis that finished maps of one photo, model and target came from.

        Args:
            maps: One or more.
            photo: Name of the photo.
            crop: As in the class.
        """
        methods = tuple(restore(METHODS[each.method], each.settings) for each in maps)
        target = maps[0].target
        return cls(photo, crop, maps[0].model, target.index, target.versus, target.score, methods)
