"""The command line: flags, files and signals end here; the work is done below."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from pez.cli.parser import make_parser
from pez.cli.visible import harmless_output, visible
from pez.errors import PezError, PezWarning


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code: 0, 2 for bad input, 130 for Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):  # no terminal fails on a character that it cannot show
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[attr-defined]
    with harmless_output():
        return _run(argv)


def _run(argv: Sequence[str] | None) -> int:
    parser = make_parser()
    try:
        args = parser.parse_args(argv)
        if not hasattr(args, "run"):
            parser.print_help()
            return 0
        with warnings.catch_warnings():
            if not sys.warnoptions:  # warnings of libraries are for developers: python -W default
                warnings.simplefilter("ignore")
            warnings.filterwarnings("always", category=PezWarning)
            warnings.showwarning = _show_warning
            code = args.run(args)
        sys.stdout.flush()
        return code
    except PezError as error:
        print(f"pez: {visible(str(error), lines=False)}", file=sys.stderr)
        return 2
    except UnicodeError:
        print("pez: the input is not UTF-8 text; convert it first.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("pez: stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `pez ... | head` closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _show_warning(message: Warning | str, category: type[Warning], *place: Any) -> None:
    """Warnings of this project as one line on stderr; all others unchanged."""
    if issubclass(category, PezWarning):
        print(f"pez: {message}", file=sys.stderr)
    else:
        print(warnings.formatwarning(message, category, *place[:2]), end="", file=sys.stderr)
