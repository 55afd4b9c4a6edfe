"""The estimators that benchmarks compare, by label, with the settings each is compared at.

On the command line a variant is written  name  or  name:key=value,key=value  .
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rlr_core.chain import DenoisingChain, Reward
from rlr_core.config import from_mapping
from rlr_core.errors import InvalidSettings
from rlr_core.estimators.advantage import UNBIASED_ADVANTAGES
from rlr_core.estimators.estimate import Estimator
from rlr_core.estimators.registry import ESTIMATORS
from rlr_core.plugin import find

ALWAYS_BIASED = ("truncated_backprop", "ppo")


@dataclass(frozen=True)
class Variant:
    """An estimator with settings."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    label: str = ""

    @property
    def title(self) -> str:
        """What tables call it."""
        return self.label or ":".join(filter(None, [self.name, ",".join(f"{key}={value}" for key, value in self.settings.items())]))

    def make(self, chain: DenoisingChain, reward: Reward) -> Estimator:
        """The estimator; InvalidSettings if it cannot work on this chain with this reward."""
        plugin = find(ESTIMATORS, "estimator", self.name)
        made = plugin.factory(from_mapping(plugin.settings, self.settings))
        problems = made.problems(chain, reward.is_differentiable)
        if problems:
            raise InvalidSettings(problems)
        return made

    def is_unbiased(self, chain: DenoisingChain, covered_steps: frozenset[int]) -> bool:
        """Whether the mean is the whole chain's gradient exactly; a smoothed objective's does not count."""
        settings = vars(from_mapping(ESTIMATORS[self.name].settings, self.settings))
        is_smoothed = self.name == "zeroth_order" or settings.get("has_zeroth_order", False)
        has_fair_advantage = settings.get("advantage", "none") in UNBIASED_ADVANTAGES
        is_whole = len(covered_steps) == chain.num_steps
        return is_whole and has_fair_advantage and not is_smoothed and self.name not in ALWAYS_BIASED


VARIANTS = (
    Variant("full_backprop"),
    Variant("rlr_antithetic"),
    Variant("antithetic_half_order"),
    Variant("score_function"),
    Variant("score_function", {"advantage": "group_normalised"}),
    Variant("ppo"),
    Variant("half_order", {"sub_chain_length": 2, "uncovered_tail": 0}),
    Variant("rlr"),
    Variant("rlr", {"comparison": "none", "advantage": "none", "perturbation_std": 0.05}, "rlr, rewards as printed"),
    Variant("rlr", {"has_zeroth_order": False}, "rlr without ZO, weighted"),
    Variant("zeroth_order"),
    Variant("zeroth_order", {"rule": "hizoo"}),
    Variant("zeroth_order", {"rule": "lezo"}),
    Variant("zeroth_order", {"rule": "adamezo"}),
    Variant("zeroth_order", {"rule": "zo_finetuner"}),
    Variant("first_order", {"first_order_steps": 1}),
    Variant("truncated_backprop", {"cut": "uniform"}),
)


def parse(texts: Sequence[str]) -> tuple[Variant, ...]:
    """Variants as they are written on the command line; all of VARIANTS if none is given."""
    return tuple(_parse(text) for text in texts) or VARIANTS


def _parse(text: str) -> Variant:
    name, _, rest = text.partition(":")
    settings = {}
    for assignment in filter(None, rest.split(",")):
        key, _, value = assignment.partition("=")
        try:
            settings[key] = json.loads(value)
        except json.JSONDecodeError:
            settings[key] = value
    return Variant(name, settings)
