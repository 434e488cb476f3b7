"""An analysis: everything that defines a set of maps, as one value with a text form."""

from dataclasses import dataclass
from typing import ClassVar

from attribution.methods import METHODS
from attribution.methods.method import Method
from attribution.models import DEFAULT_MODEL
from attribution.photo.crop import CENTRE, Crop, CropSetting
from attribution.photo.samples import DEFAULT_SAMPLE
from attribution.result import Attribution
from attribution.settings import Choice, Configurable, Index, Several, Text, Texts, restore, setting
from attribution.targets.target import DEFAULT_SCORE, SCORES, Target

MAX_BESIDE = 2  # other models beside the first


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

    @property
    def full_target(self) -> Target:
        """The target: class, score and second class as one value.

        Raises:
            Refusal: If the two classes are the same.
        """
        return Target(self.target, self.score, self.versus)

    @classmethod
    def of(cls, maps: list[Attribution], photo: str, crop: Crop = CENTRE) -> "Analysis":
        """Reconstruct the analysis of finished maps of one photo, model and target.

        Args:
            maps: One or more maps.
            photo: Name of the photo.
            crop: As in the class.
        """
        methods = tuple(restore(METHODS[each.method], each.settings) for each in maps)
        target = maps[0].target
        return cls(photo, crop, maps[0].model, target.index, target.versus, target.score, methods)
