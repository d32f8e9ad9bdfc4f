"""Pictures drawn by several workers; each comes back to this process, which alone writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from PIL import Image
from torch import Tensor

from pez.generation.options import GenerateOptions
from pez.generation.painter import Painter
from pez.generation.pipelines import open_painter
from pez.workers.choose import Workers, open_pool
from pez.workers.pool import Stopped, Tell
from pez.workers.share import LOST, Far, Outcome, Share, cut


@dataclass(frozen=True, eq=False)
class Wanted:
    """A picture to draw: prompt (a text or embeddings (k, w)) and seed; ``label`` names
    the prompt for display.
    """

    place: int
    prompt: str | Tensor
    seed: int
    label: str


@dataclass(frozen=True)
class Drawing:
    """Drawing as a pool does it (:class:`pez.workers.pool.Work`): chunks are ``Wanted``, an
    outcome is a picture. A worker holds the generator.
    """

    options: GenerateOptions
    quiet: bool = False

    def open(self, device: str) -> Painter:
        """Load the generator. PezError if it is not available."""
        return open_painter(replace(self.options, device=device))

    def do(
        self,
        held: Painter,
        chunk: Sequence[Wanted],
        tell: Tell,
        look: Callable[[Far], None],
        stopped: Stopped,
    ) -> None:
        """Draw the pictures of a chunk; unfinished ones do not count, so a stop just ends it."""
        if held.words and not self.quiet:
            tell(Outcome(said=words_told(held), once=True))
        held.paint(
            [one.prompt for one in chunk],
            [one.seed for one in chunk],
            progress=lambda steps, total: look(Far(steps / max(total, 1), total // len(chunk))),
            done=lambda n, picture: tell(Outcome(chunk[n].place, picture)),
            warn=lambda text: tell(Outcome(said=text, once=True)),
            spoilt=lambda n, why: tell(Outcome(chunk[n].place, said=why)),
        )

    def lost(self, chunk: Sequence[Wanted]) -> Iterator[Outcome]:
        """None of them was drawn."""
        for one in chunk:
            name = f"the picture of {one.label[:200]!r} from seed {one.seed}"
            yield Outcome(one.place, said=f"{name} was not drawn: {LOST}")


def words_told(painter: Painter) -> str:
    """What a user should know of a generator with textual inversions."""
    return f"loaded textual inversions; their words are {' '.join(painter.words)}."


def draw_spread(
    workers: Workers,
    options: GenerateOptions,
    wanted: Sequence[Wanted],
    done: Callable[[int, Image.Image], None],
    failed: Callable[[int, str], None],
    note: Callable[[str], None],
    progress: Callable[[int, int], None] | None = None,
    quiet: bool = False,
) -> None:
    """Draw all ``wanted``; ``done`` receives each picture with its place when it is finished,
    ``failed`` why there is none, ``progress`` denoising steps done and in total.

    With ``options.rows`` the same pictures are batched together as in one process. Raises
    PezError for what cannot be read or drawn.
    """

    def far(inputs: float, _ended: int, steps: int) -> None:  # a picture's steps
        if progress:
            progress(round(inputs * steps), len(wanted) * steps)

    share = Share(done, failed, note, far if progress else None)
    pool = open_pool(workers, Drawing(options, quiet), options.device)
    try:
        share.run(pool, cut(wanted, pool.size, options.rows or 1), lambda: False)
    finally:
        pool.close()
