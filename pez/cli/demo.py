"""``pez demo``: the main job on a shipped picture, offline, and a page to look at.

A picture becomes a prompt, and the prompt becomes a picture again.
"""

from __future__ import annotations

import base64
import html
import random
import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pez.api import invert, score
from pez.cli.interrupt import on_interrupt
from pez.cli.show import Bar
from pez.cli.streams import answer
from pez.datasets.samples import Sample, samples
from pez.errors import PezError
from pez.files import check_own, marked, output_path, write_whole
from pez.files.lock import Lock
from pez.images import read_image
from pez.models import Reader, load_model
from pez.models.families import companions
from pez.models.names import OFFLINE_CLIP
from pez.options import InvertOptions
from pez.result import Result
from pez.session.session import Watch, open_reader

SEARCHED = (OFFLINE_CLIP, f"{OFFLINE_CLIP}-b")
DRAWN = 4  # pictures of each text
PAGE = marked("a page of pez demo", b"<title>pez demo</title>")
PAIR = marked("a picture of pez demo", b"Software\0pez demo")


def run_demo(folder: Path, seed: int = 0) -> int:
    """Invert the ``seed``-th sample, draw its prompt and write ``folder``/index.html. PezError for
    a seed below 0.
    """
    if seed < 0:
        raise PezError(f"--seed must be 0 or more, not {seed}.")
    folder = output_path(folder)
    page, pair, another = folder / "index.html", folder / "pictures.png", "choose another --output"
    check_own(page, PAGE, another)
    check_own(pair, PAIR, another)
    with Lock(folder, folder=True):
        return _run(page, pair, seed)


def _run(page: Path, pair: Path, seed: int) -> int:
    choices = [s for s in samples("attributes") if s.attributes["size"] == "large"]
    sample = choices[seed % len(choices)]
    options = InvertOptions(model=SEARCHED, length=8, restarts=4, history=True)
    print(f"picture   {sample.path}", file=sys.stderr)
    reader = open_reader(options)
    bar = Bar(lines=6)
    watch = Watch(progress=bar)
    with on_interrupt(watch.stop):
        result = invert(sample.path, reader=reader, options=options, watch=watch)
    bar.close()
    assert isinstance(result, Result)
    judge = load_model(companions(OFFLINE_CLIP).judge)
    rows = compare(sample, result, reader, judge)
    for name, text, own, judged in rows:
        print(f"{name:<14} searched {own:+.3f}   judge {judged:+.3f}   {text}", file=sys.stderr)
    drawn = draw_again(sample, {name: text for name, text, _, _ in rows}, judge)
    for name, _, likeness in drawn:
        print(f"drawn again from the {name}: {likeness:.3f} like the original", file=sys.stderr)
    another, both = "choose another --output", side_by_side(sample, drawn[0][1])
    info = PngInfo()
    info.add_text("Software", "pez demo")

    def save(part: Path) -> None:
        both.save(part, "PNG", pnginfo=info)

    write_whole(pair, save, remedy=another, own=PAIR)
    write_whole(page, demo_page(sample, result, rows, drawn).encode(), remedy=another, own=PAGE)
    answer(result.prompt)
    print(f"page      {page.resolve()}", file=sys.stderr)
    print(
        "mini, mini-b and mini-sd are small models of a synthetic world: they show that the "
        "machinery works.\n"
        "For a real picture: pez invert cat.jpg   (fetches ViT-L-14/openai once, 1.7 GB)",
        file=sys.stderr,
    )
    return 0


def compare(
    sample: Sample, result: Result, searched: Reader, judge: Reader
) -> list[tuple[str, str, float, float]]:
    """Name, text, and cosine under the searched models and the judge: of the found prompt, the
    true caption and random words.
    """
    words = random.Random(0).sample(searched.own_words or [], 8)
    texts = {
        "found prompt": result.prompt,
        "true caption": sample.captions[0],
        "random words": " ".join(words),
    }
    prompts = list(texts.values())
    own = score(sample.path, prompts, reader=searched)
    judged = score(sample.path, prompts, reader=judge)
    return list(zip(texts, prompts, own, judged, strict=True))


def draw_again(
    sample: Sample, prompts: dict[str, str], judge: Reader
) -> list[tuple[str, Image.Image, float]]:
    """Name, the picture that mini-sd draws, and the mean likeness of four to the original.

    Likeness is the cosine under the judge; the picture shown is the first, not the best.
    """
    from pez.generation import GenerateOptions, open_painter

    painter = open_painter(GenerateOptions(generator="mini-sd"))
    target = judge.encode_images([read_image(sample.path)])[0]
    out = []
    for name, prompt in prompts.items():
        pictures = painter.paint([prompt] * DRAWN, range(DRAWN))
        likeness = (judge.encode_images(pictures) @ target).mean()
        out.append((name, pictures[0], float(likeness)))
    return out


