"""The perturbation rules, each against its own formula, and what all of them promise: E[ascent offset^T] = I."""

import math

import pytest
import torch

from rlr_core.estimators.perturbations.registry import PERTURBATIONS
from rlr_core.estimators.perturbations.rule import Probe
from rlr_core.estimators.zeroth_term import PerturbationSettings, make_rule
from tests.estimators.by_hand import EXACT, T, reward_of, steps_from
from tests.estimators.cases import make
from tests.estimators.oracles import flat, float64, scalar_reward

MU = 0.1


def rule_of(name, **settings):
    return make_rule(PerturbationSettings(rule=name, rule_settings=settings))


def drawing(seed):
    return torch.Generator().manual_seed(seed)


def probe_along(directions, slope, curvature=None, weight=1.0, reward=0.0, seed=0):
    return Probe(tuple(directions), seed, weight, slope, curvature, reward)


def normals(seed, shapes, count=1):
    """`count` unit Gaussians of these shapes, drawn one after the other."""
    generator = drawing(seed)
    drawn = [tuple(torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes) for _ in range(count)]
    return drawn[0] if count == 1 else drawn


@pytest.fixture
def parameters():
    return [float64([[0.3, -0.2], [0.1, 0.5]]), float64([1.0, -2.0, 0.5])]


SHAPES = [(2, 2), (3,)]


# --- plain -----------------------------------------------------------------------------------------------------------------------------


def test_the_plain_rule_moves_along_a_unit_gaussian_and_remembers_nothing(parameters):
    rule = rule_of("gaussian")
    first, second = (rule.direction(parameters, drawing(seed), {}) for seed in (1, 2))
    for direction, seed in ((first, 1), (second, 2)):
        assert all(torch.equal(found, z) for found, z in zip(direction.offset, normals(seed, SHAPES), strict=True))
        assert all(torch.equal(found, z) for found, z in zip(direction.ascent, normals(seed, SHAPES), strict=True))
    probes = [probe_along([first, second], 2.0, weight=0.25), probe_along([second], -4.0, weight=0.75)]
    gradient, memory = rule.combine(parameters, probes, {})
    z, other = flat(normals(1, SHAPES)), flat(normals(2, SHAPES))
    torch.testing.assert_close(flat(gradient), 0.25 * 2.0 * (z + other) - 0.75 * 4.0 * other, **EXACT)
    assert memory == {}


# --- HiZOO -----------------------------------------------------------------------------------------------------------------------------


def test_hizoo_starts_as_the_plain_rule(parameters):
    for is_preconditioned in (False, True):
        direction = rule_of("hizoo", is_preconditioned=is_preconditioned).direction(parameters, drawing(3), {})
        for found in (direction.offset, direction.ascent):
            assert torch.equal(flat(found), flat(normals(3, SHAPES)))


def test_hizoo_learns_the_curvature_by_its_recursion(parameters):
    """H <- (1 - alpha) H + alpha |R+ + R- - 2 R| / (2 mu^2) H z^2, one probe after the other; several steps' z^2 are averaged."""
    alpha, rule = 0.25, rule_of("hizoo", smoothing=0.25)
    curvature, memory = torch.ones(7).double(), {}
    for estimate in range(3):
        one, two, three = (rule.direction(parameters, drawing(10 * estimate + index), memory) for index in range(3))
        z = [flat(normals(10 * estimate + index, SHAPES)) for index in range(3)]
        probes = [probe_along([one], 1.5, curvature=-3.0, weight=0.5), probe_along([two, three], -0.5, curvature=0.8, weight=0.5)]
        root = curvature.sqrt()
        gradient, memory = rule.combine(parameters, probes, memory)
        torch.testing.assert_close(flat(gradient), 0.5 * 1.5 * root * z[0] - 0.5 * 0.5 * root * (z[1] + z[2]), **EXACT)
        curvature = (1 - alpha) * curvature + alpha * 3.0 / 2 * curvature * z[0] ** 2
        curvature = (1 - alpha) * curvature + alpha * 0.8 / 2 * curvature * (z[1] ** 2 + z[2] ** 2) / 2
        torch.testing.assert_close(flat((memory["0"], memory["1"])), curvature, **EXACT)
        assert curvature.min() != curvature.max()


