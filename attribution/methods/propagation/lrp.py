"""Layer-wise relevance propagation."""

from dataclasses import dataclass
from typing import ClassVar

from attribution.methods.citation import Citation
from attribution.methods.method import Computed, Cost, Method, Tick
from attribution.network.model import Model
from attribution.network.relevance import Rules
from attribution.network.scorer import Propagated, Scorer
from attribution.refusal import Refusal
from attribution.settings import Choice, Number, setting

# The rule of the convolutions, and that of the first linear operator; all others follow the epsilon rule.
COMPOSITES: dict[str, tuple[str, str | None]] = {
    "epsilon_plus_flat": ("z_plus", "flat"),
    "epsilon_plus_box": ("z_plus", "box"),
    "epsilon_alpha2_beta1_flat": ("alpha2_beta1", "flat"),
    "epsilon_alpha2_beta1_box": ("alpha2_beta1", "box"),
    "epsilon": ("epsilon", None),
}
MIN_CHANGE = 0.001  # relative, of the relevance from the logits to the pixels, that a note explains
MIN_KEPT_SHARE = 0.1  # of the relevance, below which a note warns
_SOFTMAX = ("softmax", "attention")  # in the names of operators


@dataclass(frozen=True)
class LRP(Method):
    """The relevance of the logits, propagated back to the pixels by one rule for each kind of operator.

    Attributes:
        composite: A key of COMPOSITES. Default: "epsilon_plus_flat".
        epsilon: Added to the absolute value of the denominators of the epsilon rule. Default: 1e-6.
    """

    key: ClassVar[str] = "lrp"
    title: ClassVar[str] = "LRP"
    group: ClassVar[str] = "propagation"
    idea: ClassVar[str] = (
        "A score is distributed backwards: every neuron passes its relevance R on to its inputs a, in proportion to "
        "their contributions a w: all of them in dense layers (first formula), the positive ones in convolutions "
        "(second). Rules that fit each depth keep the map free of noise."
    )
    formula: ClassVar[str] = (
        r"R_j = \sum_k \frac{a_j w_{jk}}{z_k + \epsilon \operatorname{sign} z_k} R_k\, \\"
        r"R_j = \sum_k \frac{(a_j w_{jk})^+}{\sum_i (a_i w_{ik})^+ + b_k^+} R_k\,"
    )
    shows: ClassVar[str] = "The parts of the photo whose activations count towards the class."
    cannot: ClassVar[str] = (
        "How the score would change: in convolutions only positive contributions count, and biases absorb relevance."
    )
    passes: ClassVar[str] = (
        "Conservation: without biases, the relevance has the same sum at every stage, except with alpha-beta where all "
        "contributions have one sign. The composite epsilon with epsilon 0 is input x gradient in a ReLU network."
    )
    fails: ClassVar[str] = (
        "With rules for positive contributions, the map hardly changes when upper layers are randomised "
        "(Sixt et al. 2020). Equal functions can get different maps, such as before and after folding a batch norm."
    )
    deviation: ClassVar[str] = (
        "Relevance starts as each logit times the derivative of the score. Gates of squeeze-and-excite blocks and "
        "deviations of layer norms count as constants. The flat rule is of Lapuschkin et al. 2019, the box rule of "
        "Montavon et al. 2017, their combinations of Kohlbrenner et al. 2020."
    )
    source: ClassVar[Citation] = Citation(
        (
            "Sebastian Bach",
            "Alexander Binder",
            "Grégoire Montavon",
            "Frederick Klauschen",
            "Klaus-Robert Müller",
            "Wojciech Samek",
        ),
        2015,
        "On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance Propagation",
        journal="PLOS ONE",
    )
    signed: ClassVar[bool] = True

    composite: str = setting(
        Choice(
            "Rules: epsilon in dense layers; in convolutions z-plus, for positive contributions only, or alpha-beta, "
            "for twice the positive minus the negative ones; in the first layer flat, in equal shares, or box, by the "
            "distance from black and white.",
            tuple(COMPOSITES),
            {
                "epsilon_plus_flat": "Epsilon, z-plus, flat",
                "epsilon_plus_box": "Epsilon, z-plus, box",
                "epsilon_alpha2_beta1_flat": "Epsilon, alpha 2 beta 1, flat",
                "epsilon_alpha2_beta1_box": "Epsilon, alpha 2 beta 1, box",
                "epsilon": "Epsilon everywhere",
            },
        ),
        "epsilon_plus_flat",
    )
    epsilon: float = setting(
        Number("Added to the absolute value of the denominators of the epsilon rule.", 0.0, 1.0, shown=False), 1e-6
    )

    def refusal(self, model: Model) -> str | None:
        return self._refusal(model.inspection.operators.others)

    def cost(self, size: tuple[int, int]) -> Cost:
        return Cost(1, 1)

    def compute(self, scorer: Scorer, tick: Tick) -> Computed:
        convolution, first = COMPOSITES[self.composite]
        found = scorer.relevance(Rules(convolution, first, self.epsilon))
        if reason := self._refusal(found.met.others):
            raise Refusal(reason)
        return Computed(found.values, notes=tuple(self._notes(found)), conservation=found.conservation)

    def _refusal(self, others: tuple[str, ...]) -> str | None:
        names = [name for name in others if any(part in name for part in _SOFTMAX)]
        if not names:
            return None
        if names == ["log_softmax"]:
            return f"{self.title} has no rule for log_softmax; let the network return its logits."
        return (
            f"{self.title} has no rule for softmax and attention, which this network uses; choose Input x gradient "
            "instead."
        )

    def _notes(self, found: Propagated) -> list[str]:
        (_, start), *_, (_, end) = found.conservation
        met, change = found.met, end / start - 1 if start else 0.0
        notes = [f"Relevance: {start:.4g} at the logits (each times its gradient), {end:.4g} at the pixels"]
        if abs(change) >= MIN_CHANGE:
            causes = ["biases"] * met.biased + ["operators without a rule"] * bool(met.others or met.unruled)
            notes[0] += f" ({change:+.1%}), changed by {' and '.join(causes) or 'epsilon'}"
        notes[0] += "."
        if abs(end) < MIN_KEPT_SHARE * abs(start):
            notes.append("Nearly all relevance was absorbed on the way, so the map explains little of the score.")
        if met.gates:
            notes.append("Activations are multiplied by gates, which count as constants and get no relevance.")
        if met.shared:
            notes.append("Two activations that are multiplied share the relevance equally.")
        if met.others:
            notes.append(f"These operators have no rule, and kept the plain derivative: {', '.join(met.others)}.")
        if met.unruled:
            notes.append(f"These operators follow the epsilon rule with epsilon 0: {', '.join(met.unruled)}.")
        if COMPOSITES[self.composite] == ("epsilon", None) and self.epsilon == 0 and not met.changed:
            notes.append("With epsilon 0, this is input x gradient.")
        return notes
