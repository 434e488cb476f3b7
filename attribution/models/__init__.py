"""The registry MODELS and the loading of models. One file per source of models; a new file needs no other edit."""

from attribution.models import own
from attribution.models.python_file import is_reference, load_file
from attribution.models.record import ModelRecord
from attribution.network.model import Model
from attribution.refusal import Refusal
from attribution.registry import modules
from attribution.system.download import Progress, Unreachable

DEFAULT_MODEL = "squeezenet1_1"

_sources = modules(__name__)
_records: list[ModelRecord] = [record for source in _sources for record in getattr(source, "RECORDS", ())]
MODELS: dict[str, ModelRecord] = {
    record.key: record
    for record in sorted(_records, key=lambda record: (record.key != DEFAULT_MODEL, not record.embedded))
}


def find(name: str) -> ModelRecord:
    """Return the record of a model that anyone may load, such as by a link.

    Args:
        name: A key of MODELS, or `timm/NAME` for one of timm's pretrained networks.

    Raises:
        Refusal: If there is none.
    """
    if name in MODELS:
        return MODELS[name]
    for source in _sources:
        if (named := getattr(source, "named", None)) and (record := named(name)):
            return record  # type: ignore[no-any-return]
    raise Refusal(f"There is no model {name[:80]!r}; choose one of {', '.join(MODELS)}, or one of timm's as timm/NAME.")


def load_model(name: str, device: str = "auto", on_progress: Progress | None = None) -> Model:
    """Load a model of the registry, one of timm's, or one's own.

    Args:
        name: A key of MODELS; `timm/NAME`; `mine.py:make`, a file and a function in it that returns a `Model`; or the
            text of a `Checkpoint`, such as `checkpoint:architecture=timm/resnet18,file=best.pt,classes=cat/dog`.
        device: "auto" (default), "cpu", "cuda", "cuda:1" or "mps".
        on_progress: Called with (bytes so far, total bytes) during a download; if it raises, the download stops.

    Raises:
        Refusal: If the name or device is unknown, the weights cannot be downloaded, the checkpoint does not fit, or the
            file makes no model.
    """
    if is_reference(name):
        return load_file(name, device)
    return load(own.described(name) or find(name), device, on_progress)


def load(record: ModelRecord, device: str = "auto", on_progress: Progress | None = None) -> Model:
    """Load the model of a record; otherwise like `load_model`."""
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
        record.name,
        net,
        steps.size,
        steps.mean,
        steps.std,
        facts.classes,
        steps.crop,
        steps.interpolation,
        device,
        output=facts.output.key,
        unit=facts.output.unit,
        channels=steps.channels,
        resize=steps.resize,
        rounds_down=steps.rounds_down,
        own=True,
    )
