"""One batch exactly: each estimator equals the formula written out by hand in plain numbers. Catches slips that the mean hides."""

from dataclasses import replace

import pytest
import torch

from rlr_core.estimators.advantage import leave_one_out
from rlr_core.estimators.likelihood_ratio import half_order_gradient
from rlr_core.estimators.sub_chain import Draw, SubChain
from tests.estimators.by_hand import (
    EXACT,
    T,
    antithetic_by_hand,
    estimate,
    first_order_by_hand,
    half_order_by_hand,
    mean_over,
    reward_of,
)
from tests.estimators.oracles import DRIFT, LINEAR, QUADRATIC, WEIGHT, flat, scalar_reward


def test_chain_is_the_formula(drawn):
    _, trajectory, states, _ = drawn
    torch.testing.assert_close(trajectory.states.flatten(1).T, torch.tensor(states, dtype=torch.float64), **EXACT)


@pytest.mark.parametrize("num_steps", range(1, T + 1))
def test_first_order(drawn, num_steps):
    chain, trajectory, states, _ = drawn
    found = estimate("first_order", {"first_order_steps": num_steps}, chain, trajectory)
    expected = mean_over([first_order_by_hand(row, num_steps) for row in states])
    torch.testing.assert_close(flat(found.gradient), expected, **EXACT)


def test_full_backprop(drawn):
    chain, trajectory, states, _ = drawn
    found = estimate("full_backprop", {}, chain, trajectory)
    torch.testing.assert_close(flat(found.gradient), mean_over([first_order_by_hand(row, T) for row in states]), **EXACT)


def test_full_backprop_is_the_sum_of_the_steps_gradients(drawn):
    """Step k's own gradient: dR/dy_T times all later slopes times (y_k, 1)."""
    chain, trajectory, states, _ = drawn

    def share(row, k):
        later = LINEAR + QUADRATIC * row[T]
        for step in range(k + 1, T):
            later *= DRIFT[step] + WEIGHT
        return later * row[k], later

    rows = [[sum(share(row, k)[i] for k in range(T)) for i in range(2)] for row in states]
    torch.testing.assert_close(flat(estimate("full_backprop", {}, chain, trajectory).gradient), mean_over(rows), **EXACT)


# Six steps before a tail of 0 or 1: the tiling by h, written out.
TILINGS = [
    (1, 0, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6)]),
    (2, 1, [(0, 1), (1, 3), (3, 5)]),
    (4, 0, [(0, 2), (2, 6)]),
    (6, 0, [(0, 6)]),
]


@pytest.mark.parametrize("advantage", ["none", "leave_one_out"])
@pytest.mark.parametrize(("length", "tail", "tiling"), TILINGS)
def test_half_order(drawn, length, tail, tiling, advantage):
    chain, trajectory, states, noises = drawn
    settings = {"sub_chain_length": length, "num_sub_chains": len(tiling), "uncovered_tail": tail, "advantage": advantage}
    rewards = [reward_of(row[T]) for row in states]
    partner = [1, 0, 3, 2]
    advantages = [rewards[i] - (rewards[partner[i]] if advantage == "leave_one_out" else 0) for i in range(4)]
    expected = sum(
        mean_over([half_order_by_hand(states[i], noises[i], first, stop, advantages[i]) for i in range(4)]) for first, stop in tiling
    )
    torch.testing.assert_close(flat(estimate("half_order", settings, chain, trajectory).gradient), expected, **EXACT)


@pytest.mark.parametrize(("length", "tail", "tiling"), TILINGS)
def test_antithetic_half_order(drawn, length, tail, tiling):
    chain, trajectory, states, noises = drawn
    settings = {"sub_chain_length": length, "num_sub_chains": len(tiling), "uncovered_tail": tail}
    expected = sum(mean_over([antithetic_by_hand(states[i], noises[i], first, stop) for i in range(4)]) for first, stop in tiling)
    torch.testing.assert_close(flat(estimate("antithetic_half_order", settings, chain, trajectory).gradient), expected, **EXACT)


def test_drawn_sub_chains_carry_the_inverse_inclusion_probability(drawn):
    """With one of three sub-chains drawn, the estimate is three times that sub-chain's; every one is drawn at some seed."""
    chain, trajectory, states, noises = drawn
    settings = {"sub_chain_length": 2, "num_sub_chains": 1, "uncovered_tail": 0}
    shares = [3 * mean_over([antithetic_by_hand(states[i], noises[i], a, a + 2) for i in range(4)]) for a in (0, 2, 4)]
    met = set()
    for seed in range(40):
        found = flat(estimate("antithetic_half_order", settings, chain, trajectory, seed).gradient)
        matches = [index for index, share in enumerate(shares) if torch.allclose(found, share, **EXACT)]
        assert len(matches) == 1
        met.update(matches)
    assert met == {0, 1, 2}


@pytest.mark.parametrize(("num_steps", "length", "tiling"), [(1, 2, [(0, 1), (1, 3), (3, 5)]), (2, 3, [(0, 1), (1, 4)]), (4, 2, [(0, 2)])])
def test_rlr_antithetic(drawn, num_steps, length, tiling):
    chain, trajectory, states, noises = drawn
    settings = {"first_order_steps": num_steps, "sub_chain_length": length, "num_sub_chains": len(tiling)}
    found = estimate("rlr_antithetic", settings, chain, trajectory)
    first_order = mean_over([first_order_by_hand(row, num_steps) for row in states])
    half_order = sum(mean_over([antithetic_by_hand(states[i], noises[i], first, stop) for i in range(4)]) for first, stop in tiling)
    torch.testing.assert_close(flat(found.parts["first_order"]), first_order, **EXACT)
    torch.testing.assert_close(flat(found.parts["half_order"]), half_order, **EXACT)
    torch.testing.assert_close(flat(found.gradient), first_order + half_order, **EXACT)


@pytest.mark.parametrize("shift", [1, -1])
def test_a_neighbours_noise_would_be_caught(drawn, shift):
    """The mean of this defect lies close to the right one, so it is this file that must catch it."""
    chain, trajectory, states, noises = drawn
    rewards = scalar_reward()(trajectory.images, trajectory.condition.prompts)
    advantage = leave_one_out(rewards, trajectory.condition.prompts)
    draw = Draw((SubChain(2, 3),), weights=(1.0,))
    right = half_order_gradient(chain, trajectory, draw, [advantage], 4)
    by_hand = mean_over([half_order_by_hand(states[i], noises[i], 2, 3, float(advantage[i])) for i in range(4)])
    torch.testing.assert_close(flat(right), by_hand, **EXACT)
    shifted = replace(trajectory, noises=trajectory.noises.roll(shift, dims=0))
    wrong = half_order_gradient(chain, shifted, draw, [advantage], 4)
    assert not torch.allclose(flat(wrong), by_hand, rtol=0.01)
