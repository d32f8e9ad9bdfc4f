"""The command line: flags, files and signals end here; the work is done below."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from pez.cli.parser import make_parser
from pez.errors import PezError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code: 0, 2 for bad input, 130 for Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):  # no terminal fails at a sign it cannot show
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[attr-defined]
    parser = make_parser()
    try:
        args = parser.parse_args(argv)
        if not hasattr(args, "run"):
            parser.print_help()
            return 0
        code = args.run(args)
        sys.stdout.flush()
        return code
    except PezError as error:
        print(f"pez: {error}", file=sys.stderr)
        return 2
    except UnicodeError:
        print("pez: what was given is no UTF-8 text; convert it first.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("pez: stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `pez ... | head` closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
