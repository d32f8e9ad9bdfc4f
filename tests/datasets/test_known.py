"""The known data sets, each on tiny files of its real schema; real ones where they are present."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from common import ROOT
from dataset_files import PICTURE, celeba, items, parquet, png, put

from pez.datasets import draw
from pez.datasets.celeba import celeba_caption
from pez.errors import PezError

REAL = ROOT.parent / "shared" / "data"
if not REAL.is_dir():  # the checkout may lie one folder deeper
    REAL = ROOT.parent.parent / "shared" / "data"


@pytest.mark.skipif(not (REAL / "coco_val_mini").is_dir(), reason="no real COCO here")
def test_the_real_coco_files_are_read() -> None:
    found = items("coco", REAL / "coco_val_mini", "val2017")
    assert len(found) == 79
    assert sum(len(item.captions) for item in found) == 395
    plane = next(item for item in found if item.id == "205401")
    assert "A plane floating on top of a lake surrounded by mountains." in plane.captions
    assert plane.source.endswith("val2017/000000205401.jpg")
    assert plane.image().size == (plane.attributes["width"], plane.attributes["height"])


@pytest.mark.skipif(not (REAL / "flickr1000").is_dir(), reason="no real Flickr8k here")
def test_the_real_flickr8k_files_are_read() -> None:
    found = items("flickr", REAL / "flickr1000")
    assert len(found) == 1000
    assert {len(item.captions) for item in found} <= {4, 5}  # a few have one caption twice
    assert found[0].id == "1000268201_693b08cb0e.jpg"
    assert found[0].captions[1] == "A girl going into a wooden building ."
    assert min(draw(found, 3, 0)[0].image().size) > 50


def coco_files(root: Path) -> None:
    """COCO's own annotation files for two splits."""
    for n, part in enumerate(("train2014", "val2014")):
        name = f"COCO_{part}_00000000000{n}.jpg"
        image = {
            "id": n,
            "file_name": name,
            "coco_url": f"http://x/{name}",
            "height": 9,
            "license": 1,
        }
        words = [{"image_id": n, "id": m, "caption": f"{part} {m} "} for m in range(5)]
        other = {"image_id": 77, "id": 9, "caption": "of no image"}
        whole = {"info": {}, "licenses": [], "images": [image], "annotations": [*words, other]}
        put(root / f"annotations/captions_{part}.json", json.dumps(whole))
        put(root / "annotations/instances_x.json", "{}")


def test_coco_annotation_files_are_splits(tmp_path: Path) -> None:
    coco_files(tmp_path)
    put(tmp_path / "val2014/COCO_val2014_000000000001.jpg", png())
    (item,) = items("coco", tmp_path, "val")
    assert (item.id, len(item.captions), item.captions[4]) == ("1", 5, "val2014 4")
    assert item.attributes["split"] == "val2014"
    assert item.picture() == png()
    assert items("coco", tmp_path / "annotations/captions_val2014.json") == [item]
    (far,) = items("coco", tmp_path, "train2014")
    assert far.source == "http://x/COCO_train2014_000000000000.jpg"
    assert [item.id for item in items("coco", tmp_path)] == ["0", "1"]
    with pytest.raises(PezError, match=r"captions_train2014\.json"):
        items("coco", tmp_path, "test")


@pytest.fixture
def karpathy(tmp_path: Path) -> Path:
    """``dataset_coco.json`` and ``dataset_flickr8k.json`` of four pictures, one for each split."""
    rows = []
    for n, split in enumerate(("train", "restval", "val", "test")):
        words = [{"tokens": ["a"], "raw": f"A {split}.", "imgid": n, "sentid": m} for m in range(2)]
        words[1]["raw"] = "Two."
        row = {
            "sentids": [0, 1],
            "filename": f"{n}.jpg",
            "imgid": n,
            "split": split,
            "sentences": words,
        }
        rows.append(row)
    flickr = {"images": [row for row in rows if row["split"] != "restval"], "dataset": "flickr8k"}
    put(tmp_path / "flickr/dataset_flickr8k.json", json.dumps(flickr))
    rows = [row | {"filepath": "val2014", "cocoid": 100 + row["imgid"]} for row in rows]
    put(tmp_path / "coco/dataset_coco.json", json.dumps({"images": rows, "dataset": "coco"}))
    coco_files(tmp_path / "coco")
    return tmp_path


def test_karpathy_splits_of_coco(karpathy: Path) -> None:
    folder = karpathy / "coco"
    assert [item.id for item in items("coco", folder)] == ["100", "101", "102", "103"]
    (item,) = items("coco", folder, "validation")
    assert (item.id, item.captions) == ("102", ("A val.", "Two."))
    assert item.attributes == {"split": "val"}
    assert item.source == "http://images.cocodataset.org/val2014/2.jpg"
    put(folder / "images/val2014/2.jpg", png(2))
    assert items("coco", folder, "val")[0].picture() == png(2)
    with pytest.raises(PezError, match="restval, test, train, val"):
        items("coco", folder, "nothing")


def test_karpathy_splits_of_flickr(karpathy: Path) -> None:
    folder = karpathy / "flickr"
    with pytest.raises(PezError, match="put them there"):
        items("flickr", folder)
    put(folder / "images/3.jpg", png(3))
    (item,) = items("flickr", folder, "test")
    assert (item.id, item.captions, item.picture()) == ("3.jpg", ("A test.", "Two."), png(3))
    train = items("flickr", folder / "dataset_flickr8k.json")[0]
    with pytest.raises(PezError, match=r"0\.jpg does not exist"):
        train.picture()


