"""The command line: flags, files and signals end here; the work is done below."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from pez.cli.parser import make_parser
from pez.cli.streams import guarded, only_answers
from pez.cli.visible import harmless_output, visible
from pez.errors import PezError, PezWarning


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code: 0, 2 for bad input, 130 for Ctrl-C."""
    with guarded() as out, harmless_output():
        try:
            out.check()  # before any work
            try:
                code = _run(argv)
            except SystemExit:  # --help, --version
                sys.stdout.flush()
                raise
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
            return 0


def _run(argv: Sequence[str] | None) -> int:
    """Read the arguments and run their verb."""
    parser = make_parser()
    args = parser.parse_args(argv)
    if not hasattr(args, "run"):
        parser.print_help()
        return 0
    logged = logging.root.manager.disable
    with warnings.catch_warnings(), only_answers():
        if not sys.warnoptions:  # warnings of libraries are for developers: python -W default
            warnings.simplefilter("ignore")
            logging.disable(logging.CRITICAL)
        warnings.filterwarnings("always", category=PezWarning)
        warnings.showwarning = _show_warning
        try:
            return args.run(args)
        finally:
            logging.disable(logged)


def _show_warning(message: Warning | str, category: type[Warning], *place: Any) -> None:
    """Warnings of this project as one line on stderr; all others unchanged."""
    if issubclass(category, PezWarning):
        print(f"pez: {message}", file=sys.stderr)
    else:
        print(warnings.formatwarning(message, category, *place[:2]), end="", file=sys.stderr)
