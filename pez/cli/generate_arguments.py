"""The arguments of the verbs that draw, beside the options of drawing itself."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from pez.workers.choose import add_workers


def add_generate(parser: argparse.ArgumentParser, options: Callable[[], None]) -> None:
    """The arguments of ``pez generate``; ``options`` adds those of drawing."""
    parser.add_argument(
        "prompts",
        nargs="*",
        metavar="PROMPT|FILE|-",
        help="a text, a file or stdin (one a line, or JSON lines or CSV with a prompt), or a soft "
        "prompt (.safetensors, .pt, .bin)",
    )
    options()
    add_workers(parser)
    parser.add_argument(
        "--output", default="pez-pictures", metavar="FOLDER", help="where pictures go"
    )
    parser.add_argument(
        "--name",
        default="",
        metavar="PATTERN",
        help="how pictures are named, by {prompt} {seed} {n} {key} {generator} {steps} {guidance} "
        '{sampler}, with a length if wished: "{n:4}-{prompt:40}-{seed}" (words, seed and key)',
    )
    parser.add_argument(
        "--from",
        dest="source",
        metavar="PICTURE",
        help="draw again what a picture of pez, A1111's web UI or ComfyUI records; other options "
        "count more than its settings",
    )
    parser.add_argument(
        "--format",
        choices=("png", "jpeg", "webp"),
        default="png",
        help="of the pictures; each tells how it was drawn (png)",
    )
    parser.add_argument(
        "--txt", action="store_true", help="also write NAME.txt with the prompt beside each picture"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a picture")
    parser.add_argument("--quiet", action="store_true", help="no progress bar, no summary")


def add_attention(parser: argparse.ArgumentParser, options: Callable[[], None]) -> None:
    """The arguments of ``pez attention``."""
    parser.add_argument(
        "prompt",
        metavar="PROMPT|FILE|-",
        help="one prompt: a text, a file that has one, or a soft prompt (.safetensors, .pt, .bin)",
    )
    options()
    parser.add_argument(
        "--output", default="pez-attention.png", metavar="FILE", help="the maps' sheet (PNG)"
    )
    parser.add_argument(
        "--arrays", default="", metavar="FILE", help="also write the maps as arrays (.npz)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a picture")
    parser.add_argument("--quiet", action="store_true", help="no progress bar, no summary")
