"""Bring the README up to date: what its commands print, and the tables that it takes from here.

    python benchmarks/readme.py                  # rewrites README.md
    python benchmarks/readme.py --check          # exit code 1 where it would change more than times

A block of commands that a ``text`` block follows is run, and the second becomes what it printed:
stdout, and from stderr the summary of a search. Below a comment ``table: NAME N`` stands the N-th
table of benchmarks/NAME.md, as soon as there is such a file. The README's pictures are made by
benchmarks/picture.py.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PRINTED = re.compile(r"(```sh\n([^`]*)```\n+```text\n)([^`]*)(```)")
TABLE = re.compile(r"(<!-- table: ([\w-]+) (\d+) -->\n)(.*?)\n\n", re.DOTALL)
SECONDS = re.compile(r"\b\d+(\.\d+)? s\b")


def printed(commands: str) -> str:
    """What the lines of a block print, one after the other."""
    out = ""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "data").symlink_to(ROOT / "data")
        for line in commands.strip().splitlines():
            command = [sys.executable, "-m", *shlex.split(line)]
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True
            )
            if done.returncode:
                raise SystemExit(f"{line}\n{done.stderr}")
            said = [text for text in done.stderr.splitlines() if text.startswith("pez: ")]
            out += done.stdout + "".join(f"{text}\n" for text in said)
    return out


def with_tables(text: str) -> str:
    """The README with the tables of the benchmarks as they are now; those of files that do not
    exist yet are left alone.
    """

    def filled(match: re.Match[str]) -> str:
        file = ROOT / "benchmarks" / f"{match[2]}.md"
        if not file.is_file():
            return match[0]
        tables = re.findall(r"(?:^\|.*\n)+", file.read_text(encoding="utf-8"), re.MULTILINE)
        return f"{match[1]}{tables[int(match[3]) - 1].strip()}\n\n"

    return TABLE.sub(filled, text)


def with_prints(text: str) -> str:
    """The README with what its commands print now."""
    return PRINTED.sub(lambda match: match[1] + printed(match[2]) + match[4], text)


def main() -> int:
    """Rewrite the README, or tell whether it needs it."""
    file = ROOT / "README.md"
    before = file.read_text(encoding="utf-8")
    after = with_prints(with_tables(before))
    if "--check" in sys.argv[1:]:
        return int(SECONDS.sub("s", before) != SECONDS.sub("s", after))
    file.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
