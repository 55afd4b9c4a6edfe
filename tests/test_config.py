"""Settings: every problem is found at once and named with its value and its remedy; JSON brings back what was written."""

import json
import math
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest

from rlr_core.config import AdapterConfig, RoundConfig, SamplerConfig, about, from_json, from_mapping, problems, setting, to_json, validate
from rlr_core.drift import DriftSettings
from rlr_core.errors import InvalidSettings
from rlr_core.estimators.registry import ESTIMATORS

SHIPPED = [SamplerConfig, AdapterConfig, RoundConfig, DriftSettings, *(plugin.settings for plugin in ESTIMATORS.values())]


@dataclass(frozen=True)
class Oven:
    """One field of every kind."""

    minutes: int = setting(30, "How long.", minimum=1, maximum=2**31 - 1, unit="minutes")
    heat: float = setting(0.5, "How hot.", minimum=0.0, maximum=1.0)
    mode: str = setting("fan", "Which heater.", choices=("fan", "grill"))
    is_lit: bool = setting(False, "Whether the lamp is on.")
    offset: float = setting(0.0, "Correction, any number.")


@pytest.mark.parametrize("kind", SHIPPED)
def test_defaults_are_valid_and_every_number_has_a_range(kind: type) -> None:
    assert problems(kind()) == {}
    for each in fields(kind):
        if type(each.default) in (int, float):
            known = about(each)
            assert known.minimum is not None and known.maximum is not None, each.name
            assert known.help.endswith("."), each.name


@pytest.mark.parametrize("kind", SHIPPED)
def test_the_ends_of_every_range_are_in_it_and_what_lies_beyond_is_not(kind: type) -> None:
    for each in fields(kind):
        if type(each.default) not in (int, float):
            continue
        known = about(each)
        number = type(each.default)
        low, high = number(known.minimum), number(known.maximum)
        assert problems(replace(kind(), **{each.name: low})) == {}
        assert problems(replace(kind(), **{each.name: high})) == {}
        below, above = (low - 1, high + 1) if number is int else (math.nextafter(low, -math.inf), math.nextafter(high, math.inf))
        assert set(problems(replace(kind(), **{each.name: below}))) == {each.name}
        assert set(problems(replace(kind(), **{each.name: above}))) == {each.name}


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("minutes", 0, "minutes = 0: it must lie from 1 to 2147483647 minutes; 30 is the default."),
        ("minutes", 1.5, "minutes = 1.5: it must be a whole number; give one, for example 30."),
        ("minutes", True, "minutes = True: it must be a whole number; give one, for example 30."),
        ("minutes", "30", "minutes = '30': it must be a whole number; give one, for example 30."),
        ("heat", 1.0000001, "heat = 1.0000001: it must lie from 0 to 1; 0.5 is the default."),
        ("heat", math.nan, "heat = nan: it must lie from 0 to 1; 0.5 is the default."),
        ("heat", math.inf, "heat = inf: it must lie from 0 to 1; 0.5 is the default."),
        ("heat", False, "heat = False: it must be a number; give one, for example 0.5."),
        ("heat", None, "heat = None: it must be a number; give one, for example 0.5."),
        ("mode", "steam", "mode = 'steam': choose one of fan, grill."),
        ("mode", 3, "mode = 3: it must be a name; give one, for example fan."),
        ("is_lit", 1, "is_lit = 1: it is true or false."),
        ("offset", math.nan, "offset = nan: it must lie from -inf to inf; 0.0 is the default."),
    ],
)
def test_a_problem_names_the_value_the_reason_and_the_remedy(name: str, value: Any, sentence: str) -> None:
    assert problems(replace(Oven(), **{name: value})) == {name: sentence}


def test_a_whole_number_will_do_for_a_number() -> None:
    assert problems(Oven(heat=1, offset=-7)) == {}


def test_all_problems_of_all_settings_are_found_at_once() -> None:
    with pytest.raises(InvalidSettings) as caught:
        validate(Oven(minutes=0, mode="steam"), SamplerConfig(eta=2.0), AdapterConfig())
    assert set(caught.value.problems) == {"minutes", "mode", "eta"}
    assert str(caught.value) == " ".join(caught.value.problems.values())
    validate(Oven(), SamplerConfig())


def test_an_unknown_setting_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(InvalidSettings) as caught:
        from_mapping(Oven, {"heet": 0.7, "minutes": 3, "tray": 1})
    assert set(caught.value.problems) == {"heet", "tray"}
    assert caught.value.problems["heet"] == "heet: there is no such setting; known are heat, is_lit, minutes, mode, offset."


def test_a_mapping_fills_in_the_defaults_and_is_checked() -> None:
    assert from_mapping(Oven, {"heat": 0.25}) == Oven(heat=0.25)
    with pytest.raises(InvalidSettings, match="heat = 7: "):
        from_mapping(Oven, {"heat": 7})


def test_a_field_without_a_default_must_be_given() -> None:
    @dataclass(frozen=True)
    class Named:
        name: str

    assert from_mapping(Named, {"name": "a"}) == Named("a")
    with pytest.raises(InvalidSettings, match="name: it must be given"):
        from_mapping(Named, {})


@pytest.mark.parametrize("kind", SHIPPED)
def test_json_brings_back_the_same_settings(kind: type) -> None:
    assert from_json(kind, to_json(kind())) == kind()


def test_json_keeps_every_digit_and_what_is_nested() -> None:
    config = RoundConfig(learning_rate=0.1 + 0.2, estimator_settings={"first_order_steps": 3}, seed=2**31 - 1)
    assert from_json(RoundConfig, to_json(config)) == config


def test_a_round_kept_before_rewards_had_settings_still_reads() -> None:
    values = json.loads(to_json(RoundConfig(reward="brightness", seed=4)))
    assert values.pop("reward_settings") == {}
    assert from_json(RoundConfig, json.dumps(values)) == RoundConfig(reward="brightness", seed=4)
    config = RoundConfig(reward="composite", reward_settings={"weights": {"text_match": 1.0, "brightness": -0.1}})
    assert from_json(RoundConfig, to_json(config)) == config


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"schema_version": None}, "schema_version"),
        ({"surprise": 1}, "surprise"),
        ({"heat": math.nan}, "heat"),
        ({"minutes": 0.0}, "minutes"),
    ],
)
def test_json_that_was_not_written_by_this_version_is_refused(change: dict[str, Any], name: str) -> None:
    text = json.dumps(json.loads(to_json(Oven())) | change)
    with pytest.raises(InvalidSettings) as caught:
        from_json(Oven, text)
    assert set(caught.value.problems) == {name}
