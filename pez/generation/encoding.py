"""Prompts beyond plain text, as outputs of the text encoder.

Weighted texts and texts beyond the encoder's positions are read by compel (2.5 works with
transformers 5): a weight above 1 pushes a word's outputs away from those of an empty text, one
below 1 pulls them back and blends towards the text with that word masked; long texts are read in
chunks that end at a word.
Soft prompts are *input* embeddings: they replace rows of the token embedding and run through
the whole encoder. A pipeline's own ``prompt_embeds`` are encoder
outputs, another space, where a soft prompt would be noise.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pez.errors import PezError
from pez.generation.syntax import chunks, refuse_steps, remarks, without_tags
from pez.generation.weights import Fragment, escape, parse_weights
from pez.generation.words import Words
from pez.models.loading import quiet


@dataclass(frozen=True, eq=False)
class Encoded:
    """One prompt as a pipeline's encoders output it: (1, n, w), pooled (1, e) for SDXL."""

    prompt: Tensor
    negative: Tensor
    pooled: Tensor | None = None
    negative_pooled: Tensor | None = None


def as_call(rows: Sequence[Encoded]) -> dict[str, Tensor]:
    """Arguments of a pipeline for prompts of equal length."""
    out = {
        "prompt_embeds": torch.cat([r.prompt for r in rows]),
        "negative_prompt_embeds": torch.cat([r.negative for r in rows]),
    }
    if rows[0].pooled is not None:
        pooled = [(r.pooled, r.negative_pooled) for r in rows]
        out["pooled_prompt_embeds"] = torch.cat([p for p, _ in pooled])  # type: ignore[arg-type]
        out["negative_pooled_prompt_embeds"] = torch.cat([n for _, n in pooled])  # type: ignore[arg-type]
    return out


