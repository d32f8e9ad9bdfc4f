"""Train the shipped text-to-image pipeline, mini-sd, on a small part of the synthetic world.

    python data/train_generator.py RUNS              # resumes from RUNS/mini-sd.pt
    python data/train_generator.py RUNS --export data/generators/mini-sd

Its text encoder is that of the shipped CLIP ``mini``, unchanged, so that a soft prompt found
on mini can be drawn. Its latents are principal components of patches. Only the U-Net is trained: it
predicts v (Salimans & Ho 2022) on a schedule that ends in pure noise (Lin et al. 2024), so that
plain backgrounds have their true colours.
"""

from __future__ import annotations

import argparse
import copy
import json
import shutil
import time
from pathlib import Path

import numpy as np
import sketches
import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from mini_text import text_encoder, tokenizer
from torch import Tensor

from pez.files import data_folder
from pez.models.patches import PatchAutoencoder

CHANNELS, SHARD, SHARDS = 32, 10_000, 10
BATCH, EMPTY = 64, 0.1  # share of empty prompts, for guidance
EMA = 0.999
UNET = {
    "sample_size": 8,
    "in_channels": CHANNELS,
    "out_channels": CHANNELS,
    "block_out_channels": (96, 128),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),  # attention at 4 x 4 alone
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
    "attention_head_dim": 4,  # the number of heads, as diffusers means it
    "cross_attention_dim": 192,
    "norm_num_groups": 16,
}
SCHEDULE = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "clip_sample": False,
    "set_alpha_to_one": True,
    "steps_offset": 1,  # trailing spacing ignores it; diffusers warns of 0
}
CARD = {"steps": 20, "guidance": 1.5, "size": 64}  # chosen with benchmarks/generator.py
README = """# mini-sd

A small text-to-image pipeline in diffusers' layout (StableDiffusionPipeline), 64 x 64 pixels. It
draws forty things of the synthetic world (`data/sketches.py`), upright and in the middle, before
eighteen backgrounds in seven styles. It shows that the machinery works, not how good prompts are on
Stable Diffusion.

- text encoder: the text tower of the shipped CLIP `mini`, unchanged, with rows for the tokens of
  its own small tokenizer (32 positions); `words.txt` lists the words that mini was trained on,
  and `--objective denoise` searches among them
- latents: 32 principal components of each 8 x 8 patch (`pez/models/patches.py`), not trained
- U-Net: {size:.1f} million parameters, trained from scratch by `data/train_generator.py` for
  {steps:,} steps of 64 pictures ({images:,}), drawn from 100,000 scenes, to predict v; its last
  weights are averaged. More than one run: the first 6,562 steps showed the things at any place,
  size and tilt; a new cosine schedule followed
- things of other sizes and at other places were shown only in those first steps:
  `--objective denoise` reads pictures of them less well
- 20 DDIM steps and guidance 1.5 by default (`pez.json`)

`benchmarks/generator.md` has its figures. To load it with diffusers alone, first
`import pez.models.patches`.

Licence: MIT, like the project. The pictures it was trained on are drawn with Noto Color Emoji
(SIL Open Font License 1.1).
"""


