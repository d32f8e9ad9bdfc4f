"""The words of textual inversions in prompts.

Each vector is a token of its own: the first has the word's name, those after it ``name_1``,
``name_2``. Prompts are spelt out by :class:`Words`, not by diffusers: its own spelling loses all
vectors but the first of a name with capitals (tokenizers lower-case a text before they look for
such names), and replaces names within other words. The tokens are found as they are written, as
whole words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import AddedToken
from torch import Tensor

from pez.errors import PezError
from pez.files import user_path
from pez.formats.embeddings import PAIR, Learned, read_embeddings
from pez.generation.additions import refuse_missing
from pez.models.hub import fetch_one, split_revision
from pez.models.loading import explained

FILES = ("learned_embeds.safetensors", "learned_embeds.bin")  # in folders and repositories
_ENDS = ("", ".safetensors", ".pt", ".bin")  # ComfyUI takes names with and without
_MADE_FOR = {(768,): "SD 1", (1024,): "SD 2", (768, 1280): "SDXL"}


@dataclass(frozen=True)
class Words:
    """How prompts write the loaded textual inversions.

    ``spelled`` leads from what may be typed, in lower case, to the tokens of the vectors with
    blanks between; ``shown`` are the words as they are announced.
    """

    spelled: Mapping[str, str] = field(default_factory=dict)
    shown: tuple[str, ...] = ()

    def spell(self, text: str, made: Callable[[str], str] = str) -> str:
        """``text`` with each whole word as the tokens of its vectors, to which ``made`` is applied;
        what is spelt out already stays.
        """
        if not self.spelled:
            return text

        def tokens(found: re.Match[str]) -> str:
            before, after = text[: found.start()][-1:], text[found.end() :][:1]
            left = " " if _in_word(before) else ""
            right = " " if _in_word(after) else ""
            same = found.group()
            return left + made(self.spelled.get(same.lower(), same)) + right

        return self._pattern.sub(tokens, text)

    def convert(self, prompt: Any, _tokenizer: Any = None) -> Any:
        """:meth:`spell` in the form in which pipelines call it, for a text or a list."""
        return self.spell(prompt) if isinstance(prompt, str) else [self.spell(p) for p in prompt]

    @property
    def _pattern(self) -> re.Pattern[str]:
        """The longest first; an end that is a letter must also end the word in the text."""
        names = sorted(self.spelled, key=len, reverse=True)
        return re.compile("|".join(map(_whole, names)), re.IGNORECASE)


def _in_word(character: str) -> bool:
    return bool(re.match(r"\w", character))


def _whole(name: str) -> str:
    start = r"(?<!\w)" if _in_word(name[0]) else ""
    return start + re.escape(name) + (r"(?!\w)" if _in_word(name[-1]) else "")


def add_words(pipe: Any, sources: Sequence[str]) -> Words:
    """Load textual inversions, each by file, folder or hub id, into the pipeline's text encoders.

    A file that names no word gets its own name in angle brackets. The file's name, with and without
    brackets, and ComfyUI's ``embedding:name`` work too, unless the bare name is a common word.
    Raises PezError if the pipeline takes none, a file does not fit, or two have one word.
    """
    if not sources:
        return Words()
    if not hasattr(pipe, "load_textual_inversion"):
        raise PezError(f"{type(pipe).__name__} takes no textual inversion; omit --embedding.")
    for source in sources:
        refuse_missing(source, "--embedding")
    encoders = _encoders(pipe)
    typed: dict[str, str] = {}
    others: dict[str, str] = {}
    shown: list[str] = []
    for source in sources:
        path = _file(source)
        stem = split_revision(source)[0].rstrip("/").rpartition("/")[2]
        stem = " ".join(Path(stem).stem.split() if path.name not in FILES else stem.split())
        found = read_embeddings(path)
        for learned in found:
            word = learned.word or f"<{stem}>"
            if word.lower() in typed:
                raise PezError(f"two textual inversions have the word {word}; rename a file.")
            tokens = _add(encoders, word, _fitting(learned, encoders, source))
            shown.append(word)
            whole = " ".join(tokens)
            typed |= {token.lower(): token for token in tokens}
            typed |= {word.lower(): whole, whole.lower(): whole}
            if len(found) == 1:
                bare = dict.fromkeys([stem, word.strip("<>") or stem])
                names = [f"<{stem}>", *(f"embedding:{b}{end}" for b in bare for end in _ENDS)]
                names += [b for b in bare if _is_own(b, encoders[0][1])]
                others |= {name.lower(): whole for name in names if name.lower() not in others}
    words = Words(others | typed, tuple(shown))
    pipe.maybe_convert_prompt = words.convert
    return words


def _file(source: str) -> Path:
    """The file behind a path, a folder or a hub id."""
    path = user_path(source)
    if path.is_file() or (path.exists() and not path.is_dir()):
        return path
    if not path.is_dir():
        repo, revision = split_revision(source)
        with explained(source):
            return fetch_one(repo, FILES, revision)
    inside = [path / name for name in FILES if (path / name).is_file()]
    if not inside:
        raise PezError(f"{source} has no {' or '.join(FILES)}; give the file itself.")
    return inside[0]


def _encoders(pipe: Any) -> list[tuple[str, Any, Any]]:
    """The pipeline's text encoders: end of the name, tokenizer, model."""
    found = [
        (end, getattr(pipe, f"tokenizer{end}", None), getattr(pipe, f"text_encoder{end}", None))
        for end in ("", "_2", "_3")
    ]
    return [one for one in found if one[1] is not None and one[2] is not None]


