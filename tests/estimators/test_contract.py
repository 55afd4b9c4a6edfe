"""What every estimator keeps, whatever its formula."""

import pytest
import torch

from rlr_core import config
from rlr_core.chain import MeteredChain
from rlr_core.estimators.registry import ESTIMATORS
from rlr_core.linear_gaussian import LinearGaussianChain
from tests.estimators.cases import CASES, NAMES, make
from tests.estimators.oracles import batch, flat, float64, pairs_of_prompts, scalar_chain, scalar_reward, vector_chain, vector_reward

each_case = pytest.mark.parametrize(("name", "settings"), CASES, ids=NAMES)


def estimate(name, settings, chain, trajectory, reward):
    return make(name, settings).estimate(chain, trajectory, reward, torch.Generator().manual_seed(4))


@pytest.fixture
def vector():
    chain = vector_chain()
    return chain, batch(chain, pairs_of_prompts(10), torch.Generator().manual_seed(2)), vector_reward()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_default_settings_are_valid(name):
    assert config.problems(ESTIMATORS[name].settings()) == {}


@each_case
def test_the_gradient_is_the_sum_of_the_parts_and_shaped_like_the_parameters(name, settings, vector):
    chain, trajectory, reward = vector
    result = estimate(name, settings, chain, trajectory, reward)
    assert [tensor.shape for tensor in result.gradient] == [parameter.shape for parameter in chain.parameters()]
    assert not any(tensor.requires_grad for tensor in result.gradient)
    torch.testing.assert_close(flat(result.gradient), sum(flat(part) for part in result.parts.values()))
    torch.testing.assert_close(result.rewards, reward(trajectory.images, trajectory.condition.prompts))
    assert result.covered_steps <= set(range(chain.num_steps))


@pytest.mark.parametrize(("name", "settings"), [case for case in CASES if case[0] != "zeroth_order"])
@pytest.mark.parametrize("micro_batch_size", [1, 3, 10])
def test_micro_batches_change_nothing(name, settings, micro_batch_size, vector):
    whole = estimate(name, settings, *vector)
    parts = estimate(name, settings | {"micro_batch_size": micro_batch_size}, *vector)
    torch.testing.assert_close(flat(parts.gradient), flat(whole.gradient), rtol=1e-12, atol=1e-12)


@each_case
def test_the_same_generator_gives_the_same_estimate(name, settings, vector):
    first, second = (estimate(name, settings, *vector) for _ in range(2))
    assert torch.equal(flat(first.gradient), flat(second.gradient))


@each_case
def test_the_parameters_and_their_gradients_are_left_alone(name, settings, vector):
    chain = vector[0]
    before = [parameter.detach().clone() for parameter in chain.parameters()]
    estimate(name, settings, *vector)
    assert all(torch.equal(old, new) for old, new in zip(before, chain.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in chain.parameters())


class ChainWithSpareParameter(LinearGaussianChain):
    """A real chain that lists a tensor none of its steps uses."""

    def parameters(self):
        return [*super().parameters(), torch.zeros(2, 2, dtype=self.dtype, requires_grad=True)]


@pytest.mark.parametrize(("name", "settings"), [case for case in CASES if "num_perturbations" not in case[1]])
def test_a_parameter_without_a_part_gets_zeros(name, settings):
    chain = ChainWithSpareParameter(float64([[[0.9]]] * 6), (0.5,) * 6, float64([[0.1]]), float64([0.2]))
    trajectory = batch(chain, pairs_of_prompts(4), torch.Generator().manual_seed(0))
    gradient = estimate(name, settings, chain, trajectory, scalar_reward()).gradient
    assert torch.equal(gradient[2], torch.zeros(2, 2).double())
    assert gradient[0].abs().max() > 0


# T = 6. A replayed step counts 3 a chain, a step of a twin 1.
COSTS = [
    ("full_backprop", {}, 18),
    ("first_order", {"first_order_steps": 2}, 6),
    ("half_order", {"sub_chain_length": 2, "num_sub_chains": 1, "uncovered_tail": 0}, 6),
    ("half_order", {"sub_chain_length": 1, "num_sub_chains": 6, "uncovered_tail": 0}, 18),
    ("antithetic_half_order", {"sub_chain_length": 3, "num_sub_chains": 2, "uncovered_tail": 0}, 18 + 3 + 0),
    ("rlr_antithetic", {"first_order_steps": 2, "sub_chain_length": 2, "num_sub_chains": 2}, 6 + 12 + 4 + 2),
    ("score_function", {}, 18),
    ("ppo", {"inner_epochs": 2}, 36),
    ("truncated_backprop", {"cut": "fixed", "first_order_steps": 2}, 6),
    ("zeroth_order", {}, 12),
    ("zeroth_order", {"comparison": "unperturbed"}, 6),
    ("rlr", {"has_zeroth_order": False, "first_order_steps": 2}, 6 + 6),
    ("rlr", {"has_half_order": False, "first_order_steps": 2}, 6 + 12),
]


@pytest.mark.parametrize(("name", "settings", "evaluations"), COSTS)
def test_network_evaluations_a_chain(name, settings, evaluations):
    chain = scalar_chain()
    trajectory = batch(chain, pairs_of_prompts(4), torch.Generator().manual_seed(0))
    metered = MeteredChain(chain)
    estimate(name, settings, metered, trajectory, scalar_reward())
    assert metered.network_evaluations == 4 * evaluations