def side_by_side(sample: Sample, drawn: Image.Image) -> Image.Image:
    """The original and the picture drawn from the found prompt, enlarged."""
    sheet = Image.new("RGB", (528, 256), "white")
    for left, picture in ((0, read_image(sample.path)), (272, drawn)):
        sheet.paste(picture.resize((256, 256), Image.Resampling.NEAREST), (left, 0))
    return sheet


def demo_page(
    sample: Sample,
    result: Result,
    rows: Sequence[tuple[str, str, float, float]],
    drawn: Sequence[tuple[str, Image.Image, float]],
) -> str:
    """One self-contained HTML page."""
    picture = base64.b64encode(sample.path.read_bytes()).decode()
    again = "".join(
        f"<figure><img alt='drawn from the {n}' src='data:image/png;base64,{_base64(image)}'>"
        f"<figcaption>{html.escape(n)}<br>likeness {likeness:.3f}</figcaption></figure>"
        for n, image, likeness in drawn
    )
    lines = "".join(
        f"<tr><td>{html.escape(n)}<td class=t>{html.escape(t)}<td>{a:.3f}<td>{b:.3f}"
        for n, t, a, b in rows
    )
    return f"""<!doctype html><html lang=en><meta charset=utf-8>
<meta name=viewport content="width=device-width,initial-scale=1"><title>pez demo</title>
<style>
body{{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;
padding:0 1rem;color:#222}}
.top{{display:flex;gap:1.5rem;flex-wrap:wrap;align-items:center}}
img{{width:192px;height:192px;image-rendering:pixelated;border-radius:8px}}
.prompt{{font-size:1.4rem;font-weight:600;max-width:24rem}}
table{{border-collapse:collapse;width:100%;margin:1rem 0}}
td,th{{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #ddd}}
.t{{overflow-wrap:anywhere}}
figure{{margin:0}} figure img{{width:152px;height:152px}}
figcaption{{text-align:center;font-size:.9rem}}
svg{{width:100%;height:auto}} .note{{color:#666;font-size:.9rem}}
</style>
<h1>A picture becomes a prompt</h1>
<div class=top><img alt="the picture" src="data:image/png;base64,{picture}">
<div class=prompt>{html.escape(result.prompt)}</div></div>
<table><tr><th>text<th><th>searched<th>judge{lines}</table>
<p>Cosine with the picture, under the searched models and under one that was never searched.</p>
<h2>And a picture again</h2>
<div class=top><figure><img alt="the picture" src="data:image/png;base64,{picture}">
<figcaption>original<br>&nbsp;</figcaption></figure>{again}</div>
<p>Drawn by mini-sd from each text. Likeness: cosine of the original with four drawn pictures
under the judge, their mean.</p>
<h2>The search</h2>
{_curve([row["score"] for row in result.history or []])}
<p class=note>{result.steps} steps of {result.method}, {result.seconds:.1f} s. All models
here are small and know only a synthetic world: this shows that the machinery works, not how
good prompts are on Stable Diffusion.</p></html>
"""


def _base64(image: Image.Image) -> str:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _curve(scores: Sequence[float]) -> str:
    """Score of each step and best so far, as an SVG."""
    if len(scores) < 2:
        return ""
    low, high = min(scores), max(scores)
    wide, tall = 640, 200

    def points(values: Sequence[float]) -> str:
        right, up = (wide - 50) / (len(values) - 1), (tall - 40) / ((high - low) or 1)
        spots = [(40 + n * right, tall - 24 - (v - low) * up) for n, v in enumerate(values)]
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)

    best = [max(scores[: n + 1]) for n in range(len(scores))]
    return f"""<svg viewBox="0 0 {wide} {tall}" role=img aria-label="score over steps">
<polyline fill=none stroke="#bbb" stroke-width=1 points="{points(scores)}"/>
<polyline fill=none stroke="#d6336c" stroke-width=2.5 points="{points(best)}"/>
<g font-size=12 fill="#666"><text x=0 y=20>{high:.2f}</text>
<text x=0 y={tall - 24}>{low:.2f}</text><text x=40 y={tall - 4}>step 0</text>
<text x={wide - 60} y={tall - 4}>step {len(scores) - 1}</text></g></svg>
<p class=note>Score of the prompt at each step (grey) and the best so far (red).</p>"""
