"""Where batches are done: holds the loaded model and reports outcomes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image

from pez.errors import PezError
from pez.evaluation.packing import decode
from pez.evaluation.store import Record
from pez.evaluation.units import Batch, Task

Tell = Callable[[Record, dict[str, bytes]], None]  # a unit's record and its files by suffix
Look = Callable[[float], None]  # the share of the batch that is done


class Bench:
    """Holds the model that was used last; opening another releases it."""

    def __init__(self, device: str = "auto") -> None:
        self.device = device
        self._held: tuple[Any, Any] = (None, None)

    def get(self, what: Any, load: Callable[[], Any]) -> Any:
        """The model called ``what``, loaded unless it is held."""
        if self._held[0] != what:
            self._held = (None, None)
            self._held = (what, load())
        return self._held[1]


class Report:
    """Reports outcomes, each with its share of the batch's time: the time since the last
    report is divided evenly among all units still in progress.
    """

    def __init__(self, batch: Batch, tell: Tell) -> None:
        self._batch, self._tell, self._id = batch, tell, batch.id
        self.left = {task.key: task for task in batch.tasks}
        self._start, self._shared = time.monotonic(), 0.0
        self.broken = False  # the outcome could not be stored: no fault of a unit

    def start_clock(self) -> None:
        """The model is loaded; loading counts for no unit."""
        self._start = time.monotonic()

    def decoded(self) -> tuple[list[Task], list[list[Image.Image]]]:
        """The tasks whose pictures can be decoded, and these; the others are reported as failed."""
        tasks, decoded = [], []
        for task in self._batch.tasks:
            try:
                pictures = [decode(data) for data in task.pictures]
            except PezError as error:
                self.failed(task, error)
                continue
            tasks.append(task)
            decoded.append(pictures)
        return tasks, decoded

    def done(
        self, task: Task, out: dict[str, Any], files: Mapping[str, bytes] | None = None
    ) -> None:
        """Report a unit's outcome."""
        self._end(task, out, dict(files or {}), "")

    def failed(self, task: Task, error: BaseException) -> None:
        """Report why a unit failed."""
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


def reason(error: BaseException) -> str:
    """One line for what went wrong."""
    if isinstance(error, PezError):
        return str(error)
    text = str(error).strip().split("\n")[0][:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
