"""Write a trained CLIP as data/models/NAME: config, compact float16 weights, words, card.

python data/export_clips.py RUNS mini mini-b mini-judge
"""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path

import torch
import train_clips
import world
from open_clip import CLIP
from safetensors.torch import save_file
from texts import Words

HERE = Path(__file__).parent / "models"
# how the shipped runs differ from a single run of train_clips.py, for the cards
NOTES = {
    "mini": "Captions only at every third step from step 2,000, random word lists from 3,000, a "
    "fixed temperature and searched negatives from 4,000. From 5,312 only the image tower was "
    "trained, with the style weighted like the thing; from 6,406 again, at a new rate that fell "
    "from 2e-3.",
    "mini-b": "After step 500 its schedule was lengthened from 2,500 to 5,000 steps.",
    "mini-judge": "A learned temperature and no searched negatives until step 3,500, then a fixed "
    "temperature, searched negatives and the style weighted like the thing. From 5,468 only the "
    "image tower was trained, at a higher rate.",
}


def export(runs: Path, name: str) -> None:
    """One model's folder from RUNS/NAME.pt."""
    embed, vision, text, _, seed = train_clips.RECIPES[name]
    words = Words()
    saved = torch.load(runs / f"{name}.pt", weights_only=False)  # our own file
    compact = CLIP(embed, vision, {**text, "vocab_size": len(words.ids)})
    compact.load_state_dict(saved["model"])
    figures = train_clips.evaluate(compact.eval(), words, 2048)
    folder = HERE / name
    folder.mkdir(parents=True, exist_ok=True)
    state = {k: v.to(torch.float16).contiguous() for k, v in compact.state_dict().items()}
    state["logit_scale"] = compact.logit_scale.detach().float()
    state["token_ids"] = torch.tensor(words.ids, dtype=torch.int32)
    save_file(state, folder / "model.safetensors")
    config = {
        "model_cfg": {
            "embed_dim": embed,
            "vision_cfg": vision,
            "text_cfg": {**text, "vocab_size": 49408},
        },
        "preprocess_cfg": {
            "size": world.SIZE,
            "mean": train_clips.MEAN,
            "std": train_clips.STD,
            "resize_mode": "shortest",
        },
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=1) + "\n")
    (folder / "words.txt").write_text("\n".join(world.all_words()) + "\n")
    seen = saved["step"] * train_clips.BATCH
    facts = {
        "parameters": sum(p.numel() for p in compact.parameters()),
        "images_seen": seen,
        "seed": seed,
        "held_out": figures,
    }
    (folder / "figures.json").write_text(json.dumps(facts, indent=1) + "\n")
    (folder / "README.md").write_text(_card(name, vision, text, embed, facts))
    print(name, facts)


def _card(name: str, vision: dict, text: dict, embed: int, facts: dict) -> str:
    rows = "\n".join(f"| {k.replace('_', ' ')} | {v:.3f} |" for k, v in facts["held_out"].items())
    role = {
        "mini": "The small offline model that is searched.",
        "mini-b": "A second model, for transfer and joint search.",
        "mini-judge": "The judge, which is never searched.",
    }[name]
    note = textwrap.fill(f"- more than one run. {NOTES[name]}", 100, subsequent_indent="  ")
    return f"""# {name}

{role}
A CLIP in open_clip's own class, trained from scratch on the synthetic world of `data/world.py`
(emoji scenes of 64 x 64 pixels with generated captions). It shows that the machinery works, not
how good prompts are on Stable Diffusion.

- vision: timm `{vision["timm_model_name"]}`, 64 x 64 pixels; text: width {text["width"]},
  {text["layers"]} layers, context {text["context_length"]} (30 tokens a prompt); embedding {embed}
- {facts["parameters"] / 1e6:.1f} million parameters, float16; only the tokens that occur have rows
- trained by `data/train_clips.py {name}` (seed {facts["seed"]}) on
  {facts["images_seen"]:,} pictures drawn from scenes that `data/pool.py` rendered;
  written by `data/export_clips.py`
{note}
- its training favours some searches: the loss has prompts that PEZ finds on the model itself as
  negatives, which takes from PEZ and its kin the shortcuts they would find, and a part that makes
  random word lists read as the words they contain. Comparisons of methods on it are to be read so
- vocabulary: {len(world.all_words())} whole words, in `words.txt`

On 2,048 held-out scenes (retrieval within groups of 256; object, background and style by single
words on one-thing scenes):

| figure | value |
|---|---|
{rows}

Licence: MIT, like the project. The pictures it was trained on are drawn with Noto Color Emoji
(SIL Open Font License 1.1).
"""


if __name__ == "__main__":
    torch.set_num_threads(1)
    for model in sys.argv[2:]:
        export(Path(sys.argv[1]), model)
