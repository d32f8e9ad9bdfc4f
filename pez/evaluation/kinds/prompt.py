"""subject x method x length x model x seed -> prompt: searched, captioned or given."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from pez.evaluation.bench import Bench, Look, Report
from pez.evaluation.kinds.kind import Group, Kind, Question
from pez.evaluation.kinds.ready import Place, Ready
from pez.evaluation.packing import as_bytes
from pez.evaluation.plan import Plan
from pez.evaluation.readable import measure
from pez.evaluation.store import Record
from pez.evaluation.units import Asked, Batch, Node, Subject, Task, Unit, Way


class PromptKind(Kind):
    """Searches and captions; given texts need no work."""

    title = "prompts"
    named = False
    size, size_gpu = 32, 256
    columns = ("prompt", "search_score", "tokens", "forwards", "backwards", "real_words")

    def asked(self, question: Question) -> Asked:
        """None: everything is asked about a prompt."""
        return {}

    def groups(self, ready: Ready) -> Iterable[Group]:
        """Searches by their options, then captions."""
        found: dict[Any, list[tuple[Unit, Place]]] = {}
        for node in ready.nodes:
            way = node.way
            if node.subject.original.error or way.how == "text":
                continue
            # labelled texts are searched one set after the other, so each is a batch
            apart = node.subject.original.file if ready.plan.task.labelled else ""
            name = (way.how, way.model, way.label, way.length, way.ratio, way.seed, apart)
            found.setdefault(name, []).append((node.unit, Place(node)))
        for name in sorted(found, key=lambda name: (name[0] != "search", name[1])):
            node = found[name][0][1].node
            options = node.way.options if node.way.how == "search" else ready.plan.captioner
            yield Group(_title(node), options, found[name], node.way.how)

    def task(self, ready: Ready, unit: Unit, place: Place) -> Task:
        """What is searched for: texts if it has any, else pictures."""
        if ready.plan.task.labelled:
            (content,) = ready.files((place.node.subject.original.file,))
            return Task(unit.key, unit.spec, labelled=content)
        texts = tuple(unit.spec.get("texts", ()))
        files = () if texts else ready.files(place.node.subject.files)
        return Task(unit.key, unit.spec, pictures=files, texts=texts)

    def work(self, batch: Batch, bench: Bench, report: Report, look: Look) -> None:
        """Search or caption."""
        (_search if batch.how == "search" else _caption)(batch, bench, report, look)

    def kept(self, record: Record) -> Record:
        """Adds what is measured for every prompt."""
        if record.error:
            return record
        return replace(record, out=measure(record.out["prompt"]) | record.out)


def prompt_spec(
    plan: Plan, identity: Callable[[str], str], subject: Subject, way: Way
) -> dict[str, Any] | None:
    """What decides a prompt; None for a baseline that the subject does not have."""
    own = subject.original.identity
    if way.how == "search":
        spec = plan.task.spec(subject, own) | {"search": way.record}
        return spec | {"models": [identity(name) for name in way.model]} | _draft(way, identity)
    if way.how == "captioner":
        return own | {"captioner": identity(plan.captioner)}
    text = plan.task.text(subject, way.label, way.ratio)
    return None if text is None else own | {"text": text}


def _draft(way: Way, identity: Callable[[str], str]) -> dict[str, str]:
    """The method's draft, if it has one, by its content."""
    from pez.session.drafts import draft_name

    name = draft_name(way.options) if way.options else ""
    return {"draft": identity(name)} if name else {}


def _title(node: Node) -> str:
    way = node.way
    size = "auto" if way.length == 0 else f"{way.length} tokens" if way.length else ""
    parts = [way.label, size, " + ".join(way.model)]
    parts[1] = f"ratio {way.ratio:g}" if way.ratio else parts[1]
    return ", ".join(filter(None, parts)) + (f", seed {way.seed}" if way.seed else "")


def _search(batch: Batch, bench: Bench, report: Report, look: Look) -> None:
    """Prompts of many subjects at once by the engine."""
    from pez.evaluation.searches import Searched, search_all, searchable
    from pez.session.drafts import draft_name
    from pez.session.session import Watch, open_reader

    options = replace(batch.options, device=bench.device)
    names = ("search", options.model, options.dtype, draft_name(options))
    held = bench.get(names, lambda: Searched(open_reader(options)))
    report.start_clock()
    tasks, pictures = searchable(held.reader, *report.decoded(), report)

    def progress(now: Any, _prompt: str) -> None:
        look(now.steps / max(now.total, 1))

    def found(n: int, result: Any) -> None:
        out = {
            "prompt": result.prompt,
            "search_score": round(result.score, 6),
            "steps": result.steps,
            # as if nothing had been cached: a run that goes on must end like one in one piece
            "forwards": sum(result.passes.get(k, 0) for k in ("forward", "cached", "draft")),
            "backwards": result.passes.get("backward"),
        }
        if result.history:
            out["history"] = [round(step["score"], 4) for step in result.history]
        files: dict[str, bytes] = {}
        soft = result.embeddings
        if soft is not None:  # a soft prompt; its text is only the words nearest to it
            out |= {"soft": True, "search_score": round(result.soft_score, 6)}
            out |= {"tokens": len(soft[0]), "real_words": None}
            files[".npy"] = as_bytes(soft[0])
        report.done(tasks[n], out, files)

    watch = Watch(progress=progress, result=found)
    search_all(held.session(options), tasks, pictures, watch)


def _caption(batch: Batch, bench: Bench, report: Report, _look: Look) -> None:
    """Captions of originals by an image-to-text model."""
    from pez.evaluation.language import open_captioner

    name = batch.options
    captioner = bench.get(("caption", name), lambda: open_captioner(name, bench.device))
    report.start_clock()
    tasks, pictures = report.decoded()
    texts = captioner.captions([own[0] for own in pictures]) if pictures else []
    for task, text in zip(tasks, texts, strict=True):
        report.done(task, {"prompt": text})
