"""A short script that recomputes maps and reports the differences."""

from collections.abc import Mapping

from attribution.export.probed import Probed
from attribution.methods import METHODS
from attribution.models import find
from attribution.refusal import Refusal
from attribution.result import Attribution
from attribution.settings import restore, write

TEMPLATE = '''"""Recompute the maps in this folder and compare them with the saved ones.

Run it where the package `attribution` is installed, or with a clone: PYTHONPATH=/path/to/clone python reproduce.py
A model of one's own is named as on the command line, such as --model mine.py:make, or
--model checkpoint:architecture=timm/resnet18,file=best.pt
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

try:
    import attribution as at
except ImportError:
    sys.exit("Install the package attribution, or name a clone: PYTHONPATH=/path/to/clone python reproduce.py")

parser = argparse.ArgumentParser(description="Recompute the maps in this folder.")
parser.add_argument("--model", {model}, help="key of a model, or one's own as on the command line")
options = parser.parse_args()
torch.set_num_threads({threads})
saved = np.load(Path(__file__).with_name("attributions.npz"))
x = torch.from_numpy(saved["pixels"])
try:
    model = at.load_model(options.model, device={device!r})
except at.Refusal as refusal:
    sys.exit(str(refusal))
weights = {weights!r}  # SHA-256
if weights and model.weights != weights:
    sys.exit(f"{{options.model}} has other weights than these maps ({{weights}}); name the right model with --model.")
print("weights: identical")
maps = {{  # name: (method, target)
{maps}
}}
worst = 0.0
for name, (method, target) in maps.items():
    found = at.attribute(model, x, at.read_method(method), at.read_target(target), chunk={chunk}).values
    off = np.abs(found - saved[name]).max() / (np.abs(saved[name]).max() or 1.0)
    same = found.tobytes() == saved[name].tobytes()
    print(f"{{name}}: {{'identical' if same else f'differs by {{off:.1e}} relative to the largest value'}}")
    worst = max(worst, off)
{probe}sys.exit(int(worst > 1e-5))
'''


def script(maps: Mapping[str, Attribution], probed: Probed | None = None) -> str:
    """Return the script, which only uses public names.

    Args:
        maps: Maps of one photo and one model, by name in attributions.npz.
        probed: A probe of the photo, which it repeats too. Default: none.
    """
    first = next(iter(maps.values()))
    return TEMPLATE.format(
        threads=int(first.versions.get("threads", 1)),
        weights=first.versions.get("weights", ""),
        model=f"default={first.model!r}" if _is_public(first.model) else "required=True",
        device=first.versions.get("device", "cpu"),
        maps="\n".join(f'    "{name}": ("{_method(each)}", "{write(each.target)}"),' for name, each in maps.items()),
        chunk=int(first.chunk),
        probe=probed.script() if probed else "",
    )


def _is_public(model: str) -> bool:
    """True if anyone can load a model by its name."""
    try:
        find(model)
    except Refusal:
        return False
    return True


def _method(result: Attribution) -> str:
    return write(restore(METHODS[result.method], result.settings), full=True)
