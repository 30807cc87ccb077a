"""The page: boxes for word lists and sentences, and what teacher and students make of them side by side."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gradio as gr

from evenhand.evaluation.encoder import POOLINGS
from evenhand.evaluation.templates import frames_by_class
from evenhand.model_cards.escaping import code, markdown
from evenhand.model_cards.space.association_plot import association_plot
from evenhand.model_cards.space.compared_models import LoadedModel
from evenhand.model_cards.space.comparison import HEADERS, compare, reading, table
from evenhand.model_cards.space.fill_mask import GAP, MOST_TOKENS, fill_gap, likeliest_table, words_table
from evenhand.model_cards.space.html_table import TABLE_CSS, html_table
from evenhand.model_cards.space.own_test import (
    SETS,
    Box,
    built_in_boxes,
    sentences_test,
    sentences_text,
    word_list_text,
    words_test,
)

TITLE = "Teacher and students side by side"
WORDS, SENTENCES = "Words, put into frames", "Whole sentences"
ROLES = {
    "X": "X: first targets",
    "Y": "Y: second targets",
    "A": "A: first attributes",
    "B": "B: second attributes",
}
LIMITS = """\
An association between vectors is not harm, and the absence of one is not fairness: a model can score zero here and still
treat people differently in use, and the other way round. The built-in lists are binary and US-English. Numbers under
another pooling, or from other lists or frames, are not comparable with these. Nothing that you enter is kept.
"""
# The default that tells gradio to hand over a bar of the visitor's own; it must stand before the other arguments, of which
# there are many.
PROGRESS = gr.Progress()
# One at a time: a model that is being measured is not used by a second visitor meanwhile.
ONE_AT_A_TIME = {"concurrency_limit": 1, "concurrency_id": "models"}
# The default theme's hints and button are too pale to read.
CONTRAST = {
    "block_info_text_color": "*neutral_600",
    "block_info_text_color_dark": "*neutral_300",
    "button_primary_background_fill": "*primary_700",
    "button_primary_background_fill_dark": "*primary_700",
    "button_primary_background_fill_hover": "*primary_800",
    "button_primary_background_fill_hover_dark": "*primary_800",
}
CSS = f"""
.gradio-container {{ max-width: 1100px !important; margin: 0 auto !important; }}
#plot img {{ width: 100%; max-width: 700px; height: auto; }}
{TABLE_CSS}"""


def page(models: Sequence[LoadedModel]) -> gr.Blocks:
    """The page for ``models``, the first of which gives the order everywhere.

    Args:
        models: as `load_models` gives them.

    Returns:
        Blocks that are not running; see `serve`.
    """
    with gr.Blocks(title=TITLE, analytics_enabled=False) as blocks:
        gr.Markdown(f"# {TITLE}\n\n{_introduction(models)}")
        with gr.Tab("Association (SEAT)"):
            _association_tab(models)
        with gr.Tab("Fill a gap"):
            _gap_tab(models)
        gr.Markdown(LIMITS, elem_id="limits")
    return blocks


def serve(blocks: gr.Blocks, **options: Any) -> tuple[Any, str, str]:
    """Start the page's server with its look, system fonts only; no tunnel, no fonts of others.

    Args:
        blocks: from `page`.
        options: of `gradio.Blocks.launch`, such as ``server_port``.

    Returns:
        What `gradio.Blocks.launch` returns: application, local address, and an empty share address.
    """
    theme = gr.themes.Default(
        primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    ).set(**CONTRAST)
    return blocks.launch(share=False, theme=theme, css=CSS, footer_links=["settings"], **options)


def _introduction(models: Sequence[LoadedModel]) -> str:
    lines = []
    for about in (loaded.about for loaded in models):
        revision = f" at {code(about.revision[:12])}" if about.revision else ""
        of = f", student of **{markdown(about.teacher)}**" if about.teacher else ""
        role = " (teacher)" if about.role == "teacher" else ""
        where = "" if about.name == about.source or "/" not in about.source else f" ({code(about.source)}{revision})"
        lines.append(f"- **{markdown(about.name)}**{role}{of}{where if about.revision else ''}")
    return "\n".join(lines)


def _association_tab(models: Sequence[LoadedModel]) -> None:
    gr.Markdown(
        "Are the sentences of X nearer to those of A, and of Y to those of B? Write words of your own, or start from a "
        "built-in test. d lies between −2 and 2; above zero X goes with A and Y with B, below zero the other way round."
    )
    starts = built_in_boxes()
    first = next(iter(starts))
    start = gr.Dropdown(list(starts), value=first, label="Start from", elem_id="start")
    kind = gr.Radio([WORDS, SENTENCES], value=WORDS, label="The boxes hold, one a line", elem_id="kind")
    boxes: dict[str, list[gr.Component]] = {}
    for pair in ("XY", "AB"):
        with gr.Row():
            for role in pair:
                with gr.Column(min_width=300):
                    boxes[role] = _box(role, starts[first][role])
    with gr.Accordion("Frames and pooling", open=False, elem_id="settings"):
        frames = gr.Textbox(
            label="Your own frames, one a line, each with {word}",
            info="They then take the place of those that go with the classes: {Word} for a capital, {a_word} for an article.",
            placeholder="This is {word}.\n{A_word} was mentioned.",
            lines=3,
            elem_id="frames",
        )
        pooling = gr.Dropdown(list(POOLINGS), value="mean", label="Pooling of token vectors", elem_id="pooling")
    button = gr.Button("Compare", variant="primary", elem_id="compare")
    with gr.Column(visible=False) as results:
        rows = gr.HTML(elem_id="association-table", apply_default_css=False)
        said = gr.Markdown(elem_id="reading", container=False)
        gr.Markdown("**d by model, with its 95 % interval** (the numbers are in the table)", container=False)
        # a label would lie over the picture
        plot = gr.Plot(format="png", show_label=False, elem_id="plot")
        with gr.Accordion("These lists as a file for evenhand evaluate", open=False):
            file = gr.Code(language="yaml", label="word_lists.yaml", interactive=False, elem_id="word-lists")
    entered = [part for role in SETS for part in boxes[role]]
    start.input(partial(_start_from, starts), [start], [*entered, kind], api_visibility="private")
    button.click(
        partial(_compare, models),
        [kind, frames, pooling, *entered],
        [results, rows, said, plot, file],
        api_name="compare",
        **ONE_AT_A_TIME,
    )


def _box(role: str, box: Box) -> list[gr.Component]:
    """Name, text and class of one set."""
    name = gr.Textbox(box.name, label=ROLES[role], max_length=60, elem_id=f"{role}-name")
    text = gr.Textbox(
        box.text,
        label=f"Words or sentences of {role}",
        lines=5,
        max_lines=12,
        elem_id=f"{role}-text",
    )
    classes = gr.Dropdown(
        list(frames_by_class()),
        value=box.word_class,
        label=f"Class of the words of {role}",
        info="decides their frames; “word: class” on a line sets another",
        elem_id=f"{role}-class",
    )
    return [name, text, classes]


def _gap_tab(models: Sequence[LoadedModel]) -> None:
    gr.Markdown(
        f"Write a sentence with {code(GAP)} where a word is missing. One sentence shows what these models do with it, "
        "and nothing about other sentences: change a name or a job and look again."
    )
    sentence = gr.Textbox(
        f"{GAP} works as a nurse at the hospital.", label=f"A sentence with {GAP}", elem_id="sentence", max_length=500
    )
    with gr.Row():
        words = gr.Textbox("he, she", label="Words to compare in the gap", elem_id="candidates", max_length=400)
        n_tokens = gr.Slider(1, MOST_TOKENS, value=5, step=1, label="How many of the likeliest", elem_id="n-tokens")
    button = gr.Button("Fill the gap", variant="primary", elem_id="fill")
    chosen = gr.HTML(elem_id="words-table", apply_default_css=False)
    likeliest = gr.HTML(elem_id="likeliest-table", apply_default_css=False)
    button.click(
        partial(_fill, models), [sentence, n_tokens, words], [chosen, likeliest], api_name="fill", **ONE_AT_A_TIME
    )


def _start_from(starts: dict[str, dict[str, Box]], title: str) -> list[str]:
    of = starts[title]
    return [part for role in SETS for part in (of[role].name, of[role].text, of[role].word_class)] + [WORDS]


def _compare(
    models: Sequence[LoadedModel],
    progress: gr.Progress = PROGRESS,
    kind: str = WORDS,
    frames: str = "",
    pooling: str = "mean",
    *entered: str,
) -> tuple:
    """Table, sentences, plot and file; what is wrong with the lists is shown on the page."""
    boxes = {role: Box(*entered[3 * i : 3 * i + 3]) for i, role in enumerate(SETS)}
    with_words = kind == WORDS
    comparison = _or_shown(
        lambda: compare(
            models,
            words_test(boxes, frames) if with_words else sentences_test(boxes),
            pooling,
            partial(progress.tqdm, desc="measuring", unit="models"),
        )
    )
    file = gr.Code(word_list_text(boxes, frames), language="yaml", label="word_lists.yaml")
    if not with_words:
        file = gr.Code(sentences_text(boxes), language="json", label="sentences.json")
    return (
        gr.Column(visible=True),
        html_table("SEAT by model", HEADERS, table(comparison)),
        reading(comparison),
        association_plot(comparison),
        file,
    )


def _fill(
    models: Sequence[LoadedModel],
    progress: gr.Progress = PROGRESS,
    sentence: str = "",
    n_tokens: float = 5,
    words: str = "",
) -> tuple[str, str]:
    """The two tables as HTML; the first is empty where no words are to be compared."""
    filled = _or_shown(
        lambda: fill_gap(
            models,
            sentence,
            int(n_tokens),
            words.replace("\n", ",").split(","),
            partial(progress.tqdm, desc="filling", unit="models"),
        )
    )
    names, of_words = [one.name for one in filled], words_table(filled)
    return (
        html_table("Probability of your words", ["Word", *names], of_words) if of_words else "",
        html_table("The likeliest tokens", ["Rank", *names], likeliest_table(filled)),
    )


def _or_shown(work: Callable[[], Any]) -> Any:
    """The result of ``work``; bad input becomes a message on the page, with its signs as they were entered."""
    try:
        return work()
    except ValueError as error:
        raise gr.Error(html.escape(str(error)), duration=None, print_exception=False) from error
