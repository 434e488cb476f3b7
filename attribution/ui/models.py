"""The models that a session can choose: those of the registry, the server's own, and those that it added."""

from attribution.models import MODELS, find
from attribution.models.record import ModelRecord
from attribution.models.served import SERVED
from attribution.refusal import Refusal
from attribution.ui.session import session
from attribution.work.own import find_added


def offered() -> dict[str, ModelRecord]:
    """Return the models of the picker by key."""
    return MODELS | SERVED | session().models


def find_model(key: str) -> ModelRecord:
    """Return a model by its key, such as that of a link; one that the picker lacks is added to it.

    Raises:
        Refusal: If there is none, or it is a network of someone's own that this server does not hold.
    """
    if (record := offered().get(key)) is None:
        name, own, digits = key.rpartition("@")
        record = find_added(key) if own else find(key)
        if record is None:
            raise Refusal(
                f"This server does not hold the network {name[:40]!r} with weights of SHA-256 {digits[:64]}; add its "
                "checkpoint under Your own as it was described then, and open the same link again."
            )
        record.facts()  # may refuse
        session().models[key] = record
    return record