class Encoding:
    """Reads prompts for a pipeline; ``negative``, ``template`` and ``literal`` as the options;
    ``words`` are those of the textual inversions that were added to the pipeline, ``loras`` the
    weights of its LoRAs by name.
    """

    def __init__(
        self,
        pipe: Any,
        negative: str = "",
        template: str = "{}",
        literal: bool = False,
        words: Words | None = None,
        loras: Mapping[str, float] | None = None,
    ) -> None:
        if template.count("{}") != 1:
            raise PezError(f"--template {template!r} needs one {{}} where the prompt goes.")
        self.pipe, self._template, self._literal = pipe, template, literal
        self.words, self._loras = words or Words(), loras or {}
        self._remarks: dict[str, bool] = {}  # and whether each was taken
        self._encoders = _clip_encoders(pipe)
        self._negative = self._chunks(negative)
        self.negative = _text(self._negative)  # as plain text
        with quiet():
            self._plain_negative = self._is_plain(self._negative)

    @property
    def template(self) -> str:
        """The fixed words around each prompt."""
        return self._template

    @property
    def reads_clip(self) -> bool:
        """Whether CLIPs alone read prompts, before a U-Net."""
        return bool(self._encoders)

    @property
    def limit(self) -> int:
        """Tokens that the CLIPs read at once, between start and end."""
        return min(encoder.limit for encoder in self._encoders)

    def parts(self, prompt: str) -> list[Fragment]:
        """The parts of a prompt in the template, with their weights. PezError if the prompt itself
        divides its chunks.
        """
        found = self._chunks(self._template.replace("{}", prompt))
        if len(found) > 1:
            raise PezError("a prompt with BREAK is read in parts of its own; leave BREAK out.")
        return found[0]

    def take_remarks(self) -> list[str]:
        """What of the prompts read so far may be meant otherwise; each remark once."""
        new = [remark for remark, taken in self._remarks.items() if not taken]
        self._remarks |= dict.fromkeys(new, True)
        return new

    def read(self, prompt: str | Tensor) -> str | Encoded:
        """A plain text if the pipeline can read it itself, else the text encoders' output.

        Raises PezError for what the pipeline cannot read.
        """
        with quiet():  # the pipeline would warn that it truncates what compel reads whole
            return self._read(prompt)

    def encoded(self, prompt: str | Tensor) -> Encoded:
        """The text encoders' output, for a plain text too. PezError as :meth:`read`."""
        found = self.read(prompt)
        return found if isinstance(found, Encoded) else self._own(found)

    def _read(self, prompt: str | Tensor) -> str | Encoded:
        if isinstance(prompt, Tensor):
            return self._soft(prompt)
        found = self._chunks(self._template.replace("{}", prompt))
        if self._plain_negative and self._is_plain(found):
            return _text(found)
        return self._joined(self._own(_text(found[:1])), self._weighted(found))

    def _chunks(self, text: str) -> list[list[Fragment]]:
        """The weighted parts of a prompt, in chunks that the prompt itself divides."""
        if self._literal:
            return [[Fragment(self.words.spell(text))]]
        refuse_steps(text)
        plain = without_tags(text, self._loras)
        for remark in remarks(plain):
            self._remarks.setdefault(remark, False)
        # a word's own brackets are no weights
        found = [parse_weights(self.words.spell(part, escape)) for part in chunks(plain)]
        if self._encoders:
            return found
        name = type(self.pipe).__name__
        if any(f.weight != 1 for part in found for f in part):
            said = f"{name} reads no weights in prompts: ( ) [ ] and their numbers are words."
            self._remarks.setdefault(said, False)
            return [[Fragment(self.words.spell(plain))]]
        if len(found) > 1:
            self._remarks.setdefault(f"{name} reads prompts whole: BREAK has no effect.", False)
        return [[Fragment(_text(found))]]

    def _is_plain(self, found: Sequence[Sequence[Fragment]]) -> bool:
        """Whether the pipeline reads it whole and unchanged."""
        if len(found) > 1 or any(f.weight != 1 for f in found[0]):
            return False
        return all(len(self._ids(e, _text(found))) <= e.limit for e in self._encoders)

    def _ids(self, encoder: _Encoder, text: str) -> list[int]:
        """Ids of a text with the words of textual inversions spelt out."""
        spelt = self.words.spell(text)
        return encoder.tokenizer(spelt, add_special_tokens=False)["input_ids"]

    def _own(self, text: str) -> Encoded:
        """The pipeline's own reading of a plain text, truncated to its positions."""
        takes = inspect.signature(self.pipe.encode_prompt).parameters
        others = {name: None for name in ("prompt_2", "prompt_3") if name in takes}
        found = self.pipe.encode_prompt(
            prompt=text,
            **others,
            device=self.pipe._execution_device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=True,
            negative_prompt=self.negative or None,
        )
        return Encoded(*found)

    def _joined(self, own: Encoded, prompt: Tensor) -> Encoded:
        """``own`` with another ``prompt``, and a negative one of equal length."""
        negative = own.negative if self._plain_negative else self._weighted(self._negative)
        length = max(prompt.shape[1], negative.shape[1])
        zero = not self.negative and self.pipe.config.get("force_zeros_for_empty_prompt", False)
        negative = torch.zeros_like(negative) if zero else negative
        filled = [self._filled(prompt, length), self._filled(negative, length, zero)]
        return Encoded(filled[0], filled[1], own.pooled, own.negative_pooled)

    def _filled(self, x: Tensor, length: int, zero: bool = False) -> Tensor:
        """``x`` (1, n, w) padded with empty chunks to ``length``."""
        if x.shape[1] == length:
            return x
        empty = self._weighted([[]])
        count = (length - x.shape[1]) // empty.shape[1]
        return torch.cat([x, *[torch.zeros_like(empty) if zero else empty] * count], 1)

    def _weighted(self, found: Sequence[Sequence[Fragment]]) -> Tensor:
        """The encoders' output for weighted parts (1, chunks * positions, w)."""
        return torch.cat([self._weighted_part(fragments) for fragments in found], 1)

    def _weighted_part(self, fragments: Sequence[Fragment]) -> Tensor:
        from compel.embeddings_provider import (
            EmbeddingsProvider,
            ReturnedEmbeddingsType,
            SplitLongTextMode,
        )

        kinds = ReturnedEmbeddingsType
        last = kinds.LAST_HIDDEN_STATES_NORMALIZED
        kind = kinds.PENULTIMATE_HIDDEN_STATES_NON_NORMALIZED if self._is_xl else last
        device, parts = self.pipe._execution_device, []
        for encoder in self._encoders:
            provider = EmbeddingsProvider(
                encoder.tokenizer,
                encoder.model,
                dtype_for_device_getter=lambda _, dtype=encoder.model.dtype: dtype,
                truncate=False,
                returned_embeddings_type=kind,
                device=device,
                split_long_text_mode=SplitLongTextMode.WORDS,
                model_max_length=encoder.limit + 2,
            )
            # compel fails at a part without tokens, such as a blank between two weights, unless
            # it is all there is
            parsed = [f for f in fragments if self._ids(encoder, f.text)] or [Fragment("")]
            found: Any = provider.get_embeddings_for_weighted_prompt_fragments(
                [[f.text for f in parsed]], [[f.weight for f in parsed]], device=device
            )
            parts.append(found.to(device))
        return torch.cat(parts, -1)

    @property
    def _is_xl(self) -> bool:
        return getattr(self.pipe, "text_encoder_2", None) is not None

    def _soft(self, rows: Tensor) -> Encoded:
        """Soft prompt (k, w) at the template's free place; w of several encoders joined."""
        if not self._encoders:
            raise PezError(
                f"{type(self.pipe).__name__} does not read with CLIP alone; a soft prompt can be "
                "drawn by SD 1, SD 2, SDXL and mini-sd."
            )
        widths = [e.table.weight.shape[1] for e in self._encoders]
        if rows.ndim != 2 or not len(rows) or rows.shape[1] != sum(widths):
            wanted = " + ".join(map(str, widths))
            raise PezError(
                f"a soft prompt for this generator has the shape (tokens, {wanted}), not "
                f"{tuple(rows.shape)}; search it on the generator's own text encoder."
            )
        around = self._chunks(self._template)
        if len(around) > 1 or any(f.weight != 1 for f in around[0]):
            raise PezError(
                "no weights and no BREAK are read around a soft prompt; remove them from "
                "--template."
            )
        before, after = self._template.split("{}")
        first = self._encoders[0]
        count, word = len(rows), first.stand_in
        start, rest = len(self._ids(first, before)), len(self._ids(first, after))
        limit = min(e.limit for e in self._encoders)
        if start + count + rest > limit:
            raise PezError(
                f"the soft prompt with its template has {start + count + rest} tokens; this "
                f"generator reads {limit}."
            )
        text = f"{before} {' '.join([word] * count)} {after}"
        parts = rows.split(widths, -1)
        with _in_place(self._encoders, parts, start + 1):
            own = self._own(text)
        return self._joined(own, own.prompt)


