"""The pictures of a plan: drawn from its data sets once, and stored in the run's folder."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pez.errors import PezError, PezWarning
from pez.evaluation.frequent import knows_frequent, with_frequent
from pez.evaluation.kinds import make_kind
from pez.evaluation.labelled import keep_labelled
from pez.evaluation.plan import Data, Plan
from pez.evaluation.store import Record, Store
from pez.evaluation.units import Original, Unit
from pez.files import MOST_TEXT, read_plain, user_path
from pez.formats.places import is_within

if TYPE_CHECKING:
    from pez.datasets import Example

MANIFEST = "manifest.jsonl"
Notice = Callable[[str, int, int], None]  # what is being done, how far, of how many


def draw_originals(
    plan: Plan, store: Store, retry: bool = False, notice: Notice | None = None
) -> list[Original]:
    """The items of all data sets of ``plan`` in order; earlier draws are reused.

    A draw of an earlier version of pez, which stored one caption of each item, is reused unless
    the plan measures something that reads all of them. A picture that cannot be read says so in
    its ``error``. PezError if a data set is not available.
    """
    found: list[Original] = []
    for data in _parts(plan.data):
        unit = _unit(data)
        drawn = _recorded(store, unit, _all_captions(plan))
        if drawn is None or (retry and any(original.error for original in drawn)):
            drawn = _draw(data, store, notice)
            rows = [_row(original) for original in drawn]
            store.put(Record("draw", unit.key, unit.spec, {"items": rows}))
        found += _restored(drawn, data, store, notice)
    _write_manifests(found, store)
    return with_frequent(plan, found, store)


def _restored(
    originals: list[Original], data: Data, store: Store, notice: Notice | None
) -> list[Original]:
    """Originals whose pictures are in the folder: those that were lost or damaged are drawn again,
    with a PezWarning. Where the data set no longer has the same picture, ``error`` says so.
    """

    def gone() -> list[Original]:
        return [o for o in originals if o.sha256 and not store.has_original(o.file, o.sha256)]

    lost = gone()
    if not lost:
        return originals
    where = f"{data.dataset} {data.split[0]}".strip()
    text = f"{len(lost)} pictures of {where} in {store.folder} were lost or damaged"
    warnings.warn(f"{text}; they are drawn again.", PezWarning, stacklevel=3)
    why = f"its picture was lost, and {where} no longer has it; restore the data and --retry."
    try:
        _draw(data, store, notice)
    except PezError as error:
        why = f"its picture was lost, and cannot be drawn again: {error}"
    still = {o.sha256 for o in gone()}
    return [replace(o, error=why) if o.sha256 in still else o for o in originals]


def drawn_before(plan: Plan, store: Store) -> list[Original] | None:
    """What :func:`draw_originals` would return without reading any data set, if that is known."""
    every = _all_captions(plan)
    parts = [_recorded(store, _unit(data), every) for data in _parts(plan.data)]
    if not all(part is not None for part in parts):
        return None
    found = [original for part in parts for original in part or ()]
    return with_frequent(plan, found, store) if knows_frequent(plan, found, store) else None


def _all_captions(plan: Plan) -> bool:
    """Whether the plan measures something that reads all captions of an item."""
    return any(make_kind(measure.name).reads_captions for measure in plan.measures)


def _recorded(store: Store, unit: Unit, every: bool) -> list[Original] | None:
    """The originals that a record lists; None if there is none, or it is damaged: one that names a
    picture outside the run's folder is. With ``every`` one that has no captions beyond the first,
    as earlier versions wrote it, is none.
    """
    record = store.get("draw", unit.key)
    rows = record.out.get("items") if record else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return None
    if every and not all("captions" in row for row in rows):
        return None
    try:
        found = [_original(row) for row in rows]
    except TypeError:
        return None
    return found if all(_is_sound(store, original) for original in found) else None


def _row(original: Original) -> dict[str, Any]:
    """An item as a record has it: what the plan adds to it is no part of the draw."""
    row = asdict(original)
    del row["frequent"]
    return row


def _original(row: dict[str, Any]) -> Original:
    """An item as a record has it. TypeError for entries that an item does not have."""
    first = [row["caption"]] if row.get("caption") else []
    captions = row.get("captions", first)
    if not isinstance(captions, list):
        raise TypeError("captions are a list")
    known: dict[str, Any] = {**row, "captions": tuple(captions)}
    return Original(**known)


def _is_sound(store: Store, original: Original) -> bool:
    values = asdict(original)
    seed = values.pop("seed")
    listed = (*values.pop("captions"), *values.values())
    texts = all(isinstance(value, str) for value in listed)
    return texts and type(seed) is int and is_within(store.folder, store.folder / original.file)


def _parts(listed: Sequence[Data]) -> Iterator[Data]:
    """Each data set and split by itself."""
    for data in listed:
        if not data.manifest:
            yield from (replace(data, split=(split,)) for split in data.split)
            continue
        for dataset, split in _of_manifest(data):
            yield replace(data, dataset=dataset, split=(split,))


def _of_manifest(data: Data) -> list[tuple[str, str]]:
    """The data sets and splits of a manifest that the plan names."""
    from pez.datasets.manifest import read_manifest

    pairs = dict.fromkeys((e.dataset, e.split) for e in read_manifest(data.manifest))
    chosen = [
        (dataset, split)
        for dataset, split in pairs
        if data.dataset in ("", dataset) and (data.split == ("",) or split in data.split)
    ]
    if not chosen:
        raise PezError(f"{data.manifest} has no items of {data.dataset} {data.split}.")
    return chosen


def _unit(data: Data) -> Unit:
    """What decides a draw: a manifest by its content."""
    spec = asdict(data) | {"split": data.split[0]}
    del spec["training"]
    for name in ("group", "last", "options", "labelled"):
        if not spec[name]:
            del spec[name]  # plans without one keep the name of their draw
    if data.manifest:
        content = read_plain(user_path(data.manifest), MOST_TEXT)
        spec |= {"manifest": hashlib.sha256(content).hexdigest()}
        spec |= {"count": 0, "seed": 0}
    return Unit("draw", json.loads(json.dumps(spec)))


def _draw(data: Data, store: Store, notice: Notice | None) -> list[Original]:
    from pez.datasets import draw, open_dataset
    from pez.datasets.manifest import from_manifest

    split = data.split[0]
    where = f"{data.dataset} {split}".strip()
    if notice:
        notice(f"drawing from {where}", 0, 1 if data.labelled else data.count)
    if data.labelled:
        return [keep_labelled(data, store)]
    seeds: dict[str, int] = {}
    if data.manifest:
        listed, seeds = _manifest_copy(data, store)
        items = from_manifest(listed, path_to_data=data.path)
    else:
        stream: Iterable[Example] = open_dataset(data.dataset, split=split, path=data.path)
        stream = deque(stream, data.last) if data.last else stream
        items = _of_groups(stream, data) if data.group else draw(stream, data.count, data.seed)
    out = []
    for n, item in enumerate(items):
        if notice:
            notice(f"reading {where}", n, len(items))
        out.append(_keep(item, data, seeds.get(item.id, data.seed), store))
    return out


def _of_groups(stream: Iterable[Example], data: Data) -> list[Example]:
    """``count`` items of each value of the attribute ``group``, groups by their names; items
    without the attribute are omitted. PezError if none has it.
    """
    from pez.datasets import draw

    found: dict[str, list[Example]] = {}
    for item in stream:
        if name := _group_of(item, data):
            kept = found.setdefault(name, [])
            kept.append(item)
            if len(kept) > 2 * data.count:  # the lowest ranks stay: a draw of draws is the draw
                found[name] = draw(kept, data.count, data.seed)
    if not found:
        raise PezError(f"no item of {data.dataset} has the attribute {data.group!r}.")
    return [i for name in sorted(found) for i in draw(found[name], data.count, data.seed)]


def _group_of(item: Example, data: Data) -> str:
    return str(item.attributes.get(data.group) or "") if data.group else ""


def _manifest_copy(data: Data, store: Store) -> tuple[Path, dict[str, int]]:
    """The lines of the manifest for this data set and split, as a file, and the
    seeds they were drawn with.
    """
    from pez.datasets.manifest import read_manifest

    pair = (data.dataset, data.split[0])
    rows = [e for e in read_manifest(data.manifest) if (e.dataset, e.split) == pair]
    name = f"manifests/given-{_file_name(*pair)}"
    store.put_text(name, "".join(json.dumps(asdict(row)) + "\n" for row in rows))
    return store.folder / name, {row.id: row.seed for row in rows}


def _keep(item: Example, data: Data, seed: int, store: Store) -> Original:
    """Read an item's picture into the store."""
    caption = item.captions[0] if item.captions else ""
    known = Original(data.dataset, data.split[0], item.id, "", "", caption, item.prompt or "", seed)
    known = replace(known, group=_group_of(item, data), captions=item.captions)
    try:
        bytes_ = item.picture()
    except PezError as error:
        return replace(known, error=str(error))
    sha256 = hashlib.sha256(bytes_).hexdigest()
    return replace(
        known, sha256=sha256, file=store.put_original(bytes_, sha256, picture_suffix(bytes_))
    )


def picture_suffix(data: bytes) -> str:
    """A file name's end by what the bytes are, for browsers and viewers."""
    import io

    from PIL import Image

    with Image.open(io.BytesIO(data)) as picture:
        return f".{(picture.format or 'png').lower().replace('jpeg', 'jpg')}"


def _write_manifests(found: Sequence[Original], store: Store) -> None:
    """``manifest.jsonl``, and one of each data set and split that can be opened by itself."""
    lines: dict[str, list[str]] = {MANIFEST: []}
    for o in found:
        entry = {"dataset": o.dataset, "split": o.split, "id": o.item}
        entry |= {"sha256": o.sha256 or None, "seed": o.seed}
        line = json.dumps(entry, ensure_ascii=False) + "\n"
        lines[MANIFEST].append(line)
        lines.setdefault(f"manifests/{_file_name(o.dataset, o.split)}", []).append(line)
    for name, rows in lines.items():
        store.put_text(name, "".join(rows))


def _file_name(dataset: str, split: str) -> str:
    plain = "".join(c if c.isalnum() else "-" for c in f"{dataset}-{split}".rstrip("-"))
    return f"{plain}.jsonl"
