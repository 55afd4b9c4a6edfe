"""ImageReward at tiny size, against BLIP's picture encoder written out and a BERT with cross-attention."""

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from rlr_core.errors import RLRError
from rlr_core.rewards.registry import REWARDS, make_reward
from rlr_core.rewards.resources import embedded_resources
from tests.rewards.conftest import PROMPTS, check_contract, slope_error
from tests.rewards.models import (
    MEAN,
    SIDE,
    STD,
    WIDTH,
    BlipPictures,
    blip_texts,
    head_state,
    seeded,
    write_blip_description,
    write_head,
)
from tests.tiny import MAX_TOKENS


@pytest.fixture
def resources():
    return embedded_resources(torch.device("cpu"))


@pytest.fixture
def published(tmp_path):
    """The weights in one folder, a BLIP's description in another; and the networks themselves."""
    weights, base = tmp_path / "weights", tmp_path / "base"
    weights.mkdir()
    pictures, texts = seeded(BlipPictures), seeded(blip_texts, seed=1)
    texts.embeddings.token_type_embeddings.weight.data.zero_()
    head = write_head(tmp_path / "head.safetensors", (WIDTH, 10, 8, 6, 4, 1))
    state = {f"blip.visual_encoder.{name}": tensor for name, tensor in pictures.state_dict().items()}
    state |= {f"blip.text_encoder.{name}": tensor for name, tensor in texts.state_dict().items() if "token_type" not in name}
    state |= {"blip.vision_proj.weight": torch.ones(4, WIDTH)}  # of BLIP's pre-training; the score does not use it
    save_file(state | head_state(head, "mlp."), weights / "model.safetensors")
    return {"source": str(weights), "base": str(base)}, write_blip_description(base), pictures, texts, head


def test_the_score_is_that_of_the_published_networks(published, resources, pictures):
    settings, tokenizer, picture_encoder, text_encoder, head = published
    reward = make_reward("image_reward", settings, resources)
    words = tokenizer(list(PROMPTS), padding="max_length", truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    pixels = (F.interpolate(pictures, (SIDE, SIDE), mode="bicubic", antialias=True).clamp(0, 1) - mean) / std
    with torch.no_grad():
        states = text_encoder(
            input_ids=words.input_ids, attention_mask=words.attention_mask, encoder_hidden_states=picture_encoder(pixels)
        ).last_hidden_state
        expected = (head(states[:, 0])[:, 0] - 0.16717362830052426) / 1.0333394966054072
    torch.testing.assert_close(reward(pictures, PROMPTS), expected, rtol=1e-3, atol=1e-4)
    check_contract(reward, pictures)


def test_the_prompt_counts(published, resources, pictures):
    reward = make_reward("image_reward", published[0], resources)
    values = reward(pictures[:1].repeat(3, 1, 1, 1), ["a red heart", "a blue heart", "a red heart"])
    assert abs(values[0] - values[1]) > 0.01
    torch.testing.assert_close(values[0], values[2])


def test_the_gradient_reaches_the_pictures(published, resources, pictures):
    assert slope_error(make_reward("image_reward", published[0], resources), pictures, step=1e-2) < 0.03


def _without(prefix):
    def change(path):
        save_file({name: tensor for name, tensor in load_file(path).items() if not name.startswith(prefix)}, path)

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_without("blip.visual_encoder."), r"no tensors called blip.visual_encoder.\*"),
        (_without("mlp."), r"no tensors called mlp.\*"),
        (_without("blip.visual_encoder.pos_embed"), "no blip.visual_encoder.pos_embed of three axes"),
        (_without("blip.visual_encoder.norm."), "lacks 2 of the network's tensors, the first 'post_layernorm.bias'"),
        (_without("blip.text_encoder.encoder.layer.1.crossattention"), "lacks 10 of the network's tensors"),
    ],
)
def test_a_file_that_is_not_imagereward_says_why(published, resources, tmp_path, change, sentence):
    change(tmp_path / "weights" / "model.safetensors")
    with pytest.raises(RLRError, match=sentence):
        make_reward("image_reward", published[0], resources)


def test_a_missing_description_is_named_without_loading_anything(published, tmp_path):
    settings = REWARDS["image_reward"].settings(source=str(tmp_path / "weights"), base=str(tmp_path / "nowhere"))
    assert "is neither a folder on this machine nor an id" in REWARDS["image_reward"].availability(settings)
    (tmp_path / "base" / "tokenizer.json").unlink()
    settings = REWARDS["image_reward"].settings(**published[0])
    assert f"{tmp_path / 'base'} lacks tokenizer.json" in REWARDS["image_reward"].availability(settings)
