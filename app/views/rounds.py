"""Rounds: one that runs, one that has ended, what it changed, and all of them."""

from collections.abc import Sequence
from html import escape

from app.views import charts, drift
from app.views.markup import command, count, duration, empty, items, link, missing_picture, picture, waiting_picture
from rlr_core.session.records import RoundRecord
from rlr_core.studio import RoundProgress, StripRow

LIVE = ("queued", "running")
UNFINISHED = ("interrupted", "stopped", "failed")
FINISHED = ("done", "budget_spent", "returned")
WORDS = {
    "queued": "waiting",
    "running": "running",
    "done": "done",
    "budget_spent": "done, its KL budget is spent",
    "stopped": "stopped",
    "drifted": "waits for your decision",
    "returned": "returned to its last good state",
    "failed": "failed",
    "interrupted": "interrupted",
}
TAGS = {
    "queued": "live",
    "running": "live",
    "done": "ready",
    "budget_spent": "ready",
    "returned": "ready",
    "failed": "bad",
    "drifted": "bad",
}


def status_tag(round_: RoundRecord, is_paused: bool = False) -> str:
    """The round's status in a word."""
    word, kind = ("paused", "live") if is_paused else (WORDS[round_.status], TAGS.get(round_.status, "blocked"))
    return f'<span class="tag {kind}">{escape(word)}</span>'


def progress(round_: RoundRecord | None, progress: RoundProgress | None, is_paused: bool) -> str:
    """The latest round: how far it is, its curves, and the buttons that make sense now."""
    if round_ is None or progress is None:
        return empty("No round yet. Choose how bold it may be and press “Start learning”; it takes a minute or two.")
    done = f"{progress.update} of {count(progress.num_updates, 'update')}"
    left = f" · about {duration(progress.seconds_left)} left" if progress.seconds_left is not None and round_.status in LIVE else ""
    head = (
        f'<div class="head"><h3>Round {round_.number} {status_tag(round_, is_paused)}</h3>'
        f'<div class="buttons">{_round_buttons(round_, is_paused)}</div></div>'
    )
    return (
        f'<section class="panel running" aria-label="Round {round_.number}">{head}'
        f"{charts.meter('Updates made', progress.update, progress.num_updates, done + left)}"
        f"{drift.alarm(round_, progress.drift) or f'<p>{escape(progress.sentence)}</p>'}"
        f"{charts.reward_chart(progress.rewards, progress.num_updates)}"
        f"{_distance(progress)}"
        f"{charts.figures(_figures(progress))}{drift.gauges(progress.drift)}</section>"
    )


def _distance(progress: RoundProgress) -> str:
    """How far from the base model, not from the round's start: that difference of two estimates could read as less than nothing."""
    limit = progress.kl_at_start + progress.kl_budget
    if not progress.kl:
        return charts.meter("KL from the base model", 0.0, limit, f"May add {charts.figure_text(progress.kl_budget)} nats of KL", "calm")
    kl = progress.kl[-1][1]
    began = f"began at {charts.figure_text(progress.kl_at_start)} and " if progress.kl_at_start else ""
    words = f"{charts.figure_text(kl)} nats of KL from the base model; this round {began}may reach {charts.figure_text(limit)}"
    return charts.meter("KL from the base model", kl, limit, words, "calm")


def _figures(progress: RoundProgress) -> list[tuple[str, str]]:
    if not progress.rewards:
        return []
    _, mean, error = progress.rewards[-1]
    shown = [("Reward at first", progress.rewards[0][1]), ("Reward now", mean), ("give or take", error)]
    if progress.gradient_norm is not None:
        shown.append(("Gradient length", progress.gradient_norm))
    shown += [(f"of which {name.replace('_', ' ')}", norm) for name, norm in progress.part_norms.items()]
    figures = [(name, charts.figure_text(value)) for name, value in shown]
    if progress.effective_share is not None:
        figures.append(("Answers still count", f"{progress.effective_share:.0%}"))
    return figures


def _round_buttons(round_: RoundRecord, is_paused: bool) -> str:
    if round_.status in LIVE:
        pause = command("go_on", "Go on") if is_paused else command("pause", "Pause")
        return pause + command("stop", "Stop")
    if round_.status in UNFINISHED:
        return _resume(round_) + link("decide", "Keep or undo")
    return link("decide", "Keep or undo", "button strong")