def _text(found: Sequence[Sequence[Fragment]]) -> str:
    """The words of chunks, without weights."""
    return " ".join("".join(f.text for f in part) for part in found)


@dataclass(frozen=True, eq=False)
class _Encoder:
    """A CLIP text encoder of a pipeline with its tokenizer."""

    tokenizer: Any
    model: Any

    @property
    def table(self) -> nn.Embedding:
        """The token embedding."""
        return self.model.get_input_embeddings()

    @property
    def limit(self) -> int:
        """Tokens it reads between start and end."""
        positions = self.model.config.max_position_embeddings
        return min(self.tokenizer.model_max_length, positions) - 2

    @property
    def stand_in(self) -> str:
        """A word of one token."""
        for word in ("a", "the", "cat"):
            if len(self.tokenizer(word, add_special_tokens=False)["input_ids"]) == 1:
                return word
        raise PezError("this generator's tokenizer knows no common word; it draws no soft prompts.")


def _clip_encoders(pipe: Any) -> list[_Encoder]:
    """The pipeline's encoders if all are CLIPs before a U-Net (SD 1, SD 2, SDXL), else none."""
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    names = [""] if getattr(pipe, "text_encoder", None) is not None else []
    names += [n for n in ("_2", "_3") if getattr(pipe, f"text_encoder{n}", None) is not None]
    found = [
        _Encoder(getattr(pipe, f"tokenizer{n}"), getattr(pipe, f"text_encoder{n}")) for n in names
    ]
    known = CLIPTextModel | CLIPTextModelWithProjection
    if getattr(pipe, "unet", None) is None or not all(isinstance(e.model, known) for e in found):
        return []
    return found


@contextmanager
def _in_place(encoders: Sequence[_Encoder], parts: Sequence[Tensor], start: int) -> Iterator[None]:
    """Within, the first text each encoder reads has ``parts`` at ``start``: the prompt, as
    pipelines read the negative one after it.
    """
    handles = [
        encoder.table.register_forward_hook(_once(rows, start))
        for encoder, rows in zip(encoders, parts, strict=True)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _once(rows: Tensor, start: int) -> Any:
    """A hook on a token embedding that puts ``rows`` (k, w) at ``start`` of the first text."""
    waiting = [rows]

    def replace(_module: nn.Module, _inputs: Any, found: Tensor) -> Tensor:
        if not waiting:
            return found
        here = waiting.pop().to(found).expand(len(found), -1, -1)
        return torch.cat([found[:, :start], here, found[:, start + len(rows) :]], 1)

    return replace
