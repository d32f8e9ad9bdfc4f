"""Finding pictures in folders, their natural order, and names that are mistyped."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from picture_files import put, sentence

from pez.errors import PezError, PezWarning
from pez.images import expand_sources, find_images, natural_key


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        put(folder / name, b"x")


def test_pictures_are_found_below_a_folder_in_natural_order(tmp_path: Path) -> None:
    names = ["b/img1.png", "b/img2.png", "b/img10.png", "B2/x.PNG", "img3.jpeg", "Img20.tiff"]
    shuffled = random.Random(0).sample(names, len(names))
    touch(tmp_path, *shuffled, "notes.txt", "clip.mp4", "none")
    assert find_images(tmp_path) == [tmp_path / name for name in names]


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"])
def test_usual_suffixes_count_as_pictures(tmp_path: Path, suffix: str) -> None:
    touch(tmp_path, f"a.{suffix}")
    assert find_images(tmp_path) == [tmp_path / f"a.{suffix}"]


def test_hidden_files_and_folders_are_skipped(tmp_path: Path) -> None:
    touch(tmp_path, ".a.png", ".cache/b.png", "._c.jpg", "d.png")
    assert find_images(tmp_path) == [tmp_path / "d.png"]


def test_folders_named_like_pictures_and_dead_links_are_no_pictures(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "folder.png/note.txt")
    (tmp_path / "dead.png").symlink_to(tmp_path / "gone.png")
    with pytest.warns(PezWarning, match="left out 1 broken link"):
        assert find_images(tmp_path) == [tmp_path / "a.png"]


def test_a_link_back_to_the_folder_does_not_loop(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    (tmp_path / "again").symlink_to(tmp_path)
    with pytest.warns(PezWarning, match=r"left out 1 linked folder\.$"):
        assert find_images(tmp_path) == [tmp_path / "a.png"]


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt")
    with pytest.raises(PezError) as caught:
        find_images(tmp_path)
    assert "holds no pictures" in sentence(caught.value, tmp_path)


@pytest.mark.parametrize(("name", "told"), [("none", "not exist"), ("a.png", "not a directory")])
def test_pictures_are_sought_in_folders_only(tmp_path: Path, name: str, told: str) -> None:
    touch(tmp_path, "a.png")
    with pytest.raises(PezError) as caught:
        find_images(tmp_path / name)
    assert told in sentence(caught.value, tmp_path / name)


@given(numbers=st.lists(st.integers(0, 10**12), unique=True), stem=st.sampled_from(["", "a", "7-"]))
def test_natural_order_follows_the_numbers(numbers: list[int], stem: str) -> None:
    names = [Path(f"{stem}{number}.png") for number in sorted(numbers)]
    assert sorted(names[::-1], key=natural_key) == names


PATHS = st.lists(st.text("aAb01²٣é. ", min_size=1, max_size=5), min_size=1, max_size=3).map(
    lambda parts: Path(*parts)
)


@given(paths=st.lists(PATHS, unique=True), seed=st.randoms(use_true_random=False))
def test_natural_order_is_the_same_whatever_the_start(
    paths: list[Path], seed: random.Random
) -> None:
    shuffled = seed.sample(paths, len(paths))
    assert sorted(shuffled, key=natural_key) == sorted(paths, key=natural_key)


@given(names=st.permutations(["a1", "A1", "a01", "A001"]))
def test_natural_order_knows_no_ties(names: list[str]) -> None:
    expected = [Path(name) for name in ("A001", "A1", "a01", "a1")]
    assert sorted(map(Path, names), key=natural_key) == expected


@given(stem=st.text("aAbB 1", min_size=1, max_size=6))
def test_natural_order_puts_cases_together(stem: str) -> None:
    names = [stem.upper() + "a", stem.lower() + "B", stem.upper() + "c"]
    assert sorted(map(Path, names), key=natural_key) == [Path(name) for name in names]


def test_sources_are_expanded_in_the_order_given(tmp_path: Path) -> None:
    touch(tmp_path, "z.png", "f/2.png", "f/10.png", "a.dat")
    given_sources = ["https://x.org/b.png", tmp_path / "z.png", tmp_path / "f", tmp_path / "a.dat"]
    expected = [given_sources[0], tmp_path / "z.png"]
    expected += [tmp_path / "f/2.png", tmp_path / "f/10.png", tmp_path / "a.dat"]
    assert expand_sources([str(s) for s in given_sources]) == [str(s) for s in expected]


def test_a_missing_source_is_told_with_its_nearest_name(tmp_path: Path) -> None:
    touch(tmp_path, "SUNSET.JPG", "sunrise.jpg", "photos/a.png")
    near = [("sunsett.jpg", "SUNSET.JPG"), ("SUNRISE.jpeg", "sunrise.jpg"), ("photo", "photos")]
    for wrong, right in near:
        with pytest.raises(PezError) as caught:
            expand_sources([str(tmp_path / wrong)])
        assert sentence(caught.value, tmp_path / wrong).endswith(f"mean {tmp_path / right}?")


@pytest.mark.parametrize("name", ["zzz.png", "beach.tx", "gone/a.png", "hidden.png"])
def test_nothing_is_suggested_where_nothing_is_near(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "Sunset.jpg", "beach.txt", ".hidden.png")
    with pytest.raises(PezError) as caught:
        expand_sources([str(tmp_path / name)])
    assert "did you mean" not in sentence(caught.value, tmp_path / name)


def test_a_folder_without_pictures_is_a_bad_source(tmp_path: Path) -> None:
    with pytest.raises(PezError, match="holds no pictures"):
        expand_sources([str(tmp_path)])
