"""Self-test of an installation: one real map, compared with known properties."""

import time

from attribution.engine import attribute
from attribution.methods.paths.integrated_gradients import IntegratedGradients
from attribution.models import DEFAULT_MODEL, load_model
from attribution.photo.samples import DEFAULT_SAMPLE, open_sample
from attribution.refusal import Refusal

EXPECTED_CLASS = "German shepherd"  # the subject of the first sample photo
REMEDY = "reinstall the requirements, or choose another device"


def check(device: str = "auto") -> str:
    """Explain the first sample photo by the default model and integrated gradients.

    Args:
        device: "auto" (default), "cpu", "cuda", "cuda:1" or "mps".

    Returns:
        A summary on one line.

    Raises:
        Refusal: If no map can be computed, or the prediction, or the map's shape or sum, is wrong.
    """
    try:
        return _checked(device)
    except Refusal:
        raise
    except Exception as error:  # any failure means that the installation does not work
        first = (str(error).splitlines() or [""])[0]
        raise Refusal(f"No map could be computed on {device} ({type(error).__name__}: {first}); {REMEDY}.") from error


def _checked(device: str) -> str:
    started = time.perf_counter()
    model = load_model(DEFAULT_MODEL, device)
    x = model.prepare(open_sample(DEFAULT_SAMPLE))
    result = attribute(model, x, IntegratedGradients())  # refuses values that are not finite
    where = f"{model.name} on {model.device}"
    _, name, probability = result.prediction[0]
    if name != EXPECTED_CLASS:
        raise Refusal(f"{where} predicts {name} for the sample photo of a {EXPECTED_CLASS}; {REMEDY}.")
    if result.values.shape != tuple(x.shape):
        raise Refusal(f"{where} returns a map of shape {result.values.shape} for {tuple(x.shape)}; {REMEDY}.")
    if result.relative_delta is None or result.doubtful:  # None if the photo and black have the same score
        raise Refusal(
            f"{where} returns a map that sums to {result.values.sum():.3g}, but the scores of the sample photo and a "
            f"black image are {result.score:.3g} and {result.baseline_score:.3g}; {REMEDY}."
        )
    seconds = time.perf_counter() - started
    return (
        f"{where}: {name}, probability {probability:.3f}; integrated gradients account for the score difference within "
        f"{result.relative_delta:.1%}; {seconds:.1f} s"
    )
