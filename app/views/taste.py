"""What has been learned from answers and uploads, and the uploads themselves."""

from collections.abc import Sequence
from html import escape

from app.views.markup import command, items, link, picture
from rlr_core.session.records import UploadRecord


def taste(sentence: str, num_answers: int, agreement: float | None) -> str:
    """The panel beside the question; `agreement` is with answers kept out of the fit, 0.5 being chance."""
    meter = ""
    if agreement is not None:
        percent = round(100 * agreement)
        meter = (
            f'<div class="meter calm" role="meter" aria-label="Agreement with answers kept out of the fit" aria-valuemin="0" aria-valuemax="100" '
            f'aria-valuenow="{percent}"><i style="width:{percent}%"></i></div>'
        )
    action = link("learn", "Learn from this", "button strong") if num_answers else ""
    return f'<section class="panel learned"><h3>What the studio has learned</h3><p>{escape(sentence)}</p>{meter}<div class="buttons">{action}</div></section>'


def uploads(records: Sequence[UploadRecord]) -> str:
    """The pictures brought along, framed by what was said of them."""
    if not records:
        return ""
    return f'<ul class="uploads" aria-label="Your pictures">{items(map(_upload, records))}</ul>'


def _upload(record: UploadRecord) -> str:
    kind = "liked" if record.liked else "disliked"
    remove = command("remove", "×", {"upload": record.id}, kind="remove", spoken=f"Remove this {kind} picture")
    return f'<li class="{kind}">{picture(record.image_id, f"A picture you {kind}")}{remove}</li>'