@pytest.mark.parametrize("is_preconditioned", [False, True])
def test_hizoo_moves_flat_directions_further(parameters, is_preconditioned):
    memory = {"0": float64([[4.0, 1.0], [0.25, 9.0]]), "1": float64([16.0, 1.0, 0.01])}
    direction = rule_of("hizoo", is_preconditioned=is_preconditioned).direction(parameters, drawing(5), memory)
    z, root = flat(normals(5, SHAPES)), float64([2.0, 1.0, 0.5, 3.0, 4.0, 1.0, 0.1])
    torch.testing.assert_close(flat(direction.offset), z / root, **EXACT)
    torch.testing.assert_close(flat(direction.ascent), z / root if is_preconditioned else z * root, **EXACT)


def test_hizoo_reads_its_curvature_off_both_sides_of_the_chain(drawn):
    """From roll-outs to memory in plain numbers, and a second estimate along the rescaled direction."""
    chain, trajectory, states, noises = drawn
    settings = {"is_shared": True, "perturbation_std": MU, "rule": "hizoo", "rule_settings": {"smoothing": 0.5}}
    memory, curvature = {}, (1.0, 1.0)
    for seed in range(3):
        inner = drawing(int(torch.randint(2**62, (), generator=drawing(seed))))
        z = [float(torch.randn(shape, generator=inner, dtype=torch.float64)) for shape in ((1, 1), (1,))]
        offset = [each / math.sqrt(bend) for each, bend in zip(z, curvature, strict=True)]

        def mean_reward(factor, offset=offset):
            moved = dict.fromkeys(range(T), (factor * offset[0], factor * offset[1]))
            return sum(reward_of(steps_from(states[i][0], 0, noises[i], moved)[T]) for i in range(4)) / 4

        slope = (mean_reward(MU) - mean_reward(-MU)) / (2 * MU)
        bend = abs(mean_reward(MU) + mean_reward(-MU) - 2 * mean_reward(0.0)) / MU**2
        found = make("zeroth_order", settings).estimate(chain, trajectory, scalar_reward(), drawing(seed), memory)
        expected = [slope * each * math.sqrt(root) for each, root in zip(z, curvature, strict=True)]
        torch.testing.assert_close(flat(found.gradient), float64(expected), rtol=1e-10, atol=1e-10)
        curvature = tuple(0.5 * root + 0.5 * bend / 2 * root * each**2 for each, root in zip(z, curvature, strict=True))
        memory = found.memory
        torch.testing.assert_close(flat((memory["0"], memory["1"])), float64(curvature), rtol=1e-10, atol=1e-10)


def test_hizoo_stays_finite_where_the_reward_is_flat(parameters):
    rule, memory = rule_of("hizoo", smoothing=1.0), {}
    for seed in range(3):
        direction = rule.direction(parameters, drawing(seed), memory)
        gradient, memory = rule.combine(parameters, [probe_along([direction], 0.0, curvature=0.0)], memory)
    direction = rule.direction(parameters, drawing(9), memory)
    assert all(torch.isfinite(flat(found)).all() for found in (gradient, direction.offset, direction.ascent))


# --- LeZO ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "active"), [(0.2, 1), (0.25, 1), (0.26, 2), (0.5, 2), (1.0, 4)])
def test_lezo_moves_some_matrices_and_weights_them_back(share, active):
    shapes = [(2,), (3,), (1, 2), (4,)]
    parameters, rule, met = [torch.zeros(shape).double() for shape in shapes], rule_of("lezo", active_share=share), set()
    for seed in range(60):
        direction = rule.direction(parameters, drawing(seed), {})
        moved = {index for index, tensor in enumerate(direction.offset) if tensor.abs().max() > 0}
        assert len(moved) == active
        for index, z in enumerate(normals(seed, shapes)):
            assert torch.equal(direction.offset[index], z if index in moved else torch.zeros_like(z))
            torch.testing.assert_close(direction.ascent[index], direction.offset[index] * 4 / active, **EXACT)
        met |= moved
    assert met == {0, 1, 2, 3}


