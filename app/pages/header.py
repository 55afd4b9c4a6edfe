"""The header above all pages: the four steps and the news."""

from app.live import Live
from app.views import header
from app.views.header import Step
from app.views.markup import count
from app.views.models import short_name
from app.views.rounds import LIVE, WORDS
from rlr_core.pipelines.catalogue import BASE_MODELS
from rlr_core.session.events import ASKING, DRAWING, FITTING, LOADING, SUPPLYING
from rlr_core.session.records import RoundRecord
from rlr_core.studio import Session, Studio

# Where it is said why work failed.
PAGES = {LOADING: "model", DRAWING: "model", ASKING: "rate", SUPPLYING: "rate", FITTING: "rate"}


def build(live: Live) -> None:
    """The header, kept true."""
    live.region(view, ("steps.js",), elem_id="header")


def view(studio: Studio, session: Session) -> str:
    """The steps as the session stands, and what the worker is at."""
    return header.header(steps(session), news(studio, session))


def news(studio: Studio, session: Session) -> str:
    """What is being done, else what failed, else that all is well."""
    job, failures, latest = studio.job(), session.failures(), session.rounds()[-1]
    if job is not None and job.state in header.BUSY:
        return header.news(job.state, job.label)
    if failures:
        label = next(iter(failures))
        return header.trouble(PAGES[label], label)
    return header.trouble("learn", f"Round {latest.number}") if latest.status == "failed" else header.news("", "")


def steps(session: Session) -> list[Step]:
    """How far the session is, step by step."""
    answers, ratings, latest, current = session.num_answers(), session.num_ratings(), session.rounds()[-1], session.current_round()
    has_pictures, is_learning = bool(session.previews(1)), latest.status in LIVE
    waits = latest.status == "drifted"
    has_ended = latest.number > 0 and not is_learning and latest.status != "failed"
    return [
        Step("model", "Model", short_name(session.record.base_model, BASE_MODELS), "done" if has_pictures else ""),
        Step("rate", "Rate", _rate_note(answers, ratings), "done" if answers or ratings else ""),
        Step("learn", "Learn", _learn_note(latest), "waiting" if is_learning or waits else "done" if has_ended else ""),
        Step("decide", "Keep or undo", _decide_note(current), "waiting" if has_ended and latest.id == current.id else ""),
    ]


def _rate_note(answers: int, ratings: int) -> str:
    said = [count(number, noun) for number, noun in ((answers, "answer"), (ratings, "rating")) if number]
    return ", ".join(said) or count(0, "answer")


def _learn_note(latest: RoundRecord) -> str:
    return f"Round {latest.number}: {WORDS[latest.status]}" if latest.number else "No round yet"


def _decide_note(current: RoundRecord) -> str:
    return f"Round {current.number} in use" if current.number else "Base model in use"
