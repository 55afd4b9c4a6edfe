"""Where estimators are compared: a chain, a reward, and batches of trajectories of one prompt each."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from rlr_core.chain import Condition, MeteredChain, Reward
from rlr_core.config import AdapterConfig, SamplerConfig
from rlr_core.linear_gaussian import LinearGaussianChain, QuadraticReward
from rlr_core.pipelines.loading import load_base_model
from rlr_core.pipelines.quiet import quiet_libraries
from rlr_core.plugin import find
from rlr_core.rewards.registry import REWARDS
from rlr_core.rewards.resources import embedded_resources
from rlr_core.rng import generator, image_generators
from rlr_core.sampling import Trajectory, sample

PROMPTS = ("cat face", "red apple")
DIMENSION = 8


@dataclass(frozen=True)
class Scene:
    """A chain with its reward, and how to condition it on a prompt."""

    chain: MeteredChain
    reward: Reward
    condition: Callable[[list[str]], Condition]
    prompts: tuple[str, ...]

    def batch(self, seed: int, number: int, size: int) -> Trajectory:
        """Batch `number`: `size` trajectories of one prompt, in turn."""
        prompt = self.prompts[number % len(self.prompts)]
        return sample(self.chain, self.condition([prompt] * size), image_generators(seed, "batch", number, count=size))


def linear_gaussian(steps: int) -> Scene:
    """The closed-form chain in eight dimensions."""
    drawing = generator(0, "linear-gaussian")
    identity = torch.eye(DIMENSION, dtype=torch.float64)
    drifts = 0.2 * torch.randn(steps, DIMENSION, DIMENSION, generator=drawing, dtype=torch.float64) / DIMENSION**0.5 + 0.9 * identity
    stds = torch.linspace(0.5, 0.05, steps).tolist()
    weight = torch.zeros(DIMENSION, DIMENSION, dtype=torch.float64)
    linear = torch.randn(DIMENSION, generator=drawing, dtype=torch.float64)
    quadratic = -0.2 * identity
    chain = LinearGaussianChain(drifts, stds, weight, torch.zeros(DIMENSION, dtype=torch.float64))
    return Scene(MeteredChain(chain), QuadraticReward(linear, quadratic), lambda prompts: Condition(tuple(prompts)), ("",))


def base_model(source: str, reward: str, steps: int, seed: int) -> Scene:
    """A base model with an adapter whose second matrices are not zero, as after some updates: all of its tensors have gradients."""
    quiet_libraries()
    model = load_base_model(source, AdapterConfig())
    model.reset_adapter(seed)
    sampler = SamplerConfig(num_inference_steps=steps)
    chain = model.chain(sampler)
    for index, parameter in enumerate(chain.parameters()):
        if not parameter.any():
            noise = torch.randn(parameter.shape, generator=generator(seed, "adapter", index), dtype=parameter.dtype)
            parameter.data.copy_(0.01 * noise)
    plugin = find(REWARDS, "reward", reward)
    made = plugin.factory(plugin.settings(), embedded_resources(chain.device))
    metered = MeteredChain(chain, evaluations_per_step=model.evaluations_per_step(sampler))
    return Scene(metered, made, lambda prompts: model.condition(prompts, sampler), PROMPTS)
