"""Attributions -> files that people take away."""

import contextlib
import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from attribution.heatmap import grey, reduce
from attribution.methods.method import Method
from attribution.model import Model
from attribution.refusal import Refusal
from attribution.result import Attribution
from attribution.settings import plain


def picture(result: Attribution) -> Image.Image:
    """Draw a map white-to-black, the sum of absolute values over the channels, at the network's resolution."""
    return Image.fromarray(grey(reduce(result.values)))


def _clear(folder: Path) -> None:
    """Remove the pictures that an earlier manifest lists, so that none stands beside a manifest that does not."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        names = [each["name"] for each in json.loads((folder / "manifest.json").read_text())["maps"] if "name" in each]
        for name in names:
            (folder / f"{Path(name).name}.png").unlink(missing_ok=True)


def write_folder(
    folder: Path,
    model: Model,
    x: Tensor,
    methods: Sequence[Method],
    results: Sequence[Attribution | Refusal],
    photo: str,
) -> None:
    """Write what `compare` gave: one PNG a map, attributions.npz and manifest.json.

    The archive holds `pixels`, (3, H, W) in [0, 1], and each map's raw values under the name of its PNG. The manifest
    holds everything else, also the sentence of each method that refused.

    Args:
        folder: Made if it is missing; files of the same names are replaced.
        model: The model that was explained.
        x: (3, H, W), the prepared photo.
        methods: What was asked for.
        results: One for each method.
        photo: Name of the photo, for the manifest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _clear(folder)
    arrays: dict[str, Any] = {"pixels": x.numpy()}
    maps: list[dict[str, Any]] = []
    seen: Counter[str] = Counter()
    for method, result in zip(methods, results, strict=True):
        if isinstance(result, Refusal):
            maps.append({"method": method.key, "settings": plain(method), "refused": str(result)})
            continue
        seen[method.key] += 1
        name = method.key if seen[method.key] == 1 else f"{method.key}-{seen[method.key]}"
        picture(result).save(folder / f"{name}.png")
        arrays[name] = result.values
        maps.append({"name": name, "class": model.classes[result.target.index or 0], **result.facts()})
    np.savez_compressed(folder / "attributions.npz", **arrays)
    manifest = {
        "photo": photo,
        "pixels_sha256": hashlib.sha256(x.numpy().tobytes()).hexdigest(),
        "model": model.name,
        "preprocessing": dataclasses.asdict(model.preprocessing),
        "prediction": [{"index": i, "class": name, "probability": p} for i, name, p in model.predict(x)],
        "drawn": "sum of absolute values over channels, least value white, greatest black",
        "maps": maps,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
