"""A folder, or a ZIP of it, that holds the raw values and computes them again."""

import contextlib
import hashlib
import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from attribution.analysis import Analysis
from attribution.drawing.heatmap import grey, reduce
from attribution.export.maps import Exported, named, refused
from attribution.export.reproduce import script
from attribution.methods import METHODS
from attribution.photo.encode import eight_bit, png
from attribution.result import Attribution
from attribution.settings import plain
from attribution.system.files import store, store_all, storing

FOLDER = "attribution-maps"  # in the ZIP; no package of this name
DRAWN = "sum of absolute values over channels, least value white, greatest black"


def folder(
    results: Exported,
    path: str | os.PathLike[str],
    photo: str = "photo",
    crop: tuple[float, float] = (50.0, 50.0),
) -> None:
    """Write a folder: one PNG a map, the raw values, and what is needed to compute them again.

    `attributions.npz` holds `pixels`, (3, H, W) in [0, 1], and each map's raw values under the name of its PNG;
    `manifest.json` everything else; `reproduce.py` computes the values again and compares; `CITATION.bib` names the
    papers.

    Args:
        results: Results of one photo, as `compare` returns them.
        path: Made if it is missing. Files of the same names are replaced, and maps that an earlier manifest lists.
        photo: Name of the photo, for the manifest. Default: photo.
        crop: Position of the network's square on the photo, for the manifest. Default: the centre.

    Raises:
        Refusal: If there is no map, the maps are of several photos, or the disk does not take them.
    """
    contents, path = _files(results, photo, crop), Path(path)
    earlier = _listed(path)
    store_all(path, contents)
    for name in earlier - set(contents):
        with storing(path / name):
            (path / name).unlink(missing_ok=True)


def archive(
    results: Exported,
    file: str | os.PathLike[str] | BinaryIO,
    photo: str = "photo",
    crop: tuple[float, float] = (50.0, 50.0),
) -> None:
    """Write the same as one ZIP.

    Args:
        results: Results of one photo, as `compare` returns them.
        file: A path or an open binary file.
        photo: Name of the photo, for the manifest. Default: photo.
        crop: Position of the network's square on the photo, for the manifest. Default: the centre.

    Raises:
        Refusal: If there is no map, the maps are of several photos, or the disk does not take them.
    """
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in _files(results, photo, crop).items():
            packed.writestr(f"{FOLDER}/{name}", content)
    store(file, whole.getvalue())


def picture(result: Attribution) -> Image.Image:
    """Draw a map white-to-black, the sum of absolute values over the channels, at the network's resolution."""
    return Image.fromarray(grey(reduce(result.values)))


def _files(results: Exported, photo: str, crop: tuple[float, float]) -> dict[str, bytes]:
    maps = named(results)
    first = next(iter(maps.values()))
    arrays = {"pixels": first.pixels, **{name: result.values for name, result in maps.items()}}
    manifest = {
        "photo": photo,
        "model": first.model,
        "analysis": plain(Analysis.of(list(maps.values()), photo, crop)),
        "pixels_sha256": _sha256(first.pixels),
        "prediction": [{"index": i, "class": name, "probability": p} for i, name, p in first.prediction],
        "drawn": DRAWN,
        "maps": [
            {"name": name, "sha256": _sha256(result.values), "dtype": str(result.values.dtype), **result.facts()}
            for name, result in maps.items()
        ],
        "refused": refused(results),
    }
    return {
        "attributions.npz": _npz(arrays),
        "manifest.json": (json.dumps(manifest, indent=2) + "\n").encode(),
        "reproduce.py": script(maps).encode(),
        "CITATION.bib": _bibliography(maps.values()),
        "photo.png": png(eight_bit(first.pixels)),
        **{f"{name}.png": png(picture(result)) for name, result in maps.items()},
    }


def _bibliography(results: Any) -> bytes:
    entries = {METHODS[result.method].source.bibtex: None for result in results}  # each once, in order
    return ("\n\n".join(entries) + "\n").encode()


def _sha256(array: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _npz(arrays: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def _listed(path: Path) -> set[str]:
    """Return the pictures in an earlier manifest, which are deleted: the new one may not list them."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        maps = json.loads((path / "manifest.json").read_text())["maps"]
        return {f"{Path(each['name']).name}.png" for each in maps}
    return set()
