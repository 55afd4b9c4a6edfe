"""The oracle itself: moments by hand and by sampling, gradients by finite differences."""

import pytest
import torch

from tests.estimators.oracles import (
    DRIFT,
    LINEAR,
    OFFSET,
    QUADRATIC,
    STD,
    WEIGHT,
    batch,
    flat,
    pairs_of_prompts,
    scalar_chain,
    scalar_reward,
    vector_chain,
    vector_reward,
)

CHAINS = [(scalar_chain, scalar_reward), (vector_chain, vector_reward)]


def test_expected_reward_of_the_scalar_chain_by_hand():
    mean, variance = 0.0, 1.0
    for drift, std in zip(DRIFT, STD, strict=True):
        mean, variance = (drift + WEIGHT) * mean + OFFSET, (drift + WEIGHT) ** 2 * variance + std**2
    expected = LINEAR * mean + QUADRATIC * (mean**2 + variance) / 2
    assert scalar_chain().expected_reward(scalar_reward()).item() == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(("chain", "reward"), CHAINS)
def test_expected_reward_is_the_mean_of_samples(chain, reward):
    chain, reward = chain(), reward()
    trajectory = batch(chain, pairs_of_prompts(100_000), torch.Generator().manual_seed(0))
    rewards = reward(trajectory.images, trajectory.condition.prompts)
    assert abs(rewards.mean() - chain.expected_reward(reward)) < 5 * rewards.std() / len(rewards) ** 0.5


@pytest.mark.parametrize(("chain", "reward"), CHAINS)
def test_exact_gradient_by_finite_differences(chain, reward):
    chain, reward = chain(), reward()
    exact = chain.exact_gradient(reward)
    for parameter, gradient in zip(chain.parameters(), exact, strict=True):
        for index in range(parameter.numel()):
            values = []
            for shift in (1e-5, -2e-5):
                parameter.detach().view(-1)[index] += shift
                values.append(chain.expected_reward(reward).item())
            parameter.detach().view(-1)[index] += 1e-5
            assert (values[0] - values[1]) / 2e-5 == pytest.approx(float(gradient.view(-1)[index]), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize(("chain", "reward"), CHAINS)
def test_the_steps_shares_add_up(chain, reward):
    chain, reward = chain(), reward()
    shares = sum(flat(chain.exact_gradient(reward, {step})) for step in range(chain.num_steps))
    torch.testing.assert_close(shares, flat(chain.exact_gradient(reward)), rtol=1e-12, atol=1e-12)


def test_reference_switches_the_parameters_off_and_on_again():
    chain = vector_chain()
    trajectory = batch(chain, pairs_of_prompts(2), torch.Generator().manual_seed(0))
    y = trajectory.states[0]
    with chain.reference():
        base = chain.transition(y, 0, trajectory.condition).mean
    trained = chain.transition(y, 0, trajectory.condition).mean
    weight, offset = chain.parameters()
    torch.testing.assert_close((trained - base).flatten(1), y.flatten(1) @ weight.T + offset)
    assert not base.requires_grad or all(not tensor.any() for tensor in torch.autograd.grad(base.sum(), chain.parameters()))
