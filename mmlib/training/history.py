"""What a training run leaves behind besides the weights."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

from mmlib.checks import boolean, integer


@dataclass
class History:
    """What happened in a training run.

    Attributes:
        epochs: One dictionary per epoch: ``epoch`` (from 1), ``lr`` (of its last step),
            ``train_loss`` (mean over the examples of the loss that was minimised, mixed if the
            run mixes), ``seconds`` (of training since the start), and what `evaluate` returned.
        steps: Number of updates made.

    Example:
        >>> history = History([{"epoch": e, "nll": v} for e, v in enumerate((3.0, 1.0, 2.0), 1)])
        >>> history.best("nll", lower=True), history.last["nll"], history.median("nll", last=2)
        (1.0, 2.0, 1.5)
    """

    epochs: list[dict[str, float]] = field(default_factory=list)
    steps: int = 0

    @property
    def last(self) -> dict[str, float]:
        """The dictionary of the last epoch."""
        return self.epochs[-1]

    def column(self, key: str) -> list[float]:
        """Return one quantity over the epochs that have it."""
        return [row[key] for row in self.epochs if key in row]

    def best(self, key: str, *, lower: bool = False) -> float:
        """Return the best value of the run; picked on the test set it is no estimate of the test.

        Args:
            key: A quantity of the epochs.
            lower: Smaller is better.
        """
        return (min if boolean("lower", lower) else max)(self._present(key))

    def median(self, key: str, *, last: int = 10) -> float:
        """Return the median over the last epochs that have the quantity."""
        return statistics.median(self._present(key)[-integer("last", last, low=1) :])

    def _present(self, key: str) -> list[float]:
        if not (values := self.column(key)):
            known = sorted({name for row in self.epochs for name in row})
            raise KeyError(
                f"key: no epoch has {key!r}; there are {', '.join(known) or 'no epochs'}"
            )
        return values
