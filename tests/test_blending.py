"""Blends of adapters: the best of their rank, exact where that is possible, and ready to learn on."""

import pytest
import torch

from rlr_core.blending import blend

SIZES = {"down.to_q": (12, 20), "up.to_k": (24, 16), "mid.to_v": (3, 5)}


def adapter(seed, rank=4, sizes=SIZES):
    draws = torch.Generator().manual_seed(seed)
    made = {}
    for layer, (out, inner) in sizes.items():
        made[f"{layer}.lora_A.weight"] = torch.randn(rank, inner, generator=draws)
        made[f"{layer}.lora_B.weight"] = torch.randn(out, rank, generator=draws)
    return made


def change(state, layer):
    return (state[f"{layer}.lora_B.weight"] @ state[f"{layer}.lora_A.weight"]).double()


def exact(first, second, share, layer):
    return (1 - share) * change(first, layer) + share * change(second, layer)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_blend_is_the_nearest_of_its_rank(share):
    first, second = adapter(1), adapter(2)
    made = blend(first, second, share)
    assert {name: tensor.shape for name, tensor in made.adapter.items()} == {name: tensor.shape for name, tensor in first.items()}
    lost = whole = 0.0
    for layer in SIZES:
        wanted = exact(first, second, share, layer)
        left, singular, right = torch.linalg.svd(wanted, full_matrices=False)
        nearest = left[:, :4] * singular[:4] @ right[:4]
        torch.testing.assert_close(change(made.adapter, layer), nearest, atol=1e-5, rtol=1e-5)
        lost, whole = lost + (wanted - nearest).square().sum(), whole + wanted.square().sum()
    assert made.error == pytest.approx(float(lost / whole) ** 0.5, abs=1e-6)
    assert (made.error > 0.05) == (share == 0.3)


def test_rounds_that_moved_within_one_space_blend_exactly():
    first = adapter(1)
    second = {name: tensor * (3.0 if ".lora_B." in name else 1.0) for name, tensor in first.items()}
    made = blend(first, second, 0.5)
    for layer in SIZES:
        torch.testing.assert_close(change(made.adapter, layer), 2 * change(first, layer), atol=1e-4, rtol=1e-5)
    assert made.error < 1e-7


def test_averaging_the_factors_would_be_another_model():
    """What the module says against it, so that nobody simplifies it to that."""
    first, second = adapter(1), adapter(2)
    averaged = {name: (first[name] + second[name]) / 2 for name in first}
    layer = next(iter(SIZES))
    off = (change(averaged, layer) - exact(first, second, 0.5, layer)).norm() / exact(first, second, 0.5, layer).norm()
    assert off > blend(first, second, 0.5).error


def test_a_blend_with_the_base_model_is_weaker_and_can_learn_on():
    """A fresh adapter's B is zero; every direction of the blend's A must be alive, or its rank would be smaller for ever."""
    first = {name: torch.zeros_like(tensor) if ".lora_B." in name else tensor for name, tensor in adapter(1).items()}
    second = adapter(2, sizes=SIZES)
    made = blend(first, second, 0.25)
    for layer in SIZES:
        torch.testing.assert_close(change(made.adapter, layer), 0.25 * change(second, layer), atol=1e-5, rtol=1e-5)
        # A layer with fewer inputs or outputs than the rank has no more directions to offer.
        down = made.adapter[f"{layer}.lora_A.weight"]
        assert torch.linalg.matrix_rank(down) == min(4, *SIZES[layer])
        assert 0.5 < down.norm() / first[f"{layer}.lora_A.weight"].norm() <= 1 + 1e-6


def test_two_fresh_adapters_blend_to_one_that_changes_nothing():
    fresh = {name: torch.zeros_like(tensor) if ".lora_B." in name else tensor for name, tensor in adapter(1).items()}
    made = blend(fresh, fresh, 0.5)
    assert made.error == 0
    assert all(change(made.adapter, layer).abs().max() == 0 for layer in SIZES)
    assert all(tensor.isfinite().all() for tensor in made.adapter.values())
