"""The server's side of a blind comparison: presses come in, the next pairs go out. Whose picture is whose stays here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.presses import MOST_AT_ONCE, MOST_CHARACTERS
from rlr_core.errors import NotKept, RLRError
from rlr_core.proof import Proof
from rlr_core.session.records import BlindPair
from rlr_core.session.worker import Job
from rlr_core.studio import ROUND_LABEL, Studio

MOST_AHEAD = 12


@dataclass(frozen=True)
class BlindPress:
    """One press: "answer" says `choice` of a pair, "undo" takes the last answer back."""

    id: str
    kind: str
    pair: str
    choice: str


def read_presses(sent: object) -> list[BlindPress]:
    """The presses in what a client sent; what is no list of presses raises RLRError."""
    if not isinstance(sent, list) or len(sent) > MOST_AT_ONCE:
        raise RLRError(f"The answers came in a form that cannot be read: send a list of at most {MOST_AT_ONCE}, or reload the page.")
    return [_read(each) for each in sent]


def _read(sent: object) -> BlindPress:
    texts = {key: value for key, value in sent.items() if isinstance(value, str)} if isinstance(sent, Mapping) else {}
    if not texts.get("id") or texts.get("kind") not in ("answer", "undo") or any(len(text) > MOST_CHARACTERS for text in texts.values()):
        raise RLRError("An answer came in a form that cannot be read: reload the page and answer again.")
    return BlindPress(texts["id"], texts["kind"], texts.get("pair", ""), texts.get("choice", ""))


class BlindDesk:
    """Takes presses for any comparison. Whoever can reach the page can call it, with anything: all that comes is checked."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._jobs: dict[str, Job | None] = {}

    def press(self, sent: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON from a client
        """Apply the presses in `sent`, and answer with what the page shows next; {"error": sentence} if it cannot be read.

        The answer's "done" are the ids of presses that are safe now, "sentence" is what went wrong with them, "failure" why there are no
        further pairs, "waiting" what stands where the next one will be, "complete" whether the verdict can be seen.
        """
        try:
            return self._take(sent)
        except RLRError as problem:
            return {"error": str(problem)}

    def _take(self, sent: object) -> dict[str, Any]:
        if not isinstance(sent, Mapping):
            raise RLRError("The page sent something that cannot be read: reload it.")
        proof = self._studio.session(str(sent.get("session"))).proof(str(sent.get("comparison")))
        presses = read_presses(sent.get("presses"))
        sentences = [sentence for press in presses if (sentence := _apply(proof, press))]
        failure = self._prepare(proof, bool(sent.get("retry")))
        return {
            "done": [press.id for press in presses],
            "questions": [_question(pair) for pair in proof.open_pairs(_number(sent.get("ahead")))],
            "answered": len(proof.answered()),
            "planned": proof.record.num_planned,
            "complete": proof.is_complete,
            "sentence": " ".join(dict.fromkeys(sentences)),
            "failure": failure,
            "waiting": self._waiting(),
        }

    def _prepare(self, proof: Proof, retries: bool) -> str:
        """See to further pairs. If the last attempt failed, say why instead, until somebody wants to try again."""
        job = self._jobs.get(proof.id)
        if job is not None and job.state == "failed" and not retries:
            return job.error or ""
        self._jobs[proof.id] = proof.prepare()
        return ""

    def _waiting(self) -> str:
        """Why the next pair may take a while."""
        job = self._studio.job()
        if job is not None and job.state in ("running", "paused") and job.label.startswith(ROUND_LABEL):
            return f"{job.label} is learning; further pairs come when it has ended."
        return "The next pair is being made …"


def _apply(proof: Proof, press: BlindPress) -> str:
    try:
        if press.kind == "answer":
            proof.answer(press.pair, press.choice, press.id)
        else:
            proof.undo(press.id)
    except NotKept:
        raise
    except RLRError as problem:
        return str(problem)
    return ""


def _number(ahead: object) -> int:
    return min(ahead, MOST_AHEAD) if type(ahead) is int and ahead > 0 else MOST_AHEAD


def _question(pair: BlindPair) -> dict[str, str]:
    left, right = pair.sides
    return {"id": pair.id, "prompt": pair.prompt, "a": left, "b": right}
