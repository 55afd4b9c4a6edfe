"""Steps that are computed again: the same gradients in less memory, on a real tiny Stable Diffusion."""

import pytest
import torch

from rlr_core.chain import CheckpointedChain, MeteredChain
from rlr_core.config import AdapterConfig, SamplerConfig
from rlr_core.peak_memory import peak_bytes
from rlr_core.pipelines.stable_diffusion import BaseModel
from rlr_core.rewards.colourfulness import Colourfulness
from rlr_core.rng import generator, image_generators
from rlr_core.sampling import sample
from tests.estimators.cases import make
from tests.estimators.oracles import batch, flat, pairs_of_prompts, scalar_chain, scalar_reward
from tests.tiny import tiny_pipeline

SAMPLER = SamplerConfig(num_inference_steps=8, guidance_scale=2.0)


@pytest.fixture(scope="module")
def model():
    made = BaseModel("tiny", tiny_pipeline(), AdapterConfig(rank=2))
    for index, parameter in enumerate(made.chain(SAMPLER).parameters()):
        parameter.data.add_(torch.randn(parameter.shape, generator=generator(0, index), dtype=parameter.dtype), alpha=0.1)
    return made


def estimate(chain, model, name, settings):
    trajectory = sample(chain, model.condition(["a red heart", "a blue square"], SAMPLER), image_generators(0, count=2))
    return make(name, settings).estimate(chain, trajectory, Colourfulness(), generator(0, "estimator"))


@pytest.mark.parametrize(
    ("name", "settings"),
    [("full_backprop", {}), ("half_order", {"sub_chain_length": 3, "uncovered_tail": 0}), ("rlr_antithetic", {"first_order_steps": 2})],
)
def test_the_gradients_are_the_same(model, name, settings):
    plain, again = (flat(estimate(chain, model, name, settings).gradient) for chain in (model.chain(SAMPLER), checkpointed(model)))
    assert plain.abs().max() > 0
    assert torch.equal(plain, again)


def checkpointed(model):
    return CheckpointedChain(model.chain(SAMPLER))


def test_full_backpropagation_takes_less_than_half_the_memory(model):
    plain, again = (
        peak_bytes(lambda chain=chain: estimate(chain, model, "full_backprop", {}), chain.device)
        for chain in (model.chain(SAMPLER), checkpointed(model))
    )
    assert again < 0.5 * plain


def test_a_step_that_is_computed_again_counts_four_times():
    chain = scalar_chain()
    trajectory = batch(chain, pairs_of_prompts(4), torch.Generator().manual_seed(0))
    metered = MeteredChain(CheckpointedChain(chain))
    make("full_backprop", {}).estimate(metered, trajectory, scalar_reward(), torch.Generator())
    assert metered.network_evaluations == 4 * 6 * 4
