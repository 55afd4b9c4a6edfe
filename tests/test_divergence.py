"""The divergence from the base model, on a chain where it is known."""

import pytest
import torch

from rlr_core.divergence import step_divergence
from rlr_core.errors import RLRError
from rlr_core.linear_gaussian import LinearGaussianChain
from tests.estimators.oracles import batch, float64, pairs_of_prompts, vector_chain


def drawn(chain, size=6):
    return batch(chain, pairs_of_prompts(size), torch.Generator().manual_seed(0))


@pytest.mark.parametrize("step", range(5))
def test_divergence_of_a_step_is_the_one_torch_knows(step):
    """Means (A + W) y + b and A y, the same std: KL of two Gaussians, summed over the channels."""
    chain = vector_chain()
    trajectory = drawn(chain)
    y, std = trajectory.states[step].flatten(1), chain.std(step)
    weight, offset = (parameter.detach() for parameter in chain.parameters())
    difference = y @ weight.T + offset
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(difference, std), normal(torch.zeros_like(difference), std)).sum(1)
    found = step_divergence(chain, trajectory, step)
    assert found.shape == (6,)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_gradient_flows_into_theta_and_not_through_the_base():
    """d/db of |W y + b|^2 / (2 s^2) is (W y + b) / s^2."""
    chain = vector_chain()
    trajectory = drawn(chain, size=2)
    weight, offset = chain.parameters()
    gradient = torch.autograd.grad(step_divergence(chain, trajectory, 2).sum(), offset)[0]
    expected = (trajectory.states[2].flatten(1) @ weight.T + offset).sum(0) / chain.std(2) ** 2
    torch.testing.assert_close(gradient, expected.detach(), rtol=1e-12, atol=1e-12)


def test_expected_divergence_of_trajectories_follows_from_the_moments():
    """E |W y_k + b|^2 = |W mean_k + b|^2 + trace(W cov_k W^T), summed over the steps."""
    chain = vector_chain()
    trajectory = drawn(chain, size=20_000)
    found = sum(step_divergence(chain, trajectory, step).detach() for step in range(chain.num_steps))
    weight, offset = (parameter.detach() for parameter in chain.parameters())
    mean, covariance, expected = torch.zeros(3).double(), torch.eye(3).double(), 0.0
    for step in range(chain.num_steps):
        shift = weight @ mean + offset
        expected += float(shift @ shift + torch.trace(weight @ covariance @ weight.T)) / (2 * chain.std(step) ** 2)
        # The matrix of this step, read off the chain: its mean at the unit vectors less that at zero.
        points = torch.cat([torch.eye(3), torch.zeros(1, 3)]).double().view(4, 3, 1, 1)
        at_points = chain.transition(points, step, pairs_of_prompts(4)).mean.detach().flatten(1)
        matrix = (at_points[:3] - at_points[3]).T
        mean, covariance = matrix @ mean + offset, matrix @ covariance @ matrix.T + chain.std(step) ** 2 * torch.eye(3)
    assert abs(found.mean() - expected) < 5 * found.std() / len(found) ** 0.5


def test_an_untrained_chain_has_not_moved():
    chain = LinearGaussianChain(float64([[[0.9]]] * 3), (0.5,) * 3, float64([[0.0]]), float64([0.0]))
    assert torch.equal(step_divergence(chain, drawn(chain), 1), torch.zeros(6).double())


def test_a_step_without_noise_is_refused():
    chain = LinearGaussianChain(float64([[[0.9]]] * 2), (0.5, 0.0), float64([[0.1]]), float64([0.0]))
    with pytest.raises(RLRError, match="eta: step 1 adds no noise"):
        step_divergence(chain, drawn(chain), 1)
