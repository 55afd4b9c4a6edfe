"""One batch exactly, for the rest of the family: score function, PPO, truncated backpropagation, several flips, zeroth order, RLR."""

import itertools
import math

import pytest
import torch

from rlr_core.estimators.advantage import ADVANTAGES
from rlr_core.estimators.antithetic import antithetic, deal
from rlr_core.estimators.zeroth_term import COMPARISONS
from rlr_core.linear_gaussian import QuadraticReward
from rlr_core.rewarding import measure
from tests.estimators.by_hand import (
    EXACT,
    T,
    advantages_by_hand,
    estimate,
    first_order_by_hand,
    half_order_by_hand,
    mean_of_step,
    mean_over,
    reward_of,
    steps_from,
)
from tests.estimators.cases import make
from tests.estimators.oracles import STD, batch, flat, float64, pairs_of_prompts, vector_chain, vector_reward


def final_rewards(states):
    return [reward_of(row[T]) for row in states]


# --- score function --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", [0, 2])
@pytest.mark.parametrize("advantage", ADVANTAGES)
def test_score_function(drawn, advantage, tail):
    """sum over steps k of   A * noise_k / s_k * (y_k, 1)."""
    chain, trajectory, states, noises = drawn
    advantages = advantages_by_hand(advantage, final_rewards(states))
    rows = [
        [sum(advantages[i] * noises[i][k] / STD[k] * factor(states[i][k]) for k in range(T - tail)) for factor in (float, lambda y: 1.0)]
        for i in range(4)
    ]
    found = estimate("score_function", {"advantage": advantage, "uncovered_tail": tail}, chain, trajectory)
    torch.testing.assert_close(flat(found.gradient), mean_over(rows), **EXACT)
    assert found.covered_steps == frozenset(range(T - tail))


def test_the_four_advantages_differ(drawn):
    """Otherwise the test above could not tell one from another."""
    chain, trajectory, _, _ = drawn
    found = [flat(estimate("score_function", {"advantage": advantage}, chain, trajectory).gradient) for advantage in ADVANTAGES]
    assert all((first - second).abs().max() > 0.01 for first, second in itertools.combinations(found, 2))


# --- PPO -------------------------------------------------------------------------------------------------------------------------------

CLIP, STEP_LENGTH = 0.1, 0.2


def surrogate_by_hand(states, noises, advantages, moved, clip):
    """grad L, the mean over the batch, at theta + moved; and how often a ratio counted and how often it was clipped."""
    rows, counted, clipped = [], 0, 0
    for y, noise, advantage in zip(states, noises, advantages, strict=True):
        total = [0.0, 0.0]
        for k in range(T):
            residual = (y[k + 1] - mean_of_step(k, y[k], moved)) / STD[k]
            ratio = math.exp((noise[k] ** 2 - residual**2) / 2)
            # Beyond the clip on the side that the advantage pushes to, the surrogate is flat.
            if (advantage > 0 and ratio > 1 + clip) or (advantage < 0 and ratio < 1 - clip):
                clipped += 1
                continue
            counted += 1
            slope = ratio * advantage * residual / STD[k]
            total = [total[0] + slope * y[k], total[1] + slope]
        rows.append(total)
    return [sum(row[i] for row in rows) / 4 for i in range(2)], counted, clipped


@pytest.mark.parametrize("advantage", ["leave_one_out", "group_normalised"])
@pytest.mark.parametrize("epochs", [2, 3])
def test_ppo(drawn, advantage, epochs):
    chain, trajectory, states, noises = drawn
    advantages = advantages_by_hand(advantage, final_rewards(states))
    moved, gradients = (0.0, 0.0), []
    for _ in range(epochs):
        gradient, counted, clipped = surrogate_by_hand(states, noises, advantages, moved, CLIP)
        gradients.append(gradient)
        length = math.hypot(*gradient)
        moved = tuple(offset + STEP_LENGTH * ascent / length for offset, ascent in zip(moved, gradient, strict=True))
    assert counted > 0
    assert clipped > 0
    settings = {"inner_epochs": epochs, "advantage": advantage, "clip_range": CLIP, "inner_step_length": STEP_LENGTH}
    before = [parameter.detach().clone() for parameter in chain.parameters()]
    found = estimate("ppo", settings, chain, trajectory)
    torch.testing.assert_close(flat(found.gradient), mean_over(gradients), **EXACT)
    assert all(torch.equal(old, new) for old, new in zip(before, chain.parameters(), strict=True))


