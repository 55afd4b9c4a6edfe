"""A registry entry: a label, a sentence, its settings, how to make it, and whether it can run here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Generic, TypeVar

from rlr_core.errors import RLRError

Made = TypeVar("Made")


def always_available() -> None:
    """The availability of a plug-in that needs nothing."""


@dataclass(frozen=True)
class Plugin(Generic[Made]):
    """One entry of a registry.

    Attributes:
        label: what a person reads in a list.
        help: one sentence on what it does.
        settings: the frozen dataclass of its settings (rlr_core.config.setting fields).
        factory: makes it from an instance of `settings` (and what its package documents).
        availability: None, or the sentence that says why it cannot run here and what to do.
    """

    label: str
    help: str
    settings: type
    factory: Callable[..., Made]
    availability: Callable[[], str | None] = always_available


def find(registry: Mapping[str, Plugin[Any]], kind: str, name: str) -> Plugin[Any]:
    """The plug-in called `name`; a wrong name is answered with the nearest right ones."""
    if name not in registry:
        near = get_close_matches(name, registry, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise RLRError(f"{kind} '{name}' is unknown: {hint}there are {', '.join(sorted(registry))}.")
    plugin = registry[name]
    reason = plugin.availability()
    if reason is not None:
        raise RLRError(f"{kind} '{name}' cannot run here: {reason}")
    return plugin
