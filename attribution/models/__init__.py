"""The registry MODELS and the loading of models. One file per source of models; a new file needs no other edit."""

from attribution.models.python_file import is_reference, load_file
from attribution.models.record import ModelRecord
from attribution.network.model import Model
from attribution.refusal import Refusal
from attribution.registry import modules
from attribution.system.download import Progress, Unreachable

DEFAULT_MODEL = "squeezenet1_1"

_records: list[ModelRecord] = [record for module in modules(__name__) for record in getattr(module, "RECORDS", ())]
MODELS: dict[str, ModelRecord] = {
    record.key: record
    for record in sorted(_records, key=lambda record: (record.key != DEFAULT_MODEL, not record.embedded))
}


def find(name: str) -> ModelRecord:
    """Return the record of a model.

    Args:
        name: A key of MODELS.

    Raises:
        Refusal: If there is none.
    """
    if name not in MODELS:
        raise Refusal(f"There is no model {name!r}; choose one of {', '.join(MODELS)}.")
    return MODELS[name]


def load_model(name: str, device: str = "auto", on_progress: Progress | None = None) -> Model:
    """Load a model of the registry, or one's own from a Python file.

    Args:
        name: A key of MODELS, or `mine.py:make`: a file and a function in it that returns a `Model`.
        device: "auto" (default), "cpu", "cuda", "cuda:1" or "mps".
        on_progress: Called with (bytes so far, total bytes) during a download; if it raises, the download stops.

    Raises:
        Refusal: If the name or device is unknown, the weights cannot be downloaded, or the file makes no model.
    """
    if is_reference(name):
        return load_file(name, device)
    record = find(name)
    try:
        net = record.build(on_progress)
    except Unreachable as error:
        embedded = ", ".join(key for key, record in MODELS.items() if record.embedded)
        raise Refusal(
            f"{error}; check the network connection, or choose a model without a download: {embedded}."
        ) from error
    facts = record.facts()
    steps = facts.preprocessing
    return Model(
        name, net, steps.size, steps.mean, steps.std, facts.classes, steps.crop, steps.interpolation, device, own=True
    )
