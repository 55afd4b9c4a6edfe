"""What keeps a page true: regions of HTML that are rebuilt from the store, and sent only where the browser shows something older.

A reload, a second tab and a restarted server all come down to the same refresh. The browser holds one thing, the session's id.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency

from app.errors import told
from rlr_core.errors import RLRError
from rlr_core.studio import Session, Studio

Event = Callable[..., Dependency]

STATIC = Path(__file__).parent / "static"
TICK_SECONDS = 1.0
# For HTML whose look is all in studio.css.
STUDIO: dict[str, Any] = {"elem_classes": "studio", "apply_default_css": False, "padding": False}
QUIET = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
# Handlers go through the queue, because toasts do; nothing waits for its turn there.
HANDLED = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}


@dataclass(frozen=True)
class Region:
    """A piece of the page and the view that fills it."""

    component: gr.HTML
    view: Callable[[Studio, Session], str]


class Live:
    """The regions of one page under construction, and the handlers that change what they show."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        # The secret only has to stay the same, so that a restarted server reads what an earlier one left; an id is nothing to hide.
        self.session_id = gr.BrowserState("", storage_key="rlr-studio-session", secret="rlr-studio-session")
        self._regions: list[Region] = []
        self._handled: list[Dependency] = []
        self._on_open: list[tuple[Callable[..., Any], Sequence[Component]]] = []

    def session(self, session_id: object) -> Session:
        """The session a browser speaks of; one it cannot know any more gives way to the latest, or to a new one."""
        try:
            return self.studio.session(str(session_id))
        except RLRError:
            return self.studio.latest_session() or self.studio.create_session()

    def region(self, view: Callable[[Studio, Session], str], scripts: Sequence[str] = ("commands.js",), **html: Any) -> gr.HTML:  # noqa: ANN401
        """HTML kept true by `view`; its scripts run once, when it first appears."""
        component = gr.HTML("", js_on_load=read_scripts(scripts), **STUDIO, **html)
        self._regions.append(Region(component, view))
        return component

    def on(self, event: Event, handler: Callable[..., Any], inputs: Sequence[Component] = (), outputs: Sequence[Component] = ()) -> None:
        """Call `handler(session, *values)` on the event, tell its RLRErrors, then refresh."""

        def handle(session_id: object, *values: Any) -> Any:  # noqa: ANN401 - whatever the controls hold and show
            return handler(self.session(session_id), *values)

        self._listen(event, handle, inputs, outputs)

    def on_command(self, region: gr.HTML, handler: Callable[[Session, dict[str, str]], Any], outputs: Sequence[Component] = ()) -> None:
        """Call `handler(session, data)` when a button of the region is pressed; `data` are its data attributes, "command" among them."""

        def handle(session_id: object, event: gr.EventData) -> Any:  # noqa: ANN401
            sent = event._data if isinstance(event._data, dict) else {}
            return handler(self.session(session_id), {str(key): str(value) for key, value in sent.items()})

        self._listen(region.command, handle, (), outputs)

    def _listen(self, event: Event, handle: Callable[..., Any], inputs: Sequence[Component], outputs: Sequence[Component]) -> None:
        self._handled.append(event(told(handle), [self.session_id, *inputs], list(outputs) or None, **HANDLED))

    def on_open(self, handler: Callable[[Session], Any], outputs: Sequence[Component]) -> None:
        """Fill controls from the session when the page opens."""
        self._on_open.append((handler, outputs))

    def refresh(self, session_id: object, *shown: str) -> list[Any]:
        """New HTML for every region that shows something else than it should."""
        session = self.session(session_id)
        views = [region.view(self.studio, session) for region in self._regions]
        return [gr.skip() if view == old else view for view, old in zip(views, shown, strict=True)]

    def connect(self, page: gr.Blocks) -> None:
        """Wire everything: on opening, on every tick, after every handler."""
        components = [region.component for region in self._regions]
        inputs = [self.session_id, *components]
        page.load(lambda session_id: self.session(session_id).id, [self.session_id], [self.session_id], **QUIET).then(
            self.refresh, inputs, components, **QUIET
        )
        for handler, outputs in self._on_open:
            page.load(lambda session_id, fill=handler: fill(self.session(session_id)), [self.session_id], list(outputs), **QUIET)
        gr.Timer(TICK_SECONDS).tick(self.refresh, inputs, components, trigger_mode="once", **QUIET)
        for handled in self._handled:
            handled.then(self.refresh, inputs, components, **QUIET)


def read_scripts(names: Sequence[str]) -> str:
    """The texts of scripts in app/static, one after the other."""
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in names)
