"""The arguments of the evaluation verbs, in a file of their own so that --help is instant."""

from __future__ import annotations

import argparse

from pez.evaluation.judges import JUDGES
from pez.workers.choose import add_workers


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``pez evaluate``."""
    parser.add_argument("plan", metavar="PLAN.toml", help="what to measure; see benchmarks/")
    parser.add_argument(
        "--output", default="", metavar="FOLDER", help="where results go (pez-evaluate/PLAN)"
    )
    add_workers(parser)
    parser.add_argument(
        "--prompts",
        default="",
        metavar="FILE",
        help="prompts made elsewhere: CSV or JSON lines with item (or image), prompt and method, "
        "or what pez invert --output wrote",
    )
    parser.add_argument("--retry", action="store_true", help="repeat what failed")
    parser.add_argument("--dry-run", action="store_true", help="count units and estimate the time")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, mps")
    parser.add_argument("--json", action="store_true", help="the rows, one JSON object a line")
    parser.add_argument("--quiet", action="store_true", help="no progress bar, no summary")


def add_similarity(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``pez similarity``."""
    usages = ", ".join(usage for _, usage, _ in JUDGES.values())
    parser.add_argument("images", nargs=2, metavar="IMAGE")
    parser.add_argument(
        "--judge",
        default="",
        metavar="NAME",
        help=f"{usages} (the paper's ViT-g-14)",
    )
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, mps")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def add_report(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``pez report``."""
    parser.add_argument("folder", metavar="FOLDER", help="what pez evaluate wrote")
    parser.add_argument("--output", default="", metavar="FILE", help="report.html in FOLDER")
    parser.add_argument(
        "--baseline",
        default="",
        metavar="METHOD[:N]",
        help="what to compare with (the data set's caption, else random words)",
    )
    parser.add_argument(
        "--items", type=int, default=12, metavar="N", help="most items in the gallery (12)"
    )
