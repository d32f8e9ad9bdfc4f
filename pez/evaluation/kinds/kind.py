"""What a kind of unit declares: its units, their batches, their work and their columns.

class Letters(Kind):
    title = "letters of prompts"
    columns = ("letters",)

    def work(self, batch, bench, report, look):
        report.start_clock()
        for task in batch.tasks:
            report.done(task, {"letters": len(task.text)})
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pez.evaluation.bench import Bench, Look, Report
from pez.evaluation.entries import known_name
from pez.evaluation.kinds.ready import PICTURE, PROMPT, Place, Ready
from pez.evaluation.metric import Metric
from pez.evaluation.plan import Plan
from pez.evaluation.store import Record
from pez.evaluation.units import Asked, Batch, Subject, Task, Unit, Way


@dataclass(frozen=True)
class Question:
    """What units are asked about: a prompt, or with ``picture`` a picture of it that should show
    ``thing`` and is compared with the picture ``beside``, or that was drawn after the ``edit`` of
    this name. ``identity`` names models by content, ``gallery`` are the files of all pictures of
    the subject's data set and split.
    """

    plan: Plan
    identity: Callable[[str], str]
    subject: Subject
    way: Way
    prompt: Unit
    picture: Unit | None = None
    thing: str = ""
    beside: Unit | None = None
    gallery: tuple[str, ...] = ()
    edit: str = ""


@dataclass(frozen=True)
class Group:
    """Units that need the same model, which ``options`` open; ``title`` is for display."""

    title: str
    options: Any
    pairs: Sequence[tuple[Unit, Place]]
    how: str = ""


@dataclass(frozen=True)
class Kind:
    """A kind of unit, by default requested in a plan's [[measures]] and done once for each
    prompt that is a text (or each picture, if it is ``of`` pictures).

    ``columns`` are the entries of its outcomes that the table has, ``metrics`` those that a
    report shows. ``defaults`` are the options that a plan may set, with their values.
    ``size`` and ``size_gpu`` are the numbers of units in a batch.
    """

    name: str

    title: ClassVar[str] = ""
    of: ClassVar[str] = PROMPT
    named: ClassVar[bool] = True  # asked for by [[measures]]
    defaults: ClassVar[Mapping[str, Any]] = {}
    columns: ClassVar[tuple[str, ...]] = ()
    metrics: ClassVar[Mapping[str, Metric]] = {}
    reads_captions: ClassVar[bool] = False  # all that an item has, not only the first
    size: ClassVar[int] = 32
    size_gpu: ClassVar[int] = 64

    def check(self, options: Mapping[str, Any]) -> None:
        """PezError for options in a plan that this kind does not have."""
        for name in options:
            known_name(name, self.defaults, f"options of the measure {self.name}")

    def settings(self, plan: Plan) -> dict[str, Any] | None:
        """The options that the plan gives for it; None if the plan does not request it."""
        asked = [m.options for m in plan.measures if m.name == self.name]
        return {**self.defaults, **asked[0]} if asked else None

    def asked(self, question: Question) -> Asked:
        """The units for one prompt or picture, by worker model and reference."""
        settings = self.settings(question.plan)
        unit = question.picture if self.of == PICTURE else question.prompt
        if settings is None or unit is None:
            return {}
        return {("", ""): Unit(self.name, {self.of: unit.key} | settings)}

    def groups(self, ready: Ready) -> Iterable[Group]:
        """The units that can be done now, grouped by what they need."""
        for (who, against), pairs in ready.asked(self.name, self.of).items():
            heading = self.heading(ready.plan, who) + (f", {against}" if against else "")
            yield Group(heading, self.options(ready.plan, who), pairs)

    def heading(self, plan: Plan, who: str) -> str:
        """The text shown while units are done."""
        return self.title + (f" by {who}" if who else "")

    def options(self, plan: Plan, who: str) -> Any:
        """What opens the model that ``who`` is, for :meth:`work`; plain values."""
        return who

    def task(self, ready: Ready, unit: Unit, place: Place) -> Task:
        """A unit with all its inputs, read from the store."""
        if self.of == PICTURE and place.drawn:
            return Task(unit.key, unit.spec, picture=ready.drawn(place.drawn.unit))
        return Task(unit.key, unit.spec, text=ready.prompt_of(place.node))

    def work(self, batch: Batch, bench: Bench, report: Report, look: Look) -> None:
        """Do a batch and notify ``report`` of each unit."""
        raise NotImplementedError

    def kept(self, record: Record) -> Record:
        """A record as it is stored."""
        return record
