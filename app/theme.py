"""The look of Gradio's own controls: system fonts only, the colours of studio.css."""

import gradio as gr

FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
MONO = ("ui-monospace", "SF Mono", "Cascadia Code", "Menlo", "monospace")


def theme() -> gr.themes.Base:
    """Warm paper and ink in the light, warm charcoal in the dark, persimmon for what matters."""
    return gr.themes.Base(
        primary_hue="orange",
        neutral_hue="stone",
        radius_size="lg",
        font=[gr.themes.Font(name) for name in FONT],
        font_mono=[gr.themes.Font(name) for name in MONO],
    ).set(
        body_background_fill="var(--paper)",
        body_text_color="var(--ink)",
        body_text_color_subdued="var(--quiet)",
        background_fill_primary="var(--card)",
        background_fill_secondary="var(--sunken)",
        block_background_fill="var(--card)",
        block_border_color="var(--line)",
        block_info_text_color="var(--quiet)",
        block_label_background_fill="var(--card)",
        block_label_text_color="var(--quiet)",
        block_title_text_color="var(--ink)",
        border_color_accent="var(--accent)",
        border_color_primary="var(--line)",
        checkbox_background_color_selected="var(--accent)",
        checkbox_border_color_selected="var(--accent)",
        checkbox_label_background_fill="var(--card)",
        checkbox_label_background_fill_selected="var(--card)",
        checkbox_label_text_color_selected="var(--ink)",
        color_accent="var(--accent)",
        color_accent_soft="var(--accent-soft)",
        input_background_fill="var(--card)",
        input_background_fill_focus="var(--card)",
        input_border_color="var(--strong-line)",
        input_border_color_focus="var(--accent)",
        input_placeholder_color="var(--quiet)",
        link_text_color="var(--accent)",
        slider_color="var(--accent)",
    )
