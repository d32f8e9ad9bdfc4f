"""Data sets of others: no picture outside them is read, nothing is lost without a word."""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
import warnings
from pathlib import Path
from typing import Any

import pytest
from dataset_files import png, put, tar
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pez.datasets import open_dataset
from pez.errors import PezError, PezWarning
from pez.images import find_images, read_image


def test_metadata_read_no_picture_outside_the_data_set(tmp_path: Path) -> None:
    secret = put(tmp_path / "private/secret.png", png())
    names = ["../private/secret.png", str(secret), "link.png", "a.png"]
    rows = "\n".join(json.dumps({"file_name": name}) for name in names)
    put(tmp_path / "set/metadata.jsonl", rows)
    put(tmp_path / "set/a.png", png())
    (tmp_path / "set/link.png").symlink_to(secret)
    put(tmp_path / "k/images/a.jpg", png())
    known = [{"filename": n, "split": "x"} for n in ("../../private/secret.png", "a.jpg")]
    put(tmp_path / "k/dataset_flickr8k.json", json.dumps({"images": known}))
    coco = [{"id": n, "file_name": name} for n, name in enumerate(("../private/secret.png",))]
    put(tmp_path / "c/captions_val2014.json", json.dumps({"images": coco}))
    refused = []
    for name, folder, split in (
        ("folder", "set", ""),
        ("folder", "set", "../private"),
        ("flickr", "k", ""),
        ("coco", "c", ""),
    ):
        for item in open_dataset(name, path=str(tmp_path / folder), split=split):
            if item.id.endswith(("a.png", "a.jpg")):
                assert item.picture() == png()
                continue
            with pytest.raises(PezError, match="outside"):
                item.picture()
            refused.append(item.id)
    assert len(refused) == 3 + 1 + 1 + 1


def test_a_damaged_header_and_a_second_archive_are_told(tmp_path: Path) -> None:
    whole = tar(tmp_path / "a.tar", {f"{n}.png": png(n) for n in range(4)}).read_bytes()
    with tarfile.open(tmp_path / "a.tar") as archive:
        place = archive.getmembers()[2].offset
    put(tmp_path / "b.tar", whole[:place] + b"\xff" * 200 + whole[place + 200 :])
    put(tmp_path / "c.tar", whole + whole)
    assert len(list(open_dataset("webdataset", path=str(tmp_path / "a.tar")))) == 4
    for name in ("b.tar", "c.tar"):
        with pytest.raises(PezError, match=rf"{name} is damaged .* byte [\d,]+"):
            list(open_dataset("webdataset", path=str(tmp_path / name)))


def test_names_with_dots_are_samples_in_a_tar(tmp_path: Path) -> None:
    members: dict[str, Any] = {
        "a.b.png": png(1),
        "a.b.txt": "one",
        "a.c.png": png(2),
        "a.c.txt": "two",
        "x.png": png(3),
        "x.mask.png": png(4),
        "x.txt": "three",
        "y.gif": gif(),
    }
    tar(tmp_path / "0.tar", members)
    items = list(open_dataset("webdataset", path=str(tmp_path)))
    assert [(i.id, i.captions) for i in items] == [
        ("0/a.b", ("one",)),
        ("0/a.c", ("two",)),
        ("0/x", ("three",)),
        ("0/y", ()),
    ]
    assert [items[n].picture() for n in range(3)] == [png(1), png(2), png(3)]


def gif() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "gif")
    return file.getvalue()


def test_what_a_folder_holds_besides_is_counted(tmp_path: Path) -> None:
    put(tmp_path / "f/a.png", png())
    put(tmp_path / "f/raw.dng", b"x")
    put(tmp_path / "f/notes.txt", "x")
    Image.new("RGB", (4, 4), "red").save(tmp_path / "f/b.tga")
    (tmp_path / "f/more").symlink_to(tmp_path)
    with pytest.warns(PezWarning, match=r"left out 1 \.dng, 1 linked folder\.$"):
        found = find_images(tmp_path / "f")
    assert [path.name for path in found] == ["a.png", "b.tga"]
    assert read_image(found[1]).getpixel((0, 0)) == (255, 0, 0)
    put(tmp_path / "f/phone.heic", b"\0\0\0\x18ftypheic")
    try:
        import pillow_heif  # type: ignore[import-not-found]  # noqa: F401
    except ImportError:
        with pytest.warns(PezWarning, match=r"1 \.heic.*pez-prompts\[heic\]"):
            find_images(tmp_path / "f")
        with pytest.raises(PezError, match=r"pez-prompts\[heic\]"):
            read_image(tmp_path / "f/phone.heic")


def test_pictures_of_phones_are_read(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    Image.new("RGB", (64, 64), "red").save(tmp_path / "a.heic")
    (found,) = find_images(tmp_path)
    red, green, _ = read_image(found).getpixel((9, 9))  # type: ignore[misc]
    assert red > 200 > 60 > green


LEAF = st.none() | st.integers() | st.floats() | st.text(max_size=4) | st.just("a" * 5000)
VALUE = LEAF | st.lists(LEAF, max_size=2) | st.dictionaries(st.text(max_size=3), LEAF, max_size=2)
KEYS = (
    "id",
    "file_name",
    "filename",
    "filepath",
    "image_id",
    "caption",
    "sentences",
    "split",
    "cocoid",
    "text",
    "prompt",
    "coco_url",
)
ROW = st.dictionaries(st.sampled_from(KEYS), VALUE, max_size=5) | VALUE
FILES = {
    "folder": "metadata.jsonl",
    "flickr": "dataset_flickr8k.json",
    "coco": "captions_val2014.json",
}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ROW, max_size=3), st.lists(ROW, max_size=3), st.sampled_from(sorted(FILES)))
def test_caption_files_of_any_types_are_read_or_refused(
    tmp_path_factory, images: list, told: list, name: str
) -> None:
    folder = tmp_path_factory.mktemp("d")
    put(folder / "a.jpg", png())
    whole = {"images": images, "annotations": told}
    text = "\n".join(map(json.dumps, images)) if name == "folder" else json.dumps(whole)
    put(folder / FILES[name], text)
    with contextlib.suppress(PezError), warnings.catch_warnings():
        warnings.simplefilter("ignore", PezWarning)
        for item in open_dataset(name, path=str(folder)):
            assert all(isinstance(caption, str) for caption in item.captions)
            if not item.source.startswith("http"):
                with contextlib.suppress(PezError):
                    item.picture()
