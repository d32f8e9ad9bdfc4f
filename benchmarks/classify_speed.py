"""Time a step by swaps for a language model that classifies, against its literal form.

    python benchmarks/classify_speed.py --sst2 FILE --agnews FILE

writes classify-speed.json and classify-speed.md. The files are tables of labelled texts (SST-2 with
columns ``sentence`` and ``label``, AG News without a head line). A step is one of
:mod:`pez.methods.pursuit` with 16 candidates on 16 examples: a pass with gradients of the prompt,
16 swaps, and these combined. Literal means every text forward again for every prompt, with the
logits of the whole vocabulary, in float32: all texts padded in one batch, or one after the other.
Both sides make the same step from the same prompt. Each ratio is the median of rounds in which all
ways are timed in turn on one core, so that a machine whose speed drifts slows all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pez.methods.candidates import evaluate_all
from pez.methods.pursuit import Pursuit
from pez.models.causal import Speaker
from pez.models.products import Switch, has_products, with_products
from pez.models.speakers import load_speaker
from pez.objectives.labels import Labelled, Labels
from pez.search.problem import Problem
from pez.search.rows import Job, Rows
from pez.session.classify_options import ClassifyOptions
from pez.session.labelled import labelled_item, read_data
from pez.session.session import Session

HERE = Path(__file__).parent
LAYOUTS = {"behind": "{text}{prompt}{label}", "in front": "{prompt}{text} It was{label}"}
SETS = ("SST-2", "AG News")
WHERE = {"behind": "behind the text", "in front": "in front of it"}
CANDIDATES = EXAMPLES = 16
AIM = 4.0  # times as fast as the literal form


@dataclass(frozen=True, eq=False)
class Literal:
    """An objective that reads each text with each prompt as transformers does, one token row for
    a text, and takes the label words' logits from those of the whole vocabulary. ``together`` reads
    all texts of a prompt in one padded batch. Labels are of one token each.
    """

    reader: Speaker
    goal: Labelled
    together: bool

    @property
    def batch(self) -> int:
        """Prompts that may be given at once; they are read one after the other."""
        return 64

    @property
    def linear(self) -> bool:
        """As of :class:`Labels`."""
        return False

    def targets(self, item: int) -> int:
        """How many examples there are."""
        return len(self.goal.right)

    def __call__(
        self, embeddings: Tensor, item: Tensor, draw: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Loss (b,) and score (b,) of prompts (b, l, w)."""
        loss = torch.stack([self._loss(prompt) for prompt in embeddings])
        return loss, -loss.detach()

    def _loss(self, prompt: Tensor) -> Tensor:
        table, frames = self.reader.table, self.goal.frames
        rows = [torch.cat([table[[*f.before]], prompt, table[[*f.after]]]) for f in frames]
        sizes = torch.tensor([len(row) for row in rows])
        words = torch.tensor([tail[0] for tail in frames[0].tails])
        if self.together:
            x = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
            seen = (torch.arange(x.shape[1]) < sizes[:, None]).long()
            logits = self.reader.model(inputs_embeds=x, attention_mask=seen, use_cache=False).logits
            last = logits[torch.arange(len(rows)), sizes - 1]
        else:
            read = [self.reader.model(inputs_embeds=row[None], use_cache=False) for row in rows]
            last = torch.stack([out.logits[0, -1] for out in read])
        return F.cross_entropy(last[:, words], torch.tensor(self.goal.right))


@dataclass(frozen=True)
class Case:
    """Some texts in a layout."""

    name: str
    layout: str
    source: str
    options: ClassifyOptions


