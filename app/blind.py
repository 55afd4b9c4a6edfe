"""The server's side of a blind comparison: presses come in, the next pairs go out. Whose picture is whose stays here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.desk import Desk, number_ahead
from app.presses import read_list, sentences_of
from rlr_core.errors import RLRError
from rlr_core.proof import Proof
from rlr_core.session.records import BlindPair

MOST_AHEAD = 12


@dataclass(frozen=True)
class BlindPress:
    """One press: "answer" says `choice` of a pair, "undo" takes the last answer back."""

    id: str
    kind: str
    pair: str
    choice: str


def read_blind(texts: Mapping[str, str]) -> BlindPress | None:
    """The press in what a client sent; None if it is none."""
    if texts.get("kind") not in ("answer", "undo"):
        return None
    return BlindPress(texts["id"], texts["kind"], texts.get("pair", ""), texts.get("choice", ""))


class BlindDesk(Desk):
    """Takes presses for any comparison. Its answers say also whether the verdict can be seen ("complete")."""

    def _take(self, sent: object) -> dict[str, Any]:
        if not isinstance(sent, Mapping):
            raise RLRError("The page sent something that cannot be read: reload it.")
        proof = self._studio.session(str(sent.get("session"))).proof(str(sent.get("comparison")))
        presses = read_list(sent.get("presses"), read_blind)
        sentences = sentences_of(presses, lambda press: _apply(proof, press))
        failure = self._see_to(proof.id, proof.prepare, bool(sent.get("retry")))
        return {
            "done": [press.id for press in presses],
            "questions": [_question(pair) for pair in proof.open_pairs(number_ahead(sent.get("ahead"), MOST_AHEAD))],
            "answered": len(proof.answered()),
            "planned": proof.record.num_planned,
            "complete": proof.is_complete,
            "sentence": " ".join(dict.fromkeys(sentences)),
            "failure": failure,
            "waiting": self._waiting("pairs", "The next pair is being made …"),
        }


def _apply(proof: Proof, press: BlindPress) -> None:
    if press.kind == "answer":
        proof.answer(press.pair, press.choice, press.id)
    else:
        proof.undo(press.id)


def _question(pair: BlindPair) -> dict[str, str]:
    left, right = pair.sides
    return {"id": pair.id, "prompt": pair.prompt, "a": left, "b": right}
