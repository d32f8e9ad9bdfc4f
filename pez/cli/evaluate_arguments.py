"""What the verbs of the harness take; apart from what they do, so that --help is instant."""

from __future__ import annotations

import argparse

from pez.evaluation.judges import JUDGES
from pez.workers.choose import add_workers


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``pez evaluate``."""
    parser.add_argument("plan", metavar="PLAN.toml", help="what is measured, see benchmarks/")
    parser.add_argument(
        "--output", default="", metavar="FOLDER", help="keeps all results (pez-evaluate/PLAN)"
    )
    add_workers(parser)
    parser.add_argument(
        "--prompts",
        default="",
        metavar="FILE",
        help="prompts made elsewhere: a CSV with the columns item (or image), prompt, method",
    )
    parser.add_argument("--retry", action="store_true", help="do again what failed")
    parser.add_argument("--dry-run", action="store_true", help="only count, and tell the time")
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
        help="what differences are from (the data set's caption, else random words)",
    )
    parser.add_argument(
        "--items", type=int, default=12, metavar="N", help="items in the gallery at most (12)"
    )
