"""The card of a model of photographs: what it is, what it knows and does not, where it comes from.

    text = card("photo", config, words, package, sources, split, figures)

Whoever trains the models calls it; everything that was counted or measured is handed in.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDE = 100  # columns

ROLES = {
    "photo": "The small offline model that is searched: it reads real photographs.",
    "photo-b": "A second model of real photographs, for search in two models at once.",
    "photo-judge": "The judge of prompts for real photographs. It is never searched.",
}
KNOWS = (
    "Common things and scenes: animals, food, vehicles, sports, furniture, rooms, streets, "
    "landscapes, people and what they do. It says them in the everyday words of captions: dog "
    "rather than greyhound."
)
DOES_NOT = (
    "Styles and artists, names of people and places, writing, numbers and counting, where things "
    "stand, and who someone is: it knows no faces. It hardly reads word order. Drawings and "
    "other pictures that are no photographs were not among its examples."
)
LIMITS = (
    "Its taste is that of its sources: photographs that people put on the web, described in "
    "English. It takes what is usual for what is there: a table near a plate, a man on a board. "
    "A high score does not make a word right. Read its prompts as a first draft; for prompts that "
    "Stable Diffusion understands best, search its own CLIP."
)


@dataclass(frozen=True)
class Source:
    """Photographs that it was trained on."""

    name: str  # with a link, if there is one
    photographs: int
    texts: str  # captions, labels, ...
    terms: str


def card(
    name: str,
    config: Mapping[str, Any],
    words: int,
    package: str,
    sources: Sequence[Source],
    split: str,
    figures: Mapping[str, Mapping[str, float | int | str]],
    notes: Sequence[str] = (),
    *,
    teacher: str,
) -> str:
    """The card as Markdown.

    ``config`` is the ``model_cfg`` of open_clip, ``words`` their number in ``words.txt``,
    ``package`` where the trunk's weights come from. ``split`` says which photographs were trained
    on, which chose settings and which measured (sentences). ``figures`` has a value for each data
    set below each figure's name; numbers below 1 are written with three decimals, texts as they
    are. ``teacher`` says what the text tower learnt from (a sentence), ``notes`` are further
    sentences of the recipe, one a line.
    """
    vision, text = config["vision_cfg"], config["text_cfg"]
    facts = [
        f"image tower: timm `{vision['timm_model_name']}`, {vision['image_size']} pixels, trained "
        f"on ImageNet by others and frozen (package `{package}`, Apache-2.0); on it a linear head "
        "of ours",
        f"text tower, ours: width {text['width']}, {text['layers']} layers, CLIP's own BPE; "
        f"features of {config['embed_dim']} numbers",
        f"trained on photographs with captions and labels. {teacher}",
        f"vocabulary: {words:,} words that can be seen, in `words.txt`",
        *notes,
    ]
    parts = [
        f"# {name}",
        filled(
            f"{ROLES[name]} A CLIP of open_clip: what was trained for it is in this folder, and "
            "the image trunk comes from a package (`pip install 'pez-prompts[photo]'`)."
        ),
        filled(f"**It knows.** {KNOWS}"),
        filled(f"**It does not know.** {DOES_NOT}"),
        "\n".join(filled(f"- {fact}", "  ") for fact in facts),
        "## Photographs",
        source_table(sources),
        filled("None of these photographs and captions is part of this project."),
        "## Held out",
        filled(split),
        figure_table(figures),
        filled(f"**Limits.** {LIMITS}"),
        filled(
            "Licence: MIT, like the project, for what is in this folder; the trunk's weights are "
            "under the Apache License 2.0."
        ),
    ]
    return "\n\n".join(parts) + "\n"


def source_table(sources: Sequence[Source]) -> str:
    """Where the photographs come from, and their number."""
    rows = [f"| {s.name} | {s.photographs:,} | {s.texts} | {s.terms} |" for s in sources]
    total = sum(source.photographs for source in sources)
    head = ["| source | photographs | texts | terms |", "|---|---|---|---|"]
    return "\n".join([*head, *rows, f"| all | {total:,} | | |"])


def figure_table(figures: Mapping[str, Mapping[str, float | int | str]]) -> str:
    """A row for each figure, a column for each data set."""
    sets = list(dict.fromkeys(data for row in figures.values() for data in row))
    head = [f"| figure | {' | '.join(sets)} |", "|---" * (len(sets) + 1) + "|"]
    rows = [
        f"| {name} | {' | '.join(written(row.get(data, '')) for data in sets)} |"
        for name, row in figures.items()
    ]
    return "\n".join([*head, *rows])


def written(value: float | int | str) -> str:
    """A figure as it stands in the table."""
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else value


def filled(text: str, indent: str = "") -> str:
    """Lines of at most WIDE columns."""
    return textwrap.fill(
        text, WIDE, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
