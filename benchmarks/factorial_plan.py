"""The plan of benchmarks/factorial.py and the arguments that it shares with choose.py."""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.photos import caption_list

HERE = Path(__file__).parent
BANK = 4_000  # captions of other pictures: a bank, and those of which the best is looked up


def renamed(plan: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The plan with other models: ``OLD=NEW`` texts."""
    text = json.dumps(plan)
    for name in names:
        old, _, new = name.partition("=")
        text = text.replace(json.dumps(old), json.dumps(new))
        text = text.replace(f'"draft={old}"', json.dumps(f"draft={new}"))
    return json.loads(text)


def read_plan(path: Path, names: Sequence[str] = (), folder: str = "") -> dict[str, Any]:
    """A plan, with other models under the plan's names. Where it says ``{captions}``, a file of
    captions of other pictures is written and named.
    """
    with path.open("rb") as file:
        plan = renamed(tomllib.load(file), names)
    text = json.dumps(plan)
    if "{captions}" not in text:
        return plan
    listed = "\n".join(caption_list(plan["data"], folder, BANK))
    digest = hashlib.sha256(listed.encode()).hexdigest()[:16]
    bank = Path(tempfile.gettempdir()) / f"pez-captions-{digest}.txt"
    bank.write_text(listed, encoding="utf-8")
    return json.loads(text.replace("{captions}", bank.as_posix()))


def chosen_file(plan: Path) -> Path:
    """Where the chosen settings of a plan are."""
    return plan.with_name(f"{plan.stem}-chosen.toml")


def plan_arguments(text: str) -> argparse.ArgumentParser:
    """The arguments that a factorial run and the choice of its settings share."""
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plan", type=Path, default=HERE / "factorial.toml")
    parser.add_argument("--data", default="", metavar="FOLDER", help="holds the plan's photographs")
    parser.add_argument("--rename", action="append", default=[], metavar="OLD=NEW")
    parser.add_argument("--method", action="append", help="only these")
    parser.add_argument("--items", type=int, default=0, help="fewer pictures")
    parser.add_argument("--rows", type=Path, help="store rows in this file and continue from it")
    parser.add_argument("--workers", type=int, default=2, help="batches in parallel (2)")
    parser.add_argument("--output", type=Path, default=HERE, metavar="FOLDER")
    return parser
