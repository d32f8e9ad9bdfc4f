"""Batches of units done: the only place of the harness that loads models.

A batch holds all that it needs, bytes of pictures too, and its outcome depends on nothing else.
So it may be done in this process, in another, or on another machine, and done again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image

from pez.errors import PezError
from pez.evaluation.bench import Bench, Look, Report, Tell
from pez.evaluation.packing import as_bytes, as_png, decode, from_bytes
from pez.evaluation.units import Batch, Task


def work(batch: Batch, bench: Bench, tell: Tell, look: Look | None = None) -> None:
    """Do a batch and ``tell`` of each unit as soon as it is done.

    A unit that fails is told with its reason; if the model itself cannot be had, all are.
    Only what ``tell`` raises, and Ctrl-C, comes through.
    """
    report = Report(batch, tell)
    try:
        WORK[batch.how](batch, bench, report, look or (lambda _: None))
    except Exception as error:
        if report.broken:
            raise
        for task in list(report.left.values()):
            report.failed(task, error)


def _search(batch: Batch, bench: Bench, report: Report, look: Look) -> None:
    """Prompts of many subjects at once by the engine."""
    from dataclasses import replace

    from pez.evaluation.searches import search_all, searchable
    from pez.session.drafts import draft_name
    from pez.session.session import Watch, open_reader

    options = replace(batch.options, device=bench.device)
    names = ("search", options.model, options.dtype, draft_name(options))
    reader = bench.get(names, lambda: open_reader(options))
    report.start_clock()
    tasks, pictures = searchable(reader, *_decoded(batch, report), report)

    def progress(now: Any, _prompt: str) -> None:
        look(now.steps / max(now.total, 1))

    def found(n: int, result: Any) -> None:
        out = {
            "prompt": result.prompt,
            "search_score": round(result.score, 6),
            "steps": result.steps,
            "forwards": result.passes["forward"] + result.passes.get("draft", 0),
            "backwards": result.passes.get("backward"),
        }
        if result.history:
            out["history"] = [round(step["score"], 4) for step in result.history]
        files: dict[str, bytes] = {}
        soft = result.embeddings
        if soft is not None:  # a prompt that is no text; its text is only the words nearest to it
            out |= {"soft": True, "search_score": round(result.soft_score, 6)}
            out |= {"tokens": len(soft[0]), "real_words": None}
            files[".npy"] = as_bytes(soft[0])
        report.done(tasks[n], out, files)

    search_all(reader, tasks, pictures, options, Watch(progress=progress, result=found))


def _caption(batch: Batch, bench: Bench, report: Report, look: Look) -> None:
    """Captions of originals by an image-to-text model."""
    from pez.evaluation.language import open_captioner

    name = batch.options
    captioner = bench.get(("caption", name), lambda: open_captioner(name, bench.device))
    report.start_clock()
    tasks, pictures = _decoded(batch, report)
    texts = captioner.captions([own[0] for own in pictures]) if pictures else []
    for task, text in zip(tasks, texts, strict=True):
        report.done(task, {"prompt": text})


def _paint(batch: Batch, bench: Bench, report: Report, look: Look) -> None:
    """Pictures of prompts."""
    from dataclasses import replace

    from pez.generation import open_painter

    options = replace(batch.options, device=bench.device)
    painter = bench.get(("paint", options), lambda: open_painter(options))
    report.start_clock()
    tasks = list(batch.tasks)
    prompts = [from_bytes(task.soft) if task.soft else task.text for task in tasks]

    def done(n: int, picture: Image.Image) -> None:
        note = {"prompt": tasks[n].text, "seed": str(tasks[n].seed), "generator": painter.name}
        report.done(tasks[n], {"settings": painter.settings}, {".png": as_png(picture, note)})

    painter.paint(
        prompts,
        [task.seed for task in tasks],
        progress=lambda step, steps: look(step / max(steps, 1)),
        done=done,
    )


def _score(batch: Batch, bench: Bench, report: Report, look: Look) -> None:
    """Pictures compared with their references."""
    _compare(batch, bench, report, "similarity")


def _read(batch: Batch, bench: Bench, report: Report, look: Look) -> None:
    """Prompts compared with their references."""
    _compare(batch, bench, report, "text_score")


def _compare(batch: Batch, bench: Bench, report: Report, name: str) -> None:
    """Each task's picture or text with each of its references, all pairs at once; the mean of
    a task's pairs counts, or their least.
    """
    judge = _judge(batch, bench)
    report.start_clock()
    tasks, decoded = _decoded(batch, report)
    for pictures in (True, False):  # of what a task is compared with
        mine = [(t, p) for t, p in zip(tasks, decoded, strict=True) if bool(t.pictures) == pictures]
        pairs = [
            (decode(t.picture) if t.picture else t.text, other)
            for t, own in mine
            for other in (own if pictures else t.texts)
        ]
        found = iter(_cosines(judge, pairs) if pairs else [])
        for task, own in mine:
            values = [next(found) for _ in (own if pictures else task.texts)]
            least = task.spec.get("against", {}).get("least")
            value = min(values) if least else sum(values) / len(values)
            report.done(task, {name: round(value, 6)})


def _cosines(judge: Any, pairs: Sequence[tuple[Any, Any]]) -> list[float]:
    """What the judge makes of pairs of pictures, of texts, or of one of each."""
    ones, others = ([pair[n] for pair in pairs] for n in (0, 1))
    texts = [isinstance(side[0], str) for side in (ones, others)]
    if all(texts):
        return judge.between_texts(ones, others)
    if any(texts):
        return judge.text_scores(*((others, ones) if texts[0] else (ones, others)))
    return judge.similarities(others, ones)


def _perplexity(batch: Batch, bench: Bench, report: Report, look: Look) -> None:
    """Prompts read by a language model."""
    from pez.models.language import open_language_model

    name = batch.options
    model = bench.get(("language", name), lambda: open_language_model(name, bench.device))
    report.start_clock()
    found = model.perplexities([task.text for task in batch.tasks])
    for task, value in zip(batch.tasks, found, strict=True):
        report.done(task, {"perplexity": None if value is None else round(value, 4)})


WORK: dict[str, Callable[[Batch, Bench, Report, Look], None]] = {
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


def _decoded(batch: Batch, report: Report) -> tuple[list[Task], list[list[Image.Image]]]:
    """The tasks whose pictures can be decoded, and these; the others are told as failed."""
    tasks, decoded = [], []
    for task in batch.tasks:
        try:
            pictures = [decode(data) for data in task.pictures]
        except PezError as error:
            report.failed(task, error)
            continue
        tasks.append(task)
        decoded.append(pictures)
    return tasks, decoded
