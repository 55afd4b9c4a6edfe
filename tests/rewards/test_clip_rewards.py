"""CLIPScore, PickScore, HPS v2 and LAION's aesthetic on tiny models of the published classes, against the classes themselves."""

import json
import shutil

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from rlr_core.errors import RLRError
from rlr_core.pipelines.device import reward_dtype, weight_dtype
from rlr_core.preference.clip import ClipEncoder
from rlr_core.pretrained import resized
from rlr_core.rewards.clip_score import ScaledCosine
from rlr_core.rewards.registry import REWARDS, make_reward
from rlr_core.rewards.resources import embedded_resources
from tests.rewards.conftest import PROMPTS, check_contract, slope_error
from tests.rewards.models import DIMENSION, MEAN, SIDE, STD, OpenClip, head_state, seeded, write_clip, write_head
from tests.tiny import MAX_TOKENS, tiny_tokenizer

CPU = torch.device("cpu")
HEAD = (DIMENSION, 10, 8, 6, 4, 1)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    return folder, write_clip(folder)


@pytest.fixture
def resources():
    return embedded_resources(CPU)


def pixels_of(pictures):
    """The published preparation, written out."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return (F.interpolate(pictures, (SIDE, SIDE), mode="bicubic", antialias=True).clamp(0, 1) - mean) / std


def ids_of(prompts):
    words = tiny_tokenizer()(list(prompts), padding="max_length", truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
    return words.input_ids


@torch.no_grad()
def logits_of(model, pictures):
    """The diagonal of transformers' own logits_per_image: exp(logit_scale) * cosine."""
    return model(input_ids=ids_of(PROMPTS), pixel_values=pixels_of(pictures)).logits_per_image.diagonal()


@pytest.mark.parametrize("name", ["clip_score", "pick_score", "hps_v2"])
def test_a_cosine_reward_is_the_published_model_in_its_unit(clip, resources, pictures, name):
    folder, model = clip
    reward = make_reward(name, {"source": str(folder)}, resources)
    logits = logits_of(model, pictures)
    temperature = float(model.logit_scale.detach().exp())
    expected = {"clip_score": 100 * logits / temperature, "pick_score": logits, "hps_v2": logits / temperature}[name]
    torch.testing.assert_close(reward(pictures, PROMPTS), expected, rtol=1e-4, atol=1e-4)
    check_contract(reward, pictures)


@pytest.mark.parametrize("prefix", ["", "model.", "module."])
def test_hps_v2_in_open_clips_names_is_the_open_clip_network(clip, resources, pictures, tmp_path, prefix):
    network = seeded(OpenClip, seed=1)
    save_file({prefix + name: tensor for name, tensor in network.state_dict().items()}, tmp_path / "model.safetensors")
    reward = make_reward("hps_v2", {"source": str(tmp_path), "base": str(clip[0])}, resources)
    with torch.no_grad():
        seen, read = network.visual(pixels_of(pictures)), network.texts(ids_of(PROMPTS))
        torch.testing.assert_close(reward(pictures, PROMPTS), F.cosine_similarity(seen, read), rtol=1e-4, atol=1e-5)


def test_laion_aesthetic_is_the_head_on_the_unit_vector(clip, resources, pictures, tmp_path):
    folder, model = clip
    head = write_head(tmp_path / "model.safetensors", HEAD)
    with torch.no_grad():
        vectors = F.normalize(model.get_image_features(pixel_values=pixels_of(pictures)).pooler_output, dim=-1)
        expected = head(vectors)[:, 0]
    for place in (tmp_path, tmp_path / "model.safetensors"):
        reward = make_reward("laion_aesthetic", {"source": str(folder), "head": str(place)}, resources)
        torch.testing.assert_close(reward(pictures, PROMPTS), expected, rtol=1e-4, atol=1e-4)
    check_contract(reward, pictures)


def test_the_gradient_reaches_the_pictures_exactly_in_float64(clip, pictures):
    reward = ScaledCosine(ClipEncoder(clip[0], CPU, torch.float64), 100.0)
    assert slope_error(reward, pictures.double(), step=1e-5) < 1e-6


@pytest.mark.parametrize("name", ["clip_score", "laion_aesthetic"])
def test_the_gradient_reaches_the_pictures_in_float32(clip, resources, pictures, tmp_path, name):
    write_head(tmp_path / "head.safetensors", HEAD)
    settings = {"source": str(clip[0])} | ({"head": str(tmp_path / "head.safetensors")} if name == "laion_aesthetic" else {})
    assert slope_error(make_reward(name, settings, resources), pictures, step=1e-2) < 0.03


def test_weights_in_bfloat16_give_scores_in_float32_and_still_a_gradient(clip, pictures):
    exact, coarse = (ScaledCosine(ClipEncoder(clip[0], CPU, dtype), 1.0) for dtype in (torch.float32, torch.bfloat16))
    values = coarse(pictures, PROMPTS)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, exact(pictures, PROMPTS), rtol=0, atol=0.05)
    assert not torch.equal(values, exact(pictures, PROMPTS))
    traced = pictures.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(coarse(traced, PROMPTS).sum(), traced)
    assert gradient.dtype == torch.float32 and (gradient.flatten(1).norm(dim=1) > 0).all()


def test_reward_networks_are_in_bfloat16_or_float32_but_never_in_float16():
    assert reward_dtype(CPU) == torch.float32
    cuda = torch.device("cuda")
    if torch.cuda.is_available():
        assert reward_dtype(cuda) == (torch.bfloat16 if weight_dtype(cuda) == torch.bfloat16 else torch.float32)


