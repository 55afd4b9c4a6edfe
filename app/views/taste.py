"""What has been learned from answers and uploads, and the uploads themselves."""

from collections.abc import Sequence
from html import escape

from app.views import charts
from app.views.markup import command, items, link, picture, problems
from rlr_core.session.records import UploadRecord


def taste(sentence: str, is_empty: bool, agreement: float | None, failure: str | None = None, advice: str = "") -> str:
    """The panel beside the question; `agreement` is with answers kept out of the fit, 0.5 being chance; `failure` is why the fit failed."""
    advised = f'<p class="advice">{escape(advice)}</p>' if advice else ""
    known = "" if agreement is None else charts.meter("Answers foretold", 100 * agreement, 100, "Guessing would reach the middle.", "calm")
    told = problems([f"Your latest answers could not be learned from: {failure}"] if failure else [])
    action = f'<div class="buttons">{link("learn", "Learn from this", "button strong")}</div>' if not is_empty else ""
    body = f"<p>{escape(sentence)}</p>{told}{known}{advised}{action}"
    return f'<section class="panel learned"><h3>What the studio has learned</h3>{body}</section>'


def uploads(records: Sequence[UploadRecord]) -> str:
    """The pictures brought along, framed by what was said of them."""
    if not records:
        return ""
    return f'<ul class="uploads" aria-label="Your pictures">{items(map(_upload, records))}</ul>'


def _upload(record: UploadRecord) -> str:
    kind = "liked" if record.liked else "disliked"
    remove = command("remove", "×", {"upload": record.id}, kind="remove", spoken=f"Remove this {kind} picture")
    return f'<li class="{kind}">{picture(record.image_id, f"A picture you {kind}")}<span class="said">{kind}</span>{remove}</li>'
