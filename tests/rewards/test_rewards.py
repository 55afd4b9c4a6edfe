"""The contract every reward keeps, and known values on simple pictures."""

import io
from dataclasses import replace

import pytest
import torch
from PIL import Image

from rlr_core.config import validate
from rlr_core.errors import RLRError
from rlr_core.paths import assets_folder
from rlr_core.plugin import find
from rlr_core.preference.clip import ClipEncoder
from rlr_core.preference.features import column_themes
from rlr_core.rewards.registry import REWARDS
from rlr_core.rewards.resources import embedded_resources
from tests.preference.answers import fit_answers
from tests.preference.pictures import draw_pictures

CPU = torch.device("cpu")
RESOURCES = embedded_resources(CPU)
# These need published weights or a person's file; their own tests give them that at tiny size.
NEEDING_FILES = ("clip_score", "pick_score", "hps_v2", "image_reward", "laion_aesthetic", "own_function")
READY = [name for name in REWARDS if name not in NEEDING_FILES]
PROMPTS = ["noto style, cat face", "red apple", "rocket", "twemoji style, pizza"]


@pytest.fixture(scope="module")
def resources():
    """With a taste for warm colours, from a dozen answers."""
    encoder = RESOURCES.features()
    with torch.no_grad():
        features = encoder(draw_pictures(74, seed=1), [None] * 74)
    a, b, reference = features[:12], features[12:24], features[24:]
    warmth = column_themes(features.shape[1]).index("warmth")
    outcomes = ["a" if warmer else "b" for warmer in (a[:, warmth] > b[:, warmth]).tolist()]
    return replace(RESOURCES, taste=fit_answers(a, b, outcomes, reference))


@pytest.fixture(scope="module")
def rewards(resources):
    return {name: REWARDS[name].factory(REWARDS[name].settings(), resources) for name in READY}


def _plain(*colours, size=64):
    return torch.stack([torch.tensor(colour, dtype=torch.float32).view(3, 1, 1).expand(3, size, size) for colour in colours])


@pytest.mark.parametrize("name", READY)
def test_one_finite_number_a_picture(rewards, name):
    values = rewards[name](draw_pictures(4), PROMPTS)
    assert values.shape == (4,)
    assert values.isfinite().all()


@pytest.mark.parametrize("name", READY)
@pytest.mark.parametrize("size", [64, 96, 37])
def test_any_size_of_picture_will_do(rewards, name, size):
    assert rewards[name](draw_pictures(2, size=size), PROMPTS[:2]).isfinite().all()


