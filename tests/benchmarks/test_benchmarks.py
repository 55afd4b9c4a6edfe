"""The benchmarks run, write what they promise, and tell right estimators from wrong ones."""

import json

import pytest

from benchmarks import __main__ as bench
from benchmarks.convergence import Curve, reward_at, smoothed, table
from benchmarks.variants import VARIANTS, parse
from rlr_core.estimators.registry import ESTIMATORS

KEYS = {
    "estimator", "unbiased", "bias_z", "relative_variance", "relative_variance_error", "cosine", "network_evaluations",
    "seconds_per_sample", "peak_bytes", "variance_seconds",
}  # fmt: skip


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "gradients.json"
    chosen = ["full_backprop", "rlr_antithetic", "first_order:first_order_steps=1", "score_function", "score_function:advantage=batch_mean"]
    arguments = ["gradients", "--chain", "linear-gaussian", "--steps", "10", "--samples", "2400", "--batch-size", "8"]
    assert bench.main([*arguments, "--estimators", *chosen, "--json", str(path)]) == 0
    return {row["estimator"]: row for row in json.loads(path.read_text())["estimators"]}


def test_every_line_has_every_figure(rows):
    assert all(set(row) == KEYS for row in rows.values())


def test_bias_is_seen_where_there_is_some_and_only_there(rows):
    assert abs(rows["full_backprop"]["bias_z"]) < 5
    assert abs(rows["rlr_antithetic"]["bias_z"]) < 5
    assert rows["first_order:first_order_steps=1"]["bias_z"] > 20
    assert [row["unbiased"] for row in rows.values()] == [True, True, False, True, False]


def test_twins_are_quieter_than_the_score_function(rows):
    full, twins, score = (rows[name]["relative_variance"] for name in ("full_backprop", "rlr_antithetic", "score_function"))
    assert full < twins < score
    assert rows["full_backprop"]["cosine"] == pytest.approx(1)
    assert rows["rlr_antithetic"]["cosine"] == pytest.approx(1, abs=0.1)


def test_costs_are_the_chain_s_own(rows):
    """T = 10: sampling 10, full backpropagation 30 more; first order 3 more."""
    assert rows["full_backprop"]["network_evaluations"] == 40
    assert rows["first_order:first_order_steps=1"]["network_evaluations"] == 13


def test_variants_are_read_as_they_are_written():
    variant, plain = parse(["rlr:has_zeroth_order=false,sub_chain_length=3,place=gradient_norm", "ppo"])
    assert (variant.name, variant.settings) == ("rlr", {"has_zeroth_order": False, "sub_chain_length": 3, "place": "gradient_norm"})
    assert plain.title == "ppo"
    assert {each.name for each in VARIANTS} == set(ESTIMATORS)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["gradient"], "benchmark 'gradient' is unknown"),
        (["gradients", "--chain", "linear-gaussian", "--estimators", "rlr_antithetik"], "did you mean 'rlr_antithetic'?"),
        (["gradients", "--chain", "linear-gaussian", "--samples", "8"], "too few to see their spread"),
        (["gradients", "--chain", "linear-gaussian", "--estimators", "zeroth_order:perturbation_std=0"], "perturbation_std = 0"),
        (
            ["gradients", "--chain", "linear-gaussian", "--steps", "5", "--estimators", "half_order:sub_chain_length=9"],
            "sub_chain_length = 9",
        ),
    ],
)
def test_what_cannot_work_is_said_in_a_sentence(arguments, sentence, capsys):
    assert bench.main(arguments) == 2
    assert sentence in capsys.readouterr().err


def test_reward_at_equal_divergence():
    curve = Curve("ppo", 0, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [0.1, 0.5, 1.5, 2.5, 3.5, 4.5], [1] * 6, [1.0] * 6, "")
    assert smoothed(curve.rewards) == [1.0, 1.5, 2.0, 2.5, 3.0, 4.0]
    assert reward_at(curve, 3.0) == 3.0
    assert reward_at(curve, 10.0) is None
    assert "| ppo | 6 … 6 | 0 | 4.0000 (4.0000 … 4.0000) | 2.0000" in table([curve])
