"""Answers as they come from the page. Each press of a key carries its own id, so that one which is sent twice counts once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rlr_core.errors import RLRError
from rlr_core.studio import Session

MOST_AT_ONCE = 64


@dataclass(frozen=True)
class Press:
    """One press; `kind` is "answer" or "undo"."""

    id: str
    kind: str
    pair: str
    choice: str


def read_presses(sent: object) -> list[Press]:
    """The presses in what a client sent; what is no list of presses raises RLRError."""
    if not isinstance(sent, list) or len(sent) > MOST_AT_ONCE:
        raise RLRError(f"The answers came in a form that cannot be read: send a list of at most {MOST_AT_ONCE}, or reload the page.")
    return [_read(each) for each in sent]


def _read(sent: object) -> Press:
    if not isinstance(sent, Mapping) or not isinstance(sent.get("id"), str) or sent.get("kind") not in ("answer", "undo"):
        raise RLRError("An answer came in a form that cannot be read: reload the page and answer again.")
    return Press(sent["id"][:64], sent["kind"], str(sent.get("pair") or ""), str(sent.get("choice") or ""))


def apply_presses(session: Session, presses: Sequence[Press]) -> list[str]:
    """Apply presses in order, each of them once: the store knows those it has. Returns the sentences of those that could not be."""
    return [sentence for press in presses if (sentence := _apply(session, press))]


def _apply(session: Session, press: Press) -> str:
    try:
        if press.kind == "answer":
            session.answer(press.pair, press.choice, press.id)
        else:
            session.undo_answer(press.id)
    except RLRError as problem:
        return str(problem)
    return ""