@pytest.mark.parametrize("advantage", ADVANTAGES)
def test_ppo_with_one_epoch_is_the_score_function(drawn, advantage):
    chain, trajectory, _, _ = drawn
    settings = {"advantage": advantage, "uncovered_tail": 1}
    score_function = flat(estimate("score_function", settings, chain, trajectory).gradient)
    one = flat(estimate("ppo", settings | {"inner_epochs": 1}, chain, trajectory).gradient)
    two = flat(estimate("ppo", settings | {"inner_epochs": 2, "inner_step_length": 0.1}, chain, trajectory).gradient)
    torch.testing.assert_close(one, score_function, **EXACT)
    assert not torch.allclose(two, score_function, rtol=1e-3)


# --- truncated backpropagation ---------------------------------------------------------------------------------------------------------


def drawn_cut(settings, generator):
    K = settings["first_order_steps"]
    if settings["cut"] == "fixed":
        return K
    if settings["cut"] == "uniform":
        return int(torch.randint(1, K + 1, (), generator=generator))
    normal = float(torch.randn((), generator=generator, dtype=torch.float64))
    return min(max(round(K + settings["cut_spread"] * normal), 1), T)


@pytest.mark.parametrize(
    ("settings", "cuts"),
    [
        ({"cut": "fixed", "first_order_steps": 3}, {3}),
        ({"cut": "uniform", "first_order_steps": 4}, {1, 2, 3, 4}),
        ({"cut": "gaussian", "first_order_steps": 3, "cut_spread": 2.0}, {1, 2, 3, 4, 5, 6}),
    ],
)
def test_truncated_backprop_is_first_order_through_the_drawn_cut(drawn, settings, cuts):
    chain, trajectory, _, _ = drawn
    met = set()
    for seed in range(60):
        cut = drawn_cut(settings, torch.Generator().manual_seed(seed))
        found = flat(estimate("truncated_backprop", settings, chain, trajectory, seed).gradient)
        assert torch.equal(found, flat(estimate("first_order", {"first_order_steps": cut}, chain, trajectory).gradient))
        met.add(cut)
    assert met == cuts


# --- several flips ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def vector():
    """The chain of three channels, a batch of four, its noises as plain rows, and its rewards."""
    chain, reward = vector_chain(), vector_reward()
    trajectory = batch(chain, pairs_of_prompts(4), torch.Generator().manual_seed(7))
    return chain, trajectory, reward, measure(reward, trajectory.images, trajectory.condition.prompts)


def walked(chain, y, first, noises):
    """y_T, shape (B, 3), from y_first, with the matrices themselves."""
    weight, offset = (parameter.detach() for parameter in chain.parameters())
    for k in range(first, chain.num_steps):
        y = y @ (chain._drifts[k] + weight).T + offset + chain.std(k) * noises[k]
    return y


def flipped_drop(chain, trajectory, reward, step, elements):
    """(R(noise) - R(noise with these elements flipped)) / 2, by rolling out again from y_step."""
    states, noises = trajectory.states.flatten(2), trajectory.noises.flatten(2).clone()
    noises[step][:, elements] *= -1
    twin = walked(chain, states[step], step, noises)
    return (reward(states[-1], []) - reward(twin, [])) / 2


@pytest.mark.parametrize("step", range(5))
def test_every_element_of_a_group_has_the_groups_advantage(vector, step):
    chain, trajectory, reward, rewards = vector
    groups = torch.tensor([1, 0, 0]).view(3, 1, 1)
    found = antithetic(chain, trajectory, reward, rewards, step, groups).flatten(1)
    expected = {0: flipped_drop(chain, trajectory, reward, step, [1, 2]), 1: flipped_drop(chain, trajectory, reward, step, [0])}
    torch.testing.assert_close(found, torch.stack([expected[1], expected[0], expected[0]], 1), **EXACT)


def test_one_group_of_all_elements_is_the_plain_flip(vector):
    chain, trajectory, reward, rewards = vector
    plain = antithetic(chain, trajectory, reward, rewards, 2)
    together = antithetic(chain, trajectory, reward, rewards, 2, torch.zeros(3, 1, 1, dtype=torch.long))
    assert torch.equal(together.flatten(1), plain[:, None].expand(-1, 3))
    torch.testing.assert_close(plain, flipped_drop(chain, trajectory, reward, 2, [0, 1, 2]), **EXACT)


@pytest.mark.parametrize("count", [2, 3, 5, 12])
def test_dealt_groups_partition_the_elements_evenly_and_differ_from_deal_to_deal(count):
    generator = torch.Generator().manual_seed(0)
    deals = [deal((3, 2, 2), count, generator, torch.device("cpu")) for _ in range(20)]
    for groups in deals:
        assert groups.shape == (3, 2, 2)
        sizes = torch.bincount(groups.flatten(), minlength=count)
        assert len(sizes) == count
        assert int(sizes.sum()) == 12
        assert int(sizes.max() - sizes.min()) <= 1
    assert len({tuple(groups.flatten().tolist()) for groups in deals}) > 10
    assert deal((3, 2, 2), 1, generator, torch.device("cpu")) is None


