"""A registry entry: a label, a sentence, its settings, how to make it, and whether it can run here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Generic, TypeVar

from rlr_core.config import from_mapping
from rlr_core.errors import RLRError

Made = TypeVar("Made")


def always_available(settings: object = None) -> None:
    """The availability of a plug-in that needs nothing, whatever its settings."""


@dataclass(frozen=True)
class Plugin(Generic[Made]):
    """One entry of a registry.

    Attributes:
        label: what a person reads in a list.
        help: one sentence on what it does.
        settings: the frozen dataclass of its settings (rlr_core.config.setting fields).
        factory: makes it from an instance of `settings` (and what its package documents).
        availability: None, or the sentence that says why it cannot run here and what to do; asked with its settings, or without any for
            the defaults. Loads nothing and asks no network.
    """

    label: str
    help: str
    settings: type
    factory: Callable[..., Made]
    availability: Callable[..., str | None] = always_available


def find(registry: Mapping[str, Plugin[Any]], kind: str, name: str) -> Plugin[Any]:
    """The plug-in called `name`, if it can run here with its defaults; a wrong name is answered with the nearest right ones."""
    plugin = _named(registry, kind, name)
    _refuse(kind, name, plugin.availability())
    return plugin


def find_with(registry: Mapping[str, Plugin[Any]], kind: str, name: str, values: Mapping[str, Any]) -> tuple[Plugin[Any], Any]:
    """The plug-in called `name` and its settings, those of `values` and else the defaults, if it can run here with them.

    Raises:
        RLRError: the name or a setting is wrong, or it cannot run here.
    """
    plugin = _named(registry, kind, name)
    settings = from_mapping(plugin.settings, values)
    _refuse(kind, name, plugin.availability(settings))
    return plugin, settings


def _named(registry: Mapping[str, Plugin[Any]], kind: str, name: str) -> Plugin[Any]:
    if name not in registry:
        near = get_close_matches(name, registry, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise RLRError(f"{kind} '{name}' is unknown: {hint}there are {', '.join(sorted(registry))}.")
    return registry[name]


def _refuse(kind: str, name: str, reason: str | None) -> None:
    if reason is not None:
        raise RLRError(f"{kind} '{name}' cannot run here: {reason}")
