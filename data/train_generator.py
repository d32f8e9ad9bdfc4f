"""Train the shipped text-to-image pipeline (mini-sd) on a small part of the synthetic world.

    python data/train_generator.py vae POOL RUNS      # pictures <-> 16 x 16 x 8 latents
    python data/train_generator.py unet POOL RUNS     # captions -> latents

Both resume from RUNS. The U-Net learns v-prediction (Salimans & Ho 2022) on a schedule that ends
in pure noise (Lin et al. 2024), so that plain backgrounds come out in their true colours.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from torch import Tensor

LATENT = 8  # channels
VAE = {
    "encoder_block_out_channels": (32,) * 3,
    "decoder_block_out_channels": (32,) * 3,
    "num_encoder_blocks": (0, 1, 2),
    "num_decoder_blocks": (2, 2, 0),
    "latent_channels": LATENT,
}


def pixels(images: np.ndarray) -> Tensor:
    """uint8 (b, 64, 64, 3) to float (b, 3, 64, 64) in -1 to 1."""
    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float()
    return (x / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def edges(x: Tensor) -> Tensor:
    """Differences to the right and the lower neighbour, in one row of numbers a picture."""
    right, below = x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]
    return torch.cat([right.flatten(1), below.flatten(1)], 1)


def train_vae(args: argparse.Namespace) -> None:
    """L1 on pixels and on edges; latents of unit variance that bear a little noise."""
    torch.manual_seed(0)
    model = AutoencoderTiny(**VAE).to(args.device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    total, step = args.images // args.batch, 0
    checkpoint = args.runs / "vae.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=args.device, weights_only=False)  # our own
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        step = saved["step"]
    encode, decode = model.encoder, model.decoder
    if args.compile:
        encode, decode = torch.compile(encode), torch.compile(decode)
    data = [np.load(p, mmap_mode="r") for p in sorted(args.pool.glob("?????.npy"))]
    log = (args.runs / "vae.log").open("a")
    start, seen = time.time(), 0
    while step < total:
        rng = np.random.default_rng([5, step])
        lr = float(args.lr * min(1, (step + 1) / 200) * (0.5 + 0.5 * np.cos(np.pi * step / total)))
        for group in optimizer.param_groups:
            group["lr"] = lr + 1e-6
        shard = data[int(rng.integers(len(data)))]
        picks = np.sort(rng.choice(len(shard), args.batch, replace=False))
        x = pixels(shard[picks]).to(args.device)
        z = encode(x)
        noisy = z + 0.05 * torch.randn_like(z)
        y = decode(noisy)
        flat = z.transpose(0, 1).flatten(1)
        shape = (flat.mean(1) ** 2 + (flat.std(1) - 1) ** 2).mean()
        loss = F.l1_loss(y, x) + F.l1_loss(edges(y), edges(x)) + 0.1 * shape
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step, seen = step + 1, seen + args.batch
        if step % 500 == 0 or step == total:
            error = F.mse_loss(y.clamp(-1, 1), x).item()
            row = {"step": step, "of": total, "loss": round(loss.item(), 4)}
            row |= {"psnr": round(-10 * float(np.log10(error / 4)), 2), "std": flat.std().item()}
            row |= {"per_second": round(seen / (time.time() - start))}
            print(json.dumps(row), file=log, flush=True)
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save(state | {"step": step}, checkpoint.with_suffix(".part"))
            checkpoint.with_suffix(".part").rename(checkpoint)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("vae", "unet"))
    parser.add_argument("pool", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--images", type=int, default=64_000)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.runs.mkdir(parents=True, exist_ok=True)
    train_vae(args)


if __name__ == "__main__":
    main()
