"""The maps of one photo by unique name, shared by all exports."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain

from attribution.methods import METHODS
from attribution.refusal import Refusal
from attribution.result import Attribution, Results
from attribution.settings import restore, summary
from attribution.targets.target import Target

# Of one photo, as `attribute` or `compare` return them, also for several targets.
Exported = Attribution | Sequence[Attribution | Refusal] | Sequence[Sequence[Attribution | Refusal]]


def named(exported: Exported) -> dict[str, Attribution]:
    """Name every map, as a file name.

    Returns:
        Maps by name: the key of the method, numbered from the second map of a method on.

    Raises:
        Refusal: If there is no map, or the maps are of several photos.
    """
    maps: dict[str, Attribution] = {}
    seen: Counter[str] = Counter()
    for result in _results(exported).maps:
        seen[result.method] += 1
        number = seen[result.method]
        maps[result.method if number == 1 else f"{result.method}-{number}"] = result
    if not maps:
        raise Refusal("There is no map to export; choose a method that supports this model.")
    if len({(result.model, result.pixels.tobytes()) for result in maps.values()}) > 1:
        raise Refusal("The maps are of several photos or models; export one at a time.")
    return maps


def refused(exported: Exported) -> list[str]:
    """Return the messages of the methods that refused."""
    return [str(refusal) for refusal in _results(exported).refusals]


def _results(exported: Exported) -> Results:
    rows = [exported] if isinstance(exported, Attribution) else exported
    return Results(chain.from_iterable([row] if isinstance(row, Attribution | Refusal) else row for row in rows))


def by_target(maps: dict[str, Attribution]) -> list[dict[str, Attribution]]:
    """Return the maps of each target, in the order of their first maps."""
    found: dict[Target, dict[str, Attribution]] = {}
    for name, result in maps.items():
        found.setdefault(result.target, {})[name] = result
    return list(found.values())


def predicted(maps: dict[str, Attribution]) -> list[tuple[int, str, float]]:
    """Return the most probable classes and all explained ones, as `Model.predict` does."""
    return list({entry[0]: entry for each in maps.values() for entry in each.prediction}.values())


def title(result: Attribution) -> str:
    """Return the title of the method."""
    return METHODS[result.method].title


def settings(result: Attribution) -> str:
    """Format the settings of the method on one line, without empty ones."""
    return summary(restore(METHODS[result.method], result.settings))


def computed(result: Attribution) -> str:
    """Format the cost of the map."""
    forwards = counted(result.forwards, "forward pass") if result.forwards else "shared forward pass"
    text = f"{result.seconds:.2f} s, {forwards}, {counted(result.backwards, 'backward pass')}"
    return f"{text}, {counted(result.rectifiers.count, 'rectifier')} found" if result.rectifiers else text


def counted(number: int, word: str) -> str:
    """Return a number with its word, such as "1 forward pass" or "25 rectifiers"."""
    return f"{number} {word}" if number == 1 else f"{number} {word}{'es' if word.endswith('s') else 's'}"
