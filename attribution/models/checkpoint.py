"""The tensors of a checkpoint file, which may come from anyone: no code of it runs, and no claim of it is believed."""

import argparse
import io
import os
import pickle
import pickletools
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from attribution.refusal import Refusal, first_line

MAX_HEADER_BYTES = 10_000_000  # of a safetensors header; that of a network with 10,000 tensors takes 1 MB
MAX_PICKLE_BYTES = (
    4_000_000  # of a PyTorch checkpoint without its tensors; a large network with its optimizer takes 1 MB
)
MAX_ENTRIES = 50_000  # tensors or archive entries
MAX_DEPTH = 3  # levels of dictionaries around a state dict
END_BYTES = 22  # of an archive's end record without a comment
# Everything that a saved dictionary of tensors, numbers and texts consists of; `Namespace` holds a script's arguments.
HARMLESS = {
    "argparse Namespace",
    "collections OrderedDict",
    "torch Size",
    "torch device",
    "torch._utils _rebuild_parameter",
    "torch._utils _rebuild_tensor_v2",
    *(f"torch {name}" for name in vars(torch) if name.endswith("Storage")),
    *(f"torch {name}" for name, value in vars(torch).items() if isinstance(value, torch.dtype)),
}
RESAVE = "save its weights with torch.save(net.state_dict(), 'weights.pt'), or as safetensors"


def read_checkpoint(source: bytes | Path) -> dict[str, Tensor]:
    """Read a state dict: a safetensors file, or a file of `torch.save` read with `weights_only=True`.

    Args:
        source: The file's content, or its path.

    Returns:
        Tensors on the CPU by name. Of dictionaries inside dictionaries, such as `{"epoch": 3, "state_dict": ...}`, the
        first of those with the most tensors.

    Raises:
        Refusal: If the file is neither, is damaged, contains other objects than tensors, numbers and texts, or claims
            more than it contains.
    """
    try:
        with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as file:
            start = file.read(10)
            size = file.seek(0, os.SEEK_END)
            if start.startswith(b"PK\x03\x04"):
                return _archive(file, size)
            if start[8:9] == b"{":
                return _safetensors(source, int.from_bytes(start[:8], "little"))
    except OSError as error:
        raise Refusal(f"The checkpoint {str(source)!r} cannot be read ({error.strerror}); check its path.") from error
    if start.startswith(b"\x80") or start[:1] in (b"(", b"c"):
        raise Refusal(
            f"The checkpoint is a plain pickle, as PyTorch wrote before version 1.6; load it there and {RESAVE}."
        )
    raise Refusal(f"The file is neither safetensors nor a PyTorch checkpoint; {RESAVE}.")


