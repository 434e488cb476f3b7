"""Functions wrapped by torch.compile, which hide their operators: they run as written in a forward pass."""

import contextlib
import sys
import threading
from collections.abc import Iterator

import torch

_lock = threading.Lock()
_users = 0
_stance = contextlib.ExitStack()


@contextlib.contextmanager
def uncompiled() -> Iterator[None]:
    """Run compiled functions as written. The setting is the process's, so its users in all threads are counted."""
    global _users
    if "torch._dynamo" not in sys.modules:  # nothing was compiled, and importing it takes a second
        yield
        return
    with _lock:
        if not _users:
            _stance.enter_context(torch.compiler.set_stance("force_eager"))
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                _stance.close()
