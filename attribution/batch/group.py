"""One group of photos: read, explained together, measured, and stored."""

import contextlib
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from attribution.baselines.covered import Covered
from attribution.batch import measures
from attribution.batch.plan import Photo, Plan
from attribution.batch.table import encode, part
from attribution.engine import OnProgress, compare_photos
from attribution.export.maps import named
from attribution.network.layers import outputs
from attribution.network.model import Model
from attribution.network.scorer import Scorer
from attribution.photo.collection import Collection
from attribution.photo.decode import open_image
from attribution.photo.encode import eight_bit, png
from attribution.photo.preprocessing import Box
from attribution.refusal import Refusal, first_line
from attribution.result import Attribution, Results
from attribution.settings import write
from attribution.system.memory import exhausted
from attribution.system.storage import Storage
from attribution.targets.target import Target

JPEG_QUALITY = 90

Row = dict[str, Any]  # by name of the columns in `table`; a missing one is null


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A photo that can be explained.

    Attributes:
        photo: The photo.
        x: (3, H, W), as the network sees it.
        box: Left, top, right and bottom as shares of x; None without a box, or if it is outside.
        target: Class and score.
        row: The columns that are known before.
    """

    photo: Photo
    x: Tensor
    box: Box | None
    target: Target
    row: Row


def explain_group(
    model: Model,
    plan: Plan,
    photos: Sequence[Photo],
    collection: Collection,
    storage: Storage,
    on_progress: OnProgress | None = None,
) -> list[Row]:
    """Explain the photos of a group, and store their pictures and then their rows.

    Args:
        model: The model of the plan.
        plan: The plan.
        photos: All photos of the group.
        collection: From which they are read.
        storage: To which all is written.
        on_progress: As for `attribute`.

    Returns:
        The rows; a photo that cannot be explained has one, with the reason.

    Raises:
        Refusal: If the results cannot be stored.
    """
    rows, prepared = list[Row](), list[_Prepared]()
    for photo in photos:
        found = _prepare(model, plan, photo, collection)
        if isinstance(found, _Prepared):
            prepared.append(found)
        else:
            rows.append(found)
    for each, results in zip(prepared, _explained(model, plan, prepared, on_progress), strict=True):
        if isinstance(results, Refusal):
            rows.append({**each.row, "refusal": str(results)})
        else:
            rows += _store(model, plan, each, results, storage)
    rows.sort(key=lambda row: row["number"])  # stable: the methods keep their order
    storage.write(part(photos[0].group), encode(rows))
    return rows


def _prepare(model: Model, plan: Plan, photo: Photo, collection: Collection) -> _Prepared | Row:
    """Read a photo; return the row of an error if that fails."""
    row: Row = {"number": photo.number, "photo": photo.entry.name.encode(errors="replace").decode()}
    try:
        content = collection.read(photo.entry.name)
        row["sha256"] = hashlib.sha256(content).hexdigest()
        file = io.BytesIO(content)
        file.name = photo.entry.name
        image = open_image(file)
        target, crop = plan.target(model, photo.entry), plan.analysis.crop.shares
        x, box = model.prepare(image, *crop), photo.entry.box
        box = box and measures.inside(box, model.preprocessing.box(image, *crop))
    except Refusal as refusal:
        return {**row, "refusal": str(refusal)}
    if box:
        row |= dict(zip(("box_left", "box_top", "box_right", "box_bottom"), box, strict=True))
        row["box_area"] = measures.area(box)
    return _Prepared(photo, x, box, target, row)


def _explained(
    model: Model, plan: Plan, prepared: Sequence[_Prepared], on_progress: OnProgress | None
) -> list[Results | Refusal]:
    """Explain photos together; if the network fails, one at a time, so that only those that it fails for have none."""
    if not prepared:
        return []
    stopped = False

    def report(fraction: float, partial: Attribution | None) -> None:
        nonlocal stopped
        stopped = True  # unless it returns
        if on_progress:
            on_progress(fraction, partial)
        stopped = False

    try:
        xs, targets = [each.x for each in prepared], [each.target for each in prepared]
        return [*compare_photos(model, xs, plan.methods, targets, on_progress=report)]
    except Exception as error:  # a network of one's own may raise any type
        if stopped:
            raise
        failure = error if isinstance(error, Refusal) else _failure(prepared[0].photo, error)
    if len(prepared) == 1:
        return [failure]
    return [found for each in prepared for found in _explained(model, plan, [each], on_progress)]


def _failure(photo: Photo, error: Exception) -> Refusal:
    what = "memory ran out" if exhausted(error) else f"the network failed ({first_line(error) or type(error).__name__})"
    return Refusal(f"{photo.entry.name}: {what}; try another model or device.")


def _store(model: Model, plan: Plan, prepared: _Prepared, results: Results, storage: Storage) -> list[Row]:
    """Store the pictures of a photo; return its rows."""
    folder = prepared.photo.folder
    names = {id(result): name for name, result in named(results).items()} if results.maps else {}
    agreements = dict(zip(names, measures.agreements(results.maps), strict=True))
    rows = []
    for method, result in zip(plan.methods, results, strict=True):
        row = {**prepared.row, "method": write(method)}
        if isinstance(result, Refusal):
            rows.append({**row, "refusal": str(result)})
            continue
        file = f"{folder}/{names[id(result)]}"
        row |= {**_measured(model, result, prepared.box), "agreement": agreements[id(result)], "picture": f"{file}.png"}
        if method == plan.leading:
            with contextlib.suppress(Exception):  # the map remains, without what covering its window costs
                row |= _covered(model, plan, prepared.x, result, row)
        storage.write(f"{file}.png", png(result.draw()))
        if plan.raw:
            storage.write(f"{file}.npz", result.encode())
        rows.append(row)
    if names:
        storage.write(f"{folder}/photo.jpg", _jpeg(prepared.x))
    return rows


def _measured(model: Model, result: Attribution, box: Box | None) -> Row:
    """Return the columns of a map; a number that a network returns has a name, but is no class."""
    cells = measures.on_cells(result)
    left, top = measures.strongest(cells)
    predicted, name, probability = result.prediction[0]
    index = result.target.index or 0
    return {
        "predicted": predicted if model.output.has_shares else None,
        "predicted_class": name,
        "probability": probability,
        "target": index if model.output.has_shares else None,
        "target_class": next(each for place, each, _ in result.prediction if place == index),
        "score": result.score,
        "baseline_score": result.baseline_score,
        "delta": result.delta,
        "relative_delta": result.relative_delta,
        "error": result.error,
        "seconds": result.seconds,
        "concentration": measures.concentration(result),
        "box_share": measures.box_share(result, box) if box else None,
        "window_left": left,
        "window_top": top,
        "map_sha256": hashlib.sha256(result.values.tobytes()).hexdigest(),
        "cells": cells.ravel().tolist(),
    }


def _covered(model: Model, plan: Plan, x: Tensor, result: Attribution, row: Row) -> Row:
    """Return what the score loses when the map's strongest window is covered, and the network's features of the window.

    As in ACE (Ghorbani et al. 2019), the window is resized to the network's input, so that its features do not depend
    on what surrounds it: the mean of the last feature maps, or the logits of a network without feature maps.
    """
    place = row["window_left"], row["window_top"]
    covered = Covered(measures.window(*place), plan.fill).image(x)
    images = torch.stack([covered, measures.cut(x, *place)]).to(model.device, model.dtype)
    layer, target = next(iter(model.stages), None), result.target
    given = Scorer(model, x, target).known.uses_given
    with torch.no_grad(), outputs(only={layer.name} if layer else ()) as found:
        logits = (model.given_logits if given else model.logits)(images)
    score = target.value(target.potential(logits[:1].cpu().double(), model.output))
    found_row: Row = {"loss": result.score - float(score)}
    if layer is None:
        found_row["features"] = logits[1].cpu().float().tolist()
    elif layer.name in found:
        found_row["features"] = layer.maps(found[layer.name].tensor)[1].mean((1, 2)).cpu().float().tolist()
    return found_row


def _jpeg(x: Tensor) -> bytes:
    file = io.BytesIO()
    Image.fromarray(eight_bit(x.numpy())).save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()
