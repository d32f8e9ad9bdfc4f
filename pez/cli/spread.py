"""Searches of many pictures or texts shared out to workers; results come back to this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from PIL import Image

from pez.api import image_items, shorten
from pez.errors import PezError
from pez.images import decode_image, read_bytes, read_image
from pez.models import Reader
from pez.models.language import LanguageModel
from pez.options import DistillOptions, InvertOptions
from pez.result import Result
from pez.search.engine import Progress
from pez.session.language import open_language
from pez.session.runs import run
from pez.session.session import Watch, open_method, open_reader
from pez.sources import is_web
from pez.workers.choose import Workers, open_pool
from pez.workers.pool import Stopped, Tell
from pez.workers.share import LOST, Far, Outcome, Share, cut

PARTS = 1000  # that a progress bar makes of an input


@dataclass(frozen=True)
class Wanted:
    """A picture (path or address) or a text to search for. ``data`` is the picture's file for
    workers that do not see the files of this machine.
    """

    place: int
    name: str
    data: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Searching:
    """Searches as a pool does them (:class:`pez.workers.pool.Work`): chunks are ``Wanted``, an
    outcome is a :class:`Result`. What a worker holds are its models.
    """

    options: InvertOptions | DistillOptions

    def open(self, device: str) -> tuple[Reader, LanguageModel | None]:
        """Load the models. PezError if they cannot be had."""
        options = replace(self.options, device=device)
        reader = open_reader(options)
        if isinstance(options, DistillOptions):
            reader.free_vision()
        return reader, open_language(reader, options, open_method(options))

    def do(
        self,
        held: tuple[Reader, LanguageModel | None],
        chunk: Sequence[Wanted],
        tell: Tell,
        look: Callable[[Far], None],
        stopped: Stopped,
    ) -> None:
        """Search for all of a chunk at once; after a stop tell the best so far."""
        reader, language = held
        places = {one.name: one.place for one in chunk}
        files = {one.name: one.data for one in chunk}

        def progress(now: Progress, prompt: str) -> None:
            watch.stop.asked = watch.stop.asked or stopped()
            look(Far(now.steps / max(now.total, 1), (now.score, prompt)))

        def found(_n: int, result: Result) -> None:
            tell(Outcome(places[result.targets[0]], result))

        watch = Watch(
            progress=progress, result=found, note=lambda text: tell(Outcome(said=text, once=True))
        )
        watch.stop.asked = stopped()
        if isinstance(self.options, DistillOptions):
            shorten(
                reader,
                [one.name for one in chunk],
                self.options,
                watch,
                lambda text: tell(Outcome(said=text)),
                language,
            )
            return

        def read(source: Any) -> Image.Image:
            data = files[source]
            return decode_image(data, source) if data else read_image(source)

        def failed(source: Any, error: PezError) -> None:
            tell(Outcome(places[source], said=str(error)))

        items = image_items(reader, list(places), False, failed, watch.stop, read=read)
        watch.stop.asked = watch.stop.asked or stopped()
        run(reader, items, self.options, watch, language=language)

    def lost(self, chunk: Sequence[Wanted]) -> Iterator[Outcome]:
        """Nothing was found for any of them."""
        for one in chunk:
            yield Outcome(one.place, said=f"nothing was found for {one.name[:200]}: {LOST}")


def search_spread(
    workers: Workers,
    options: InvertOptions | DistillOptions,
    names: Sequence[str],
    watch: Watch,
    failed: Callable[[int, str], None],
) -> None:
    """A prompt for each of ``names``, which must differ, told to ``watch`` as in one process;
    ``failed`` is told the place and the reason where there is none.

    A prompt does not depend on who searches it. At a stop, processes tell their best so far;
    what actors of a Ray cluster have under way is lost. PezError for bad input.
    """
    pool = open_pool(workers, Searching(options), options.device)

    def progress(done: float, ended: int, shown: tuple[float, str]) -> None:
        total = PARTS * len(names)
        now = Progress(round(PARTS * done), total, ended, len(names), shown[0], [])
        if watch.progress:
            watch.progress(now, shown[1])

    share = Share(
        done=watch.result or (lambda _n, _result: None),
        failed=failed,
        note=watch.note or (lambda _text: None),
        progress=progress if watch.progress else None,
    )
    wanted = [Wanted(n, name) for n, name in enumerate(names)]
    chunks: Iterator[tuple[Wanted, ...]] = cut(wanted, pool.size)
    if workers.ray and isinstance(options, InvertOptions):
        chunks = filter(None, (_carried(chunk, share) for chunk in chunks))
    try:
        share.run(pool, chunks, lambda: watch.stop.asked)
    finally:
        pool.close()


def _carried(chunk: Sequence[Wanted], share: Share) -> tuple[Wanted, ...]:
    """A chunk with its pictures' files; those that cannot be read are told as failed."""
    out = []
    for one in chunk:
        try:
            data = b"" if is_web(one.name) else read_bytes(one.name)
            out.append(replace(one, data=data))
        except PezError as error:
            share.tell(Outcome(one.place, said=str(error)))
    return tuple(out)
