"""Settings: frozen dataclasses whose fields carry their default, range, unit, help and paper symbol.

Forms, command-line flags, error messages and the README's table are all made from these fields; nothing else knows a default or a range.
`problems(config)` returns every problem at once, by field name.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from typing import Any, Protocol, runtime_checkable

from rlr_core.errors import InvalidSettings

SCHEMA_VERSION = 1
AUTOMATIC = "automatic"
REWARD, ANSWERS, BOTH = "reward", "answers", "both"


@dataclass(frozen=True)
class About:
    """What is known of one setting beyond its default."""

    help: str
    minimum: float | None = None
    maximum: float | None = None
    unit: str = ""
    symbol: str = ""
    choices: tuple[str, ...] = ()


def setting(default: Any, help: str, **about: Any) -> Any:  # noqa: A002, ANN401 - the name is the field's
    """A dataclass field with its About; every object has a mapping of its own as its default."""
    metadata = {"about": About(help, **about)}
    if isinstance(default, Mapping):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def about(each: Field) -> About:
    """The About of a field made by `setting`."""
    return each.metadata["about"]


def default_of(each: Field) -> Any:  # noqa: ANN401
    """The default of a field that has one."""
    return each.default if each.default_factory is MISSING else each.default_factory()


@dataclass(frozen=True)
class SamplerConfig:
    """How pictures are sampled."""

    num_inference_steps: int = setting(20, "Denoising steps for a picture.", minimum=2, maximum=1000, symbol="T")
    guidance_scale: float = setting(4.0, "How strictly the prompt is followed; 1 switches guidance off.", minimum=1.0, maximum=30.0)
    eta: float = setting(
        1.0,
        "Share of fresh noise in every step: 0 is deterministic DDIM, 1 is DDPM.",
        minimum=0.0,
        maximum=1.0,
        symbol="η",
    )


@dataclass(frozen=True)
class AdapterConfig:
    """The LoRA that is trained; the base model itself never changes."""

    rank: int = setting(8, "Rank of the LoRA matrices: more can learn more and takes more memory.", minimum=1, maximum=256, symbol="r")


@dataclass(frozen=True)
class FeatureConfig:
    """What of a picture a taste goes by."""

    features: str = setting(
        "embedded_clip",
        "What your taste goes by, beside measures of colour and shape: the network that looks at the pictures.",
    )
    features_settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RoundConfig:
    """One round of learning: what is rewarded, how the gradient is estimated, how far it may go."""

    reward: str = setting("taste", "What is rewarded: your own taste, or a measured property.")
    reward_settings: Mapping[str, Any] = field(default_factory=dict)
    estimator: str = setting(
        AUTOMATIC,
        "How the gradient of the expected reward is estimated; automatic is RLR with twins, or twins only if the reward has no derivative.",
    )
    estimator_settings: Mapping[str, Any] = field(default_factory=dict)
    learns_from: str = setting(
        REWARD,
        "What the gradient is made of: the reward; your answers themselves, with no learned reward in between; or both, where the answers "
        "correct what the learned reward foretells wrongly.",
        choices=(REWARD, ANSWERS, BOTH),
    )
    num_updates: int = setting(12, "Optimizer updates in the round.", minimum=1, maximum=10_000)
    batch_size: int = setting(8, "Pictures sampled for an update.", minimum=2, maximum=1024, symbol="B")
    learning_rate: float = setting(1e-3, "Step size of AdamW.", minimum=1e-7, maximum=1.0)
    max_gradient_norm: float = setting(1.0, "The gradient is scaled down to this length.", minimum=1e-6, maximum=1e6)
    kl_budget: float = setting(
        100.0,
        "How much further from the base model this round may move, in added divergence a trajectory. The round ends when it is spent.",
        minimum=0.0, maximum=1e6, unit="nats",
    )  # fmt: skip
    gradient_checkpointing: str = setting(
        AUTOMATIC,
        "Compute steps again for their derivatives instead of keeping them: less memory, a third more time, the same result. Automatic "
        "does so for large models.",
        choices=(AUTOMATIC, "always", "never"),
    )
    memory_budget: float = setting(
        0.0,
        "Sub-chains are made as long as this much memory allows (the paper's Eq. 8, measured here); 0 leaves their length as it is set.",
        minimum=0.0, maximum=1e4, unit="GB",
    )  # fmt: skip
    ema_decay: float = setting(
        0.0,
        "The round hands over a running average of its adapter, of which every update keeps this share; 0 hands over the last one.",
        minimum=0.0, maximum=0.9999,
    )  # fmt: skip
    drift_check_every: int = setting(
        4, "Updates between two checks whether the pictures have drifted as if the reward were cheated; 0 never checks.",
        minimum=0, maximum=10_000,
    )  # fmt: skip
    drift_limit: float = setting(
        1.0, "How far the pictures may drift before the round waits for your decision, as a multiple of the usual limits.",
        minimum=0.01, maximum=1000.0,
    )  # fmt: skip
    drift_settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = setting(0, "Every random draw of the round follows from it.", minimum=0, maximum=2**31 - 1)

    def combination_problems(self) -> dict[str, str]:
        """Answers are comparisons by the person's taste."""
        if self.learns_from == REWARD or self.reward == "taste":
            return {}
        return {
            "learns_from": f"learns_from = {self.learns_from}: answers say what you like, and this round rewards {self.reward}. "
            "Set learns_from to reward, or reward to taste."
        }

    @property
    def uses_taste(self) -> bool:
        """Whether the person's taste is rewarded, by itself or as a part of a composite."""
        weights = self.reward_settings.get("weights")
        return self.reward == "taste" or (isinstance(weights, Mapping) and "taste" in weights)


