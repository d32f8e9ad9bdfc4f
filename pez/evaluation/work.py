"""Batches of units done: the only place of the harness that loads models.

A batch holds all that it needs, bytes of pictures too, and its outcome depends on nothing else.
So it may be done in this process, in another, or on another machine, and done again.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pez.errors import PezError
from pez.evaluation.store import Record

Tell = Callable[[Record, dict[str, bytes]], None]  # a unit's record and its files by suffix
Look = Callable[[float], None]  # the share of the batch that is done


@dataclass(frozen=True)
class Task:
    """One unit of a batch and what it needs: a picture's bytes, a text, embeddings, a seed."""

    key: str
    spec: dict[str, Any]
    original: bytes = field(default=b"", repr=False)
    picture: bytes = field(default=b"", repr=False)
    text: str = ""
    soft: bytes = field(default=b"", repr=False)  # embeddings as .npy, in the text's place
    seed: int = 0


@dataclass(frozen=True)
class Batch:
    """Units of one kind that need the same model. ``how`` is a name in ``WORK``, ``options``
    what opens the model or runs the search.
    """

    kind: str
    how: str
    options: Any
    tasks: tuple[Task, ...]
    title: str = ""  # for people

    @property
    def id(self) -> str:
        """Equal for batches of the same units in the same order."""
        return batch_id([task.key for task in self.tasks])


class Bench:
    """Holds the model that was used last; opening another lets go of it."""

    def __init__(self, device: str = "auto") -> None:
        self.device = device
        self._held: tuple[Any, Any] = (None, None)

    def get(self, what: Any, load: Callable[[], Any]) -> Any:
        """The model called ``what``, loaded unless it is held."""
        if self._held[0] != what:
            self._held = (None, None)
            self._held = (what, load())
        return self._held[1]


class _Report:
    """Tells outcomes, each with its share of the batch's time: what has passed since the
    last one is shared evenly by all that were still under way.
    """

    def __init__(self, batch: Batch, tell: Tell) -> None:
        self._batch, self._tell, self._id = batch, tell, batch.id
        self.left = {task.key: task for task in batch.tasks}
        self._start, self._shared = time.monotonic(), 0.0
        self.broken = False  # what was told could not be kept: no fault of a unit

    def start_clock(self) -> None:
        """The model is there; its loading is no unit's time."""
        self._start = time.monotonic()

    def done(
        self, task: Task, out: dict[str, Any], files: Mapping[str, bytes] | None = None
    ) -> None:
        self._end(task, out, dict(files or {}), "")

    def failed(self, task: Task, error: BaseException) -> None:
        self._end(task, {}, {}, reason(error))

    def _end(self, task: Task, out: dict[str, Any], files: dict[str, bytes], error: str) -> None:
        share = (time.monotonic() - self._start - self._shared) / len(self.left)
        self._shared += share
        del self.left[task.key]
        record = Record(
            self._batch.kind, task.key, task.spec, out, error, round(max(share, 0), 4), self._id
        )
        try:
            self._tell(record, files)
        except BaseException:
            self.broken = True
            raise


def work(batch: Batch, bench: Bench, tell: Tell, look: Look | None = None) -> None:
    """Do a batch and ``tell`` of each unit as soon as it is done.

    A unit that fails is told with its reason; if the model itself cannot be had, all are.
    Only what ``tell`` raises, and Ctrl-C, comes through.
    """
    report = _Report(batch, tell)
    try:
        WORK[batch.how](batch, bench, report, look or (lambda _: None))
    except Exception as error:
        if report.broken:
            raise
        for task in list(report.left.values()):
            report.failed(task, error)


def batch_id(keys: Sequence[str]) -> str:
    """The name of units that are done together."""
    return hashlib.sha256("".join(keys).encode()).hexdigest()[:16]


