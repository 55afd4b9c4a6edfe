"""Pictures and prompts for the networks, and derivatives by finite differences."""

import pytest
import torch
from torch import Tensor

from rlr_core.chain import Reward
from tests.preference.pictures import draw_pictures

PROMPTS = ("a red heart", "a blue square", "a cat face")


@pytest.fixture
def pictures() -> Tensor:
    """Of another size than the networks', so that they are resized; away from 0 and 1, where the resize is cut off."""
    return 0.2 + 0.6 * draw_pictures(3, size=24)


def check_contract(reward: Reward, pictures: Tensor) -> None:
    """One finite number a picture, the same in any batch, from either size; a derivative by the pictures if the reward says so."""
    values = reward(pictures, PROMPTS)
    assert values.shape == (3,) and values.isfinite().all() and values.is_floating_point()
    assert values.std() > 1e-4  # so that the comparisons mean something
    alone = torch.cat([reward(pictures[row : row + 1], PROMPTS[row : row + 1]) for row in range(3)])
    torch.testing.assert_close(values, alone, rtol=1e-4, atol=1e-4)
    assert reward(draw_pictures(1, size=16), PROMPTS[:1]).isfinite().all()
    assert reward.is_differentiable
    traced = pictures.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(reward(traced, PROMPTS).sum(), traced)
    assert (gradient.flatten(1).norm(dim=1) > 0).all()


def slope_error(reward: Reward, pictures: Tensor, step: float) -> float:
    """Largest relative difference between the derivative along three directions and the central difference over 2 `step`."""
    traced = pictures.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(reward(traced, PROMPTS).sum(), traced)
    errors = []
    for seed in range(3):
        noise = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(seed), dtype=pictures.dtype)
        # Half along the gradient, so that the slope is far from 0.
        direction = noise / noise.norm() + gradient / gradient.norm()
        with torch.no_grad():
            ahead, behind = (reward(pictures + sign * step * direction, PROMPTS).double().sum() for sign in (1, -1))
        slope = float((gradient.double() * direction.double()).sum())
        errors.append(abs(float(ahead - behind) / (2 * step) - slope) / abs(slope))
    return max(errors)
