"""Curves and bars as inline SVG and HTML; the numbers beside them are text, so that they stay readable at any width."""

from collections.abc import Sequence
from html import escape

from app.views.markup import items

WIDTH, HEIGHT = 600, 190


def figure_text(value: float) -> str:
    """A number short enough for an axis."""
    return f"{value:.3g}".replace("-", "−")


def reward_chart(points: Sequence[tuple[int, float, float]], num_updates: int) -> str:
    """Mean reward by update with a band of one standard error on either side.

    Args:
        points: (update, mean, standard error).
        num_updates: the right end of the axis.
    """
    if not points:
        return '<p class="quiet">The first point appears after the first update.</p>'
    low = min(mean - error for _, mean, error in points)
    high = max(mean + error for _, mean, error in points)
    pad = (high - low) * 0.08 or max(abs(high), 1.0) * 0.1
    low, high = low - pad, high + pad

    def x(update: float) -> str:
        return f"{WIDTH * (update - 1) / max(1, num_updates - 1):.1f}"

    def y(value: float) -> str:
        return f"{HEIGHT * (high - value) / (high - low):.1f}"

    mean_line = " ".join(f"{x(update)},{y(mean)}" for update, mean, _ in points)
    upper = [f"{x(update)},{y(mean + error)}" for update, mean, error in points]
    lower = [f"{x(update)},{y(mean - error)}" for update, mean, error in reversed(points)]
    last = points[-1]
    spoken = (
        f"After {last[0]} of {num_updates} updates the mean reward is {figure_text(last[1])} plus or minus {figure_text(last[2])}; "
        f"it began at {figure_text(points[0][1])}."
    )
    start = f'<line class="zero" x1="0" x2="{WIDTH}" y1="{y(points[0][1])}" y2="{y(points[0][1])}"/>'
    # A line of no length with round ends: a dot that stays round however the chart is stretched.
    dot = f'<polyline class="mean now" points="{x(last[0])},{y(last[1])} {x(last[0])},{y(last[1])}"/>'
    svg = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img">'
    return (
        f'<div class="chart"><div class="axis" aria-hidden="true"><span>{figure_text(high)}</span><span>{figure_text(low)}</span></div>'
        f"{svg}<title>Reward</title><desc>{escape(spoken)}</desc>"
        f'<polygon class="band" points="{" ".join(upper + lower)}"/>{start}<polyline class="mean" points="{mean_line}"/>{dot}</svg>'
        '<div class="below" aria-hidden="true"><span>update 1</span><span>mean reward ± 1 standard error</span>'
        f"<span>{num_updates}</span></div></div>"
    )


def meter(label: str, value: float, maximum: float, words: str, kind: str = "") -> str:
    """A bar with its words under it; a maximum of 0 shows an empty bar."""
    share = min(1.0, max(0.0, value / maximum)) if maximum > 0 else 0.0
    values = f'aria-valuemin="0" aria-valuemax="{maximum:g}" aria-valuenow="{value:g}" aria-valuetext="{escape(words)}"'
    return (
        f'<div class="measure"><div class="meter {kind}" role="meter" aria-label="{escape(label)}" {values}>'
        f'<i style="width:{100 * share:.1f}%"></i></div><p class="quiet small" aria-hidden="true">{escape(words)}</p></div>'
    )


def figures(pairs: Sequence[tuple[str, str]]) -> str:
    """Names with their values."""
    return f'<dl class="figures">{items(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs)}</dl>'
