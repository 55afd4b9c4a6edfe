"""Every estimator's mean is the exact gradient of the steps it says it covers, and planted defects fail the very same test."""

from dataclasses import replace

import pytest
import torch

from rlr_core.estimators.accumulate import mean_gradient
from rlr_core.estimators.advantage import antithetic, leave_one_out
from rlr_core.estimators.backpropagation import first_order_gradient
from rlr_core.estimators.estimate import Gradient
from rlr_core.estimators.likelihood_ratio import half_order_gradient
from rlr_core.estimators.registry import ESTIMATORS
from rlr_core.estimators.replay import replay_mean, replay_state
from rlr_core.estimators.sub_chain import Draw, draw_sub_chains, tile
from rlr_core.rewarding import measure
from tests.estimators.cases import CASES, NAMES, SETTINGS, make
from tests.estimators.oracles import batch, largest_z, pairs_of_prompts, scalar_chain, scalar_reward, vector_chain, vector_reward

CHAINS = {"scalar": (scalar_chain, scalar_reward), "vector": (vector_chain, vector_reward)}
WHOLE = 1_000_000


def test_every_estimator_is_tested():
    assert set(SETTINGS) == set(ESTIMATORS)


def covered_steps(estimator, chain, reward):
    generator = torch.Generator().manual_seed(0)
    return estimator.estimate(chain, batch(chain, pairs_of_prompts(2), generator), reward, generator).covered_steps


@pytest.mark.parametrize("kind", CHAINS)
@pytest.mark.parametrize(("name", "settings"), CASES, ids=NAMES)
def test_mean_is_the_exact_gradient_of_the_covered_steps(kind, name, settings):
    chain, reward = (make_one() for make_one in CHAINS[kind])
    estimator = make(name, settings)
    assert estimator.problems(chain, reward_is_differentiable=True) == {}
    exact = chain.exact_gradient(reward, covered_steps(estimator, chain, reward))
    assert largest_z(chain, lambda trajectory, generator: estimator.estimate(chain, trajectory, reward, generator).gradient, exact) < 5


# --- planted defects -------------------------------------------------------------------------------------------------------------------


def add(first: Gradient, second: Gradient) -> Gradient:
    return tuple(a + b for a, b in zip(first, second, strict=True))


def twins_over(chain, trajectory, reward, draw: Draw) -> Gradient:
    rewards = measure(reward, trajectory.images, trajectory.condition.prompts)
    advantages = [antithetic(chain, trajectory, reward, rewards, sub_chain.interface) for sub_chain in draw.sub_chains]
    return half_order_gradient(chain, trajectory, draw, advantages, WHOLE)


def weight_forgotten(chain, trajectory, reward, generator):
    draw = replace(draw_sub_chains(chain.num_steps, 2, 1, generator), weight=1.0)
    return twins_over(chain, trajectory, reward, draw)


def truncated_backprop(chain, trajectory, reward, generator):
    return first_order_gradient(chain, trajectory, reward, 2, WHOLE)


def rest_dropped(chain, trajectory, reward, generator):
    first_order = first_order_gradient(chain, trajectory, reward, 1, WHOLE)
    last_sub_chain = Draw((tile(chain.num_steps - 1, 2)[-1],), weight=1.0)
    return add(first_order, twins_over(chain, trajectory, reward, last_sub_chain))


def last_step_counted_twice(chain, trajectory, reward, generator):
    first_order = first_order_gradient(chain, trajectory, reward, 1, WHOLE)
    return add(first_order, twins_over(chain, trajectory, reward, Draw(tuple(tile(chain.num_steps, 1)), weight=1.0)))


def score_function(chain, trajectory, advantage):
    draw = Draw(tuple(tile(chain.num_steps, 1)), weight=1.0)
    return half_order_gradient(chain, trajectory, draw, [advantage] * len(draw.sub_chains), WHOLE)


def by_prompt(chain, trajectory, reward):
    """Rewards of the two chains of each prompt, shape (B / 2, 2)."""
    return measure(reward, trajectory.images, trajectory.condition.prompts).view(-1, 2)


def baseline_includes_itself(chain, trajectory, reward, generator):
    rewards = by_prompt(chain, trajectory, reward)
    return score_function(chain, trajectory, (rewards - rewards.mean(1, keepdim=True)).flatten())


def divided_by_the_standard_deviation(chain, trajectory, reward, generator):
    rewards = by_prompt(chain, trajectory, reward)
    return score_function(chain, trajectory, ((rewards - rewards.mean(1, keepdim=True)) / rewards.std(1, keepdim=True)).flatten())


def mean_log_prob(chain, trajectory, reward, generator):
    rewards = measure(reward, trajectory.images, trajectory.condition.prompts)
    elements = trajectory.states[0][0].numel()
    return score_function(chain, trajectory, leave_one_out(rewards, trajectory.condition.prompts) / elements)


def next_state_not_detached(chain, trajectory, reward, generator):
    rewards = measure(reward, trajectory.images, trajectory.condition.prompts)
    advantage = leave_one_out(rewards, trajectory.condition.prompts)

    def objective(rows):
        log_prob = 0
        for step in range(chain.num_steps):
            residual = replay_state(chain, trajectory, step, step + 1) - replay_mean(chain, trajectory, step, step + 1)
            log_prob = log_prob - residual.flatten(1).pow(2).sum(1) / (2 * chain.std(step) ** 2)
        return advantage * log_prob

    return mean_gradient(chain.parameters(), objective, len(trajectory), WHOLE)


DEFECTS = [
    (weight_forgotten, "scalar"),
    (truncated_backprop, "scalar"),
    (rest_dropped, "scalar"),
    (last_step_counted_twice, "scalar"),
    (baseline_includes_itself, "scalar"),
    (divided_by_the_standard_deviation, "scalar"),
    (mean_log_prob, "vector"),
    (next_state_not_detached, "scalar"),
]


@pytest.mark.parametrize(("defect", "kind"), DEFECTS, ids=lambda value: getattr(value, "__name__", value))
def test_defect_is_caught(defect, kind):
    chain, reward = (make_one() for make_one in CHAINS[kind])
    exact = chain.exact_gradient(reward)
    assert largest_z(chain, lambda trajectory, generator: defect(chain, trajectory, reward, generator), exact) > 20
