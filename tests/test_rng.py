"""Randomness by name: the seeds are known, consumers are independent, and batch size and order change nothing."""

import pytest
import torch

from rlr_core.rng import derive_seed, generator, image_generators, standard_normal

CPU = torch.device("cpu")


def draw(*path: int | str) -> torch.Tensor:
    return torch.randn(1000, generator=generator(0, *path), dtype=torch.float64)


@pytest.mark.parametrize(
    ("path", "digest_start"),
    [
        # printf '7/round/3/update/7/image/0' | sha256sum, and the same for the others
        ((7, "round", 3, "update", 7, "image", 0), 0x4E19692ED5C93662),
        ((0,), 0x5FECEB66FFC86F38),
    ],
)
def test_seeds_are_the_first_63_bits_of_sha256(path: tuple[int | str, ...], digest_start: int) -> None:
    seed, *rest = path
    assert derive_seed(int(seed), *rest) == digest_start >> 1


def test_known_draws_stay_what_they_are() -> None:
    """Sessions saved by earlier versions are resumed bit for bit, so these numbers must never change."""
    drawn = torch.randn(4, generator=generator(7, "round", 3))
    torch.testing.assert_close(drawn, torch.tensor([1.2082475, 0.6768320, -0.1434846, 1.3288354]), atol=1e-6, rtol=0)


def test_every_consumer_has_a_seed_of_its_own() -> None:
    paths = [(purpose, number, "image", index) for purpose in ("round", "update") for number in range(12) for index in range(12)]
    seeds = {derive_seed(seed, *path) for seed in (0, 1) for path in paths}
    assert len(seeds) == 2 * len(paths)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_consumers_are_uncorrelated() -> None:
    """Of 1000 draws each, correlations have a standard deviation of 1000^-0.5; all of 45 lie within 4.5 of them."""
    rows = torch.stack([draw("image", index) for index in range(10)])
    correlations = torch.corrcoef(rows)[*torch.triu_indices(10, 10, offset=1)]
    assert correlations.abs().max() < 4.5 / 1000**0.5
    assert 0.6 < correlations.std() * 1000**0.5 < 1.4


def test_the_batch_size_never_changes_a_picture() -> None:
    whole = standard_normal((3, 8, 8), image_generators(5, "round", 1, count=6), torch.float32, CPU)
    batches = [
        standard_normal((3, 8, 8), image_generators(5, "round", 1, count=count, first=first), torch.float32, CPU)
        for first, count in ((0, 1), (1, 3), (4, 2))
    ]
    assert torch.equal(torch.cat(batches), whole)


def test_the_order_of_the_pictures_never_changes_one() -> None:
    forward = standard_normal((4,), image_generators(5, count=5), torch.float64, CPU)
    backward = standard_normal((4,), image_generators(5, count=5)[::-1], torch.float64, CPU)
    assert torch.equal(backward.flip(0), forward)


def test_a_generator_goes_on_from_draw_to_draw() -> None:
    generators = image_generators(5, count=2)
    first = standard_normal((4,), generators, torch.float32, CPU)
    second = standard_normal((4,), generators, torch.float32, CPU)
    assert not torch.equal(first, second)
    again = image_generators(5, count=2)
    assert torch.equal(standard_normal((4,), again, torch.float32, CPU), first)
    assert torch.equal(standard_normal((4,), again, torch.float32, CPU), second)


def test_the_global_generator_is_neither_used_nor_moved() -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    noise = standard_normal((4,), image_generators(5, count=2), torch.float32, CPU)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(standard_normal((4,), image_generators(5, count=2), torch.float32, CPU), noise)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_noise_is_unit_gaussian_of_the_asked_shape_and_format(dtype: torch.dtype) -> None:
    noise = standard_normal((2, 50, 50), image_generators(0, "noise", count=4), dtype, CPU)
    assert noise.shape == (4, 2, 50, 50)
    assert noise.dtype == dtype
    # 20 000 draws: the mean's standard deviation is 0.0071, the variance's 0.01.
    assert abs(noise.mean()) < 0.03
    assert abs(noise.var() - 1) < 0.04
