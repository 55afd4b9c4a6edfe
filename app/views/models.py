"""The cards of the base models, the preview pictures, the sessions so far."""

import time
from collections.abc import Mapping, Sequence
from html import escape

from app.views.markup import command, empty, items, link, picture, size, waiting_picture
from rlr_core.pipelines.catalogue import BaseModelCard
from rlr_core.session.records import SampleRecord, SessionRecord


def cards(models: Sequence[BaseModelCard], reasons: dict[str, str | None], chosen: str) -> str:
    """One card a model; `reasons` says by name why a model cannot run here (None: it can). All can be chosen."""
    written = items(_card(each, reasons.get(each.name), chosen) for each in models)
    return f'<div class="cards" role="group" aria-label="Base model">{written}</div>'


def short_name(base_model: str, models: Mapping[str, BaseModelCard]) -> str:
    """What a base model is called where there is little room."""
    return models[base_model].label.split(" (")[0] if base_model in models else base_model.rstrip("/").rsplit("/", 1)[-1]


def _card(model: BaseModelCard, reason: str | None, chosen: str) -> str:
    is_chosen = str(model.name == chosen).lower()
    needs = f"{_download(model)} · needs about {size(model.memory_bytes)} of memory"
    return (
        f'<button type="button" data-command="choose" data-model="{escape(model.name)}" aria-pressed="{is_chosen}">'
        f'<span class="title">{escape(model.label)}</span>{_tag(model, reason)}'
        f'<span class="facts">{needs}<br>Licence: {escape(model.licence)}</span>'
        + (f'<span class="facts">{escape(reason[:1].upper() + reason[1:])}</span>' if reason else "")
        + "</button>"
    )


def _tag(model: BaseModelCard, reason: str | None) -> str:
    if reason:
        return '<span class="tag bad">Cannot run here</span>'
    return '<span class="tag ready">Ready</span>' if model.is_on_disk() else '<span class="tag blocked">Download first</span>'


def _download(model: BaseModelCard) -> str:
    return f"{size(model.download_bytes)} download" if model.download_bytes else "Ships with the studio"


def previews(samples: Sequence[SampleRecord], num_waiting: int = 0) -> str:
    """The latest pictures, or `num_waiting` places for those being made."""
    if num_waiting:
        return f'<div class="pictures">{items(f"<figure>{waiting_picture()}</figure>" for _ in range(num_waiting))}</div>'
    if not samples:
        return empty("No pictures yet. Press “Make four pictures”.")
    action = link("rate", "Now say which you like", "button strong")
    return f'<div class="pictures">{items(map(_preview, samples))}</div><div class="buttons next">{action}</div>'


def _preview(sample: SampleRecord) -> str:
    return f"<figure>{picture(sample.image_id, sample.prompt)}<figcaption>{escape(sample.prompt)}</figcaption></figure>"


def features(label: str) -> str:
    """What the session's taste goes by, and what another choice would mean."""
    return (
        f'<p class="quiet small">In this session: <strong>{escape(label)}</strong>. With another choice a new session begins, which has '
        "this one's model and prompts; answers stay where they were given.</p>"
    )


def sessions(records: Sequence[SessionRecord], current: str) -> str:
    """Earlier sessions, each with a button that opens it."""
    others = [each for each in records if each.id != current]
    if not others:
        return ""
    rows = items(
        f"<li><span>{escape(each.base_model)} · {escape(', '.join(each.prompts[:3]))}"
        f'<span class="quiet small"> · {time.strftime("%d %b %Y, %H:%M", time.localtime(each.created_at))}</span></span>'
        + command("open", "Open", {"session": each.id}, kind="link", spoken=f"Open the session of {each.base_model}")
        + "</li>"
        for each in reversed(others)
    )
    return f'<section class="panel sessions"><h3>Earlier sessions</h3><ul>{rows}</ul></section>'