def _resume(round_: RoundRecord) -> str:
    return command("resume", "Resume", {"round": round_.id}, kind="button strong", goto="learn")


def strip(rows: Sequence[StripRow], is_live: bool, kind: str = "strip") -> str:
    """The same prompts and seeds before and after, side by side; while the round is live, missing pictures are still to come."""
    if not is_live and not any(row.before or row.after for row in rows):
        return ""
    return f'<div class="{kind}">{items(_pair(row, is_live) for row in rows)}</div>' if rows else ""


def _pair(row: StripRow, is_live: bool) -> str:
    before, after = (
        picture(image, f"{when}: {row.prompt}") if image else _no_picture(when, is_live)
        for when, image in (("Before", row.before), ("After", row.after))
    )
    words = '<span class="when">before</span><span class="when">after</span>'
    return f'<figure><div class="both">{before}{after}{words}</div><figcaption>{escape(row.prompt)}</figcaption></figure>'


def _no_picture(when: str, is_live: bool) -> str:
    return waiting_picture(f"{when}: being made") if is_live else missing_picture(f"{when}: not made")


def live_strip(rows: Sequence[StripRow], is_live: bool) -> str:
    """The strip with its heading, for the page of a running round."""
    pictures = strip(rows, is_live)
    if not pictures:
        return ""
    note = "Same prompts, same noise: whatever differs was learned."
    return f'<section class="panel"><h3>Before and after</h3><p class="quiet small">{note}</p>{pictures}</section>'


def verdict(round_: RoundRecord | None, current: RoundRecord, rows: Sequence[StripRow], sentence: str) -> str:
    """What the latest round changed, and the two buttons that decide about it."""
    if round_ is None:
        return empty("Nothing to decide yet: the first round has not been learned.", link("learn", "Learn a round", "button strong"))
    if round_.status in LIVE:
        return empty(f"Round {round_.number} is still learning.", link("learn", "Watch it", "button strong"))
    title = f'<h3>Round {round_.number} <span class="quiet">against</span> what was before {status_tag(round_)}</h3>'
    return (
        f'<section class="panel verdict">{title}<p>{escape(sentence)}</p>{strip(rows, False, "strip large")}'
        f'<div class="buttons">{_decision(round_, current)}</div></section>'
    )


def _decision(round_: RoundRecord, current: RoundRecord) -> str:
    if current.id == round_.id:
        return link("rate", "Keep it and rate on", "button strong") + command("undo", "Undo round")
    in_use = f'<p class="quiet">{escape(_name(current))} is in use now.</p>'
    if round_.status == "drifted":
        return drift.decision(round_) + command("checkout", "Use it as it is", {"round": round_.id}) + in_use
    if round_.status in UNFINISHED:
        return _resume(round_) + command("checkout", "Use it as it is", {"round": round_.id}) + in_use
    return command("checkout", f"Bring round {round_.number} back", {"round": round_.id}, "button strong") + in_use


def _name(round_: RoundRecord) -> str:
    return f"Round {round_.number}" if round_.number else "The base model"


def history(rounds: Sequence[RoundRecord], current: RoundRecord) -> str:
    """All rounds, the latest first; each that can be used has a button for it."""
    if len(rounds) < 2:
        return ""
    numbers = {each.id: each.number for each in rounds}
    rows = items(_row(each, current, numbers) for each in reversed(rounds))
    return f'<section class="panel"><h3>All rounds</h3><ol class="rounds">{rows}</ol></section>'


def _row(round_: RoundRecord, current: RoundRecord, numbers: dict[str, int]) -> str:
    is_current = round_.id == current.id
    origin = "the model as it came" if round_.parent_id is None else f"from {_origin(numbers.get(round_.parent_id, 0))}"
    tag = status_tag(round_) if round_.number else ""
    return (
        f'<li class="{"current" if is_current else ""}"><span class="number" aria-hidden="true">{round_.number}</span>'
        f'<span>{escape(_name(round_))} {tag}<br><span class="quiet small">{escape(origin)}</span></span>'
        f"{_row_action(round_, is_current)}</li>"
    )


def _row_action(round_: RoundRecord, is_current: bool) -> str:
    if is_current:
        return '<span class="tag live">in use</span>'
    if round_.status not in LIVE:
        return command("checkout", "Use this", {"round": round_.id}, spoken=f"Use {_name(round_)}")
    return "<span></span>"


def _origin(number: int) -> str:
    return f"round {number}" if number else "the base model"
