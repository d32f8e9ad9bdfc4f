"""Which word is changed, and for which: by the vocabulary and the space of a second model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from pez.errors import PezError
from pez.evaluation.edits import appended, places, swapped, without, word_at
from pez.evaluation.lemmas import content_words
from pez.models import Reader, load_model

BATCH = 512  # words


@dataclass(frozen=True, eq=False)
class Editor:
    """A model and its ``words``, each a content word."""

    reader: Reader
    words: tuple[str, ...]

    @cached_property
    def _space(self) -> tuple[Tensor, Tensor]:
        """The mean of the words' features (e,), which all share, and what differs (n, e), of
        length one.
        """
        parts = [self.words[n : n + BATCH] for n in range(0, len(self.words), BATCH)]
        features = torch.cat([self.reader.encode_text(part) for part in parts])
        mean = features.mean(0)
        return mean, F.normalize(features - mean, dim=-1)

    def swap(self, prompt: str, picture: Image.Image, near: int, draw: int) -> dict[str, Any]:
        """The word whose absence lowers the prompt's cosine with the picture most becomes another:
        number ``draw`` modulo ``near`` of its nearest neighbours that share no lemma with the
        prompt. PezError for a prompt without content words.
        """
        place = self._most(prompt, picture)
        word = word_at(prompt, place)
        mean, space = self._space
        feature = F.normalize(self.reader.encode_text([word])[0] - mean, dim=-1)
        order = torch.sort(space @ feature, descending=True, stable=True).indices.tolist()
        other = self._others(prompt, [self.words[n] for n in order], near)
        new = other[draw % len(other)]
        edited = swapped(prompt, place, new)
        return {"edited": edited, "from_word": word, "to_word": new, "place": place}

    def append(self, prompt: str, item: str) -> dict[str, Any]:
        """One more word, which shares no lemma with the prompt: the first of the vocabulary in an
        order that depends on ``item`` alone, so that all prompts of an item get the same one.
        """
        order = sorted(self.words, key=lambda word: hashed(item, word))
        (new,) = self._others(prompt, order, 1)
        return {"edited": appended(prompt, new), "from_word": "", "to_word": new, "place": None}

    def _most(self, prompt: str, picture: Image.Image) -> int:
        """The place of the word that says most of the picture; a word of the vocabulary if there
        is one.
        """
        own = {lemma for word in self.words for lemma in content_words(word)}
        found = places(prompt)
        if not found:
            raise PezError("the prompt has no content word to swap.")
        pieces = prompt.split()
        known = [n for n in found if own.intersection(content_words(pieces[n]))] or found
        texts = [without(prompt, n) for n in known]
        cosines = (
            self.reader.encode_text(texts) @ self.reader.encode_images([picture])[0]
        ).tolist()
        return min(zip(cosines, known, strict=True))[1]

    def _others(self, prompt: str, order: Sequence[str], count: int) -> list[str]:
        """The first ``count`` words that share no lemma with the prompt or with each other."""
        seen, out = set(content_words(prompt)), []
        for word in order:
            own = set(content_words(word))
            if not own & seen:
                out.append(word)
                seen |= own
            if len(out) == count:
                break
        if not out:
            raise PezError("the vocabulary of the task's model has no word that is not there.")
        return out


def open_editor(name: str, device: str = "auto", dtype: str = "float32") -> Editor:
    """The editor of a model, with its own words, else those that a search may choose by default.
    PezError if it is not available.
    """
    from pez.session.words import allowed_ids

    reader = load_model(name, device, dtype)
    listed = reader.own_words
    if listed is None:
        ids = allowed_ids(reader.tokens, "words")
        listed = [reader.tokens.decode([int(i)]).strip() for i in ids]
    words = [word for word in dict.fromkeys(listed) if len(content_words(word)) == 1]
    return Editor(reader, tuple(word for word in words if word.isalpha()))


def hashed(*parts: object) -> int:
    """A number that is the same on every machine."""
    text = "\0".join(map(str, parts)).encode(errors="surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big")
