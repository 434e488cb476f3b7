"""One ES module from several files: Streamlit and a report accept one script each."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_IMPORT = re.compile(r'^import \{[^}]*\} from "(\..+)";\n', re.MULTILINE)
_NAME = re.compile(r"^(?:export )?(?:default )?(?:async )?(?:class|const|function|let) (\w+)", re.MULTILINE)


def bundle(entry: Path, constants: Mapping[str, Any] | None = None) -> str:
    """Return the ES module of a file and of everything that it imports, each file once, imports first.

    All files share one scope, so each name may be declared once.

    Args:
        entry: A file whose default export becomes that of the module.
        constants: JSON values by the name under which every file can use them.

    Raises:
        ValueError: If two files declare the same name.
    """
    files = dict.fromkeys(_imports_first(entry.resolve()))
    parts = [f"const {name} = {json.dumps(value)};\n" for name, value in (constants or {}).items()]
    parts += [path.read_text() for path in files]
    names = [name for part in parts for name in _NAME.findall(part)]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"Declared in more than one file of {entry.name}: {', '.join(sorted(repeated))}; rename one.")
    return "\n".join(re.sub("^export (?!default)", "", _IMPORT.sub("", part), flags=re.MULTILINE) for part in parts)


def _imports_first(path: Path) -> Iterator[Path]:
    for name in _IMPORT.findall(path.read_text()):
        yield from _imports_first((path.parent / name).resolve())
    yield path
