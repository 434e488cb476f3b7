"""Registries of the classes in a package, so that a new file is registered without other edits."""

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


def modules(package: str) -> list[ModuleType]:
    """Import every module of a package and of the packages inside it.

    Args:
        package: Dotted name of a package that is being imported.

    Returns:
        Its modules, sorted by file name.
    """
    paths = importlib.import_module(package).__path__
    names = [info.name for info in pkgutil.walk_packages(paths, f"{package}.") if not info.ispkg]
    return [importlib.import_module(name) for name in sorted(names, key=lambda name: name.rpartition(".")[2])]


def discover(package: str, base: type[T]) -> dict[str, type[T]]:
    """Collect the leaf classes of `base` that the modules of a package define.

    Args:
        package: Dotted name of a package that is being imported.
        base: The interface; a leaf class is one with an attribute `key`, its name in the registry.

    Returns:
        Classes by key, ordered by file name and then by definition.

    Raises:
        TypeError: If two classes have the same key.
    """
    found: dict[str, type[T]] = {}
    for module in modules(package):
        for cls in vars(module).values():
            if not (inspect.isclass(cls) and issubclass(cls, base) and cls.__module__ == module.__name__):
                continue
            key: str | None = getattr(cls, "key", None)
            if key is None:  # an interface
                continue
            if key in found:
                raise TypeError(f"{cls.__name__} and {found[key].__name__} both have the key {key!r}.")
            found[key] = cls
    return found
