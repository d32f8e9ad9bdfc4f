"""Which units are missing, put together into batches that need the same model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pez.evaluation.plan import Plan, painter_options
from pez.evaluation.store import Record, Store
from pez.evaluation.units import Batch, Drawn, Node, Reference, Task, Unit, batch_id

SIZES = {"prompt": 32, "picture": 8, "score": 32, "reading": 64, "language": 32}  # on a CPU
SIZES_GPU = {"prompt": 256, "picture": 32, "score": 256, "reading": 256, "language": 64}


@dataclass(frozen=True)
class Stage:
    """One kind of unit, all of which can be done once the stages before it are: how many are
    missing, and the batches that do them.
    """

    kind: str
    missing: int
    batches: Iterator[Batch]


@dataclass(frozen=True, eq=False)
class Missing:
    """Reads the store to tell what is missing. With ``retry`` what failed counts as missing."""

    plan: Plan
    store: Store
    nodes: Sequence[Node]
    sizes: dict[str, int]
    retry: bool = False

    def stages(self) -> Iterator[Stage]:
        """The stages in order; each is looked up when the one before it was done."""
        for kind in (self.prompts, self.pictures, self.scores, self.readings, self.language):
            yield kind()

    def prompts(self) -> Stage:
        """Searches and captions; texts that are given need no work (see :func:`given_texts`)."""
        groups: dict[Any, list[tuple[Unit, Node]]] = {}
        for node in self.nodes:
            way = node.way
            if node.subject.original.error or way.how == "text":
                continue
            name = (way.how, way.model, way.label, way.length, way.ratio, way.seed)
            groups.setdefault(name, []).append((node.unit, node))
        batches = []
        for name in sorted(groups, key=lambda name: (name[0] != "search", name[1])):
            node = groups[name][0][1]
            search = node.way.how == "search"
            options = node.way.options if search else self.plan.captioner
            how, title = ("search" if search else "caption"), _title(node)
            batches += self._batches("prompt", how, options, title, groups[name], self._prompt)
        return _stage("prompt", batches)

    def pictures(self) -> Stage:
        """Pictures of those prompts that are there."""
        batches = []
        for generator in self.plan.generators:
            pairs = [
                (drawn.unit, (node, drawn))
                for node in self._with_prompt()
                for drawn in node.pictures
                if drawn.generator == generator
            ]
            options, title = painter_options(generator), f"pictures by {generator.name}"
            batches += self._batches("picture", "paint", options, title, pairs, self._picture)
        return _stage("picture", batches)

    def scores(self) -> Stage:
        """Pictures that are there, compared with their references."""
        batches = []
        drawn = [
            (node, picture)
            for node in self._with_prompt()
            for picture in node.pictures
            if self._is_there(picture.unit)
            if not picture.beside or self._is_there(picture.beside)
        ]
        for name, judge in self._comparisons(self.plan.judges):
            pairs = [
                (picture.scores[judge, name], (node, picture, name))
                for node, picture in drawn
                if (judge, name) in picture.scores
            ]
            options, title = (judge, self.plan.dtype), _against(f"scores by {judge}", name)
            batches += self._batches("score", "score", options, title, pairs, self._score)
        return _stage("score", batches)

    def readings(self) -> Stage:
        """Prompts that are texts, compared with their references."""
        batches = []
        for name, judge in self._comparisons((*self.plan.judges, *self.plan.readers)):
            pairs = [
                (node.readings[judge, name], (node, name))
                for node in self._with_text()
                if (judge, name) in node.readings
            ]
            options, title = (judge, self.plan.dtype), _against(f"prompts read by {judge}", name)
            batches += self._batches("reading", "read", options, title, pairs, self._reading)
        return _stage("reading", batches)

    def language(self) -> Stage:
        """Prompts that are texts, read by a language model."""
        pairs = [(node.language, node) for node in self._with_text() if node.language]
        model = self.plan.language_model
        title = f"perplexity under {model}"
        batches = self._batches("language", "perplexity", model, title, pairs, self._text)
        return _stage("language", batches)

    def _comparisons(self, judges: Sequence[str]) -> list[tuple[str, str]]:
        """References by name and who compares with them: a model is opened once for all."""
        names = dict.fromkeys(r.name for node in self.nodes for r in node.subject.references)
        return [(name, judge) for judge in judges for name in names]

    def _is_there(self, picture: Unit) -> bool:
        return _good(self.store.get("picture", picture.key))

    def _with_prompt(self) -> list[Node]:
        return [node for node in self.nodes if _good(self.store.get("prompt", node.unit.key))]

    def _with_text(self) -> list[Node]:
        found = ((node, self.store.get("prompt", node.unit.key)) for node in self.nodes)
        return [
            node
            for node, record in found
            if record and _good(record) and not record.out.get("soft")
        ]

    def _batches(
        self,
        kind: str,
        how: str,
        options: Any,
        title: str,
        pairs: Sequence[tuple[Unit, Any]],
        task: Callable[[Unit, Any], Task],
    ) -> list[tuple[int, Callable[[], Batch]]]:
        """How many units are missing and what makes their batch, for each batch.

        The cuts lie at fixed places of the plan. A batch that a kill has left half told is done
        again as a whole, as numbers of a batch depend, in their last digits, on what is done
        together: so the store ends up as it would have without the kill.
        """
        pairs = list({unit.key: (unit, more) for unit, more in pairs}.values())
        out = []
        for start in range(0, len(pairs), self.sizes[kind]):
            chunk = pairs[start : start + self.sizes[kind]]
            found = [self.store.get(kind, unit.key) for unit, _ in chunk]
            lacks = [self._lacks(record) for record in found]
            if not any(lacks):
                continue
            own = batch_id([unit.key for unit, _ in chunk])
            cut = all(record and record.batch == own for record in found if record)
            chosen = [pair for pair, lack in zip(chunk, lacks, strict=True) if lack]
            if cut and not (self.retry and any(record and record.error for record in found)):
                chosen = chunk
            out.append(
                (sum(lacks), lambda c=chosen: self._make(kind, how, options, title, c, task))
            )
        return out

    def _make(
        self,
        kind: str,
        how: str,
        options: Any,
        title: str,
        chosen: Sequence[tuple[Unit, Any]],
        task: Callable[[Unit, Any], Task],
    ) -> Batch:
        """A batch with all it needs, read from the store."""
        return Batch(kind, how, options, tuple(task(unit, more) for unit, more in chosen), title)

    def _lacks(self, record: Record | None) -> bool:
        return record is None or (self.retry and bool(record.error))

    def _files(self, names: Sequence[str]) -> tuple[bytes, ...]:
        return tuple(_bytes(str(self.store.folder / name)) for name in names)

    def _prompt(self, unit: Unit, node: Node) -> Task:
        texts = tuple(unit.spec.get("texts", ()))
        files = () if texts else self._files(node.subject.files)
        return Task(unit.key, unit.spec, pictures=files, texts=texts)

    def _picture(self, unit: Unit, more: tuple[Node, Drawn]) -> Task:
        node, drawn = more
        record = self.store.get("prompt", node.unit.key)
        assert record is not None
        soft = self.store.path("prompt", node.unit.key, ".npy")
        return Task(
            unit.key,
            unit.spec,
            text=drawn.frame.replace("{}", record.out["prompt"]),
            soft=soft.read_bytes() if record.out.get("soft") and soft.is_file() else b"",
            seed=unit.spec["noise"],
        )

    def _score(self, unit: Unit, more: tuple[Node, Drawn, str]) -> Task:
        node, drawn, name = more
        reference = _reference(node, name)
        files, texts = self._files(reference.files), reference.texts
        if reference.drawn and drawn.beside:
            files, texts = (self._drawn(drawn.beside),), ()
        texts = (drawn.thing,) if reference.thing else texts
        own = self._drawn(drawn.unit)
        return Task(unit.key, unit.spec, pictures=files, texts=texts, picture=own)

    def _reading(self, unit: Unit, more: tuple[Node, str]) -> Task:
        node, name = more
        reference, text = _reference(node, name), self._prompt_of(node)
        files = self._files(reference.files)
        return Task(unit.key, unit.spec, pictures=files, texts=reference.texts, text=text)

    def _drawn(self, picture: Unit) -> bytes:
        return self.store.path("picture", picture.key, ".png").read_bytes()

    def _text(self, unit: Unit, node: Node) -> Task:
        return Task(unit.key, unit.spec, text=self._prompt_of(node))

    def _prompt_of(self, node: Node) -> str:
        record = self.store.get("prompt", node.unit.key)
        assert record is not None
        return record.out["prompt"]


def _stage(kind: str, batches: Iterable[tuple[int, Callable[[], Batch]]]) -> Stage:
    listed = list(batches)
    return Stage(kind, sum(count for count, _ in listed), (make() for _, make in listed))


def _good(record: Record | None) -> bool:
    return record is not None and not record.error


def _reference(node: Node, name: str) -> Reference:
    return next(r for r in node.subject.references if r.name == name)


def _against(title: str, reference: str) -> str:
    return f"{title}, {reference}" if reference else title


def _title(node: Node) -> str:
    way = node.way
    parts = [way.label, f"{way.length} tokens" if way.length else "", " + ".join(way.model)]
    parts[1] = f"ratio {way.ratio:g}" if way.ratio else parts[1]
    return ", ".join(filter(None, parts)) + (f", seed {way.seed}" if way.seed else "")


@lru_cache(maxsize=64)
def _bytes(path: str) -> bytes:
    """A file's content; pictures of one original follow each other."""
    from pathlib import Path

    return Path(path).read_bytes()
