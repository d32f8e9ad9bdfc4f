"""``pez demo``: the main job on shipped photographs, offline, and a page to look at.

Photographs become words; then a picture of the synthetic world becomes a prompt and a picture
again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from PIL.PngImagePlugin import PngInfo

from pez.cli.demo.drawn import JUDGE, SEARCHED, choose, draw_again
from pez.cli.demo.page import demo_page
from pez.cli.demo.photographs import LENGTH, Found, find
from pez.cli.demo.sheet import draw_sheet, in_rows
from pez.cli.interrupt import on_interrupt
from pez.cli.show import Bar
from pez.cli.streams import answer
from pez.datasets.samples import PHOTOGRAPHS, samples
from pez.errors import PezError
from pez.files import check_own, marked, output_path, write_whole
from pez.files.lock import Lock
from pez.images import read_image
from pez.models import load_model
from pez.models.families import companions
from pez.models.names import OFFLINE_CLIP
from pez.options import InvertOptions
from pez.session.session import Watch, open_reader

PAGE = marked("a page of pez demo", b"<title>pez demo</title>")
SHEET = marked("a picture of pez demo", b"Software\0pez demo")


def run_demo(folder: Path, seed: int = 0) -> int:
    """Invert the shipped photographs and the ``seed``-th drawn sample, draw the latter's prompt and
    write ``folder``/index.html. PezError for a seed below 0.
    """
    if seed < 0:
        raise PezError(f"--seed must be 0 or more, not {seed}.")
    folder = output_path(folder)
    page, sheet, another = folder / "index.html", folder / "pictures.png", "choose another --output"
    check_own(page, PAGE, another)
    check_own(sheet, SHEET, another)
    with Lock(folder, folder=True):
        return _run(page, sheet, seed)


def _run(page: Path, sheet: Path, seed: int) -> int:
    bar = Bar(lines=4)
    watch = Watch(progress=bar)
    options = InvertOptions(model=(OFFLINE_CLIP,), length=LENGTH)
    names = (OFFLINE_CLIP, companions(OFFLINE_CLIP).judge)
    searched, judge = open_reader(options), load_model(names[1])
    with on_interrupt(watch.stop):
        found = find(samples(PHOTOGRAPHS), searched, judge, options, watch)
    bar.close()
    best = tell(found)
    original, drawn = choose(seed), []
    if not watch.stop.asked:
        both = InvertOptions(model=SEARCHED, length=8, restarts=2)
        with on_interrupt(watch.stop):
            drawn = draw_again(original, open_reader(both), load_model(JUDGE), both, watch)
        bar.close()
    another, info = "choose another --output", PngInfo()
    info.add_text("Software", "pez demo")
    picture = draw_sheet(in_rows([(read_image(f.sample.path), f.result.prompt) for f in found]))

    def save(part: Path) -> None:
        picture.save(part, "PNG", pnginfo=info)

    write_whole(sheet, save, remedy=another, own=SHEET)
    text = demo_page(found, names, original, drawn)
    write_whole(page, text.encode(), remedy=another, own=PAGE)
    answer(best.result.prompt)
    print(f"page      {page.resolve()}", file=sys.stderr)
    print(
        f"{OFFLINE_CLIP} is a small model; it knows common things and scenes.\n"
        f"Your own picture: pez invert cat.jpg --model {OFFLINE_CLIP} --length auto\n"
        "For Stable Diffusion: pez invert cat.jpg   (fetches ViT-L-14/openai once, 1.7 GB)",
        file=sys.stderr,
    )
    return 0


def tell(found: Sequence[Found]) -> Found:
    """Print a line for each photograph. Returns the one whose prompt the judge finds closest."""
    for one in found:
        said = f"judge {one.prompt.cosine:+.3f}, rank {one.prompt.rank} of {len(found)}"
        print(f"{one.sample.path.stem:<13} {one.result.prompt}   ({said})", file=sys.stderr)
    return max(found, key=lambda one: one.prompt.cosine)
