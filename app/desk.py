"""What the server's sides of all questions share: a page calls them with what was pressed, and shows what they answer with."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from typing import Any

from rlr_core.errors import RLRError
from rlr_core.session.worker import Job
from rlr_core.studio import Studio


class Desk(ABC):
    """Takes presses. Whoever can reach the page can call it, with anything: all that comes is checked."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._jobs: dict[Hashable, Job | None] = {}

    def press(self, sent: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON from a client
        """Apply the presses in `sent`, and answer with what the page shows next; {"error": sentence} if they could not be taken at all.

        Of the answer, "done" are the ids of presses that are safe now, "sentence" is what went wrong with them, "failure" why nothing
        further comes, "waiting" what stands where the next thing will be.
        """
        try:
            return self._take(sent)
        except RLRError as problem:
            return {"error": str(problem)}

    @abstractmethod
    def _take(self, sent: object) -> dict[str, Any]:
        """The answer to a message; RLRError if it cannot be read."""

    def _see_to(self, key: Hashable, prepare: Callable[[], Job | None], retries: bool) -> str:
        """See to what comes next. If the last attempt failed, say why instead, until somebody wants to try again."""
        job = self._jobs.get(key)
        if job is not None and job.state == "failed" and not retries:
            return job.error or ""
        self._jobs[key] = prepare()
        return ""

    def _waiting(self, further: str, otherwise: str) -> str:
        """Why the next thing may take a while; `further` things come once a round has ended."""
        job = self._studio.job()
        if job in self._studio.learning_jobs() and job.state != "queued":
            return f"{job.label} is learning; further {further} come when it has ended."
        return otherwise


def number_ahead(sent: object, most: int) -> int:
    """How many things the page wants to have, of which it gets no more than `most`."""
    return min(sent, most) if type(sent) is int and sent > 0 else most
