"""A text-to-image pipeline as the reader of prompts: its own text encoder before its U-Net.

The pipeline is one of diffusers' StableDiffusionPipeline kind (SD 1, SD 2, mini-sd): one CLIP
text encoder whose outputs a U-Net attends to. The ids searched are CLIP's, as everywhere; a
pipeline whose tokenizer has only some of CLIP's words is searched over those.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image, ImageOps
from torch import Tensor

from pez.errors import PezError
from pez.files import kept_ids
from pez.models.devices import pick_device
from pez.models.generators import ALIASES, Generator, find_generator
from pez.models.identity import known_weights
from pez.models.pipelines import load_pipeline
from pez.search.tokens import Tokens

WORDS = "words.txt"  # in a generator's folder: the words it was trained on


@dataclass(eq=False)
class Denoiser:
    """The parts of a pipeline that read prompts and pictures (see :class:`pez.models.Reader`).

    Unlike a CLIP's, the features of prompts and pictures are in different spaces and not of
    unit length: a prompt's are the text encoder's outputs (b, p * w) that the U-Net attends to,
    a picture's its latents (n, c * h * w). :meth:`predict` combines them.
    """

    name: str
    tokens: Tokens
    table: Tensor  # embedding of every CLIP id, (V, w); zeros for those the pipeline lacks
    parts: tuple[int, ...]
    known: Tensor | None
    limit: int
    size: tuple[int, int]  # width and height in pixels
    latent_shape: tuple[int, int, int]  # channels, height and width of latents
    tokenizer: Any
    text_encoder: Any
    unet: Any
    vae: Any
    scheduler: Any  # a DDPMScheduler: what the U-Net was trained with

    own_words: list[str] | None = None
    weights: dict[str, str] = field(default_factory=dict)

    def features(self, embeddings: Tensor) -> Tensor:
        """What the U-Net attends to (b, p * w) for prompts as token embeddings (b, l, w), with
        start, end and padding as the pipeline sets them; differentiable.
        """
        b, length = embeddings.shape[:2]
        empty = self._ids([""])[0].tolist()  # start, end, padding
        ids = torch.tensor([empty[0], *[empty[1]] * length, *empty[1 : len(empty) - length]])
        ids = ids.to(embeddings.device).expand(b, -1)
        with _in_place(self.text_encoder.get_input_embeddings(), embeddings, 1):
            return self._context(ids)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """The same (n, p * w) of typed texts, by the pipeline's own tokenizer."""
        with torch.no_grad():
            return self._context(self._ids(texts).to(self.table.device))

    def _ids(self, texts: Sequence[str]) -> Tensor:
        found = self.tokenizer(
            list(texts),
            padding="max_length",
            max_length=self.limit + 2,
            truncation=True,
            return_tensors="pt",
        )
        return found["input_ids"]

    def _context(self, ids: Tensor) -> Tensor:
        return self.text_encoder(ids)[0].flatten(1)

    def prepare(self, image: Image.Image) -> Image.Image:
        """An RGB picture in the pipeline's shape and size."""
        return ImageOps.fit(image, self.size, Image.Resampling.LANCZOS)

    def encode_images(self, images: Sequence[Image.Image]) -> Tensor:
        """Latents (n, c * h * w) of RGB pictures, cut to the pipeline's shape."""
        return self.encode_prepared([self.prepare(image) for image in images])

    @torch.no_grad()
    def encode_prepared(self, prepared: Sequence[Image.Image]) -> Tensor:
        """Latents (n, c * h * w) of pictures of the pipeline's size."""
        from torchvision.transforms.functional import to_tensor

        if self.vae is None:
            raise PezError(f"{self.name} has freed its autoencoder; load it again.")
        out = []
        for picture in prepared:
            x = to_tensor(picture)[None].to(self.table.device, self.vae.dtype) * 2 - 1
            found = self.vae.encode(x)
            z = found.latent_dist.mode() if hasattr(found, "latent_dist") else found.latents
            shift = getattr(self.vae.config, "shift_factor", None) or 0.0
            out.append(((z - shift) * self.vae.config.scaling_factor).float())
        return torch.cat(out).flatten(1)

    def predict(self, noisy: Tensor, times: Tensor, context: Tensor) -> Tensor:
        """The U-Net's output (b, c, h, w) for noisy latents (b, c, h, w) at ``times`` (b,) and
        prompts given by their ``context`` (b, p * w).
        """
        seen = context.unflatten(1, (self.limit + 2, -1)).to(self.unet.dtype)
        return self.unet(noisy.to(self.unet.dtype), times, encoder_hidden_states=seen)[0].float()

    def free_vision(self) -> None:
        """Free the autoencoder; pictures cannot be read afterwards."""
        self.vae = None

    def bytes_per_row(self, length: int) -> int:
        """A rough bound for one prompt before one noisy picture, with gradient: 30 kB a pixel
        for SD 1's U-Net in float32 (an estimate, not measured), in proportion to its width.
        """
        width = self.unet.config.block_out_channels[0] / 320
        return int(30_000 * self.size[0] * self.size[1] * width)


