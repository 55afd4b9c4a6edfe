"""Reward: a weighted sum of other rewards."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from rlr_core.chain import Reward
from rlr_core.config import setting
from rlr_core.errors import RLRError
from rlr_core.rewarding import evaluate

NAME = "composite"


@dataclass(frozen=True)
class CompositeSettings:
    """The parts of the sum.

    Attributes:
        settings: each part's own settings, by its name.
    """

    weights: Mapping[str, float] = setting(
        {"text_match": 1.0, "colourfulness": 0.3}, "How much each reward counts, by its name; a negative one is avoided instead of sought."
    )
    units: Mapping[str, float] = setting(
        {},
        "What a reward's values are divided by before they are weighed, by its name: with its usual spread over pictures, weights can be "
        "compared. One that is not named is divided by 1.",
    )
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def combination_problems(self) -> dict[str, str]:
        """What is wrong with the weights, the units and the parts' settings, by the setting's name."""
        found = {
            name: f'{name} = {value!r}: it must be values by a reward\'s name; write it like {{"text_match": {example}}}.'
            for name, value, example in (("weights", self.weights, 1.0), ("units", self.units, 0.1), ("settings", self.settings, {}))
            if not isinstance(value, Mapping)
        }
        if found:
            return found
        sentences = (("weights", self._weights_problem()), ("units", self._units_problem()), ("settings", self._settings_problem()))
        return {name: sentence for name, sentence in sentences if sentence}

    def _weights_problem(self) -> str | None:
        if not self.weights:
            return "weights = {}: there is nothing to sum; name at least one reward with its weight."
        for name, weight in self.weights.items():
            if name == NAME:
                return f"weights: a sum cannot contain '{NAME}', a sum again; name the rewards it is made of."
            if not _is_number(weight) or weight == 0:
                return f"weights['{name}'] = {weight!r}: a part counts by a finite number other than 0; give one, or leave the part out."
        return None

    def _units_problem(self) -> str | None:
        for name, unit in self.units.items():
            if not _is_number(unit) or unit <= 0:
                return f"units['{name}'] = {unit!r}: values are divided by it, so it must be a finite number above 0; give one."
        return self._stranger("units", self.units)

    def _settings_problem(self) -> str | None:
        for name, values in self.settings.items():
            if not isinstance(values, Mapping):
                return f"settings['{name}'] = {values!r}: a part's settings are values by name; write them like {{\"name\": value}}."
        return self._stranger("settings", self.settings)

    def _stranger(self, setting: str, values: Mapping[str, Any]) -> str | None:
        strangers = [name for name in values if name not in self.weights]
        return f"{setting}['{strangers[0]}']: no such part has a weight; parts are {', '.join(self.weights)}." if strangers else None


class Composite:
    """The sum over its parts of weight * reward / unit. It has a derivative exactly if all parts have one.

    Args:
        parts: the rewards by the names of `settings.weights`.
    """

    def __init__(self, settings: CompositeSettings, parts: Mapping[str, Reward]) -> None:
        self._parts = parts
        self._factors = {name: weight / settings.units.get(name, 1.0) for name, weight in settings.weights.items()}
        self.is_differentiable = all(part.is_differentiable for part in parts.values())

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """images (B, 3, H, W) in [0, 1] and B prompts to (B,)."""
        # Half a gradient would lead astray: either all parts have one, or none counts.
        with torch.set_grad_enabled(self.is_differentiable and torch.is_grad_enabled()):
            values = [factor * self._part(name, images, prompts) for name, factor in self._factors.items()]
        return torch.stack(values).sum(0)

    def _part(self, name: str, images: Tensor, prompts: Sequence[str]) -> Tensor:
        try:
            return evaluate(self._parts[name], images, prompts)
        except RLRError as error:
            raise RLRError(f"Part '{name}' of the composite: {error}") from error


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