@pytest.mark.parametrize("name", READY)
def test_a_picture_is_worth_the_same_in_any_batch(rewards, name):
    pictures = draw_pictures(4)
    together = rewards[name](pictures, PROMPTS)
    alone = torch.cat([rewards[name](pictures[row : row + 1], PROMPTS[row : row + 1]) for row in range(4)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    assert together.std() > 1e-4  # so that the comparison means something


@pytest.mark.parametrize("name", READY)
def test_there_is_a_gradient_exactly_if_the_reward_says_so(rewards, name):
    pictures = draw_pictures(4).requires_grad_()
    values = rewards[name](pictures, PROMPTS)
    assert values.requires_grad == rewards[name].is_differentiable
    if rewards[name].is_differentiable:
        (gradient,) = torch.autograd.grad(values.sum(), pictures)
        assert (gradient.flatten(1).norm(dim=1) > 0).all()


@pytest.mark.parametrize("name", [name for name in READY if name != "jpeg_size"])
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_the_gradient_is_finite_on_plain_grey(rewards, name, level):
    pictures = torch.full((1, 3, 64, 64), level, requires_grad=True)
    (gradient,) = torch.autograd.grad(rewards[name](pictures, PROMPTS[:1]).sum(), pictures)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", ["brightness", "colourfulness", "text_match", "taste"])
def test_a_step_along_the_gradient_raises_the_reward(rewards, name):
    pictures = (0.1 + 0.8 * draw_pictures(4)).requires_grad_()
    before = rewards[name](pictures, PROMPTS)
    (gradient,) = torch.autograd.grad(before.sum(), pictures)
    with torch.no_grad():
        step = gradient / gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        after = rewards[name](pictures + 0.1 * step, PROMPTS)
    assert (after > before).all()


@pytest.mark.parametrize("name", REWARDS)
def test_defaults_are_valid_and_described(name):
    plugin = REWARDS[name]
    validate(plugin.settings())
    assert plugin.help.endswith(".")


@pytest.mark.parametrize("name", READY)
def test_what_needs_no_files_can_run(name):
    assert find(REWARDS, "reward", name) is REWARDS[name]


def test_colourfulness_of_known_pictures(rewards):
    half = torch.zeros(1, 3, 8, 8)
    half[:, 0, :, :4], half[:, 2, :, 4:] = 1, 1  # left red, right blue
    values = rewards["colourfulness"](half, [""])
    # rg is 1 and 0, yb is 1/2 and -1: variances 1/4 and 9/16, means 1/2 and -1/4.
    assert float(values) == pytest.approx((1 / 4 + 9 / 16) ** 0.5 + 0.3 * (1 / 4 + 1 / 16) ** 0.5, abs=1e-3)
    grey = rewards["colourfulness"](_plain((0.0, 0.0, 0.0), (0.4, 0.4, 0.4), (1.0, 1.0, 1.0)), [""] * 3)
    assert grey.abs().max() < 1e-6


def test_brightness_of_known_pictures(rewards):
    values = rewards["brightness"](_plain((0, 0, 0), (1, 1, 1), (0, 1, 0)), [""] * 3)
    torch.testing.assert_close(values, torch.tensor([0.0, 1.0, 0.7152]))


def test_jpeg_size_is_that_of_the_file(resources):
    plugin = REWARDS["jpeg_size"]
    picture = draw_pictures(1)
    for quality in (30, 95):
        file = io.BytesIO()
        Image.fromarray((picture[0] * 255).round().byte().permute(1, 2, 0).numpy()).save(file, "JPEG", quality=quality)
        reward = plugin.factory(plugin.settings(quality=quality), resources)
        assert float(reward(picture, [""])) == pytest.approx(-len(file.getvalue()) / 1000)
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert reward(noise, [""]) < reward(picture, [""]) < reward(_plain((1, 1, 1)), [""])


def test_taste_prefers_warm_pictures_and_stays_within_one(rewards):
    warm, cold = _plain((0.9, 0.5, 0.1), (0.1, 0.3, 0.9))[:, None].unbind()
    pictures = draw_pictures(1).repeat(2, 1, 1, 1)
    ink = pictures[0].amin(0) < 0.9
    pictures[0][:, ink], pictures[1][:, ink] = warm[0][:, ink], cold[0][:, ink]
    values = rewards["taste"](pictures, ["", ""])
    assert values[0] > values[1]
    assert rewards["taste"](torch.rand(8, 3, 64, 64), [""] * 8).abs().max() <= 1


def test_taste_without_answers_says_what_to_do():
    plugin = REWARDS["taste"]
    with pytest.raises(RLRError, match="answer a few questions first"):
        plugin.factory(plugin.settings(), RESOURCES)


def test_a_folder_without_a_clip_is_named(tmp_path):
    with pytest.raises(RLRError, match="holds no CLIP model"):
        ClipEncoder(tmp_path, CPU)


def test_an_unknown_reward_is_answered_with_the_nearest():
    with pytest.raises(RLRError, match="did you mean 'colourfulness'"):
        find(REWARDS, "reward", "colorfulness")


def _shapes():
    """A yellow disc, a red heart, a blue square: pictures the embedded CLIP has learned under other drawings."""
    line = torch.linspace(-1, 1, 64)
    y, x = torch.meshgrid(line, line, indexing="ij")
    heart = ((1.2 * x) ** 2 + (-1.2 * y - 0.1) ** 2 - 0.6) ** 3 - (1.2 * x) ** 2 * (-1.2 * y - 0.1) ** 3 < 0
    masks = (x**2 + y**2 < 0.75, heart, (x.abs() < 0.8) & (y.abs() < 0.8))
    colours = ((1.0, 0.8, 0.2), (0.87, 0.15, 0.2), (0.2, 0.5, 0.9))
    return torch.stack(
        [torch.where(mask, torch.tensor(colour).view(3, 1, 1), torch.ones(3, 64, 64)) for mask, colour in zip(masks, colours, strict=True)]
    )


def test_text_match_knows_simple_pictures(rewards):
    match, names = rewards["text_match"], ["yellow circle", "red heart", "blue square"]
    assert match.retrieval_accuracy(_shapes(), names, names) == 1.0
    assert match.text_margins(_shapes(), names, ["pizza", "rocket", "dog face"]).min() > 0.1
    assert match.retrieval_accuracy(_shapes(), [names[1], names[2], names[0]], names) == 0.0


def test_text_margin_is_the_own_cosine_minus_the_mean_of_the_others(rewards):
    match, pictures, names = rewards["text_match"], _shapes(), ["rocket", "red heart", "pizza"]
    cosines = {name: match(pictures, [name] * 3) for name in names}
    margins = match.text_margins(pictures, names, names)
    assert float(margins[0]) == pytest.approx(float(cosines["rocket"][0] - (cosines["red heart"][0] + cosines["pizza"][0]) / 2), abs=1e-6)


def test_text_margin_without_another_prompt_is_the_cosine(rewards):
    match, pictures = rewards["text_match"], _shapes()
    torch.testing.assert_close(match.text_margins(pictures, ["rocket"] * 3, ["rocket"]), match(pictures, ["rocket"] * 3))


def test_the_encoder_prepares_pictures_as_the_published_processor_does():
    """Pillow's bicubic resize with antialiasing, then mean and standard deviation: within rounding to 8 bits."""
    from transformers import CLIPImageProcessorPil, CLIPModel  # noqa: PLC0415 - only this test compares with it

    picture = draw_pictures(1, size=96)
    processor = CLIPImageProcessorPil.from_pretrained(assets_folder() / "clip")
    model = CLIPModel.from_pretrained(assets_folder() / "clip", dtype=torch.float32).eval()
    image = Image.fromarray((picture[0] * 255).round().byte().permute(1, 2, 0).numpy())
    with torch.no_grad():
        published = model.get_image_features(**processor(images=image, return_tensors="pt")).pooler_output
        ours = RESOURCES.clip().images(picture)
    assert torch.cosine_similarity(published, ours).item() > 0.999
