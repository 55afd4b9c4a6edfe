"""The look of Gradio's own controls: system fonts only, the colours of studio.css."""

import gradio as gr

FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
MONO = ("ui-monospace", "SF Mono", "Cascadia Code", "Menlo", "monospace")


# Gradio's names for the colours of studio.css, which are other colours in the dark.
COLOURS = {
    "body_background_fill": "var(--paper)",
    "body_text_color": "var(--ink)",
    "body_text_color_subdued": "var(--quiet)",
    "background_fill_primary": "var(--card)",
    "background_fill_secondary": "var(--sunken)",
    "block_background_fill": "var(--card)",
    "block_border_color": "var(--line)",
    "block_info_text_color": "var(--quiet)",
    "block_label_background_fill": "var(--card)",
    "block_label_text_color": "var(--quiet)",
    "block_title_text_color": "var(--ink)",
    "border_color_accent": "var(--accent)",
    "border_color_primary": "var(--line)",
    "checkbox_background_color_selected": "var(--accent)",
    "checkbox_border_color": "var(--strong-line)",
    "checkbox_border_color_selected": "var(--accent)",
    "checkbox_label_background_fill": "var(--card)",
    "checkbox_label_background_fill_selected": "var(--card)",
    "checkbox_label_text_color_selected": "var(--ink)",
    "color_accent_soft": "var(--accent-soft)",
    "input_background_fill": "var(--card)",
    "input_background_fill_focus": "var(--card)",
    "input_border_color": "var(--strong-line)",
    "input_border_color_focus": "var(--accent)",
    "input_placeholder_color": "var(--quiet)",
    "link_text_color": "var(--accent)",
    "slider_color": "var(--accent)",
}
SAME_IN_THE_DARK = {
    "color_accent": "var(--accent)",
    "block_radius": "18px",
    "input_radius": "12px",
    "input_border_width": "1.5px",
    "input_shadow": "none",
    "input_shadow_focus": "none",
}


def theme() -> gr.themes.Base:
    """Warm paper and ink in the light, warm charcoal in the dark, persimmon for what matters."""
    fonts = {"font": [gr.themes.Font(name) for name in FONT], "font_mono": [gr.themes.Font(name) for name in MONO]}
    dark = {f"{name}_dark": colour for name, colour in COLOURS.items()}
    return gr.themes.Base(primary_hue="orange", neutral_hue="stone", **fonts).set(**COLOURS, **dark, **SAME_IN_THE_DARK)
