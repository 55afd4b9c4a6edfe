"""Eq. 8 with measured bytes."""

import pytest

from rlr_core.config import AdapterConfig, RoundConfig, SamplerConfig
from rlr_core.errors import RLRError
from rlr_core.pipelines.stable_diffusion import BaseModel
from rlr_core.rng import image_generators
from rlr_core.sampling import sample
from rlr_core.sub_chain_memory import StepBytes, fitting_length, half_order_bytes, measure_step_bytes
from tests.tiny import tiny_pipeline

SAMPLER = SamplerConfig(num_inference_steps=12, guidance_scale=2.0)


def test_equation_eight_by_hand():
    """B = 80, B_h = 8, B_z = 0.24, T = 50 as the paper quotes them, in GB: (80 - 0.24 * 49) / (8 - 0.24) = 8.79."""
    quoted = StepBytes(differentiated=8_000_000_000, kept=240_000_000, fixed=0)
    assert quoted.longest_sub_chain(80e9, 50) == 8
    assert quoted.needed(8, 50) <= 80e9 < quoted.needed(10, 50)


def test_too_small_a_budget_is_refused_with_what_is_needed():
    with pytest.raises(RLRError, match=r"memory_budget = 0\.001 GB: a sub-chain of one step takes 0\.013 GB"):
        fitting_length(StepBytes(differentiated=10_000_000, kept=100_000, fixed=1_000_000), 0.001, 20, 16)


def test_no_sub_chain_is_longer_than_the_steps_there_are():
    assert fitting_length(StepBytes(differentiated=10_000_000, kept=100_000, fixed=0), 1000.0, 20, 16) == 16


@pytest.fixture(scope="module")
def drawn():
    model = BaseModel("tiny", tiny_pipeline(), AdapterConfig(rank=2))
    chain = model.chain(SAMPLER)
    return chain, sample(chain, model.condition(["a red heart"] * 2, SAMPLER), image_generators(0, count=2))


def test_the_measured_bytes_foretell_longer_sub_chains(drawn):
    """Measured on two and three steps, right for eight within 3 %."""
    chain, trajectory = drawn
    measured = measure_step_bytes(chain, trajectory)
    foretold = measured.fixed + 8 * measured.differentiated
    assert foretold == pytest.approx(half_order_bytes(chain, trajectory, 8), rel=0.03)


def test_a_round_in_a_small_memory_uses_short_sub_chains(drawn):
    chain, trajectory = drawn
    measured = measure_step_bytes(chain, trajectory)
    budget = measured.needed(2, chain.num_steps) / 1e9
    assert fitting_length(measured, budget * 1.001, chain.num_steps, 8) == 2
    assert RoundConfig().memory_budget == 0
