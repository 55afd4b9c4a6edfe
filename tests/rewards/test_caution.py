"""The cautious taste: what is not known takes something off, what is surely average gains, and the gradient is always finite."""

from dataclasses import replace

import pytest
import torch

from rlr_core.config import problems
from rlr_core.preference.evidence import Answer
from rlr_core.preference.features import column_themes
from rlr_core.preference.taste import Taste, fit_taste
from rlr_core.rewards.resources import embedded_resources
from rlr_core.rewards.taste import TasteReward, TasteSettings, typical_std
from rlr_core.rng import generator
from tests.preference.pictures import draw_pictures

RESOURCES = embedded_resources(torch.device("cpu"))
PROMPTS = ["red heart", "blue car", "cat face", "pizza"]


def prompts(images):
    return [PROMPTS[number % len(PROMPTS)] for number in range(len(images))]


@torch.no_grad()
def features_of(images):
    return RESOURCES.features()(images, prompts(images))


@pytest.fixture(scope="module")
def taste() -> Taste:
    """A liking of warm pictures that match their prompts, sure of everything but brightness."""
    features = features_of(draw_pictures(64, seed=1))
    themes = column_themes(features.shape[1])
    weights = torch.tensor([float(theme in ("warmth", "text match")) for theme in themes])
    variances = torch.tensor([0.5 if theme == "brightness" else 1e-3 for theme in themes])
    return Taste(features.mean(0), features.std(0).clamp_min(0.01), weights, torch.diag(variances), 1.5, 20, None)


def reward(taste, caution):
    return TasteReward(TasteSettings(caution), replace(RESOURCES, taste=taste))


def values(taste, caution, images):
    with torch.no_grad():
        return reward(taste, caution)(images, prompts(images))


def test_without_caution_the_best_guess_is_rewarded(taste):
    pictures = draw_pictures(6)
    mean = taste.mean(features_of(pictures))
    torch.testing.assert_close(values(taste, 0.0, pictures), torch.tanh(mean / 3.0))


def test_caution_takes_off_its_share_of_what_is_unsure_beyond_the_usual(taste):
    pictures = draw_pictures(6)
    features = features_of(pictures)
    cautious = taste.mean(features) - 0.7 * (taste.std(features) - typical_std(taste))
    torch.testing.assert_close(values(taste, 0.7, pictures), torch.tanh(cautious / 3.0))


def test_a_picture_is_worth_less_the_further_it_goes_where_nothing_is_known(taste):
    grey = torch.full((1, 3, 64, 64), 0.5)
    black = torch.zeros(1, 3, 64, 64)
    lost = [float(values(taste, caution, black) - values(taste, caution, grey)) for caution in (0.0, 0.5, 2.0)]
    assert lost[0] > lost[1] > lost[2]


def test_an_average_picture_of_the_base_model_stays_near_zero(taste):
    pictures = draw_pictures(64, seed=1)
    assert abs(float(values(taste, 2.0, pictures).mean())) < 0.1
    without_typical = torch.tanh(torch.tensor(-2.0 * typical_std(taste) / 3.0))
    assert without_typical < -0.4, "so that the comparison means something"


@pytest.mark.parametrize("caution", [0.5, 5.0])
def test_where_everything_is_known_the_gradient_is_that_of_the_mean(taste, caution):
    """The deviation is 0 there, and its root has no derivative."""
    sure = replace(taste, covariance=torch.zeros_like(taste.covariance))
    pictures = draw_pictures(3).requires_grad_()
    gradients = [torch.autograd.grad(reward(sure, each)(pictures, [""] * 3).sum(), pictures)[0] for each in (0.0, caution)]
    assert gradients[1].isfinite().all()
    torch.testing.assert_close(gradients[1], gradients[0])


def test_the_gradient_leads_back_from_what_is_not_known(taste):
    """Black pictures: brightness is the one thing nothing is known of."""
    indifferent = replace(taste, weights=torch.zeros_like(taste.weights))
    picture = torch.full((1, 3, 64, 64), 0.05, requires_grad=True)
    (gradient,) = torch.autograd.grad(reward(indifferent, 1.0)(picture, [""]).sum(), picture)
    assert float(gradient.mean()) > 0


@pytest.mark.parametrize("num_answers", [12, 30, 60])
def test_the_default_foretells_pictures_never_rated_better_than_the_mean_does(num_answers):
    """Noisy answers of somebody who likes warm colours; correlation with the true warmth of other pictures."""
    features = features_of(draw_pictures(200, seed=1))
    warmth = features[:, column_themes(features.shape[1]).index("warmth")]
    left, right = torch.arange(num_answers), torch.arange(num_answers) + num_answers
    chances = torch.sigmoid(2 * (warmth[left] - warmth[right]) / warmth.std())
    is_left = torch.rand(num_answers, generator=generator(0, "answers")) < chances
    answers = [Answer(a, b, "a" if chosen else "b") for a, b, chosen in zip(left.tolist(), right.tolist(), is_left.tolist(), strict=True)]
    fitted = fit_taste(features[: 2 * num_answers], answers, features[120:160])
    held_out = draw_pictures(200, seed=1)[160:]
    found = [
        float(torch.corrcoef(torch.stack([values(fitted, caution, held_out).atanh(), warmth[160:]]))[0, 1])
        for caution in (0.0, TasteSettings().caution)
    ]
    assert found[1] > found[0] > 0.7


def test_the_default_is_cautious_and_valid():
    assert problems(TasteSettings()) == {}
    assert TasteSettings().caution > 0
    assert set(problems(TasteSettings(-0.1))) == {"caution"}
