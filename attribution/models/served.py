"""Models that code or the command line starts the dashboard with."""

import copy

from attribution.models.record import Facts, ModelRecord, megabytes, own_key
from attribution.network.model import Model
from attribution.system.serve import serve_here

SERVED: dict[str, ModelRecord] = {}


def serve(model: Model, port: int = 8501, address: str = "localhost") -> None:
    """Start the dashboard with a model of one's own in its picker, in this process, until it is stopped.

    Args:
        model: The model. On another device than its own, the dashboard uses a copy.
        port: TCP port. Default: 8501.
        address: Address to listen on. Default: localhost, this machine only.

    Raises:
        Refusal: If the process already runs an event loop, as a notebook does; write a script instead.
    """
    record = _record(model)
    SERVED[record.key] = record
    serve_here(port, address)


def _record(model: Model) -> ModelRecord:
    facts = Facts(
        model.preprocessing,
        model.classes,
        top1=None,
        size=megabytes(model.net),
        licence="",
        source="code",
        output=model.output,
    )
    return ModelRecord(
        own_key(model.name, model.weights, facts),
        model.name,
        embedded=True,
        facts=lambda: facts,
        build=lambda _: copy.deepcopy(model.net),
    )