def test_a_long_prompt_is_cut_where_the_model_ends_whatever_the_tokenizer_allows(clip, tmp_path):
    folder = shutil.copytree(clip[0], tmp_path / "patient")
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_max_length": 1000}))
    encoder, long = ClipEncoder(folder, CPU), "a red heart " * 50
    torch.testing.assert_close(encoder.texts([long]), ClipEncoder(clip[0], CPU).texts([long]))


def test_no_weight_is_trainable_and_dropout_is_off(clip):
    encoder = ClipEncoder(clip[0], CPU)
    assert not encoder._model.training
    assert not any(parameter.requires_grad for parameter in encoder._model.parameters())


def test_resizing_keeps_pictures_in_range_and_leaves_those_of_the_size_alone(pictures):
    sharp = torch.zeros(1, 3, 8, 8)
    sharp[..., 4:] = 1
    assert resized(sharp, 32).min() == 0 and resized(sharp, 32).max() == 1
    assert resized(pictures, 24) is pictures


# What cannot work


def broken(clip, tmp_path, change):
    folder = shutil.copytree(clip[0], tmp_path / "broken")
    change(folder)
    return str(folder)


def _drop_tensor(folder):
    state = load_file(folder / "model.safetensors")
    del state["visual_projection.weight"]
    save_file(state, folder / "model.safetensors")


def _change_shape(folder):
    state = load_file(folder / "model.safetensors")
    state["visual_projection.weight"] = torch.zeros(DIMENSION, 3)
    save_file(state, folder / "model.safetensors")


def _change_config(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "blip"}))


def _spoil_config(folder):
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"]["num_attention_heads"] = 5
    (folder / "config.json").write_text(json.dumps(config))


BROKEN = {
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "lacks model.safetensors; put them there"),
    "no description": (lambda folder: [file.unlink() for file in folder.glob("*.json")], "lacks config.json, preprocessor_config.json"),
    "a pickle": (lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"), "lacks model.safetensors"),
    "damaged weights": (lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 99), "cannot be read as safetensors"),
    "damaged config": (lambda folder: (folder / "config.json").write_text("{"), "config.json cannot be read"),
    "damaged tokenizer": (lambda folder: (folder / "tokenizer.json").write_text("{}"), "The tokenizer in .* cannot be read"),
    "no mean": (lambda folder: (folder / "preprocessor_config.json").write_text("{}"), "has no image_mean and image_std"),
    "another model": (_change_config, "holds a model of the kind 'blip': give one of the kind 'clip'"),
    "impossible config": (_spoil_config, "describes no model that can be built|does not fit"),
    "a tensor too few": (_drop_tensor, "lacks 1 of the network's tensors, the first 'visual_projection.weight'"),
    "a wrong shape": (_change_shape, r"'visual_projection.weight' has shape \(12, 3\) where \(12, 32\) is needed"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_folder_that_cannot_be_used_says_why(clip, resources, tmp_path, case):
    change, sentence = BROKEN[case]
    with pytest.raises(RLRError, match=sentence):
        make_reward("clip_score", {"source": broken(clip, tmp_path, change)}, resources)


HEADS = {
    "another CLIP's": (lambda path: write_head(path, (DIMENSION + 1, 4, 1)), "it receives 12 numbers"),
    "two numbers": (lambda path: write_head(path, (DIMENSION, 4, 2)), "its last layer gives 2 numbers"),
    "layers that do not meet": (
        lambda path: save_file({"layers.0.weight": torch.ones(4, 12), "layers.0.bias": torch.ones(4), "layers.2.weight": torch.ones(1, 5),
                                "layers.2.bias": torch.ones(1)}, path),
        r"layers.2 has a weight and a bias of shapes \(1, 5\) and \(1,\), but it receives 4 numbers",
    ),
    "no bias": (lambda path: save_file({"layers.0.weight": torch.ones(1, 12)}, path), r"shapes \(1, 12\) and None"),
    "no layers": (lambda path: save_file({"weight": torch.ones(1, 12)}, path), "no tensors called layers.<number>.weight"),
}  # fmt: skip


@pytest.mark.parametrize("case", HEADS)
def test_a_head_that_does_not_fit_says_why(clip, resources, tmp_path, case):
    write, sentence = HEADS[case]
    write(tmp_path / "head.safetensors")
    with pytest.raises(RLRError, match=sentence):
        make_reward("laion_aesthetic", {"source": str(clip[0]), "head": str(tmp_path / "head.safetensors")}, resources)


def test_a_head_that_is_a_pickle_is_refused(clip, resources, tmp_path):
    torch.save(head_state(write_head(tmp_path / "head.safetensors", HEAD)), tmp_path / "head.pth")
    with pytest.raises(RLRError, match="head.pth is no .safetensors file"):
        make_reward("laion_aesthetic", {"source": str(clip[0]), "head": str(tmp_path / "head.pth")}, resources)


def test_open_clip_weights_without_their_description_name_what_is_missing(resources, tmp_path):
    save_file(seeded(OpenClip).state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RLRError, match="empty lacks config.json, preprocessor_config.json, tokenizer.json"):
        make_reward("hps_v2", {"source": str(tmp_path), "base": str(tmp_path / "empty")}, resources)


@pytest.mark.parametrize("name", ["clip_score", "pick_score", "hps_v2", "image_reward", "laion_aesthetic"])
def test_defaults_name_a_source_on_the_hub_and_say_that_it_cannot_be_had_offline(name):
    """The whole test run is offline; a machine that holds the published weights can run them."""
    reason = REWARDS[name].availability()
    assert reason is None or "is not on this machine and HF_HUB_OFFLINE forbids the download" in reason