# --- AdaMeZO ---------------------------------------------------------------------------------------------------------------------------


def adam_by_hand(stored, window, first_decay, second_decay):
    """Adam's direction from gradients that were kept, the newest last."""
    kept = stored[-window:]
    ages = range(len(kept) - 1, -1, -1)
    mean = sum(first_decay**age * each for age, each in zip(ages, kept, strict=True)) / sum(first_decay**age for age in ages)
    square = sum(second_decay**age * each**2 for age, each in zip(ages, kept, strict=True)) / sum(second_decay**age for age in ages)
    return mean / (square.sqrt() + 1e-12) * square.sqrt().mean()


@pytest.mark.parametrize("is_shared", [True, False])
@pytest.mark.parametrize("num_perturbations", [1, 2])
@pytest.mark.parametrize("window", [1, 3, 100])
def test_adamezo_equals_adam_on_stored_gradients(drawn, window, num_perturbations, is_shared):
    """The plain rule's own gradients of the same seeds are stored, one a part of the batch, and Adam is run on the last of them."""
    chain, trajectory, _, _ = drawn
    settings = {"is_shared": is_shared, "perturbation_std": MU, "num_perturbations": num_perturbations}
    decays = {"first_decay": 0.7, "second_decay": 0.9}
    replaying = make("zeroth_order", settings | {"rule": "adamezo", "rule_settings": {"window": window, **decays}})
    one_part = make("zeroth_order", settings | {"num_perturbations": 1})
    stored, memory = [], {}
    for seed in range(5):
        found = replaying.estimate(chain, trajectory, scalar_reward(), drawing(seed), memory)
        memory, generator = found.memory, drawing(seed)
        for rows in torch.arange(4).chunk(num_perturbations):
            part = one_part.estimate(chain, trajectory.select(rows.tolist()), scalar_reward(), generator)
            stored.append(flat(part.gradient) / num_perturbations)
        torch.testing.assert_close(flat(found.gradient), adam_by_hand(stored, window, 0.7, 0.9), rtol=1e-10, atol=1e-10)
        assert len(memory["seeds"]) == min(window, len(stored))


def test_a_longer_window_changes_adamezo(drawn):
    """Otherwise the test above could not see a window that is not kept to."""
    chain, trajectory, _, _ = drawn
    results = []
    for window in (1, 3, 100):
        estimator, memory = make("zeroth_order", {"rule": "adamezo", "rule_settings": {"window": window}}), {}
        for seed in range(5):
            found = estimator.estimate(chain, trajectory, scalar_reward(), drawing(seed), memory)
            memory = found.memory
        results.append(flat(found.gradient))
    assert all((results[i] - results[j]).abs().max() > 1e-3 for i, j in ((0, 1), (0, 2), (1, 2)))


# --- ZO Fine-tuner ---------------------------------------------------------------------------------------------------------------------

STEEP, GENTLE = 2.0, 0.05


def scales_of(direction):
    """s of each matrix: by how much its noise was stretched; the same for all its elements, and undone in the ascent."""
    scales = []
    for noise, offset, ascent in zip(direction.noise, direction.offset, direction.ascent, strict=True):
        ratio = offset / noise
        torch.testing.assert_close(ratio, ratio.flatten()[0].expand(ratio.shape), **EXACT)
        torch.testing.assert_close(ascent * ratio, noise, **EXACT)
        scales.append(float(ratio.flatten()[0]))
    return scales


