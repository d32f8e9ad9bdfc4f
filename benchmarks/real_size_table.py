"""What ``benchmarks/real_size.py`` measured, as Markdown."""

from __future__ import annotations

from typing import Any

LENGTH, STEPS, WORDS = 16, 1000, 34_000  # tokens, steps of PEZ, words that may be chosen
METHODS = ("pez", "pursuit", "gcg", "gbda", "pgd", "evolve")


def rows_of(figures: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """(device and number format, model, figures) of everything measured."""
    named = (item for item in figures.items() if item[0] != "whole run")
    return [(key, label, one) for key, models in named for label, one in models.items()]


def table(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    every = rows_of(figures)
    machines = sorted({f"{key.split()[0]}: {one['machine']}" for key, _, one in every})
    lines = [
        "# Speed and memory at real size",
        "",
        "Written by `python benchmarks/real_size.py` with random weights: neither speed nor memory",
        f"depends on their values. {LENGTH} tokens, {WORDS:,} words. Literal is Algorithm 1 of Wen",
        "et al. 2023 as written, one picture at a time: two forward passes over 77 positions and",
        "a normalisation of the vocabulary at each step. Each ratio is of two things timed in one",
        "run.",
        "",
        *(f"- {line}" for line in machines),
        "",
        "The processor was shared with other work: its times are too long; only its ratios count.",
        "",
        "## A step of PEZ",
        "",
        "| on | model | rows | literal, ms per step | ours, ms per row and step | times faster "
        "| share of a large product's rate |",
        "|---|---|---|---|---|---|---|",
    ]
    steps = [(key, label, one["steps"]) for key, label, one in every if "steps" in one]
    for key, label, found in steps:
        for rows, here in found["rows"].items():
            own = here["pez"]
            # a busy processor's large product does not measure what it could do
            share = f"{own['share_of_peak']:.0%}" if key.startswith("cuda") else ""
            lines.append(
                f"| {key} | {label} | {rows} | {1e3 * found['literal']:.1f} "
                f"| {1e3 * own['seconds']:.3f} | {own['times_faster']:.1f} "
                f"| {share} |"
            )
    lines += [
        "",
        "## A step of other methods",
        "",
        "Milliseconds per row and step.",
        "",
        f"| on | model | rows | {' | '.join(METHODS)} |",
        "|---|---|---|" + "---|" * len(METHODS),
    ]
    for key, label, found in steps:
        for rows, here in found["rows"].items():
            if len(here) > 1:
                cells = (f"{1e3 * here[name]['seconds']:.2f}" for name in METHODS)
                lines.append(f"| {key} | {label} | {rows} | {' | '.join(cells)} |")
    lines += [
        "",
        "## Start, folder, memory",
        "",
        f"All {WORDS:,} words are scored once for a model and cached on disk. On a processor only",
        "some of them were scored, and fewer pictures were searched for fewer steps. Seconds are",
        "as measured; `all words` is extrapolated in proportion. Peak memory is the GPU's or the",
        "process's, image tower and words included.",
        "",
        "| on | model | words scored, s | all words, s | folder: pictures × steps of PEZ, s "
        "| pictures × steps of pursuit, s | peak, GB |",
        "|---|---|---|---|---|---|---|",
    ]
    for key, label, one in every:
        start, folder = one.get("start"), one.get("folder")
        cells = [key, label]
        cells += (
            [f"{start['words']:,} in {start['seconds']:.1f}", f"{start['seconds_of_all']:.0f}"]
            if start
            else ["", ""]
        )
        cells += [
            f"{f['pictures']} × {f['steps']} in {f['seconds']:.1f}" for f in (folder or {}).values()
        ] or ["", ""]
        lines.append(f"| {' | '.join([*cells, format(one['gigabytes'], '.1f')])} |")
    lines += ["", "## Pictures per hour", ""]
    lines += [f"{STEPS:,} steps of PEZ, {LENGTH} tokens, from pictures to prompts.", ""]
    lines += ["| on | model | pictures at once | per hour | literal, one at a time | ratio |"]
    lines += ["|---|---|---|---|---|---|"]
    for key, label, one in every:
        if many := one.get("many"):
            lines.append(
                f"| {key} | {label} | {many['pictures']} | {many['an_hour']:,.0f} "
                f"| {many['literal_an_hour']:,.0f} | {many['ratio']:,.0f} |"
            )
    for label, found in figures.get("whole run", {}).items():
        lines += [
            "",
            f"{label} in float32 on a processor, from the file of weights to the prompt, scoring "
            f"all words: {found['gigabytes']:.1f} GB at most.",
        ]
    return "\n".join(lines) + "\n"
