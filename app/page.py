"""The page: header and six pages in one window. Building it imports nothing heavy."""

import gradio as gr

from app.errors import Window
from app.live import Live
from app.pages import export, header, history, learn, model, prove, rate
from rlr_core.studio import Studio

# Uploaded files are read at once; what Gradio keeps of them is deleted an hour after it came, looked for every five minutes.
DELETE_CACHE = (300, 3600)


def build(studio: Studio) -> gr.Blocks:
    """The whole interface of one studio."""
    with Window(title="RLR Studio", analytics_enabled=False, delete_cache=DELETE_CACHE, fill_width=True) as page:
        live = Live(studio)
        for part in (header, model, rate, learn, prove, history, export):
            part.build(live)
        live.connect(page)
    return page
