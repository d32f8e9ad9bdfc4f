"""Searching, locking, banning and exchanging words as the page does it, without a browser."""

from __future__ import annotations

import gc
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from pez.errors import PezError
from pez.models import Reader
from pez.options import DistillOptions, InvertOptions
from pez.search.stop import Stop
from pez.session.items import picture_items
from pez.session.session import Watch
from pez.session.swaps import best_swaps, prompt_score
from pez.web.aims import Pictures, Texts
from pez.web.bench import Bench, Wanted
from pez.web.board import in_page
from pez.web.desk import Desk, plain_words
from pez.web.history import added, checked, history_list
from pez.web.models import Models
from pez.web.running import follow
from pez.web.uploads import read_upload, read_uploads

WANTED = Wanted("mini", {"length": 7, "steps": 6})


@pytest.fixture
def models(mini: Reader) -> Models:
    made = Models("cpu")
    made.once(("reader", "mini"), lambda: mini)
    return made


@pytest.fixture
def bench(models: Models) -> Bench:
    return Bench(models, InvertOptions)


def search(bench: Bench, pictures: list[Image.Image], wanted: Wanted = WANTED) -> tuple[Desk, str]:
    desk = Desk()
    *_, last = bench.find(desk, lambda: Pictures(tuple(pictures)), wanted)
    return desk, last


def words(desk: Desk, reader: Reader) -> list[str]:
    return [chip.word for chip in desk.chips(reader.tokens)]


def place(desk: Desk, reader: Reader, word: str) -> int:
    return next(chip.place for chip in desk.chips(reader.tokens) if chip.word == word)


def test_the_page_finds_what_the_verb_finds(
    bench: Bench, pictures: list[Image.Image], mini: Reader
) -> None:
    import pez

    desk, board = search(bench, pictures[:1])
    assert desk.result
    options: dict[str, Any] = {"model": "mini", "device": "cpu", **WANTED.options}
    plain = pez.invert(pictures[0], reader=mini, **options)
    assert not isinstance(plain, list)
    assert (desk.result.prompt, desk.result.score) == (plain.prompt, plain.score)
    assert all(word in board for word in words(desk, mini))


def test_locked_words_stay_in_place_and_banned_ones_go(
    bench: Bench, pictures: list[Image.Image], mini: Reader
) -> None:
    desk, _ = search(bench, pictures[:1])
    before = words(desk, mini)
    bench.act(desk, "lock", place(desk, mini, before[1]))
    bench.act(desk, "ban", place(desk, mini, before[0]))
    assert (desk.locked, desk.banned) == ({before[1]}, [before[0]])
    *_, board = bench.go_on(desk, WANTED)
    after = words(desk, mini)
    assert after[1] == before[1] and before[0] not in after
    assert len(after) == len(before), "commas stay between the words"
    assert f"allow {before[0]} again" in board


def test_a_search_follows_a_change_of_words_and_nothing_else(
    bench: Bench, pictures: list[Image.Image], mini: Reader
) -> None:
    desk, _ = search(bench, pictures[:1])
    assert not list(bench.follow_up(desk, WANTED)), "nothing was changed"
    old, score = words(desk, mini), desk.score or 0
    bench.act(desk, "lock", place(desk, mini, old[1]))
    first = desk.result
    assert list(bench.follow_up(desk, WANTED)) and desk.result is not first
    assert words(desk, mini)[1] == old[1] and (desk.score or 0) >= score - 1e-6
    assert not list(bench.follow_up(desk, WANTED)), "once"
    gone = words(desk, mini)[0]
    bench.act(desk, "ban", place(desk, mini, gone))
    assert list(bench.follow_up(desk, WANTED)) and gone not in words(desk, mini)
    bench.act(desk, "allow", 0)
    bench.act(desk, "lock", place(desk, mini, old[1]))
    assert not list(bench.follow_up(desk, WANTED)), "a word that is free again changes nothing"
    for word in words(desk, mini):
        bench.act(desk, "lock", place(desk, mini, word))
    assert not list(bench.follow_up(desk, WANTED)), "no word is left to change"


