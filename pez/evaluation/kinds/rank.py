"""prompt x judge -> rank: the place of the prompt's picture among all pictures of its data set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from pez.errors import PezError
from pez.evaluation.bench import Bench, Look, Report
from pez.evaluation.judges import judge_class, judge_identity, open_judge
from pez.evaluation.judges.judge import Judge
from pez.evaluation.kinds.kind import Group, Kind, Question
from pez.evaluation.kinds.ready import Place, Ready
from pez.evaluation.metric import Metric
from pez.evaluation.packing import LOST, decode
from pez.evaluation.plan import Plan
from pez.evaluation.units import Asked, Batch, Node, Task, Unit

VERSION = 1  # of how ranks are counted


class Rank(Kind):
    """Prompts that are texts, of one picture each, under every judge and reader that compares
    pictures with texts.

    All the plan's pictures of the same data set and split are ordered by their score with the
    prompt. Equal scores count against the prompt, so a judge that cannot tell pictures apart puts
    each of them last.
    """

    title = "ranks of pictures"
    columns = ("rank", "rank_1", "rank_10", "among")
    metrics: ClassVar = {
        "rank": Metric(
            "median rank",
            "place of the prompt's picture among all of the data set's that were drawn, under the "
            "judge; 1 is the first",
            1,
            better=-1,
            counts="reading",
            median=True,
        ),
        "rank_1": Metric("R@1", "share of prompts that put their picture first", 2, 1, "reading"),
        "rank_10": Metric(
            "R@10", "share of prompts that put their picture among the first ten", 2, 1, "reading"
        ),
    }
    size, size_gpu = 512, 2048

    def asked(self, question: Question) -> Asked:
        """One for each judge and reader, if the plan requests it and there are other pictures."""
        files, plan = question.subject.files, question.plan
        if self.settings(plan) is None or not question.way.is_text:
            return {}
        if len(files) != 1 or len(question.gallery) < 2:
            return {}
        spec = {"prompt": question.prompt.key, "picture": files[0], "version": VERSION}
        spec |= {"among": gallery_hash(question.gallery)}
        return {
            (judge, ""): Unit(self.name, spec | {"judge": judge_identity(judge, question.identity)})
            for judge in (*plan.judges, *plan.readers)
            if judge_class(judge).compares_pictures_with_texts
        }

    def groups(self, ready: Ready) -> Iterable[Group]:
        """By judge and data set: what is ranked together is encoded once."""
        for group in super().groups(ready):
            found: dict[str, list[tuple[Unit, Place]]] = {}
            for unit, place in group.pairs:
                found.setdefault(unit.spec["among"], []).append((unit, place))
            for pairs in found.values():
                yield replace(group, pairs=pairs)

    def options(self, plan: Plan, who: str) -> Any:
        """The judge and its precision."""
        return who, plan.dtype

    def task(self, ready: Ready, unit: Unit, place: Place) -> Task:
        """The prompt, its picture and all pictures of the data set."""
        text, (own,) = ready.prompt_of(place.node), ready.files(place.node.subject.files)
        return Task(unit.key, unit.spec, gallery_of(ready, place.node), text=text, picture=own)

    def work(self, batch: Batch, bench: Bench, report: Report, look: Look) -> None:
        """Rank."""
        name, dtype = batch.options
        judge = bench.get(("judge", name, dtype), lambda: open_judge(name, bench.device, dtype))
        report.start_clock()
        pictures, prompts = batch.tasks[0].pictures, [task.text for task in batch.tasks]
        scores = scores_among(judge, pictures, prompts)
        for task, found in zip(batch.tasks, scores, strict=True):
            if task.picture in found:
                report.done(task, ranked(found[task.picture], list(found.values())))
            else:
                report.failed(task, PezError("its picture cannot be decoded."))


def ranked(own: float, scores: Sequence[float]) -> dict[str, int]:
    """The columns for a score among all ``scores``, of which it is one; equal ones come first."""
    rank = sum(score >= own for score in scores)
    return {
        "rank": rank,
        "rank_1": int(rank <= 1),
        "rank_10": int(rank <= 10),
        "among": len(scores),
    }


def scores_among(
    judge: Judge, pictures: Sequence[bytes], prompts: Sequence[str]
) -> Iterator[dict[bytes, float]]:
    """For each prompt its score with each picture that can be decoded."""
    whole: list[bytes] = []

    def decoded() -> Iterator[Image.Image]:
        for data in pictures:
            with suppress(PezError):
                yield decode(data)
                whole.append(data)

    for row in judge.grid(decoded(), prompts):
        yield dict(zip(whole, row, strict=True))


def gallery_hash(gallery: Sequence[str]) -> str:
    """What names the pictures of a data set in the units that rank them."""
    return hashlib.sha256("\0".join(gallery).encode()).hexdigest()


def gallery_of(ready: Ready, node: Node) -> tuple[bytes, ...]:
    """The pictures among which a node's own is ranked."""
    return _read(ready.store.folder, node.gallery)


@lru_cache(maxsize=2)  # a batch's tasks share their pictures
def _read(folder: Path, files: tuple[str, ...]) -> tuple[bytes, ...]:
    found = (folder / name for name in files)
    return tuple(path.read_bytes() if path.is_file() else LOST for path in found)
