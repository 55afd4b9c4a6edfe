"""The server's side of the Rate page: presses come in, the next cards go out."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from app.modes import MODES
from app.presses import Press, apply_presses, read_presses
from rlr_core.errors import RLRError
from rlr_core.session.worker import Job
from rlr_core.studio import ROUND_LABEL, Session, Studio

MOST_AHEAD = 24
MOST_NAMED = 1000
LEARN_EVERY = 5


class QuestionDesk:
    """Takes presses for any session. Whoever can reach the page can call it, with anything: all that comes is checked."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._jobs: dict[tuple[str, str], Job | None] = {}

    def press(self, sent: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON from a client
        """Apply the presses in `sent`, and answer with what the page shows next; {"error": sentence} if they could not be taken at all.

        Of the answer, "done" are the ids of presses that are safe now, "sentence" is what went wrong with them, "cards" are the next ones,
        less those in "without", and those in "held" without their HTML, "count" is how much was said in this mode, "round" whose pictures
        they are, "failure" why no further cards come, "waiting" what stands where the next one will be.
        """
        try:
            return self._take(sent)
        except RLRError as problem:
            return {"error": str(problem)}

    def _take(self, sent: object) -> dict[str, Any]:
        if not isinstance(sent, Mapping) or sent.get("mode") not in list(MODES):
            raise RLRError("The page sent something that cannot be read: reload it.")
        name, session, presses = str(sent["mode"]), self._studio.session(str(sent.get("session"))), read_presses(sent.get("presses"))
        sentences = self._apply(session, presses)
        mode, ahead, waiting = MODES[name], _number(sent.get("ahead")), MODES[name].waiting(session)
        without, held = waiting.keys() & _names(sent.get("without")), _names(sent.get("held"))
        failure = self._prepare(session, name, ahead + len(without), bool(sent.get("retry")))
        cards = islice((each for each in waiting.items() if each[0] not in without), ahead)
        return {
            "done": [press.id for press in presses],
            "cards": [{"id": card, "html": "" if card in held else mode.view(card, each)} for card, each in cards],
            "count": mode.count(session),
            "round": session.record.current_round_id,
            "sentence": " ".join(dict.fromkeys(sentences)),
            "failure": failure,
            "waiting": self._waiting(),
        }

    def _apply(self, session: Session, presses: list[Press]) -> list[str]:
        """Apply the presses, and learn from them every so often."""
        if not presses:
            return []
        before = _said(session)
        sentences = apply_presses(session, presses)
        if _said(session) // LEARN_EVERY > before // LEARN_EVERY:
            session.refresh_taste()
        return sentences

    def _prepare(self, session: Session, name: str, ahead: int, retries: bool) -> str:
        """See to further cards. If the last attempt failed, say why instead, until somebody wants to try again."""
        job = self._jobs.get((session.id, name))
        if job is not None and job.state == "failed" and not retries:
            return job.error or ""
        self._jobs[session.id, name] = MODES[name].prepare(session, ahead)
        return ""

    def _waiting(self) -> str:
        """Why the next card may take a while."""
        job = self._studio.job()
        if job is not None and job.state in ("running", "paused") and job.label.startswith(ROUND_LABEL):
            return f"{job.label} is learning; further pictures come when it has ended."
        return "The next pictures are being made …"


def _said(session: Session) -> int:
    return session.num_answers() + session.num_ratings()


def _number(ahead: object) -> int:
    return min(ahead, MOST_AHEAD) if type(ahead) is int and ahead > 0 else MOST_AHEAD


def _names(cards: object) -> set[str]:
    """Cards that the page names."""
    return {str(each) for each in cards[:MOST_NAMED]} if isinstance(cards, list) else set()
