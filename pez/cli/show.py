"""What the terminal shows while a search runs and when it ends."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from os.path import basename
from typing import Any, TextIO

from pez.cli.streams import Unprinted, answers
from pez.cli.visible import raw_stderr, visible
from pez.result import Result
from pez.search.engine import Progress

FORM = "{percentage:3.0f}%|{bar:16}| {elapsed}<{remaining} {desc}"
BESIDE = 44  # columns that the rest of the bar takes
WIDEST = 40  # columns that names are padded to


class Bar:
    """The progress bar of every command, on stderr; nothing if that is not a terminal, or with
    ``quiet``. Called by a search it shows the best prompt so far, and prints ``lines`` of plain
    text where there is no terminal.
    """

    def __init__(self, quiet: bool = False, lines: int = 0) -> None:
        self._bar = None
        self._quiet, self._lines = quiet, lines
        self._printed = -1

    @property
    def shown(self) -> bool:
        """Whether the bar is visible."""
        return sys.stderr.isatty() and not self._quiet

    def show(self, done: float, total: float, text: str = "", at_once: bool = False) -> None:
        """Draw ``done`` of ``total``, followed by a text that is cut to the terminal; at most
        ten times a second unless ``at_once``.
        """
        if not self.shown:
            return
        from tqdm import tqdm

        room = max(20, shutil.get_terminal_size().columns - BESIDE)
        text = visible(text, lines=False)
        text = text if len(text) <= room else text[: room - 1] + "…"
        if self._bar is None:
            form = {"bar_format": FORM, "leave": False, "file": raw_stderr(), "miniters": 0}
            self._bar = tqdm(total=total, desc=text, **form)
        self._bar.total = total  # restart for a text of another length
        self._bar.set_description_str(text, refresh=False)
        self._bar.update(done - self._bar.n)
        if at_once:
            self._bar.refresh()

    def __call__(self, progress: Progress, prompt: str) -> None:
        """Show how far a search is."""
        if self.shown:
            jobs = f"{progress.done}/{progress.jobs} " if progress.jobs > 1 else ""
            self.show(progress.steps, progress.total, f"{jobs}{progress.score:.3f} {prompt}")
        elif self._lines and not self._quiet:
            part = progress.steps * self._lines // max(progress.total, 1)
            if part != self._printed:
                self._printed = part
                print(f"{progress.steps:6d} steps  {progress.score:.3f}  {prompt}", file=sys.stderr)

    def draw(self, steps: int, total: int) -> None:
        """Show how far the drawing of pictures is, in denoising steps."""
        self.show(steps, total, f"{steps}/{total} steps")

    def clear(self) -> None:
        """Make room for a line of output; the next step draws the bar again."""
        if self._bar is not None:
            self._bar.clear()

    def close(self) -> None:
        """Remove the bar; the next one starts fresh."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class InOrder:
    """Prints results on stdout in the order of the inputs, as early as that allows. ``failed``
    says why nothing more is printed, if that fails; ``lost`` are the lines that were not.

    ``labels`` name the inputs for a reader: with them, prompts have scores too. Alternatives
    have a line each; without labels each input then has ``lines`` of them, the last ones empty
    where restarts found the same, so that a program knows whose they are.
    """

    def __init__(
        self,
        as_json: bool,
        labels: Sequence[str] | None = None,
        lines: int = 1,
        out: TextIO | None = None,
    ) -> None:
        self._waiting: dict[int, str] = {}
        self._next = 0
        self._json, self._out = as_json, out or answers()
        self._labels, self._lines = labels, lines
        self._width = min(max(map(len, labels or [""])), WIDEST)
        self.failed: Unprinted | BrokenPipeError | None = None
        self.lost: list[str] = []

    def add(self, n: int, result: Result | None) -> None:
        """Result of input ``n``; None (it failed) leaves its line empty."""
        self._waiting[n] = self._line(n, result)
        self._flush()

    def close(self) -> None:
        """Print what is ready, with empty lines for earlier inputs without a result."""
        last = max(self._waiting, default=-1)
        for n in range(self._next, last):
            self._waiting.setdefault(n, self._line(n, None))
        self._flush()

    def _line(self, n: int, result: Result | None) -> str:
        if self._json:
            return result.to_json() if result else ""
        found: list[dict[str, Any]] = []
        if result:
            found = result.alternatives or [{"prompt": result.prompt, "score": result.score}]
        prompts = [" ".join(one["prompt"].split()) for one in found]
        if self._labels is None:
            return "\n".join(prompts + [""] * (self._lines - len(prompts)))
        scored = [
            f"{one['score']:7.4f}  {prompt}" for one, prompt in zip(found, prompts, strict=True)
        ]
        name = f"{self._labels[n]:<{self._width}}  " if self._width else ""
        return "\n".join(name + text for text in scored or ["      -"])

    def _flush(self) -> None:
        while self._next in self._waiting:
            line = self._waiting.pop(self._next)
            if line or not self._json:
                self._print(line)
            self._next += 1

    def _print(self, line: str) -> None:
        try:
            if not self.failed:
                print(line, file=self._out, flush=True)
        except (Unprinted, BrokenPipeError) as error:
            self.failed = error
        if self.failed:
            self.lost.append(line)


def short_names(names: Sequence[str]) -> list[str]:
    """Names of files for a reader: without their folders, if they still differ then."""
    short = {name: visible(basename(name), lines=False) or name for name in names}
    unique = len(set(short.values())) == len(short)
    return [short[name] if unique else visible(name, lines=False) for name in names]


def totals(scores: Sequence[float], failed: int, seconds: float) -> str:
    """A line about all results of a run, for stderr."""
    mean = f", mean score {sum(scores) / len(scores):.4f}" if scores else ""
    lost = f", {failed} failed" if failed else ""
    return f"{len(scores)} done{lost}{mean}, {seconds:.1f} s"


def summary(result: Result) -> str:
    """A line about a result for stderr, and one for its negative prompt."""
    cut = ", stopped early" if result.interrupted else ""
    if "label_words" in result.figures:
        return _accuracies(result.figures) + f"; {result.seconds:.1f} s{cut}"
    soft = "" if result.soft_score is None else f", its embeddings {result.soft_score:.4f}"
    read = "" if result.perplexity is None else f", perplexity {result.perplexity:.3g}"
    # with something to avoid it is no cosine, and may be above 1
    avoids = ", less what is to be avoided" if result.options.get("negative") else ""
    return (
        f"score {result.score:.4f} ({result.model}{avoids}){soft}{read}, {result.steps} steps, "
        f"{result.seconds:.1f} s{cut}"
        + (f"\npez: negative: {result.negative}" if result.negative else "")
    )


def _accuracies(figures: dict[str, Any]) -> str:
    """A line about how well a prompt classifies, and one for each that it is compared with."""
    test = figures["test"]
    rows = [("prompt", test["prompt"]), ("no prompt", test["none"])]
    if "random" in test:
        rows.append((f"random: {test['random']['prompt']}", test["random"]))
    rows += [(f"manual: {one['prompt']}", one) for one in test.get("manual", ())]
    if "soft" in test:
        rows.append(("embeddings", test["soft"]))
    lines = []
    for name, row in rows:
        ways = {way: rate for way, rate in row.items() if isinstance(rate, dict)}
        told = [
            f"{way} {100 * r['accuracy']:.1f} % ({100 * r['low']:.1f} to {100 * r['high']:.1f})"
            for way, r in ways.items()
        ]
        lines.append(f"{', '.join(told)}  {name}")
    return f"on {figures['texts']['test']} texts: " + "\npez: ".join(lines)
