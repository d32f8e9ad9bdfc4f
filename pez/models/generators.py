"""Which CLIP reads the prompts of a generator, so that a prompt can be searched for it."""

from __future__ import annotations

from pez.errors import PezError

L, H, G = "ViT-L-14/openai", "ViT-H-14/laion2b_s32b_b79k", "ViT-bigG-14/laion2b_s39b_b160k"

# ViT-L-14/openai reads prompts in SD 1.x and, alone or beside others, in SDXL, SD 3 and
# FLUX; it is a quarter of ViT-H's size. That makes it the default.
DEFAULT = L

# T5 of SD 3 and FLUX has a vocabulary of its own and no images: it cannot be searched here
GENERATORS: dict[str, tuple[str, ...]] = {
    "sd14": (L,),
    "sd15": (L,),
    "sd20": (H,),
    "sd21": (H,),
    "sdxl": (L, G),
    "sd3": (L, G),
    "sd35": (L, G),
    "flux": (L,),
    "mini": ("mini",),
}


def models_for(generator: str) -> tuple[str, ...]:
    """The models a prompt for ``generator`` should please. PezError if it is unknown."""
    try:
        return GENERATORS[generator.lower().replace("-", "").replace(".", "")]
    except KeyError:
        raise PezError(
            f"unknown generator {generator!r}; --for takes {', '.join(GENERATORS)}."
        ) from None
