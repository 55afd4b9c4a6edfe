"""Whether predicted probabilities come true: a reliability table (Murphy and Winkler 1977), of answers that were kept back."""

from dataclasses import dataclass

import torch
from torch import Tensor

from rlr_core.errors import RLRError
from rlr_core.verdict import wilson_interval


@dataclass(frozen=True)
class ReliabilityBin:
    """The predictions from `low` to below `high` (the last bin includes 1).

    Attributes:
        count: how many there are.
        predicted: their mean.
        frequency: the share of them that came true.
        interval: Wilson 95 % interval of the frequency.
    """

    low: float
    high: float
    count: int
    predicted: float
    frequency: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Reliability:
    """A table of the bins that have predictions, and its summary.

    Attributes:
        calibration_error: mean of |predicted - frequency| over the bins, weighted by count; 0 is perfect, sampling noise never is.
        brier: mean squared error of the predictions; 0.25 for one half always.
        log_loss: mean of minus log the probability of what happened, in nats; 0.693 for one half always.
    """

    bins: tuple[ReliabilityBin, ...]
    calibration_error: float
    brier: float
    log_loss: float

    @property
    def count(self) -> int:
        """All predictions."""
        return sum(each.count for each in self.bins)

    @property
    def lines(self) -> tuple[str, ...]:
        """As text, one bin a line, then the summary."""
        rows = [
            f"{each.low:.2f} to {each.high:.2f}  {each.count:6}  {each.predicted:9.3f}  {each.frequency:9.3f}  "
            f"{each.interval[0]:.2f} to {each.interval[1]:.2f}"
            for each in self.bins
        ]
        figures = f"calibration error {self.calibration_error:.3f}, Brier {self.brier:.3f}, log loss {self.log_loss:.3f}"
        return "predicted      count       mean  frequency  95 % interval", *rows, f"{self.count} predictions: {figures}"


def reliability(predicted: Tensor, happened: Tensor, num_bins: int = 10) -> Reliability:
    """The reliability table of predictions.

    Args:
        predicted: probabilities of events, shape (n,), n >= 1. Of answers: that a is preferred to b; a and b must be in random order.
        happened: whether each event came true, shape (n,).
        num_bins: of equal width, over [0, 1].

    Raises:
        RLRError: if there is no prediction, the numbers of predictions and events differ, or a prediction is no probability.
    """
    if len(predicted) == 0 or len(predicted) != len(happened):
        raise RLRError(f"There are {len(predicted)} predictions of {len(happened)} events: give one of each, and at least one.")
    if not bool(((predicted >= 0) & (predicted <= 1)).all()):
        raise RLRError("A prediction is no probability, so it cannot come true so often: give numbers from 0 to 1.")
    p, true = predicted.double(), happened.double()
    place = (p * num_bins).long().clamp_max(num_bins - 1)
    bins = tuple(
        _bin(number / num_bins, (number + 1) / num_bins, p[place == number], true[place == number]) for number in place.unique().tolist()
    )
    return Reliability(
        bins=bins,
        calibration_error=sum(each.count * abs(each.predicted - each.frequency) for each in bins) / len(p),
        brier=float((p - true).square().mean()),
        log_loss=-float((torch.xlogy(true, p) + torch.xlogy(1 - true, 1 - p)).mean()),
    )


def _bin(low: float, high: float, predicted: Tensor, true: Tensor) -> ReliabilityBin:
    wins, count = int(true.sum()), len(true)
    return ReliabilityBin(low, high, count, float(predicted.mean()), wins / count, wilson_interval(wins, count))
