"""The optimizer's arithmetic, by hand."""

import math

import pytest
import torch

from rlr_core.errors import RLRError
from rlr_core.optimizer import Optimizer


def parameters() -> list[torch.Tensor]:
    return [torch.zeros(2, dtype=torch.float64, requires_grad=True), torch.zeros(1, dtype=torch.float64, requires_grad=True)]


def test_the_first_step_goes_up_the_gradient_by_the_learning_rate():
    trained = parameters()
    length = Optimizer(trained, 0.1, 100.0).apply((torch.tensor([3.0, -4.0]), torch.tensor([0.0])))
    assert length == pytest.approx(5.0)
    # Adam's first step has the size of the learning rate wherever there is a gradient.
    torch.testing.assert_close(trained[0].detach(), torch.tensor([0.1, -0.1], dtype=torch.float64), rtol=1e-6, atol=0)
    assert trained[1].item() == 0.0


def test_a_long_gradient_is_clipped_over_all_tensors_together():
    trained = parameters()
    optimizer = Optimizer(trained, 0.1, 1.0)
    optimizer.apply((torch.tensor([3.0, 0.0]), torch.tensor([4.0])))
    first_moments = [optimizer.state()[f"{index}.exp_avg"] for index in range(2)]
    assert math.sqrt(sum(float(moment.pow(2).sum()) for moment in first_moments)) == pytest.approx(0.1 * 1.0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_changes_nothing(bad):
    trained = parameters()
    with pytest.raises(RLRError, match="would destroy the adapter"):
        Optimizer(trained, 0.1, 1.0).apply((torch.tensor([1.0, bad]), torch.tensor([0.0])))
    assert all(float(tensor.detach().abs().sum()) == 0 for tensor in trained)


def test_a_restored_optimizer_goes_on_bit_for_bit():
    gradients = [(torch.randn(2, generator=torch.Generator().manual_seed(n)), torch.ones(1)) for n in range(6)]
    straight = parameters()
    whole = Optimizer(straight, 0.1, 1.0)
    for gradient in gradients:
        whole.apply(gradient)
    broken = parameters()
    first = Optimizer(broken, 0.1, 1.0)
    for gradient in gradients[:3]:
        first.apply(gradient)
    second = Optimizer(broken, 0.1, 1.0)
    second.load_state(first.state())
    for gradient in gradients[3:]:
        second.apply(gradient)
    assert all(torch.equal(a, b) for a, b in zip(straight, broken, strict=True))
