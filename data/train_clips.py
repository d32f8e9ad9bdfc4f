"""Train the shipped CLIPs (mini, mini-b, mini-judge) on the synthetic world.

    python data/pool.py POOL --shards 18            # once: scenes on disk
    python data/train_clips.py mini POOL RUNS       # resumes from RUNS/mini.pt

The loss has three parts: CLIP's, with hard-negative captions as extra columns; word prediction, the
image against each single word as a prompt, by kind of word; and, for the text tower alone, random
word lists that must read as the words they contain. Without the third, and without the prompts that
PEZ finds as negatives, a search matches pictures with unrelated words.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pool
import torch
import torch.nn.functional as F
import world
from open_clip import CLIP
from texts import (
    CONTEXT,
    Words,
    flipped,
    naming,
    salad_table,
    salads,
    searched,
    text_features,
    word_tables,
)
from torch import Tensor

BATCH = 128
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def _vision(name: str) -> dict:
    return {
        "image_size": world.SIZE,
        "timm_model_name": name,
        "timm_model_pretrained": False,
        "timm_pool": "",
        "timm_proj": "linear",
    }


def _text(width: int, layers: int) -> dict:
    return {"context_length": CONTEXT, "width": width, "heads": width // 64, "layers": layers}


# name -> (embedding width, vision tower, text tower, images, seed)
RECIPES = {
    "mini": (192, _vision("edgenext_xx_small"), _text(192, 3), 1_000_000, 2),
    "mini-b": (224, _vision("convnext_zepto_rms"), _text(192, 2), 640_000, 3),
    "mini-judge": (256, _vision("convnext_atto"), _text(256, 2), 700_000, 1),
}
SCALE = 20.0  # low and fixed: true pairs must be close, so that a search can hardly score higher
SEARCH_EVERY = 48  # steps between searches for adversarial prompts
SALADS = 64  # random word lists a step
CAPTION_EVERY = 3  # things are learned more slowly than language: most steps see single words only


def word_loss(logits: Tensor, rows: Tensor, tables: dict) -> Tensor:
    """Mean over kinds of the negative log share of the true words; logits (b, n)."""
    losses = []
    rows = rows.to(logits.device)
    columns = {"thing": 0, "background": 2, "style": 3, "size": 4, "spot": 5}
    weights = {"thing": 1.0, "background": 0.5, "style": 1.0, "size": 0.1, "spot": 0.1}
    for kind, (own, truth) in tables.items():
        truth = truth.to(logits.device)
        shift = 1 if kind in ("size", "spot") else 0  # 0 means unsaid there
        value = rows[:, columns[kind]].long() - shift
        target = truth[value.clamp(min=0)]
        if kind == "thing":
            second = rows[:, 1].long()
            target = torch.maximum(target, truth[second.clamp(min=0)] * (second >= 0)[:, None])
        keep = value >= 0
        share = (logits[:, own].log_softmax(-1) * target).sum(-1) / target.sum(-1).clamp(min=1)
        losses.append(-weights[kind] * share[keep].sum() / keep.sum().clamp(min=1))
    return torch.stack(losses).sum()


def pixels(images: np.ndarray) -> Tensor:
    """uint8 (b, 64, 64, 3) to normalised float (b, 3, 64, 64), channels last."""
    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255
    x = (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    return x.contiguous(memory_format=torch.channels_last)


def augment(images: np.ndarray, rows: np.ndarray, rng) -> tuple[np.ndarray, np.ndarray]:
    """Shift by up to 4 pixels and mirror; left and right change places in the rows."""
    dx, dy = rng.integers(-4, 5, 2)
    images = np.roll(np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)), "edge"), (dy, dx), (1, 2))
    images, rows = images[:, 4:-4, 4:-4], rows.copy()
    flip = rng.random(len(images)) < 0.5
    images = images.copy()
    images[flip] = images[flip, :, ::-1]
    left, right = flip & (rows[:, 5] == 1), flip & (rows[:, 5] == 2)
    rows[left, 5], rows[right, 5] = 2, 1
    return images, rows


def captions(scenes: list[world.Scene], rng, long: bool) -> list[str]:
    """One text for each scene: sentences, word lists and, if ``long``, both joined."""
    texts = []
    for scene in scenes:
        text = world.caption(scene, rng)
        if rng.random() < 0.25:
            text = world.keywords(scene, rng)
        if long:
            text += ", " + world.caption(scene, rng) + ", " + world.keywords(scene, rng, 8)
        texts.append(text)
    return texts


@torch.no_grad()
def evaluate(model: CLIP, words: Words, count: int = 1536) -> dict[str, float]:
    """Held-out figures: retrieval among 256 both ways, accuracy by single words."""
    images, rows = pool.draw(pool.HELD_OUT, count)
    device = model.attn_mask.device
    rng = np.random.default_rng(7)
    scenes = [pool.decode(r) for r in rows]
    model.eval()
    image = torch.cat(
        [
            F.normalize(model.encode_image(pixels(images[i : i + 256]).to(device)), dim=-1)
            for i in range(0, count, 256)
        ]
    )
    text = text_features(model, words.batch([world.caption(s, rng) for s in scenes]))
    groups = zip(image.split(256), text.split(256), strict=True)
    sims = torch.stack([pictures @ texts.T for pictures, texts in groups]).cpu()
    truth = torch.arange(256)
    figures = {
        "retrieval_image_to_text": (sims.argmax(2) == truth).float().mean().item(),
        "retrieval_text_to_image": (sims.argmax(1) == truth).float().mean().item(),
    }
    single = torch.from_numpy(rows[:, 1] < 0)
    for kind, column, names in (
        ("object", 0, list(world.THINGS)),
        ("background", 2, [v[0] for v in world.BACKGROUNDS.values()]),
        ("style", 3, [v[0] for v in world.STYLES.values()]),
    ):
        guess = (image @ text_features(model, words.batch(names)).T).argmax(1).cpu()
        right = guess == torch.from_numpy(rows[:, column].astype(int))
        figures[kind] = right[single].float().mean().item()
    allowed = torch.tensor(sorted({words.lookup[w] for w in world.all_words()}))
    few = torch.nonzero(single)[:64, 0]
    with torch.enable_grad():
        prompts = searched(model, image[few], allowed, words, 80)
    shown = [scenes[int(n)] for n in few]
    for kind in ("thing", "background", "style"):
        names = naming(prompts, shown, words, (kind,)).diagonal()
        figures[f"search_names_{kind}"] = names.float().mean().item()
    found = text_features(model, prompts)
    figures["search_excess"] = ((found - text[few]) * image[few]).sum(-1).mean().item()
    figures["caption_cosine"] = (image * text).sum(-1).mean().item()
    model.train()
    return {k: round(v, 4) for k, v in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("pool", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--images", type=int)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--freeze-text", action="store_true", help="train the image tower alone")
    args = parser.parse_args()
    embed, vision, text, images, seed = RECIPES[args.name]
    images = args.images or images
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    words = Words()
    model = CLIP(embed, vision, {**text, "vocab_size": len(words.ids)})
    device = torch.device(args.device)
    model = model.to(device, memory_format=torch.channels_last)
    decay = [p for p in model.parameters() if p.ndim >= 2]
    plain = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": decay, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.98))
    total, step = images // args.batch, 0
    args.runs.mkdir(parents=True, exist_ok=True)
    checkpoint = args.runs / f"{args.name}.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=False)  # our own
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        step = saved["step"]
    if args.freeze_text:
        model.requires_grad_(False)
        model.visual.requires_grad_(True)
    visual = torch.compile(model.visual) if args.compile else model.visual
    prompts, tables = word_tables(words)
    listed = salad_table(words, tables, len(prompts))
    shards = sorted(p for p in args.pool.glob("?????.npy"))
    data = [np.load(p, mmap_mode="r") for p in shards]
    facts = [np.load(p.with_suffix(".rows.npy")) for p in shards]
    allowed = torch.tensor(sorted({words.lookup[w] for w in world.all_words()}))
    found = torch.zeros(0, 10, dtype=torch.long)
    log = (args.runs / f"{args.name}.log").open("a")
    start, seen = time.time(), 0
    while step < total:
        rng = np.random.default_rng([seed, step])
        done = step / total
        lr = float(args.lr * min(1, (step + 1) / 300) * (0.5 + 0.5 * np.cos(np.pi * done)) + 1e-6)
        for group in optimizer.param_groups:
            group["lr"] = lr
        shard = int(rng.integers(len(data)))
        picks = np.sort(rng.choice(len(facts[shard]), args.batch, replace=False))
        batch, rows = augment(data[shard][picks], facts[shard][picks], rng)
        image = F.normalize(visual(pixels(batch).to(device)), dim=-1)
        single = text_features(model, prompts)
        loss = word_loss(SCALE * image @ single.T, torch.from_numpy(rows), tables)
        salad = torch.zeros((), device=device)
        if not args.freeze_text:
            ids, share = salads(words, listed, SALADS, rng)
            guess = (SCALE * text_features(model, ids) @ single.T).log_softmax(-1)
            salad = -(guess * share.to(device)).sum(-1).mean()
            loss = loss + 0.5 * salad
        clip = torch.zeros((), device=device)
        if done > 0.12 and step % CAPTION_EVERY == 0:
            scenes = [pool.decode(r) for r in rows]
            true = [{words.lookup[w] for ws in s.words().values() for w in ws} for s in scenes]
            ids = words.batch(captions(scenes, rng, long=rng.random() < 0.05))
            half = args.batch // 2
            wrong = [words.batch([world.wrong_caption(s, rng) for s in scenes[half:]])]
            if done > 0.5:
                wrong.append(
                    flipped(model, ids[:half], image[:half].detach(), true[:half], allowed, rng)
                )
                if len(found) == 0 or step % SEARCH_EVERY == 0:
                    fresh = searched(model, image.detach(), allowed, words)
                    found = torch.cat([fresh, found])[:1024]
                wrong.append(found[torch.from_numpy(rng.integers(len(found), size=half))])
            pad = max(t.shape[1] for t in (ids, *wrong))
            both = torch.cat([F.pad(t, (0, pad - t.shape[1])) for t in (ids, *wrong)])
            feature = text_features(model, both)
            logits = SCALE * image @ feature.T  # (b, b + wrong)
            if done > 0.5:  # a found prompt that names everything is not wrong
                named = naming(wrong[-1], scenes, words, ("thing", "background", "style"))
                logits[:, -half:] = logits[:, -half:].masked_fill(named.to(device), -1e4)
            truth = torch.arange(len(image), device=device)
            clip = 0.5 * F.cross_entropy(logits, truth)
            clip = clip + 0.5 * F.cross_entropy(logits[:, : len(image)].T, truth)
            close = 1 - (image * feature[: len(image)]).sum(-1).mean()
            loss = loss + clip + close
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step, seen = step + 1, seen + args.batch
        if step % 250 == 0 or step == total:
            row = {
                "step": step,
                "of": total,
                "loss": round(loss.item(), 4),
                "clip": round(clip.item(), 4),
                "salad": round(salad.item(), 3),
            }
            row |= {"per_second": round(seen / (time.time() - start))}
            if step % 500 == 0 or step == total:
                row |= evaluate(model, words)
                state = {
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "step": step,
                }
                torch.save(state, checkpoint.with_suffix(".part"))
                checkpoint.with_suffix(".part").rename(checkpoint)
            print(json.dumps(row), file=log, flush=True)


if __name__ == "__main__":
    main()
