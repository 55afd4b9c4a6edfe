"""Reliability tables: worked by hand, and of predictions that are right, too sure, or not sure enough."""

import math

import pytest
import torch

from rlr_core.errors import RLRError
from rlr_core.preference.calibration import reliability
from rlr_core.preference.evidence import Answer
from rlr_core.preference.taste import fit_taste
from rlr_core.rng import generator
from rlr_core.verdict import wilson_interval


def test_a_table_worked_by_hand():
    table = reliability(torch.tensor([0.1, 0.2, 0.9, 0.8, 1.0]), torch.tensor([False, True, True, False, True]), num_bins=2)
    low, high = table.bins
    assert (low.low, low.high, low.count, low.frequency) == (0.0, 0.5, 2, 0.5)
    assert (high.low, high.high, high.count) == (0.5, 1.0, 3)
    assert low.predicted == pytest.approx(0.15) and high.predicted == pytest.approx(0.9)
    assert high.frequency == pytest.approx(2 / 3) and high.interval == wilson_interval(2, 3)
    assert table.calibration_error == pytest.approx((2 * 0.35 + 3 * (0.9 - 2 / 3)) / 5)
    assert table.brier == pytest.approx((0.01 + 0.64 + 0.01 + 0.64 + 0) / 5)
    assert table.log_loss == pytest.approx(-(math.log(0.9) + math.log(0.2) + math.log(0.9) + math.log(0.2) + 0) / 5)
    assert table.count == 5


@pytest.mark.parametrize(("stretch", "is_calibrated"), [(1.0, True), (3.0, False), (0.3, False)])
def test_predictions_that_are_too_sure_or_too_timid_are_found_out(stretch, is_calibrated):
    draws = generator(0, "events")
    logits = 2 * torch.randn(20_000, generator=draws, dtype=torch.float64)
    happened = torch.rand(20_000, generator=draws, dtype=torch.float64) < torch.sigmoid(logits)
    table = reliability(torch.sigmoid(stretch * logits), happened)
    inside = [each.interval[0] <= each.predicted <= each.interval[1] for each in table.bins]
    assert (table.calibration_error < 0.02) == is_calibrated
    assert (sum(inside) >= 8) == is_calibrated
    honest = reliability(torch.sigmoid(logits), happened)
    assert is_calibrated or (table.log_loss > honest.log_loss and table.brier > honest.brier)


def test_a_tastes_probabilities_come_true():
    """Held out answers to new questions, of ten tastes from thirty answers each; differences of a logit and a half are usual."""
    features = torch.randn(400, 12, generator=generator(0, "features"), dtype=torch.float64)
    predicted, sure, happened = [], [], []
    for seed in range(10):
        draws = generator(seed, "answers")
        utility = 0.4 * features @ torch.randn(12, generator=draws, dtype=torch.float64)
        a, b = torch.randperm(400, generator=draws)[:330].reshape(2, -1)
        wins = torch.rand(len(a), generator=draws, dtype=torch.float64) < torch.sigmoid(utility[a] - utility[b])
        evidence = [Answer(*pair, "a" if won else "b") for *pair, won in zip(a.tolist(), b.tolist(), wins.tolist(), strict=True)]
        taste = fit_taste(features, evidence[:30], features)
        new_a, new_b = (features[side[30:]].float() for side in (a, b))
        predicted.append(taste.probability(new_a, new_b))
        sure.append(torch.sigmoid(taste.difference(new_a, new_b)[0]))
        happened.append(wins[30:])
    honest, best_guess = (reliability(torch.cat(each), torch.cat(happened)) for each in (predicted, sure))
    assert honest.calibration_error < 0.07
    assert honest.log_loss < best_guess.log_loss
    assert honest.log_loss < 0.66


def test_bins_without_predictions_are_left_out_and_the_ends_belong_to_them():
    table = reliability(torch.tensor([0.0, 1.0]), torch.tensor([False, True]))
    assert [(each.low, each.count) for each in table.bins] == [(0.0, 1), (0.9, 1)]
    assert table.calibration_error == table.brier == table.log_loss == 0


def test_the_table_can_be_printed():
    lines = reliability(torch.tensor([0.25, 0.75]), torch.tensor([False, True])).lines
    assert len(lines) == 4
    assert lines[1].split()[:6] == ["0.20", "to", "0.30", "1", "0.250", "0.000"]
    assert lines[-1].startswith("2 predictions: calibration error 0.250")


@pytest.mark.parametrize(
    ("predicted", "happened", "sentence"),
    [
        ([], [], "0 predictions of 0 events"),
        ([0.5], [True, False], "1 predictions of 2 events"),
        ([1.5], [True], "no probability"),
        ([math.nan], [True], "no probability"),
    ],
)
def test_what_gives_no_table_is_refused(predicted, happened, sentence):
    with pytest.raises(RLRError, match=sentence):
        reliability(torch.tensor(predicted), torch.tensor(happened))
