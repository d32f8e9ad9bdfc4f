"""Prompts that make a language model classify: searched, chosen by validation, measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from pez.errors import PezError
from pez.formats.prompts import file_or_text, read_prompts
from pez.methods import steps_of
from pez.models.causal import Speaker
from pez.result import Result
from pez.search.engine import Budget, Found, Progress, search
from pez.search.init import random_words
from pez.search.problem import Problem
from pez.search.rows import Job, Rows
from pez.session.classify_options import ClassifyOptions
from pez.session.figures import Figures, measure
from pez.session.given import given_prompt, tuned_figures
from pez.session.items import Item
from pez.session.labelled import Data, Texts, fitted, labelled_item
from pez.session.scoring import Done, Scorer
from pez.session.search_store import SearchStore
from pez.session.session import Session, Watch

GIVEN = "given"  # the method of a prompt that the user gave
PARTS = 1000  # of a progress bar while prompts are measured


@dataclass(frozen=True)
class Finalist:
    """A prompt that a search found: its text, its restart's number and its score in the search."""

    prompt: str
    restart: int
    score: float


@dataclass
class _Run:
    """One call: what is measured is shown on the bar beside the best prompt so far."""

    session: Session
    data: Data
    watch: Watch
    best: str = ""
    score: float = field(default=0.0)

    @property
    def options(self) -> ClassifyOptions:
        options = self.session.options
        assert isinstance(options, ClassifyOptions)
        return options

    @property
    def speaker(self) -> Speaker:
        reader = self.session.reader
        assert isinstance(reader, Speaker)
        return reader

    def measured(self, prompts: Sequence[str], on: Texts, what: str) -> list[Figures]:
        """Figures of typed prompts on some texts."""

        def told(share: float) -> None:
            if self.watch.stop.asked:
                raise KeyboardInterrupt
            if self.watch.progress:
                now = Progress(round(PARTS * share), PARTS, 0, 1, self.score, [])
                self.watch.progress(now, f"{what} {self.best}".strip())

        wording, words = self.options.wording, self.data.words
        return measure(self.speaker, prompts, on.texts, on.right, wording, words, told)


def classify_data(session: Session, data: Data, watch: Watch | None = None) -> Result:
    """Search one prompt for labelled texts, or take that of the options, and measure it, if the
    data have texts for that. The result is reported to ``watch`` too. After a stop it is the best
    so far, with the figures that there are by then; PezError if there is none.
    """
    watch, begin = watch or Watch(), time.monotonic()
    options, speaker = session.options, session.reader
    assert isinstance(options, ClassifyOptions) and isinstance(speaker, Speaker)
    data = fitted(speaker, data, options)
    for text in data.notes:
        session.remark(text)
    session.tell(watch.note)
    run = _Run(session, data, watch)
    result = _given(run) if options.prompt is not None else _searched(run)
    result = replace(result, seconds=round(time.monotonic() - begin, 4), finished=time.time())
    if watch.result:
        watch.result(0, result)
    return result


def manual_prompts(options: ClassifyOptions) -> list[str]:
    """The prompts by hand: texts, and the lines of files."""
    found: list[str] = []
    for text in options.manual:
        file = file_or_text(text, "--manual")
        found += read_prompts(file) if file else [text]
    return list(dict.fromkeys(" ".join(text.split()) for text in found))


def _searched(run: _Run) -> Result:
    """The best of some searches by validation, with figures."""
    options, session, watch = run.options, run.session, run.watch
    item = labelled_item(run.speaker, run.data, options)
    form = session.form(options.length)
    problem = session.problem([item], form)
    session.tell(watch.note)
    manual = manual_prompts(options)
    store = SearchStore.of(session.record, item.key, run.speaker.weights)
    found = _restarts(run, item, problem, store)
    if not found:
        raise PezError("stopped before the first prompt was found.")
    listed = finalists(run, found)
    run.best, run.score = listed[0].prompt, listed[0].score
    scorer = Scorer(session.reader, problem, session.method, options, session.record)
    told: dict[str, Any] = {}
    first = listed[0]
    try:
        if watch.stop.asked:
            raise KeyboardInterrupt
        first, told = _chosen(run, listed, problem, item.key, manual)
        if soft := _soft(run, item, found):
            told["test"]["soft"] = soft
    except KeyboardInterrupt as interrupt:
        if not watch.stop.asked:
            watch.stop.take(interrupt)
    done = Done(item, 0, found, watch.stop.asked)
    result = scorer.result(done, first.restart, first.prompt, first.score, None)
    if not watch.stop.asked:
        store.clear()
    return replace(result, figures=_described(run, told) if told else {})


