"""The estimators on a real, tiny Stable Diffusion in float64, where full backpropagation is affordable and serves as the oracle."""

import pytest
import torch

from rlr_core.config import AdapterConfig, SamplerConfig
from rlr_core.errors import RLRError
from rlr_core.estimators.perturbations.rule import Direction, unit_normal
from rlr_core.estimators.zeroth_term import perturbed_rewards
from rlr_core.pipelines.stable_diffusion import BaseModel
from rlr_core.rng import generator, image_generators
from rlr_core.sampling import roll_out, sample
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


@pytest.mark.parametrize("advantage", ["leave_one_out", "group_normalised"])
def test_ppo_with_one_epoch_is_the_score_function(model, advantage):
    chain, trajectory = drawn(model, 0, 4)
    settings = {"advantage": advantage, "uncovered_tail": 0}
    score_function = flat(make("score_function", settings).estimate(chain, trajectory, Blueness(), generator(0, "unused")).gradient)
    ppo = flat(make("ppo", settings | {"inner_epochs": 1}).estimate(chain, trajectory, Blueness(), generator(0, "unused")).gradient)
    assert score_function.abs().max() > 0
    torch.testing.assert_close(ppo, score_function, rtol=1e-9, atol=1e-9 * float(score_function.abs().max()))


def test_a_shared_two_sided_slope_is_the_directional_derivative_of_full_backprop(model):
    """slope * xi = <gradient, xi> xi along the direction drawn from the same seed."""
    chain, trajectory = drawn(model, 1, 2)
    settings = {"is_shared": True, "comparison": "two_sided", "perturbation_std": 1e-4}
    found = flat(make("zeroth_order", settings).estimate(chain, trajectory, Blueness(), generator(0, "direction")).gradient)
    drawing = torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=generator(0, "direction"))))
    xi = torch.cat([torch.randn(each.shape, generator=drawing, dtype=each.dtype).flatten() for each in chain.parameters()])
    derivative = full_gradient(chain, trajectory) @ xi
    assert derivative.abs() > 0.01 * full_gradient(chain, trajectory).norm()
    torch.testing.assert_close(found / xi, derivative.expand(len(xi)), rtol=1e-4, atol=0)


def test_slopes_of_each_step_add_up_to_the_shared_one(model):
    """With the same direction at every step, the sum over steps of their directional derivatives is the whole one."""
    chain, trajectory = drawn(model, 1, 2)
    xi = unit_normal(chain.parameters(), generator(0, "direction"))
    direction = Direction(xi, xi, xi)

    def slope(steps):
        forward, backward = (perturbed_rewards(chain, trajectory, Blueness(), dict.fromkeys(steps, direction), mu) for mu in (1e-4, -1e-4))
        return float((forward - backward).mean()) / 2e-4

    steps = range(chain.num_steps)
    each = [slope([step]) for step in steps]
    assert all(abs(share) > 1e-3 * abs(slope(steps)) for share in each)
    assert sum(each) == pytest.approx(slope(steps), rel=1e-4)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ppo", {"inner_epochs": 2, "inner_step_length": 1.0}),
        ("zeroth_order", {"is_shared": False, "perturbation_std": 0.3}),
        ("rlr", {"perturbation_std": 0.3, "rule": "hizoo", "sub_chain_length": 1}),
    ],
)
def test_the_adapter_is_left_bit_for_bit_as_it_was(model, name, settings):
    chain, trajectory = drawn(model, 2, 2)
    before = [parameter.detach().clone() for parameter in chain.parameters()]
    found = make(name, settings).estimate(chain, trajectory, Blueness(), generator(0, "estimator"))
    assert torch.isfinite(flat(found.gradient)).all()
    assert all(torch.equal(old, new) for old, new in zip(before, chain.parameters(), strict=True))
    again = roll_out(chain, trajectory.states[0], 0, trajectory.noises, trajectory.condition)
    assert torch.equal(torch.stack(again), trajectory.states[1:])


@pytest.mark.parametrize("failing_call", [2, 3])
def test_a_reward_that_fails_halfway_leaves_the_adapter_as_it_was(model, failing_call):
    """The first call is the unperturbed one; the others are made after the parameters were moved."""
    chain, trajectory = drawn(model, 2, 2)
    before = [parameter.detach().clone() for parameter in chain.parameters()]
    calls = 0

    class Failing(Blueness):
        def __call__(self, images, prompts):
            nonlocal calls
            calls += 1
            rewards = super().__call__(images, prompts)
            return rewards * float("nan") if calls == failing_call else rewards

    with pytest.raises(RLRError, match="not finite"):
        make("zeroth_order", {}).estimate(chain, trajectory, Failing(), generator(0, "estimator"))
    assert all(torch.equal(old, new) for old, new in zip(before, chain.parameters(), strict=True))
