"""Wide features are fitted in the span of the pictures: the same taste as in all their columns, in a fraction of the time."""

import time

import pytest
import torch

from rlr_core.preference import span as module
from rlr_core.preference.evidence import Answer, Evidence, Ranking, Stars, Thumb, Upload
from rlr_core.preference.features import column_themes
from rlr_core.preference.span import span
from rlr_core.preference.taste import fit_taste
from rlr_core.rng import generator

NUM_PICTURES, NUM_REFERENCES = 40, 30
SAID: tuple[Evidence, ...] = (
    *(Answer(2 * number, 2 * number + 1, "ab"[number % 3 == 0], left="a", rater=("ann", "bea")[number % 2]) for number in range(14)),
    Answer(30, 31, "both_bad"),
    Answer(30, 32, "tie"),
    Thumb(33, True),
    Stars(34, 4),
    Stars(35, 1),
    Ranking((36, 37, 38), 2),
    Upload(39, True),
)


def pictures(num_columns: int):
    draws = torch.randn(NUM_PICTURES + NUM_REFERENCES + 20, num_columns, generator=generator(0, "features"), dtype=torch.float64)
    return draws.split([NUM_PICTURES, NUM_REFERENCES, 20])


@pytest.mark.parametrize("wide", [100, 400])
def test_the_taste_is_that_of_a_fit_in_all_columns(monkeypatch, wide):
    features, reference, new = pictures(73 + wide)
    monkeypatch.setattr(module, "WIDE", 50)
    narrow = fit_taste(features, SAID, reference)
    monkeypatch.setattr(module, "WIDE", 10_000)
    whole = fit_taste(features, SAID, reference)
    torch.testing.assert_close(narrow.weights, whole.weights, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(narrow.covariance, whole.covariance, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(narrow.std(new.float()), whole.std(new.float()))
    assert narrow.spread == pytest.approx(whole.spread, rel=1e-5)
    assert narrow.agreement_held_out == whole.agreement_held_out
    for one, other in zip(narrow.raters, whole.raters, strict=True):
        assert one.consistency == pytest.approx(other.consistency, rel=1e-5)
        assert one.position_bias == pytest.approx(other.position_bias, abs=1e-6)


def test_features_that_are_not_wide_are_fitted_as_they_are():
    features, reference, _ = pictures(73 + 128)
    themes = column_themes(features.shape[1])
    columns = torch.tensor([[float(theme == name) for theme in themes] for name in dict.fromkeys(themes)], dtype=torch.float64)
    found = span(columns, torch.cat([features, reference]))
    assert found.turned is None and found.columns is columns and found.narrowed(features) is features


def test_more_pictures_than_columns_are_fitted_in_all_columns(monkeypatch):
    monkeypatch.setattr(module, "WIDE", 10)
    columns = torch.ones(1, 30, dtype=torch.float64)
    assert span(columns, torch.zeros(30, 30, dtype=torch.float64)).turned is None
    assert span(columns, torch.eye(29, 30, dtype=torch.float64)).turned is not None


def test_a_thousand_columns_take_seconds_not_minutes():
    features, reference, _ = pictures(73 + 1024)
    started = time.process_time()
    fit_taste(features, SAID, reference)
    assert time.process_time() - started < 3
