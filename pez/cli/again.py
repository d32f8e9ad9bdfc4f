"""``pez generate --from PICTURE``: draws again with the prompt and settings that it records."""

from __future__ import annotations

import argparse
from typing import Any

from pez.cli.resume import note
from pez.errors import PezError
from pez.formats.parameters import Parameters, read_parameters
from pez.generation.options import GenerateOptions

# settings that say nothing of the picture beside others
_SILENT = {
    "Version",
    "Model hash",
    "VAE hash",
    "Lora hashes",
    "TI hashes",
    "Hashes",
    "User",
    "Template",
}


def take_from(args: argparse.Namespace) -> str:
    """The picture's prompt. Its settings replace what was not given on the command line; what of
    them is not taken is said. PezError if it records none.
    """
    found = read_parameters(args.source)
    if args.prompts:
        raise PezError("--from draws the prompt of its picture; omit --from, or the prompts.")
    if not found.prompt:
        raise PezError(f"{args.source} records no prompt; give one.")
    values, left = taken(found)
    for name, value in values.items():
        if getattr(args, name) == getattr(GenerateOptions, name):
            setattr(args, name, value)
    if left and not args.quiet:
        note(f"not taken from {args.source}: {', '.join(left)}.")
    return found.prompt


def taken(found: Parameters) -> tuple[dict[str, Any], list[str]]:
    """Options by name, and what is no option, as "name: value". PezError for a broken number."""
    left = dict(found.settings)
    values: dict[str, Any] = {"negative": found.negative}
    sampler, schedule = left.pop("Sampler", ""), left.pop("Schedule type", "")
    values["scheduler"] = f"{sampler} {schedule}".strip()
    own = left.get("Version") == "pez"
    try:
        values["steps"] = int(left.pop("Steps", 0))
        values["seed"] = int(left.pop("Seed", 0))
        values["clip_skip"] = int(left.pop("Clip skip", 0))
        values["guidance"] = float(left.pop("CFG scale", -1))
        wide, _, high = left.pop("Size", "0x0").partition("x")
        values["width"], values["height"] = int(wide), int(high)
    except ValueError as error:
        raise PezError(
            f"the picture's settings are broken ({error}); give them yourself."
        ) from None
    if own and "Model" in left:  # others name a file that lies elsewhere
        values["generator"] = left.pop("Model")
    told = [f"{name}: {value}" for name, value in left.items() if name not in _SILENT]
    return {k: v for k, v in values.items() if v != ""}, told
