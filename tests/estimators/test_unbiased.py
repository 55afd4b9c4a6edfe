"""Every estimator's mean is the exact gradient of the steps it says it covers, and planted defects fail the very same test."""

from statistics import NormalDist

import pytest
import torch

from rlr_core.estimators.accumulate import mean_gradient
from rlr_core.estimators.advantage import batch_mean, group_normalised, leave_one_out
from rlr_core.estimators.antithetic import antithetic
from rlr_core.estimators.backpropagation import first_order_gradient
from rlr_core.estimators.estimate import Gradient
from rlr_core.estimators.likelihood_ratio import half_order_gradient
from rlr_core.estimators.registry import ESTIMATORS
from rlr_core.estimators.replay import replay_mean, replay_state
from rlr_core.estimators.sub_chain import Draw, all_of, draw_sub_chains, tile
from rlr_core.rewarding import measure
from tests.estimators.cases import CASES, FLIPS, NAMES, SETTINGS, make
from tests.estimators.oracles import batch, largest_z, pairs_of_prompts, scalar_chain, scalar_reward, vector_chain, vector_reward

CHAINS = {"scalar": (scalar_chain, scalar_reward), "vector": (vector_chain, vector_reward)}
WHOLE = 1_000_000


def test_every_estimator_is_tested():
    assert set(SETTINGS) == set(ESTIMATORS)


def covered_steps(estimator, chain, reward):
    generator = torch.Generator().manual_seed(0)
    return estimator.estimate(chain, batch(chain, pairs_of_prompts(2), generator), reward, generator).covered_steps


def remembering(estimator, chain, reward):
    """Estimates that each get the memory of the one before, as in a round."""
    memory = {}

    def estimate(trajectory, generator):
        nonlocal memory
        found = estimator.estimate(chain, trajectory, reward, generator, memory)
        memory = found.memory
        return found.gradient

    return estimate


@pytest.mark.parametrize("kind", CHAINS)
@pytest.mark.parametrize(("name", "settings"), CASES, ids=NAMES)
def test_mean_is_the_exact_gradient_of_the_covered_steps(kind, name, settings):
    chain, reward = (make_one() for make_one in CHAINS[kind])
    estimator = make(name, settings)
    assert estimator.problems(chain, reward_is_differentiable=True) == {}
    exact = expected_gradient(name, settings, chain, reward, covered_steps(estimator, chain, reward))
    # Directions are what matters to zeroth order, and each takes a roll-out of its own.
    batch_size = 100 if "num_perturbations" in settings else 1000
    assert largest_z(chain, remembering(estimator, chain, reward), exact, batch_size=batch_size) < 5


@pytest.mark.parametrize(("name", "settings"), FLIPS)
def test_several_flips_have_the_same_mean(name, settings):
    chain, reward = vector_chain(), vector_reward()
    estimator = make(name, settings)
    assert estimator.problems(chain, reward_is_differentiable=True) == {}
    exact = chain.exact_gradient(reward, covered_steps(estimator, chain, reward))
    assert largest_z(chain, remembering(estimator, chain, reward), exact) < 5


def expected_gradient(name, settings, chain, reward, covered):
    """The closed form of what an estimator's mean should be: mostly the exact gradient of the covered steps."""
    if name == "truncated_backprop":
        return truncated_gradient(settings, chain, reward)
    if name == "zeroth_order":
        return chain.exact_gradient(reward, covered, smoothed(settings, covered))
    if name == "rlr" and settings.get("has_zeroth_order", True):
        return mean_over_places(settings, chain, reward)
    return chain.exact_gradient(reward, covered)


def smoothed(settings, steps):
    """mu by step. With a shared direction there is no closed form, and mu is too small to matter."""
    mu = settings["perturbation_std"]
    return {} if settings.get("is_shared") else dict.fromkeys(steps, mu)


def mean_over_places(settings, chain, reward):
    """FO and HO see the objective itself, ZO the one smoothed over the steps that it covers, which depend on the sub-chain drawn."""
    last = set(range(chain.num_steps - 1, chain.num_steps)) if settings.get("has_first_order", True) else set()
    tail = len(last) or settings.get("uncovered_tail", 0)
    tiling = tile(chain.num_steps - tail, 2) if settings.get("has_half_order", True) else [None]
    total = None
    for place in tiling:
        others = last | (set(range(place.first, place.stop)) if place else set())
        rest = set(range(chain.num_steps)) - others
        here = add(chain.exact_gradient(reward, others), chain.exact_gradient(reward, rest, smoothed(settings, rest)))
        total = add(total, here) if total else here
    return tuple(tensor / len(tiling) for tensor in total)


def truncated_gradient(settings, chain, reward):
    """Every step's share times the probability that the cut reaches it."""
    T, K = chain.num_steps, settings["first_order_steps"]

    def reaches(depth):
        if settings["cut"] == "fixed":
            return float(K >= depth)
        if settings["cut"] == "uniform":
            return max(0, K - depth + 1) / K
        # round(N(K, spread^2)) >= depth, and at least 1
        return 1.0 if depth == 1 else 1 - NormalDist(K, settings["cut_spread"]).cdf(depth - 0.5)

    shares = [tuple(reaches(T - step) * tensor for tensor in chain.exact_gradient(reward, {step})) for step in range(T)]
    return tuple(sum(tensors) for tensors in zip(*shares, strict=True))


