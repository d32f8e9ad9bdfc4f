"""Which CLIP reads the prompts of a generator, so that a prompt can be searched for it."""

from __future__ import annotations

from pez.errors import PezError
from pez.search.tokens import Tokens

L, H, G = "ViT-L-14/openai", "ViT-H-14/laion2b_s32b_b79k", "ViT-bigG-14/laion2b_s39b_b160k"

# What each makes of a prompt: SD 1 attends to the last hidden states of L at all 77 positions; SD 2
# to those of H before its last block; SDXL and SD 3 to those of L and G before their last blocks,
# and they are steered by the pooled feature as well: SDXL by G's, SD 3 by both. FLUX takes from L
# the pooled state alone, not projected. A search compares the pooled, projected feature: the same
# words and weights, but only SDXL and SD 3 use that very vector.

# ViT-L-14/openai reads prompts in SD 1.x and, alone or beside others, in SDXL, SD 3 and
# FLUX; it is a quarter of ViT-H's size. That makes it the default.
DEFAULT = L

# The T5 of SD 3 and FLUX has a vocabulary of its own and no images: it cannot be searched here
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


def misread(tokens: Tokens, model: str, text: str) -> bool:
    """Whether generators that read with ``model`` (several joined by " + ", or a generator) take
    part of a text otherwise than CLIP: a "!" for padding, as the tokenizers beside H and G do.
    """
    names = [clip for name in model.split(" + ") for clip in GENERATORS.get(name, (name,))]
    return tokens.reads_padding(text) and not {H, G}.isdisjoint(names)


def models_for(generator: str) -> tuple[str, ...]:
    """The models a prompt for ``generator`` should please. PezError if it is unknown."""
    try:
        return GENERATORS[generator.lower().replace("-", "").replace(".", "")]
    except KeyError:
        raise PezError(
            f"unknown generator {generator!r}; --for takes {', '.join(GENERATORS)}."
        ) from None