@runtime_checkable
class Combination(Protocol):
    """Settings of which some values do not go together, though each is in its range."""

    def combination_problems(self) -> dict[str, str]:
        """Why these values cannot work together, by setting; asked only when each by itself is right."""


def problems(config: Any) -> dict[str, str]:  # noqa: ANN401 - any settings dataclass
    """Every field that is of the wrong type or out of its range, or else every combination that cannot work, each with a sentence."""
    found = {}
    for each in fields(config):
        if "about" in each.metadata:
            sentence = _problem(each, getattr(config, each.name))
            if sentence:
                found[each.name] = sentence
    return config.combination_problems() if not found and isinstance(config, Combination) else found


def _problem(each: Field, value: Any) -> str | None:  # noqa: ANN401
    known = about(each)
    kind = type(default_of(each))
    if kind is bool:
        return None if isinstance(value, bool) else f"{each.name} = {value!r}: it is true or false."
    if kind in (int, float):
        return _number_problem(each, value, kind is int)
    if kind is str and not isinstance(value, str):
        return f"{each.name} = {value!r}: it must be a name; give one, for example {each.default}."
    if known.choices and value not in known.choices:
        return f"{each.name} = {value!r}: choose one of {', '.join(known.choices)}."
    return None


def _number_problem(each: Field, value: Any, is_whole: bool) -> str | None:  # noqa: ANN401
    known = about(each)
    if isinstance(value, bool) or not isinstance(value, int if is_whole else (int, float)):
        return f"{each.name} = {value!r}: it must be a {'whole ' if is_whole else ''}number; give one, for example {each.default}."
    minimum = -math.inf if known.minimum is None else known.minimum
    maximum = math.inf if known.maximum is None else known.maximum
    # Written so that NaN fails too.
    if not (minimum <= value <= maximum):
        unit = f" {known.unit}" if known.unit else ""
        return f"{each.name} = {value:.15g}: it must lie from {minimum:.15g} to {maximum:.15g}{unit}; {each.default} is the default."
    return None


def validate(*configs: Any) -> None:  # noqa: ANN401
    """Raise InvalidSettings with all problems of all configs, if there are any."""
    found: dict[str, str] = {}
    for config in configs:
        found |= problems(config)
    if found:
        raise InvalidSettings(found)


def from_mapping(kind: type, values: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Make a settings dataclass; unknown names and bad values raise InvalidSettings together."""
    known = {each.name for each in fields(kind)}
    found = {
        name: f"{name}: there is no such setting; known are {', '.join(sorted(known)) or 'none'}." for name in values if name not in known
    }
    missing = {each.name for each in fields(kind) if each.default is MISSING and each.default_factory is MISSING}
    found |= {name: f"{name}: it must be given." for name in missing - set(values)}
    if not found:
        config = kind(**values)
        found = problems(config)
    if found:
        raise InvalidSettings(found)
    return config


def to_json(config: Any) -> str:  # noqa: ANN401
    """The settings as JSON with the schema version."""
    return json.dumps({"schema_version": SCHEMA_VERSION, **asdict(config)}, sort_keys=True)


def from_json(kind: type, text: str) -> Any:  # noqa: ANN401
    """Read what `to_json` wrote."""
    values = json.loads(text)
    version = values.pop("schema_version", None)
    if version != SCHEMA_VERSION:
        raise InvalidSettings(
            {"schema_version": f"schema_version = {version}: this program reads version {SCHEMA_VERSION}; use the version that wrote it."}
        )
    return from_mapping(kind, values)