def learned_scales(steepness, num_estimates, learning_rate=0.05):
    """The rule on the quadratic R = -sum_b steepness_b |theta_b|^2 / 2, whose gradient at theta_b is -steepness_b theta_b."""
    parameters = [torch.full((2, 2), 1.0).double(), torch.full((3,), 1.0).double()]
    rule, memory = rule_of("zo_finetuner", learning_rate=learning_rate), {}
    seen = []

    def reward(offset, factor):
        return -sum(float(a * (theta + factor * z).square().sum()) for a, theta, z in zip(steepness, parameters, offset, strict=True)) / 2

    for seed in range(num_estimates):
        direction = rule.direction(parameters, drawing(seed), memory)
        seen.append(scales_of(direction))
        slope = (reward(direction.offset, MU) - reward(direction.offset, -MU)) / (2 * MU)
        gradient, memory = rule.combine(parameters, [probe_along([direction], slope, reward=reward(direction.offset, 0.0))], memory)
        torch.testing.assert_close(flat(gradient), slope * flat(direction.ascent), **EXACT)
    return seen, memory


def test_zo_finetuner_starts_plain(parameters):
    direction = rule_of("zo_finetuner").direction(parameters, drawing(4), {})
    torch.testing.assert_close(flat(direction.offset), flat(normals(4, SHAPES)), **EXACT)
    torch.testing.assert_close(flat(direction.ascent), flat(normals(4, SHAPES)), **EXACT)


def test_zo_finetuner_keeps_the_length_of_a_plain_perturbation():
    """sum_b d_b s_b^2 = d, here 4 s_0^2 + 3 s_1^2 = 7, whatever the networks have learned."""
    seen, _ = learned_scales((STEEP, GENTLE), 150)
    assert max(abs(seen[-1][0] - 1), abs(seen[-1][1] - 1)) > 0.1
    for first, second in seen:
        assert 4 * first**2 + 3 * second**2 == pytest.approx(7, abs=1e-9)


@pytest.mark.parametrize("steepness", [(STEEP, GENTLE), (GENTLE, STEEP)])
def test_zo_finetuner_moves_the_matrix_with_the_longer_gradient_further(steepness):
    """With one direction an estimate too, whose slope must be compared with earlier ones to tell anything."""
    seen, _ = learned_scales(steepness, 200)
    steep, gentle = (sum(scales[steepness.index(each)] for scales in seen[100:]) / 100 for each in (STEEP, GENTLE))
    assert steep > 1.1
    assert gentle < 0.9


def test_zo_finetuners_scales_stay_within_bounds():
    """However fast it learns, the ascent, which is divided by the scale, stays of the size of a plain one."""
    seen, _ = learned_scales((STEEP, GENTLE), 100, learning_rate=10.0)
    ratios = [max(scales) / min(scales) for scales in seen]
    assert 10 < max(ratios) <= math.exp(4) * (1 + 1e-9)


def test_zo_finetuner_learns_nothing_at_learning_rate_zero():
    seen, memory = learned_scales((STEEP, GENTLE), 20, learning_rate=0.0)
    assert all(scales == pytest.approx([1.0, 1.0], abs=1e-12) for scales in seen)
    assert not any(tensor.requires_grad for tensor in memory.values())


def test_zo_finetuner_sees_the_last_two_rewards(parameters):
    rule, memory = rule_of("zo_finetuner"), {}
    for seed, reward in enumerate((3.0, 5.0, 7.0)):
        direction = rule.direction(parameters, drawing(seed), memory)
        probes = [probe_along([direction], 1.0, weight=0.25, reward=reward), probe_along([direction], 1.0, weight=0.75, reward=reward + 4)]
        _, memory = rule.combine(parameters, probes, memory)
    assert memory["rewards"].tolist() == [8.0, 10.0]


# --- what all promise ------------------------------------------------------------------------------------------------------------------

LEARNED = [
    ("gaussian", {}),
    ("lezo", {"active_share": 0.5}),
    ("hizoo", {"smoothing": 0.3}),
    ("zo_finetuner", {"learning_rate": 0.5}),
    ("adamezo", {}),
]


def largest_distance_from_identity(rule, parameters, memory, num_draws=4000):
    """The largest |mean of ascent offset^T - I|, in standard errors."""
    generator, products = drawing(0), []
    for _ in range(num_draws):
        direction = rule.direction(parameters, generator, memory)
        products.append(torch.outer(flat(direction.ascent), flat(direction.offset)))
    products = torch.stack(products)
    return float(((products.mean(0) - torch.eye(7)).abs() / (products.std(0) / num_draws**0.5 + 1e-12)).max())


