"""Page 2, Rate: which of two pictures is better? And pictures brought along."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from app.live import STATIC, STUDIO, Live
from app.presses import Presses, read_presses, reply
from app.views import markup, taste
from rlr_core.errors import RLRError
from rlr_core.studio import Session, Studio

MOST_AHEAD = 16
LEARN_EVERY = 5
UPLOAD_NOTE = (
    "Uploads tell the studio what to look for, in general; they cannot say what is wrong with its own pictures. "
    "Ten answers usually teach more than ten uploads."
)


def build(live: Live) -> None:
    """Layout and wiring."""
    with gr.Column(elem_id="page-rate", elem_classes="page"):
        gr.HTML(
            markup.lead(
                "Which one is better?",
                "Trust your first glance. Same prompt, same noise but for one step: what you like is what it learns.",
            ),
            **STUDIO,
        )
        template = (STATIC / "question.html").read_text(encoding="utf-8")
        live.region(
            lambda _, session: session.id,
            ("rate.js",),
            html_template=template,
            server_functions=[press_function(live.studio)],
            elem_id="question",
        )
        live.region(learned)
        with gr.Accordion("Pictures you brought along", open=False):
            gr.HTML(f'<p class="quiet small">{UPLOAD_NOTE}</p>', **STUDIO)
            with gr.Row():
                liked, disliked = drop_zone("Drop pictures you like"), drop_zone("Drop pictures you dislike")
            uploads = live.region(lambda _, session: taste.uploads(session.uploads()))

    live.on(liked.upload, lambda session, files: keep_uploads(session, files, liked=True), [liked], [liked])
    live.on(disliked.upload, lambda session, files: keep_uploads(session, files, liked=False), [disliked], [disliked])
    live.on_command(uploads, lambda session, data: session.remove_upload(data.get("upload", "")))


def drop_zone(label: str) -> gr.File:
    """Where pictures are dropped; they are taken at once and the zone is empty again."""
    return gr.File(label=label, file_count="multiple", file_types=["image"], height=130)


def keep_uploads(session: Session, files: list[str] | None, liked: bool) -> None:
    """Keep every picture; the value returned empties the zone. The first file that is no picture stops with its sentence."""
    for file in files or []:
        session.upload(Path(file).read_bytes(), liked)
    session.refresh_taste()


def learned(studio: Studio, session: Session) -> str:
    """What is known of the taste."""
    summary = session.taste()
    return taste.taste(summary.sentence, summary.num_answers, summary.agreement_held_out)


def press_function(studio: Studio) -> Any:  # noqa: ANN401 - what Gradio lets a page call
    """The function that the question's script calls. It may be called by anyone who can reach the page, with anything."""
    presses = Presses()

    def press(sent: Any) -> dict[str, Any]:  # noqa: ANN401
        try:
            return take_presses(studio, presses, sent)
        except RLRError as problem:
            return {"error": str(problem)}

    return press


def take_presses(studio: Studio, presses: Presses, sent: object) -> dict[str, Any]:
    """Apply presses, see to further questions, and return what the page shows next."""
    if not isinstance(sent, Mapping):
        raise RLRError("The page sent something that cannot be read: reload it.")
    session = studio.session(str(sent.get("session")))
    new, before = read_presses(sent.get("presses")), session.num_answers()
    sentences = presses.apply(session, new)
    ahead = sent.get("ahead")
    ahead = min(ahead, MOST_AHEAD) if type(ahead) is int and ahead > 0 else MOST_AHEAD
    session.prepare_pairs(ahead)
    answers = session.num_answers()
    if answers // LEARN_EVERY > before // LEARN_EVERY:
        session.refresh_taste()
    return reply(new, session.open_pairs(ahead), answers, sentences)
