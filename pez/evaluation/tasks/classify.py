"""A prompt with which a language model labels texts, read by language models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from pez.errors import PezError
from pez.evaluation.entries import entry, many, text
from pez.evaluation.tasks.task import Pictures, SearchTask
from pez.evaluation.units import Original, Reference, Subject, Task
from pez.formats.wording import BEHIND, Wording
from pez.session.classify_options import ClassifyOptions

if TYPE_CHECKING:
    from pez.session.session import Session, Watch

Words = tuple[str, ...]  # one for each label
JOIN = ","  # as in --label-words


def by_dataset(value: Any, where: str) -> tuple[tuple[str, tuple[Words, ...]], ...]:
    """``{ NAME = ["negative,positive", "bad,good"] }``: label words by the data set's name."""
    if not isinstance(value, dict):
        raise PezError(f'{where} must be a table such as {{ sst2 = ["bad,good"] }}, not {value!r}.')
    read: Callable[[Any, str], tuple[str, ...]] = many(text)
    return tuple(
        (name, tuple(ClassifyOptions.names(words) for words in read(own, f"{where}.{name}")))
        for name, own in value.items()
    )


@dataclass(frozen=True)
class Classify(SearchTask):
    """Each item is a set of labelled texts, of which the prompt is searched on a few and measured
    on others. Every reader (else each searched model) reads every prompt in each of ``templates``
    with each of a data set's ``label_words``. The first of these are searched with, in the
    template of the method's options.
    """

    templates: tuple[str, ...] = entry(many(text), (BEHIND,))
    label_words: tuple[tuple[str, tuple[Words, ...]], ...] = entry(by_dataset, ())

    baselines = ("no-prompt",)
    options = ClassifyOptions
    settings: ClassVar = {"random": 0}  # random prompts have rows of their own
    labelled = True
    taken = (
        *("labels", "label_words", "text_column", "label_column", "test_file", "data_seed"),
        *("shots", "validation", "test_size", "random", "manual", "prompt"),
    )

    def check(self) -> None:
        """PezError for templates that cannot be read."""
        for template in self.templates:
            Wording.of(template)

    def subjects(self, originals: Sequence[Original]) -> Iterator[Subject]:
        """One for each data set, with a reference for each template and list of words."""
        for original in originals:
            found = dict(self.label_words).get(original.dataset, ()) or ((),)
            references = tuple(
                Reference(" ".join(filter(None, (template, JOIN.join(words)))), texts=words)
                for template in self.templates
                for words in found
            )
            yield Subject(original, references)

    def template(self, reference: Reference) -> str:
        """The template that a reference stands for."""
        return next(t for t in self.templates if reference.name.startswith(t))

    def spec(self, subject: Subject, identity: dict[str, Any]) -> dict[str, Any]:
        """The words that are searched with, too."""
        return super().spec(subject, identity) | {"words": list(subject.references[0].texts)}

    @classmethod
    def search(
        cls, session: Session, tasks: Sequence[Task], pictures: Pictures, watch: Watch
    ) -> None:
        """As ``pez classify`` does, without measuring."""
        from pez.evaluation.labelled import from_bytes
        from pez.session.classifying import classify_data
        from pez.session.labelled import Texts
        from pez.session.session import Session as Opened

        for n, task in enumerate(tasks):
            data = from_bytes(task.labelled, tuple(task.spec["words"]))
            own = {"labels": JOIN.join(data.labels), "label_words": JOIN.join(data.words)}
            options = replace(session.options, **own)
            data = replace(data, test=Texts([], []))
            classify_data(Opened.of(session.reader, options), data, watch.at([n]))
