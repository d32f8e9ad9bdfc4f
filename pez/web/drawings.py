"""What the tab *Generate* does: draw, stop, go on, and use a picture in one of several ways."""

from __future__ import annotations

import base64
import binascii
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from pez.errors import PezError
from pez.evaluation.judges import open_judge
from pez.generation.control import control_model
from pez.generation.options import GenerateOptions
from pez.generation.painter import Painter
from pez.generation.pipelines import for_inputs, open_painter, with_options
from pez.images import decode_image
from pez.models.families import companions
from pez.models.generators import find_generator
from pez.models.names import OFFLINE_CLIP
from pez.web.aims import small_picture
from pez.web.board import in_page, render
from pez.web.models import Models
from pez.web.sitting import Sitting
from pez.web.uploads import read_uploads

COMPARE, START, PAINT = "compare with it", "start from it", "redraw what I paint over"
EDGES, DEPTH, SKETCH = "follow its edges", "follow its depth", "follow my sketch"
CONTROLS = {EDGES: "edge", DEPTH: "depth", SKETCH: "sketch"}
PAD = 512  # pixels of the longer side of what is painted on
MOST_PAINT = 2_000_000  # characters of a painting
_PNG = "data:image/png;base64,"
Shown = tuple[str, list[Any] | None]  # how far it is, as HTML, and at its end the pictures


@dataclass(frozen=True)
class Asked:
    """What the controls of the tab say."""

    prompt: str
    negative: str
    generator: str
    count: float
    guidance: float
    steps: float
    seed: float
    given: Any = None  # of a gallery
    use: str = COMPARE
    strength: float = 0.6


@dataclass(eq=False)
class Easel:
    """What a visitor has at hand in the tab: the drawing, the picture last chosen, and what was
    painted by hand, white on black.
    """

    sitting: Sitting | None = None
    asked: Asked | None = None
    selected: int = -1
    painted: bytes = field(default=b"", repr=False)

    @property
    def active(self) -> bool:
        """Whether a drawing is at work."""
        return self.sitting is not None and self.sitting.active

    @property
    def waits(self) -> bool:
        """Whether a drawing was stopped and can go on."""
        return self.sitting is not None and self.sitting.waiting

    def halt(self) -> None:
        """Stop the drawing after the step that runs."""
        if self.sitting is not None:
            self.sitting.halt()

    def tell(self, prompt: str, guidance: float) -> None:
        """Another prompt or guidance, from the next step on."""
        if self.sitting is not None:
            self.sitting.tell(prompt, guidance)

    def leave(self) -> None:
        """Give the drawing up."""
        if self.sitting is not None:
            self.sitting.leave()
            self.sitting = None

    def paint(self, sent: object) -> None:
        """Keep what a visitor's browser says was painted; anything but a PNG is nothing."""
        self.painted = b""
        if isinstance(sent, str) and sent.startswith(_PNG) and len(sent) <= MOST_PAINT:
            try:
                self.painted = base64.b64decode(sent.removeprefix(_PNG), validate=True)
            except binascii.Error:
                return


def draw(
    models: Models, easel: Easel, asked: Asked, control: str = ""
) -> Generator[Shown, None, None]:
    """Begin a drawing and follow it to its end, or to where it is stopped. ``control`` names a
    ControlNet in place of the known ones.
    """
    if easel.active:
        yield _said("a drawing is at work; stop it first, or wait."), None
        return
    easel.leave()
    if not asked.prompt.strip():
        yield _said("there is no prompt yet; write one."), None
        return
    sitting = easel.sitting = Sitting(models.busy, asked.prompt, asked.guidance)
    easel.asked, painted = asked, easel.painted
    sitting.begin(lambda sitting: _work(models, sitting, asked, painted, control))
    yield from _followed(easel)


def go_on(easel: Easel, prompt: str, guidance: float) -> Iterator[Shown]:
    """Go on with a drawing that was stopped, with the prompt and guidance that are there now."""
    if easel.sitting is None or not easel.waits:
        yield _said("there is no drawing that was stopped; draw one first."), None
        return
    easel.sitting.tell(prompt, guidance)
    easel.sitting.go_on()
    yield from _followed(easel)


