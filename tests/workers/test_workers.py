"""``--workers``: the same prompts and pictures as in one process, whoever dies or stops."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pez.cli import main
from pez.cli.journal import Journal
from pez.cli.spread import search_spread
from pez.errors import PezError
from pez.options import InvertOptions
from pez.session.session import Watch
from pez.workers.choose import Workers
from pez.workers.processes import device_of
from pez.workers.share import Far, Outcome, Share, cut

CAPTURE = pytest.CaptureFixture[str]
SEARCH = ["--model", "mini", "--device", "cpu", "--length", "4", "--steps", "10"]


@pytest.fixture(autouse=True)
def children(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Other processes find the package, compute as this one does, and are gone afterwards."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("PEZ_CACHE", str(tmp_path / "cache"))
    yield
    assert multiprocessing.active_children() == []


@pytest.fixture
def photos(tmp_path: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six pictures in the working folder's ``photos``."""
    (tmp_path / "photos").mkdir()
    for n, picture in enumerate(pictures):
        picture.save(tmp_path / "photos" / f"p{n}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def at_first_result(monkeypatch: pytest.MonkeyPatch, strike: Callable[[], None]) -> None:
    """``strike`` right after the first result was stored."""
    real, left = Journal.add, [strike]

    def add(journal: Journal, result: Any) -> None:
        real(journal, result)
        if left:
            left.pop()()

    monkeypatch.setattr(Journal, "add", add)


def found(path: str) -> dict[str, tuple[str, list[int], int, dict[str, int]]]:
    """For each target, what must not depend on workers; no target may occur twice."""
    rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
    for row in rows:  # a worker may have rated the words for an earlier picture
        row["passes"]["forward"] += row["passes"].pop("cached", 0)
    out = {r["targets"][0]: (r["prompt"], r["ids"], r["steps"], r["passes"]) for r in rows}
    assert len(out) == len(rows)
    return out


def timeless(said: Any) -> list[str]:
    """What was printed, without the seconds."""
    return [re.sub(r", [0-9.]+ s\n", "\n", text) for text in said]


@pytest.mark.usefixtures("mini_at_hand")
def test_prompts_do_not_depend_on_workers(photos: Path, capsys: CAPTURE) -> None:
    (photos / "p2b.png").write_bytes(b"no picture")
    command = ["invert", "photos", *SEARCH, "--method", "pursuit", "--output"]
    assert main([*command, "one.jsonl"]) == 2
    one = capsys.readouterr()
    assert main([*command, "two.jsonl", "--workers", "2"]) == 2
    assert timeless(capsys.readouterr()) == timeless(one)
    assert one.out.split("\n")[3] == "" and len(one.out.split("\n")) == 8
    assert len(found("one.jsonl")) == 6
    assert found("two.jsonl") == found("one.jsonl")


@pytest.mark.usefixtures("mini_at_hand")
def test_a_worker_that_is_killed_loses_nothing(
    photos: Path, capsys: CAPTURE, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["invert", "photos", *SEARCH, "--method", "pez", "--rows", "1", "--output"]
    assert main([*command, "one.jsonl"]) == 0
    one = capsys.readouterr()
    killed: list[int] = []

    def kill() -> None:
        victim = multiprocessing.active_children()[0]
        victim.kill()
        killed.append(victim.pid or 0)

    at_first_result(monkeypatch, kill)
    assert main([*command, "two.jsonl", "--workers", "2"]) == 0
    assert killed
    assert timeless(capsys.readouterr()) == timeless(one)
    assert found("two.jsonl") == found("one.jsonl")


@pytest.mark.usefixtures("mini_at_hand")
def test_ctrl_c_keeps_what_workers_have_and_one_process_goes_on(
    photos: Path, capsys: CAPTURE, monkeypatch: pytest.MonkeyPatch
) -> None:
    soft = ["--method", "soft", "--steps", "100", "--rows", "1", "--output", "out.jsonl"]
    command = ["invert", "photos", *SEARCH, *soft, "--output-embeddings", "soft"]
    with monkeypatch.context() as patch:
        at_first_result(patch, lambda: signal.raise_signal(signal.SIGINT))
        assert main([*command, "--workers", "2"]) == 130
    out, err = capsys.readouterr()
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert not rows[0]["interrupted"] and any(row["interrupted"] for row in rows[1:])
    assert "run the same command to continue" in err and "Traceback" not in err
    assert out.count(rows[0]["prompt"]) == 1
    assert main(command) == 0
    assert f"{sum(not row['interrupted'] for row in rows)} of 6 were done before" in (
        capsys.readouterr().err
    )
    assert len(found("out.jsonl")) == 6
    assert len(list(Path("soft").glob("*.safetensors"))) == 6


def test_pictures_do_not_depend_on_workers(
    photos: Path, capsys: CAPTURE, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    Path("lines.txt").write_text("a red boot\na (blue:1.3) fish\n")
    quick = ["--generator", "mini-sd", "--device", "cpu", "--steps", "2", "--rows", "1"]
    command = ["generate", "lines.txt", *quick, "--count", "2", "--json", "--output"]
    assert main([*command, "one"]) == 0
    one = capsys.readouterr().out
    assert main([*command, "two", "--workers", "2"]) == 0
    assert capsys.readouterr().out == one.replace("one/", "two/")
    names = sorted(path.name for path in Path("one").iterdir())
    assert len(names) == 5 and names == sorted(path.name for path in Path("two").iterdir())
    for name in names:
        assert (Path("one") / name).read_bytes() == (Path("two") / name).read_bytes()
    next(Path("two").glob("a-red*")).unlink()
    assert main([*command, "two", "--workers", "2"]) == 0  # one picture is left
    out, err = capsys.readouterr()
    assert out == one.replace("one/", "two/")
    assert "3 of 4 were drawn before" in err and "--workers has no effect" in err


def test_ray_actors_get_the_files_of_pictures(
    photos: Path, capsys: CAPTURE, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray", reason="Ray (the extra pez-prompts[ray]) is not installed")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    names = [str(Path("photos") / name) for name in ("p0.png", "none.png", "p1.png")]  # relative
    options = InvertOptions(model=("mini",), length=3, steps=3, device="cpu")
    got: dict[int, Any] = {}
    bad: dict[int, str] = {}
    ray.init(
        "local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="error"
    )
    try:
        search_spread(
            Workers(ray=True), options, names, Watch(result=got.__setitem__), bad.__setitem__
        )
    finally:
        ray.shutdown()
    assert {n: result.targets for n, result in got.items()} == {0: [names[0]], 2: [names[2]]}
    assert list(bad) == [1] and "does not exist" in bad[1]


class Deadly:
    """Work that ends each process in which it arrives."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (1,)


def test_ray_actors_that_cannot_start_are_reported_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="Ray (the extra pez-prompts[ray]) is not installed")
    from pez.workers import cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setattr(cluster, "STARTS", 2)
    ray.init(
        "local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="error"
    )
    try:
        pool = cluster.Cluster(Deadly())  # type: ignore[arg-type]
        with pytest.raises(PezError, match=r"no worker could start .* after 2 tries"):
            pool.run(iter(["a chunk"]), print)
        pool.close()
    finally:
        ray.shutdown()


@pytest.mark.parametrize("verb", ["invert", "distill", "generate"])
def test_bad_workers_get_one_sentence(verb: str, photos: Path, capsys: CAPTURE) -> None:
    given = "photos" if verb == "invert" else "a cat"
    assert main([verb, given, "--workers", "many"]) == 2
    told = "pez: --workers takes a number of processes, ray or ray:ADDRESS, not 'many'.\n"
    assert capsys.readouterr() == ("", told)


@pytest.mark.usefixtures("mini_at_hand")
@pytest.mark.parametrize("more", [["photos", "--together"], ["photos/p0.png"]])
def test_workers_for_one_prompt_are_told_to_be_idle(
    more: list[str], photos: Path, capsys: CAPTURE
) -> None:
    assert main(["invert", *more, *SEARCH, "--workers", "3"]) == 0
    assert "--workers has no effect" in capsys.readouterr().err


class Broken:
    """A pool that reports what workers may report: one result twice, a remark from each."""

    size = 2

    def run(self, chunks: Iterator[Any], tell: Any, look: Any = None, stopped: Any = None) -> None:
        for chunk in chunks:
            tell(Outcome(said="rating words", once=True))
            tell(Outcome(said="a text is long"))
            look(chunk, Far(0.5, "half"))
            for one in (*chunk, *chunk):
                tell(Outcome(one.place, what=one.place or None, said="why"))
            look(chunk, Far(1.0, "whole"))


def test_each_input_ends_once_and_progress_counts_inputs() -> None:
    class One:
        def __init__(self, place: int) -> None:
            self.place = place

    done, failed, notes, far = [], [], [], []
    share = Share(
        lambda *a: done.append(a),
        lambda *a: failed.append(a),
        notes.append,
        lambda *a: far.append(a),
    )
    chunks = cut([One(n) for n in range(6)], 2)
    share.run(Broken(), chunks, lambda: False)  # type: ignore[arg-type]
    assert done == [(n, n) for n in range(1, 6)] and failed == [(0, "why")]
    assert notes == ["rating words", *["a text is long"] * 3]
    assert far == [
        (n + 1.0, 2 * (n // 2) + 2 * (n % 2), shown)
        for n, shown in enumerate(["half", "whole"] * 3)
    ]


def test_chunks_hold_every_input_once_in_order() -> None:
    for count, workers, step in [(1, 8, 1), (6, 2, 1), (7, 2, 4), (1000, 3, 1), (1000, 3, 50)]:
        chunks = list(cut(list(range(count)), workers, step))  # type: ignore[type-var]
        assert [n for chunk in chunks for n in chunk] == list(range(count))
        assert all(len(chunk) % step == 0 for chunk in chunks[:-1])


def test_gpus_go_to_workers_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert [device_of("auto", n) for n in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert [device_of("cuda", n) for n in range(2)] == ["cuda:0", "cuda:1"]
    assert {device_of("cuda:1", n) for n in range(2)} == {"cuda:1"}
    assert device_of("cpu", 1) == "cpu"
