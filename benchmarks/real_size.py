"""Time and memory at the sizes of the real models, with random weights.

    python benchmarks/real_size.py                    # the processor; writes real-size.json and .md
    python benchmarks/real_size.py --device cuda      # a GPU; adds its figures to the same files

Speed and memory do not depend on the weights' values, so random ones suffice. Each model runs in a
process of its own, so its peak memory is measured alone. Literal is Algorithm 1 of Wen et al. 2023
as written, one picture at a time (``benchmarks/speed.py``). Each ratio is of two things timed in
one run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
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
import torch.nn.functional as F

from benchmarks.real_size_table import LENGTH, METHODS, STEPS, WORDS, table

HERE = Path(__file__).parent
FIGURES = HERE / "real-size.json"
PICTURES = 100  # of a folder
MODELS = {  # by the names of their published weights; several are searched at once
    "ViT-B-32": ("ViT-B-32/openai",),
    "ViT-L-14": ("ViT-L-14/openai",),
    "ViT-H-14": ("ViT-H-14/laion2b_s32b_b79k",),
    "ViT-bigG-14": ("ViT-bigG-14/laion2b_s39b_b160k",),
    "SDXL's pair": ("ViT-L-14/openai", "ViT-bigG-14/laion2b_s39b_b160k"),
}
ROWS = {"cpu": (1, 8), "cuda": (1, 32, 256, 1024)}
# what a processor does in minutes: words scored, pictures of a folder and steps for each
SMALL = {"words": 2_000, "pictures": 20, "steps": 2}


def random_reader(names: tuple[str, ...], device: torch.device, dtype: torch.dtype) -> Any:
    """The models of published names, with random weights."""
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    from pez.models.ensemble import Ensemble
    from pez.models.openclip import wrap

    readers = []
    for name in names:
        architecture, tag = name.split("/")
        quick = bool(get_pretrained_cfg(architecture, tag).get("quick_gelu"))
        torch.manual_seed(0)
        with torch.device(device):
            model = open_clip.create_model(
                architecture, pretrained=None, force_quick_gelu=quick, device=device
            )
        readers.append(wrap(name, model.to(dtype), open_clip.get_tokenizer(architecture), device))
    return readers[0] if len(readers) == 1 else Ensemble.join(readers)


def problem_of(reader: Any, items: int, init: str = "random") -> Any:
    """A search of ``items`` random directions over WORDS words."""
    from pez.objectives.match import Match, Targets
    from pez.search.problem import Problem
    from pez.search.template import Template
    from pez.search.vocabulary import make_vocabulary

    device = reader.table.device
    generator = torch.Generator().manual_seed(1)
    ids = torch.randperm(reader.tokens.size - 2, generator=generator)[:WORDS].sort().values
    vocabulary = make_vocabulary(reader.tokens, reader.table, ids.to(device), reader.parts)
    width = reader.encode_text(["a"]).shape[1]
    directions = F.normalize(torch.randn(items, width, generator=generator), dim=-1).to(device)
    one = torch.ones(1, device=device)
    template = Template(torch.zeros(LENGTH, dtype=torch.long), torch.arange(LENGTH)).to(device)
    match = Match(reader, [Targets(d[None], one) for d in directions])
    return Problem(vocabulary, template, match, init, match.batch)


def stepper(problem: Any, name: str, rows: int) -> Callable[[], None]:
    """One step of the method ``name`` for ``rows`` prompts."""
    from pez.methods import make_method
    from pez.search.rows import Job, Rows

    method = make_method(name, steps=STEPS)
    items = len(problem.objective.items)
    batch = Rows([Job(n % items, "size", n) for n in range(rows)], problem.vocabulary.table.device)
    state = method.start(problem, batch)

    def step() -> None:
        nonlocal state
        *_, state = method.step(problem, batch, state)

    return step


def literal_step(reader: Any) -> Callable[[], None]:
    """One step of the literal form, for one prompt; several models run one after the other."""
    from benchmarks.speed import literal

    steps = []
    for one in getattr(reader, "readers", [reader]):
        width = one.encode_text(["a"]).shape[1]
        target = torch.randn(width, 1, device=one.table.device).to(one.table.dtype)
        steps.append(literal(one, F.normalize(target, dim=0)))

    def step() -> None:
        for one in steps:
            one()

    return step


def seconds(work: Callable[[], Any], times: int, device: torch.device) -> float:
    """Median seconds of one call, after three warm-up calls (one on a processor)."""
    took = []
    for _ in range(times + (3 if device.type == "cuda" else 1)):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        took.append(time.perf_counter() - start)
    return statistics.median(took[-times:])


def operations(reader: Any, rows: int) -> float:
    """Multiplications and additions of one PEZ step: the towers both ways, the nearest words."""
    total = 0.0
    for one in getattr(reader, "readers", [reader]):
        if one.tower is None:
            raise ValueError(f"{one.name} is not cut")
        layers = sum(p.numel() for b in one.tower.blocks for p in b.parameters() if p.dim() > 1)
        total += 2 * 2 * layers * (LENGTH + 1) + 2 * WORDS * one.table.shape[1] * LENGTH
    return total * rows


def peak_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a large matrix product, measured here."""
    side = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return 2 * side**3 / seconds(lambda: a @ b, 10, device)


