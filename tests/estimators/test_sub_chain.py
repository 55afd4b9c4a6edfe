"""Tilings and draws of sub-chains."""

import pytest
import torch

from rlr_core.estimators.sub_chain import SubChain, draw_sub_chains, inclusion_probabilities, tile


@pytest.mark.parametrize("stop", range(1, 13))
@pytest.mark.parametrize("length", range(1, 14))
def test_a_tiling_covers_every_step_once_and_ends_at_stop(stop, length):
    tiling = tile(stop, length)
    assert [step for each in tiling for step in range(each.first, each.stop)] == list(range(stop))
    assert all(each.stop - each.first == length for each in tiling[1:])
    assert 1 <= tiling[0].stop - tiling[0].first <= length


def test_the_first_sub_chain_is_the_shorter_one():
    assert tile(10, 4) == [SubChain(0, 2), SubChain(2, 6), SubChain(6, 10)]
    assert tile(10, 4)[-1].interface == 9


@pytest.mark.parametrize("count", [1, 2, 3])
def test_sub_chains_are_drawn_evenly_and_never_twice(count):
    generator = torch.Generator().manual_seed(0)
    draws = [draw_sub_chains(10, 4, count, generator) for _ in range(3000)]
    assert all(len(set(draw.sub_chains)) == count for draw in draws)
    assert all(draw.weights == pytest.approx([3 / count] * count) for draw in draws)
    for sub_chain in tile(10, 4):
        share = sum(sub_chain in draw.sub_chains for draw in draws) / len(draws)
        # Five standard errors of a share.
        assert abs(share - count / 3) <= 5 * (count / 3 * (1 - count / 3) / len(draws)) ** 0.5


def test_uneven_shares_give_each_sub_chain_its_inclusion_probability():
    generator = torch.Generator().manual_seed(1)
    shares = torch.tensor([0.1, 0.5, 0.2, 0.2])
    draws = [draw_sub_chains(4, 1, 2, generator, shares) for _ in range(4000)]
    # The second is certain to be drawn, and the others share the other draw by 1 : 2 : 2.
    expected = [0.2, 1.0, 0.4, 0.4]
    for sub_chain, probability in zip(tile(4, 1), expected, strict=True):
        weights = [draw.weights[draw.sub_chains.index(sub_chain)] for draw in draws if sub_chain in draw.sub_chains]
        assert weights == pytest.approx([1 / probability] * len(weights))
        assert abs(len(weights) / len(draws) - probability) <= 5 * (probability * (1 - probability) / len(draws)) ** 0.5 + 1e-12
    assert all(len(set(draw.sub_chains)) == 2 for draw in draws)


def test_inclusion_probabilities_add_up_and_none_is_above_one():
    found = inclusion_probabilities(torch.tensor([100.0, 10.0, 1.0, 1.0]), 3)
    assert float(found.sum()) == pytest.approx(3)
    assert found.tolist() == pytest.approx([1.0, 1.0, 0.5, 0.5])


def test_drawn_sub_chains_are_spread_over_the_chain():
    """With equal shares, each third of the tiling gives one of three."""
    generator = torch.Generator().manual_seed(2)
    for _ in range(200):
        draw = draw_sub_chains(12, 1, 3, generator)
        assert [sub_chain.first // 4 for sub_chain in draw.sub_chains] == [0, 1, 2]
