"""DDIM's transition as a Gaussian whose mean is linear in the state and the network's output.

    x0, noise = what the network's output says of the clean state and of its noise
    mean = sqrt(alpha') x0 + sqrt(1 - alpha' - s^2) noise
    s    = eta sqrt((1 - alpha') / (1 - alpha)) sqrt(1 - alpha / alpha')

with alpha the product of (1 - beta) up to the step's timestep and alpha' up to the next one (Song et al. 2021, equations 12 and 16). Both
x0 and noise are linear in state and output, so a step is two weights and a std:  mean = state_weight y + output_weight output.
"""

from dataclasses import dataclass
from math import sqrt

from diffusers import DDIMScheduler

from rlr_core.errors import InvalidSettings, RLRError


@dataclass(frozen=True)
class DdimStep:
    """One step: the network's timestep, the mean's two weights, and the noise's std."""

    timestep: int
    state_weight: float
    output_weight: float
    std: float


def ddim_steps(scheduler: DDIMScheduler, num_steps: int, eta: float) -> tuple[DdimStep, ...]:
    """The steps of a schedule, in sampling order. Sets the scheduler's timesteps."""
    config = scheduler.config
    if config.clip_sample or config.thresholding:
        raise RLRError(
            "The model's scheduler clips its predictions (clip_sample or thresholding), which is meant for pixels and not for the latents "
            "sampled here; set both to false in scheduler/scheduler_config.json."
        )
    if num_steps > config.num_train_timesteps:
        problem = f"num_inference_steps = {num_steps}: the model knows only {config.num_train_timesteps} steps; choose fewer."
        raise InvalidSettings({"num_inference_steps": problem})
    scheduler.set_timesteps(num_steps)
    stride = config.num_train_timesteps // num_steps
    alphas = scheduler.alphas_cumprod.double().tolist()
    steps = []
    for timestep in scheduler.timesteps.tolist():
        following = timestep - stride
        next_alpha = alphas[following] if following >= 0 else float(scheduler.final_alpha_cumprod)
        steps.append(_step(timestep, alphas[timestep], next_alpha, eta, config.prediction_type))
    return tuple(steps)


def _step(timestep: int, alpha: float, next_alpha: float, eta: float, prediction_type: str) -> DdimStep:
    # The share of the next noise that can be fresh: 1 from pure noise, where the other share's root must not fall below zero by rounding.
    fresh = (1 - alpha / next_alpha) / (1 - alpha)
    std = eta * sqrt((1 - next_alpha) * fresh)
    signal, noise = sqrt(alpha), sqrt(1 - alpha)
    next_signal = sqrt(next_alpha)
    next_noise = sqrt((1 - next_alpha) * (1 - eta**2 * fresh))
    if prediction_type == "epsilon":
        if alpha == 0:
            raise RLRError(
                "The model's scheduler begins at pure noise (rescale_betas_zero_snr), from which a network that predicts noise (epsilon) "
                "can learn nothing of the picture; switch the rescaling off in scheduler/scheduler_config.json."
            )
        return DdimStep(timestep, next_signal / signal, next_noise - next_signal * noise / signal, std)
    if prediction_type == "sample":
        return DdimStep(timestep, next_noise / noise, next_signal - next_noise * signal / noise, std)
    if prediction_type == "v_prediction":
        weights = next_signal * signal + next_noise * noise, next_noise * signal - next_signal * noise
        return DdimStep(timestep, *weights, std)
    raise RLRError(f"The model predicts '{prediction_type}': only epsilon, sample and v_prediction can be sampled; use another model.")