def held() -> tuple[int, int]:
    """Bytes of all tensors that are held, and how many objects there are."""
    gc.collect()
    listed = gc.get_objects()
    tensors = [one for one in listed if isinstance(one, torch.Tensor)]
    return sum(one.nbytes for one in tensors), len(listed)


def test_searches_leave_nothing_behind(bench: Bench, pictures: list[Image.Image]) -> None:
    """The first ones fill what is kept for a model; 12 more add nothing."""
    desk, few = Desk(), Wanted("mini", {"length": 5, "steps": 2})

    def search_on(count: int) -> None:
        for n in range(count):
            aim = Pictures((pictures[n % 3],))
            list(bench.find(desk, lambda aim=aim: aim, few))
            list(bench.go_on(desk, few))

    search_on(3)
    before = held()
    search_on(12)
    after = held()
    assert after[0] - before[0] < 1_000_000, "bytes"
    assert after[1] - before[1] < 2_000, "objects"
    assert threading.active_count() < 10


def test_a_search_that_goes_on_is_never_worse(
    bench: Bench, pictures: list[Image.Image], mini: Reader
) -> None:
    desk, _ = search(bench, pictures[:1])
    score = desk.score
    *_, _board = bench.go_on(desk, WANTED)
    assert score and desk.score and desk.score >= score - 1e-6


def test_an_exchanged_word_is_scored_anew_and_locked(
    bench: Bench, pictures: list[Image.Image], mini: Reader
) -> None:
    desk, _ = search(bench, pictures[:1])
    old = words(desk, mini)
    bench.act(desk, "open", place(desk, mini, old[2]))
    swap = desk.swaps[0]
    board = bench.act(desk, "swap", 0)
    assert words(desk, mini) == [*old[:2], swap.word, *old[3:]]
    assert desk.locked == {swap.word} and "changed by hand" in board
    text = mini.tokens.decode(desk.ids)
    item = picture_items(mini, [[pictures[0]]])[0]
    assert desk.score == pytest.approx(prompt_score(mini, item, text))
    assert desk.score == pytest.approx(swap.score, abs=1e-4)


def test_swaps_are_the_best_of_what_was_tried(
    models: Models, pictures: list[Image.Image], mini: Reader
) -> None:
    item = picture_items(mini, [[pictures[0]]])[0]
    vocabulary = models.vocabulary("mini")
    ids = mini.tokens.encode("castle, red, fish")
    found = best_swaps(mini, vocabulary, item, ids, 4, 5)
    scores = [swap.score for swap in found]
    assert scores == sorted(scores, reverse=True)
    assert not {"castle", "red", "fish"} & {swap.word for swap in found}
    every = [w for w in vocabulary.tokens.decode(vocabulary.ids.tolist()).split()]
    best = max(prompt_score(mini, item, f"castle, red, {word}") for word in every[:200])
    assert scores[0] >= best - 0.05, "nearly the best of many words"


def test_several_pictures_have_a_prompt_each_and_one_can_be_chosen(
    bench: Bench, pictures: list[Image.Image], mini: Reader
) -> None:
    desk, board = search(bench, pictures[:2])
    assert len(desk.results) == 2 and board.count('data-act="choose"') == 2
    first = desk.results[0]
    bench.act(desk, "choose", 1)
    *_, _board = bench.go_on(desk, WANTED)
    assert desk.results[0] is first and desk.chosen == 1


def test_two_desks_do_not_disturb_each_other(
    bench: Bench, pictures: list[Image.Image], mini: Reader
) -> None:
    one, _ = search(bench, pictures[:1])
    two, _ = search(bench, pictures[1:2])
    bench.act(one, "ban", one.chips(mini.tokens)[0].place)
    assert one.banned and not two.banned and not two.locked


