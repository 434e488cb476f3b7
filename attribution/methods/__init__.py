"""The registry METHODS. One file per method; a new one only needs an export line in `attribution/__init__.py`."""

from attribution.methods.method import GROUPS, Method
from attribution.registry import discover
from attribution.settings import read

METHODS: dict[str, type[Method]] = dict(
    sorted(
        discover(__name__, Method).items(),  # type: ignore[type-abstract]
        key=lambda entry: (not entry[1].chosen, GROUPS.index(entry[1].group)),  # default methods first
    )
)


def read_method(text: str) -> Method:
    """Make a method from its text form.

    Args:
        text: Such as `integrated_gradients(steps=50,baseline=white)`; missing settings take their defaults.

    Raises:
        Refusal: If the name or a setting is unknown, or a value is out of its range.
    """
    return read(text, METHODS)
