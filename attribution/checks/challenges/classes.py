"""The class that the network predicts, for challenges about the predicted class."""

from attribution.checks.probe import Answer, Prober

NO_CLASS = "The network has one output only, so no class can change; try Predict or Fool."


def has_classes(prober: Prober) -> bool:
    """True if the prediction can change to another class."""
    return len(prober.model.classes) > 1


def kept(prober: Prober, answer: Answer) -> bool:
    """True if the most probable class is that of the photo."""
    return int(answer.shares.argmax()) == int(prober.before.shares.argmax())


def name(prober: Prober, answer: Answer) -> str:
    """Return the name of the most probable class, quoted."""
    return f"'{prober.model.classes[int(answer.shares.argmax())]}'"
