"""Language models and tokenizers of many kinds classify as transformers' own forward has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from gguf_packages import write_gguf
from more_speakers import (
    literal,
    odds,
    tiny_bart,
    tiny_neox,
    tiny_opt,
    tiny_pieces_llama,
    tiny_qwen,
)
from tiny_speakers import TEXTS

from pez.errors import PezError
from pez.formats.wording import Wording
from pez.models.answers import Answers, context_scores
from pez.models.causal import Speaker
from pez.models.lines import Context, frames
from pez.models.speakers import load_speaker
from pez.session.figures import label_scores

# kind: how it is made, and whether it is read fast
KINDS: dict[str, tuple[Callable[[Path], Path], bool]] = {
    "opt": (tiny_opt, True),
    "qwen2": (tiny_qwen, True),
    "gpt_neox": (tiny_neox, True),
    "llama, sentence pieces": (tiny_pieces_llama, True),
    "bart": (tiny_bart, False),
}
TEMPLATES = ("{text}{prompt}{label}", "{prompt}{text} it was{label}")
WORDS = ("good", "very bad", "terrible")
CLOSE = 1e-4


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return request.param


@pytest.fixture(scope="module")
def speaker(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Speaker:
    folder = tmp_path_factory.mktemp(kind.partition(",")[0])
    return load_speaker(str(KINDS[kind][0](folder)), "cpu", "float32")


def test_what_can_be_read_fast_is(kind: str, speaker: Speaker) -> None:
    assert speaker.plain != KINDS[kind][1]


@pytest.mark.parametrize("template", TEMPLATES)
def test_scores_are_those_of_the_plain_forward(speaker: Speaker, template: str) -> None:
    wording, prompt = Wording.of(template), "good plot story"
    wanted = torch.stack([literal(speaker, wording, prompt, text, WORDS) for text in TEXTS])
    assert odds(wanted).std() > 0.05  # words matter
    typed = label_scores(speaker, [prompt], TEXTS, wording, WORDS)[0]
    assert torch.allclose(odds(typed), odds(wanted), atol=CLOSE)
    framed = [frame for frame in frames(speaker, wording, TEXTS, WORDS) if frame]
    assert len(framed) == len(TEXTS)
    point = speaker.table[torch.tensor([speaker.tokens.encode(prompt)])]
    found = torch.zeros_like(wanted)
    with torch.no_grad():
        for places, scores in Answers(speaker, framed, wording.prompt_leads).parts(point):
            found[places] = scores[0]
    assert torch.allclose(odds(found), odds(wanted), atol=CLOSE)


def test_a_gguf_file_is_a_model_by_its_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever else lies in its folder."""
    file = tmp_path / "My Model v1.gguf"
    write_gguf(file)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    speaker = load_speaker(str(file), "cpu", "float32")
    assert not speaker.plain
    assert str(file) in speaker.weights
    assert "GGUF" not in capsys.readouterr().err  # no bar of another program
    context = Context((1, 6, 7), ((2,), (4,)))
    with torch.no_grad():
        wanted = speaker.model(input_ids=torch.tensor([[1, 6, 7]])).logits[:, -1, [2, 4]]
    found = context_scores(speaker, [context])
    assert torch.allclose(odds(found), odds(wanted), atol=CLOSE)
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(PezError, match="could not be loaded"):
        load_speaker(str(cut), "cpu")
    capitals = cut.rename(tmp_path / "cut.GGUF")
    with pytest.raises(PezError, match=r"by \.gguf alone; rename it"):
        load_speaker(str(capitals), "cpu")