def _fitting(learned: Learned, encoders: Sequence[Any], source: str) -> tuple[Tensor, ...]:
    """The vectors for each encoder. PezError if there are none for one of them: it would read the
    letters of the word.
    """
    widths = tuple(model.get_input_embeddings().weight.shape[1] for _, _, model in encoders)
    if learned.widths == widths:
        return learned.parts
    if len(learned.parts) == 1 and learned.widths[0] == sum(widths):
        return learned.parts[0].split(list(widths), -1)
    refiner = [end for end, _, _ in encoders] == ["_2"]  # SDXL's, with the second encoder alone
    if refiner and learned.names == PAIR and learned.widths[1:] == widths:
        return learned.parts[1:]
    kind = "SDXL" if learned.names == PAIR else _MADE_FOR.get(learned.widths, "another generator")
    raise PezError(
        f"{source} is a textual inversion for {kind}, with vectors of "
        f"{_plus(learned.widths)} numbers, not for this generator, whose text "
        f"{'encoder reads' if len(widths) == 1 else 'encoders read'} {_plus(widths)}."
    )


def _plus(widths: Sequence[int]) -> str:
    return " + ".join(map(str, widths))


def _add(encoders: Sequence[tuple[str, Any, Any]], word: str, parts: Sequence[Tensor]) -> list[str]:
    """Add a token for each vector to every encoder; returns them."""
    known = set().union(*(tokenizer.get_vocab() for _, tokenizer, _ in encoders))
    tokens: list[str] = []
    for n in range(len(parts[0])):
        token = f"{word}_{n}" if n else word
        while token in known:  # a piece of other words, which must keep its vector
            token = f"<{token}>"
        tokens.append(token)
    for (_, tokenizer, model), rows in zip(encoders, parts, strict=True):
        added = [AddedToken(t, single_word=True, normalized=False) for t in tokens]
        tokenizer.add_tokens(added)
        table = model.get_input_embeddings()
        size = max(len(tokenizer), table.num_embeddings)
        model.resize_token_embeddings(size, mean_resizing=False)
        weight = model.get_input_embeddings().weight
        weight.data[tokenizer.convert_tokens_to_ids(tokens)] = rows.to(weight)
        # published CLIPs say that their end token is 2, and pool at the largest id instead: with
        # added tokens that is one of these
        for part in model.modules():
            if getattr(part, "eos_token_id", None) == 2:
                part.eos_token_id = tokenizer.eos_token_id
    return tokens


def _is_own(name: str, tokenizer: Any) -> bool:
    """Whether a bare name is no common word: one that the tokenizer takes for several."""
    return len(tokenizer(name, add_special_tokens=False)["input_ids"]) > 1
