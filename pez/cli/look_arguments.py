"""The arguments of the verbs that look: at scores, words, tokens and their neighbours."""

from __future__ import annotations

import argparse

from pez.options import MARGIN


def add_score(score: argparse.ArgumentParser) -> None:
    """The arguments of ``pez score``."""
    score.add_argument("image", metavar="IMAGE", help="a picture; - is stdin")
    score.add_argument(
        "prompts",
        nargs="+",
        metavar="PROMPT|FILE|-",
        help="a text, or a file or stdin: one a line, or JSON lines or CSV with a prompt",
    )
    _add_model(score)


def add_explain(explain: argparse.ArgumentParser) -> None:
    """The arguments of ``pez explain``."""
    explain.add_argument("image", metavar="IMAGE", help="a picture; - is stdin")
    explain.add_argument("prompt", metavar="PROMPT|FILE|-", help="a prompt, or a file that has one")
    explain.add_argument("--text", action="store_true", help="IMAGE is not a picture but a text")
    explain.add_argument(
        "--margin",
        type=float,
        default=MARGIN,
        metavar="X",
        help="a word is redundant if the score falls by at most this without it (%(default)s)",
    )
    explain.add_argument(
        "--output", default="", metavar="FILE", help="also draw the words' bars (PNG)"
    )
    explain.add_argument(
        "--csv", default="", metavar="FILE", help="also write a row for each word and model"
    )
    _add_model(explain, "as for invert; give it several times to ask each model by itself")


def add_tokens(tokens: argparse.ArgumentParser) -> None:
    """The arguments of ``pez tokens``."""
    tokens.add_argument(
        "text", metavar="TEXT|FILE|-", help="a text, or the texts of a file or of stdin"
    )
    tokens.add_argument("--model", default="", metavar="NAME", help="whose tokenizer")
    tokens.add_argument("--json", action="store_true", help="one JSON object")


def add_neighbours(neighbours: argparse.ArgumentParser) -> None:
    """The arguments of ``pez neighbours``."""
    neighbours.add_argument("word", nargs="+", metavar="WORD")
    neighbours.add_argument("--top", type=int, default=20, metavar="N", help="how many (20)")
    neighbours.add_argument(
        "--vocabulary",
        default="auto",
        metavar="KIND|FILE",
        help="tokens to search among: auto, words, whole, ascii, all or a file of words",
    )
    neighbours.add_argument(
        "--map", default="", metavar="FILE", help="also draw them as a map (PNG), by PCA and t-SNE"
    )
    _add_model(
        neighbours, "as for invert; give it several times to see each model's own neighbours"
    )


def _add_model(parser: argparse.ArgumentParser, model: str = "as for invert") -> None:
    parser.add_argument("--model", action="append", metavar="NAME", help=model)
    parser.add_argument("--for", dest="generator", default="", metavar="NAME", help="as for invert")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, mps")
    parser.add_argument(
        "--dtype", default="float32", metavar="NAME", help="float32, bfloat16, float16"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
