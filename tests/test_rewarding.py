"""Rewards that no gradient can be made from are refused with a sentence."""

import pytest
import torch

from rlr_core.errors import RLRError
from rlr_core.rewarding import evaluate, measure

IMAGES = torch.rand(4, 3, 2, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
PROMPTS = ("a", "b", "c", "d")


def brightness(images, prompts):
    return images.flatten(1).mean(1)


def test_evaluate_passes_gradients_and_measure_does_not():
    assert evaluate(brightness, IMAGES, PROMPTS).requires_grad
    found = measure(brightness, IMAGES, PROMPTS)
    assert not found.requires_grad
    torch.testing.assert_close(found, IMAGES.detach().flatten(1).mean(1))


def with_nan(images, prompts):
    return torch.tensor([1.0, float("nan"), float("inf"), 0.0])


@pytest.mark.parametrize(
    ("reward", "sentence"),
    [
        (with_nan, r"reward: nan for image 1 \(2 of 4 images are not finite\)"),
        (lambda images, prompts: images.flatten(1).mean(1, keepdim=True), r"it returned shape \(4, 1\) for 4 images"),
        (lambda images, prompts: images.mean(), r"it returned shape \(\) for 4 images"),
        (lambda images, prompts: [1.0] * 4, "it returned list"),
        (lambda images, prompts: torch.ones(4, dtype=torch.int64), "it returned torch.int64"),
    ],
)
def test_what_is_not_one_finite_number_an_image_is_refused(reward, sentence):
    with pytest.raises(RLRError, match=sentence):
        evaluate(reward, IMAGES, PROMPTS)
