"""One round of learning: sample, reward, estimate, anchor, update; again and again, until its updates or its budget are used up.

`Round.updates` is a generator: whoever runs it decides what to record, show or save after each update. The state after update u is a
function of the state before it and of (seed, u) alone, so a round that was interrupted and resumed is bit-equal to one that was not.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from rlr_core.anchor import Anchor, divergence_gradient
from rlr_core.averaging import averaged
from rlr_core.chain import Condition, MeteredChain, Reward
from rlr_core.config import RoundConfig
from rlr_core.errors import InvalidSettings, RLRError
from rlr_core.estimators.estimate import Estimator, Memory
from rlr_core.optimizer import Optimizer
from rlr_core.rng import derive_seed, generator, image_generators
from rlr_core.sampling import sample


@dataclass(frozen=True)
class RoundState:
    """Everything a round needs to go on after `update` updates.

    Attributes:
        memory: what its estimator has learned.
        average: the running average of the adapter over the updates; empty where none is kept.
    """

    update: int
    anchor: Anchor
    reward_scale: float
    adapter: dict[str, Tensor]
    optimizer: dict[str, Tensor] = field(default_factory=dict)
    memory: Memory = field(default_factory=dict)
    average: dict[str, Tensor] = field(default_factory=dict)

    @property
    def result(self) -> dict[str, Tensor]:
        """The adapter that the round hands over: its average, if it keeps one."""
        return self.average or self.adapter

    def to_bytes(self) -> bytes:
        """The content of a safetensors file."""
        parts = {"adapter": self.adapter, "optimizer": self.optimizer, "memory": self.memory, "average": self.average}
        tensors = {f"{part}/{name}": tensor.contiguous() for part, named in parts.items() for name, tensor in named.items()}
        numbers = {"update": self.update, "reward_scale": self.reward_scale, "anchor": asdict(self.anchor)}
        return save(tensors, metadata={"round": json.dumps(numbers)})

    @classmethod
    def load(cls, path: Path) -> "RoundState":
        """Read a file of what `to_bytes` gave."""
        try:
            with safe_open(path, framework="pt") as opened:
                numbers = json.loads(opened.metadata()["round"])
                tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a dict
            update, anchor, scale = numbers["update"], Anchor(**numbers["anchor"]), numbers["reward_scale"]
        except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
            raise RLRError(f"The round's saved state '{path.name}' cannot be read ({error}): start a new round from its parent.") from error
        adapter, optimizer, memory, average = (
            {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
            for prefix in ("adapter/", "optimizer/", "memory/", "average/")
        )
        return cls(update, anchor, scale, adapter, optimizer, memory, average)


@dataclass(frozen=True)
class UpdateReport:
    """What one update did.

    Attributes:
        update: number of updates made so far, this one included.
        reward_mean, reward_error: mean reward of the batch, and its standard error.
        kl: smoothed divergence from the base model, in nats a trajectory.
        kl_spent: `kl` minus what it was where the round began: the difference of two estimates, so it may fall below zero.
        price: what the anchor charges for a nat, in standard deviations of reward.
        gradient_norm: length of the combined gradient before clipping; `part_norms` those of the estimate's parts.
        network_evaluations: of this update.
        seconds: by the round's clock.
        figures: what else the estimator had to tell, by name.
    """

    update: int
    reward_mean: float
    reward_error: float
    kl: float
    kl_spent: float
    price: float
    gradient_norm: float
    part_norms: dict[str, float]
    network_evaluations: int
    seconds: float
    figures: dict[str, float] = field(default_factory=dict)


class AdapterHolder(Protocol):
    """What a round needs of a base model: its adapter, out and in."""

    def adapter_state(self) -> dict[str, Tensor]:
        """The adapter's tensors by name."""

    def load_adapter_state(self, state: dict[str, Tensor]) -> None:
        """Put such tensors in."""


