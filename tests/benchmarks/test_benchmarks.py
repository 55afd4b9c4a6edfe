"""The benchmarks run, write what they promise, and tell right estimators from wrong ones."""

import json
import math

import pytest
import torch
from PIL import Image

from benchmarks import __main__ as bench
from benchmarks.convergence import Curve, band, reward_at, smoothed, table
from benchmarks.taste import RATER_FOLDERS, Foretold, planted_utility, random_answers, random_mixture
from benchmarks.taste import table as taste_table
from benchmarks.variants import VARIANTS, parse
from rlr_core.drift import GAUGES
from rlr_core.estimators.registry import ESTIMATORS
from rlr_core.preference.taste import fit_taste
from rlr_core.rng import generator
from tests.tiny import write_tiny_folder

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
    """A reward that is linear in log(1 + nats) is read off exactly, however fast the climb and whatever the smoothing."""
    kl = [0.0, 2.0, 11.0, 80.0, 300.0, 2000.0]
    curve = Curve("ppo", 0, [0.5 + 0.1 * math.log1p(each) for each in kl], kl, [1] * 6, [1.0] * 6, "")
    assert smoothed([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) == [1.0, 1.5, 2.0, 2.5, 3.0, 4.0]
    assert reward_at(curve, 30.0) == pytest.approx(0.5 + 0.1 * math.log1p(30.0), abs=1e-12)
    assert reward_at(curve, 3000.0) is None
    assert "| ppo | 6 … 6 | 0 | 0.9257 (0.9257 … 0.9257) | 0.8434" in table([curve])


def test_the_band_ends_where_the_first_seed_does():
    """Two seeds with rewards 1 and 3 all along, of which one went to 4 and one to 9 evaluations."""
    curves = [Curve("ppo", seed, [reward] * 3, [0.0] * 3, [1, 2, last], [1.0] * 3, "") for seed, reward, last in ((0, 1.0, 4), (1, 3.0, 9))]
    grid, rewards = band(curves, [curve.network_evaluations for curve in curves])
    assert (grid[0], grid[-1]) == (1, 4)
    assert rewards.mean(0).tolist() == [2.0] * len(grid)


def test_the_taste_is_measured_for_every_rater_and_its_probabilities_too(tiny_folder, capsys, tmp_path):
    path = tmp_path / "taste.json"
    size = ["--questions", "16", "--answers", "6", "8", "--wrong", "0", "0.5", "--seeds", "1"]
    assert bench.main(["taste", "--base-model", str(tiny_folder), *size, "--reliability", "--json", str(path)]) == 0
    head, _, *lines = capsys.readouterr().out.splitlines()
    names = {path.stem for folder in RATER_FOLDERS for path in folder.glob("*.py")}
    assert head == "| rater | 6 answers | 8 answers | 6 answers, 50% wrong | 8 answers, 50% wrong |"
    assert {line.split()[1] for line in lines[: len(names) + 1]} == {*names, "mean"}
    count = (10 + 8) * len(names)
    assert lines[-1].startswith(f"{count} predictions: calibration error 0.")
    assert [line for line in lines if line.endswith("% wrong")] == ["embedded_clip, 0% wrong", "embedded_clip, 50% wrong"]
    written = json.loads(path.read_text())
    keys = {"base_model", "questions", "features", "answers", "wrong", "seeds", "foretold", "reliability"}
    assert (set(written), written["questions"], written["wrong"]) == (keys, 16, [0.0, 0.5])
    assert len(written["foretold"]) == 4 * len(names)
    assert [each["wrong"] for each in written["reliability"]] == [0.0, 0.5]
    assert all(sum(row["count"] for row in each["bins"]) == count for each in written["reliability"])


def test_more_answers_than_questions_are_refused(capsys):
    assert bench.main(["taste", "--questions", "31", "--answers", "30"]) == 2
    assert "questions = 31: after 30 answers too few are left to foretell. Use at least 32." in capsys.readouterr().err


def test_the_seconds_of_a_fit_are_written(capsys, tmp_path):
    assert bench.main(["taste", "--fit-speed", "10", "20", "--json", str(tmp_path / "speed.json")]) == 0
    written = json.loads((tmp_path / "speed.json").read_text())
    assert [each["count"] for each in written["fits"]] == [10, 20, 10, 20]
    assert all(0 < each["seconds"] < 10 for each in written["fits"])
    assert 0 < written["order_of_asking_seconds"] < 1
    assert "mixed, two raters      20" in capsys.readouterr().out


def test_the_columns_of_the_taste_s_table_are_means_over_seeds():
    given = (("x", 0, 0.5), ("x", 1, 0.7), ("y", 0, 0.9), ("y", 1, 0.9))
    rows = [Foretold(rater, "embedded_clip", 0.0, 8, seed, share) for rater, seed, share in given]
    assert taste_table(rows).splitlines()[2:] == ["| x | 0.600 |", "| y | 0.900 |", "| mean | 0.750 |"]


def test_features_are_measured_side_by_side(tiny_folder, capsys):
    arguments = ["taste", "--base-model", str(tiny_folder), "--questions", "12", "--answers", "8", "--seeds", "1"]
    assert bench.main([*arguments, "--features", "base_model", "embedded_clip"]) == 0
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert head == "| rater | base_model, 8 answers | embedded_clip, 8 answers |"
    assert {row.count("|") for row in rows} == {4}
    assert bench.main([*arguments, "--features", "sigclip"]) == 2
    assert "did you mean 'siglip'" in capsys.readouterr().err


@pytest.mark.parametrize("make", [random_answers, random_mixture])
def test_made_up_evidence_can_be_learned_from(make):
    features = torch.randn(200, 20, generator=generator(0, "features"))
    evidence = make(features, 120)
    assert len(evidence) == 120
    assert len({type(piece) for piece in evidence}) == (1 if make is random_answers else 4)
    found = fit_taste(features, evidence, features).mean(features)
    assert torch.corrcoef(torch.stack([found, planted_utility(features)]))[0, 1] > 0.6


def test_a_cheated_reward_is_followed_three_ways(tiny_folder, tmp_path, capsys):
    figures, picture = tmp_path / "figures.json", tmp_path / "pictures.png"
    assert bench.main(["cheating", "--base-model", str(tiny_folder), "--updates", "1", "--json", str(figures), "--plot", str(picture)]) == 0
    base, *rounds = json.loads(figures.read_text())
    assert (base["arm"], base["updates"], base["kl"]) == ("base model", 0, 0.0)
    assert [each["arm"] for each in rounds] == ["neither", "gauges", "anchor and gauges"]
    assert all(each["updates"] == 1 and set(each["changes"]) == set(GAUGES) for each in rounds)
    assert rounds[0]["alarm"] == ""
    assert capsys.readouterr().out.count("\n| ") == 6
    assert Image.open(picture).width > 800


def test_a_taste_is_carried_to_another_base_model(tiny_folder, tmp_path, capsys):
    other, figures = write_tiny_folder(tmp_path / "other", seed=1), tmp_path / "portable.json"
    arguments = ["portable", "--base-model", str(other), "--learned-with", str(tiny_folder), "--answers", "6", "--json", str(figures)]
    assert bench.main([*arguments, "--num-updates", "1", "--batch-size", "2", "--drift-check-every", "0"]) == 0, capsys.readouterr().err
    (carried,) = json.loads(figures.read_text())
    assert (carried["rater"], carried["base_model"], carried["answers"]) == ("warm_colours", "other", 6)
    assert carried["wins"] + carried["losses"] + carried["ties"] == 36
    assert carried["kl"] > 0 and carried["taste_bytes"] > 10_000
    assert bench.main(["portable", "--base-model", "/nowhere/model"]) == 2
    assert "/nowhere/model" in capsys.readouterr().err
