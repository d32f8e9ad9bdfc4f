"""Opening language models that classify, by name: of the hub, a folder, a GGUF file or a family."""

from __future__ import annotations

import io
from contextlib import nullcontext, redirect_stderr
from typing import Any

import torch
from torch import Tensor

from pez.errors import PezError
from pez.files import user_path
from pez.models.ambient import plain_torch, random_state_kept
from pez.models.answers import Answers, context_scores
from pez.models.causal import CLOSE, Speaker
from pez.models.devices import pick_device, pick_dtype
from pez.models.failures import FOLDER, loading_error
from pez.models.families import FAMILIES, LANGUAGES, open_family
from pez.models.family import Family
from pez.models.forest import Forest, plain_scores
from pez.models.hub import prepare_hub, split_revision
from pez.models.identity import known_weights
from pez.models.languages import LanguageFamily
from pez.models.lines import Context, Frame
from pez.models.products import has_products, with_products
from pez.models.trust import check_model, unasked

GGUF = ".gguf"


@plain_torch()
@random_state_kept()
def load_speaker(name: str, device: str = "auto", dtype: str = "auto") -> Speaker:
    """A language model that classifies: a family's name (``smollm2``), any causal model or
    encoder-decoder of transformers by hub id or folder, or a GGUF file. With bfloat16 on a CPU its
    searches multiply in it (:mod:`pez.models.products`); ``auto`` is that where it is faster.

    Raises PezError if it is unavailable, has no head for next words or reads from both sides.
    """
    where = pick_device(device)
    quick = where.type == "cpu" and (dtype == "bfloat16" or (dtype == "auto" and has_products()))
    kind = pick_dtype("float32" if quick or dtype == "auto" else dtype, where)
    for line in LANGUAGES.values():
        family = open_family(line)
        if isinstance(family, LanguageFamily) and family.claims(name):
            language = family.load(name, str(where))
            model, tokenizer = language.model, language.tokenizer
            break
    else:
        model, tokenizer = _opened(name)
    model = model.to(kind).eval().requires_grad_(False).to(where)
    speaker = Speaker(name, model, tokenizer, where, known_weights([name]))
    speaker.plain = speaker.paired or not _reads_fast(speaker)
    if not speaker.paired:
        _check_causal(speaker)
    if quick:
        speaker.switch = with_products(model)
    return speaker


