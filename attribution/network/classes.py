"""Class names: looked up by a person's text, and ranked by probability."""

import difflib
from collections.abc import Sequence

from torch import Tensor

from attribution.refusal import Refusal


def find_class(model: str, classes: Sequence[str], text: str) -> int:
    """Return the index of a class.

    Args:
        model: Name of the model, for refusals.
        classes: Class names, (K,).
        text: An index or a name.

    Raises:
        Refusal: If there is no such class, with the most similar names; or more than one.
    """
    if (digits := text.strip()).isdecimal():
        if len(digits) < 10 and (index := int(digits)) < len(classes):
            return index
        raise Refusal(f"{model} has no class {digits[:20]}; choose an index from 0 to {len(classes) - 1}.")
    wanted = text.strip().casefold()
    names = [name.casefold() for name in classes]
    found = [index for index, name in enumerate(names) if name == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        raise Refusal(f"{len(found)} classes are called {text!r}; use an index: {', '.join(map(str, found))}.")
    near = [name for name in names if wanted and wanted in name][:3] or difflib.get_close_matches(wanted, names, 3)
    near = [classes[names.index(name)] for name in near]
    hint = f"did you mean {' or '.join(near)}?" if near else f"use an index from 0 to {len(names) - 1}."
    raise Refusal(f"{model} has no class {text!r}; {hint}")


def rank(logits: Tensor, classes: Sequence[str], k: int, also: int | None) -> list[tuple[int, str, float]]:
    """Return the k most probable classes: (index, class name, probability).

    Args:
        logits: (K,), of one image.
        classes: Class names, (K,).
        k: How many.
        also: A class that is listed last if it is not among them.
    """
    probabilities = logits.cpu().double().softmax(0)
    top = probabilities.topk(min(k, len(probabilities))).indices.tolist()
    if also is not None and also not in top:
        top.append(also)
    return [(index, classes[index], float(probabilities[index])) for index in top]
