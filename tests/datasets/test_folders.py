"""Data sets on disk: folders with metadata beside the pictures, and tar files."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from pathlib import Path

import pytest
from dataset_files import png, put, tar
from hypothesis import given, settings
from hypothesis import strategies as st

from pez.datasets import open_dataset
from pez.datasets.folder import metadata_rows
from pez.datasets.item import cell_captions, split_row, text_captions
from pez.errors import PezError, PezWarning

TEXT = st.text(max_size=20)


def test_a_folder_reads_texts_and_json_beside_its_pictures(tmp_path: Path) -> None:
    put(tmp_path / "b/10.png", png())
    put(tmp_path / "b/9.png", png())
    put(tmp_path / "b/9.txt", "\ufeffa dog\n\n a cat \r\na dog\n")
    put(tmp_path / "b/9.json", json.dumps({"caption": "a dog", "url": "u", "prompt": "dog, 8k"}))
    put(tmp_path / "b/10.json", "{broken")
    with pytest.warns(PezWarning, match=r"left out 1 damaged .* 10\.json"):
        nine, ten = open_dataset("folder", path=str(tmp_path))
    assert (nine.id, nine.captions, nine.prompt) == ("b/9.png", ("a dog", "a cat"), "dog, 8k")
    assert nine.attributes == {"url": "u"}
    assert (ten.id, ten.captions, ten.attributes) == ("b/10.png", (), {})


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_folder_reads_the_layout_of_image_folder(form: str, tmp_path: Path) -> None:
    rows = [
        {"file_name": "z.png", "text": "a dog, running", "captions": ["one", "two"], "kind": "dog"},
        {"file_name": "sub/a.png", "prompt": "a cat\nin neon", "kind": ""},
        {"file_name": "missing.png", "caption": "[not a list", "kind": "none"},
    ]
    stream = io.StringIO(newline="")
    if form == "csv":
        writer = csv.DictWriter(
            stream, ["file_name", "text", "captions", "caption", "prompt", "kind"]
        )
        writer.writeheader()
        writer.writerows(
            {k: json.dumps(v) if k == "captions" else v for k, v in r.items()} for r in rows
        )
    else:
        stream.write("\n".join(map(json.dumps, rows)))
    for part in ("train", "validation"):
        put(tmp_path / part / f"metadata.{form}", stream.getvalue())
        put(tmp_path / part / "z.png", png(1))
        put(tmp_path / part / "sub/a.png", png(2))
    put(tmp_path / "train/extra.png", png(3))
    dog, cat, lost, extra = open_dataset("folder", split="train", path=str(tmp_path))
    assert (dog.id, dog.captions) == ("train/z.png", ("a dog, running", "one", "two"))
    assert dog.attributes == {"kind": "dog"}
    assert (cat.captions, cat.prompt, cat.attributes) == (("a cat\nin neon",), "a cat\nin neon", {})
    assert cat.picture() == png(2)
    assert lost.captions == ("[not a list",)
    with pytest.raises(PezError, match=r"missing\.png does not exist"):
        lost.picture()
    assert extra.id == "train/extra.png"
    val = [item.id for item in open_dataset("folder", split="val", path=str(tmp_path))]
    assert val == [f"validation/{name}" for name in ("z.png", "sub/a.png", "missing.png")]
    assert len(list(open_dataset("folder", path=str(tmp_path)))) == 7
    with pytest.raises(PezError, match="train, validation"):
        open_dataset("folder", split="test", path=str(tmp_path))


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("metadata.csv", "name,text\na.png,x\n", "line 2: there is no file_name"),
        ("metadata.jsonl", '{"file_name": "a.png"}\n{"file_n', "line 2: not JSON"),
        ("metadata.jsonl", b"\xff\xfe", "not UTF-8"),
    ],
)
def test_damaged_metadata_name_their_line(
    name: str, data: str | bytes, said: str, tmp_path: Path
) -> None:
    put(tmp_path / "a.png", png())
    put(tmp_path / name, data)
    with pytest.raises(PezError, match=said):
        list(open_dataset("folder", path=str(tmp_path)))


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=60), st.sampled_from(["csv", "jsonl"]))
def test_metadata_are_read_or_refused(tmp_path_factory, data: bytes, form: str) -> None:
    file = put(
        tmp_path_factory.mktemp("m") / f"metadata.{form}",
        b"file_name,text\n"[: 15 * (form == "csv")] + data,
    )
    with contextlib.suppress(PezError):
        assert all(row["file_name"] for row in metadata_rows(file))


@settings(max_examples=40, deadline=None)
@given(st.lists(TEXT))
def test_captions_are_the_same_as_list_and_as_json(texts: list[str]) -> None:
    found = tuple(dict.fromkeys(t.strip() for t in texts if t.strip()))
    assert cell_captions(texts) == found
    assert cell_captions([{"raw": text, "sentid": 1} for text in texts]) == found
    assert not found or cell_captions(json.dumps(texts)) == found


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from(["text", "caption", "captions", "prompt", "x"]), JSON), TEXT)
def test_any_row_gives_clean_captions(row: dict, text: str) -> None:
    captions, attributes, prompt = split_row(row, text_captions(text))
    assert all(isinstance(c, str) and c and c == c.strip() for c in captions)
    assert len(set(captions)) == len(captions)
    assert set(attributes) <= {"x"}
    assert prompt is None or captions


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_tars_of_img2dataset_are_read_in_place(suffix: str, tmp_path: Path) -> None:
    told = {"url": "http://x/1", "caption": "a dog", "key": "000000001", "width": 96}
    first = {
        "000000001.jpg": png(1),
        "000000001.json": json.dumps(told),
        "000000001.txt": "a dog",
        "000000002.json": "{}",  # its download failed
        "000000003.png": png(3),
        "000000003.json": "{broken",
        "000000003.txt": "a cat",
    }
    mode = "w:gz" if suffix.endswith("gz") else "w"
    tar(tmp_path / f"00010{suffix}", {"in/7.webp": png(7), "in/7.txt": "x\ny"}, mode)
    tar(tmp_path / f"00009{suffix}", first, mode)
    with pytest.warns(PezWarning, match=r"left out 1 sample without a picture, 1 damaged \.json"):
        one, three, seven = open_dataset("webdataset", path=str(tmp_path))
    assert (one.id, one.captions) == ("00009/000000001", ("a dog",))
    assert one.attributes == {"url": "http://x/1", "key": "000000001", "width": 96}
    assert (three.id, three.captions, three.attributes) == ("00009/000000003", ("a cat",), {})
    assert (seven.id, seven.captions) == ("00010/in/7", ("x", "y"))
    assert [i.picture() for i in (seven, one, three)] == [png(7), png(1), png(3)]
    alone = next(open_dataset("webdataset", path=str(tmp_path / f"00009{suffix}")))
    assert (alone.id, alone.captions) == (one.id, one.captions)


def test_tars_have_splits_by_name_and_damage_is_told(tmp_path: Path) -> None:
    tar(tmp_path / "val-0.tar", {"1.png": png(1)})
    (tmp_path / "train").mkdir()
    cut = tar(tmp_path / "train/0.tar", {"1.png": png(2), "2.png": png(3)})
    (item,) = open_dataset("webdataset", split="validation", path=str(tmp_path))
    assert item.id == "val-0/1"
    with pytest.raises(PezError, match="split 'test'"):
        open_dataset("webdataset", split="test", path=str(tmp_path))
    cut.write_bytes(cut.read_bytes()[:1000])
    with pytest.raises(PezError, match=r"0\.tar is damaged"):
        list(open_dataset("webdataset", split="train", path=str(tmp_path)))