@pytest.mark.parametrize("groups", [[0, 1, 2], [0, 1, 0], [0, 0, 0]])
@pytest.mark.parametrize("step", [0, 3, 4])
def test_for_a_linear_reward_each_groups_advantage_is_its_share_of_the_pathwise_derivative(vector, step, groups):
    """R is linear in the noise, so half of what a flip changes is exactly s_k * dR/dy_{k+1} . noise_k over the group."""
    chain, trajectory, _, _ = vector
    linear = float64([1.0, -0.5, 0.8])
    reward = QuadraticReward(linear, torch.zeros(3, 3).double())
    adjoint = linear
    for k in reversed(range(step + 1, chain.num_steps)):
        adjoint = (chain._drifts[k] + chain.parameters()[0].detach()).T @ adjoint
    shares = chain.std(step) * adjoint * trajectory.noises[step].flatten(1)
    rewards = measure(reward, trajectory.images, trajectory.condition.prompts)
    found = antithetic(chain, trajectory, reward, rewards, step, torch.tensor(groups).view(3, 1, 1)).flatten(1)
    for group in set(groups):
        members = [element for element in range(3) if groups[element] == group]
        torch.testing.assert_close(found[:, members], shares[:, members].sum(1, keepdim=True).expand(-1, len(members)), **EXACT)
    one_of_each = [groups.index(group) for group in sorted(set(groups))]
    torch.testing.assert_close(found[:, one_of_each].sum(1), shares.sum(1), **EXACT)
    torch.testing.assert_close(shares.sum(1), antithetic(chain, trajectory, reward, rewards, step), **EXACT)


def flips_by_hand(vector, partition):
    """All steps as sub-chains of one: d m_i / d W_ij = y_j, d m_i / d b_i = 1, each row of the state weighted by its group's advantage."""
    chain, trajectory, reward, _ = vector
    weight, offset = torch.zeros(3, 3).double(), torch.zeros(3).double()
    for k in range(chain.num_steps):
        y, noise = trajectory.states[k].flatten(1), trajectory.noises[k].flatten(1)
        for members in partition[k]:
            advantage = flipped_drop(chain, trajectory, reward, k, members)
            for i in members:
                factor = advantage * noise[:, i] / chain.std(k)
                weight[i] += (factor[:, None] * y).mean(0)
                offset[i] += factor.mean()
    return torch.cat([weight.flatten(), offset])


def test_as_many_flips_as_elements_flip_each_alone(vector):
    chain, trajectory, reward, _ = vector
    settings = {"sub_chain_length": 1, "num_sub_chains": 5, "uncovered_tail": 0, "num_flips": 3}
    found = make("antithetic_half_order", settings).estimate(chain, trajectory, reward, torch.Generator().manual_seed(0))
    torch.testing.assert_close(flat(found.gradient), flips_by_hand(vector, [[[0], [1], [2]]] * 5), **EXACT)


def test_two_flips_of_three_elements_are_one_of_the_three_partitions(vector):
    """At the last step alone; every partition is met at some seed."""
    chain, trajectory, reward, _ = vector
    none = [[]] * 4
    by_hand = [flips_by_hand(vector, [*none, split]) for split in ([[0], [1, 2]], [[1], [0, 2]], [[2], [0, 1]])]
    settings = {"sub_chain_length": 1, "num_sub_chains": 1, "uncovered_tail": 0, "num_flips": 2}
    estimator, met = make("antithetic_half_order", settings), set()
    for seed in range(60):
        found = flat(estimator.estimate(chain, trajectory, reward, torch.Generator().manual_seed(seed)).gradient)
        met |= {index for index, expected in enumerate(by_hand) if torch.allclose(found, 5 * expected, **EXACT)}
    assert met == {0, 1, 2}


# --- zeroth order ----------------------------------------------------------------------------------------------------------------------

MU = 0.1


def redrawn(generator, count):
    """`count` directions of the two parameters, as the term draws them: from a generator whose seed comes from the estimator's own."""
    drawing = torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=generator)))
    return [tuple(float(torch.randn(shape, generator=drawing, dtype=torch.float64)) for shape in ((1, 1), (1,))) for _ in range(count)]