def memory_of(rule, parameters):
    """What the rule knows after a few estimates that told much."""
    memory = {}
    for seed in range(4):
        direction = rule.direction(parameters, drawing(seed), memory)
        _, memory = rule.combine(parameters, [probe_along([direction], 3.0, curvature=4.0, reward=2.0, seed=seed)], memory)
    return memory


@pytest.mark.parametrize(("name", "settings"), LEARNED)
def test_ascent_and_offset_have_the_identity_as_their_mean_product(parameters, name, settings):
    rule = rule_of(name, **settings)
    memory = memory_of(rule, parameters)
    assert bool(memory) == (name not in ("gaussian", "lezo"))
    assert largest_distance_from_identity(rule, parameters, memory) < 5


def test_every_rule_is_tested():
    assert {name for name, _ in LEARNED} == set(PERTURBATIONS)


def test_hizoos_own_step_is_biased_and_would_be_caught(parameters):
    rule = rule_of("hizoo", smoothing=0.3, is_preconditioned=True)
    assert largest_distance_from_identity(rule, parameters, memory_of(rule, parameters)) > 20


def test_a_forgotten_weight_of_lezo_would_be_caught(parameters):
    class Unweighted:
        def direction(self, *arguments):
            direction = rule_of("lezo", active_share=0.5).direction(*arguments)
            return type(direction)(direction.noise, direction.offset, direction.offset)

    assert largest_distance_from_identity(Unweighted(), parameters, {}) > 20


# --- beside the placement's memory -----------------------------------------------------------------------------------------------------


def two_estimates(drawn, **settings):
    chain, trajectory, _, _ = drawn
    estimator = make("rlr", {"perturbation_std": MU} | settings)
    first = estimator.estimate(chain, trajectory, scalar_reward(), drawing(0))
    return first, estimator.estimate(chain, trajectory, scalar_reward(), drawing(1), first.memory)


@pytest.mark.parametrize("rule", PERTURBATIONS)
def test_a_rules_memory_and_the_placements_are_kept_apart(drawn, rule):
    """Each is what it is without the other."""
    both = two_estimates(drawn, rule=rule, place="gradient_norm")
    place_alone = two_estimates(drawn, rule="gaussian", place="gradient_norm")
    rule_alone = two_estimates(drawn, rule=rule, place="uniform")
    for index in range(2):
        places = {name: tensor for name, tensor in both[index].memory.items() if name.startswith("place/")}
        rules = {name: tensor for name, tensor in both[index].memory.items() if name.startswith("rule/")}
        assert places.keys() | rules.keys() == both[index].memory.keys()
        assert places.keys() == place_alone[index].memory.keys() == {"place/squared_norms"}
        assert torch.equal(places["place/squared_norms"], place_alone[index].memory["place/squared_norms"])
        assert rules.keys() == rule_alone[index].memory.keys()
        assert bool(rules) == (rule not in ("gaussian", "lezo"))
    # Before anything is learned both draw alike, so the rule has seen the same.
    assert all(torch.equal(both[0].memory[name], tensor) for name, tensor in rule_alone[0].memory.items())


@pytest.mark.parametrize("rule", ["hizoo", "adamezo", "zo_finetuner"])
def test_rlr_hands_a_rule_its_memory(drawn, rule):
    chain, trajectory, _, _ = drawn
    settings = {"perturbation_std": MU, "rule": rule}
    estimator = make("rlr", settings)
    memory = {}
    for seed in range(4):
        found = estimator.estimate(chain, trajectory, scalar_reward(), drawing(seed), memory)
        memory = found.memory
    forgetful = estimator.estimate(chain, trajectory, scalar_reward(), drawing(seed))
    assert torch.equal(flat(found.parts["first_order"]), flat(forgetful.parts["first_order"]))
    assert torch.equal(flat(found.parts["half_order"]), flat(forgetful.parts["half_order"]))
    assert not torch.allclose(flat(found.parts["zeroth_order"]), flat(forgetful.parts["zeroth_order"]), rtol=1e-5)
