"""An analysis: everything that defines a set of maps, as one value with a text form."""

from dataclasses import dataclass
from typing import ClassVar

from attribution.methods import METHODS
from attribution.methods.method import Method
from attribution.models import DEFAULT_MODEL
from attribution.photo.crop import CENTRE, Crop, CropSetting
from attribution.photo.samples import DEFAULT_SAMPLE
from attribution.refusal import Refusal
from attribution.result import Attribution
from attribution.settings import Choice, Configurable, Index, Indices, Several, Text, Texts, restore, setting
from attribution.targets.target import DEFAULT_SCORE, SCORES, Target

MAX_BESIDE = 2  # other models beside the first
MAX_ALSO = 3  # further classes besides the first


@dataclass(frozen=True)
class Analysis(Configurable):
    """A photo, a model, a target and methods with their settings.

    Its text form is used in links, on the command line, in export manifests and in cache keys.

    Attributes:
        photo: Name of a sample photo, or of a file. Default: the first sample.
        crop: Position and size of the crop in percent, such as (50, 20) or (50, 20, 60), or "fit" for the whole photo.
            Default: the centre, of the size that the network expects.
        model: Key of a model. Default: the embedded SqueezeNet.
        target: Index of the explained class. Default: None, the predicted class.
        versus: Index of a second class, to compare with. Default: None, all other classes.
        score: Key of a score. Default: probability.
        methods: Methods with their settings. Default: those marked as `chosen`.
        beside: Keys of up to two other models, shown for comparison on the page. Default: none.
        also: Indices of up to three further classes, explained by the same score on the page. Default: none.

    Raises:
        Refusal: If a field is out of its range, or a further class is the explained or the second one.
    """

    key: ClassVar[str] = "analysis"
    title: ClassVar[str] = "Analysis"

    photo: str = setting(Text("Name of a sample photo, or of a file."), DEFAULT_SAMPLE)
    crop: Crop = setting(
        CropSetting(
            "Position of the crop in percent, horizontal and vertical: 0 is left or top. A third number is its size in "
            "percent of the photo's shorter side; without it, the size is the network's own. With fit, the network "
            "sees the whole photo."
        ),
        CENTRE,
    )
    model: str = setting(
        Text(
            "Key of a model, as listed by the command `models`; timm/NAME; or one's own: mine.py:make, or "
            "checkpoint:architecture=timm/resnet18,file=best.pt,classes=cat/dog."
        ),
        DEFAULT_MODEL,
    )
    target: int | None = setting(Index("Class to explain, by index or name. Default: the predicted class."), None)
    versus: int | None = setting(Index("Second class, to compare with. Default: all other classes."), None)
    score: str = setting(Choice("Score to explain.", tuple(SCORES)), DEFAULT_SCORE)
    methods: tuple[Method, ...] = setting(
        Several("Methods with their settings.", METHODS),
        tuple(method() for method in METHODS.values() if method.chosen),
    )
    beside: tuple[str, ...] = setting(Texts("Other models to compare with.", MAX_BESIDE, shown=False), ())
    also: tuple[int, ...] = setting(Indices("Further classes to explain.", MAX_ALSO, shown=False), ())

    def __post_init__(self) -> None:
        super().__post_init__()
        for index in self.also:
            if index in (self.target, self.versus):
                raise Refusal(f"The further class {index} is the explained or the second class; choose another one.")

    @property
    def full_target(self) -> Target:
        """The target: class, score and second class as one value.

        Raises:
            Refusal: If the two classes are the same.
        """
        return Target(self.target, self.score, self.versus)

    @property
    def targets(self) -> list[Target]:
        """The target, and the same for every further class.

        Raises:
            Refusal: As for `full_target`.
        """
        return [self.full_target, *(Target(index, self.score, self.versus) for index in self.also)]

    @classmethod
    def of(cls, maps: list[Attribution], photo: str, crop: Crop = CENTRE) -> "Analysis":
        """Reconstruct the analysis of finished maps of one photo and model.

        Args:
            maps: One or more maps. The first target is explained; further ones that differ from it in more than their
                class, or that are too many for an analysis, are left out.
            photo: Name of the photo.
            crop: As in the class.
        """
        methods = tuple(dict.fromkeys(restore(METHODS[each.method], each.settings) for each in maps))
        first = maps[0].target
        alike = [each.target for each in maps if (each.target.score, each.target.versus) == (first.score, first.versus)]
        also = tuple(each.index for each in dict.fromkeys(alike) if each != first and each.index is not None)[:MAX_ALSO]
        return cls(photo, crop, maps[0].model, first.index, first.versus, first.score, methods, also=also)
