"""Checkpoints as an attacker would make them: code, archives, claims beyond the file, damage."""

import io
import json
import pickle
import random
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors.torch
import torch


def forged(marker: Path) -> Iterator[tuple[str, bytes]]:
    """Yield 200 checkpoints by name; if code in one runs, it creates the file `marker`."""
    weights = {"conv1.weight": torch.ones(4, 3, 3, 3), "fc.weight": torch.ones(3, 4), "fc.bias": torch.zeros(3)}
    torch_file, safe = saved(weights), safetensors.torch.save(weights)
    found = [
        *_code(marker),
        *_claims(torch_file),
        *_headers(safe),
        *_archives(torch_file, marker),
        ("empty", b""),
        ("one byte", b"P"),
        ("text", b"no checkpoint\n" * 100),
        ("zeros", bytes(1000)),
        ("ones", b"\xff" * 1000),
    ]
    assert len(found) < 170, len(found)
    yield from found
    source = random.Random(0)
    for place in range(200 - len(found)):  # damage
        whole = bytearray(torch_file if place % 2 else safe)
        if place % 3:
            for _ in range(source.choice((1, 8, 64))):
                whole[source.randrange(min(len(whole), 700 if place % 5 else len(whole)))] = source.randrange(256)
        else:
            whole = whole[: source.randrange(len(whole))]
        yield f"damage {place}", bytes(whole)


def saved(content: Any, **options: Any) -> bytes:
    """Return what `torch.save` writes."""
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def with_pickle(whole: bytes, content: bytes) -> bytes:
    """Return a file of `torch.save` with another pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as new:
        for each in old.infolist():
            name = each.filename.rpartition("/")[2]
            new.writestr(each.filename, content if name == "data.pkl" else old.read(each))
    return file.getvalue()


class _Call:
    """An object whose pickle calls a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def _code(marker: Path) -> Iterator[tuple[str, bytes]]:
    import os
    import subprocess

    text = f"open({str(marker)!r}, 'w')"
    calls = {
        "system": _Call(os.system, f"touch {marker}"),
        "popen": _Call(subprocess.Popen, ["touch", str(marker)]),
        "eval": _Call(eval, text),
        "exec": _Call(exec, text),
        "open": _Call(open, str(marker), "w"),
        "getattr": _Call(getattr, "text", "upper"),
        "load": _Call(torch.load, str(marker)),
        "bytearray": _Call(bytearray, 100_000_000_000),
        "tensor": _Call(torch.Tensor, 100_000_000_000),
        "module": torch.nn.Linear(2, 2),
    }
    empty = saved({})
    for name, call in calls.items():
        for protocol in (0, 2, 4):
            plain = pickle.dumps({"fc.weight": call}, protocol)
            yield f"pickle of {name}, protocol {protocol}", plain
            yield f"checkpoint of {name}, protocol {protocol}", with_pickle(empty, plain)
    yield "legacy format", saved({"fc.weight": torch.ones(2)}, _use_new_zipfile_serialization=False)
    build = b"\x80\x02ccollections\nOrderedDict\n)R}X\x08\x00\x00\x00__class__cos\nsystem\nsb."
    yield "build", with_pickle(empty, build)
    yield "instance", with_pickle(empty, f"(S'touch {marker}'\nios\nsystem\n.".encode())
    yield "persistent", with_pickle(empty, b"\x80\x02X\x01\x00\x00\x00xQ.")
    yield "extension", with_pickle(empty, b"\x80\x02\x82\x01.")
    yield "no stop", with_pickle(empty, b"\x80\x02}")
    yield "endless", with_pickle(empty, b"\x80\x02" + b"(" * 100_000 + b".")
    yield "dotted", with_pickle(empty, b"\x80\x02ctorch._utils\nos.system\n(X\x04\x00\x00\x00true\x85R.")


