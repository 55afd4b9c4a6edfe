"""The anchor's divergence against the exact one, and its price's steering."""

import math

import pytest
import torch

from rlr_core.anchor import Anchor, divergence_gradient, trajectory_divergence
from rlr_core.chain import Condition
from rlr_core.errors import RLRError
from rlr_core.linear_gaussian import LinearGaussianChain
from rlr_core.rng import generator, image_generators
from rlr_core.sampling import sample

STEPS, BATCH = 7, 64


@pytest.fixture
def chain() -> LinearGaussianChain:
    drifts = torch.linspace(0.6, 0.9, STEPS, dtype=torch.float64).view(STEPS, 1, 1)
    stds = torch.linspace(1.0, 0.3, STEPS).tolist()
    return LinearGaussianChain(drifts, stds, torch.tensor([[0.2]], dtype=torch.float64), torch.tensor([0.1], dtype=torch.float64))


@pytest.fixture
def trajectory(chain):
    return sample(chain, Condition(("",) * BATCH), image_generators(0, "anchor", count=BATCH))


def exact_divergence(chain, trajectory):
    """sum_k (theta_0 y_k + theta_1)^2 / (2 s_k^2), each trajectory."""
    weight, offset = chain.parameters()
    states = trajectory.states[:-1].flatten(2)
    stds = torch.tensor([chain.std(step) for step in range(STEPS)], dtype=torch.float64).view(STEPS, 1, 1)
    return ((weight.view(()) * states + offset.view(())) ** 2 / (2 * stds**2)).sum((0, 2))


def test_the_whole_divergence_is_the_closed_form(chain, trajectory):
    torch.testing.assert_close(trajectory_divergence(chain, trajectory), exact_divergence(chain, trajectory).detach(), rtol=1e-12, atol=0)


def test_the_drawn_divergence_and_its_gradient_are_unbiased(chain, trajectory):
    exact = exact_divergence(chain, trajectory).mean()
    exact_gradient = torch.stack([part.view(()) for part in torch.autograd.grad(exact, chain.parameters())])
    drawn = [divergence_gradient(chain, trajectory, generator(0, "draw", number)) for number in range(600)]
    values = torch.tensor([value for value, _ in drawn], dtype=torch.float64)
    gradients = torch.stack([torch.stack([part.view(()) for part in gradient]) for _, gradient in drawn])
    for found, wanted in ((values, exact.detach()), (gradients[:, 0], exact_gradient[0]), (gradients[:, 1], exact_gradient[1])):
        z = (found.mean() - wanted) / (found.std() / math.sqrt(len(found)))
        assert abs(float(z)) < 5
    assert float(values.std()) > 0, "the steps are drawn, not all taken"


def test_the_price_rises_above_the_allowance_and_falls_below_it():
    anchor = Anchor.at_start(0.0, 100.0, 10)
    assert anchor.after(0, measured_kl=1.0).price < anchor.price
    assert anchor.after(0, measured_kl=500.0).price > anchor.price


def test_the_budget_counts_from_where_the_round_began():
    spent = Anchor(kl_at_start=50.0, kl_budget=10.0, num_updates=4, price=1.0, kl=60.0)
    assert spent.is_spent
    assert not Anchor(50.0, 10.0, 4, 1.0, 59.0).is_spent


def test_a_chain_without_noise_has_no_divergence(chain, trajectory):
    still = LinearGaussianChain(torch.ones(2, 1, 1, dtype=torch.float64), [0.0, 0.0], *chain.parameters())
    with pytest.raises(RLRError, match="eta = 0"):
        trajectory_divergence(still, trajectory)
