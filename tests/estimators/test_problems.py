"""What cannot work is refused beforehand, all at once, each with a sentence that names a remedy."""

import pytest

from rlr_core import config
from rlr_core.errors import InvalidSettings
from rlr_core.estimators.perturbations.registry import PERTURBATIONS
from rlr_core.estimators.registry import ESTIMATORS
from rlr_core.linear_gaussian import LinearGaussianChain
from tests.estimators.cases import make
from tests.estimators.oracles import float64

ETA_SENTENCE = (
    "eta = 0: half-order sub-chains divide by the step's noise, which is zero when eta is 0. "
    "Use eta > 0 (DDPM is 1.0) or choose full_backprop."
)
HALF_ORDER = ["half_order", "antithetic_half_order", "rlr_antithetic", "score_function", "ppo", "rlr"]
FIRST_ORDER = ["first_order", "full_backprop", "rlr_antithetic", "truncated_backprop", "rlr"]


def chain_with(stds):
    return LinearGaussianChain(float64([[[0.9]]] * len(stds)), stds, float64([[0.1]]), float64([0.2]))


def problems(name, settings, stds, reward_is_differentiable=True):
    return make(name, settings).problems(chain_with(stds), reward_is_differentiable)


def refused(name, settings):
    """The problems that settings have by themselves, before there is a chain: no estimator is made of them."""
    with pytest.raises(InvalidSettings) as caught:
        make(name, settings)
    assert caught.value.problems == config.problems(ESTIMATORS[name].settings(**settings))
    return caught.value.problems


@pytest.mark.parametrize("name", ESTIMATORS)
def test_defaults_run_on_twenty_noisy_steps(name):
    assert problems(name, {}, [0.5] * 20) == {}


@pytest.mark.parametrize("name", HALF_ORDER)
def test_a_sampler_without_noise_is_refused(name):
    assert problems(name, {}, [0.0] * 20) == {"eta": ETA_SENTENCE}


@pytest.mark.parametrize("name", ["first_order", "full_backprop", "truncated_backprop", "zeroth_order"])
def test_backpropagation_and_zeroth_order_need_no_noise(name):
    assert problems(name, {}, [0.0] * 20) == {}


@pytest.mark.parametrize("name", ["half_order", "antithetic_half_order", "score_function", "ppo"])
def test_a_silent_last_step_must_stay_uncovered(name):
    stds = [0.5] * 19 + [0.0]
    assert "adds none at step 19 of 20" in problems(name, {"uncovered_tail": 0}, stds)["eta"]
    assert problems(name, {"uncovered_tail": 1}, stds) == {}


@pytest.mark.parametrize("name", ["rlr_antithetic", "rlr"])
def test_a_silent_last_step_is_left_to_first_order(name):
    assert problems(name, {"first_order_steps": 1}, [0.5] * 19 + [0.0]) == {}


def test_without_first_order_a_silent_last_step_must_be_left_to_zeroth_order():
    stds = [0.5] * 19 + [0.0]
    found = problems("rlr", {"has_first_order": False}, stds)
    assert set(found) == {"eta"}
    assert "uncovered_tail" in found["eta"]
    assert problems("rlr", {"has_first_order": False, "uncovered_tail": 1}, stds) == {}
    assert problems("rlr", {"has_first_order": False, "has_half_order": False}, [0.0] * 20) == {}


def test_a_silent_step_inside_a_sub_chain_does_no_harm():
    """Only the last step of a sub-chain is divided by."""
    stds = [0.0, 0.5, 0.0, 0.5, 0.0, 0.5]
    assert problems("half_order", {"sub_chain_length": 2, "uncovered_tail": 0}, stds) == {}
    assert set(problems("half_order", {"sub_chain_length": 1, "uncovered_tail": 0}, stds)) == {"eta"}


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_a_reward_without_derivative_is_refused(name):
    found = problems(name, {}, [0.5] * 20, reward_is_differentiable=False)
    assert found == {
        "estimator": f"estimator = {name}: it propagates back through the reward, and this reward cannot be differentiated. "
        "Choose antithetic_half_order, which needs only the reward's values."
    }


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("half_order", {}),
        ("antithetic_half_order", {}),
        ("score_function", {}),
        ("ppo", {}),
        ("zeroth_order", {}),
        ("rlr", {"has_first_order": False}),
    ],
)
def test_without_first_order_any_reward_will_do(name, settings):
    assert problems(name, settings, [0.5] * 20, reward_is_differentiable=False) == {}


