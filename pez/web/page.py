"""The page: its tabs, and the history below them."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr

from pez.web.board import asset
from pez.web.history import KEY, history_list
from pez.web.models import Models
from pez.web.tabs.distil import distil_tab
from pez.web.tabs.explore import explore_tab
from pez.web.tabs.generate import NAME, generate_tab
from pez.web.tabs.invert import invert_tab
from pez.web.tabs.mix import mix_tab
from pez.web.tabs.searching import AT_ONCE

HOUR = 3600  # seconds that files of visitors are kept
# gradio's own greys are too light to read for many
READABLE = {
    f"{name}{dark}": f"*neutral_{shade}"
    for name in (
        "body_text_color_subdued",
        "block_info_text_color",
        "block_title_text_color",
        "block_label_text_color",
        "input_placeholder_color",
    )
    for dark, shade in (("", 600), ("_dark", 300))
}
TITLE = "# pez\nPrompts you can read, for pictures and for long texts."


def make_page(
    models: Models, names: Sequence[str], generators: Sequence[str], control: str = ""
) -> gr.Blocks:
    """The page, with the models and generators that visitors may choose, and the ControlNet that
    drawing follows pictures with, in place of the known ones.
    """
    with gr.Blocks(
        title="pez", analytics_enabled=False, delete_cache=(HOUR // 4, HOUR), fill_width=True
    ) as page:
        gr.Markdown(TITLE)
        # the key of the encryption is no secret: it keeps a history readable after a restart
        history = gr.BrowserState([], storage_key=KEY, secret=KEY)
        with gr.Tabs() as tabs:
            with gr.Tab("Invert"):
                inverted = invert_tab(models, names, history)
            with gr.Tab("Distil"):
                distilled = distil_tab(models, names, history)
            with gr.Tab("Mix"):
                mixed = mix_tab(models, names, history)
            found = (inverted, distilled, mixed)
            if generators:
                with gr.Tab("Generate", id=NAME):
                    generate_tab(models, generators, control, found, tabs)
            else:
                for one in found:
                    one.draw.visible = False
            with gr.Tab("Explore"):
                explore_tab(models, names)
        with gr.Accordion("History", open=False, elem_id="history"):
            past = gr.HTML(
                history_list([]),
                js_on_load=asset("board.js"),
                apply_default_css=False,
                elem_id="history-list",
            )
            clear = gr.Button("Clear the history", size="sm")
        history.change(history_list, [history], [past], **AT_ONCE)
        page.load(history_list, [history], [past], **AT_ONCE)
        clear.click(lambda: [], None, [history], **AT_ONCE)
    return page


def theme() -> gr.themes.Base:
    """The page's look, in fonts of the visitor's own machine."""
    plain = ["system-ui", "Helvetica", "Arial", "sans-serif"]
    return gr.themes.Default(
        primary_hue="indigo",
        font=[gr.themes.Font(name) for name in plain],
        font_mono=[gr.themes.Font(name) for name in ("ui-monospace", "Consolas", "monospace")],
    ).set(
        **READABLE,
        button_primary_background_fill="*primary_600",  # white on 500 is too pale
        button_primary_background_fill_hover="*primary_700",
    )
