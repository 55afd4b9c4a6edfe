"""The server's side of the question: presses come in, the next questions go out."""

from collections.abc import Mapping
from typing import Any

from app.presses import apply_presses, read_presses
from rlr_core.errors import RLRError
from rlr_core.session.records import PairRecord
from rlr_core.session.worker import Job
from rlr_core.studio import ROUND_LABEL, Session, Studio

MOST_AHEAD = 16
POOL = 32  # questions kept waiting, so that there is a choice
MOST_WAITING = 1000
LEARN_EVERY = 5


class QuestionDesk:
    """Takes presses for any session. Whoever can reach the page can call it, with anything: all that comes is checked."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._jobs: dict[str, Job | None] = {}

    def press(self, sent: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON from a client
        """Apply the presses in `sent`, and answer with what the page shows next; {"error": sentence} if it cannot be read.

        The answer's "done" are the ids of presses that are safe now, "sentence" is what went wrong with them, "failure" why there are no
        further questions, "waiting" what stands where the next one will be.
        """
        try:
            return self._take(sent)
        except RLRError as problem:
            return {"error": str(problem)}

    def _take(self, sent: object) -> dict[str, Any]:
        if not isinstance(sent, Mapping):
            raise RLRError("The page sent something that cannot be read: reload it.")
        session, presses = self._studio.session(str(sent.get("session"))), read_presses(sent.get("presses"))
        answered_before = session.num_answers()
        sentences = apply_presses(session, presses)
        answered = session.num_answers()
        if answered // LEARN_EVERY > answered_before // LEARN_EVERY:
            session.refresh_taste()
        ahead = _number(sent.get("ahead"))
        failure = self._prepare(session, bool(sent.get("retry")))
        return {
            "done": [press.id for press in presses],
            "questions": [_question(pair) for pair in _next(session, ahead, sent.get("shown"))],
            "answers": answered,
            "sentence": " ".join(dict.fromkeys(sentences)),
            "failure": failure,
            "waiting": self._waiting(),
        }

    def _prepare(self, session: Session, retries: bool) -> str:
        """See to further questions. If the last attempt failed, say why instead, until somebody wants to try again."""
        job = self._jobs.get(session.id)
        if job is not None and job.state == "failed" and not retries:
            return job.error or ""
        self._jobs[session.id] = session.prepare_pairs(POOL)
        return ""

    def _waiting(self) -> str:
        """Why the next question may take a while."""
        job = self._studio.job()
        if job is not None and job.state in ("running", "paused") and job.label.startswith(ROUND_LABEL):
            return f"{job.label} is learning; further questions come when it has ended."
        return "The next question is being made …"


def _next(session: Session, ahead: int, shown: object) -> tuple[PairRecord, ...]:
    """The next questions. One that a person is looking at stays the first while it waits, whatever has become more informative."""
    return tuple(sorted(session.open_pairs(MOST_WAITING), key=lambda pair: pair.id != shown))[:ahead]


def _number(ahead: object) -> int:
    return min(ahead, MOST_AHEAD) if type(ahead) is int and ahead > 0 else MOST_AHEAD


def _question(pair: PairRecord) -> dict[str, str]:
    return {"id": pair.id, "prompt": pair.prompt, "a": pair.image_a, "b": pair.image_b}