def _restarts(run: _Run, item: Item, problem: Problem, store: SearchStore) -> list[Found]:
    """What each search found; those that a killed run finished are taken from the store."""
    options, session, watch = run.options, run.session, run.watch
    found: list[Found] = []
    steps, kept = steps_of(options), 0
    for restart in range(options.restarts):
        job = Job(0, item.key, restart, options.seed)
        known = store.read(job)
        if known is None:
            if watch.stop.asked:
                break
            one = search(
                problem,
                session.method,
                [job],
                Budget(steps, options.patience, options.seconds),
                run.speaker.device,
                keep=options.finalists,
                keep_history=options.history,
                stop=watch.stop,
                on_progress=_shown(run, found, steps),
            )
            if not one:
                break
            known = one[0]
            if not watch.stop.asked:
                store.add(known)
                kept += 1
        else:
            kept += 1
            if watch.note:
                watch.note(f"search {restart + 1} of {options.restarts} was done before.")
        found.append(known)
    if watch.stop.asked and watch.note and kept and store.folder:
        done = f"{kept} of {options.restarts} searches are done and kept"
        watch.note(f"{done}; the same command goes on behind them.")
    return found


def _shown(run: _Run, before: list[Found], steps: int) -> Callable[[Progress], None] | None:
    """Reports how far all searches are, with the best prompt of any."""
    progress, tokens = run.watch.progress, run.speaker.tokens
    if progress is None:
        return None

    def show(now: Progress) -> None:
        score, ids = max([(f.score, f.ids) for f in before] + [(now.score, now.ids)])
        jobs = run.options.restarts
        done = Progress(
            steps * len(before) + now.steps, steps * jobs, len(before), jobs, score, ids
        )
        progress(done, tokens.decode(ids))

    return show


def finalists(run: _Run, found: Sequence[Found]) -> list[Finalist]:
    """The best prompts of all searches, each text once, best first by scores in the search."""
    decode = run.speaker.tokens.decode
    every = [
        Finalist(decode(ids), restart, score)
        for restart, one in enumerate(found)
        for ids, score in [(one.ids, one.score), *one.others][: run.options.finalists]
    ]
    every.sort(key=lambda one: one.score, reverse=True)
    return list({one.prompt: one for one in reversed(every)}.values())[::-1]


def _chosen(
    run: _Run, listed: list[Finalist], problem: Problem, key: str, manual: list[str]
) -> tuple[Finalist, dict[str, Any]]:
    """The finalist of the lowest loss on the validation texts, and the figures of it and of what it
    is compared with. Without texts to measure on a single finalist is taken as it is.
    """
    options, data = run.options, run.data
    drawn = random_prompts(run, problem, key) if options.random else []
    prompts = [one.prompt for one in listed]
    if not data.test.texts and len(prompts) == 1:
        return listed[0], {}
    beside = ["", *drawn, *manual] if data.test.texts else []
    everything = _once([*prompts, *beside])
    valid = dict(zip(everything, run.measured(everything, data.valid, "choosing:"), strict=True))
    best = min(listed, key=lambda one: valid[one.prompt].loss)
    run.best, run.score = best.prompt, best.score
    luck = min(drawn, key=lambda text: valid[text].loss) if drawn else None
    told: dict[str, Any] = {}
    if data.test.texts:
        wanted = _once([best.prompt, "", *([luck] if luck else []), *manual])
        test = dict(zip(wanted, run.measured(wanted, data.test, "measuring:"), strict=True))
        told["test"] = _compared(test, best.prompt, luck, manual)
        told["validation"] = _compared(valid, best.prompt, luck, manual)
    else:
        told["validation"] = dict[str, Any](prompt=valid[best.prompt].record())
    told["validation"]["finalists"] = [
        {"prompt": one.prompt, "restart": one.restart, "score": round(one.score, 4)}
        | valid[one.prompt].record()
        for one in listed
    ]
    return best, told


