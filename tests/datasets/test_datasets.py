"""Data sets: what holds for every loader, draws, manifests, folders and tar files."""

from __future__ import annotations

import hashlib
import json
import pickle
from functools import partial
from pathlib import Path

import pytest
from common import ROOT
from dataset_files import png, put

from pez.cli import main
from pez.datasets import DATASETS, Example, draw, open_dataset
from pez.datasets.item import in_split
from pez.datasets.manifest import from_manifest, read_manifest, write_manifest
from pez.errors import PezError


def plain(key: str, data: bytes = b"") -> Example:
    return Example(key, (), {}, key, partial(bytes, data))


def test_samples_have_four_splits_with_captions_and_pictures() -> None:
    everything = list(open_dataset("samples"))
    assert len({item.id for item in everything}) == 60
    for split in ("web", "scenes", "attributes", "art"):
        items = list(open_dataset("samples", split=split))
        assert len(items) == 15
        assert all(item.captions and item.attributes["things"] for item in items)
        assert items[3].picture() == (ROOT / f"data/samples/{split}/{split}-03.png").read_bytes()
        assert (items[0].prompt == items[0].captions[0]) == (split == "art")
    assert len(next(open_dataset("samples", split="scenes")).captions) == 5


@pytest.mark.parametrize(
    ("name", "split", "said"),
    [("cocoa", "", "did you mean coco"), ("x", "", "lexica"), ("samples", "arts", "scenes, attr")],
)
def test_an_unknown_name_or_split_tells_what_there_is(name: str, split: str, said: str) -> None:
    with pytest.raises(PezError, match=said):
        open_dataset(name, split=split)


@pytest.mark.parametrize("name", [name for name in DATASETS if name != "samples"])
def test_a_missing_path_is_told_at_once(name: str, tmp_path: Path) -> None:
    with pytest.raises(PezError, match=r"give|holds no"):
        open_dataset(name, path=str(tmp_path / "nowhere"))
    with pytest.raises(PezError):
        open_dataset(name, path=str(tmp_path))


def test_items_survive_pickling(tmp_path: Path) -> None:
    put(tmp_path / "a.png", png())
    item = next(open_dataset("folder", path=str(tmp_path)))
    assert pickle.loads(pickle.dumps(item)).picture() == png()


def test_a_draw_depends_only_on_seed_and_ids() -> None:
    items = [plain(f"{n}") for n in range(200)]
    chosen = draw(items, 20, 1)
    assert draw(reversed(items), 20, 1) == chosen
    assert draw(iter(items), 50, 1)[:20] == chosen
    assert draw(items, 20, 2) != chosen
    assert len({item.id for item in chosen}) == 20
    assert {item.id for item in draw(items[:5], 20, 1)} == set("01234")
    with pytest.raises(PezError, match="above 0"):
        draw(items, 0, 1)


def test_a_draw_takes_every_item_equally_often() -> None:
    items = [plain(f"{n}") for n in range(10)]
    counts = [0] * 10
    for seed in range(400):
        for item in draw(items, 3, seed):
            counts[int(item.id)] += 1
    assert min(counts) > 85  # 120 expected, standard deviation 9
    assert max(counts) < 155


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three pictures, the second of which is broken."""
    for n in range(3):
        put(tmp_path / "photos" / f"p{n}.png", b"no picture" if n == 1 else png(n))
    return tmp_path / "photos"


def test_a_run_is_repeated_from_its_manifest(photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "run" / "manifest.jsonl"
    chosen = draw(open_dataset("folder", path=str(photos)), 3, 7)
    entries = write_manifest(file, chosen, "folder", "", 7)
    assert read_manifest(file) == entries
    row = next(e for e in entries if e.id == "p0.png")
    assert row.sha256 == hashlib.sha256(png(0)).hexdigest()
    assert (row.dataset, row.split, row.seed) == ("folder", "", 7)
    assert next(e for e in entries if e.id == "p1.png").sha256 is None
    put(photos / "p9.png", png(9))
    assert from_manifest(file, path_to_data=str(photos)) == chosen


@pytest.mark.parametrize(
    ("name", "data"),
    [("p0.png", png(5)), ("p1.png", png(1)), ("p2.png", b"gone bad"), ("p2.png", None)],
)
def test_a_changed_or_missing_picture_is_named(
    name: str, data: bytes | None, photos: Path, tmp_path: Path
) -> None:
    file = tmp_path / "manifest.jsonl"
    write_manifest(file, list(open_dataset("folder", path=str(photos))), "folder", "", 0)
    if data is None:
        (photos / name).unlink()
    else:
        put(photos / name, data)
    with pytest.raises(PezError, match=name):
        from_manifest(file, path_to_data=str(photos))


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"dataset": 1}', "null", ""])
def test_a_damaged_manifest_is_no_manifest(line: str, tmp_path: Path) -> None:
    with pytest.raises(PezError, match="manifest"):
        read_manifest(put(tmp_path / "m.jsonl", line + "\n"))


def test_a_broken_picture_stops_nothing_but_itself(photos: Path) -> None:
    put(photos / "cut.png", png(4)[:400])
    cut, *items = open_dataset("folder", path=str(photos))
    assert [item.id for item in items] == ["p0.png", "p1.png", "p2.png"]
    assert items[2].image().size == (96, 96)
    with pytest.raises(PezError, match=r"p1\.png"):
        items[1].picture()
    assert cut.picture() == png(4)[:400]
    with pytest.raises(PezError, match=r"cut\.png is damaged"):
        cut.image()


@pytest.mark.parametrize(
    ("path", "split", "inside"),
    [
        ("data/train-00000-of-00003.parquet", "train", True),
        ("data/validation-0.parquet", "val", True),
        ("captions_val2014", "val", True),
        ("captions_val2014", "val2014", True),
        ("captions_val2017", "val2014", False),
        ("data/restval-0.parquet", "val", False),
        ("data/latest.tar", "test", False),
        ("part-00001-x.parquet", "part-00001", True),
        ("part-000010.parquet", "part-00001", False),
        ("any", "", True),
    ],
)
def test_splits_are_words_of_a_path(path: str, split: str, inside: bool) -> None:
    assert in_split(path, split) == inside


def test_data_sets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(DATASETS)
    assert main(["datasets", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["name"]: row["about"] for row in rows} == {k: v[1] for k, v in DATASETS.items()}
