"""Time a literal form of PEZ against this project's, in one run on the same model.

    python benchmarks/speed.py            # writes benchmarks/speed.json and speed.md

Literal means Algorithm 1 as written: two forward passes a step over all 77 positions (one for the
score, one for the gradient), and the whole vocabulary normalised at every step. Weights are random:
speed does not depend on them. Each figure is the median of pairs timed in turn, so that a machine
whose speed drifts slows both sides.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from pez.methods.pez import Pez
from pez.models.build import build_model
from pez.models.openclip import OpenClip, wrap
from pez.models.text_tower import full_features
from pez.objectives.match import Match, Targets
from pez.search.problem import Problem
from pez.search.rows import Job, Rows
from pez.search.template import Template
from pez.search.vocabulary import make_vocabulary

HERE = Path(__file__).parent
LENGTH = 16


def random_model(name: str, device: torch.device, dtype: torch.dtype) -> OpenClip:
    """A real architecture with random weights; a tag may follow after ``/``."""
    import open_clip

    torch.manual_seed(0)
    architecture, _, tag = name.partition("/")
    model = build_model(architecture, tag or None, weights=False)
    return wrap(name, model.to(dtype), open_clip.get_tokenizer(architecture), device)


def literal(reader: OpenClip, target: Tensor) -> Callable[[], None]:
    """One step of Algorithm 1 as written, for one prompt."""
    table = reader.table
    ids = torch.randint(table.shape[0] - 2, (1, LENGTH), device=table.device)
    point = table[ids].clone().requires_grad_(True)
    optimizer = torch.optim.AdamW([point], lr=0.1, weight_decay=0.1)

    def features(embeddings: Tensor) -> Tensor:
        return F.normalize(full_features(reader.model, reader.tokens, embeddings), dim=-1)

    def step() -> None:
        with torch.no_grad():
            near = F.normalize(point.flatten(0, 1), dim=-1) @ F.normalize(table, dim=-1).T
            projected = table[near.argmax(-1)].unflatten(0, point.shape[:2])
            float(features(projected) @ target)  # the score, from a separate forward
        leaf = projected.detach().requires_grad_(True)
        loss = 1 - (features(leaf) @ target).mean()
        (point.grad,) = torch.autograd.grad(loss, leaf)
        optimizer.step()

    return step


def ours(reader: OpenClip, target: Tensor, rows: int) -> Callable[[], None]:
    """One step of pez.methods.pez for ``rows`` prompts."""
    device = reader.table.device
    ids = torch.arange(reader.tokens.size - 2, device=device)
    vocabulary = make_vocabulary(reader.tokens, reader.table, ids)
    template = Template(torch.zeros(LENGTH, dtype=torch.long), torch.arange(LENGTH)).to(device)
    one = torch.ones(1, device=device)
    problem = Problem(vocabulary, template, Match(reader, [Targets(target.T.float(), one)]))
    method = Pez()
    batch = Rows([Job(0, "speed", n) for n in range(rows)], device)
    state = method.start(problem, batch)

    def step() -> None:
        nonlocal state
        *_, state = method.step(problem, batch, state)

    return step


def seconds(step: Callable[[], None]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def paired(a: Callable[[], None], b: Callable[[], None], pairs: int) -> tuple[float, float, float]:
    """Median seconds of ``a`` and ``b`` and the median of their ratios, after a warm-up."""
    for warm_up in (a, b):
        seconds(warm_up)
    times = [(seconds(a), seconds(b)) for _ in range(pairs)]
    ratio = statistics.median(x / y for x, y in times)
    return statistics.median(x for x, _ in times), statistics.median(y for _, y in times), ratio


def against_literal(name: str, device: torch.device, pairs: int) -> list[dict]:
    """Ratios of the literal form to ours, one row and eight."""
    reader = random_model(name, device, torch.float32)
    target = F.normalize(torch.randn(reader.encode_text(["a"]).shape[1], 1, device=device), dim=0)
    plain = literal(reader, target)
    out = []
    for rows in (1, 8):
        a, b, ratio = paired(plain, ours(reader, target, rows), pairs)
        out.append(
            {
                "model": name,
                "rows": rows,
                "literal_seconds_a_row": round(a, 4),
                "ours_seconds_a_row": round(b / rows, 4),
                "ratio_a_row": round(ratio * rows, 2),
            }
        )
        print(out[-1], flush=True)
    return out


def half_precision(name: str, device: torch.device, pairs: int) -> list[dict]:
    """Ratios of bfloat16 to float32: above 1 means bfloat16 is slower."""
    readers = {t: random_model(name, device, t) for t in (torch.bfloat16, torch.float32)}
    width = readers[torch.float32].encode_text(["a"]).shape[1]
    target = F.normalize(torch.randn(width, 1, device=device), dim=0)
    out = []
    for rows in (1, 8, 32):
        half, full = (ours(reader, target, rows) for reader in readers.values())
        a, b, ratio = paired(half, full, max(2, pairs // 2))
        row = {"model": name, "rows": rows, "bfloat16_seconds": round(a, 4)}
        out.append({**row, "float32_seconds": round(b, 4), "ratio": round(ratio, 2)})
        print(out[-1], flush=True)
    return out


def memory(name: str) -> dict:
    """Peak memory of one inversion in float32, in a process of its own."""
    code = f"import benchmarks.speed as s; s.one_inversion({name!r})"
    root = HERE.parent
    out = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    if out.returncode:
        raise RuntimeError(out.stderr[-2000:])
    row = {"model": name, "rows": 1, "peak_gigabytes": float(out.stdout.split()[-1])}
    print(row, flush=True)
    return row


def one_inversion(name: str) -> None:
    """Invert one picture for a few steps and print the peak resident memory in GB."""
    from PIL import Image

    import pez

    reader = random_model(name, torch.device("cpu"), torch.float32)
    picture = Image.new("RGB", (224, 224), "red")
    pez.invert(picture, reader=reader, length=LENGTH, steps=3, vocabulary="all")
    print(round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2, 2))


def table(result: dict) -> str:
    """The figures as Markdown."""
    lines = [
        "# Speed",
        "",
        "Written by `python benchmarks/speed.py`; random weights, 16 tokens, "
        f"{result['machine']}. Literal is Algorithm 1 as written: two forward passes over 77",
        "positions and a normalisation of the vocabulary at each step. Each ratio is the median of",
        "pairs timed in one run.",
        "",
        "| model | rows | literal, s per step | ours, s per row and step | times faster |",
        "|---|---|---|---|---|",
    ]
    for r in result["literal"]:
        lines.append(
            f"| {r['model']} | {r['rows']} | {r['literal_seconds_a_row']:.3f} "
            f"| {r['ours_seconds_a_row']:.3f} | {r['ratio_a_row']:.1f} |"
        )
    if result["half"]:
        lines += ["", "| model | rows | bfloat16 / float32, seconds |", "|---|---|---|"]
        for r in result["half"]:
            lines.append(f"| {r['model']} | {r['rows']} | {r['ratio']:.2f} |")
    for r in result["memory"]:
        lines += [
            "",
            f"{r['model']} inverts one picture in float32 with a peak of "
            f"{r['peak_gigabytes']:.1f} GB of memory.",
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", action="append", help="architecture, or with its tag (ViT-L-14)")
    parser.add_argument("--memory", action="append", help="architecture (ViT-H-14)")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    device = torch.device(args.device)
    models = args.model or ["ViT-L-14"]
    result = {
        "machine": f"{platform.machine()} {device.type}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "amx": bool(torch.cpu._is_amx_tile_supported()),
        "literal": [r for m in models for r in against_literal(m, device, args.pairs)],
        "half": [r for m in models for r in half_precision(m, device, args.pairs)],
        "memory": [memory(m) for m in args.memory or ["ViT-H-14"]],
    }
    (HERE / "speed.json").write_text(json.dumps(result, indent=1) + "\n")
    (HERE / "speed.md").write_text(table(result))


if __name__ == "__main__":
    main()
