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
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pez.errors import PezError
from pez.generation.encoded import Course, Encoded
from pez.generation.encoders import Encoder, clip_encoders, in_place, weighted
from pez.generation.schedule import Part, changes, has_and, parts_of_sum, texts_of
from pez.generation.syntax import chunks, without_tags
from pez.generation.weights import Fragment, escape, parse_weights
from pez.generation.wildcards import is_by_lot
from pez.generation.words import Words
from pez.models.loading import quiet


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
        self._encoders = clip_encoders(pipe)
        self._away = self._prepared(negative)
        self.negative = _text(self._chunks(self._away))  # as plain text
        if has_and(self._away) and not literal:
            self._remark("AND is read as a word in --negative.")

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
        divides its chunks, is a sum or changes between steps.
        """
        plain = self._prepared(self._template.replace("{}", prompt))
        found = self._chunks(plain)
        if not self._literal and (changed := changes(plain)):
            raise PezError(f"{changed[:60]} is another text at other steps; leave it out.")
        if len(found) > 1 or len(self._sum(plain)) > 1:
            raise PezError(
                "a prompt with BREAK or AND is read in parts of its own; leave these words out."
            )
        return found[0]

    def take_remarks(self) -> list[str]:
        """What of the prompts read so far may be meant otherwise; each remark once."""
        new = [remark for remark, taken in self._remarks.items() if not taken]
        self._remarks |= dict.fromkeys(new, True)
        return new

    def read(self, prompt: str | Tensor, steps: int = 0) -> str | Encoded | Course:
        """A plain text if the pipeline can read it itself, else the text encoders' output, for a
        prompt that changes in ``steps`` steps or is a sum that of each part at each step.

        Raises PezError for what the pipeline cannot read, and without ``steps`` for a prompt that
        changes.
        """
        with quiet():  # the pipeline would warn that it truncates what compel reads whole
            return self._soft(prompt) if isinstance(prompt, Tensor) else self._read(prompt, steps)

    def encoded(self, prompt: str | Tensor) -> Encoded:
        """The text encoders' output, for a plain text too. PezError as :meth:`read`, and for a
        sum, which no single output holds.
        """
        found = self.read(prompt)
        if isinstance(found, Course):
            raise PezError("a prompt with AND cannot be taken here; draw it anew.")
        return found if isinstance(found, Encoded) else self._own(found)

    def _read(self, prompt: str, steps: int) -> str | Encoded | Course:
        plain = self._prepared(self._template.replace("{}", prompt))
        parts = self._sum(plain)
        if self._literal:
            steps, moving = 1, ""
        else:
            moving = next(filter(None, map(changes, (*(p.text for p in parts), self._away))), "")
        if moving and not steps:
            raise PezError(f"{moving[:60]} is another text at other steps; leave it out.")
        if not moving:
            steps, texts = 1, [(*(part.text for part in parts), self._away)]
        else:
            courses = [texts_of(text, steps) for text in (*(p.text for p in parts), self._away)]
            texts = list(zip(*courses, strict=True))
        if len(parts) == 1 and len(set(texts)) == 1:
            return self._alone(*texts[0])
        return self._course(texts, tuple(part.weight for part in parts))

    def _alone(self, text: str, away: str) -> str | Encoded:
        """One prompt for all steps."""
        plain = all(self._is_plain(self._chunks(part)) for part in (text, away))
        return (
            _text(self._chunks(text)) if plain and away == self._away else self._encode(text, away)
        )

    def _course(self, texts: Sequence[Sequence[str]], weights: tuple[float, ...]) -> Course:
        """For each step the texts of a sum, and last the negative one."""
        pairs = {(text, step[-1]) for step in texts for text in step[:-1]}
        found = {pair: self._encode(*pair) for pair in sorted(pairs)}
        length = max(one.prompt.shape[1] for one in found.values())
        filled = {
            pair: Encoded(
                self._filled(one.prompt, length),
                self._filled(one.negative, length, self._is_zero(pair[1])),
                one.pooled,
                one.negative_pooled,
            )
            for pair, one in found.items()
        }
        made = {tuple(s): tuple(filled[text, s[-1]] for text in s[:-1]) for s in texts}
        return Course(tuple(made[tuple(step)] for step in texts), weights)

    def _encode(self, text: str, away: str) -> Encoded:
        """The encoders' output for a prompt and a negative one."""
        found, negative = self._chunks(text), self._chunks(away)
        own = self._own(_text(found[:1]), _text(negative))
        if self._is_plain(found) and self._is_plain(negative):
            return own
        return self._joined(own, self._weighted(found), away)

    def _sum(self, plain: str) -> list[Part]:
        """The prompts that a prompt adds up."""
        if self._literal:
            return [Part(plain)]
        parts = parts_of_sum(plain) if self._encoders else [Part(plain)]
        if len(parts) == 1 and has_and(plain):
            here = (
                "at an end and in brackets" if self._encoders else f"by {type(self.pipe).__name__}"
            )
            self._remark(f"AND is read as a word {here}; prompts are not added up there.")
        return parts

    def _prepared(self, text: str) -> str:
        """A prompt without its tags. PezError for what cannot be read in it."""
        if self._literal:
            return text
        if lot := is_by_lot(text):
            raise PezError(
                f"{lot[:60]} is drawn by lot, which pez generate does in its prompts alone; write "
                "one variant, or give --literal."
            )
        plain = without_tags(text, self._loras)
        if not self._encoders and (changed := changes(plain)):
            raise PezError(
                f"{type(self.pipe).__name__} reads a prompt once for all steps, and {changed[:60]} "
                "changes in between; write one prompt for each, or give --literal."
            )
        return plain

    def _remark(self, text: str) -> None:
        self._remarks.setdefault(text, False)

    def _chunks(self, plain: str) -> list[list[Fragment]]:
        """The weighted parts of a prompt, in chunks that the prompt itself divides."""
        if self._literal:
            return [[Fragment(self.words.spell(plain))]]
        # a word's own brackets are no weights
        found = [parse_weights(self.words.spell(part, escape)) for part in chunks(plain)]
        if self._encoders:
            return found
        name = type(self.pipe).__name__
        if any(f.weight != 1 for part in found for f in part):
            self._remark(
                f"{name} reads no weights in prompts: ( ) [ ] and their numbers are words."
            )
            return [[Fragment(self.words.spell(plain))]]
        if len(found) > 1:
            self._remark(f"{name} reads prompts whole: BREAK has no effect.")
        return [[Fragment(_text(found))]]

    def _is_plain(self, found: Sequence[Sequence[Fragment]]) -> bool:
        """Whether the pipeline reads it whole and unchanged."""
        if len(found) > 1 or any(f.weight != 1 for f in found[0]):
            return False
        return all(len(self._ids(e, _text(found))) <= e.limit for e in self._encoders)

    def _ids(self, encoder: Encoder, text: str) -> list[int]:
        """Ids of a text with the words of textual inversions spelt out."""
        spelt = self.words.spell(text)
        return encoder.tokenizer(spelt, add_special_tokens=False)["input_ids"]

    def _own(self, text: str, away: str | None = None) -> Encoded:
        """The pipeline's own reading of plain texts, truncated to its positions."""
        takes = inspect.signature(self.pipe.encode_prompt).parameters
        others = {name: None for name in ("prompt_2", "prompt_3") if name in takes}
        found = self.pipe.encode_prompt(
            prompt=text,
            **others,
            device=self.pipe._execution_device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=True,
            negative_prompt=(self.negative if away is None else away) or None,
        )
        return Encoded(*found)

    def _joined(self, own: Encoded, prompt: Tensor, away: str) -> Encoded:
        """``own`` with another ``prompt``, and a negative one of equal length."""
        found = self._chunks(away)
        negative = own.negative if self._is_plain(found) else self._weighted(found)
        length = max(prompt.shape[1], negative.shape[1])
        zero = self._is_zero(away)
        negative = torch.zeros_like(negative) if zero else negative
        filled = [self._filled(prompt, length), self._filled(negative, length, zero)]
        return Encoded(filled[0], filled[1], own.pooled, own.negative_pooled)

    def _is_zero(self, away: str) -> bool:
        """Whether the pipeline reads no negative prompt as zeros."""
        zeros = self.pipe.config.get("force_zeros_for_empty_prompt", False)
        return zeros and not _text(self._chunks(away))

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
        # compel fails at a part without tokens, such as a blank between two weights, unless it is
        # all there is
        parts = []
        for encoder in self._encoders:
            parsed = [f for f in fragments if self._ids(encoder, f.text)] or [Fragment("")]
            device = self.pipe._execution_device
            parts.append(weighted(encoder, parsed, self._is_xl, device).to(device))
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
        around = self._prepared(self._template)
        found = self._chunks(around)
        odd = len(found) > 1 or len(self._sum(around)) > 1 or any(f.weight != 1 for f in found[0])
        if odd or (not self._literal and (changes(around) or changes(self._away))):
            raise PezError(
                "no weights, BREAK, AND or changes between steps are read around a soft prompt; "
                "remove them from --template and --negative."
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
        with in_place(self._encoders, parts, start + 1):
            own = self._own(text)
        return self._joined(own, own.prompt, self._away)


def _text(found: Sequence[Sequence[Fragment]]) -> str:
    """The words of chunks, without weights."""
    return " ".join("".join(f.text for f in part) for part in found)
