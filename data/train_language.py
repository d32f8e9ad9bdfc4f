"""Train the shipped language model, mini-lm, on captions of the synthetic world.

    python data/train_language.py RUNS                # resumes from RUNS/mini-lm.pt
    python data/train_language.py RUNS --export data/language/mini-lm

A small GPT-2 over the small tokenizer of ``mini_text.py``, whose words are CLIP's, so that its
score of a prompt has a gradient with respect to the prompt's tokens. It is trained on texts only.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import pool
import torch
import torch.nn.functional as F
import world
from mini_text import tokenizer
from torch import Tensor
from transformers import CLIPTokenizer, GPT2Config, GPT2LMHeadModel

HERE = Path(__file__).parent
POSITIONS = 32  # the start and 31 tokens; a shipped CLIP reads 30
BATCH = 48
SIZES = {"n_embd": 128, "n_layer": 2, "n_head": 4}
PLAIN = 0.4  # share of texts without commas and colons, as found prompts have none
JOINED = 0.2  # share of texts followed by another caption of the scene
README = """# mini-lm

A small causal language model in transformers' layout (GPT2LMHeadModel) over the small tokenizer
of `mini-sd`, whose words are CLIP's: each word that the shipped CLIPs know is one token here too.
It rates how natural a prompt of the synthetic world is, and proposes words for it. It knows only
the language of `data/world.py`, not English at large.

- width {n_embd}, {n_layer} layers, {n_head} heads, {positions} positions, input and output
  embeddings tied; {size:.2f} million parameters, stored in float16
- trained from scratch by `data/train_language.py` for {steps:,} steps of {batch} texts
  ({texts:,}): sentences and word lists of random scenes; a fifth are followed by another text of
  the same scene, two fifths have no punctuation

Perplexity per token of held-out texts:

| texts | perplexity |
|---|---|
{rows}

The sentences and word lists describe scenes that training never drew, but a short text may have
occurred in training all the same. The samples' captions are those of `data/samples`; the bank is
`data/banks`.

Licence: MIT, like the project.
"""


def text(rng: np.random.Generator) -> str:
    """A caption or word list of a random scene, as the shipped CLIPs read them."""
    scene = world.sample_scene(rng)
    parts = [_one(scene, rng)]
    if rng.random() < JOINED:
        parts.append(_one(scene, rng))
    whole = ", ".join(parts)
    return whole.replace(",", "").replace(":", "") if rng.random() < PLAIN else whole


def _one(scene: world.Scene, rng: np.random.Generator) -> str:
    if rng.random() < 0.25:
        return world.keywords(scene, rng, fillers=int(rng.integers(5)))
    return world.sentence(scene, rng)


def encode(words: CLIPTokenizer, texts: list[str]) -> list[list[int]]:
    """Ids of texts between start and end."""
    return words(texts, truncation=True, max_length=POSITIONS)["input_ids"]


def loss_of(model: GPT2LMHeadModel, rows: list[list[int]], end: bool = True) -> tuple[Tensor, int]:
    """The summed negative log-likelihood of the rows' tokens, with or without their end, and the
    number of tokens.
    """
    if not end:
        rows = [row[:-1] for row in rows]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    told = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])[:, 1:] > 0
    seen = torch.ones_like(ids[:, :-1])  # causal: padding is never read
    logits = model(input_ids=ids[:, :-1], attention_mask=seen).logits
    return F.cross_entropy(logits[told], ids[:, 1:][told], reduction="sum"), int(told.sum())


@torch.no_grad()
def perplexity(model: GPT2LMHeadModel, words: CLIPTokenizer, texts: list[str]) -> float:
    """Perplexity per token, without the end."""
    total, count = 0.0, 0
    for start in range(0, len(texts), 256):
        loss, told = loss_of(model, encode(words, texts[start : start + 256]), end=False)
        total, count = total + loss.item(), count + told
    return math.exp(total / count)


def held_out() -> dict[str, list[str]]:
    """Texts that no training step draws, by kind."""
    rng = np.random.default_rng([2024, pool.HELD_OUT + 300])
    scenes = [world.sample_scene(rng) for _ in range(1000)]
    sentences = [world.sentence(scene, rng) for scene in scenes]
    shuffled = [" ".join(rng.permutation(s.split())) for s in sentences]
    listed = [" ".join(rng.choice(world.all_words(), 8)) for _ in scenes]
    shipped = []
    for path in sorted((HERE / "samples").glob("*/metadata.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            shipped += json.loads(line)["captions"]
    return {
        "1,000 sentences": sentences,
        "1,000 word lists": [world.keywords(scene, rng) for scene in scenes],
        "captions of the samples": shipped,
        "captions of the bank": (HERE / "banks" / "captions.txt").read_text().splitlines(),
        "the sentences, their words shuffled": shuffled,
        "8 random words": listed,
    }


def make_model(words: CLIPTokenizer) -> GPT2LMHeadModel:
    """The untrained model."""
    config = GPT2Config(
        vocab_size=len(words),
        n_positions=POSITIONS,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        **SIZES,
    )
    return GPT2LMHeadModel(config)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--export", type=Path)
    args = parser.parse_args()
    words = tokenizer()
    if args.export:
        export(args.runs, words, args.export)
        return
    torch.set_num_threads(1)
    torch.manual_seed(0)
    args.runs.mkdir(parents=True, exist_ok=True)
    model, step = make_model(words), 0
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.01)
    checkpoint = args.runs / "mini-lm.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        step = saved["step"]
    log = (args.runs / "mini-lm.log").open("a")
    start, losses = time.time(), []
    while step < args.steps:
        rng = np.random.default_rng([11, step])
        share = 0.5 + 0.5 * math.cos(math.pi * step / args.steps)
        for group in optimizer.param_groups:
            group["lr"] = args.lr * min(1, (step + 1) / 100) * share + 1e-6
        loss, told = loss_of(model, encode(words, [text(rng) for _ in range(BATCH)]))
        loss = loss / told
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        losses.append(loss.item())
        if step % 200 == 0 or step == args.steps:
            row = {"step": step, "of": args.steps, "loss": round(float(np.mean(losses[-200:])), 4)}
            row |= {"seconds": round(time.time() - start)}
            print(json.dumps(row), file=log, flush=True)
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save(state | {"step": step}, checkpoint.with_suffix(".part"))
            checkpoint.with_suffix(".part").rename(checkpoint)


def export(runs: Path, words: CLIPTokenizer, folder: Path) -> None:
    """Write the model's folder: stored in half precision, run in float32."""
    saved = torch.load(runs / "mini-lm.pt")
    model = make_model(words).eval()
    model.load_state_dict(saved["model"])
    model.half().save_pretrained(folder)
    words.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config["dtype"] = "float32"
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    found = {name: perplexity(model.float(), words, texts) for name, texts in held_out().items()}
    rows = "\n".join(f"| {name} | {value:,.1f} |" for name, value in found.items())
    size = sum(p.numel() for p in model.parameters()) / 1e6
    steps = saved["step"]
    card = {"steps": steps, "batch": BATCH, "texts": steps * BATCH, "size": size, "rows": rows}
    (folder / "README.md").write_text(README.format(**SIZES, **card, positions=POSITIONS))


if __name__ == "__main__":
    main()
