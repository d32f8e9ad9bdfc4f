"""The folder of a run: files are whole or absent, and rows say what the units say."""

from __future__ import annotations

import json
import os
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from common import SMALL_PLAN
from PIL import Image

from pez.errors import PezError
from pez.evaluation.plan_file import parse_plan
from pez.evaluation.report.material import read_material
from pez.evaluation.run import evaluate
from pez.evaluation.store import INDEX, Record, Store
from pez.evaluation.table import columns, read_rows


def png(colour: str) -> bytes:
    """A small picture's file."""
    file = BytesIO()
    Image.new("RGB", (16, 16), colour).save(file, "png")
    return file.getvalue()


def write_example(folder: Path) -> Path:
    """A run of two items, two methods, one generator, a judge and a reader; one prompt failed
    and one picture is not yet scored.
    """
    store = Store(folder)
    store.create()
    lines = []
    for n, item in enumerate(("web-00", "web-01")):
        source = store.put_original(png("red"), f"{n}{n}" * 32, ".png")
        for m, (method, length) in enumerate((("pez", 8), ("caption", None))):
            key = f"{n}{m}" * 32
            failed = n == 1 and m == 0
            out = {"prompt": f"a {method} of {item}", "search_score": 0.5 + m / 10, "tokens": 4}
            out |= {"forwards": 100, "backwards": 100, "real_words": 0.75}
            error = "the picture is damaged; copy it again." if failed else ""
            store.put(Record("prompt", key, {}, {} if failed else out, error, 0.4))
            store.put(Record("language", key, {}, {} if failed else {"perplexity": 120.0}, error))
            for judge in ("mini-judge", "mini-b"):
                reading = {} if failed else {"text_score": 0.25}
                store.put(Record("reading", key[2:] + judge[-2:], {}, reading, error))
            pictures = []
            for seed in (0, 1):
                own = f"{n}{m}{seed}" + "0" * 61
                pictures.append({"generator": "mini-sd", "image_seed": seed, "key": own})
                pictures[-1]["judges"] = {"mini-judge": own}
                if not failed:
                    store.put(Record("picture", own, {}), {".png": png("blue")})
                    if seed == 0:
                        store.put(Record("score", own, {}, {"similarity": 0.6}))
            line = {"prompt": key, "language": key, "pictures": pictures}
            line |= {"readings": {j: key[2:] + j[-2:] for j in ("mini-judge", "mini-b")}}
            line |= {"dataset": "samples", "split": "web", "item": item, "source": source}
            line |= {"caption": f"a picture of {item}", "method": method, "length": length}
            line |= {"search_model": "mini" if m == 0 else "", "seed": 0 if m == 0 else None}
            lines.append(json.dumps(line))
    store.put_text(INDEX, "\n".join(lines) + "\n")
    return folder


def test_rows_have_every_column_and_paths_that_exist(tmp_path: Path) -> None:
    rows = read_rows(write_example(tmp_path))
    assert len(rows) == 2 * 2 * 3
    assert all(tuple(row) == columns() for row in rows)
    for row in rows:
        assert (tmp_path / row["source"]).is_file()
        assert row["picture"] is None or (tmp_path / row["picture"]).is_file()


def test_a_reader_that_sees_no_picture_has_a_row_of_its_own(tmp_path: Path) -> None:
    rows = [r for r in read_rows(write_example(tmp_path)) if r["judge"] == "mini-b"]
    assert len(rows) == 4
    assert {r["generator"] for r in rows} == {""}
    assert {r["similarity"] for r in rows} == {None}
    assert [r["text_score"] for r in rows] == [0.25, 0.25, None, 0.25]


def test_failed_and_unfinished_units_are_told_apart(tmp_path: Path) -> None:
    rows = read_rows(write_example(tmp_path))
    failed = [r for r in rows if r["error"]]
    assert {(r["item"], r["method"]) for r in failed} == {("web-01", "pez")}
    assert all(r["prompt"] is None and r["picture"] is None for r in failed)
    unscored = [r for r in rows if r["image_seed"] == 1 and not r["error"]]
    assert len(unscored) == 3
    assert all(r["similarity"] is None and r["picture"] for r in unscored)


def test_a_kill_while_writing_leaves_the_unit_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, record = Store(tmp_path), Record("picture", "ab" * 32, {"a": 1}, {"b": "ü\u2028"})

    store.create()

    def killed(_from: object, to: object) -> None:
        if str(to).endswith(".json"):
            raise KeyboardInterrupt

        real(_from, to)  # type: ignore[arg-type]

    real = os.replace
    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        store.put(record, {".png": png("red")})
    assert store.get("picture", record.key) is None
    monkeypatch.undo()
    store.put(record, {".png": png("red")})
    assert store.get("picture", record.key) == record


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PezError, match="holds no complete index"):
        read_rows(tmp_path)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The units' files that are opened for reading; the list grows during the test."""
    found: list[str] = []
    real = Path.open

    def opened(self: Path, mode: str = "r", *args: Any, **more: Any) -> Any:
        if "units" in self.parts and self.suffix == ".json" and "r" in mode:
            found.append(self.stem)
        return real(self, mode, *args, **more)

    monkeypatch.setattr(Path, "open", opened)
    return found


def test_a_run_reads_no_record_that_it_wrote_and_each_other_one_once(
    tmp_path: Path, reads: list[str]
) -> None:
    plan = parse_plan(SMALL_PLAN.replace("count = 3", "count = 2"))
    first = evaluate(plan, tmp_path, device="cpu")
    units = [f.stem for f in tmp_path.glob("units/*/*/*.json")]
    assert len(units) == 1 + 4 + 4 and reads == []  # a draw, prompts and their readings
    assert evaluate(plan, tmp_path, device="cpu") == first
    assert sorted(reads) == sorted(units)
    reads.clear()
    read_material(tmp_path)
    assert sorted(reads) == sorted(f.stem for f in tmp_path.glob("units/[!d]*/*/*.json"))


def test_what_another_process_writes_is_seen(tmp_path: Path, reads: list[str]) -> None:
    mine, other = Store(tmp_path), Store(tmp_path)
    mine.create()
    assert mine.get("prompt", "ab") is None
    record = Record("prompt", "ab", {"a": [1]}, error="no memory")
    other.put(record)
    assert mine.get("prompt", "ab") == mine.get("prompt", "ab") == record
    assert reads == ["ab"]
    better = Record("prompt", "ab", {"a": [1]}, {"prompt": "a cat"})
    other.put(better)
    assert mine.get("prompt", "ab") == better == other.get("prompt", "ab")
    other.path("prompt", "ab").unlink()
    assert mine.get("prompt", "ab") is None is other.get("prompt", "ab")


def test_memory_is_bounded(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pez.evaluation.store.MOST_HELD", 2)
    store = Store(tmp_path)
    store.create()
    for key in ("a1", "b2", "c3"):
        store.put(Record("score", key, {}))
    assert all(store.get("score", key) for key in ("b2", "c3")) and reads == []
    assert store.get("score", "a1") and reads == ["a1"]


def test_a_record_comes_back_as_it_lies_on_disk(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.create()
    store.put(Record("prompt", "ab", {"sizes": (1, 2)}, {"prompt": "\ud800"}))
    assert store.get("prompt", "ab") == Store(tmp_path).get("prompt", "ab")
