"""A prompt that the user gives to be measured: words, a file with one prompt, or embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pez.errors import PezError
from pez.formats.embeddings import ENDS, joined, read_embeddings
from pez.formats.prompts import file_or_text, read_prompts
from pez.formats.wording import Wording
from pez.models.answers import Answers
from pez.models.causal import Speaker
from pez.models.lines import frames
from pez.session.embeddings import holds_embeddings
from pez.session.figures import EMPTY, Figures, figures


@dataclass(frozen=True, eq=False)
class Given:
    """Words, or tuned embeddings (k, w) by the name of their file."""

    text: str
    rows: Tensor | None = None

    def size(self, speaker: Speaker) -> int:
        """How many tokens it has."""
        return len(speaker.tokens.encode(self.text)) if self.rows is None else len(self.rows)


def given_prompt(prompt: str, speaker: Speaker) -> Given:
    """What ``--prompt`` says. PezError for a file of several prompts, and for embeddings that were
    not made for a model of this width.
    """
    path = file_or_text(prompt, "--prompt")
    if path is None:
        return Given(" ".join(prompt.split()))
    if path.suffix.lower() not in ENDS and not holds_embeddings(path):
        listed = read_prompts(path)
        if len(listed) > 1:
            raise PezError(
                f"{prompt} holds {len(listed)} prompts, and --prompt takes one; give them as "
                "--manual, beside a prompt."
            )
        return Given(" ".join(listed[0].split()))
    found = read_embeddings(path)
    rows, width = joined(found[0]), speaker.table.shape[1]
    if len(found) > 1 or rows.shape[1] != width:
        held = f"{len(found)} words" if len(found) > 1 else f"vectors of {rows.shape[1]} numbers"
        raise PezError(
            f"{prompt} holds {held}, and {speaker.name} reads one prompt with vectors of {width}; "
            "give a file that was tuned for it."
        )
    return Given(prompt, rows.to(speaker.device))


@torch.no_grad()
def tuned_figures(
    speaker: Speaker,
    rows: Tensor,
    texts: Sequence[str],
    right: Sequence[int],
    wording: Wording,
    words: Sequence[str],
) -> Figures:
    """What embeddings (k, w) reach on ``texts`` with the ``right`` labels, without any words. Texts
    that the tokenizer joins with a prompt's words are left out.
    """
    parts = []
    for some in (texts, EMPTY):
        framed = frames(speaker, wording, some, words)
        own = [n for n, frame in enumerate(framed) if frame is not None]
        kept = [frame for frame in framed if frame is not None]
        scores = torch.zeros(len(kept), len(words), device=rows.device)
        for places, found in Answers(speaker, kept, wording.prompt_leads).parts(rows[None]):
            scores[places] = found[0]
        parts.append((own, scores))
    (own, scores), (_, empty) = parts
    return figures(scores, torch.tensor([right[n] for n in own], device=rows.device), empty)
