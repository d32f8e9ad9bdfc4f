"""The card of a model of photographs says what it was given, and stays readable."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
sys.path.insert(0, str(Path(__file__).parents[1] / "data" / "photo"))
import cards  # type: ignore[import-not-found]
import pairs  # type: ignore[import-not-found]
from photo_card import ROLES, WIDE, Source, card  # type: ignore[import-not-found]

DATA = Path(__file__).parents[1] / "data"
CONFIG = {
    "embed_dim": 256,
    "vision_cfg": {"timm_model_name": "tf_efficientnet_lite0", "image_size": 224},
    "text_cfg": {"width": 192, "layers": 3},
}
SOURCES = (Source("one", 1200, "five captions", "CC BY 4.0"), Source("two", 34, "labels", "MIT"))
FIGURES = {
    "R@1": {"COCO": 0.3544, "Flickr": 0.5},
    "right words": {"COCO": 1.625},
    "n": {"COCO": 79},
}


def test_a_card_has_every_figure_and_source() -> None:
    for name, role in ROLES.items():
        split = "Settings were chosen on 300 photographs; 79 measured it, once."
        text = card(
            name, CONFIG, 1712, "a-package", SOURCES, split, FIGURES, ["seed 3"], teacher="None."
        )
        assert text.startswith(f"# {name}\n\n{role}")
        for said in ("1,712 words", "`a-package`", "- seed 3", split, "width 192, 3 layers"):
            assert said in text
        assert (
            "| one | 1,200 | five captions | CC BY 4.0 |" in text and "| all | 1,234 | | |" in text
        )
        assert "| R@1 | 0.354 | 0.500 |" in text
        assert "| right words | 1.62 |  |" in text and "| n | 79 |  |" in text
        prose = [line for line in text.splitlines() if not line.startswith("|")]
        assert max(map(len, prose)) <= WIDE


def test_every_source_of_training_is_on_the_card() -> None:
    counts = {name: n + 1 for n, name in enumerate(pairs.SOURCES)}
    told = cards.sources(counts)
    assert sum(source.photographs for source in told) == sum(counts.values())
    flickr, coco = told[0], told[1]
    assert flickr.photographs == counts["flickr1000"] + counts["flickr8k_224"]
    assert coco.photographs == sum(n for name, n in counts.items() if name.startswith("coco"))
    with pytest.raises(ValueError, match="elsewhere"):
        cards.sources({"elsewhere": 3})


@pytest.mark.parametrize("name", ROLES)
def test_a_shipped_card_is_written_from_its_figures(name: str) -> None:
    folder = DATA / "models" / name
    assert cards.written_card(folder) == (folder / "README.md").read_text(encoding="utf-8")
