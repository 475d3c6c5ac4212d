"""What each hypothesis about the gain of mixing predicts, written down before any run was seen.

A prediction is a sum over arms of weights times an outcome, one number for each seed, whose sign
is predicted; or one that is predicted to lie within a margin of zero. Outcomes count so that more
is better (see `OUTCOMES`). An arm keeps the gain of another one, the reference, if its own gain
over plain training is at least half of the reference's: ``(A - N) - (R - N) / 2`` is positive. If
it is negative, the arm loses the gain. That sign needs no division by a gain that may be small,
and it says nothing where the reference has no gain at all, which is tested first.
"""

from __future__ import annotations

from dataclasses import dataclass

# outcome -> sign that makes more better, whether its logarithm is taken, name
OUTCOMES: dict[str, tuple[int, bool, str]] = {
    "accuracy": (1, False, "test accuracy, percentage points"),
    "nll_scaled": (-1, True, "log NLL at a fitted temperature"),
    "nll": (-1, True, "log NLL"),
    "within": (-1, True, "log within over total variance"),
    "bend_block2": (-1, True, "log bend behind block 2"),
}
HALF = 0.5  # share of a gain that counts as keeping it
ALIKE = {"digits": 0.5, "squared": 0.5, "photos": 1.0}  # accuracies that close are called equal


@dataclass(frozen=True)
class Prediction:
    """A sum over arms whose sign, or smallness, is predicted.

    Attributes:
        words: what is predicted.
        weights: (arm, weight) pairs.
        sign: 1 or -1; 0 for a sum that is within a margin of zero.
        setups: where it is tested.
        reference: arm that must have a gain of its own for the prediction to say anything.
        outcome: None for the outcome that is being judged.
        margin: for sign 0, on the scale of the outcome; None for `ALIKE`.
    """

    words: str
    weights: tuple[tuple[str, float], ...]
    sign: int
    setups: tuple[str, ...]
    reference: str | None = None
    outcome: str | None = None
    margin: float | None = None


@dataclass(frozen=True)
class Hypothesis:
    """A cause of the gain and what follows from it.

    Attributes:
        name: short name.
        says: the cause, in a sentence.
        predictions: what follows.
        enough: whether one prediction is enough; else all must hold.
    """

    name: str
    says: str
    predictions: tuple[Prediction, ...]
    enough: bool = False


_BOTH = ("digits", "photos")


def _share(arm: str, of: str, sign: int, setups: tuple[str, ...]) -> Prediction:
    weights = ((arm, 1.0), (of, -HALF), ("none", HALF - 1.0))
    word = "keeps" if sign > 0 else "loses"
    return Prediction(f"{arm} {word} the gain of {of}", weights, sign, setups, reference=of)


def keeps(arm: str, of: str = "manifold", setups: tuple[str, ...] = _BOTH) -> Prediction:
    """Return the prediction that an arm has at least half of the gain of another one.

    Example:
        >>> keeps("input").weights
        (('input', 1.0), ('manifold', -0.5), ('none', -0.5))
    """
    return _share(arm, of, 1, setups)


def loses(arm: str, of: str = "manifold", setups: tuple[str, ...] = _BOTH) -> Prediction:
    """Return the prediction that an arm has less than half of the gain of another one."""
    return _share(arm, of, -1, setups)


def better(
    arm: str, other: str, outcome: str | None = None, setups: tuple[str, ...] = _BOTH
) -> Prediction:
    """Return the prediction that an arm is better than another one."""
    words = f"{arm} better than {other}" + (f", {OUTCOMES[outcome][2]}" if outcome else "")
    return Prediction(words, ((arm, 1.0), (other, -1.0)), 1, setups, outcome=outcome)


def alike(
    arm: str,
    other: str,
    setups: tuple[str, ...] = _BOTH,
    outcome: str | None = None,
    margin: float | None = None,
) -> Prediction:
    """Return the prediction that two arms differ by less than a margin."""
    words = f"{arm} like {other}" + (f", {OUTCOMES[outcome][2]}" if outcome else "")
    weights = ((arm, 1.0), (other, -1.0))
    return Prediction(words, weights, 0, setups, outcome=outcome, margin=margin)


_MNIST, _SQUARED = ("digits",), ("squared",)

HYPOTHESES: dict[str, Hypothesis] = {
    "H1": Hypothesis(
        "step size",
        "A mixed batch is a plain one with a smaller step.",
        (
            keeps("scaled"),
            keeps("scaled", setups=_SQUARED),
            alike("last", "scaled", _SQUARED, "accuracy"),
        ),
    ),
    "H2": Hypothesis(
        "soft targets",
        "Targets that are not one-hot are enough, mixed or smoothed.",
        (keeps("targets"), keeps("smoothing")),
        enough=True,
    ),
    "H3": Hypothesis(
        "noise on the states",
        "Other examples are noise on the states; targets need not be mixed.",
        (keeps("features"),),
    ),
    "H4": Hypothesis(
        "features flatten",
        "The layers before the mix learn from it, and that is the gain.",
        (loses("detached"), loses("detached_deep", "deep")),
    ),
    "H5": Hypothesis(
        "the layers behind",
        "The layers behind the mix are regularised; those before may learn plainly.",
        (
            keeps("detached"),
            loses("head_blocked"),
            keeps("detached_deep", "deep"),
            loses("head_blocked_deep", "deep"),
        ),
    ),
    "H6": Hypothesis(
        "unusual terms",
        "The two unusual terms of the gradient at the states carry the gain.",
        (
            loses("no_cross_deep", "deep"),
            keeps("cross_deep", "deep"),
            loses("no_cross_last", "last", _MNIST),
            loses("usual_last", "last", _SQUARED),
        ),
    ),
    "H7": Hypothesis(
        "bend of the head",
        "Mixing presses on the bend of the layers behind, so an affine head gains nothing.",
        (
            loses("last"),
            keeps("deep"),
            loses("no_rest_deep", "deep"),
            better("deep", "none", "bend_block2"),
        ),
    ),
    "H8": Hypothesis(
        "vicinal data",
        "Mixes are more data, and are so the more the closer they are to images.",
        (keeps("input"), better("input", "deep"), better("deep", "last")),
    ),
    "H9": Hypothesis(
        "bounded logits",
        "Mixing bounds the gap between logits, which a temperature does as well.",
        (
            alike("manifold", "none", outcome="nll_scaled", margin=0.05),
            alike("manifold", "none", outcome="accuracy"),
        ),
    ),
    "H10": Hypothesis(
        "explicit flatness",
        "A penalty that makes the representation flat does as well (the text's proposal).",
        (
            keeps("decoded"),
            keeps("decoded_strong"),
            keeps("smooth"),
            keeps("smooth_strong", setups=_MNIST),
            keeps("linear", setups=_MNIST),
            keeps("linear_strong", setups=_MNIST),
        ),
        enough=True,
    ),
}
