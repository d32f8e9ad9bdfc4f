"""The real language model of a package is read as transformers' own forward reads it."""

from __future__ import annotations

import pytest
import torch
from gguf_packages import smollm2_linked
from more_speakers import literal, odds

from pez.formats.wording import Wording
from pez.models.answers import Answers
from pez.models.causal import Speaker
from pez.models.lines import frames
from pez.models.speakers import load_speaker
from pez.session.figures import label_scores

TEXTS = [
    "a gorgeous , witty , seductive movie .",
    "it 's a charming and often affecting journey , if you have the patience for it",
    "dull",
]
WORDS = ("terrible", "great", "Sci/Tech")  # the last of several tokens
PROMPT = "movie review sentiment overall"


@pytest.fixture(scope="module")
def speaker(quiet_machine: str | None) -> Speaker:
    smollm2_linked(quiet_machine)
    return load_speaker("smollm2", "cpu", "float32")


@pytest.mark.parametrize("template", ["{text}{prompt}{label}", "{prompt}{text} It was{label}"])
def test_log_odds_are_equal_in_any_layout(speaker: Speaker, template: str) -> None:
    """Within 1e-4: measured and searched prompts, alone, side by side, and some texts only."""
    wording = Wording.of(template)
    assert not speaker.plain
    wanted = odds(torch.stack([literal(speaker, wording, PROMPT, text, WORDS) for text in TEXTS]))
    typed = label_scores(speaker, ["", PROMPT], TEXTS, wording, WORDS)[1]
    assert torch.allclose(odds(typed), wanted, atol=1e-4)
    framed = [frame for frame in frames(speaker, wording, TEXTS, WORDS) if frame]
    assert len(framed) == len(TEXTS)
    ids = torch.tensor([speaker.tokens.encode(PROMPT)])
    points = speaker.table[torch.cat([ids, ids.flip(1), ids])]
    answers = Answers(speaker, framed, wording.prompt_leads)
    with torch.no_grad():
        for some, chosen in ((points, None), (points[:1], None), (points[1:], [0, 2])):
            for places, scores in answers.parts(some, chosen):
                assert torch.allclose(
                    odds(scores[-1 if len(some) > 1 else 0]), wanted[places], atol=1e-4
                )
