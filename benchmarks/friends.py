"""Ten prompts for real photographs, chosen by eye, with what people wrote of the same photographs.

    python benchmarks/friends.py --data FOLDER               # writes friends.md
    python benchmarks/friends.py --data FOLDER --sheet x.png # and the photographs, to look at

FOLDER is as for photographs.py. The photographs are not in this repository: the sheet stays where
you put it.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]
import pez  # noqa: E402
from benchmarks.photographs import usual_data  # noqa: E402
from benchmarks.photos import Judge, right_words  # noqa: E402
from pez.cli.demo.sheet import draw_sheet, in_rows  # noqa: E402
from pez.datasets import open_dataset  # noqa: E402
from pez.datasets.item import Example  # noqa: E402
from pez.models import load_model  # noqa: E402


@dataclass(frozen=True, eq=False)
class Shown:
    """A photograph, the prompt found for it, and its rank under the judge among ``count``."""

    name: str
    photograph: Image.Image
    captions: Sequence[str]
    prompt: str
    rank: int
    count: int


def shown(plan: Mapping[str, Any], place: Mapping[str, Any], folder: Path) -> list[Shown]:
    """The chosen photographs of one data set, searched. SystemExit if one is not there."""
    path = str(folder / place["path"])
    every = list(open_dataset(place["dataset"], split=place.get("split", ""), path=path))
    every = every[-place["last"] :]
    at = {example.id: n for n, example in enumerate(every)}
    absent = [name for name in place["chosen"] if name not in at]
    if absent:
        raise SystemExit(f"{path} has no photograph {absent[0]}")
    places = [at[name] for name in place["chosen"]]
    chosen: list[Example] = [every[n] for n in places]
    pictures = [example.image() for example in chosen]
    found = pez.invert(pictures, model=plan["models"], length="auto", device="cpu")
    assert isinstance(found, list)
    prompts = [result.prompt for result in found if isinstance(result, pez.Result)]
    judge = Judge.of(load_model((plan["judge"],), "cpu"), [example.image() for example in every])
    ranks = [rank for _, rank in judge.read(prompts, places)]
    return [
        Shown(f"{place['dataset']} {one.id}", picture, one.captions, prompt, rank, len(every))
        for one, picture, prompt, rank in zip(chosen, pictures, prompts, ranks, strict=True)
    ]


def markdown(plan: Mapping[str, Any], rows: Sequence[Shown]) -> str:
    """The page."""
    about = (
        f"Written by `python benchmarks/friends.py`: {len(rows)} photographs of COCO and Flickr8k, "
        f"chosen by eye from {plan['among']} by their prompts, so they show what the models do at "
        "their best and not how often (`photographs.md` has the figures for all). No training saw "
        f"one of them. Searched in {' and '.join(f'`{name}`' for name in plan['models'])} together "
        f"with `--length auto`; the rank is that of the photograph among all of its data set under "
        f"`{plan['judge']}`, which is never searched."
    )
    lines = ["# Ten prompts to show to a friend", "", *textwrap.wrap(about, 100), ""]
    lines += ["| photograph | prompt | one person's caption | right words | rank |"]
    lines += ["|---|---|---|---|---|"]
    for row in rows:
        right, words = right_words(row.prompt, row.captions), len(row.prompt.split(", "))
        caption = row.captions[0].strip(" .").lower()
        cells = (row.name, row.prompt, caption, f"{right} of {words}", f"{row.rank} of {row.count}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Search the chosen photographs and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=usual_data(), help="where the data sets lie")
    parser.add_argument(
        "--sheet", type=Path, help="a picture of the photographs with their prompts"
    )
    args = parser.parse_args()
    plan = tomllib.loads((HERE / "friends.toml").read_text(encoding="utf-8"))
    rows = [row for place in plan["galleries"] for row in shown(plan, place, args.data)]
    (HERE / "friends.md").write_text(markdown(plan, rows), encoding="utf-8")
    if args.sheet:
        draw_sheet(in_rows([(row.photograph, row.prompt) for row in rows])).save(args.sheet)


if __name__ == "__main__":
    main()
