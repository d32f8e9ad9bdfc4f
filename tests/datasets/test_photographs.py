"""The shipped photographs: small, captioned, and with their terms beside them."""

from __future__ import annotations

from PIL import Image

from pez.datasets import open_dataset
from pez.datasets.samples import PHOTOGRAPHS, samples
from pez.files import data_folder

FOLDER = data_folder() / "samples" / PHOTOGRAPHS


def test_photographs_are_a_split_of_their_own() -> None:
    items = list(open_dataset("samples", split="photographs"))
    assert [item.id for item in items] == [sample.path.stem for sample in samples(PHOTOGRAPHS)]
    assert items[0].picture() == samples(PHOTOGRAPHS)[0].path.read_bytes()
    assert all(item.captions and item.prompt is None for item in items)
    assert not {item.id for item in items} & {item.id for item in open_dataset("samples")}


def test_photographs_are_small_and_carry_nothing_but_pixels() -> None:
    files = sorted(FOLDER.glob("*.jpg"))
    assert files == sorted(sample.path for sample in samples(PHOTOGRAPHS))
    for file in files:
        with Image.open(file) as image:
            assert min(image.size) == 256 and image.mode == "RGB" and not image.getexif()
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 400_000


def test_the_card_states_the_terms_of_every_photograph() -> None:
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in card.splitlines() if line.startswith("| `")]
    assert {row[0].strip(" `") for row in rows} == {s.path.name for s in samples(PHOTOGRAPHS)}
    for _, author, terms, source in rows:
        assert author.strip() and source.strip()
        assert any(free in terms for free in ("public domain", "CC0", "CC BY 2.0"))
