"""Whether the reward is being cheated: the gauges of a round's last check, and what can be done when they ring."""

from html import escape
from math import isfinite

from app.views import charts
from app.views.markup import command, items
from rlr_core.drift import GAUGES, Drift, Reading
from rlr_core.session.records import RoundRecord


def alarm(round_: RoundRecord, drift: Drift) -> str:
    """What rings, and the two ways on; nothing unless the round waits for the decision."""
    if round_.status != "drifted":
        return ""
    return (
        f'<div class="problem" role="alert"><p>{escape(drift.sentence)} Look at the pictures: are they still what you want?</p>'
        f'<div class="buttons">{decision(round_)}</div></div>'
    )


def decision(round_: RoundRecord) -> str:
    """Go back to the last good state, or go on in spite of the alarm."""
    data = {"round": round_.id}
    return command("return", "Return to last good", data, kind="button strong") + command("resume", "Go on anyway", data, goto="learn")


def gauges(drift: Drift) -> str:
    """Every gauge with its change, its value at the start and now, and whether it rings; nothing before the first check."""
    if not drift.readings:
        return ""
    return f'<p class="quiet small">{_summary(drift)}</p><dl class="figures gauges">{items(map(_cell, drift.readings))}</dl>'


def _summary(drift: Drift) -> str:
    rings, all_ = len(drift.alarms), len(drift.readings)
    known = f"{rings} of {all_} gauges are beyond their limits" if rings else f"all {all_} gauges are within their limits"
    return f"Compared with the base model, {known}."


def _cell(reading: Reading) -> str:
    tag = ' <span class="tag bad">rings</span>' if reading.is_alarming else ""
    values = f"{charts.figure_text(reading.start)} → {charts.figure_text(reading.now)}"
    return (
        f'<div><dt>{escape(reading.label)}</dt><dd>{escape(_change(reading))}{tag}</dd><dd class="small quiet">{escape(values)}</dd></div>'
    )


def _change(reading: Reading) -> str:
    """The change in per cent with its standard error; the adapter's norm, which begins at nothing, is told as it is."""
    if GAUGES[reading.gauge].is_exact:
        return charts.figure_text(reading.now)
    error = f" ± {100 * reading.error:.0f}" if isfinite(reading.error) else ""
    percent = round(100 * reading.change)
    return f"{f'{percent:+d}' if percent else '0'}{error}%".replace("-", "−")