def cases(sst2: str, agnews: str) -> list[Case]:
    """Both sets in both layouts."""
    plain = {
        SETS[0]: (sst2, {"labels": "negative,positive", "shots": EXAMPLES // 2}),
        SETS[1]: (
            agnews,
            {
                "labels": "World,Sports,Business,Sci/Tech",
                "label_words": "World,Sports,Business,Technology",
                "shots": EXAMPLES // 4,
                "text_column": "1",
                "label_column": "2",
            },
        ),
    }
    found = []
    for name, (source, given) in plain.items():
        for layout, template in LAYOUTS.items():
            more: dict[str, Any] = {"template": template, "validation": 1, "test_size": 1}
            options = ClassifyOptions(**given, **more, method="pursuit")
            found.append(Case(name, layout, source, options))
    return found


def opened(speaker: Speaker, case: Case) -> tuple[Problem, Labelled]:
    """What ``pez classify`` would search."""
    data = read_data(case.source, case.options)
    item = labelled_item(speaker, data, case.options)
    session = Session.of(speaker, case.options)  # type: ignore[arg-type]
    problem = session.problem([item], session.form(case.options.length))
    goal = item.goal
    assert isinstance(goal, Labelled) and len(goal.right) == EXAMPLES
    assert all(len(tail) == 1 for frame in goal.frames for tail in frame.tails)
    return problem, goal


def timed(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each way in each round."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            found[name].append(time.perf_counter() - start)
    return found


def ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def measured(speaker: Speaker, switch: Switch, case: Case, rounds: int) -> dict[str, Any]:
    """Seconds and ratios of a whole step, and how far losses are from each other."""
    problem, goal = opened(speaker, case)
    objective = problem.objective
    assert isinstance(objective, Labels)
    method = Pursuit(candidates=CANDIDATES)
    rows = Rows([Job(0, "speed", 0)], speaker.device)
    first = method.start(problem, rows)
    sides = {
        "literal, one batch": replace(problem, objective=Literal(speaker, goal, True)),
        "literal, one by one": replace(problem, objective=Literal(speaker, goal, False)),
        "float32": problem,
    }
    if has_products():
        sides["bfloat16"] = problem

    def step(name: str) -> Callable[[], Any]:
        def run() -> Any:
            # the objective turns its reader's switch on: in float32 it gets one that does nothing
            speaker.switch = switch if name == "bfloat16" else Switch()
            own = Rows([Job(0, "speed", 0)], speaker.device)
            return method.step(sides[name], own, first)

        return run

    words = problem.vocabulary.ids
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(len(words), (1, 2, case.options.length), generator=generator)
    speaker.switch = Switch()
    losses = [evaluate_all(s, words[drawn], rows.item)[0] for s in list(sides.values())[:3]]
    step("float32")()  # with the comparison, all are warm
    off = max(float((one - losses[0]).abs().max()) for one in losses)
    seconds = timed({name: step(name) for name in sides}, rounds)
    best = min(("literal, one batch", "literal, one by one"), key=lambda n: sum(seconds[n]))
    lengths = [len(f.before) + len(f.after) + case.options.length for f in goal.frames]
    row: dict[str, Any] = {
        "texts": case.name,
        "layout": case.layout,
        "template": case.options.template,
        "mean_tokens": round(statistics.mean(lengths), 1),
        "longest": max(lengths),
        "faster_literal": best,
        "seconds": {name: round(statistics.median(s), 3) for name, s in seconds.items()},
        "float32_ratio": round(ratio(seconds[best], seconds["float32"]), 2),
        "largest_difference": off,
    }
    if "bfloat16" in seconds:
        row["bfloat16_ratio"] = round(ratio(seconds[best], seconds["bfloat16"]), 2)
        row["products_ratio"] = round(ratio(seconds["float32"], seconds["bfloat16"]), 2)
    print(row, flush=True)
    return row


def page(result: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        "# Speed of a step by swaps with a language model",
        "",
        "Written by `python benchmarks/classify_speed.py`: one step of `pursuit` with "
        f"{CANDIDATES} candidates on {EXAMPLES}",
        f"examples and a prompt of five words, {result['model']}, {result['machine']}, one core. "
        "Literal is every text",
        "forward again for every prompt, with the logits of the whole vocabulary, in float32: in",
        "one padded batch or one by one, whichever is faster. Each ratio is the median of "
        f"{result['rounds']} rounds",
        "in which all are timed in turn. Other programs ran meanwhile "
        f"(load {result['load']:.0f}), so ratios count, not seconds.",
        "",
        "| texts | prompt | mean tokens | literal, s | pez, float32, s | times faster "
        "| pez, bfloat16 products, s | times faster |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in result["rows"]:
        s = r["seconds"]
        half = "| not on this CPU | |"
        if "bfloat16" in s:
            half = f"| {s['bfloat16']:.2f} | {r['bfloat16_ratio']:.1f} |"
        lines.append(
            f"| {r['texts']} | {WHERE[r['layout']]} | {r['mean_tokens']:.0f} "
            f"| {s[r['faster_literal']]:.2f} | {s['float32']:.2f} "
            f"| {r['float32_ratio']:.1f} {half}"
        )
    worst = max(r["largest_difference"] for r in result["rows"])
    lines += [
        "",
        f"In float32 the losses are the literal form's to within {worst:.1e} nats.",
        f"The aim was {AIM:.0f} times: "
        f"{_reached(result['rows'], 'float32')} {_reached(result['rows'], 'bfloat16')}",
        "Where the prompt follows the texts, their keys and values are kept, and only its own",
        "tokens are read; the texts themselves are read once before the first step, which is not",
        "timed. Where it leads, all behind it must be read again for every prompt: what is saved",
        "is the prompt itself, padding, and the logits of other words.",
    ]
    done = {(r["texts"], r["layout"]) for r in result["rows"]}
    left = [f"{t}, {WHERE[way]}" for t in SETS for way in LAYOUTS if (t, way) not in done]
    if left:
        lines += ["", f"Not yet measured: {'; '.join(left)}."]
    return "\n".join(lines) + "\n"


def _reached(rows: Sequence[dict[str, Any]], kind: str) -> str:
    """How many rows reach the aim."""
    known = [row[f"{kind}_ratio"] for row in rows if f"{kind}_ratio" in row]
    if not known:
        return ""
    return f"{sum(r >= AIM for r in known)} of {len(known)} reach it in {kind}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sst2", required=True)
    parser.add_argument("--agnews", required=True)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    speaker = load_speaker(args.model, "cpu", "float32")
    switch = with_products(speaker.model)
    result: dict[str, Any] = {
        "model": args.model,
        "machine": f"{platform.machine()} cpu",
        "torch": torch.__version__,
        "rounds": args.rounds,
        "load": 0.0,
        "rows": [],
    }
    for case in cases(args.sst2, args.agnews):
        result["load"] = max(result["load"], round(os.getloadavg()[2], 1))
        result["rows"].append(measured(speaker, switch, case, args.rounds))
        (HERE / "classify-speed.json").write_text(json.dumps(result, indent=1) + "\n")
        (HERE / "classify-speed.md").write_text(page(result))


if __name__ == "__main__":
    main()