def test_all_problems_come_at_once():
    settings = {"first_order_steps": 3, "sub_chain_length": 9, "num_sub_chains": 5}
    found = problems("rlr_antithetic", settings, [0.0] * 6, reward_is_differentiable=False)
    assert set(found) == {"estimator", "sub_chain_length", "num_sub_chains", "eta"}
    assert "Use at most 3" in found["sub_chain_length"]


def test_first_order_must_leave_steps_to_half_order():
    assert "Use at most 5" in problems("rlr_antithetic", {"first_order_steps": 6}, [0.5] * 6)["first_order_steps"]
    assert problems("first_order", {"first_order_steps": 6}, [0.5] * 6) == {}
    assert "Use at most 6" in problems("first_order", {"first_order_steps": 7}, [0.5] * 6)["first_order_steps"]


def test_the_tail_must_leave_steps():
    found = problems("antithetic_half_order", {"uncovered_tail": 6}, [0.5] * 6)
    assert set(found) == {"uncovered_tail"}
    assert "Use at most 5" in found["uncovered_tail"]


@pytest.mark.parametrize("name", ["score_function", "ppo"])
def test_the_tail_must_leave_steps_to_a_likelihood_ratio(name):
    assert "Use at most 5" in problems(name, {"uncovered_tail": 6}, [0.5] * 6)["uncovered_tail"]


def test_truncated_backpropagation_is_no_longer_than_the_chain():
    assert "Use at most 6" in problems("truncated_backprop", {"first_order_steps": 7}, [0.5] * 6)["first_order_steps"]
    assert problems("truncated_backprop", {"first_order_steps": 6}, [0.5] * 6) == {}


@pytest.mark.parametrize(
    ("settings", "most"),
    [({}, 5), ({"has_half_order": False}, 5), ({"has_zeroth_order": False}, 5), ({"has_half_order": False, "has_zeroth_order": False}, 6)],
)
def test_first_order_of_rlr_must_leave_steps_to_its_other_terms(settings, most):
    at_most = settings | {"first_order_steps": most, "sub_chain_length": 1}
    assert problems("rlr", at_most, [0.5] * 6) == {}
    found = problems("rlr", at_most | {"first_order_steps": most + 1}, [0.5] * 6)
    assert set(found) == {"first_order_steps"}
    assert f"first_order_steps = {most + 1}" in found["first_order_steps"]
    assert f"Use at most {most}" in found["first_order_steps"]


def test_a_sub_chain_of_rlr_fits_before_first_order():
    found = problems("rlr", {"first_order_steps": 2, "sub_chain_length": 5}, [0.5] * 6)
    assert set(found) == {"sub_chain_length"}
    assert "sub_chain_length = 5" in found["sub_chain_length"]
    assert "Use at most 4" in found["sub_chain_length"]
    assert problems("rlr", {"first_order_steps": 2, "sub_chain_length": 4}, [0.5] * 6) == {}
    assert problems("rlr", {"first_order_steps": 2, "sub_chain_length": 5, "has_half_order": False}, [0.5] * 6) == {}


def test_rlr_needs_a_term():
    found = refused("rlr", {"has_first_order": False, "has_half_order": False, "has_zeroth_order": False})
    assert found == {"has_half_order": "has_first_order, has_half_order, has_zeroth_order = no: nothing is left to estimate with. Use one."}


@pytest.mark.parametrize(("name", "settings"), [("antithetic_half_order", {"uncovered_tail": 1}), ("rlr_antithetic", {})])
def test_there_are_no_more_flips_than_elements(name, settings):
    """The state of this chain is one number."""
    found = problems(name, settings | {"num_flips": 2}, [0.5] * 6)
    assert found["num_flips"] == "num_flips = 2: a state of this model has only 1 elements to flip. Use at most 1."
    assert set(problems(name, settings | {"num_flips": 2, "sub_chain_length": 9}, [0.5] * 6)) == {"num_flips", "sub_chain_length"}
    assert "num_flips" not in problems(name, settings | {"num_flips": 1}, [0.5] * 6)


ZEROTH_ORDER = ["zeroth_order", "rlr"]


