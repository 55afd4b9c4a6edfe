"""Our transition against diffusers' DDIMScheduler, the oracle."""

import itertools

import pytest
import torch
from diffusers import DDIMScheduler

from rlr_core.errors import InvalidSettings, RLRError
from rlr_core.pipelines.ddim import ddim_steps
from tests.tiny import tiny_scheduler

GRID = [
    combination
    for combination in itertools.product(
        ("epsilon", "v_prediction", "sample"), ("leading", "trailing", "linspace"), (True, False), (True, False)
    )
    # Noise prediction from pure noise is refused; see below.
    if not (combination[0] == "epsilon" and combination[3] and combination[1] != "leading")
]


def make_scheduler(prediction_type: str, spacing: str, alpha_to_one: bool, zero_snr: bool) -> DDIMScheduler:
    return tiny_scheduler(prediction_type, timestep_spacing=spacing, set_alpha_to_one=alpha_to_one, rescale_betas_zero_snr=zero_snr)


def largest_error(scheduler: DDIMScheduler, num_steps: int, eta: float, dtype: torch.dtype) -> float:
    """Over all steps, between our next state and the oracle's, both for unit-sized state, output and noise."""
    steps = ddim_steps(scheduler, num_steps, eta)
    assert [step.timestep for step in steps] == scheduler.timesteps.tolist()
    generator = torch.Generator().manual_seed(0)
    errors = []
    for step in steps:
        y, output, noise = torch.randn(3, 2, 4, 8, 8, generator=generator, dtype=dtype)
        expected = scheduler.step(output, step.timestep, y, eta=eta, variance_noise=noise).prev_sample
        if eta == 1 and scheduler.alphas_cumprod[step.timestep] == 0:
            # The oracle takes the root of a zero that rounding has left at 1e-6, or at -1e-6, which gives NaN; see the next test.
            continue
        ours = step.state_weight * y + step.output_weight * output + step.std * noise
        errors.append(float(((ours - expected) / expected.abs().clamp(min=1)).abs().max()))
    return max(errors)


@pytest.mark.parametrize(("prediction_type", "spacing", "alpha_to_one", "zero_snr"), GRID)
@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
def test_transition_is_the_schedulers(prediction_type: str, spacing: str, alpha_to_one: bool, zero_snr: bool, eta: float):
    scheduler = make_scheduler(prediction_type, spacing, alpha_to_one, zero_snr)
    for num_steps in (2, 7, 20):
        assert largest_error(scheduler, num_steps, eta, torch.float32) < 1e-6 * amplification(scheduler, num_steps)
    # The scheduler rounds its coefficients to its tables' format.
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
    scheduler.final_alpha_cumprod = scheduler.final_alpha_cumprod.double()
    for num_steps in (2, 7, 20):
        assert largest_error(scheduler, num_steps, eta, torch.float64) < 1e-12 * amplification(scheduler, num_steps)


def amplification(scheduler: DDIMScheduler, num_steps: int) -> float:
    """By how much the scheduler itself magnifies rounding: it divides by sqrt(alpha), or by sqrt(1 - alpha), to predict the other part."""
    scheduler.set_timesteps(num_steps)
    alphas = scheduler.alphas_cumprod[scheduler.timesteps]
    divisors = {"epsilon": alphas, "sample": 1 - alphas, "v_prediction": torch.ones(1)}
    return float(divisors[scheduler.config.prediction_type].min()) ** -0.5


@pytest.mark.parametrize("num_steps", range(2, 60))
def test_the_step_from_pure_noise_is_exact_where_the_scheduler_is_not(num_steps: int):
    """alpha = 0, eta = 1: nothing of y is kept, mean = -sqrt(alpha') v and s = sqrt(1 - alpha')."""
    scheduler = make_scheduler("v_prediction", "trailing", alpha_to_one=False, zero_snr=True)
    first = ddim_steps(scheduler, num_steps, 1.0)[0]
    next_alpha = float(scheduler.alphas_cumprod[first.timestep - 1000 // num_steps])
    assert first.state_weight == 0
    assert first.output_weight == pytest.approx(-(next_alpha**0.5), abs=1e-12)
    assert first.std == pytest.approx((1 - next_alpha) ** 0.5, abs=1e-12)


def test_the_neighbouring_alpha_would_be_seen():
    """The tolerance tells a slip of one timestep from the truth."""
    scheduler = tiny_scheduler()
    right = ddim_steps(scheduler, 20, 1.0)
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.roll(-1)
    wrong = ddim_steps(scheduler, 20, 1.0)
    assert all(abs(a.std - b.std) > 1e-6 for a, b in zip(right[:-1], wrong[:-1], strict=True))


def test_std_is_zero_without_noise_and_at_a_last_step_to_alpha_one():
    assert all(step.std == 0 for step in ddim_steps(tiny_scheduler(), 10, 0.0))
    stds = [step.std for step in ddim_steps(tiny_scheduler(set_alpha_to_one=True), 10, 1.0)]
    assert stds[-1] == 0 and all(std > 0 for std in stds[:-1])
    assert all(step.std > 0 for step in ddim_steps(tiny_scheduler(), 10, 1.0))


def test_unworkable_schedules_are_refused():
    with pytest.raises(InvalidSettings, match="num_inference_steps = 2000: the model knows only 1000 steps"):
        ddim_steps(tiny_scheduler(), 2000, 1.0)
    for setting in ("clip_sample", "thresholding"):
        with pytest.raises(RLRError, match="clips its predictions"):
            ddim_steps(tiny_scheduler(**{setting: True}), 10, 1.0)
    with pytest.raises(RLRError, match="begins at pure noise"):
        ddim_steps(tiny_scheduler("epsilon", rescale_betas_zero_snr=True, timestep_spacing="trailing"), 10, 1.0)
    with pytest.raises(RLRError, match="predicts 'flow'"):
        ddim_steps(tiny_scheduler("flow"), 10, 1.0)
