"""The registry CHAPTERS, by key in the order of the lesson. One file per chapter."""

from attribution.lesson.chapter import Chapter
from attribution.registry import discover

CHAPTERS: dict[str, type[Chapter]] = dict(
    sorted(
        discover(__name__, Chapter).items(),  # type: ignore[type-abstract]
        key=lambda entry: entry[1].number,
    )
)
