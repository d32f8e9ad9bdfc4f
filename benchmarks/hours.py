"""What the plans for real models would cost: GPU hours by arithmetic. Nothing here was measured.

    python benchmarks/hours.py benchmarks/real/table1.toml

Assumptions: one A100 with 80 GB. Searches run in float32 at 10 TFLOP/s, half of the data sheet's
figure, because many rows share a batch. A text tower of P parameters takes 2 P operations per
position forwards and as many backwards (its weights need no gradient), at the prompt's tokens and
two more; the nearest words take 2 x 34,277 x width per token. An image tower takes 2 P per
position, and each comparison reads both pictures. Seconds per picture are guesses for float16 at
each generator's own size and steps. A long prompt is assumed to have 40 tokens, and each data set
all the items requested. Downloads and loading models are not included. A published figure to check
against: one picture at a time, 3,000 steps took 191 s on one A6000.

Language models of P parameters take 2 P operations per token forwards and as many backwards. Texts
have the tokens of ``TOKENS``, a guess for each data set. A leading prompt's texts are read at each
pass; behind texts that are kept a pass reads the prompt and two tokens more.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from pez.datasets.labelled import known_labels
from pez.evaluation.expand import expand
from pez.evaluation.labelled import draw_options
from pez.evaluation.plan import Plan
from pez.evaluation.plan_entries import Data
from pez.evaluation.plan_file import read_plan
from pez.evaluation.sizing import placeholders
from pez.evaluation.subjects import subjects
from pez.evaluation.units import Node, Way
from pez.methods import open_method, steps_of
from pez.session.classify_options import ClassifyOptions

SPEED = 10e12  # operations a second
WORDS, LONG = 34_277, 40
# text width and layers; image parameters and positions
MODELS = {
    "ViT-B-32": (512, 12, 88e6, 50),
    "ViT-L-14": (768, 12, 304e6, 257),
    "ViT-H-14": (1024, 24, 632e6, 257),
    "ViT-g-14": (1024, 24, 1012e6, 257),
    "ViT-bigG-14": (1280, 32, 1845e6, 257),
}
# parameters of language models, and tokens of a text
LANGUAGE = {
    "openai-community/gpt2-large": 774e6,
    "openai-community/gpt2-xl": 1558e6,
    "facebook/opt-2.7b": 2652e6,
    "facebook/opt-6.7b": 6658e6,
    "google/t5-xl-lm-adapt": 2850e6,
}
TOKENS = {"sst2": 25, "amazon_polarity": 100, "ag_news": 50}
PICTURE = {"sd15": 1.0, "sd21": 2.5, "sdxl": 5.0}  # seconds
CAPTION = 0.1  # seconds


def text_operations(name: str, positions: int) -> float:
    """Operations of one text through one model."""
    width, layers = MODELS[name.partition("/")[0]][:2]
    return 2 * 12 * width**2 * layers * positions


def search_seconds(way: Way) -> float:
    """Seconds to search one prompt."""
    assert way.options is not None
    length = way.length or max(1, round(LONG * (way.ratio or 1)))
    method, total = open_method(way.options), 0.0
    for name in way.model:
        nearest = 2 * WORDS * MODELS[name.partition("/")[0]][0] * length
        passes = method.forwards + method.backwards
        total += passes * text_operations(name, length + 2) + nearest
    return total * way.options.steps * way.options.restarts / SPEED


def label_search_seconds(way: Way, data: Data) -> float:
    """Seconds to search one prompt for labelled texts, finalists read on those for validation."""
    assert isinstance(way.options, ClassifyOptions)
    options, drawn = way.options, draw_options(data)
    method, text, labels = (
        open_method(options),
        TOKENS[data.dataset],
        len(known_labels(data.dataset)),
    )
    length = options.length + 2 + (text if options.wording.prompt_leads else 0)
    passes = steps_of(options) * (method.forwards + method.backwards)
    tokens = passes * drawn.shots * labels * length + drawn.shots * labels * text
    if options.finalists * options.restarts > 1:
        tokens += drawn.validation * labels * options.finalists * length
    return tokens * options.restarts * 2 * LANGUAGE[way.model[0]] / SPEED


def reading_seconds(name: str, data: Data, length: int) -> float:
    """Seconds in which a language model reads one prompt of so many tokens with all texts."""
    drawn, labels = draw_options(data), len(known_labels(data.dataset))
    texts = drawn.test_size + drawn.validation * labels
    return 2 * LANGUAGE[name] * texts * (TOKENS[data.dataset] + length + 2) / SPEED


def judge_seconds(name: str, pictures: int) -> float:
    """Seconds of one comparison of two: ``pictures`` of them are pictures, the rest short texts."""
    _, _, parameters, positions = MODELS[name.partition("/")[0]]
    operations = pictures * 2 * parameters * positions
    return (operations + (2 - pictures) * text_operations(name, 14)) / SPEED


def hours(plan: Plan) -> dict[str, float]:
    """GPU hours by kind of work, each unit once."""
    nodes = expand(plan, subjects(plan, placeholders(plan)), str)
    kinds = ("readers",) if plan.task.labelled else ("pictures", "judges")
    spent: dict[str, float] = {kind: 0.0 for kind in ("searches", *kinds)}
    by_name = {data.dataset: data for data in plan.data}
    seen: set[str] = set()

    def add(key: str, kind: str, seconds: float) -> None:
        spent[kind] += 0.0 if key in seen else seconds / 3600
        seen.add(key)

    for node in nodes:
        if plan.task.labelled:
            data = by_name[node.subject.original.dataset]
            if node.way.how != "text":
                add(node.unit.key, "searches", label_search_seconds(node.way, data))
            for (name, _), unit in node.asked["labels"].items():
                add(unit.key, "readers", reading_seconds(name, data, node.way.length or 0))
            continue
        if node.way.how != "text":
            cost = CAPTION if node.way.how == "captioner" else search_seconds(node.way)
            add(node.unit.key, "searches", cost)
        for drawn in node.pictures:
            add(drawn.unit.key, "pictures", PICTURE[drawn.generator.name])
        _compare(node, add)
    return spent


def _compare(node: Node, add: Callable[[str, str, float], None]) -> None:
    """Add a node's comparisons; one with several pictures reads each of them."""
    by_name = {r.name: r for r in node.subject.references}
    for drawn in node.pictures:
        for (judge, name), unit in drawn.scores.items():
            many = max(1, len(by_name[name].files))
            add(unit.key, "judges", judge_seconds(judge, 2) * many)
    for (judge, name), unit in node.readings.items():
        many = max(1, len(by_name[name].files))
        add(unit.key, "judges", judge_seconds(judge, 1) * many)


def summary(plan: Plan) -> str:
    """``about 12 GPU hours (searches 2.6, pictures 9.1, judges 0.4)``."""
    found = hours(plan)
    parts = ", ".join(f"{kind} {value:.1f}" for kind, value in found.items())
    return f"about {sum(found.values()):.0f} GPU hours ({parts})"


if __name__ == "__main__":
    for path in sys.argv[1:]:
        print(f"{Path(path).stem}: {summary(read_plan(path))}")
