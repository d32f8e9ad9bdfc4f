"""Time and memory of rating every word of a large vocabulary once, which a pursuit starts from.

    python benchmarks/rating.py          # writes benchmarks/rating.json and rating.md

ViT-L-14 with random weights, on the processor: neither time nor memory depends on their values.
Ways to rate the same words are timed in turn, in one process, so that their ratios hold on a busy
machine too. Then all words are rated and cached as a search does it, in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]
from benchmarks.real_size import machine, problem_of, random_reader  # noqa: E402

MODEL = ("ViT-L-14/openai",)
CPU = torch.device("cpu")
TIMED = 1024  # words rated in each way
WHOLE = 32  # words typed, over the whole context
TIMES = 3
WAYS = {
    "whole": "the whole context of 77",
    "start": "cut behind the end, with the start in each prompt",
    "large": "cut, the start shared, 512 words at once",
    "ours": "cut, the start shared, chunks that fit into the cache",
}


def with_start(tower: Any, embeddings: torch.Tensor) -> torch.Tensor:
    """Features (b, e) of prompts (b, l, w) cut behind the end: all positions go through the blocks,
    as a tower without what :class:`pez.models.text_tower.Tower` shares reads them.
    """
    count, length, width = embeddings.shape
    end = tower.end + tower.positions[length + 1]
    x = torch.cat(
        [
            tower.before.expand(count, 1, width),
            embeddings + tower.positions[1 : length + 1],
            end.expand(count, 1, width),
        ],
        1,
    )
    mask = torch.full((length + 2, length + 2), float("-inf")).triu(1)
    for block in tower.blocks:
        x = block(x, attn_mask=mask)
    return tower.final(x[:, -1]) @ tower.projection


def ways(reader: Any, problem: Any) -> dict[str, tuple[int, Callable[[], Any]]]:
    """How many words each way rates, and the way."""
    from pez.search.rating import rated

    ids, words = problem.vocabulary.ids[:TIMED], problem.vocabulary
    texts = [reader.tokens.decode([i]) for i in ids[:WHOLE].tolist()]
    features = problem.objective.features

    def start() -> None:
        for chunk in ids.split(512):
            with_start(reader.tower, words.embed(chunk)[:, None])

    def large() -> None:
        for chunk in ids.split(512):
            features(words.embed(chunk)[:, None])

    return {
        "whole": (WHOLE, lambda: reader.encode_text(texts)),
        "start": (TIMED, start),
        "large": (TIMED, large),
        "ours": (TIMED, lambda: rated(features, words, ids, None, problem.word_batch, None)),
    }


@torch.no_grad()
def compare() -> dict[str, Any]:
    """Median milliseconds of a word in each way, all in turn."""
    reader = random_reader(MODEL, CPU, torch.float32)
    problem = problem_of(reader, 1)
    some = problem.vocabulary.embed(problem.vocabulary.ids[:8])[:, None]
    own = torch.nn.functional.normalize(with_start(reader.tower, some), dim=-1)
    torch.testing.assert_close(problem.objective.features(some), own, atol=1e-4, rtol=0)
    took: dict[str, list[float]] = {name: [] for name in WAYS}
    todo = ways(reader, problem)
    for n in range(TIMES + 1):
        for name, (count, work) in todo.items():
            begin = time.perf_counter()
            work()
            if n:  # the first only warms up
                took[name].append((time.perf_counter() - begin) / count * 1e3)
        print(n, took, file=sys.stderr, flush=True)
    return {name: statistics.median(values) for name, values in took.items()}


def peak() -> float:
    """Peak gigabytes of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def once() -> dict[str, Any]:
    """All words rated and cached, then read again."""
    from pez.session.word_cache import kept_features

    reader = random_reader(MODEL, CPU, torch.float32)
    problem = problem_of(reader, 1)
    reader.free_vision()
    ids = problem.vocabulary.ids
    problem._rated(ids[:600])
    before = peak()
    with tempfile.TemporaryDirectory() as folder:
        path, took = Path(folder) / "features.safetensors", []
        for _ in range(2):
            begin, used = time.perf_counter(), time.process_time()
            features = kept_features(path, ids, problem._rated)
            took.append((time.perf_counter() - begin, time.process_time() - used))
        size = path.stat().st_size
    return {
        "words": len(features),
        "seconds": took[0][0],
        "cpu_seconds": took[0][1],
        "again_seconds": took[1][0],
        "megabytes_on_disk": size / 1e6,
        "gigabytes_before": before,
        "gigabytes_more": peak() - before,
    }


def table(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    ways, all_words = figures["milliseconds"], figures["once"]
    lines = [
        "# Rating every word once",
        "",
        "Written by `python benchmarks/rating.py`: ViT-L-14 with random weights, as neither time",
        f"nor memory depends on their values; {figures['machine']}.",
        "The machine was shared: the times are too long, the ratios are of things timed in turn",
        "in one process.",
        "",
        "| a word is read over | ms per word | times as long as ours |",
        "|---|---|---|",
    ]
    for name, text in WAYS.items():
        lines.append(f"| {text} | {ways[name]:.2f} | {ways[name] / ways['ours']:.1f} |")
    lines += [
        "",
        f"All {all_words['words']:,} words, rated once and cached as a search does it:",
        f"{all_words['seconds']:.0f} s ({all_words['cpu_seconds']:.0f} CPU seconds) and "
        f"{all_words['gigabytes_more']:.2f} GB more than",
        f"the peak of {all_words['gigabytes_before']:.1f} GB of making the model; "
        f"{all_words['megabytes_on_disk']:.0f} MB on disk in float16.",
        f"Each later search reads them in {all_words['again_seconds']:.1f} s, "
        "which includes rating 16 of them again as a check.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--once", action="store_true", help="only all words once, as JSON")
    parser.add_argument("--output", type=Path, default=HERE / "rating", help="files without suffix")
    args = parser.parse_args()
    if args.once:
        print(json.dumps(once()))
        return
    command = [sys.executable, "-m", "benchmarks.rating", "--once"]
    done = subprocess.run(command, cwd=HERE.parent, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    figures = {"machine": machine(CPU), "once": found, "milliseconds": compare()}
    args.output.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")
    args.output.with_suffix(".md").write_text(table(figures))


if __name__ == "__main__":
    main()
