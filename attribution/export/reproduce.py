"""A short script that computes maps again and says how close it came."""

from collections.abc import Iterator, Mapping

from attribution.methods import METHODS
from attribution.models import MODELS
from attribution.result import Attribution
from attribution.settings import Configurable, described, restore

TEMPLATE = '''"""Computes the maps of this folder again and compares them with the saved ones.

Run it with the project's Python, from the project's folder: PYTHONPATH=. python path/to/reproduce.py
"""

import sys
from pathlib import Path

import numpy as np
import torch

try:
    import attribution as at
except ImportError:
    sys.exit("Run this from the project's folder: PYTHONPATH=. python path/to/reproduce.py")
{imports}

torch.set_num_threads({threads})
saved = np.load(Path(__file__).with_name("attributions.npz"))
{model}
weights = {weights!r}  # SHA-256
print("weights:", "the same" if model.weights == weights else "DIFFERENT")
maps = {{
{maps}
}}
worst = 0.0
for name, (method, target) in maps.items():
    found = at.attribute(model, torch.from_numpy(saved["pixels"]), method, target, chunk={chunk}).values
    off = np.abs(found - saved[name]).max() / (np.abs(saved[name]).max() or 1.0)
    same = found.tobytes() == saved[name].tobytes()
    print(f"{{name}}: {{'same bytes' if same else f'within {{off:.1e}} of its largest value'}}")
    worst = max(worst, off)
sys.exit(int(worst > 1e-5))
'''


def script(maps: Mapping[str, Attribution]) -> str:
    """Write the script.

    Args:
        maps: Name in attributions.npz to map; all of one photo and one model.
    """
    methods = {name: restore(METHODS[result.method], result.settings) for name, result in maps.items()}
    first = next(iter(maps.values()))
    load = f"at.load_model({first.model!r}, device={first.versions.get('device', 'cpu')!r})"
    return TEMPLATE.format(
        imports="\n".join(sorted({line for method in methods.values() for line in _imports(method)})),
        threads=int(first.versions.get("threads", 1)),
        weights=first.versions.get("weights", ""),
        model=f"model = {load}" if first.model in MODELS else "model = at.Model(...)  # put your own model here",
        maps="\n".join(f'    "{name}": ({methods[name]!r}, at.{maps[name].target!r}),' for name in maps),
        chunk=int(first.chunk),
    )


def _imports(value: Configurable) -> Iterator[str]:
    """What `repr(value)` needs."""
    yield f"from {type(value).__module__} import {type(value).__name__}"
    for name in described(type(value)):
        if isinstance(part := getattr(value, name), Configurable):
            yield from _imports(part)
