"""Networks that people added to a running dashboard, kept for all sessions until their memory is needed."""

import copy
from collections.abc import Callable
from threading import Lock

from torch import nn

from attribution.models.own import Checkpoint, OwnNetwork, own_record, read_own
from attribution.models.record import ModelRecord
from attribution.refusal import Refusal
from attribution.system.memory import MEMORY_VARIABLE, give_back, share
from attribution.work.cache import Recent, Store

OWN_SHARE = 0.1  # share of the memory for these networks; their models are made beside them

_networks: Recent[OwnNetwork] = Recent("own networks", Store(lambda: share(OWN_SHARE)))
_reading = Lock()  # one checkpoint at a time, since each takes a few times its size


def add(settings: Checkpoint, content: bytes) -> ModelRecord:
    """Load a checkpoint and keep its network.

    Args:
        settings: What the checkpoint does not say.
        content: The content of its file.

    Raises:
        Refusal: As for `read_own`, or if the network is too large to be kept.
    """
    most = share(OWN_SHARE)
    if len(content) > most:
        raise _too_large(len(content), most)
    with _reading:
        try:
            own = read_own(settings, content)
        finally:
            give_back()
    _networks.put(own.key, own)
    if _networks.get(own.key) is None:
        raise _too_large(1e6 * own.facts.size, most)
    return own_record(own, _taker(own.key))


def _too_large(size: float, most: float) -> Refusal:
    return Refusal(
        f"The network has {size / 1e6:.0f} MB, but this server keeps {most / 1e6:.0f} MB of such networks; choose a "
        f"smaller one, or raise {MEMORY_VARIABLE}."
    )


def find_added(key: str) -> ModelRecord | None:
    """Return the record of a network that is still kept, by its name and SHA-256, or None."""
    own = _networks.get(key)
    return own_record(own, _taker(key)) if own else None


def _taker(key: str) -> Callable[[], nn.Module]:
    def take() -> nn.Module:
        if (own := _networks.get(key)) is None:
            raise Refusal("This network is no longer in the server's memory; add it again under Your own.")
        return copy.deepcopy(own.net)

    return take
