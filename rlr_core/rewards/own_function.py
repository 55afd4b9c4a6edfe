"""Reward: a person's own Python file. It is run as Python, so only on the machine of the person whose file it is."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rlr_core.config import setting
from rlr_core.errors import RLRError
from rlr_core.own_file import called, defined_at, run_file
from rlr_core.pictures import to_pillow
from rlr_core.preference.rater import Rater
from rlr_core.rewarding import checked

WANTED = "reward(images, prompts) or utility(image, prompt)"


@dataclass(frozen=True)
class OwnFunctionSettings:
    """The file, and what its function can do."""

    file: str = setting("", "A Python file on this machine that defines reward(images, prompts) or utility(image, prompt).")
    is_differentiable: bool = setting(
        False, "Whether reward(images, prompts) is made of torch operations through which derivatives by the pictures can be taken."
    )


class OwnFunction:
    """What the file's function says.

    `reward(images, prompts)` gets pictures (B, 3, H, W) in [0, 1] and B prompts and returns a floating-point tensor of shape (B,);
    `utility(image, prompt)`, as raters define it, gets one picture as PIL.Image and its prompt and returns a number. If a file defines
    both, the first counts.

    Raises:
        RLRError: with file and line, if the file does not run or its function fails, or returns anything but one finite number a picture.
    """

    def __init__(self, settings: OwnFunctionSettings) -> None:
        self._path = Path(settings.file)
        self.is_differentiable = settings.is_differentiable
        module = run_file(self._path, WANTED)
        reward, utility = getattr(module, "reward", None), getattr(module, "utility", None)
        if callable(reward):
            self._reward: Callable[[Tensor, Sequence[str]], Any] = reward
        elif not callable(utility):
            raise RLRError(f"{self._path} defines no function called reward or utility: add def {WANTED}.")
        elif settings.is_differentiable:
            raise RLRError(
                f"{defined_at(self._path, utility)}: utility sees a finished picture, so it has no derivative: define "
                "reward(images, prompts), or leave is_differentiable off."
            )
        else:
            self._reward = self._utilities(Rater(self._path, utility))

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """images (B, 3, H, W) in [0, 1] and B prompts to (B,)."""
        with torch.set_grad_enabled(self.is_differentiable and torch.is_grad_enabled()):
            # A clone, because the function may write into it.
            returned = called(self._path, "reward", self._reward, images.clone(), list(prompts))
        try:
            rewards = checked(returned, len(images))
        except RLRError as error:
            raise RLRError(f"{defined_at(self._path, self._reward)}: {error}") from error
        if self.is_differentiable and images.requires_grad and torch.is_grad_enabled() and not rewards.requires_grad:
            raise RLRError(
                f"{defined_at(self._path, self._reward)}: reward returned numbers without derivatives: make it of torch operations on the "
                "images, or switch is_differentiable off."
            )
        return rewards.to(images.device)

    @staticmethod
    def _utilities(rater: Rater) -> Callable[[Tensor, Sequence[str]], Tensor]:
        def reward(images: Tensor, prompts: Sequence[str]) -> Tensor:
            values = [rater.utility(to_pillow(image), prompt) for image, prompt in zip(images, prompts, strict=True)]
            return torch.tensor(values, dtype=torch.promote_types(torch.float32, images.dtype))

        return reward


def own_function_reason(settings: OwnFunctionSettings = OwnFunctionSettings()) -> str | None:  # noqa: B008 - frozen
    """None if it can run here; else the reason and what to do. The file is not run for it."""
    if os.environ.get("SPACE_ID"):
        return (
            f"this is the Hugging Face Space {os.environ['SPACE_ID']}, where a file would run as Python with the rights of its owner; "
            "install RLR Studio on your own machine for it."
        )
    if not settings.file:
        return f"no file is named; set file to a Python file that defines {WANTED}."
    if not Path(settings.file).is_file():
        return f"{settings.file} is not there; give a Python file that defines {WANTED}."
    return None