def pixels(images: np.ndarray) -> Tensor:
    """uint8 (b, 64, 64, 3) to float (b, 3, 64, 64) in -1 to 1."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def prepare(folder: Path) -> tuple[PatchAutoencoder, Tensor, list]:
    """The autoencoder, the latents (n, 32, 8, 8) of all scenes and the scenes, made once."""
    path, made = folder / "latents.pt", folder / "patches.pt"
    if not path.exists():
        images, scenes = sketches.draw(0, SHARD)
        vae = PatchAutoencoder.fit(pixels(images[:4000]), CHANNELS)
        torch.save(vae.state_dict(), made)
        parts = []
        for shard in range(SHARDS):
            if shard:
                images, more = sketches.draw(shard, SHARD)
                scenes += more
            parts += [vae.encode(pixels(some))[0].half() for some in np.array_split(images, 10)]
        torch.save({"latents": torch.cat(parts), "scenes": scenes}, path)
    vae = PatchAutoencoder(CHANNELS)
    vae.load_state_dict(torch.load(made))
    saved = torch.load(path, weights_only=False)  # our own
    return vae, saved["latents"], saved["scenes"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--images", type=int, default=600_000)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--export", type=Path)
    args = parser.parse_args()
    if args.export:
        export(args.runs, args.export)
        return
    torch.set_num_threads(1)
    torch.manual_seed(0)
    args.runs.mkdir(parents=True, exist_ok=True)
    _, latents, scenes = prepare(args.runs)
    words, reader = tokenizer(), text_encoder().to(args.device)
    noise_schedule = DDIMScheduler(**SCHEDULE)
    signal = noise_schedule.alphas_cumprod.sqrt().to(args.device)
    noisy = (1 - noise_schedule.alphas_cumprod).sqrt().to(args.device)
    model = UNet2DConditionModel(**UNET).to(args.device)
    mean = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.01, fused=True)
    total, step = args.images // BATCH, 0
    checkpoint = args.runs / "mini-sd.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=args.device, weights_only=False)  # our own
        model.load_state_dict(saved["model"])
        mean.load_state_dict(saved["mean"])
        optimizer.load_state_dict(saved["optimizer"])
        optimizer.param_groups[0]["fused"] = True  # older checkpoints say otherwise
        step = saved["step"]
    net = torch.compile(model) if args.compile else model
    log = (args.runs / "mini-sd.log").open("a")
    start, seen, losses = time.time(), 0, []
    while step < total:
        rng = np.random.default_rng([6, step])
        lr = args.lr * min(1, (step + 1) / 300) * (0.5 + 0.5 * np.cos(np.pi * step / total))
        for group in optimizer.param_groups:
            group["lr"] = float(lr) + 1e-6
        picks = rng.integers(len(latents), size=BATCH)
        texts = [sketches.prompt(scenes[i], rng) for i in picks]
        texts = ["" if rng.random() < EMPTY else t for t in texts]
        batch = words(texts, padding="max_length", truncation=True, return_tensors="pt")
        with torch.no_grad():
            context = reader(batch.input_ids.to(args.device)).last_hidden_state
        x = latents[torch.from_numpy(picks)].float().to(args.device)
        noise = torch.randn_like(x)
        t = torch.from_numpy(rng.integers(1000, size=BATCH)).to(args.device)
        a, b = signal[t][:, None, None, None], noisy[t][:, None, None, None]
        guess = net(a * x + b * noise, t, context, return_dict=False)[0]
        loss = F.mse_loss(guess, a * noise - b * x)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step, seen = step + 1, seen + BATCH
        losses.append(loss.item())
        rate = min(EMA, (step + 1) / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(mean.parameters()), list(model.parameters()), 1 - rate)
        if step % 250 == 0 or step == total:
            row = {"step": step, "of": total, "loss": round(float(np.mean(losses[-250:])), 4)}
            row |= {"per_second": round(seen / (time.time() - start), 1)}
            print(json.dumps(row), file=log, flush=True)
            state = {"model": model.state_dict(), "mean": mean.state_dict(), "step": step}
            state["optimizer"] = optimizer.state_dict()
            torch.save(state, checkpoint.with_suffix(".part"))
            checkpoint.with_suffix(".part").rename(checkpoint)


def export(runs: Path, folder: Path) -> None:
    """Write the pipeline's folder, in half precision."""
    vae = PatchAutoencoder(CHANNELS)
    vae.load_state_dict(torch.load(runs / "patches.pt"))
    unet = UNet2DConditionModel(**UNET)
    unet.load_state_dict(torch.load(runs / "mini-sd.pt", weights_only=False)["mean"])
    pipeline = StableDiffusionPipeline(
        vae=vae,  # pyright: ignore
        text_encoder=text_encoder(),
        tokenizer=tokenizer(),
        unet=unet,
        scheduler=DDIMScheduler(**SCHEDULE),
        safety_checker=None,  # pyright: ignore
        feature_extractor=None,  # pyright: ignore
        requires_safety_checker=False,
    )
    pipeline.to(torch.float16).save_pretrained(folder)
    steps = torch.load(runs / "mini-sd.pt", weights_only=False)["step"]
    (folder / "pez.json").write_text(json.dumps(CARD) + "\n")
    shutil.copy(data_folder() / "models" / "mini" / "words.txt", folder)  # what mini reads
    unet_size = sum(p.numel() for p in unet.parameters()) / 1e6
    (folder / "README.md").write_text(
        README.format(steps=steps, images=steps * BATCH, size=unet_size)
    )


if __name__ == "__main__":
    main()
