"""Learned placement: what the probabilities become after gradients of known length, and that their weights undo them."""

import pytest
import torch

from rlr_core.estimators.placement import Placement
from rlr_core.estimators.sub_chain import Draw, SubChain, tile
from tests.estimators.oracles import float64

STOP, LENGTH = 7, 2
# The tiling: 0, 1-2, 3-4, 5-6.
TILING = tile(STOP, LENGTH)


def of_length(length):
    """A gradient of two tensors with this Euclidean length."""
    return (float64([[0.6 * length, 0.0]]), float64([-0.8 * length]))


def learned(*lengths_by_place):
    """The memory after estimates that each drew some sub-chains and found gradients of these lengths."""
    placement, memory = Placement("gradient_norm", STOP, LENGTH), {}
    for lengths in lengths_by_place:
        draw = Draw(tuple(TILING[index] for index in lengths), (1.0,) * len(lengths))
        memory = placement.learn(memory, draw, [of_length(length) for length in lengths.values()])
    return placement, memory


def inclusion(placement, memory, count, num_draws=400):
    """1 / weight of every sub-chain that is drawn at some time."""
    generator, found = torch.Generator().manual_seed(0), {}
    for _ in range(num_draws):
        draw = placement.draw(count, generator, memory)
        assert len(set(draw.sub_chains)) == count
        for sub_chain, weight in zip(draw.sub_chains, draw.weights, strict=True):
            assert found.setdefault(TILING.index(sub_chain), 1 / weight) == pytest.approx(1 / weight, abs=1e-12)
    return [found[index] for index in range(len(TILING))]


def test_the_memory_is_a_running_mean_of_squared_lengths():
    _, memory = learned({0: 3.0, 2: 5.0}, {2: 1.0}, {2: 2.0})
    squares = [9.0, 0.0, 0.9 * (0.9 * 25.0 + 0.1 * 1.0) + 0.1 * 4.0, 0.0]
    torch.testing.assert_close(memory["squared_norms"], float64(squares), rtol=1e-12, atol=1e-12)


def test_learning_leaves_the_earlier_memory_alone():
    """A round that is resumed starts from it again."""
    placement, memory = learned({0: 3.0})
    before = memory["squared_norms"].clone()
    placement.learn(memory, Draw((SubChain(0, 1),), (1.0,)), [of_length(7.0)])
    assert torch.equal(memory["squared_norms"], before)


def test_probabilities_follow_the_root_mean_square_lengths_mixed_with_a_fifth_of_uniform():
    placement, memory = learned({0: 1.0, 1: 2.0, 2: 3.0, 3: 4.0})
    expected = [0.8 * length / 10 + 0.2 / 4 for length in (1.0, 2.0, 3.0, 4.0)]
    assert inclusion(placement, memory, 1) == pytest.approx(expected, abs=1e-12)
    # Two draws: twice as likely, none above 1.
    assert inclusion(placement, memory, 2) == pytest.approx([2 * share for share in expected], abs=1e-12)


def test_a_sub_chain_that_is_certain_leaves_the_other_draw_to_the_rest():
    placement, memory = learned({0: 1.0, 1: 1.0, 2: 1.0, 3: 97.0})
    share = 0.8 * 0.01 + 0.2 / 4
    assert inclusion(placement, memory, 2) == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1.0], abs=1e-12)
    assert inclusion(placement, memory, 1) == pytest.approx([share, share, share, 1 - 3 * share], abs=1e-12)


def test_a_sub_chain_never_drawn_counts_as_the_average_of_the_others():
    placement, memory = learned({0: 1.0}, {2: 3.0})
    assert memory["squared_norms"][1] == memory["squared_norms"][3] == 0
    expected = [0.8 * length / 8 + 0.2 / 4 for length in (1.0, 2.0, 3.0, 2.0)]
    assert inclusion(placement, memory, 1) == pytest.approx(expected, abs=1e-12)


def test_before_anything_is_learned_and_after_gradients_of_zero_all_are_alike():
    placement, memory = learned({0: 0.0, 1: 0.0})
    for known in ({}, memory):
        assert inclusion(placement, known, 1) == pytest.approx([0.25] * 4, abs=1e-12)


def test_a_gradient_of_zero_never_makes_its_sub_chain_impossible():
    placement, memory = learned({index: 1.0 for index in range(4)}, *[{0: 0.0}] * 200)
    assert memory["squared_norms"][0] < 1e-8
    assert inclusion(placement, memory, 1)[0] == pytest.approx(0.05, abs=1e-4)


def test_uniform_learns_nothing_and_ignores_what_is_known():
    placement = Placement("uniform", STOP, LENGTH)
    memory = placement.learn({}, Draw((TILING[0],), (1.0,)), [of_length(9.0)])
    assert memory == {}
    assert inclusion(placement, memory, 2) == pytest.approx([0.5] * 4, abs=1e-12)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_weights_undo_the_probabilities(count):
    """Every sub-chain is counted once in the mean, whatever was learned; the plain count would be far off."""
    placement, memory = learned({0: 0.5, 1: 2.0, 2: 0.1, 3: 6.0})
    generator, num_draws = torch.Generator().manual_seed(1), 4000
    counted = torch.zeros(num_draws, len(TILING)).double()
    for row in range(num_draws):
        draw = placement.draw(count, generator, memory)
        for sub_chain, weight in zip(draw.sub_chains, draw.weights, strict=True):
            counted[row, TILING.index(sub_chain)] = weight
    standard_error = counted.std(0) / num_draws**0.5 + 1e-12
    assert ((counted.mean(0) - 1).abs() / standard_error).max() < 5
    unweighted = (counted > 0).double() * len(TILING) / count
    assert ((unweighted.mean(0) - 1).abs() / (unweighted.std(0) / num_draws**0.5 + 1e-12)).max() > 20