def zeroth_order_by_hand(states, noises, rows, by_step, comparison):
    """slope * sum of the steps' directions; `by_step` maps a step to its direction, which steps may share."""

    def mean_reward(factor):
        moved = {k: (factor * xi[0], factor * xi[1]) for k, xi in by_step.items()}
        return sum(reward_of(steps_from(states[i][0], 0, noises[i], moved)[T]) for i in rows) / len(rows)

    slope = {
        "two_sided": lambda: (mean_reward(MU) - mean_reward(-MU)) / (2 * MU),
        "unperturbed": lambda: (mean_reward(MU) - mean_reward(0.0)) / MU,
        "none": lambda: mean_reward(MU) / MU,
    }[comparison]()
    return [slope * sum(xi[j] for xi in set(by_step.values())) for j in range(2)]


@pytest.mark.parametrize("num_perturbations", [1, 2, 4, 9])
@pytest.mark.parametrize("is_shared", [True, False])
@pytest.mark.parametrize("comparison", COMPARISONS)
def test_zeroth_order(drawn, comparison, is_shared, num_perturbations):
    chain, trajectory, states, noises = drawn
    parts = {1: [[0, 1, 2, 3]], 2: [[0, 1], [2, 3]]}.get(num_perturbations, [[0], [1], [2], [3]])
    generator = torch.Generator().manual_seed(11)
    expected = torch.zeros(2).double()
    for rows in parts:
        xis = redrawn(generator, 1) * T if is_shared else redrawn(generator, T)
        share = zeroth_order_by_hand(states, noises, rows, dict(enumerate(xis)), comparison)
        expected += len(rows) / 4 * float64(share)
    settings = {"comparison": comparison, "is_shared": is_shared, "perturbation_std": MU, "num_perturbations": num_perturbations}
    found = estimate("zeroth_order", settings, chain, trajectory, seed=11)
    torch.testing.assert_close(flat(found.gradient), expected, **EXACT)


# --- RLR -------------------------------------------------------------------------------------------------------------------------------

SEEDS = (0, 1, 4)
SWITCHES = [switches for switches in itertools.product([True, False], repeat=3) if any(switches)]


def drawn_place(generator):
    """One of three equally likely sub-chains."""
    return math.floor(3 * float(torch.rand((), generator=generator, dtype=torch.float64)))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("has_first_order", "has_half_order", "has_zeroth_order"), SWITCHES)
@pytest.mark.parametrize("comparison", ["two_sided", "unperturbed"])
def test_rlr(drawn, has_first_order, has_half_order, has_zeroth_order, comparison, seed):
    """FO on the last step, HO on one of (0, 1), (1, 3), (3, 5), ZO on all other steps; HO counts once beside ZO and three times without."""
    chain, trajectory, states, noises = drawn
    generator = torch.Generator().manual_seed(seed)
    rest, expected = set(range(T)), {}
    if has_first_order:
        expected["first_order"] = mean_over([first_order_by_hand(row, 1) for row in states])
        rest -= {T - 1}
    if has_half_order:
        first, stop = [(0, 1), (1, 3), (3, 5)][drawn_place(generator)]
        advantages = advantages_by_hand("leave_one_out", final_rewards(states))
        share = mean_over([half_order_by_hand(states[i], noises[i], first, stop, advantages[i]) for i in range(4)])
        expected["half_order"] = share if has_zeroth_order else 3 * share
        rest -= set(range(first, stop))
    if has_zeroth_order:
        by_step = dict(zip(sorted(rest), redrawn(generator, len(rest)), strict=True))
        expected["zeroth_order"] = float64(zeroth_order_by_hand(states, noises, range(4), by_step, comparison))
    settings = {
        "has_first_order": has_first_order, "has_half_order": has_half_order, "has_zeroth_order": has_zeroth_order,
        "comparison": comparison, "perturbation_std": MU, "uncovered_tail": 1,
    }  # fmt: skip
    found = estimate("rlr", settings, chain, trajectory, seed)
    assert set(found.parts) == set(expected)
    for name, part in expected.items():
        torch.testing.assert_close(flat(found.parts[name]), part, **EXACT)
    torch.testing.assert_close(flat(found.gradient), sum(expected.values()), **EXACT)
    if has_zeroth_order:
        assert found.covered_steps == frozenset(range(T))
    else:
        assert found.covered_steps == frozenset(({T - 1} if has_first_order else set()) | (set(range(T - 1)) if has_half_order else set()))


def test_the_seeds_meet_every_sub_chain_of_rlr():
    """Otherwise the test above would leave a place untested."""
    assert {drawn_place(torch.Generator().manual_seed(seed)) for seed in SEEDS} == {0, 1, 2}
