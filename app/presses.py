"""Answers as they come from the page. Each press of a key carries its own id, so that one which is sent twice counts once."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from rlr_core.errors import RLRError
from rlr_core.studio import Session

UNDOS_REMEMBERED = 4096
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


class Presses:
    """Applies presses in order, each of them once. The store knows the answers it has; undos are remembered here."""

    def __init__(self) -> None:
        self._undone: OrderedDict[str, None] = OrderedDict()
        self._lock = Lock()

    def apply(self, session: Session, presses: Sequence[Press]) -> list[str]:
        """Apply what is new; returns the sentences of those that could not be."""
        with self._lock:
            return [sentence for press in presses if (sentence := self._apply(session, press))]

    def _apply(self, session: Session, press: Press) -> str:
        try:
            if press.kind == "answer":
                session.answer(press.pair, press.choice, press.id)
            else:
                self._undo(session, press.id)
        except RLRError as problem:
            return str(problem)
        return ""

    def _undo(self, session: Session, press_id: str) -> None:
        if press_id not in self._undone:
            session.undo_answer()
            self._undone[press_id] = None
            while len(self._undone) > UNDOS_REMEMBERED:
                self._undone.popitem(last=False)