def _once(texts: Sequence[str]) -> list[str]:
    """Texts without repeats."""
    return list(dict.fromkeys(texts))


def _compared(
    found: dict[str, Figures], prompt: str, luck: str | None, manual: Sequence[str]
) -> dict[str, Any]:
    """A prompt's figures beside those of none, of a random one and of manual ones."""
    out: dict[str, Any] = {"prompt": found[prompt].record(), "none": found[""].record()}
    if luck is not None:
        out["random"] = {"prompt": luck} | found[luck].record()
    if manual:
        out["manual"] = [{"prompt": text} | found[text].record() for text in manual]
    return out


def random_prompts(run: _Run, problem: Problem, key: str) -> list[str]:
    """As many prompts of random words as the options ask for."""
    options, slots = run.options, problem.template.slots
    jobs = [Job(0, f"{key}/random", n, options.seed) for n in range(options.random)]
    rows = Rows(jobs, run.speaker.device)
    ids = problem.template.fill(random_words(problem.vocabulary.ids, slots, rows))
    return [run.speaker.tokens.decode(row) for row in ids.tolist()]


def _soft(run: _Run, item: Item, found: Sequence[Found]) -> dict[str, Any] | None:
    """What the best embeddings reach on the test texts, without words; None if there are none."""
    soft = [one.extra for one in found if "embeddings" in one.extra]
    if not soft:
        return None
    best = max(soft, key=lambda extra: float(extra["soft_score"]))
    return _tuned(run, best["embeddings"].to(run.speaker.device), run.data.test).record()


def _tuned(run: _Run, rows: Tensor, on: Texts) -> Figures:
    """Figures of embeddings (k, w) on some texts."""
    wording, words = run.options.wording, run.data.words
    return tuned_figures(run.speaker, rows, on.texts, on.right, wording, words)


def _given(run: _Run) -> Result:
    """The figures of the user's own prompt."""
    options, data, speaker = run.options, run.data, run.speaker
    given = given_prompt(options.prompt or "", speaker)
    prompt = run.best = given.text
    manual = manual_prompts(options)
    beside = _once(["", *manual])

    def figures_of(texts: list[str], on: Texts, what: str) -> dict[str, Figures]:
        if given.rows is None:
            texts = _once([prompt, *texts])
        found = dict(zip(texts, run.measured(texts, on, what), strict=True))
        return found if given.rows is None else found | {prompt: _tuned(run, given.rows, on)}

    train = figures_of([], data.train, "reading:")[prompt]
    valid = figures_of(beside, data.valid, "measuring:")
    test = figures_of(beside, data.test, "measuring:")
    told = {
        "test": _compared(test, prompt, None, manual),
        "validation": _compared(valid, prompt, None, manual),
    }
    return Result(
        prompt=prompt,
        ids=speaker.tokens.encode(prompt) if prompt and given.rows is None else [],
        score=-train.loss,
        model=speaker.name,
        method=GIVEN,
        targets=[data.name],
        steps=0,
        seconds=0.0,
        seed=options.seed,
        key=data.key,
        options=run.session.record,
        weights=speaker.weights,
        notes=list(data.notes),
        figures=_described(run, told),
    )


def _described(run: _Run, told: dict[str, Any]) -> dict[str, Any]:
    """Figures with what they are of."""
    data = run.data
    sizes = {"train": data.train, "validation": data.valid, "test": data.test}
    return {
        "labels": list(data.labels),
        "label_words": list(data.words),
        "template": run.options.template,
        "texts": {name: len(part.texts) for name, part in sizes.items()},
    } | told
