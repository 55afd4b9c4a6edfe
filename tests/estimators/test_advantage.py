"""Baselines and antithetic advantages."""

import pytest
import torch

from rlr_core.chain import Condition
from rlr_core.errors import RLRError
from rlr_core.estimators.advantage import leave_one_out
from rlr_core.estimators.antithetic import antithetic
from rlr_core.linear_gaussian import LinearGaussianChain, QuadraticReward
from rlr_core.rewarding import measure
from tests.estimators.oracles import batch, float64, pairs_of_prompts, trajectory_from, vector_chain, vector_reward


def test_leave_one_out_compares_with_the_others_of_the_prompt():
    rewards = float64([1.0, 10.0, 3.0, 8.0, 20.0])
    # a: 1, 3, 8   b: 10, 20
    found = leave_one_out(rewards, ["a", "b", "a", "a", "b"])
    torch.testing.assert_close(found, float64([1 - 5.5, 10 - 20, 3 - 4.5, 8 - 2, 20 - 10]))


def test_a_chain_alone_with_its_prompt_is_compared_with_all_others():
    found = leave_one_out(float64([1.0, 3.0, 8.0]), ["a", "a", "b"])
    torch.testing.assert_close(found, float64([-2.0, 2.0, 8 - 2.0]))


def test_leave_one_out_needs_two_chains():
    with pytest.raises(RLRError, match="advantage = leave_one_out: the batch holds 1 picture"):
        leave_one_out(float64([1.0]), ["a"])


@pytest.mark.parametrize("step", range(5))
def test_swapping_the_twins_changes_nothing(step):
    """The twin's own estimate: its noise and its advantage both change sign, so noise * advantage stays."""
    chain, reward = vector_chain(), vector_reward()
    plus = batch(chain, pairs_of_prompts(8), torch.Generator().manual_seed(5))
    noises = plus.noises.clone()
    noises[step] *= -1
    minus = trajectory_from(chain, plus.states[0], noises, plus.condition)

    def advantage(trajectory):
        return antithetic(chain, trajectory, reward, measure(reward, trajectory.images, trajectory.condition.prompts), step)

    assert advantage(plus).abs().max() > 0.1
    torch.testing.assert_close(advantage(minus), -advantage(plus), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("step", range(3))
def test_a_reward_even_in_the_noise_gives_exactly_zero(step):
    """From y_0 = 0 with one noise only, y_T is odd in that noise, so R = |y|^2 cannot tell the twins apart."""
    chain = LinearGaussianChain(
        0.5 * torch.eye(3).double().repeat(3, 1, 1), (1.0, 0.5, 0.25), torch.zeros(3, 3).double(), float64([0.0] * 3)
    )
    reward = QuadraticReward(float64([0.0] * 3), torch.eye(3).double())
    noises = torch.zeros(3, 4, 3, 1, 1).double()
    noises[step] = torch.randn(4, 3, 1, 1, generator=torch.Generator().manual_seed(0)).double()
    trajectory = trajectory_from(chain, torch.zeros(4, 3, 1, 1).double(), noises, Condition(("a",) * 4))
    rewards = measure(reward, trajectory.images, trajectory.condition.prompts)
    assert rewards.min() > 0
    assert torch.equal(antithetic(chain, trajectory, reward, rewards, step), torch.zeros(4).double())
