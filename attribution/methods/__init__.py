"""The registry METHODS. One file a method; a new file needs only its export line in `attribution/__init__.py`."""

from attribution.methods.method import GROUPS, Method
from attribution.registry import discover

METHODS: dict[str, type[Method]] = dict(
    sorted(
        discover(__name__, Method).items(),  # type: ignore[type-abstract]
        key=lambda entry: (not entry[1].chosen, GROUPS.index(entry[1].group)),  # what is shown first stands first
    )
)
