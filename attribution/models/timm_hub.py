"""timm's pretrained classifiers by name, such as `timm/resnet18.a1_in1k`, downloaded on first use.

timm is imported only when one of them is requested, since that takes 2 s.
"""

import contextlib
import difflib
import re
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from attribution.models.record import Facts, ModelRecord, megabytes
from attribution.models.wrap import timm_classes, timm_preprocessing
from attribution.refusal import Refusal, first_line
from attribution.system.download import Progress, Unreachable, fetch

PREFIX = "timm/"
MAX_CACHED_BYTES = 20_000_000_000  # of timm's weights on the disk; the least recently used are deleted first
FILES = ("model.safetensors", "pytorch_model.bin")  # of a repository, the preferred first


def named(text: str) -> ModelRecord | None:
    """Return the record of `timm/NAME`; None if a text does not start so.

    Raises:
        Refusal: If timm has no pretrained classifier of that name.
    """
    if not text.startswith(PREFIX):
        return None
    name = text.removeprefix(PREFIX)
    if name not in pretrained_names():
        near = difflib.get_close_matches(name, pretrained_names(), 3, 0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else "see timm.list_models(pretrained=True)."
        raise Refusal(f"timm has no pretrained classifier {name[:80]!r}; {hint}")
    return ModelRecord(text, name, embedded=False, facts=partial(_facts, name), build=partial(_build, name))


@cache
def pretrained_names() -> tuple[str, ...]:
    """Return the names of timm's pretrained classifiers with their tags."""
    import timm

    found = {name: timm.get_pretrained_cfg(name) for name in timm.list_models(pretrained=True)}
    return tuple(name for name, settings in found.items() if settings and settings.num_classes and settings.hf_hub_id)


def _settings(name: str) -> Any:
    import timm

    return timm.get_pretrained_cfg(name)


@cache
def _facts(name: str) -> Facts:
    import timm

    with torch.device("meta"):
        net: nn.Module = timm.create_model(name, pretrained=False)
    settings = _settings(name)
    return Facts(
        timm_preprocessing(net),
        tuple(timm_classes(net) or map(str, range(settings.num_classes))),
        top1=None,
        size=megabytes(net),
        licence=settings.license or "",
        source=f"{settings.hf_hub_id} on the Hugging Face Hub",
    )


def _build(name: str, on_progress: Progress | None) -> nn.Module:
    import timm

    path = _downloaded(name, _settings(name).hf_hub_id, on_progress)
    path.touch()
    _bound_cache(path.parent)
    try:
        net: nn.Module = timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"file": str(path)})
    except (RuntimeError, ValueError, KeyError) as error:
        raise Refusal(f"The weights of {name} do not fit timm's network ({str(error)[:200]}); update timm.") from error
    return net


def _downloaded(name: str, repository: str, on_progress: Progress | None) -> Path:
    """Return the path of the weights, whose name contains their SHA-256, by which they are verified."""
    from huggingface_hub import hf_hub_url

    folder = Path(torch.hub.get_dir()) / "checkpoints"
    stem = re.sub(r"[^\w.]", "_", f"timm_{name}")
    for known in folder.glob(f"{stem}-*"):
        file = next(file for file in FILES if file.endswith(known.suffix))
        return fetch(hf_hub_url(repository, file), known.stem.rpartition("-")[2], known, on_progress)
    file, digits = _published(name, repository)
    return fetch(hf_hub_url(repository, file), digits, folder / f"{stem}-{digits}{Path(file).suffix}", on_progress)


def _bound_cache(folder: Path) -> None:
    """Delete the least recently used weights beyond the limit, since a link can request any of timm's networks."""
    kept = 0
    with contextlib.suppress(FileNotFoundError):  # another worker deletes too
        for path in sorted(folder.glob("timm_*"), key=lambda path: path.stat().st_mtime, reverse=True):
            kept += path.stat().st_size
            if kept > MAX_CACHED_BYTES:
                path.unlink()


def _published(name: str, repository: str) -> tuple[str, str]:
    """Return the file of a repository with the weights, and its SHA-256."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError

    for file in FILES:
        try:
            digest = get_hf_file_metadata(hf_hub_url(repository, file)).etag or ""
        except EntryNotFoundError:
            continue
        except Exception as error:  # of the library's own HTTP client
            raise Unreachable(f"{name} could not be downloaded ({first_line(error)})") from error
        if not re.fullmatch("[0-9a-f]{64}", digest):
            raise Refusal(f"The SHA-256 of {repository}/{file} is not published; choose another model.")
        return file, digest
    raise Refusal(f"{repository} has no weights; choose another model.")
