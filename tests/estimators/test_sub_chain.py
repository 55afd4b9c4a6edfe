"""Tilings and draws of sub-chains."""

import pytest
import torch

from rlr_core.estimators.sub_chain import SubChain, draw_sub_chains, tile


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
    assert all(draw.weight == 3 / count for draw in draws)
    for sub_chain in tile(10, 4):
        share = sum(sub_chain in draw.sub_chains for draw in draws) / len(draws)
        # Five standard errors of a share.
        assert abs(share - count / 3) <= 5 * (count / 3 * (1 - count / 3) / len(draws)) ** 0.5