@pytest.mark.parametrize("name", ZEROTH_ORDER)
@pytest.mark.parametrize("comparison", ["unperturbed", "none"])
def test_a_rule_that_learns_the_curvature_needs_both_sides(name, comparison):
    found = refused(name, {"rule": "hizoo", "comparison": comparison})
    assert found == {
        "comparison": f"comparison = {comparison}: the rule hizoo learns the curvature from both sides of the parameters. "
        "Use two_sided, or another rule."
    }
    for rule in set(PERTURBATIONS) - {"hizoo"}:
        assert problems(name, {"rule": rule, "comparison": comparison}, [0.5] * 6) == {}


@pytest.mark.parametrize("name", ZEROTH_ORDER)
def test_a_setting_that_the_rule_does_not_have_is_refused(name):
    found = refused(name, {"rule": "hizoo", "rule_settings": {"smothing": 0.1, "window": 3}})
    known = "there is no such setting; known are is_preconditioned, smoothing."
    assert found == {"smothing": f"smothing: {known}", "window": f"window: {known}"}
    assert "known are none" in refused(name, {"rule_settings": {"window": 3}})["window"]


@pytest.mark.parametrize("name", ZEROTH_ORDER)
def test_a_rules_setting_out_of_its_range_is_refused(name):
    found = refused(name, {"rule": "adamezo", "rule_settings": {"window": 0, "first_decay": 1.0}})
    assert set(found) == {"window", "first_decay"}
    assert "window = 0: it must lie from 1 to 10000" in found["window"]


@pytest.mark.parametrize("name", ZEROTH_ORDER)
@pytest.mark.parametrize("given", [3, "smoothing", ["smoothing"], None])
def test_a_rules_settings_are_values_by_name(name, given):
    found = refused(name, {"rule": "hizoo", "rule_settings": given})
    assert found["rule_settings"].startswith(f"rule_settings = {given!r}: ")
    assert "leave them out" in found["rule_settings"]


def test_a_rule_that_does_not_exist_is_refused():
    assert set(refused("zeroth_order", {"rule": "hizo"})) == {"rule"}


def test_all_problems_of_rlr_come_at_once():
    settings = {"rule": "hizoo", "comparison": "none", "rule_settings": {"window": 3}}
    assert set(refused("rlr", settings)) == {"comparison", "window"}
    assert set(refused("rlr", settings | {"rule_settings": 3})) == {"comparison", "rule_settings"}
    settings |= {"first_order_steps": 2, "sub_chain_length": 9, "has_zeroth_order": False}
    assert set(problems("rlr", settings, [0.0] * 6, False)) == {"estimator", "sub_chain_length", "eta"}
    assert set(problems("rlr", settings | {"first_order_steps": 6}, [0.5] * 6, False)) == {"estimator", "first_order_steps"}


@pytest.mark.parametrize("name", ZEROTH_ORDER)
@pytest.mark.parametrize("value", [0, 0.0, -0.1, float("nan"), float("inf"), "0.1", True])
def test_a_perturbation_must_move_the_parameters(name, value):
    found = config.problems(ESTIMATORS[name].settings(perturbation_std=value))
    assert set(found) == {"perturbation_std"}
    assert "perturbation_std = " in found["perturbation_std"]
    assert "0.01" in found["perturbation_std"]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("zeroth_order", {"rule": "hizo", "comparison": "one_sided", "perturbation_std": -1, "num_perturbations": 0, "is_shared": "no"}),
        ("rlr", {"rule": "hizo", "comparison": "", "place": "nowhere", "advantage": "mean", "has_half_order": 1, "first_order_steps": 0}),
        ("ppo", {"clip_range": 0, "inner_epochs": 0, "inner_step_length": -1, "advantage": "gae", "uncovered_tail": -1}),
        ("truncated_backprop", {"cut": "random", "first_order_steps": 0, "cut_spread": -1}),
        ("score_function", {"advantage": None, "uncovered_tail": 0.5}),
        ("rlr_antithetic", {"place": "softmax", "num_flips": 0}),
    ],
)
def test_values_that_no_chain_could_use_are_refused_at_once_before_an_estimator_is_made(name, values):
    with pytest.raises(InvalidSettings) as caught:
        config.from_mapping(ESTIMATORS[name].settings, values)
    assert set(caught.value.problems) == set(values)
    for setting, value in values.items():
        assert caught.value.problems[setting].startswith(f"{setting} = {value!r}: ")


def test_an_unknown_rule_is_answered_with_those_there_are():
    sentence = config.problems(ESTIMATORS["zeroth_order"].settings(rule="hizo"))["rule"]
    assert all(rule in sentence for rule in PERTURBATIONS)