def pad(given: Any, use: str) -> str:
    """What is painted on: the picture, or for a sketch a white sheet; "" where nothing is."""
    if use == SKETCH:
        return render("pad.html.j2", kind="sketch", picture="", wide=PAD, high=PAD)
    if use != PAINT or not given:
        return ""
    try:
        picture = read_uploads(given)[0]
    except PezError as error:
        return _said(error)
    picture.thumbnail((PAD, PAD))
    if (most := max(picture.size)) < PAD:
        picture = picture.resize((picture.width * PAD // most, picture.height * PAD // most))
    held = small_picture(picture, PAD)
    return render("pad.html.j2", kind="mask", picture=held, wide=picture.width, high=picture.height)


def plain_text(text: str) -> str:
    """A negative prompt with a blank in front, so that options do not look whether a file of that
    name is here: visitors must not learn what files this machine has.
    """
    plain = text.strip()
    return f" {plain}" if plain else ""


def _work(models: Models, sitting: Sitting, asked: Asked, painted: bytes, control: str) -> None:
    originals = read_uploads(asked.given)[:1] if asked.given else []
    with tempfile.TemporaryDirectory(prefix="pez-pad-") as folder:
        options = _options(models, asked, painted, control, Path(folder))
        painter = _painter(models, options, asked.use)  # has read its pictures
    sitting.loaded(painter.options.guidance)
    painter.paint(
        [asked.prompt] * options.count,
        options.seeds,
        progress=sitting.step,
        done=lambda _, picture: sitting.drawn.append(picture),
        spoilt=lambda _, why: sitting.notes.append(in_page(why)),
        warn=lambda said: sitting.notes.append(in_page(said)),
        midway=sitting.midway,
    )
    if asked.use == COMPARE:
        for n, likeness in enumerate(_likeness(models, asked.generator, originals, sitting.drawn)):
            sitting.notes.append(f"Picture {n + 1} resembles the original by {likeness}.")


def _options(
    models: Models, asked: Asked, painted: bytes, control: str, folder: Path
) -> GenerateOptions:
    """The options of a drawing; what was painted goes to ``folder``, as options name files."""
    more: dict[str, Any] = {}
    picture = asked.given[0][0] if asked.given else ""
    if asked.use in (START, PAINT, EDGES, DEPTH) and not picture:
        raise PezError("there is no picture to use yet; drop one, paste one or take one.")
    if asked.use in (PAINT, SKETCH):
        name = str(folder / "painted.png")
        _painting(painted, asked.use).save(name)
        more = {"mask": name} if asked.use == PAINT else {"control": name}
    if asked.use in (START, PAINT):
        more |= {"image": picture, "strength": asked.strength}
    elif asked.use in CONTROLS:
        kind = CONTROLS[asked.use]
        more = {"control": picture, "control_kind": kind, "control_model": control} | more
        if asked.use == SKETCH:  # it is such a map itself
            more["control_model"] = control_model(asked.generator, kind, control)
            more["control_kind"] = "ready"
    return GenerateOptions(
        generator=asked.generator,
        negative=plain_text(asked.negative),
        count=int(asked.count),
        guidance=asked.guidance,
        steps=int(asked.steps),
        seed=int(asked.seed),
        device=models.device,
        **more,
    )


def _painting(painted: bytes, use: str) -> Image.Image:
    """What was painted, white on black. PezError for nothing."""
    asked = "paint over what is to be drawn anew" if use == PAINT else "draw a sketch"
    if not painted:
        raise PezError(f"there is nothing painted yet; {asked}.")
    picture = decode_image(painted, "the painting").convert("L")
    if not picture.getbbox():
        raise PezError(f"there is nothing painted yet; {asked}.")
    return picture


def _painter(models: Models, options: GenerateOptions, use: str) -> Painter:
    """A generator with these options; it is loaded once, and once more for each ControlNet."""

    def make() -> Painter:
        if use in CONTROLS:
            return open_painter(options)
        kept = (
            models.kept(("generator", options.generator, one)) for one in (COMPARE, START, PAINT)
        )
        other = next(filter(None, kept), None)
        return for_inputs(other, options) if other else open_painter(options)

    key = ("generator", options.generator, use)
    return with_options(models.once(key, make), options, own=True)


def _followed(easel: Easel) -> Iterator[Shown]:
    sitting, asked = easel.sitting, easel.asked
    if sitting is None or asked is None:
        return
    for _ in sitting.follow():
        yield _progress(sitting, ""), None
    if sitting.waiting:
        steps = f"after {sitting.done} of {sitting.total} steps"
        yield (
            _progress(sitting, f"Stopped {steps}. Change the prompt or the guidance and go on."),
            None,
        )
        return
    if sitting.wrong:
        yield _said(sitting.wrong), None
        return
    notes = [*_changes(sitting), *sitting.notes]
    html = render("drawing.html.j2", error="", total=0, steps=0, notes=notes, previews=[], text="")
    first = [(asked.given[0][0], "original")] if asked.given and asked.use != SKETCH else []
    captions = [(one, f"seed {int(asked.seed) + n}") for n, one in enumerate(sitting.drawn)]
    yield html, first + captions


def _changes(sitting: Sitting) -> list[str]:
    """What was changed on the way, and what could not be."""
    said = []
    for change in sitting.midway.changes:
        parts = [f"the prompt “{change.prompt}”"] if change.prompt is not None else []
        parts += [f"guidance {change.guidance:g}"] if change.guidance is not None else []
        said.append(f"After step {change.step}: {' and '.join(parts)}.")
    return [*said, *(in_page(why) for why in sitting.midway.refused)]


def _progress(sitting: Sitting, text: str) -> str:
    waited = "" if sitting.done else "Reading the generator …"
    return render(
        "drawing.html.j2",
        error="",
        total=sitting.total or 1,
        steps=sitting.done,
        notes=_changes(sitting),
        previews=sitting.previews,
        text=text or waited,
    )


def _said(error: object) -> str:
    return render(
        "drawing.html.j2", error=in_page(error), total=0, steps=0, notes=[], previews=[], text=""
    )


def _likeness(
    models: Models, generator: str, originals: list[Image.Image], drawn: list[Image.Image]
) -> list[str]:
    """What a judge says of each drawn picture beside the original, if there is one."""
    if not originals or not drawn:
        return []
    readers = find_generator(generator).readers
    name = companions(readers[0]).judge if readers else ""
    name = name or companions(OFFLINE_CLIP).judge
    judge = models.once(("judge", name), lambda: open_judge(name, models.device))
    found = judge.similarities(originals * len(drawn), drawn)
    return [f"{value:.3f} ({name})" for value in found]
