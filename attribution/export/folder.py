"""A folder, or a ZIP of it, with the raw values and a script that recomputes them."""

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
from attribution.drawing.view import View
from attribution.export.maps import Exported, named, predicted, refused
from attribution.export.probed import Probed
from attribution.export.reproduce import script
from attribution.methods import METHODS
from attribution.photo.crop import CENTRE, Crop
from attribution.photo.encode import eight_bit, png
from attribution.result import Attribution
from attribution.settings import plain
from attribution.system.files import store, store_all, storing

FOLDER_NAME = "attribution-maps"  # top folder of the ZIP; not importable, so that it cannot shadow the package
UNCLIPPED = View(clip=100)
DRAWING_NOTE = (
    "sum over channels, blue against and orange for the target, where signed; otherwise sum of absolute values over "
    "channels, minimum white, maximum black"
)


def folder(
    results: Exported,
    path: str | os.PathLike[str],
    photo: str = "photo",
    crop: Crop = CENTRE,
    probed: Probed | None = None,
) -> None:
    """Write a folder with one PNG per map, the raw values, and everything needed to recompute them.

    `attributions.npz` contains `pixels`, (3, H, W) in [0, 1], and each map's raw values under the name of its PNG;
    `manifest.json` all other data; `reproduce.py` recomputes the values and compares them; `CITATION.bib` cites the
    papers.

    Args:
        results: Results of one photo, as `compare` returns them.
        path: The folder; created if missing. Existing files of the same names are replaced, and PNGs and a probe
            listed in an earlier manifest are deleted.
        photo: Name of the photo, for the manifest. Default: photo.
        crop: As in `Analysis`, for the manifest. Default: the centre.
        probed: A probe of the photo, for `probe.csv`, `covered.png`, manifest and script. Default: none.

    Raises:
        Refusal: If there is no map, the maps are of several photos, or the files cannot be written.
    """
    contents, path = _files(results, photo, crop, probed), Path(path)
    earlier = _listed(path)
    store_all(path, contents)
    for name in earlier - set(contents):
        with storing(path / name):
            (path / name).unlink(missing_ok=True)


def archive(
    results: Exported,
    file: str | os.PathLike[str] | BinaryIO,
    photo: str = "photo",
    crop: Crop = CENTRE,
    probed: Probed | None = None,
) -> None:
    """Write the contents of `folder` as one ZIP.

    Args:
        results: Results of one photo, as `compare` returns them.
        file: A path or an open binary file.
        photo: Name of the photo, for the manifest. Default: photo.
        crop: As in `Analysis`, for the manifest. Default: the centre.
        probed: A probe of the photo, for `probe.csv`, `covered.png`, manifest and script. Default: none.

    Raises:
        Refusal: If there is no map, the maps are of several photos, or the file cannot be written.
    """
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in _files(results, photo, crop, probed).items():
            packed.writestr(f"{FOLDER_NAME}/{name}", content)
    store(file, whole.getvalue())


def picture(result: Attribution) -> Image.Image:
    """Draw a map as its method asks for, signed or white to black, without clipping, at the network's resolution."""
    return Image.fromarray(result.draw(UNCLIPPED))


def _files(results: Exported, photo: str, crop: Crop, probed: Probed | None) -> dict[str, bytes]:
    maps = named(results)
    first = next(iter(maps.values()))
    arrays = {"pixels": first.pixels, **{name: result.values for name, result in maps.items()}}
    manifest = {
        "photo": photo,
        "model": first.model,
        "analysis": plain(Analysis.of(list(maps.values()), photo, crop)),
        "pixels_sha256": _sha256(first.pixels),
        "prediction": [{"index": i, "class": name, "probability": p} for i, name, p in predicted(maps)],
        "drawn": DRAWING_NOTE,
        "maps": [
            {"name": name, "sha256": _sha256(result.values), "dtype": str(result.values.dtype), **result.facts()}
            for name, result in maps.items()
        ],
        "refused": refused(results),
        **({"probe": probed.facts} if probed else {}),
    }
    extra = {"probe.csv": probed.table(), "covered.png": probed.picture(first.pixels)} if probed else {}
    return {
        "attributions.npz": _npz(arrays),
        "manifest.json": (json.dumps(manifest, indent=2) + "\n").encode(),
        "reproduce.py": script(maps, probed).encode(),
        "CITATION.bib": _bibliography(maps.values()),
        "photo.png": png(eight_bit(first.pixels)),
        **{f"{name}.png": png(picture(result)) for name, result in maps.items()},
        **extra,
    }


def _bibliography(results: Any) -> bytes:
    entries = {METHODS[result.method].source.bibtex: None for result in results}  # without duplicates, in order
    return ("\n\n".join(entries) + "\n").encode()


def _sha256(array: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _npz(arrays: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def _listed(path: Path) -> set[str]:
    """Return the files that an earlier manifest lists; those that are not replaced are deleted."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        manifest = json.loads((path / "manifest.json").read_text())
        probe = {"probe.csv", "covered.png"} if "probe" in manifest else set()
        return {f"{Path(each['name']).name}.png" for each in manifest["maps"]} | probe
    return set()