def reason(error: BaseException) -> str:
    """One line for what went wrong."""
    if isinstance(error, PezError):
        return str(error)
    text = str(error).strip().split("\n")[0][:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _search(batch: Batch, bench: Bench, report: _Report, look: Look) -> None:
    """Prompts of many pictures at once by the engine."""
    from dataclasses import replace

    from pez.session import Watch, open_reader, run
    from pez.verbs import image_items

    options = replace(batch.options, device=bench.device)
    names = ("search", options.model, options.dtype)
    reader = bench.get(names, lambda: open_reader(options))
    report.start_clock()
    tasks, pictures = _decoded(batch, report)
    items = image_items(reader, pictures)

    def progress(now: Any, _prompt: str) -> None:
        look(now.steps / max(now.total, 1))

    def found(n: int, result: Any) -> None:
        out = {
            "prompt": result.prompt,
            "search_score": round(result.score, 6),
            "steps": result.steps,
            "forwards": result.passes.get("forward"),
            "backwards": result.passes.get("backward"),
        }
        if result.history:
            out["history"] = [round(step["score"], 4) for step in result.history]
        files: dict[str, bytes] = {}
        soft = getattr(result, "embeddings", None)
        if soft is not None:  # a prompt that is no text; its text is only the words nearest to it
            out |= {"soft": True, "search_score": round(result.soft_score, 6)}
            out |= {"tokens": len(soft[0]), "real_words": None}
            files[".npy"] = _as_bytes(soft[0])
        report.done(tasks[n], out, files)

    run(reader, items, options, Watch(progress=progress, result=found))


def _caption(batch: Batch, bench: Bench, report: _Report, look: Look) -> None:
    """Captions of originals by an image-to-text model."""
    from pez.evaluation.language import open_captioner

    name = batch.options
    captioner = bench.get(("caption", name), lambda: open_captioner(name, bench.device))
    report.start_clock()
    tasks, pictures = _decoded(batch, report)
    texts = captioner.captions(pictures) if pictures else []
    for task, text in zip(tasks, texts, strict=True):
        report.done(task, {"prompt": text})


def _paint(batch: Batch, bench: Bench, report: _Report, look: Look) -> None:
    """Pictures of prompts."""
    from dataclasses import replace

    from pez.generation import open_painter

    options = replace(batch.options, device=bench.device)
    painter = bench.get(("paint", options), lambda: open_painter(options))
    report.start_clock()
    tasks = list(batch.tasks)
    prompts = [_from_bytes(task.soft) if task.soft else task.text for task in tasks]

    def done(n: int, picture: Image.Image) -> None:
        note = {"prompt": tasks[n].text, "seed": str(tasks[n].seed), "generator": painter.name}
        report.done(tasks[n], {"settings": painter.settings}, {".png": _png(picture, note)})

    painter.paint(
        prompts,
        [task.seed for task in tasks],
        progress=lambda step, steps: look(step / max(steps, 1)),
        done=done,
    )


def _score(batch: Batch, bench: Bench, report: _Report, look: Look) -> None:
    """Pictures compared with their originals."""
    judge = _judge(batch, bench)
    report.start_clock()
    tasks, originals = _decoded(batch, report)
    pictures = [_decode(task.picture) for task in tasks]
    found = judge.similarities(originals, pictures) if tasks else []
    for task, similarity in zip(tasks, found, strict=True):
        report.done(task, {"similarity": round(similarity, 6)})


def _read(batch: Batch, bench: Bench, report: _Report, look: Look) -> None:
    """Prompts compared with their originals."""
    judge = _judge(batch, bench)
    report.start_clock()
    tasks, originals = _decoded(batch, report)
    found = judge.text_scores(originals, [task.text for task in tasks]) if tasks else []
    for task, value in zip(tasks, found, strict=True):
        report.done(task, {"text_score": round(value, 6)})


def _perplexity(batch: Batch, bench: Bench, report: _Report, look: Look) -> None:
    """Prompts read by a language model."""
    from pez.models.language import open_language_model

    name = batch.options
    model = bench.get(("language", name), lambda: open_language_model(name, bench.device))
    report.start_clock()
    found = model.perplexities([task.text for task in batch.tasks])
    for task, value in zip(batch.tasks, found, strict=True):
        report.done(task, {"perplexity": None if value is None else round(value, 4)})


WORK: dict[str, Callable[[Batch, Bench, _Report, Look], None]] = {
    "search": _search,
    "caption": _caption,
    "paint": _paint,
    "score": _score,
    "read": _read,
    "perplexity": _perplexity,
}


def _judge(batch: Batch, bench: Bench) -> Any:
    from pez.evaluation.judges import open_judge

    name, dtype = batch.options
    return bench.get(("judge", name, dtype), lambda: open_judge(name, bench.device, dtype))


def _decoded(batch: Batch, report: _Report) -> tuple[list[Task], list[Image.Image]]:
    """The tasks whose originals can be decoded, and these; the others are told as failed."""
    tasks, pictures = [], []
    for task in batch.tasks:
        try:
            picture = _decode(task.original)
        except PezError as error:
            report.failed(task, error)
            continue
        tasks.append(task)
        pictures.append(picture)
    return tasks, pictures


def _decode(data: bytes) -> Image.Image:
    from pez.images import decode_image

    return decode_image(data, "the picture")


def _png(picture: Image.Image, notes: Mapping[str, str]) -> bytes:
    info = PngInfo()
    for name, text in notes.items():
        info.add_itxt(name, text)
    file = io.BytesIO()
    picture.save(file, "png", pnginfo=info)
    return file.getvalue()


def _as_bytes(tensor: Any) -> bytes:
    """A tensor as the bytes of a .npy file."""
    import numpy as np

    file = io.BytesIO()
    np.save(file, tensor.detach().cpu().float().numpy(), allow_pickle=False)
    return file.getvalue()


def _from_bytes(data: bytes) -> Any:
    """The tensor in the bytes of a .npy file."""
    import numpy as np
    import torch

    return torch.from_numpy(np.load(io.BytesIO(data), allow_pickle=False))