def _opened(name: str) -> tuple[Any, Any]:
    """Model and tokenizer of transformers."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    source, revision = split_revision(name)
    place = user_path(source)
    more: dict[str, Any] = {"trust_remote_code": False}
    if source.lower().endswith(GGUF):
        if not place.is_file():
            raise PezError(f"there is no file {place}; check the path of the model.")
        if not source.endswith(GGUF):
            raise PezError(f"{name}: transformers knows GGUF files by .gguf alone; rename it so.")
        _check_gguf()
        more["gguf_file"] = place.name
        source, place = str(place.parent), place.parent
    elif revision:
        more["revision"] = revision
    elif place.is_file():
        raise PezError(f"{name} is no GGUF file; name a folder, a .gguf file or an id of the hub.")
    local = place.exists()
    if not local:
        prepare_hub()
    disable_progress_bar()
    try:
        check_model(source, revision, name)
        # while a GGUF file is unpacked, a bar is drawn that no setting of theirs switches off
        silent = redirect_stderr(io.StringIO()) if "gguf_file" in more else nullcontext()
        with unasked(), silent:
            config = AutoConfig.from_pretrained(source, **more)
            kind: Any = AutoModelForCausalLM
            if config.is_encoder_decoder:
                kind = AutoModelForSeq2SeqLM
            if type(config) not in kind._model_mapping:
                raise _headless(name, config.model_type)
            tokenizer = AutoTokenizer.from_pretrained(source, **more)
            model, info = kind.from_pretrained(source, output_loading_info=True, **more)
    except Exception as error:  # transformers and the hub each raise their own
        if not local and _is_encoder(name):
            raise _headless(name, "an encoder of prompts") from error
        raise loading_error(name, error, local=FOLDER if local else "") from error
    if missing := sorted(info["missing_keys"]):
        raise PezError(
            f"{name} lacks {missing[0]}, so it has no head for next words, or is incomplete; name "
            "a causal language model or a T5."
        )
    return model, tokenizer


def _is_encoder(name: str) -> bool:
    """Whether a name is that of a model that reads prompts for pictures."""
    families = [open_family(where) for where in FAMILIES.values()]
    return any(isinstance(one, Family) and one.claims(name) for one in families)


def _headless(name: str, what: str) -> PezError:
    return PezError(
        f"{name} ({what}) has no head for next words; name a causal language model "
        "such as smollm2, or a T5."
    )


def _check_gguf() -> None:
    try:
        import gguf  # noqa: F401
    except ImportError:
        raise PezError(
            "GGUF files need the package gguf; pip install 'pez-prompts[language]'."
        ) from None


def _sample(speaker: Speaker) -> list[list[int]]:
    """A few rows of ordinary ids of different lengths, behind the start tokens."""
    plain = [i for i in range(len(speaker.table)) if i not in speaker.tokens.special]
    drawn = torch.randint(len(plain), (3, 12), generator=torch.Generator().manual_seed(0))
    rows = [[plain[n] for n in row] for row in drawn.tolist()]
    before = speaker.around[0]
    return [before + rows[0], before + rows[1][:9], before + rows[2][:6]]


@torch.no_grad()
def _reads_fast(speaker: Speaker) -> bool:
    """Whether kept texts and label logits give what transformers gives, tried on a few ids: not
    where positions count padding, states are recurrent or logits are changed behind the head.
    """
    rows = _sample(speaker)
    tails = ((rows[0][-1],), (rows[1][-1], rows[1][-2]), (rows[1][-1], rows[0][-2], rows[0][-3]))
    forest = Forest.of(tails, speaker.device)
    whole = [speaker.table[row] for row in rows]
    told = _odds(plain_scores(speaker, forest, whole))
    close = CLOSE if speaker.table.dtype == torch.float32 else 0.3
    try:
        one = _odds(context_scores(speaker, [Context(tuple(row), tails) for row in rows]))
        if not torch.allclose(one, told, atol=close):
            return False
        for leads in (False, True):
            cut = [2 if leads else len(row) - 4 for row in rows]
            same = rows[0][:2]
            given = [same + row[2:] for row in rows] if leads else rows
            prompt = given[0][2:4] if leads else rows[0][-4:-2]
            frames = [
                Frame(tuple(row[:n]), tuple(row[n + 2 :]), tails)
                for row, n in zip(given, cut, strict=True)
            ]
            texts = [speaker.table[[*f.before, *prompt, *f.after]] for f in frames]
            wanted = _odds(plain_scores(speaker, forest, texts))
            found = torch.zeros_like(wanted)
            answers = Answers(speaker, frames, leads)
            for places, scores in answers.parts(speaker.table[prompt][None]):
                found[places] = _odds(scores[0])
            if not torch.allclose(found, wanted, atol=close):
                return False
    except Exception:  # a model that takes no such input raises what it likes
        return False
    return True


def _odds(scores: Tensor) -> Tensor:
    """Scores without what all labels share."""
    return scores - scores.mean(-1, keepdim=True)


@torch.no_grad()
def _check_causal(speaker: Speaker) -> None:
    """PezError if a later token changes what is made of earlier ones."""
    row = _sample(speaker)[0]
    other = [*row[:-1], row[-2]]
    x = speaker.table[torch.tensor([row, other], device=speaker.device)]
    one, two = speaker.read(x, torch.tensor([len(row)] * 2, device=speaker.device))[:, :-1]
    close = 1e-4 if speaker.table.dtype == torch.float32 else 0.05
    if float((one - two).abs().max()) > close * float(one.abs().max()):
        raise PezError(
            f"{speaker.name} reads texts from both sides, so it has no head for next words; name "
            "a causal language model such as smollm2, or a T5."
        )