def _claims(whole: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield checkpoints of PyTorch whose pickle claims more than the archive contains."""
    for name, size, stride, numel, offset in (
        ("100 GB", (25_000_000_000,), (1,), 25_000_000_000, 0),
        ("storage too large", (4,), (1,), 1_000_000, 0),
        ("tensor beyond its storage", (25_000_000_000,), (1,), 108, 0),
        ("offset beyond its storage", (4,), (1,), 108, 25_000_000_000),
        ("stride beyond its storage", (2,), (25_000_000_000,), 108, 0),
        ("negative size", (-4,), (1,), 108, 0),
        ("negative stride", (4,), (-1,), 108, 0),
        ("negative offset", (4,), (1,), 108, -4),
        ("negative storage", (4,), (1,), -4, 0),
        ("whole numbers beyond 64 bits", (1 << 70,), (1,), 108, 0),
        ("expanded to 100 GB", (5000, 5000, 1000), (0, 0, 0), 108, 0),
        ("many dimensions", (1,) * 100, (1,) * 100, 108, 0),
    ):
        for kind in ("FloatStorage", "ByteStorage"):
            yield f"{name}, {kind}", with_pickle(whole, _tensor(kind, size, stride, numel, offset))
    for number in (-1, 99, "../../../etc/passwd"):
        yield f"record {number}", with_pickle(whole, _tensor("FloatStorage", (4,), (1,), 4, 0, str(number)))


def _tensor(kind: str, size: Any, stride: Any, numel: int, offset: int, record: str = "0") -> bytes:
    """Return the pickle of {"fc.weight": tensor} with any claims."""

    class Storage:
        def __init__(self) -> None:
            self.claims = ("storage", getattr(torch, kind), record, "cpu", numel)

    class Pickler(pickle._Pickler):  # type: ignore[name-defined]
        def persistent_id(self, value: Any) -> Any:
            return value.claims if isinstance(value, Storage) else None

    class Tensor:
        def __reduce__(self) -> Any:
            rebuild = torch._utils._rebuild_tensor_v2
            return rebuild, (Storage(), offset, size, stride, False, __import__("collections").OrderedDict())

    file = io.BytesIO()
    Pickler(file, 2).dump({"fc.weight": Tensor()})
    return file.getvalue()


def _headers(whole: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield safetensors files with other headers."""
    (length,) = struct.unpack("<Q", whole[:8])
    data = whole[8 + length :]

    def made(header: object, claimed: int | None = None) -> bytes:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack("<Q", len(text) if claimed is None else claimed) + text + data

    one = {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]}
    yield "header of 2 GB", made({"fc.weight": one}, 2_000_000_000)
    yield "header of 90 MB", made({"fc.weight": one}, 90_000_000)
    yield "header beyond 64 bits", made({"fc.weight": one}, (1 << 64) - 1)
    yield (
        "tensor of 100 GB",
        made({"fc.weight": one | {"shape": [25_000_000_000], "data_offsets": [0, 100_000_000_000]}}),
    )
    yield "shape of 100 GB", made({"fc.weight": one | {"shape": [25_000_000_000]}})
    yield "shape that overflows", made({"fc.weight": one | {"shape": [1 << 40, 1 << 40]}})
    yield "negative shape", made({"fc.weight": one | {"shape": [-3, -4]}})
    yield "fraction", made({"fc.weight": one | {"shape": [1.5]}})
    yield "offsets reversed", made({"fc.weight": one | {"data_offsets": [48, 0]}})
    yield "offsets negative", made({"fc.weight": one | {"data_offsets": [-48, 0]}})
    yield "overlap", made({"a": one, "b": one | {"data_offsets": [24, 72]}})
    yield "hole", made({"a": one, "b": one | {"data_offsets": [96, 144]}})
    yield "unknown type", made({"fc.weight": one | {"dtype": "OBJ"}})
    yield "no type", made({"fc.weight": {"shape": [1], "data_offsets": [0, 4]}})
    yield "list", made([1, 2, 3])
    yield "number", made(b"{}1")
    yield "nested", made(b'{"a":' * 100_000)
    yield "not utf-8", made(b'{"\xff\xfe": 1}')
    yield "metadata only", made({"__metadata__": {"format": "pt"}})
    yield "metadata of a number", made({"__metadata__": 3})
    yield "names that are markup", made({"<script>alert(1)</script>" * 100: one | {"data_offsets": [0, len(data)]}})
    yield (
        "very many tensors",
        made({f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(20_000)}),
    )


def _archives(whole: bytes, marker: Path) -> Iterator[tuple[str, bytes]]:
    """Yield archives that are no checkpoints, or not as PyTorch writes them."""
    for kind in ("w", "w:gz", "w:bz2"):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=kind) as archive:  # type: ignore[call-overload]
            link = tarfile.TarInfo("archive/data.pkl")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
        yield f"tar with a symlink, {kind}", file.getvalue()
    for name, entries, compression in (
        ("zip without a pickle", {"a.txt": b"x"}, zipfile.ZIP_STORED),
        ("zip that leaves its folder", {"../../data.pkl": b"\x80\x02}."}, zipfile.ZIP_STORED),
        ("zip bomb", {"archive/data.pkl": b"\x80\x02}.", "archive/data/0": bytes(300_000_000)}, zipfile.ZIP_DEFLATED),
        ("compressed pickle", {"archive/data.pkl": b"\x80\x02}." + bytes(50_000_000)}, zipfile.ZIP_DEFLATED),
        ("two pickles", {"a/data.pkl": b"\x80\x02}.", "b/data.pkl": b"\x80\x02}."}, zipfile.ZIP_STORED),
        ("pickle of 5 MB", {"archive/data.pkl": b"\x80\x02" + b"}0" * 2_500_000 + b"}."}, zipfile.ZIP_STORED),
        ("very many entries", {"archive/data.pkl": b"\x80\x02}."} | {f"archive/{i}": b"" for i in range(60_000)}, 0),
    ):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", compression) as archive:
            for path, content in entries.items():
                archive.writestr(path, content)
        yield name, file.getvalue()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        link = zipfile.ZipInfo("archive/data.pkl")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, str(marker))
    yield "zip with a symlink", file.getvalue()
    yield "comment", whole[:-2] + b"\x05\x00hello"
    yield "appended", whole + b"PK\x05\x06" + bytes(18)
    yield "TorchScript", _script()


def _script() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("net/data.pkl", b"\x80\x02c__torch__\nNet\n)\x81.")
        archive.writestr("net/code/__torch__.py", b"class Net(Module): pass")
    return file.getvalue()
