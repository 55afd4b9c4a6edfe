"""Which number formats are used where."""

import pytest
import torch

from rlr_core.pipelines.device import reward_dtype, state_dtype, weight_dtype


@pytest.mark.parametrize("kind", ["cpu", "mps"])
def test_without_cuda_everything_is_float32(kind):
    """Half precision gives NaN on MPS."""
    assert weight_dtype(torch.device(kind)) == reward_dtype(torch.device(kind)) == torch.float32


@pytest.mark.parametrize("weights", [torch.float32, torch.bfloat16, torch.float16])
def test_what_is_trained_is_never_in_half_precision(weights):
    assert state_dtype(weights) == torch.float32
    assert state_dtype(torch.float64) == torch.float64