def _safetensors(source: bytes | Path, header: int) -> dict[str, Tensor]:
    if header > MAX_HEADER_BYTES:
        raise Refusal(
            f"The safetensors header claims {header / 1e6:,.0f} MB; at most {MAX_HEADER_BYTES / 1e6:.0f} are read."
        )
    try:
        if isinstance(source, Path):
            return safetensors.torch.load_file(source)
        return safetensors.torch.load(source)
    except (safetensors.SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise Refusal(f"The safetensors file is damaged ({_brief(error)}); save it again.") from error


def _archive(file: BinaryIO, size: int) -> dict[str, Tensor]:
    """Read a file of `torch.save`: first without its tensors, to compare what they claim with the file's size."""
    _check_pickle(_pickle(file, size))
    try:
        for place in ("meta", "cpu"):
            file.seek(0)
            with torch.serialization.safe_globals([argparse.Namespace]):
                content = torch.load(file, map_location=place, weights_only=True)
            claimed = sum(
                {each.untyped_storage()._cdata: each.untyped_storage().nbytes() for each in _tensors(content)}.values()
            )
            if claimed > size:
                raise Refusal(
                    f"The checkpoint claims {claimed / 1e6:,.0f} MB of weights, but has {size / 1e6:,.1f} MB."
                )
        return _largest(content)
    except Refusal:
        raise
    except pickle.UnpicklingError:
        raise Refusal("The checkpoint is damaged: its pickle has no dictionary of tensors; save it again.") from None
    except Exception as error:  # of any type, since the pickle's instructions are followed
        raise Refusal(f"The checkpoint is damaged ({_brief(error)}); save it again.") from error


def _pickle(file: BinaryIO, size: int) -> bytes:
    """Return the pickle inside an archive that contains nothing compressed."""
    file.seek(max(0, size - END_BYTES))
    end = file.read()
    if not (end.startswith(b"PK\x05\x06") and end.endswith(b"\0\0")):  # no other end record can be found before
        raise Refusal("The checkpoint is not a complete archive of PyTorch; copy or save it again.")
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            pickles = [each for each in entries if each.filename.endswith("/data.pkl")]
            if len(pickles) != 1:
                raise Refusal(f"The file is an archive, but not a PyTorch checkpoint; {RESAVE}.")
            if len(entries) > MAX_ENTRIES:
                raise Refusal(f"The checkpoint has {len(entries):,} entries; at most {MAX_ENTRIES:,} are read.")
            whole = sum(each.file_size for each in entries)
            if whole > size or any(each.compress_type != zipfile.ZIP_STORED for each in entries):
                raise Refusal(f"The checkpoint is a compressed archive, which PyTorch does not write; {RESAVE}.")
            if pickles[0].file_size > MAX_PICKLE_BYTES:
                raise Refusal(
                    f"The checkpoint has {pickles[0].file_size / 1e6:.0f} MB beside its tensors, of which "
                    f"{MAX_PICKLE_BYTES / 1e6:.0f} are read; {RESAVE}."
                )
            return archive.read(pickles[0])
    except Refusal:
        raise
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError, OverflowError) as error:
        raise Refusal(f"The checkpoint is a damaged archive ({_brief(error)}); copy or save it again.") from error


def _check_pickle(content: bytes) -> None:
    """Refuse a pickle that names more than tensors; it is parsed, not executed."""
    names = set()
    try:
        for code, argument, _ in pickletools.genops(content):
            if code.name in ("GLOBAL", "INST"):
                names.add(str(argument))
            elif code.name in ("STACK_GLOBAL", "EXT1", "EXT2", "EXT4"):
                names.add("a name that is computed")
    except Exception as error:
        raise Refusal(f"The checkpoint is damaged ({_brief(error)}); save it again.") from error
    if others := sorted(names - HARMLESS):
        own = [name for name in others if not name.startswith("__builtin__")] or others
        shown = ", ".join(name.replace(" ", ".")[:60] for name in own[:3])
        raise Refusal(
            f"The checkpoint contains objects that can run code ({shown}), such as a whole network; {RESAVE}."
        )


def _dictionaries(content: Any) -> Iterator[Mapping[Any, Any]]:
    """Yield a dictionary and those in it, each once, the outermost first."""
    level, seen = [content], set[int]()
    for _ in range(MAX_DEPTH):
        level = [each for each in level if isinstance(each, Mapping) and id(each) not in seen]
        seen.update(map(id, level))
        yield from level
        level = [value for each in level for value in each.values()]


def _largest(content: Any) -> dict[str, Tensor]:
    """Return the first of the dictionaries with the most tensors."""
    found: dict[str, Tensor] = {}
    for each in _dictionaries(content):
        tensors = {name: value.data for name, value in each.items() if isinstance(name, str) and _dense(value)}
        found = tensors if len(tensors) > len(found) else found
    if not found:
        raise Refusal(f"The checkpoint contains no weights by name; {RESAVE}.")
    return found


def _tensors(content: Any) -> Iterator[Tensor]:
    """Yield the tensors anywhere in lists and dictionaries, each once."""
    waiting, seen = [content], set[int]()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, Tensor):
            yield each
        elif isinstance(each, Mapping):
            waiting.extend(each.values())
        elif isinstance(each, list | tuple | set):
            waiting.extend(each)
        elif isinstance(each, argparse.Namespace):
            waiting.extend(vars(each).values())


def _dense(value: Any) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided


def _brief(error: Exception) -> str:
    return first_line(error)[:200].rstrip(".")
