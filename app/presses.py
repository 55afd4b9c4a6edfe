"""Presses as they come from the page. Each carries its own id, so that one which is sent twice counts once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.modes import MODES
from rlr_core.errors import NotKept, RLRError
from rlr_core.studio import Session

MOST_AT_ONCE = 64
MOST_CHARACTERS = 512


@dataclass(frozen=True)
class Press:
    """One press: in a mode, `said` was said of a card; or, where there is an `undoes`, what the press called so had said was taken back."""

    id: str
    mode: str
    card: str = ""
    said: str = ""
    undoes: str = ""


def read_presses(sent: object) -> list[Press]:
    """The presses in what a client sent; what is no list of presses raises RLRError."""
    if not isinstance(sent, list) or len(sent) > MOST_AT_ONCE:
        raise RLRError(f"The answers came in a form that cannot be read: send a list of at most {MOST_AT_ONCE}, or reload the page.")
    return [_read(each) for each in sent]


def _read(sent: object) -> Press:
    texts = {key: value for key, value in sent.items() if isinstance(value, str)} if isinstance(sent, Mapping) else {}
    if not texts.get("id") or texts.get("mode") not in MODES or any(len(text) > MOST_CHARACTERS for text in texts.values()):
        raise RLRError("An answer came in a form that cannot be read: reload the page and answer again.")
    return Press(texts["id"], texts["mode"], texts.get("card", ""), texts.get("said", ""), texts.get("undoes", ""))


def apply_presses(session: Session, presses: Sequence[Press]) -> list[str]:
    """Apply presses in order, each of them once: the store knows those it has. Returns the sentences of those that make no sense.

    Raises:
        NotKept: if the disk refuses one; then it and those after it are to be sent again.
    """
    return [sentence for press in presses if (sentence := _apply(session, press))]


def _apply(session: Session, press: Press) -> str:
    mode = MODES[press.mode]
    try:
        if press.undoes:
            mode.undo(session, press.id, press.undoes)
        else:
            mode.keep(session, press.card, press.said, press.id)
    except NotKept:
        raise
    except RLRError as problem:
        return str(problem)
    return ""
