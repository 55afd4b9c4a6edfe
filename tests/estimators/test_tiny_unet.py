"""The estimators on a real, tiny Stable Diffusion in float64, where full backpropagation is affordable and serves as the oracle."""

import pytest
import torch

from rlr_core.config import AdapterConfig, SamplerConfig
from rlr_core.pipelines.stable_diffusion import BaseModel
from rlr_core.rng import generator, image_generators
from rlr_core.sampling import sample
from tests.estimators.cases import make
from tests.estimators.oracles import flat
from tests.tiny import tiny_pipeline

SAMPLER = SamplerConfig(num_inference_steps=3, guidance_scale=1.0, eta=1.0)
PROMPTS = ("a red heart", "a blue square")


class Blueness:
    """Mean of blue less the mean of red."""

    is_differentiable = True

    def __call__(self, images, prompts):
        return (images[:, 2] - images[:, 0]).flatten(1).mean(1)


@pytest.fixture(scope="module")
def model():
    """A model whose adapter already does something, so that all its tensors have gradients."""
    model = BaseModel("tiny", tiny_pipeline(), AdapterConfig(rank=2))
    for index, parameter in enumerate(model.chain(SAMPLER).parameters()):
        noise = torch.randn(parameter.shape, generator=generator(0, "adapter", index), dtype=parameter.dtype)
        parameter.data.add_(noise, alpha=0.2)
    return model


def drawn(model, index, batch_size):
    chain = model.chain(SAMPLER)
    prompts = [PROMPTS[row % 2] for row in range(batch_size)]
    return chain, sample(chain, model.condition(prompts, SAMPLER), image_generators(0, "trajectory", index, count=batch_size))


def full_gradient(chain, trajectory):
    return flat(make("full_backprop", {}).estimate(chain, trajectory, Blueness(), generator(0, "unused")).gradient)


def test_full_backprop_is_the_sum_of_the_steps_gradients(model):
    """Step by step from the end: lambda_T = dR/dy_T, g_k = (D_theta m_k)^T lambda_{k+1}, lambda_k = (D_y m_k)^T lambda_{k+1}."""
    chain, trajectory = drawn(model, 0, 2)
    y = trajectory.states[-1].clone().requires_grad_()
    (adjoint,) = torch.autograd.grad(Blueness()(chain.decode(y), trajectory.condition.prompts).mean(), y)
    total = 0
    for step in reversed(range(chain.num_steps)):
        y = trajectory.states[step].clone().requires_grad_()
        mean = chain.transition(y, step, trajectory.condition).mean
        *shares, adjoint = torch.autograd.grad(mean, [*chain.parameters(), y], adjoint)
        total = total + flat(shares)
    assert total.abs().max() > 0
    torch.testing.assert_close(full_gradient(chain, trajectory), total, rtol=1e-9, atol=1e-9 * float(total.abs().max()))


def test_first_order_and_twins_together_have_the_mean_of_full_backprop(model):
    """Paired: estimates of the same trajectories, compared along the gradient's own direction; first order alone misses nearly all."""
    settings = {"first_order_steps": 1, "sub_chain_length": 1, "num_sub_chains": 2}
    direction = full_gradient(*drawn(model, -1, 32))
    lengths, differences, shares = [], [], []
    for index in range(12):
        chain, trajectory = drawn(model, index, 16)
        length = full_gradient(chain, trajectory) @ direction
        found = make("rlr_antithetic", settings).estimate(chain, trajectory, Blueness(), generator(0, "estimator", index))
        lengths.append(length)
        differences.append(flat(found.gradient) @ direction - length)
        shares.append(flat(found.parts["first_order"]) @ direction)
    difference, length, share = torch.stack(differences), torch.stack(lengths).mean(), torch.stack(shares).mean()
    standard_error = difference.std() / len(difference) ** 0.5
    assert standard_error < 0.2 * length
    assert difference.mean().abs() < 4 * standard_error
    assert share < 0.2 * length