def load_denoiser(name: str, device: str = "auto", dtype: str = "float32") -> Denoiser:
    """Open a pipeline by a short name (mini-sd, sd15, sd21), a folder or a hub id. PezError if
    it is unavailable or of another kind.
    """
    import open_clip
    from diffusers import DDPMScheduler

    if name in ALIASES:  # also the name of a CLIP, with other weights
        raise PezError(f"--objective denoise reads with a pipeline: write --for {ALIASES[name]}.")
    generator, where = find_generator(name), pick_device(device)
    pipe = load_pipeline(generator.source, where, dtype).to(where)
    _check(pipe, name)
    _check_inputs(pipe, name)
    for part in (pipe.text_encoder, pipe.unet, pipe.vae):
        part.requires_grad_(False).eval()
    factor = 2 ** (len(pipe.vae.config.block_out_channels) - 1)
    side = pipe.unet.config.sample_size
    wide = high = generator.size or side * factor
    rows = pipe.text_encoder.get_input_embeddings().weight.detach()
    limit = min(pipe.tokenizer.model_max_length, pipe.text_encoder.config.max_position_embeddings)
    tokens = Tokens(open_clip.SimpleTokenizer(context_length=limit), limit, kept_ids)
    table, known = clip_table(tokens, pipe.tokenizer.get_vocab(), rows)
    known = read_alike(tokens, pipe.tokenizer, known)
    return Denoiser(
        name=generator.name,
        tokens=tokens,
        table=table,
        parts=(table.shape[1],),
        known=known,
        limit=limit - 2,
        size=(wide, high),
        latent_shape=(pipe.unet.config.in_channels, high // factor, wide // factor),
        tokenizer=pipe.tokenizer,
        text_encoder=pipe.text_encoder,
        unet=pipe.unet,
        vae=pipe.vae,
        scheduler=DDPMScheduler.from_config(pipe.scheduler.config),
        own_words=_own_words(generator),
        weights=known_weights([name]),
    )


def _own_words(generator: Generator) -> list[str] | None:
    """The words that a generator's folder says it was trained on."""
    folder = generator.folder
    path = folder / WORDS if folder else None
    return path.read_text(encoding="utf-8").split() if path and path.is_file() else None


def _check(pipe: Any, name: str) -> None:
    """PezError unless one CLIP text encoder feeds a plain U-Net."""
    from transformers import CLIPTextModel

    unet = getattr(pipe, "unet", None)
    plain = unet is not None and not unet.config.addition_embed_type
    single = isinstance(getattr(pipe, "text_encoder", None), CLIPTextModel)
    if not plain or not single or getattr(pipe, "text_encoder_2", None) is not None:
        raise PezError(
            f"--objective denoise reads with one CLIP before a U-Net, as SD 1, SD 2 and mini-sd "
            f"do; {name} is a {type(pipe).__name__}."
        )


def _check_inputs(pipe: Any, name: str) -> None:
    """PezError for a U-Net that needs more than noisy latents, such as a mask."""
    inputs, latent = pipe.unet.config.in_channels, pipe.vae.config.get("latent_channels")
    if latent and inputs > latent:
        raise PezError(
            f"--objective denoise reads with a U-Net of plain latents; that of {name} takes "
            f"{inputs} channels, {latent} of them to draw on."
        )


def clip_table(tokens: Tokens, vocabulary: dict[str, int], rows: Tensor) -> tuple[Tensor, Tensor]:
    """The embedding (V, w) of every CLIP id from the pipeline's ``rows`` (n, w), and the ids in
    its ``vocabulary`` of byte pairs. PezError if there are none.
    """
    pairs = [
        (i, vocabulary[text])
        for text, i in tokens.full.encoder.items()
        if text in vocabulary and i not in tokens.special
    ]
    if not pairs:
        raise PezError("the pipeline's tokenizer has no word of CLIP's; it cannot be searched.")
    known, own = torch.tensor(pairs, device=rows.device).T
    table = torch.zeros(tokens.size, rows.shape[1], device=rows.device)
    table[known] = rows[own].float()
    return table, known.sort().values


def read_alike(tokens: Tokens, tokenizer: Any, ids: Tensor) -> Tensor:
    """Those of ``ids`` (n,) whose text the pipeline's ``tokenizer`` splits as CLIP's does, though
    its ids may differ. SD 2 takes a "!" for padding, and half a word is read as a whole one, which
    a small vocabulary may lack.
    """
    own, names = tokenizer.get_vocab(), tokens.full.decoder
    texts = [tokens.decode([i]) for i in ids.tolist()]
    theirs = tokenizer(texts, add_special_tokens=False)["input_ids"]
    same = [
        [own.get(names[i]) for i in tokens.encode(text)] == read
        for text, read in zip(texts, theirs, strict=True)
    ]
    return ids[torch.tensor(same, device=ids.device)]


@contextmanager
def _in_place(embedding: torch.nn.Module, rows: Tensor, start: int) -> Any:
    """Within, ``rows`` (b, l, w) replace the looked-up embeddings (b, p, w) from ``start``."""

    def replace(_module: Any, _inputs: Any, found: Tensor) -> Tensor:
        here = rows.to(found)
        return torch.cat([found[:, :start], here, found[:, start + rows.shape[1] :]], 1)

    handle = embedding.register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()
