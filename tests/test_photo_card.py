"""The card of a model of photographs says what it was given, and stays readable."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from photo_card import ROLES, WIDE, Source, card  # type: ignore[import-not-found]

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
