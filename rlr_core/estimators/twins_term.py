"""The antithetic half-order term, by itself in `antithetic_half_order` and beside first order in `rlr_antithetic`."""

from dataclasses import dataclass

import torch
from torch import Tensor

from rlr_core.chain import DenoisingChain, Reward
from rlr_core.config import setting
from rlr_core.estimators import fields
from rlr_core.estimators.accumulate import weighted_sum
from rlr_core.estimators.antithetic import antithetic, deal
from rlr_core.estimators.estimate import Gradient, Memory
from rlr_core.estimators.likelihood_ratio import sub_chain_gradients
from rlr_core.estimators.placement import Placement
from rlr_core.sampling import Trajectory


@dataclass(frozen=True)
class TwinsSettings:
    """Which sub-chains are drawn, and how many twins each picture gets."""

    # Sub-chains that are not drawn are made up for by the weight of those that are, and that is noise; a long one takes less memory than
    # first order does. At 50 steps one long sub-chain with four flips had a seventh of the variance (docs/claims.md).
    sub_chain_length: int = setting(
        0,
        "Steps that one half-order sub-chain covers: shorter ones take less time and memory and have more noise; 0 makes one of them all.",
        minimum=0, maximum=1000, symbol="h",
    )  # fmt: skip
    num_sub_chains: int = fields.num_sub_chains()
    num_flips: int = fields.num_flips()
    place: str = fields.place()
    micro_batch_size: int = fields.micro_batch_size()


class TwinsTerm:
    """Half order with antithetic advantages on m of the sub-chains that tile steps 0 .. stop-1."""

    def __init__(self, settings: TwinsSettings, stop: int) -> None:
        self._settings = settings
        self._placement = Placement(settings.place, stop, settings.sub_chain_length or stop)
        self.stop = stop

    def gradient(  # noqa: PLR0913 - an estimator's own arguments, and the rewards that it has already
        self,
        chain: DenoisingChain,
        trajectory: Trajectory,
        reward: Reward,
        rewards: Tensor,
        generator: torch.Generator,
        memory: Memory,
    ) -> tuple[Gradient, Memory]:
        """The term, the mean over the batch; and what it has learned of where to go."""
        settings = self._settings
        draw = self._placement.draw(settings.num_sub_chains, generator, memory)
        groups = [deal(chain.event_shape, settings.num_flips, generator, chain.device) for _ in draw.sub_chains]
        advantages = [
            antithetic(chain, trajectory, reward, rewards, sub_chain.interface, group)
            for sub_chain, group in zip(draw.sub_chains, groups, strict=True)
        ]
        gradients = sub_chain_gradients(chain, trajectory, draw, advantages, settings.micro_batch_size)
        return weighted_sum(gradients, draw.weights), self._placement.learn(memory, draw, gradients)
