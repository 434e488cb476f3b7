"""The registry METHODS. One file a method; a new file needs only its export line in `attribution/__init__.py`."""

from attribution.methods.method import GROUPS, Method
from attribution.registry import discover
from attribution.settings import read

METHODS: dict[str, type[Method]] = dict(
    sorted(
        discover(__name__, Method).items(),  # type: ignore[type-abstract]
        key=lambda entry: (not entry[1].chosen, GROUPS.index(entry[1].group)),  # the methods that are shown first
    )
)


def read_method(text: str) -> Method:
    """Make a method from its text form.

    Args:
        text: Such as `integrated_gradients(steps=50,baseline=white)`; settings that are left out have their defaults.

    Raises:
        Refusal: If the name or a setting is unknown, or a value is out of its range.
    """
    return read(text, METHODS)
