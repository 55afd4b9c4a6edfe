"""The server's side of a blind comparison: presses come in, the next pairs go out. Whose picture is whose stays here."""

from collections.abc import Mapping
from typing import Any

from app.presses import Press, read_presses
from rlr_core.errors import RLRError
from rlr_core.proof import Proof
from rlr_core.session.records import BlindPair
from rlr_core.session.worker import Job
from rlr_core.studio import ROUND_LABEL, Studio

MOST_AHEAD = 12


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


def _apply(proof: Proof, press: Press) -> str:
    try:
        if press.kind == "answer":
            proof.answer(press.pair, press.choice, press.id)
        else:
            proof.undo(press.id)
    except RLRError as problem:
        return str(problem)
    return ""


def _number(ahead: object) -> int:
    return min(ahead, MOST_AHEAD) if type(ahead) is int and ahead > 0 else MOST_AHEAD


def _question(pair: BlindPair) -> dict[str, str]:
    left, right = pair.sides
    return {"id": pair.id, "prompt": pair.prompt, "a": left, "b": right}
