"""Networks that people added to a running dashboard, kept for all sessions until their memory is needed."""

import copy
from collections.abc import Callable
from threading import Lock

from torch import nn

from attribution.models.own import Checkpoint, OwnNetwork, own_record, read_own
from attribution.models.record import ModelRecord
from attribution.refusal import Refusal
from attribution.system.memory import MEMORY_VARIABLE, give_back, share
from attribution.work.cache import MODEL_SHARE, MODEL_STORE, Recent

_networks: Recent[OwnNetwork] = Recent("own networks", MODEL_STORE)
_reading = Lock()  # one checkpoint at a time, since each takes a few times its size


def add(settings: Checkpoint, content: bytes) -> ModelRecord:
    """Load a checkpoint and keep its network.

    Args:
        settings: What the checkpoint does not say.
        content: The content of its file.

    Raises:
        Refusal: As for `read_own`, or if the network is too large to be kept.
    """
    with _reading:
        try:
            own = read_own(settings, content)
        finally:
            give_back()
    _networks.put(own.key, own)
    if _networks.get(own.key) is None:
        most = share(MODEL_SHARE) / 1e6
        raise Refusal(
            f"The network has {own.facts.size:.0f} MB, but this server keeps {most:.0f} MB of models; "
            f"choose a smaller one, or raise {MEMORY_VARIABLE}."
        )
    return own_record(own, _taker(own.key))


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
