"""Trajectories: the formula, independence from the batch, and walking on from the middle."""

import pytest
import torch

from rlr_core.chain import Condition
from rlr_core.rng import image_generators
from rlr_core.sampling import roll_out, sample, walk
from tests.estimators.oracles import pairs_of_prompts, scalar_chain, vector_chain


def sampled(chain, count=6, first=0):
    return sample(chain, pairs_of_prompts(count), image_generators(7, "test", count=count, first=first))


@pytest.mark.parametrize("make_chain", [scalar_chain, vector_chain])
def test_states_follow_from_the_noises(make_chain):
    chain = make_chain()
    trajectory = sampled(chain)
    assert trajectory.states.shape == (chain.num_steps + 1, 6, *chain.event_shape)
    assert trajectory.noises.shape == (chain.num_steps, 6, *chain.event_shape)
    assert trajectory.num_steps == chain.num_steps
    assert len(trajectory) == 6
    for step in range(chain.num_steps):
        transition = chain.transition(trajectory.states[step], step, trajectory.condition)
        torch.testing.assert_close(trajectory.states[step + 1], (transition.mean + transition.std * trajectory.noises[step]).detach())
    assert torch.equal(trajectory.images, chain.decode(trajectory.states[-1]))


def test_no_gradients_are_kept():
    trajectory = sampled(vector_chain())
    assert not any(tensor.requires_grad for tensor in (trajectory.states, trajectory.noises, trajectory.images))


@pytest.mark.parametrize("make_chain", [scalar_chain, vector_chain])
@pytest.mark.parametrize("row", range(6))
def test_the_batch_size_never_changes_a_row(make_chain, row):
    chain = make_chain()
    together, alone = sampled(chain), sampled(chain, count=1, first=row)
    assert torch.equal(together.noises[:, row], alone.noises[:, 0])
    torch.testing.assert_close(together.states[:, row], alone.states[:, 0], rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("first_step", range(5))
def test_walking_on_from_the_middle_repeats_the_states_exactly(first_step):
    chain = vector_chain()
    trajectory = sampled(chain)
    states = roll_out(chain, trajectory.states[first_step], first_step, trajectory.noises, trajectory.condition)
    assert torch.equal(torch.stack(states), trajectory.states[first_step + 1 :])


def test_a_finished_chain_has_nowhere_to_go():
    chain = vector_chain()
    trajectory = sampled(chain)
    assert roll_out(chain, trajectory.states[-1], chain.num_steps, trajectory.noises, trajectory.condition) == []


def test_a_walk_can_be_differentiated_and_a_roll_out_cannot():
    chain = vector_chain()
    trajectory = sampled(chain)
    assert walk(chain, trajectory.states[2], range(2, 4), trajectory.noises, trajectory.condition)[-1].requires_grad
    assert not roll_out(chain, trajectory.states[2], 2, trajectory.noises, trajectory.condition)[-1].requires_grad


def test_select_takes_rows_in_order_and_repeats():
    chain = vector_chain()
    condition = Condition(("a", "b", "c"), {"embedding": torch.arange(3.0).view(3, 1)})
    trajectory = sample(chain, condition, image_generators(0, "test", count=3))
    part = trajectory.select([2, 0, 2])
    assert part.condition.prompts == ("c", "a", "c")
    assert part.condition.tensors["embedding"].flatten().tolist() == [2.0, 0.0, 2.0]
    assert torch.equal(part.states[:, 1], trajectory.states[:, 0])
    assert torch.equal(part.noises[:, 2], trajectory.noises[:, 2])
    assert torch.equal(part.images[0], trajectory.images[2])
