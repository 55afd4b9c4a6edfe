"""Two rounds against each other: which to compare, how it came out, and the pictures side by side once it is no longer blind."""

from collections.abc import Sequence
from html import escape

from app.views.markup import command, count, items, link, picture, problems, select
from app.views.rounds import name, small_name
from rlr_core.session.records import BlindPair, RoundRecord
from rlr_core.verdict import Verdict

HEADLINES = {"better": "Better", "worse": "Worse", "no difference yet": "No difference yet"}


def chooser(rounds: Sequence[RoundRecord], earlier: str, later: str, failure: str | None) -> str:
    """The two lists of rounds and the button that begins, or goes on with, their comparison."""
    usable = [(each.id, name(each)) for each in rounds if not each.is_live]
    if len(usable) < 2:
        return ""
    lists = select("earlier", "This one", usable, earlier, "earlier") + select("later", "Against this one", usable, later, "later")
    return (
        '<section class="panel" aria-label="Blind comparison"><h3>Which is better when you cannot see which is which?</h3>'
        '<p class="quiet small">The same prompts and the same noise, the sides shuffled. How it stands is told at the end.</p>'
        f"{problems([failure] if failure else [])}"
        f'<div class="fields" data-fields>{lists}{command("compare", "Compare blind", kind="button strong")}</div></section>'
    )


def outcome(verdict: Verdict, earlier: RoundRecord, later: RoundRecord, pairs: Sequence[BlindPair], in_use: str) -> str:
    """The verdict of a comparison whose planned questions are answered, and its pictures.

    Args:
        pairs: the answered ones.
        in_use: the id of the round in use.
    """
    head = (
        f'<h3>{HEADLINES[verdict.conclusion]} <span class="quiet">{escape(name(later))} against {escape(small_name(earlier))}</span></h3>'
    )
    return (
        f'<div class="stack"><section class="panel outcome {verdict.conclusion.partition(" ")[0]}" aria-label="Verdict">{head}'
        f"<p>{escape(sentence(verdict, earlier, later))}</p>{_bar(verdict)}"
        f'<div class="buttons">{_advice(verdict, earlier, later, in_use)}</div></section>'
        f"{comparison(pairs, earlier, later)}</div>"
    )


def sentence(verdict: Verdict, earlier: RoundRecord, later: RoundRecord) -> str:
    """What was found, in words a person would use."""
    low, high = verdict.interval
    ties = f", {count(verdict.ties, 'tie')}" if verdict.ties else ""
    told = (
        f"You picked {small_name(later)}'s picture in {verdict.wins} of {count(verdict.num_questions, 'pair')}{ties}. "
        f"That is a win rate of {verdict.win_rate:.0%}; the true one lies between {low:.0%} and {high:.0%}, 95 times in 100."
    )
    if verdict.conclusion != "no difference yet":
        return told
    if verdict.num_needed is None:
        return f"{told} So far neither is ahead."
    return f"{told} {count(verdict.num_needed, 'more answer')} like these would tell."


def _bar(verdict: Verdict) -> str:
    """The interval on a line from 0 to 100 %, with one half marked."""
    low, high = (100 * each for each in verdict.interval)
    words = f"Win rate {verdict.win_rate:.0%}, 95 % interval from {low:.0f} % to {high:.0f} %; one half means no difference."
    inside = (
        f'<i class="half"></i><i class="span" style="left:{low:.1f}%;width:{high - low:.1f}%"></i>'
        f'<i class="rate" style="left:{100 * verdict.win_rate:.1f}%"></i>'
    )
    ends = "<span>worse</span><span>no difference</span><span>better</span>"
    return (
        f'<div class="interval" role="img" aria-label="{escape(words)}">{inside}</div>'
        f'<div class="interval-words small quiet" aria-hidden="true">{ends}</div>'
    )


def _advice(verdict: Verdict, earlier: RoundRecord, later: RoundRecord, in_use: str) -> str:
    more = command("more", "Ask more pairs")
    if verdict.conclusion == "better":
        use = "" if in_use == later.id else command("checkout", f"Use {small_name(later)}", {"round": later.id}, "button strong")
        return (use or link("rate", "Keep it and rate on", "button strong")) + more
    if verdict.conclusion == "worse" and in_use != earlier.id:
        return command("checkout", f"Go back to {small_name(earlier)}", {"round": earlier.id}, "button strong") + more
    return more


def comparison(pairs: Sequence[BlindPair], earlier: RoundRecord, later: RoundRecord) -> str:
    """The answered pairs: one under the slider, all of them in a grid."""
    if not pairs:
        return ""
    first = pairs[0]
    names = escape(name(earlier)), escape(name(later))
    below, above = picture(first.earlier_image, f"By {small_name(earlier)}"), picture(first.later_image, f"By {small_name(later)}")
    slide = (
        f'<figure class="slide"><div class="frame">{below}<span class="over">{above}</span><i class="edge"></i></div>'
        f'<div class="ends small" aria-hidden="true"><span>{names[0]}</span><span>{names[1]}</span></div>'
        f'<input type="range" min="0" max="100" value="50" aria-label="Border between {names[0]} and {names[1]}">'
        f'<figcaption class="prompt">{escape(first.prompt)}</figcaption></figure>'
    )
    grid = items(_pair(pair, earlier, later, pair is first) for pair in pairs)
    return (
        f'<section class="panel compared" aria-label="Pictures compared"><h3>See them side by side</h3><div class="look">{slide}'
        f'<div class="grid">{grid}</div></div></section>'
    )


def _pair(pair: BlindPair, earlier: RoundRecord, later: RoundRecord, is_shown: bool) -> str:
    winner = {"earlier": name(earlier), "later": name(later), "tie": "Equally good"}[pair.winner or "tie"]
    marks = {"earlier": ("won", ""), "later": ("", "won")}.get(pair.winner or "tie", ("", ""))
    pictures = items(
        f'<span class="{mark}">{picture(image, "")}</span>'
        for mark, image in zip(marks, (pair.earlier_image, pair.later_image), strict=True)
    )
    data = f'data-earlier="{pair.earlier_image}" data-later="{pair.later_image}" data-prompt="{escape(pair.prompt)}"'
    spoken = escape(f"{pair.prompt}, {'picked: ' + winner if pair.winner != 'tie' else 'equally good'}; show under the slider")
    return (
        f'<button type="button" class="duo" aria-pressed="{"true" if is_shown else "false"}" aria-label="{spoken}" {data}>'
        f'<span class="both">{pictures}</span><span class="small quiet">{escape(pair.prompt)}</span></button>'
    )
