"""What the recipe's trainers share: minutes that are spent over several runs, checkpoints that resume, and a learning curve."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

MAX_GRADIENT_NORM = 1.0


class Part(Protocol):
    """A module or an optimizer."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""

    def load_state_dict(self, state: dict[str, Any]) -> Any:  # noqa: ANN401 - modules say what did not fit
        """Read it back."""


class Training:
    """A training that may be cut off at any time: made anew with the same parts, it goes on from its last checkpoint.

    Args:
        checkpoint: the file of the parts and of the progress; resumed from if it is there.
        curve: the learning curve as JSON, one point a checkpoint.
        minutes: of training in all, over every run; checkpoints are not counted.
        every_seconds: time between two checkpoints.
        parts: what is trained and what trains it, by its name in the checkpoint.
    """

    def __init__(  # noqa: PLR0913 - where, how long, how often, and what
        self,
        checkpoint: Path,
        curve: Path,
        minutes: float,
        every_seconds: float,
        parts: Mapping[str, Part],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checkpoint, self._curve = checkpoint, curve
        self._seconds, self._every_seconds = minutes * 60, every_seconds
        self._parts, self._clock = parts, clock
        self._state: dict[str, Any] = {"spent": 0.0, "update": 0, "curve": []}
        if checkpoint.exists():
            saved = torch.load(checkpoint, weights_only=True)
            for name, part in parts.items():
                part.load_state_dict(saved[name])
            self._state = saved["state"]
        # Draws of its own for every run, so that a resumed one does not see the same batches again.
        self.generator = torch.Generator().manual_seed(1 + self._state["update"])

    @property
    def is_over(self) -> bool:
        """The minutes are spent."""
        return self._state["spent"] >= self._seconds

    def run(self, step: Callable[[float, int], float], point: Callable[[int, int, float], Any]) -> None:
        """Train until the minutes are spent.

        Args:
            step: makes one update, given the share of the time that is spent and the number of updates so far; returns its loss.
            point: one point of the curve from updates, seconds, and the mean loss since the last point; called before every checkpoint.
        """
        losses, saved_at = [], self._clock()
        while not self.is_over:
            started = self._clock()
            losses.append(step(self._state["spent"] / self._seconds, self._state["update"]))
            self._state["update"] += 1
            self._state["spent"] += self._clock() - started
            if self.is_over or self._clock() - saved_at > self._every_seconds:
                self._save(point(self._state["update"], round(self._state["spent"]), sum(losses) / len(losses)))
                losses, saved_at = [], self._clock()

    def _save(self, point: Any) -> None:  # noqa: ANN401 - anything JSON can hold
        self._state["curve"].append(point)
        print(point, flush=True)
        # Beside it first: a run that is killed while it writes still has the checkpoint before.
        beside = self._checkpoint.with_name(f"{self._checkpoint.name}.new")
        torch.save({**{name: part.state_dict() for name, part in self._parts.items()}, "state": self._state}, beside)
        beside.replace(self._checkpoint)
        self._curve.write_text(json.dumps(self._state["curve"]))


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, learning_rate: float) -> None:
    """One step of the optimizer down the clipped gradient of the loss."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.zero_grad()
    loss.backward()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    torch.nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM)
    optimizer.step()


def velocity_loss(unet: nn.Module, text: Tensor, x_0: Tensor, alphas: Tensor, generator: torch.Generator) -> Tensor:
    """Mean squared error of v = sqrt(alpha) noise - sqrt(1 - alpha) x0 (Salimans and Ho 2022) at stratified timesteps.

    Args:
        text: hidden states of the captions, shape (B, L, D).
        x_0: latents, shape (B, C, H, W).
        alphas: cumulative, by timestep.
    """
    batch = len(x_0)
    strata = (torch.randperm(batch, generator=generator) + torch.rand(batch, generator=generator)) / batch
    timestep = (strata * len(alphas)).long()
    noise = torch.randn(x_0.shape, generator=generator)
    alpha = alphas[timestep].view(-1, 1, 1, 1)
    x_t = alpha.sqrt() * x_0 + (1 - alpha).sqrt() * noise
    target = alpha.sqrt() * noise - (1 - alpha).sqrt() * x_0
    with torch.autocast("cpu", torch.bfloat16):
        predicted = unet(x_t.to(memory_format=torch.channels_last), timestep, text).sample
    return (predicted.float() - target).pow(2).mean()
