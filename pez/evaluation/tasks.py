"""What a prompt is searched for, and what it is compared with then: a plan's items as subjects.

invert     a picture                                 with that picture
distill    an item's prompt, else its caption        with that text; pictures with pictures of it
together   several pictures of one group (a style)   with these, the group's name and the thing
mix        two items after each other                with each of them, and with the less like one
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from pez.errors import PezError
from pez.evaluation.units import Original, Reference, Subject

if TYPE_CHECKING:
    from pez.evaluation.plan import Plan

# what it says to be compared with: pictures that were drawn, and prompts
ABOUT = {
    "": ("the original", "the original picture"),
    "long prompt": ("a picture of the long prompt, from other noise", "the long prompt"),
    "style": ("the pictures that were searched", "the pictures that were searched"),
    "style name": ("the style's name, a text", "the style's name"),
    "thing": ("the name of the thing to be drawn, a text", ""),
    "first source": ("the first source", "the first source"),
    "second source": ("the second source", "the second source"),
    "weaker source": ("the source that is less like it", "the source that is less like it"),
}


def subjects(plan: Plan, originals: Sequence[Original]) -> list[Subject]:
    """The subjects of a plan's task in the order of ``originals``. PezError if there are too
    few items for a single one.
    """
    make = {"distill": _long_text, "together": _together, "mix": _mixed}.get(plan.task.name)
    if make is None:
        return [plain_subject(original) for original in originals]
    found = list(make(plan, originals))
    if originals and not found:
        of = plan.task.of if plan.task.name == "together" else 2
        raise PezError(
            f"no split or group has the {of} items that the task {plan.task.name} takes for a "
            "prompt; raise count."
        )
    return found


def plain_subject(original: Original) -> Subject:
    """One picture, compared with itself."""
    return Subject(original, (Reference("", (original.file,)),), (original.file,))


def _long_text(_: Plan, originals: Sequence[Original]) -> Iterator[Subject]:
    for original in originals:
        text = original.prompt or original.caption
        why = "" if text.strip() else "the item has neither a prompt nor a caption to be shortened."
        known = replace(original, file="", sha256=_hash([text]), caption=text, error=why)
        reference = Reference("long prompt", texts=(text,), drawn=True)
        yield Subject(known, (reference,), texts=(text,))


def _together(plan: Plan, originals: Sequence[Original]) -> Iterator[Subject]:
    of = plan.task.of
    for (dataset, split, group), items in _parts(originals):
        name = group or split or dataset
        for n, start in enumerate(range(0, len(items) - of + 1, of)):
            part = items[start : start + of]
            files = tuple(original.file for original in part)
            references = [Reference("style", files)]
            references += [Reference("style name", texts=(name,))] if group or split else []
            references += [Reference("thing", thing=True)] if plan.task.things else []
            known = _joined(part, f"{name} {n + 1}", name)
            yield Subject(known, tuple(references), files, group=name)


def _mixed(plan: Plan, originals: Sequence[Original]) -> Iterator[Subject]:
    for _, items in _parts(originals):
        for one, two in zip(items[::2], items[1::2], strict=False):
            texts = tuple(o.prompt or o.caption for o in (one, two))
            known = _joined((one, two), f"{one.item} + {two.item}", " | ".join(texts))
            files = (one.file, two.file)
            if plan.task.sources == "pictures":
                yield Subject(known, _of_two(files), files, texts)
                continue
            why = (
                "" if all(map(str.strip, texts)) else "an item has neither a prompt nor a caption."
            )
            known = replace(known, sha256=_hash(texts), error=why)
            yield Subject(known, _of_two(texts=texts), texts=texts)


def _of_two(files: tuple[str, ...] = (), texts: tuple[str, ...] = ()) -> tuple[Reference, ...]:
    return (
        Reference("first source", files[:1], texts[:1]),
        Reference("second source", files[1:], texts[1:]),
        Reference("weaker source", files, texts, least=True),
    )


def _parts(originals: Sequence[Original]) -> Iterator[tuple[tuple[str, str, str], list[Original]]]:
    """Items by data set, split and group, in the order in which these first come."""
    places: dict[tuple[str, str, str], int] = {}
    for o in originals:
        places.setdefault((o.dataset, o.split, o.group), len(places))
    listed = sorted(originals, key=lambda o: places[o.dataset, o.split, o.group])
    for where, items in groupby(listed, lambda o: (o.dataset, o.split, o.group)):
        yield where, list(items)


def _joined(items: Sequence[Original], name: str, caption: str) -> Original:
    """Several items as one; what is wrong with one of them is wrong with all."""
    error = next((f"{o.item}: {o.error}" for o in items if o.error), "")
    sha256 = "" if error else _hash([o.sha256 for o in items])
    return replace(
        items[0], item=name, caption=caption, prompt="", sha256=sha256, file="", error=error
    )


def _hash(parts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()


def search_spec(plan: Plan, subject: Subject, identity: dict[str, Any]) -> dict[str, Any]:
    """What a search is for; ``identity`` is the subject's pictures by their content."""
    task = plan.task.name
    if task == "invert":
        return identity
    by_text = task == "distill" or (task == "mix" and plan.task.sources == "texts")
    spec = {"task": task} | ({"texts": list(subject.texts)} if by_text else identity)
    return spec | ({"weights": list(plan.task.weights)} if task == "mix" else {})


def given_text(subject: Subject, label: str, ratio: float | None) -> str | None:
    """The text of a baseline that needs no search; None where the subject has none."""
    original = subject.original
    if label in ("caption", "original"):
        return (original.caption if label == "caption" else original.prompt) or None
    if label == "joined":
        return " and ".join(subject.texts) if all(map(str.strip, subject.texts)) else None
    if label == "beginning":
        return _beginning(subject.texts[0], ratio or 1.0)
    if label == "long-prompt":
        return subject.texts[0]
    return subject.group if label == "group-name" else ""


def _beginning(text: str, ratio: float) -> str:
    """As many of a text's first tokens as a distilled prompt has."""
    from pez.evaluation.readable import tokens

    ids = tokens().encode(text)
    return tokens().decode(ids[: max(1, round(ratio * min(len(ids), tokens().limit)))])
