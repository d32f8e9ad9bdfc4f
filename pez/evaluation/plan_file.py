"""What a plan file says, read from TOML and checked before anything is done.

models = ["mini"]                  # searched; a list inside the list is searched as one
seeds = [0]
judges = ["mini-judge"]            # compare pictures, and prompts with originals
readers = ["mini-b"]               # compare prompts with originals only
baselines = ["caption", "random-words"]

[data]                             # or several [[data]]
dataset = "samples"
split = ["web", "art"]
count = 15

[[methods]]
name = "pez"
lengths = [8, 16]                  # tokens; 0 is --length auto
steps = 500
options = { init = "random", history = true }  # any option of pez invert

[[generators]]
name = "mini-sd"
pictures = 2                       # of each prompt; or image_seeds = [0, 1]
options = { steps = 20 }           # any option of pez generate

[[measures]]                       # a further kind of units, by its name in KINDS (see kinds/)
name = "..."
options = {}                       # the kind's own options

Each prompt is searched for one picture, unless a task says otherwise (see tasks/):

task = "distill"                   # a shorter prompt for each item's text; ratios, not lengths
[task]                             # or one prompt for several pictures of a style:
name = "together"                  # with [data] group = "style", count is of each group
of = 4                             # pictures of one prompt
things = ["a castle", "a frog"]    # drawn in that style
frame = "{thing} in the style of {}"
[task]                             # or one prompt for two consecutive items
name = "mix"
sources = "pictures"               # or texts: their prompts or captions
weights = [0.5, 0.5]
[task]                             # or a prompt for each picture, of which one word is then changed
name = "edit"
edits = ["swap", "append"]
model = "mini-b"                   # whose vocabulary and space give the other word
[task]                             # or a prompt with which a language model labels texts
name = "classify"                  # readers are language models; each [[data]] is one item:
templates = ["{text}{prompt}{label}"]  # dataset names it, path is its file, and options are
                                   # those of pez classify: { labels = "negative,positive" }
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pez.evaluation.checks import check, with_judge
from pez.evaluation.entries import one_table, tables, values
from pez.evaluation.plan import Plan
from pez.evaluation.plan_entries import Data, GeneratorPlan, MeasurePlan, MethodPlan
from pez.evaluation.tasks import read_task
from pez.evaluation.tasks.task import SearchTask
from pez.formats.documents import read_toml
from pez.formats.text import read_text


def read_plan(path: str | Path) -> Plan:
    """The plan in a TOML file. PezError that names what is wrong."""
    return parse_plan(read_text(path, "give a plan file in TOML", pipe=True), str(path))


def parse_plan(content: str, name: str = "the plan") -> Plan:
    """The plan in a TOML text; unset judges become the paper's, or offline the shipped one."""
    table = read_toml(content, name, "correct that line")
    parts = {
        "data": tuple(tables(Data, table.pop("data", None), "data")),
        "methods": tuple(tables(MethodPlan, table.pop("methods", []), "methods")),
        "generators": tuple(tables(GeneratorPlan, table.pop("generators", []), "generators")),
        "measures": tuple(tables(MeasurePlan, table.pop("measures", []), "measures")),
        "task": _task(table.pop("task", {})),
    }
    labelled = parts["task"].labelled
    parts["data"] = tuple(replace(data, labelled=labelled) for data in parts["data"])
    plain = values(Plan, table, "", tuple(parts))
    plan = Plan(**parts, **plain, text=content)
    check(plan)
    return plan if plan.judges or labelled else with_judge(plan)


def _task(value: Any) -> SearchTask:
    """``task = NAME`` or ``[task]``."""
    return read_task({"name": value} if isinstance(value, str) else one_table(value, "task"))
