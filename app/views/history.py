"""The tree of rounds: a line for each, with its pictures, where it came from, what was written of it, and what can be done with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

from app.views.markup import command, items, link, missing_picture, picture, problems, select, slider, text_area
from app.views.rounds import UNFINISHED, name, small_name, status_tag
from rlr_core.session.records import RoundRecord

MOST_LANES = 4


@dataclass(frozen=True)
class Node:
    """A round in its place of the tree.

    Attributes:
        lane: how far to the right it stands.
        comes_from: the lane of the round it was made from; None for the base model.
        lines: the lanes whose line goes past it, and its own where the tree goes on in it.
    """

    round: RoundRecord
    lane: int
    comes_from: int | None
    lines: frozenset[int] = frozenset()


def arranged(rounds: Sequence[RoundRecord], current: RoundRecord) -> list[Node]:
    """The tree from the base model down. The way to the round in use runs straight; other branches stand beside it, before it goes on."""
    children: dict[str | None, list[RoundRecord]] = {}
    for each in rounds:
        children.setdefault(each.parent_id, []).append(each)
    straight = _way_to(rounds, current)
    nodes: list[Node] = []
    waiting = [Node(each, 0, None) for each in children.get(None, ())]
    while waiting:
        node = waiting.pop()
        following = children.get(node.round.id, [])
        main = next((each for each in following if each.id in straight), following[-1] if following else None)
        # Whatever still waits and came from a lane has that lane's line pass here.
        lines = {each.comes_from for each in waiting if each.comes_from is not None}
        nodes.append(replace(node, lines=frozenset(lines | ({node.lane} if following else set()))))
        if main is not None:
            waiting.append(Node(main, node.lane, node.lane))
        waiting += [Node(each, min(node.lane + 1, MOST_LANES), node.lane) for each in reversed(following) if each is not main]
    return nodes


def _way_to(rounds: Sequence[RoundRecord], current: RoundRecord) -> set[str]:
    """The ids of the rounds from the base model to the one in use."""
    by_id = {each.id: each for each in rounds}
    way, step = set(), by_id.get(current.id)
    while step is not None:
        way.add(step.id)
        step = by_id.get(step.parent_id or "")
    return way


def tree(
    rounds: Sequence[RoundRecord],
    current: RoundRecord,
    thumbnails: Mapping[str, Sequence[str]],
    summaries: Mapping[str, str],
    failure: str | None,
) -> str:
    """All rounds.

    Args:
        thumbnails: pictures by round.
        summaries: what a round did, by round.
        failure: why the last blend failed.
    """
    rows = items(_node(node, rounds, current, thumbnails, summaries) for node in arranged(rounds, current))
    undo = f'<div class="buttons">{command("undo", f"Undo {small_name(current)}")}</div>' if current.parent_id else ""
    hint = "" if len(rounds) > 1 else f'<p class="quiet">No round yet. {link("learn", "Learn the first one", "")}</p>'
    return f'<div class="stack">{problems([failure] if failure else [])}{undo}<ol class="tree" aria-label="Rounds">{rows}</ol>{hint}</div>'


def _node(
    node: Node, rounds: Sequence[RoundRecord], current: RoundRecord, thumbnails: Mapping[str, Sequence[str]], summaries: Mapping[str, str]
) -> str:
    round_ = node.round
    is_current = round_.id == current.id
    note = f'<p class="note">{escape(round_.note)}</p>' if round_.note else ""
    return (
        f'<li class="{"current" if is_current else ""}" style="--lane:{node.lane}">{_lines(node)}'
        f'<span class="number" aria-hidden="true">{round_.number}</span>'
        f'<div class="panel round"><div class="about"><h3>{escape(name(round_))} {_tag(round_, is_current)}</h3>'
        f'<p class="quiet small">{escape(origin(round_, rounds))}{escape(summaries.get(round_.id, ""))}</p>{note}</div>'
        f'<div class="thumbs">{_thumbs(round_, thumbnails.get(round_.id, ()))}</div>'
        f'<div class="buttons">{_actions(round_, current)}</div>{_more(round_, rounds, current)}</div></li>'
    )


def _lines(node: Node) -> str:
    """The lines of the tree as they pass this row: down a lane, and from the lane it came from to its own."""
    passing = items(f'<i class="{_course(node, lane)}" style="--at:{lane}"></i>' for lane in sorted(node.lines - {node.comes_from}))
    if node.comes_from is None:
        return passing
    bend = "bend" if node.comes_from != node.lane else "to"
    on = f'<i class="past" style="--at:{node.comes_from}"></i>' if node.comes_from in node.lines else ""
    return f'{passing}{on}<i class="{bend}" style="--at:{node.comes_from};--to:{node.lane}"></i>'


def _course(node: Node, lane: int) -> str:
    return "from" if lane == node.lane else "past"


def _tag(round_: RoundRecord, is_current: bool) -> str:
    used = '<span class="tag live">in use</span>' if is_current else ""
    return used + (status_tag(round_) if round_.is_learned and round_.status not in ("done", "budget_spent") else "")


def origin(round_: RoundRecord, rounds: Sequence[RoundRecord]) -> str:
    """Where a round came from."""
    numbers = {each.id: each for each in rounds}
    if round_.parent_id is None:
        return "The model as it came."
    parent = small_name(numbers[round_.parent_id]) if round_.parent_id in numbers else "a round that was deleted"
    if round_.blended_with is None:
        return f"Learned from {parent}."
    other = small_name(numbers[round_.blended_with]) if round_.blended_with in numbers else "a round that was deleted"
    share = round_.blend_share or 0.0
    lost = f" {round_.blend_error:.0%} of the mixture did not fit into the adapter." if (round_.blend_error or 0.0) >= 0.005 else ""
    return f"A blend: {1 - share:.0%} of {parent}, {share:.0%} of {other}.{lost}"


def _thumbs(round_: RoundRecord, images: Sequence[str]) -> str:
    if not images:
        return missing_picture(f"No pictures of {small_name(round_)} yet")
    return items(picture(image, f"{name(round_)}, picture {number}") for number, image in enumerate(images, start=1))


def _actions(round_: RoundRecord, current: RoundRecord) -> str:
    if round_.is_live:
        return link("learn", "Watch it")
    if round_.id == current.id:
        return link("rate", "Rate its pictures", "button strong")
    use = command("checkout", "Go on from here", {"round": round_.id}, spoken=f"Go on from {small_name(round_)}")
    against = {"earlier": current.id, "later": round_.id}
    compare = command("compare", "Compare", against, goto="prove", spoken=f"Compare {small_name(round_)} with {small_name(current)}")
    resume = command("resume", "Resume", {"round": round_.id}, goto="learn", spoken=f"Resume {small_name(round_)}")
    decide = link("prove", "Decide")
    return use + compare + (resume if round_.status in UNFINISHED else decide if round_.status == "drifted" else "")


def _more(round_: RoundRecord, rounds: Sequence[RoundRecord], current: RoundRecord) -> str:
    key = round_.id
    field = text_area("text", f"Note on {small_name(round_)}", f"note-{key}", round_.note)
    note = field + command("note", "Save the note", {"round": key})
    parts = [f'<div class="fields" data-fields>{note}</div>']
    others = [(each.id, name(each)) for each in rounds if each.id != key and not each.is_live]
    if others and not round_.is_live:
        first = current.id if current.id != key else others[-1][0]
        other = select("other", "Blend with", others, first, f"other-{key}")
        share = slider("share", "Its share in per cent: 0 to 100", f"share-{key}", 50)
        parts.append(f'<div class="fields" data-fields>{other}{share}{command("blend", "Make a blend", {"round": key})}</div>')
    if reason := _kept_because(round_, rounds, current):
        parts.append(f'<p class="quiet small">{escape(reason)}</p>')
    else:
        sure = "Its adapter is removed for good; its pictures and your answers stay."
        parts.append(
            f'<details class="delete" id="delete-{escape(key)}"><summary>Delete {escape(small_name(round_))} …</summary>'
            f"<p>{escape(sure)}</p>{command('delete', f'Delete {small_name(round_)}', {'round': key}, 'button danger')}</details>"
        )
    summary = f'Note, blend, delete<span class="sr-only"> {escape(small_name(round_))}</span>'
    return f'<details class="more" id="more-{escape(key)}"><summary>{summary}</summary>{items(parts)}</details>'


def _kept_because(round_: RoundRecord, rounds: Sequence[RoundRecord], current: RoundRecord) -> str:
    """Why a round cannot be deleted now; empty if it can."""
    if round_.parent_id is None:
        return "The base model cannot be deleted."
    if round_.is_live:
        return "It can be deleted once it has ended."
    if round_.id == current.id:
        return "It is in use: go back to another round to delete it."
    children = [str(each.number) for each in rounds if each.parent_id == round_.id]
    return f"Other rounds were made from it ({', '.join(children)}): delete those first." if children else ""