@pytest.mark.parametrize("comparison", ["two_sided", "unperturbed", "none"])
def test_zeroth_order_has_the_smoothed_gradient_and_not_the_plain_one(comparison):
    """The smoothing is a bias of the plain objective, and the test is sharp enough to see it."""
    settings = {"is_shared": False, "perturbation_std": 0.4, "num_perturbations": 100, "comparison": comparison}
    chain, reward = scalar_chain(), scalar_reward()
    estimate = remembering(make("zeroth_order", settings), chain, reward)
    steps = range(chain.num_steps)
    assert largest_z(chain, estimate, chain.exact_gradient(reward, steps, dict.fromkeys(steps, 0.4)), 100, 100) < 5
    if comparison != "none":
        assert largest_z(chain, estimate, chain.exact_gradient(reward, steps), 100, 100) > 5


@pytest.mark.parametrize("mu", [0.4, 0.2, 0.1])
def test_the_bias_of_zeroth_order_falls_with_the_square_of_mu(mu):
    chain, reward = scalar_chain(), scalar_reward()
    plain = torch.cat([tensor.flatten() for tensor in chain.exact_gradient(reward)])

    def bias(std):
        found = chain.exact_gradient(reward, None, dict.fromkeys(range(chain.num_steps), std))
        return torch.cat([tensor.flatten() for tensor in found]) - plain

    ratio = bias(mu / 10).norm() / bias(mu / 20).norm()
    assert 3.9 < float(ratio) < 4.1


# --- planted defects -------------------------------------------------------------------------------------------------------------------


def add(first: Gradient, second: Gradient) -> Gradient:
    return tuple(a + b for a, b in zip(first, second, strict=True))


def twins_over(chain, trajectory, reward, draw: Draw) -> Gradient:
    rewards = measure(reward, trajectory.images, trajectory.condition.prompts)
    advantages = [antithetic(chain, trajectory, reward, rewards, sub_chain.interface) for sub_chain in draw.sub_chains]
    return half_order_gradient(chain, trajectory, draw, advantages, WHOLE)


def weight_forgotten(chain, trajectory, reward, generator):
    draw = draw_sub_chains(chain.num_steps, 2, 1, generator).unweighted()
    return twins_over(chain, trajectory, reward, draw)


def truncated_backprop(chain, trajectory, reward, generator):
    return first_order_gradient(chain, trajectory, reward, 2, WHOLE)


def rest_dropped(chain, trajectory, reward, generator):
    first_order = first_order_gradient(chain, trajectory, reward, 1, WHOLE)
    last_sub_chain = Draw((tile(chain.num_steps - 1, 2)[-1],), weights=(1.0,))
    return add(first_order, twins_over(chain, trajectory, reward, last_sub_chain))


def last_step_counted_twice(chain, trajectory, reward, generator):
    first_order = first_order_gradient(chain, trajectory, reward, 1, WHOLE)
    return add(first_order, twins_over(chain, trajectory, reward, all_of(tile(chain.num_steps, 1))))


def score_function(chain, trajectory, advantage):
    draw = all_of(tile(chain.num_steps, 1))
    return half_order_gradient(chain, trajectory, draw, [advantage] * len(draw.sub_chains), WHOLE)


def baseline_includes_itself(chain, trajectory, reward, generator):
    """The mean of a batch of two."""
    rewards = measure(reward, trajectory.images, trajectory.condition.prompts)
    advantage = torch.cat([batch_mean(pair, ["a", "a"]) for pair in rewards.split(2)])
    return score_function(chain, trajectory, advantage)


def divided_by_the_standard_deviation(chain, trajectory, reward, generator):
    prompts = trajectory.condition.prompts
    return score_function(chain, trajectory, group_normalised(measure(reward, trajectory.images, prompts), prompts))


def importance_not_weighted(chain, trajectory, reward, generator):
    """Sub-chains drawn unevenly, and weighted as if evenly."""
    tiling = tile(chain.num_steps, 1)
    draw = draw_sub_chains(chain.num_steps, 1, 4, generator, torch.arange(1.0, len(tiling) + 1) ** 2)
    return twins_over(chain, trajectory, reward, Draw(draw.sub_chains, (len(tiling) / 4,) * 4))


def last_step_in_first_and_zeroth_order(chain, trajectory, reward, generator):
    """Eq. 6 as printed; the zeroth-order term is replaced by its mean, which has no noise to hide the defect in."""
    first_order = first_order_gradient(chain, trajectory, reward, 1, WHOLE)
    return add(first_order, chain.exact_gradient(reward, None, dict.fromkeys(range(chain.num_steps), 0.01)))


def one_direction_counted_for_every_step(chain, trajectory, reward, generator):
    """A shared direction's slope is the sum over steps already."""
    settings = {"is_shared": True, "perturbation_std": 0.01, "num_perturbations": 50}
    shared = make("zeroth_order", settings).estimate(chain, trajectory, reward, generator).gradient
    return tuple(chain.num_steps * tensor for tensor in shared)


def inner_epochs(chain, trajectory, reward, generator):
    settings = {"inner_epochs": 4, "advantage": "leave_one_out", "inner_step_length": 0.2, "clip_range": 0.1}
    return make("ppo", settings).estimate(chain, trajectory, reward, generator).gradient


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
    (importance_not_weighted, "scalar"),
    (inner_epochs, "scalar"),
    (one_direction_counted_for_every_step, "scalar", 200),
    (last_step_in_first_and_zeroth_order, "scalar"),
]


@pytest.mark.parametrize("planted", DEFECTS, ids=lambda planted: planted[0].__name__)
def test_defect_is_caught(planted):
    defect, kind, *batch_size = planted
    chain, reward = (make_one() for make_one in CHAINS[kind])
    exact = chain.exact_gradient(reward)
    assert largest_z(chain, lambda trajectory, generator: defect(chain, trajectory, reward, generator), exact, 100, *batch_size) > 20
