"""The pieces of HTML that several views share."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape


def picture(image_id: str, description: str) -> str:
    """A stored picture, by its content hash."""
    return f'<span class="picture"><img src="picture/{escape(image_id)}.png" alt="{escape(description)}" decoding="async"></span>'


def waiting_picture(description: str = "Being made") -> str:
    """A place where a picture will appear."""
    return f'<span class="picture waiting" role="img" aria-label="{escape(description)}"></span>'


def missing_picture(description: str) -> str:
    """A place where no picture will appear."""
    return f'<span class="picture missing" role="img" aria-label="{escape(description)}"></span>'


def command(name: str, label: str, data: Mapping[str, str] | None = None, kind: str = "button", goto: str = "", spoken: str = "") -> str:
    """A button that asks the server for something; `goto` also opens a page, `spoken` is its name for a screen reader."""
    attributes = {f"data-{key}": value for key, value in {"command": name, "goto": goto, **(data or {})}.items() if value}
    attributes |= {"class": kind} | ({"aria-label": spoken} if spoken else {})
    written = " ".join(f'{key}="{escape(value)}"' for key, value in attributes.items())
    return f'<button type="button" {written}>{escape(label)}</button>'


def link(page: str, label: str, kind: str = "button") -> str:
    """A link to another page of the studio."""
    return f'<a class="{kind}" href="#{page}">{escape(label)}</a>'


def lead(title: str, text: str) -> str:
    """A page's heading; it takes the focus when the page opens."""
    return f'<header class="lead"><h2 tabindex="-1">{escape(title)}</h2><p class="quiet">{escape(text)}</p></header>'


def empty(text: str, action: str = "") -> str:
    """What stands where there is nothing to show yet, with what to do about it."""
    return f'<div class="panel empty"><p class="quiet">{escape(text)}</p>{action}</div>'


def problems(sentences: Iterable[str]) -> str:
    """What could not be done, each thing once."""
    return items(f'<p class="problem" role="alert">{escape(each)}</p>' for each in dict.fromkeys(sentences))


def items(parts: Iterable[str]) -> str:
    """The parts one after the other."""
    return "".join(parts)


def count(number: int, noun: str) -> str:
    """'1 answer', '2 answers'."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """A time a person would say: '45 s', '3 min', '2 h 10 min'."""
    whole = max(0, round(seconds))
    if whole < 90:
        return f"{whole} s"
    if whole < 5400:
        return f"{round(whole / 60)} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(num_bytes: int) -> str:
    """'17 MB', '4.3 GB'."""
    if num_bytes < 1_000_000_000:
        return f"{max(1, round(num_bytes / 1e6))} MB"
    return f"{num_bytes / 1e9:.1f} GB"


def select(name: str, label: str, options: Sequence[tuple[str, str]], chosen: str, key: str) -> str:
    """A list to choose from: (value, words) of each option; `key` tells it from others of the page."""
    written = items(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(words)}</option>' for value, words in options
    )
    return _field(label, key, f'<select id="{escape(key)}" name="{name}">{written}</select>')


def text_field(name: str, label: str, key: str, value: str = "", kind: str = "text", hint: str = "") -> str:
    """One line to write, or "password" as `kind` for what nobody should see."""
    extra = ' autocomplete="off" spellcheck="false"'
    return _field(
        label, key, f'<input id="{escape(key)}" name="{name}" type="{kind}" value="{escape(value)}" placeholder="{escape(hint)}"{extra}>'
    )


def text_area(name: str, label: str, key: str, value: str) -> str:
    """Several lines to write."""
    return _field(label, key, f'<textarea id="{escape(key)}" name="{name}" rows="2">{escape(value)}</textarea>')


def slider(name: str, label: str, key: str, value: int) -> str:
    """A whole number from 0 to 100, chosen by its place."""
    return _field(label, key, f'<input id="{escape(key)}" name="{name}" type="range" min="0" max="100" step="5" value="{value}">')


def checkbox(name: str, label: str, key: str, is_on: bool) -> str:
    """Yes or no."""
    on = " checked" if is_on else ""
    return f'<label class="check" for="{escape(key)}"><input id="{escape(key)}" name="{name}" type="checkbox"{on}>{escape(label)}</label>'


def _field(label: str, key: str, control: str) -> str:
    return f'<div class="field"><label for="{escape(key)}">{escape(label)}</label>{control}</div>'