class Round:
    """One round on one chain."""

    def __init__(  # noqa: PLR0913 - the parts of the loop, each of its own kind
        self,
        model: AdapterHolder,
        chain: MeteredChain,
        condition: Callable[[Sequence[str]], Condition],
        prompts: Sequence[str],
        reward: Reward,
        estimator: Estimator,
        config: RoundConfig,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Check that the parts fit together.

        Args:
            condition: prompts to what the chain is conditioned on.
            prompts: the set that each update's prompts are drawn from.
            clock: seconds; one that stands still while the round is paused keeps pauses out of the reports.

        Raises:
            InvalidSettings: the estimator cannot work on this chain with this reward; all reasons at once.
        """
        found = estimator.problems(chain, reward.is_differentiable)
        if found:
            raise InvalidSettings(found)
        self._model = model
        self._chain = chain
        self._condition = condition
        self._prompts = tuple(prompts)
        self._reward = reward
        self._estimator = estimator
        self._config = config
        self._clock = clock

    def start(self, adapter: dict[str, Tensor], kl_at_start: float) -> RoundState:
        """The state before the first update: where the parent round ended."""
        config = self._config
        anchor = Anchor.at_start(kl_at_start, config.kl_budget, config.num_updates)
        average = {name: tensor.clone() for name, tensor in adapter.items()} if config.ema_decay > 0 else {}
        return RoundState(0, anchor, 0.0, adapter, average=average)

    def updates(self, state: RoundState) -> Iterator[tuple[RoundState, UpdateReport]]:
        """Go on from `state`; after each update yield the new state and its report."""
        config = self._config
        optimizer = Optimizer(self._chain.parameters(), config.learning_rate, config.max_gradient_norm)
        optimizer.load_state(state.optimizer)
        while state.update < config.num_updates and not state.anchor.is_spent:
            # Whoever runs the round may have used the model in between, with the average or another round's adapter.
            self._model.load_adapter_state(state.adapter)
            state, report = self._update(state, optimizer)
            yield state, report

    def _update(self, state: RoundState, optimizer: Optimizer) -> tuple[RoundState, UpdateReport]:
        started, evaluations = self._clock(), self._chain.network_evaluations
        path = ("update", state.update)
        seed, size = self._config.seed, self._config.batch_size
        condition = self._condition(draw_prompts(self._prompts, size, derive_seed(seed, *path, "prompts")))
        trajectory = sample(self._chain, condition, image_generators(seed, *path, count=size))
        estimate = self._estimator.estimate(self._chain, trajectory, self._reward, generator(seed, *path, "estimator"), state.memory)
        rewards = estimate.rewards.double()
        # The first batch's spread is the round's unit of reward: it must not change while the price is steered.
        scale = state.reward_scale or max(float(rewards.std()), 1e-6)
        kl, kl_gradient = divergence_gradient(self._chain, trajectory, generator(seed, *path, "anchor"))
        combined = tuple(
            ascent / scale - state.anchor.price * descent for ascent, descent in zip(estimate.gradient, kl_gradient, strict=True)
        )
        length = optimizer.apply(combined)
        anchor = state.anchor.after(state.update, kl)
        adapter = self._model.adapter_state()
        average = averaged(state.average, adapter, self._config.ema_decay, state.update) if state.average else {}
        new = RoundState(state.update + 1, anchor, scale, adapter, optimizer.state(), estimate.memory, average)
        return new, UpdateReport(
            update=new.update,
            reward_mean=float(rewards.mean()),
            reward_error=float(rewards.std() / len(rewards) ** 0.5),
            kl=anchor.kl,
            kl_spent=anchor.kl - anchor.kl_at_start,
            price=anchor.price,
            gradient_norm=length,
            part_norms=estimate.part_norms(),
            network_evaluations=self._chain.network_evaluations - evaluations,
            seconds=self._clock() - started,
            figures=dict(estimate.figures),
        )


def draw_prompts(prompts: Sequence[str], count: int, seed: int) -> list[str]:
    """`count` prompts from the set, no prompt again before every other was drawn as often."""
    drawing = torch.Generator().manual_seed(seed)
    order: list[int] = []
    while len(order) < count:
        order += torch.randperm(len(prompts), generator=drawing).tolist()
    return [prompts[index] for index in order[:count]]
