"""Standard output holds answers alone, whatever libraries print while models load."""

from __future__ import annotations

import ast
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import CAPTURE, lines

from pez.cli import main

ROOT = Path(__file__).parents[2]
LOUD = '''
import logging, os, sys, warnings
from toy_family import Bags

class Loud(Bags):
    """A family whose library prints, warns and logs while it loads."""

    def load(self, name, device, dtype):
        print("Downloading by Python")
        os.system("echo Downloading by another process")
        warnings.warn("this is deprecated")
        logging.warning("nothing is trained")
        return super().load(name, device, dtype)
'''


def loud(folder: Path, python: list[str]) -> subprocess.CompletedProcess[str]:
    """``pez score`` by that family, in a process of its own."""
    (folder / "loud.py").write_text(LOUD)
    script = (
        "import sys; from pez.models.families import FAMILIES; FAMILIES['loud'] = 'loud:Loud'; "
        "from pez.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    picture = ROOT / "data" / "samples" / "art" / "art-00.png"
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests" / "helpers", folder)))
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    command = ["score", str(picture), "red", "--model", "bag:1"]
    done = [sys.executable, *python, "-c", script, *command]
    return subprocess.run(done, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("developer", [False, True])
def test_what_libraries_print_is_no_answer(developer: bool, tmp_path: Path) -> None:
    done = loud(tmp_path, ["-W", "default"] if developer else [])
    assert done.returncode == 0, done.stderr
    (line,) = lines(done.stdout)
    assert line.endswith("  red")
    assert "Downloading by Python" in done.stderr
    assert "Downloading by another process" in done.stderr
    assert ("this is deprecated" in done.stderr) == developer
    assert ("nothing is trained" in done.stderr) == developer


def test_the_callers_streams_and_logs_are_as_before(capsys: CAPTURE) -> None:
    before = sys.stdout, sys.stderr, logging.root.manager.disable
    assert main(["tokens", "a cat"]) == 0
    assert before == (sys.stdout, sys.stderr, logging.root.manager.disable)
    assert len(lines(capsys.readouterr().out)) == 2


def test_every_print_says_where_and_answers_are_given_by_answer() -> None:
    bare = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted((ROOT / "pez").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "print"
        and "file" not in {keyword.arg for keyword in node.keywords}
    ]
    assert bare == []
