"""The arguments of the page."""

from __future__ import annotations

import argparse


def add_serve(serve: argparse.ArgumentParser) -> None:
    """The arguments of ``pez serve``."""
    serve.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on (127.0.0.1: this machine alone); others need --password",
    )
    serve.add_argument(
        "--port", type=int, default=0, metavar="N", help="port (the first free one from 7860 on)"
    )
    serve.add_argument("--password", default="", metavar="TEXT", help="what visitors must know")
    serve.add_argument(
        "--model",
        action="append",
        metavar="NAME",
        help="a model to offer beside the shipped ones, the first as default; may be repeated",
    )
    serve.add_argument(
        "--generator",
        action="append",
        metavar="NAME",
        help="a generator to offer beside the shipped one; may be repeated",
    )
    serve.add_argument(
        "--control-model",
        default="",
        metavar="NAME",
        help="a ControlNet by id or folder, to follow edges, depth and sketches; else one made "
        "for the generator",
    )
    serve.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, mps")
    serve.add_argument(
        "--dtype", default="float32", metavar="NAME", help="float32, bfloat16, float16"
    )
    serve.add_argument("--open", action="store_true", help="open it in the browser")
