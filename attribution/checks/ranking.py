"""A ranking of attempts at one challenge; each is judged again, whatever its author says it achieved."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from attribution.baselines.baseline import Baseline
from attribution.checks.challenges.attempt import CHALLENGES, Attempt
from attribution.checks.challenges.challenge import Judged
from attribution.checks.probe import Forecaster, Prober, forecaster
from attribution.refusal import Refusal
from attribution.result import Attribution

MOST_ATTEMPTS = 40
DIGITS = 6  # decimals of a value that decide a rank, so that rounding errors do not


@dataclass(frozen=True)
class Ranked:
    """A row of the ranking.

    Attributes:
        place: Position of the attempt in the list as given, from 0.
        attempt: The attempt.
        judged: The verdict.
        rank: From 1; attempts of one value share a rank, and the next rank counts them all. None if it is not valid.
    """

    place: int
    attempt: Attempt
    judged: Judged
    rank: int | None


def ranking(
    prober: Prober,
    challenge: str,
    attempts: Sequence[Attempt],
    maps: Sequence[Attribution] = (),
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> list[Ranked]:
    """Judge attempts at one challenge on one photo, and rank them.

    Args:
        prober: The photo.
        challenge: A key of CHALLENGES.
        attempts: At most 40.
        maps: Maps of the photo, for the challenges that compare forecasts. Default: none.
        on_progress: Called after each attempt with the fraction done; if it raises, the work stops.

    Returns:
        The valid attempts by rank, then the others, both in the order given where they are equal.

    Raises:
        Refusal: If there are more than 40.
    """
    if len(attempts) > MOST_ATTEMPTS:
        raise Refusal(f"A ranking takes at most {MOST_ATTEMPTS} attempts, got {len(attempts)}; leave some out.")
    kind, forecasters = CHALLENGES[challenge], dict[Baseline, list[Forecaster]]()
    verdicts = []
    for place, each in enumerate(attempts):
        if each.challenge != challenge:
            verdicts.append(Judged(False, None, f"This is no attempt at the challenge {kind.title}."))
        else:
            if each.fill not in forecasters:
                forecasters[each.fill] = [forecaster(result, each.fill) for result in maps]
            verdicts.append(kind.judge(prober, each.cells, each.fill, forecasters[each.fill], each.guess))
        on_progress((place + 1) / len(attempts))
    sign = 1 if kind.better == "less" else -1
    values = [sign * round(each.value or 0.0, DIGITS) if each.valid else None for each in verdicts]
    valid = [value for value in values if value is not None]
    rows = [
        Ranked(place, attempt, judged, None if value is None else 1 + sum(other < value for other in valid))
        for place, (attempt, judged, value) in enumerate(zip(attempts, verdicts, values, strict=True))
    ]
    return sorted(rows, key=lambda row: (row.rank is None, row.rank or 0))
