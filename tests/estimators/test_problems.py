"""What cannot work is refused beforehand, all at once, each with a sentence that names a remedy."""

import pytest

from rlr_core.estimators.registry import ESTIMATORS
from rlr_core.linear_gaussian import LinearGaussianChain
from tests.estimators.cases import make
from tests.estimators.oracles import float64

ETA_SENTENCE = (
    "eta = 0: half-order sub-chains divide by the step's noise, which is zero when eta is 0. "
    "Use eta > 0 (DDPM is 1.0) or choose full_backprop."
)
HALF_ORDER = ["half_order", "antithetic_half_order", "rlr_antithetic"]
FIRST_ORDER = ["first_order", "full_backprop", "rlr_antithetic"]


def chain_with(stds):
    return LinearGaussianChain(float64([[[0.9]]] * len(stds)), stds, float64([[0.1]]), float64([0.2]))


def problems(name, settings, stds, reward_is_differentiable=True):
    return make(name, settings).problems(chain_with(stds), reward_is_differentiable)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_defaults_run_on_twenty_noisy_steps(name):
    assert problems(name, {}, [0.5] * 20) == {}


@pytest.mark.parametrize("name", HALF_ORDER)
def test_a_sampler_without_noise_is_refused(name):
    assert problems(name, {}, [0.0] * 20) == {"eta": ETA_SENTENCE}


@pytest.mark.parametrize("name", ["first_order", "full_backprop"])
def test_backpropagation_needs_no_noise(name):
    assert problems(name, {}, [0.0] * 20) == {}


@pytest.mark.parametrize("name", ["half_order", "antithetic_half_order"])
def test_a_silent_last_step_must_stay_uncovered(name):
    stds = [0.5] * 19 + [0.0]
    assert "adds none at step 19 of 20" in problems(name, {"uncovered_tail": 0}, stds)["eta"]
    assert problems(name, {"uncovered_tail": 1}, stds) == {}


def test_a_silent_last_step_is_left_to_first_order():
    assert problems("rlr_antithetic", {"first_order_steps": 1}, [0.5] * 19 + [0.0]) == {}


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


@pytest.mark.parametrize("name", ["half_order", "antithetic_half_order"])
def test_half_order_takes_any_reward(name):
    assert problems(name, {}, [0.5] * 20, reward_is_differentiable=False) == {}


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
