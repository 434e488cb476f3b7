"""Spellings: the PyTorch callables by which a network can call one operator."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_SPACES = (F, torch, Tensor, torch._C._nn, torch.ops.aten)


def spellings(name: str) -> Iterator[tuple[Any, bool]]:
    """Yield every callable of an operator such as "relu", with True if its name says that it works in place."""
    for space in _SPACES:
        for spelling, in_place in ((name, False), (name + "_", True)):
            if (func := getattr(space, spelling, None)) is not None:
                yield func, in_place
                if space is torch.ops.aten:
                    yield getattr(func, "default", None) or func.Tensor, in_place  # by the overload's name
