"""Page 4, Keep or undo: what the latest round changed, and all rounds."""

import gradio as gr

from app.live import STUDIO, Live
from app.pages import learn
from app.views import markup, rounds
from rlr_core.studio import Session, Studio


def build(live: Live) -> None:
    """Layout and wiring."""
    with gr.Column(elem_id="page-decide", elem_classes="page"):
        gr.HTML(
            markup.lead("Better than before?", "Same prompts, same noise. Keep what you like; undo what you do not, nothing is lost."),
            **STUDIO,
        )
        decision = live.region(verdict, elem_id="verdict")
        history = live.region(lambda _, session: rounds.history(session.rounds(), session.current_round()))
    live.on_command(decision, command)
    live.on_command(history, command)


def verdict(studio: Studio, session: Session) -> str:
    """The latest round before and after, and what can be done about it."""
    latest = learn.latest_round(session)
    if latest is None:
        return rounds.verdict(None, session.current_round(), (), "")
    return rounds.verdict(latest, session.current_round(), session.strip(latest.id), session.progress(latest.id).sentence)


def command(session: Session, data: dict[str, str]) -> None:
    """Undo, use another round, or resume one."""
    name = data.get("command", "")
    if name == "undo":
        session.undo()
    elif name == "checkout":
        session.checkout(data.get("round", ""))
    else:
        learn.command(session, data)
