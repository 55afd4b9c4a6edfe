"""What a person sees when something asked for cannot be done: one sentence in a toast. Anything else is a bug and stays an error."""

import functools
from collections.abc import Callable
from html import escape
from typing import Any

import gradio as gr

from rlr_core.errors import RLRError


def tell(problem: RLRError) -> None:
    """Show the problem's sentence in a toast. Toasts render HTML, and the sentence may quote what somebody typed: it is escaped."""
    gr.Warning(escape(str(problem)), duration=12, title="That did not work")


def told(handler: Callable[..., Any]) -> Callable[..., Any]:
    """The handler, with every RLRError turned into a toast; the page then stays as it is."""

    @functools.wraps(handler)
    def telling(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever the handler takes and gives
        try:
            return handler(*arguments, **named)
        except RLRError as problem:
            tell(problem)
            return gr.skip()

    return telling
