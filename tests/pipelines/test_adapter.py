"""The adapter's weights: made from a seed, kept, taken over, and exported."""

import pytest
import torch
from safetensors import safe_open

from rlr_core.config import SamplerConfig
from rlr_core.errors import RLRError
from tests.pipelines.test_stable_diffusion import make_model, our_images, stock_images, train_a_little
from tests.tiny import tiny_pipeline

SAMPLER = SamplerConfig(num_inference_steps=4)


def test_a_fresh_adapter_follows_from_its_seed_alone():
    torch.manual_seed(1)
    first, second = make_model(), None
    torch.manual_seed(2)
    second = make_model()
    assert all(torch.equal(a, b) for a, b in zip(first.adapter_state().values(), second.adapter_state().values(), strict=True))
    second.reset_adapter(seed=3)
    states = first.adapter_state(), second.adapter_state()
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]) == (".lora_B." in name)
    first.reset_adapter(seed=3)
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in first.adapter_state().items())


def test_a_reset_undoes_training_and_keeps_the_parameters():
    model = make_model()
    before, parameters = model.adapter_state(), model.chain(SAMPLER).parameters()
    train_a_little(model)
    model.reset_adapter(seed=0)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.adapter_state().items())
    assert [id(tensor) for tensor in parameters] == [id(tensor) for tensor in model.chain(SAMPLER).parameters()]


def test_the_state_is_a_copy_and_comes_back():
    model = make_model()
    train_a_little(model)
    state, images = model.adapter_state(), our_images(model, SAMPLER)
    model.reset_adapter(seed=9)
    other = make_model()
    for each in (model, other):
        parameters = each.chain(SAMPLER).parameters()
        each.load_adapter_state(state)
        assert torch.equal(our_images(each, SAMPLER), images)
        assert [id(tensor) for tensor in parameters] == [id(tensor) for tensor in each.chain(SAMPLER).parameters()]
        assert all(tensor.requires_grad for tensor in parameters)


def test_a_state_that_does_not_fit_is_refused_and_changes_nothing():
    model = make_model(rank=2)
    before = model.adapter_state()
    name = next(iter(before))
    missing = {key: tensor for key, tensor in before.items() if key != name}
    for state in (make_model(rank=3).adapter_state(), missing, before | {"unet.nothing": torch.zeros(1)}, {}):
        with pytest.raises(RLRError, match="The adapter does not fit this model"):
            model.load_adapter_state(state)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.adapter_state().items())


def test_the_adapter_touches_attention_only():
    names = make_model().adapter_state()
    assert names and all(name.rsplit(".lora_", 1)[0].endswith((".to_q", ".to_k", ".to_v", ".to_out.0")) for name in names)


def test_adapter_parameters_are_float32_under_half_weights():
    model = make_model(dtype=torch.bfloat16)
    chain = model.chain(SAMPLER)
    assert {tensor.dtype for tensor in chain.parameters()} == {torch.float32} == {chain.dtype}
    images = our_images(model, SAMPLER)
    assert images.dtype == torch.float32 and images.isfinite().all()


def test_a_stock_pipeline_makes_the_same_pictures_from_the_saved_lora(tmp_path):
    model = make_model(dtype=torch.float32)
    train_a_little(model)
    path = tmp_path / "taste.safetensors"
    model.save_lora(path)
    with safe_open(path, framework="pt") as file:
        assert '"unet.lora_alpha": 2' in file.metadata()["lora_adapter_metadata"]
    fresh = tiny_pipeline(dtype=torch.float32)
    base = stock_images(fresh, SAMPLER)
    fresh.load_lora_weights(tmp_path, weight_name=path.name)
    ours = our_images(model, SAMPLER)
    torch.testing.assert_close(stock_images(fresh, SAMPLER), ours, rtol=0, atol=1e-5)
    assert (ours - base).abs().max() > 1e-3