def test_celeba_parquet_gives_attributes_and_made_captions(tmp_path: Path) -> None:
    found = items("celeba", celeba(tmp_path), "val")
    assert [item.id for item in found] == [f"{n:06d}.jpg" for n in range(5)]
    assert found[1].attributes == {"Male": False, "Smiling": True, "Young": True}
    assert found[1].captions == ("a photo of a young woman, smiling", "her words")
    assert [found[n].picture() for n in (4, 0, 2, 1)] == [png(n) for n in (4, 0, 2, 1)]
    with pytest.raises(PezError, match="empty"):
        found[3].picture()
    assert len(items("celeba", tmp_path)) == 15
    unnamed = items("celeba", celeba(tmp_path / "new", named=False), "test")
    assert unnamed[4].id == "test-00000-of-00001.parquet#4"
    with pytest.raises(PezError, match="no file of"):
        items("celeba", tmp_path, "holdout")


def test_pictures_are_not_read_while_rows_are(tmp_path: Path, monkeypatch: Any) -> None:
    read: list[str] = []
    plain = pq.ParquetFile.iter_batches

    def spy(self: Any, *args: Any) -> Any:
        read.extend(args[2])
        return plain(self, *args)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", spy)
    items("celeba", celeba(tmp_path), "train")
    assert "image.path" in read
    assert "image.bytes" not in read


@pytest.mark.parametrize("form", ["txt", "csv"])
def test_celeba_lists_are_read_as_released(form: str, tmp_path: Path) -> None:
    names = ["Bald", "Male", "Smiling", "Wearing_Necktie"]
    values = [["-1"] * 4, ["1"] * 4, ["-1", "-1", "1", "-1"]]
    if form == "txt":
        lines = ["3", " ".join(names) + " "]
        lines += [f"{n:06d}.jpg  " + "  ".join(row) for n, row in enumerate(values, 1)]
        parts = [f"{n:06d}.jpg {n - 1}" for n in (1, 2, 3)]
    else:
        lines = [",".join(["image_id", *names])]
        lines += [",".join([f"{n:06d}.jpg", *row]) for n, row in enumerate(values, 1)]
        parts = ["image_id,partition", *(f"{n:06d}.jpg,{n - 1}" for n in (1, 2, 3))]
    put(tmp_path / f"list_attr_celeba.{form}", "\n".join(lines))
    assert len(items("celeba", tmp_path)) == 3
    with pytest.raises(PezError, match="list_eval_partition"):
        items("celeba", tmp_path, "val")
    put(tmp_path / f"list_eval_partition.{form}", "\n".join(parts))
    put(tmp_path / "img_align_celeba/000002.jpg", png(2))
    (item,) = items("celeba", tmp_path, "val")
    assert (item.id, item.picture()) == ("000002.jpg", png(2))
    assert item.captions == ("a photo of a bald man, smiling, wearing a necktie",)
    assert item.attributes == dict.fromkeys(names, True)
    put(tmp_path / f"list_attr_celeba.{form}", "\n".join([*lines, "000004.jpg 1 1"]))
    with pytest.raises(PezError, match=r"damaged at '000004\.jpg'"):
        items("celeba", tmp_path)


def test_a_caption_tells_what_the_attributes_say() -> None:
    names = "Young Wavy_Hair Blond_Hair Eyeglasses Bangs Wearing_Hat Attractive"
    on = {name: True for name in names.split()}
    said = "a photo of a young woman with wavy blond hair, bangs and glasses, wearing a hat"
    assert celeba_caption(on) == said
    assert celeba_caption({"Male": True, "No_Beard": False}) == "a photo of a man with a beard"
    assert celeba_caption({"Male": True}) == "a photo of a man"


def test_lexica_gives_the_prompt_that_made_the_picture(tmp_path: Path) -> None:
    kinds = {"prompt": "cat, 8k", "id": "a-1", "promptid": "p", "model": "sd", "subject": "cat"}
    row = {"image": {"bytes": png(1), "path": None}, **kinds, "width": 512, "seed": "7"}
    row |= {"nsfw": False, "grid": False, "modifier10": ["8k"], "modifier10_vector": [0.0, 1.0]}
    words = pa.list_(pa.string()), pa.list_(pa.float64())
    schema = [("image", PICTURE), *((k, pa.string()) for k in kinds), ("width", pa.int64())]
    schema += [("seed", pa.string()), ("nsfw", pa.bool_()), ("grid", pa.bool_())]
    schema += [("modifier10", words[0]), ("modifier10_vector", words[1])]
    parquet(tmp_path / "data/test-00000-of-00001.parquet", [row], schema)
    (item,) = items("lexica", tmp_path, "test")
    assert (item.id, item.prompt, item.captions) == ("a-1", "cat, 8k", ("cat, 8k",))
    assert (item.attributes["modifier10"], item.attributes["nsfw"]) == (["8k"], False)
    assert not {"modifier10_vector", "image", "prompt", "id"} & set(item.attributes)
    assert item.picture() == png(1)


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    put(tmp_path / "data/train-0.parquet", "no parquet")
    with pytest.raises(PezError, match=r"train-0\.parquet cannot be read"):
        items("lexica", tmp_path)


def test_a_parquet_file_that_was_written_anew_is_read_anew(tmp_path: Path) -> None:
    schema: list[tuple[str, Any]] = [("image", PICTURE), ("prompt", pa.string())]
    for n in range(2):
        row = {"image": {"bytes": png(n), "path": None}, "prompt": "cat"}
        file = parquet(tmp_path / "train.parquet", [row], schema)
        os.utime(file, (n, n))
        assert items("lexica", file)[0].picture() == png(n)
