"""The registry BASELINES: images from which a path starts. A new file needs no other edit.

Every class in the registry is also an attribute of this package: `attribution.baselines.Black()`.
"""

from attribution.baselines.baseline import Baseline
from attribution.registry import discover
from attribution.settings import read

BASELINES: dict[str, type[Baseline]] = discover(__name__, Baseline)  # type: ignore[type-abstract]


def read_baseline(text: str) -> Baseline:
    """Make a baseline from its text form.

    Args:
        text: Such as `blur(sigma=10)`, or only a colour such as `#808080`.

    Raises:
        Refusal: If the name or a setting is unknown, or a value is out of its range.
    """
    return read(text, BASELINES)


def __getattr__(name: str) -> type[Baseline]:
    for cls in BASELINES.values():
        if cls.__name__ == name:
            return cls
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return ["BASELINES", "Baseline", *(cls.__name__ for cls in BASELINES.values())]