def test_every_error_is_a_sentence_on_the_board(bench: Bench, pictures: list[Image.Image]) -> None:
    def nothing() -> Pictures:
        return Pictures(tuple(read_uploads(None)))

    desk = Desk()
    (board,) = bench.find(desk, nothing, WANTED)
    assert "There is no picture yet" in board and 'role="alert"' in board
    (board,) = bench.go_on(desk, WANTED)
    assert "There is no prompt yet" in board
    assert "no prompt yet" in bench.act(desk, "open", 0)
    desk, board = search(bench, pictures[:1], Wanted("mini", {"length": 500}))
    assert "500 tokens" in board and "--" not in board.split("alert")[1].split("</p>")[0]
    assert desk.stop is None
    assert in_page("choose a smaller --length.") == "Choose a smaller length."
    assert in_page("mini was not trained.").startswith("mini"), "a name stays as it is"


def test_a_text_is_distilled(models: Models) -> None:
    desk, bench = Desk(), Bench(models, DistillOptions)
    aim = Texts(("a small sketch of a red dragon on a hill",))
    *_, board = bench.find(desk, lambda: aim, Wanted("mini", {"ratio": 0.5, "steps": 5}))
    assert desk.result and 'data-pez="prompt"' in board
    found = list(desk.ids)
    *_, board = bench.go_on(desk, Wanted("mini", {"ratio": 0.5, "steps": 5}))
    assert "pez-error" not in board and len(desk.ids) == len(found)


def test_words_of_visitors_are_never_files(
    bench: Bench, pictures: list[Image.Image], mini: Reader, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "castle").write_text("red\nblue\n")
    found: list[str] = []
    for avoid in ("castle", "nothing-of-the-kind"):
        desk, _ = search(bench, pictures[:1], Wanted("mini", WANTED.options, avoid))
        assert desk.result
        found.append(str(desk.result.options["ban"]))
        assert "lists" not in desk.result.options, "no file was read"
    for path in ("/etc/passwd", "../castle", "~/castle", "a\\b"):
        _, board = search(bench, pictures[:1], Wanted("mini", WANTED.options, path))
        assert "cannot be a word" in board
    assert plain_words(["castle"]) == (" castle",)


def test_a_search_stops_and_one_that_nobody_follows_stops_too() -> None:
    busy, stop = threading.Lock(), Stop()

    def work(watch: Watch) -> list[Any]:
        while not watch.stop.asked:
            time.sleep(0.01)
        return []

    following = follow(work, stop, busy, every=0.01)
    assert not next(following).over
    stop.asked = True
    *_, last = following
    assert last.over and last.stopped
    left = follow(work, Stop(), busy, every=0.01)
    next(left)
    left.close()
    assert busy.acquire(timeout=10), "the model is free again"


def test_history_takes_nothing_but_its_own_entries(
    bench: Bench, pictures: list[Image.Image]
) -> None:
    desk, _ = search(bench, pictures[:1])
    kept = added([], desk)
    assert checked(kept) == kept and len(kept) == 1
    assert kept[0]["thumb"].startswith("data:image/jpeg;base64,")
    assert added(kept, desk) == kept, "the same prompt is not listed twice"
    bad = [None, {"prompt": "x"}, kept[0] | {"thumb": "https://a.b/c"}, kept[0] | {"score": "1"}]
    assert checked([*bad, *kept]) == kept
    assert "&lt;b&gt;" in history_list([kept[0] | {"prompt": "<b>"}])


def test_uploads_are_pictures_or_refused(tmp_path: Path, pictures: list[Image.Image]) -> None:
    pictures[0].save(tmp_path / "own.png")
    assert read_upload(tmp_path / "own.png", 1).filename == "own.png"  # type: ignore[attr-defined]
    (tmp_path / "page.png").write_text("<html>")
    (tmp_path / "post.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    (tmp_path / "empty.png").touch()
    with open(tmp_path / "big.png", "wb") as big:
        big.truncate(33_000_000)
    for name in ("page", "post", "empty", "big", "none"):
        with pytest.raises(PezError) as error:
            read_upload(tmp_path / f"{name}.png", 1)
        assert str(tmp_path) not in str(error.value) or name == "big"
    with pytest.raises(PezError, match="too many"):
        read_uploads([(str(tmp_path / "own.png"), None)] * 17)