def memory(device: torch.device) -> float:
    """Peak gigabytes so far: the GPU's, or this process's."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated() / 1e9, 2)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2)


def pictures(count: int) -> list[Any]:
    """Random pictures; their content does not change the time."""
    from PIL import Image

    noise = torch.randint(256, (count, 24, 24, 3), generator=torch.Generator().manual_seed(0))
    return [Image.fromarray(n.byte().numpy()).resize((320, 240)) for n in noise]


def measure_steps(reader: Any, device: torch.device, rate: float) -> dict[str, Any]:
    """Seconds of a step of each method and of the literal form, all in one run."""
    times = 20 if device.type == "cuda" else 3
    plain = seconds(literal_step(reader), times, device)
    out: dict[str, Any] = {"literal": plain, "rows": {}}
    with torch.enable_grad():
        for rows in ROWS[device.type]:
            problem = problem_of(reader, rows)
            here = {}
            for name in METHODS:
                if name != "pez" and rows not in (1, 256):
                    continue
                took = seconds(stepper(problem, name, rows), max(3, times // 4), device)
                here[name] = {"seconds": took / rows}
                if name == "pez":
                    here[name]["times_faster"] = plain * rows / took
                    here[name]["share_of_peak"] = operations(reader, rows) / took / rate
            out["rows"][rows] = here
            print(rows, json.dumps(here), file=sys.stderr, flush=True)
    return out


def measure_start(reader: Any, device: torch.device) -> dict[str, Any]:
    """Seconds to score the words once; on a processor measured for some, extrapolated to all."""
    problem = problem_of(reader, 1)
    count = WORDS if device.type == "cuda" else SMALL["words"]
    ids = problem.vocabulary.ids[:count]
    problem._rated(ids[:512])
    start = time.perf_counter()
    problem._rated(ids)
    if device.type == "cuda":
        torch.cuda.synchronize()
    took = time.perf_counter() - start
    return {"words": count, "seconds": took, "seconds_of_all": took * WORDS / count}


def measure_folder(reader: Any, device: torch.device) -> dict[str, Any]:
    """Seconds of a folder of pictures from first to last, by pez.invert."""
    import pez

    out = {}
    on_gpu = device.type == "cuda"
    count = PICTURES if on_gpu else SMALL["pictures"]
    for method, steps in (("pez", STEPS), ("pursuit", 50)):
        done = steps if on_gpu else SMALL["steps"]
        start = time.perf_counter()
        pez.invert(
            pictures(count), reader=reader, method=method, steps=done, length=LENGTH,
            style="words", vocabulary="whole",
        )  # fmt: skip
        took = time.perf_counter() - start
        out[method] = {"pictures": count, "steps": done, "seconds": took, "usual_steps": steps}
    return out


def many(reader: Any, plain: float, device: torch.device) -> dict[str, Any]:
    """Pictures an hour at STEPS steps of PEZ, against one at a time by the literal form."""
    import pez

    count = 1024
    start = time.perf_counter()
    pez.invert(
        pictures(count), reader=reader, method="pez", init="random", steps=STEPS, length=LENGTH,
        rows=count, vocabulary="whole",
    )  # fmt: skip
    took = time.perf_counter() - start
    hour = count / took * 3600
    before = 3600 / (plain * STEPS)
    return {"pictures": count, "an_hour": hour, "literal_an_hour": before, "ratio": hour / before}


def one_model(
    label: str, device: torch.device, dtype: torch.dtype, parts: set[str], cap: float
) -> dict[str, Any]:
    """All figures of one model, in this process, on no more than ``cap`` GB of a GPU (0: all)."""
    rate = peak_rate(device, dtype)
    reader = random_reader(MODELS[label], device, dtype)
    out: dict[str, Any] = {"model": label, "dtype": str(dtype).removeprefix("torch."), "peak": rate}
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        if cap:
            whole = torch.cuda.get_device_properties(device).total_memory
            torch.cuda.set_per_process_memory_fraction(cap * 1e9 / whole)
            out["cap"] = cap
    if "start" in parts:
        out["start"] = measure_start(reader, device)
    if "steps" in parts:
        out["steps"] = measure_steps(reader, device, rate)
    if "folder" in parts:
        out["folder"] = measure_folder(reader, device)
    if "many" in parts and device.type == "cuda":
        out["many"] = many(reader, out["steps"]["literal"], device)
    out["gigabytes"] = memory(device)
    return out


def child_memory(label: str) -> dict[str, Any]:
    """:func:`whole_run` in a process of its own."""
    code = f"import json, benchmarks.real_size as r; print(json.dumps(r.whole_run({label!r})))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=HERE.parent, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def fill_cache(name: str, folder: str) -> None:
    """Put random weights into a hub cache where those of ``name`` would be."""
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg
    from safetensors.torch import save_file

    architecture, tag = name.split("/")
    hub = get_pretrained_cfg(architecture, tag)["hf_hub"].rstrip("/").replace("/", "--")
    commit = "0" * 40
    place = Path(folder) / f"models--{hub}" / "snapshots" / commit
    place.mkdir(parents=True)
    refs = place.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text(commit)
    state = open_clip.create_model(architecture, pretrained=None).state_dict()
    save_file({k: v.contiguous() for k, v in state.items()}, place / "open_clip_model.safetensors")


def whole_run(label: str) -> dict[str, Any]:
    """Peak memory of ``pez invert`` from a weights file to the prompt, scoring the words too."""
    (name,) = MODELS[label]
    with tempfile.TemporaryDirectory() as folder:
        code = f"import benchmarks.real_size as r; r.fill_cache({name!r}, {folder!r})"
        subprocess.run([sys.executable, "-c", code], cwd=HERE.parent, check=True)
        os.environ |= {"HF_HUB_CACHE": folder, "HF_HUB_OFFLINE": "1", "PEZ_CACHE": folder}
        import pez

        pez.invert(pictures(1), model=name, steps=3, length=LENGTH, vocabulary="whole")
    return {"model": label, "gigabytes": memory(torch.device("cpu"))}


def child(*arguments: str) -> dict[str, Any]:
    """This script's output from a separate process. RuntimeError if it fails."""
    command = [sys.executable, "-m", "benchmarks.real_size", *arguments]
    done = subprocess.run(command, cwd=HERE.parent, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def machine(device: torch.device) -> str:
    """What the figures were measured on."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    threads = torch.get_num_threads()
    return f"{platform.machine()} processor, {threads} threads, torch {torch.__version__}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", action="append", choices=MODELS)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--parts", default="start,steps,folder,many")
    parser.add_argument("--cap", default="0", help="GB of a GPU that may be used; 0 is all")
    parser.add_argument("--figures", type=Path, default=FIGURES, help="where they are stored")
    parser.add_argument("--one", choices=MODELS, help="one model in this process, as JSON")
    parser.add_argument(
        "--whole-run",
        choices=[m for m in MODELS if len(MODELS[m]) == 1],
        help="memory from a file to a prompt",
    )
    args = parser.parse_args()
    device, dtype = torch.device(args.device), getattr(torch, args.dtype)
    if args.one:
        parts = set(args.parts.split(","))
        print(json.dumps(one_model(args.one, device, dtype, parts, float(args.cap))))
        return
    figures = json.loads(args.figures.read_text()) if args.figures.exists() else {}
    if args.whole_run:
        found = child_memory(args.whole_run)
        figures.setdefault("whole run", {})[args.whole_run] = found
    for label in args.model or ([] if args.whole_run else MODELS):
        key = f"{device.type} {args.dtype}" + (f", {args.cap} GB" if args.cap != "0" else "")
        more = ("--device", args.device, "--dtype", args.dtype, "--parts", args.parts)
        more += ("--cap", args.cap)
        figures.setdefault(key, {})[label] = child("--one", label, *more)
        figures[key][label]["machine"] = machine(device)
        args.figures.write_text(json.dumps(figures, indent=1) + "\n")
    args.figures.write_text(json.dumps(figures, indent=1) + "\n")
    args.figures.with_suffix(".md").write_text(table(figures))


if __name__ == "__main__":
    main()
