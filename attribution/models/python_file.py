"""Models of one's own: a function in a Python file, named as `mine.py:make`.

Only code and the command line load them; a link never does, since the file's code runs.
"""

import importlib.util
import inspect
import re
import sys
from pathlib import Path

from attribution.network.model import Model
from attribution.refusal import Refusal

REFERENCE = re.compile(r"(?P<file>.+\.py):(?P<function>[^\W\d]\w*)")


def is_reference(text: str) -> bool:
    """True if a text names a function in a Python file."""
    return REFERENCE.fullmatch(text) is not None


def load_file(reference: str, device: str = "auto") -> Model:
    """Run a Python file and call a function of it.

    The file's folder is on the import path while it runs, as for a script.

    Args:
        reference: `mine.py:make`, where `make(device)` or `make()` returns an `attribution.Model`.
        device: Passed to the function if it has a parameter `device`; otherwise the function chooses.

    Raises:
        Refusal: If the file or the function is missing, fails, or does not return a model.
    """
    found = REFERENCE.fullmatch(reference)
    assert found, reference
    path, name = Path(found["file"]), found["function"]
    spec = importlib.util.spec_from_file_location(f"model_file_{path.stem}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise Refusal(f"There is no file {str(path)!r}; name one as in mine.py:make.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # for dataclasses and pickles of the file
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
        make = getattr(module, name, None)
        if not callable(make):
            raise Refusal(f"{path.name} has no function {name!r}; write one that returns an attribution.Model.")
        model = make(device=device) if "device" in inspect.signature(make).parameters else make()
    except Refusal:
        raise
    except Exception as error:
        first = str(error).split("\n")[0]
        raise Refusal(
            f"{reference} failed ({type(error).__name__}: {first}); run it in Python to see where."
        ) from error
    finally:
        sys.path.remove(folder)
    if not isinstance(model, Model):
        raise Refusal(f"{reference} returns a {type(model).__name__}; return an attribution.Model.")
    return model
