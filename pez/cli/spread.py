"""Searches of many pictures or texts, distributed to workers; results return here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from PIL import Image

from pez.api import search_pictures, search_texts
from pez.errors import PezError
from pez.files.download import is_web
from pez.images import decode_image, read_bytes
from pez.options import DistillOptions, InvertOptions
from pez.search.engine import Progress
from pez.search.stop import Stop
from pez.session.session import Session, Watch
from pez.sources import Source, read_source
from pez.workers.choose import Workers, open_pool
from pez.workers.pool import Stopped, Tell
from pez.workers.share import LOST, Far, Outcome, Share, cut

PARTS = 1000  # steps of a progress bar per input


@dataclass(frozen=True)
class Wanted:
    """A picture (path or address) or a text to search for. ``data`` holds the picture's file for
    workers without access to the files of this machine.
    """

    place: int
    name: str
    data: bytes = field(default=b"", repr=False)


class Polled(Stop):
    """A stop that looks whether the pool has asked for it, wherever a search looks."""

    def __init__(self, stopped: Stopped) -> None:
        self._stopped, self._seen = stopped, False
        super().__init__()

    @property
    def asked(self) -> bool:  # type: ignore[override]
        """Whether the pool or the search has asked to stop."""
        self._seen = self._seen or self._stopped()
        return self._seen

    @asked.setter
    def asked(self, value: bool) -> None:
        self._seen = value


@dataclass(frozen=True)
class Searching:
    """Searches as work for a pool (:class:`pez.workers.pool.Work`): chunks are ``Wanted``, an
    outcome is a :class:`Result`. A worker holds a session.
    """

    options: InvertOptions | DistillOptions

    def open(self, device: str) -> Session:
        """Load the models. PezError if one is unavailable."""
        session = Session.open(replace(self.options, device=device))
        if isinstance(self.options, DistillOptions):
            session.reader.free_vision()
        _ = session.language  # if unavailable, fail before the first chunk
        return session

    def do(
        self,
        held: Session,
        chunk: Sequence[Wanted],
        tell: Tell,
        look: Callable[[Far], None],
        stopped: Stopped,
    ) -> None:
        """Search for all of a chunk at once; after a stop report the best so far."""
        files = {one.name: one.data for one in chunk}

        def progress(now: Progress, prompt: str) -> None:
            look(Far(now.steps / max(now.total, 1), (now.score, prompt)))

        def read(source: Source) -> Image.Image:
            data = files[str(source)]
            return decode_image(data, str(source)) if data else read_source(source)

        watch = Watch(
            stop=Polled(stopped),
            progress=progress,
            result=lambda n, result: tell(Outcome(chunk[n].place, result)),
            note=lambda text: tell(Outcome(said=text, once=True)),
            failed=lambda n, error: tell(Outcome(chunk[n].place, said=str(error))),
        )
        if isinstance(self.options, DistillOptions):
            texts = [one.name for one in chunk]
            search_texts(held, texts, watch, lambda text: tell(Outcome(said=text)))
        else:
            search_pictures(held, [[one.name] for one in chunk], watch, read=read)

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
    files: Mapping[str, bytes] | None = None,
) -> None:
    """A prompt for each of ``names``, which must differ, reported to ``watch`` as in one process;
    ``failed`` gets the place and the reason where there is none. ``files`` hold pictures by name
    that no worker could read.

    A prompt does not depend on which worker finds it. At a stop, processes report their best so
    far; work in progress on a Ray cluster is lost. PezError for bad input.
    """
    known = files or {}
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
    wanted = [Wanted(n, name, known.get(name, b"")) for n, name in enumerate(names)]
    chunks: Iterator[tuple[Wanted, ...]] = cut(wanted, pool.size)
    if workers.ray and isinstance(options, InvertOptions):
        chunks = filter(None, (_carried(chunk, share) for chunk in chunks))
    try:
        share.run(pool, chunks, lambda: watch.stop.asked)
    finally:
        pool.close()


def _carried(chunk: Sequence[Wanted], share: Share) -> tuple[Wanted, ...]:
    """A chunk with its pictures' files; unreadable ones are reported as failed."""
    out = []
    for one in chunk:
        try:
            data = one.data or (b"" if is_web(one.name) else read_bytes(one.name))
            out.append(replace(one, data=data))
        except PezError as error:
            share.tell(Outcome(one.place, said=str(error)))
    return tuple(out)
