"""What can be taken home, and what has been made of it."""

from collections.abc import Sequence
from html import escape

from app.views.markup import checkbox, command, items, problems, select, size, text_field
from app.views.rounds import name
from rlr_core.session.records import ExportRecord, RoundRecord

LORA_TEXT = "In two layouts, each loaded again and compared with the studio before you get it."
SAID = {"taste": "Write the taste file", "parquet": "Write answers as parquet", "win_lose": "Write win and lose folders"}
SAID_TEXT = "The taste counts in any session, on any base model; parquet is Pick-a-Pic's, and the folders are for preference optimisation."
SESSION_TEXT = "Pictures, answers, the tree of rounds and their adapters in one file, which any studio opens, here or elsewhere."
HUB_TEXT = "The LoRA with its card. The token is used once and kept nowhere."
WORDS = {
    "diffusers": "LoRA for diffusers",
    "kohya": "LoRA for ComfyUI and A1111",
    "card": "Model card",
    "grid": "Before and after",
    "taste": "Taste",
    "parquet": "Answers as parquet",
    "win_lose": "Win and lose folders",
    "archive": "The whole session",
}


def lora(rounds: Sequence[RoundRecord], chosen: str, records: Sequence[ExportRecord], is_busy: bool, failure: str | None) -> str:
    """The panel that makes a round's LoRA, and the files made of every round."""
    usable = _with_adapter(rounds)
    if not usable:
        return _panel("LoRA", "The LoRA", LORA_TEXT, '<p class="quiet">Learn a round first; then its LoRA is here.</p>', None)
    fields = select("round", "Round", usable, chosen, "export-round") + command("lora", "Make its files", kind="button strong")
    action = _busy("Being made, loaded again and compared …") if is_busy else f'<div class="fields" data-fields>{fields}</div>'
    made = items(_of_round(each, records) for each in reversed(rounds))
    return _panel("LoRA", "The LoRA", LORA_TEXT, action + made, failure)


def _with_adapter(rounds: Sequence[RoundRecord]) -> list[tuple[str, str]]:
    """Id and name of the rounds that have something to take home."""
    return [(each.id, name(each)) for each in rounds if each.parent_id is not None and not each.is_live]


def _busy(words: str) -> str:
    return f'<p class="news busy" role="status"><span class="dot"></span><span>{escape(words)}</span></p>'


def _panel(label: str, title: str, text: str, body: str, failure: str | None) -> str:
    head = f'<h3>{title}</h3><p class="quiet small">{text}</p>'
    return f'<section class="panel export" aria-label="{label}">{head}{problems([failure] if failure else [])}{body}</section>'


def _of_round(round_: RoundRecord, records: Sequence[ExportRecord]) -> str:
    mine = [each for each in records if each.round_id == round_.id and each.kind in WORDS]
    if not mine:
        return ""
    about = next((each.about for each in mine if each.about), "")
    checked = f'<p class="checked"><span class="tag ready">Checked</span> {escape(about)}</p>' if about else ""
    return f'<div class="made"><h4>{escape(name(round_))}</h4>{checked}{downloads(mine)}</div>'


def downloads(records: Sequence[ExportRecord]) -> str:
    """A link for each file."""
    return f'<ul class="downloads">{items(map(_download, records))}</ul>'


def _download(record: ExportRecord) -> str:
    words = f"{WORDS[record.kind]}, {size(record.num_bytes) if record.num_bytes > 500_000 else f'{max(1, record.num_bytes // 1000)} kB'}"
    return (
        f'<li><a class="button" href="export/{escape(record.content)}" download="{escape(record.name)}">'
        f'<span aria-hidden="true">↓</span>{escape(words)}</a></li>'
    )


def said(records: Sequence[ExportRecord], is_empty: bool, is_busy: bool, failure: str | None) -> str:
    """The panel of what was said: a button for each form, and the files made of it."""
    if is_empty:
        return _panel(
            "Answers", "Taste and answers", SAID_TEXT, '<p class="quiet">Answer some questions first; then they are here.</p>', failure
        )
    buttons = items(command("said", words, {"kind": kind}) for kind, words in SAID.items())
    made = [each for each in records if each.kind in SAID]
    action = _busy("Being written …") if is_busy else f'<div class="buttons">{buttons}</div>'
    return _panel("Answers", "Taste and answers", SAID_TEXT, action + (downloads(made) if made else ""), failure)


def session(records: Sequence[ExportRecord], is_busy: bool, failure: str | None) -> str:
    """The panel that saves the whole session."""
    made = [each for each in records if each.kind == "archive"]
    action = _busy("Being saved …") if is_busy else command("archive", "Save the session again" if made else "Save the whole session")
    body = f'<div class="buttons">{action}</div>{downloads(made) if made else ""}'
    return _panel("Session", "The session", SESSION_TEXT, body, failure)


def hub(rounds: Sequence[RoundRecord], chosen: str, is_busy: bool, address: str, failure: str | None) -> str:
    """The panel that pushes a round's LoRA to the Hugging Face hub; `address` is where the last one is."""
    usable = _with_adapter(rounds)
    if not usable:
        return ""
    fields = (
        select("round", "Round", usable, chosen, "push-round"),
        text_field("repository", "Repository", "push-repository", hint="owner/name"),
        text_field("token", "Token with the right to write", "push-token", kind="password", hint="Empty: this machine's"),
        checkbox("private", "Only I can see it", "push-private", True),
        command("push", "Push to the hub"),
    )
    action = _busy("Being checked and uploaded …") if is_busy else f'<div class="fields" data-fields>{items(fields)}</div>'
    # Only an address of the web becomes a link.
    link = f'<a href="{escape(address)}" rel="noreferrer">{escape(address)}</a>' if address.startswith("http") else escape(address)
    return _panel("Hub", "The Hugging Face hub", HUB_TEXT, action + (f"<p>The last one is at {link}.</p>" if address else ""), failure)
