"""Data sets over the network: a hub that answers as the real one does, and addresses."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pytest
from dataset_files import celeba, items, parquet, png, put

from pez.datasets import draw
from pez.datasets.labelled import HUB, Row, read_labelled
from pez.datasets.manifest import from_manifest, write_manifest
from pez.errors import PezError


class _Hub(BaseHTTPRequestHandler):
    """The few calls of the hub that reading a data set needs, for the files of a folder."""

    def __init__(self, root: Path, *args: Any) -> None:
        self.root = root
        super().__init__(*args)

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).replace("refs/convert/parquet", "converted")
        if path.startswith("/api/datasets/gated/"):
            self.answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
        elif "/tree/" in path:
            told = [
                self.about(name) for name in self.names() if name.startswith(("data", "default"))
            ]
            self.answer(200, json.dumps(told).encode())
        elif path.startswith("/api/datasets/"):
            repo = "/".join(path.split("/")[3:5])
            converted = path.endswith("/revision/converted")  # the hub's own, in folders of its own
            names = [n for n in self.names() if n.startswith("default/") == converted]
            siblings = [{"rfilename": name} for name in names]
            self.answer(
                200, json.dumps({"id": repo, "sha": "0" * 40, "siblings": siblings}).encode()
            )
        elif "/resolve/" in path:
            data = (self.root / path.split("/resolve/")[1].partition("/")[2]).read_bytes()
            first, _, last = (
                self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
            )
            end = int(last) + 1 if last else len(data)
            span = {"Content-Range": f"bytes {first}-{end - 1}/{len(data)}", "ETag": '"x"'}
            self.answer(206 if "Range" in self.headers else 200, data[int(first) : end], span)
        elif (self.root / path.lstrip("/")).is_file():
            self.answer(200, (self.root / path.lstrip("/")).read_bytes())
        else:
            self.answer(404, b"{}")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        names = json.loads(asked)["paths"] if asked.startswith("{") else []
        self.answer(200, json.dumps([self.about(n) for n in names]).encode())

    def names(self) -> list[str]:
        files = (p for p in self.root.rglob("*") if p.is_file())
        return [p.relative_to(self.root).as_posix() for p in files]

    def about(self, name: str) -> dict[str, Any]:
        size = (self.root / name).stat().st_size
        return {"type": "file", "path": name, "size": size, "oid": "0" * 40}

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """A hub on this machine that has the files of a folder, whatever data set is asked for."""
    root = tmp_path / "hub"
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Hub, root))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", address)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)  # as a new process
    yield address, root
    server.shutdown()
    server.server_close()


def test_data_sets_are_streamed_from_a_hub(hub: tuple[str, Path], tmp_path: Path) -> None:
    celeba(hub[1])
    found = items("celeba", split="train")
    assert found[0].source == (
        "hf://datasets/tpremoli/CelebA-attrs/data/train-00000-of-00001.parquet#0"
    )
    assert [item.captions for item in found] == [
        i.captions for i in items("celeba", hub[1], "train")
    ]
    assert found[4].picture() == png(4)
    chosen = draw(found, 2, 3)
    write_manifest(tmp_path / "m.jsonl", chosen, "celeba", "train", 3)
    assert from_manifest(tmp_path / "m.jsonl") == chosen


def test_addresses_are_fetched_when_asked_for(hub: tuple[str, Path], tmp_path: Path) -> None:
    address, root = hub
    put(root / "cat.png", png(1))
    put(root / "page.png", "<html>gone</html>")
    rows: list[dict[str, Any]] = [
        {"url": f"{address}/{n}.png", "caption": n} for n in ("cat", "page", "dead")
    ]
    rows.append({"url": None, "caption": "no address"})
    for columns in (("url", "caption"), ("URL", "TEXT")):
        named = [
            dict(zip(columns, row.values(), strict=True)) | {"similarity": 0.3} for row in rows
        ]
        schema = [(c, pa.string()) for c in columns] + [("similarity", pa.float64())]
        parquet(tmp_path / columns[0] / "part-00000-x.parquet", named, schema)
    cat, page, dead = items("laion", tmp_path / "url", "part-00000")
    assert (cat.captions, cat.attributes, cat.picture()) == (("cat",), {"similarity": 0.3}, png(1))
    for item in (page, dead):
        with pytest.raises(PezError, match="address"):
            item.picture()
    assert items("laion", tmp_path / "URL") == [cat, page, dead]
    coco = {"filepath": "val2014", "sentids": [1], "filename": "a.jpg", "imgid": 3, "split": "test"}
    coco |= {"sentences": ["A cat.", "A pet."], "cocoid": 42, "url": f"{address}/cat.png"}
    kinds = [
        ("filepath", pa.string()),
        ("sentids", pa.list_(pa.int64())),
        ("filename", pa.string()),
    ]
    kinds += [("imgid", pa.int64()), ("split", pa.string()), ("sentences", pa.list_(pa.string()))]
    parquet(
        root / "data/test-0.parquet", [coco], [*kinds, ("cocoid", pa.int64()), ("url", pa.string())]
    )
    (item,) = items("coco", split="test")
    assert (item.id, item.captions) == ("42", ("A cat.", "A pet."))
    assert item.picture() == png(1)


def test_a_hub_out_of_reach_tells_how_to_go_on_by_hand(
    hub: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pez.datasets.laion.HUB", "gated/set")
    with pytest.raises(PezError, match=r"accept its terms.*img2dataset"):
        items("laion")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(PezError, match=r"cannot be downloaded from the hub.*data/train-"):
        items("lexica")


# ---- labelled texts by name


def labelled(path: Path, name: str) -> list[Row]:
    """A split as the hub has it: numbers as labels, further columns; returns what it says."""
    known = HUB[name]
    rows = [
        {"idx": n, known.text: f"text {n} of {path.name}", known.label: n % len(known.labels)}
        for n in range(4)
    ]
    kinds = [("idx", pa.int32()), (known.text, pa.string()), (known.label, pa.int64())]
    parquet(path, rows, kinds)
    return [Row(str(row[known.text]), str(row[known.label])) for row in rows]


@pytest.mark.parametrize(
    ("name", "train", "test"),
    [
        ("sst2", "data/train-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet"),
        ("ag_news", "data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"),
        ("amazon_polarity", "default/train/0000.parquet", "default/test/0000.parquet"),
    ],
)
def test_labelled_texts_are_read_by_the_name_of_their_set(
    hub: tuple[str, Path], name: str, train: str, test: str
) -> None:
    """Also where only the branch of the hub's own conversion has parquet."""
    wanted = {"train": labelled(hub[1] / train, name), "test": labelled(hub[1] / test, name)}
    put(hub[1] / "README.md", "about it")
    for split, rows in wanted.items():
        assert read_labelled(name, split=split).rows == rows
        assert read_labelled(HUB[name].repo, split=split).rows == rows


def test_labelled_texts_in_the_cache_are_read_without_the_hub(
    hub: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(PezError, match="cannot be downloaded from the hub"):
        read_labelled("sst2")
    folder = tmp_path / "cache" / "datasets--stanfordnlp--sst2"
    commit = "1" * 40
    rows = labelled(folder / "blobs" / "abc", "sst2")
    for branch, file in (
        ("main", "data/test-00000-of-00001.parquet"),  # without the split that is asked for
        ("refs/convert/parquet", "default/train/0000.parquet"),
    ):
        commit = str(int(commit[0]) + 1) * 40
        put(folder / "refs" / branch, commit)
        link = folder / "snapshots" / commit / file
        link.parent.mkdir(parents=True)
        link.symlink_to(folder / "blobs" / "abc")
    assert read_labelled("sst2").rows == rows
