"""Small random language models of further kinds, and how transformers reads them itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tiny_speakers import CORPUS, byte_pairs, save_loud
from tokenizers import Tokenizer, decoders, models, normalizers, processors
from torch import Tensor
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from pez.formats.wording import Wording
from pez.models.causal import Speaker

SIZE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
}


def marked_pieces(folder: Path) -> PreTrainedTokenizerFast:
    """Like Llama 2's: sentence pieces, a mark before the whole text and for every blank, a start
    token, bytes for what no piece has.
    """
    words = sorted({word for text in CORPUS for word in text.split()})
    letters = sorted({c for text in CORPUS for c in text if c != " "})
    listed = ["<unk>", "<s>", "</s>", *(f"<0x{n:02X}>" for n in range(256)), "▁"]
    listed = list(dict.fromkeys([*listed, *(f"▁{word}" for word in words), *letters]))
    pieces = [(piece, -2.0 - len(piece) / 100) for piece in listed]
    own = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    own.normalizer = normalizers.Sequence(  # type: ignore
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    own.decoder = decoders.Sequence(  # type: ignore
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    own.post_processor = processors.TemplateProcessing(  # type: ignore
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    full = PreTrainedTokenizerFast(
        tokenizer_object=own, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    full.save_pretrained(str(folder))
    return full


def tiny_opt(folder: Path) -> Path:
    """OPT: positions from 2 on, ``</s>`` before every text, embeddings narrower than the layers."""
    words = byte_pairs(folder)
    own = words.backend_tokenizer
    own.post_processor = processors.TemplateProcessing(
        single="</s> $A", special_tokens=[("</s>", own.token_to_id("</s>"))]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=own, bos_token="</s>", eos_token="</s>", pad_token="<s>"
    ).save_pretrained(str(folder))
    size = {k: v for k, v in SIZE.items() if k != "intermediate_size"}
    config = OPTConfig(
        vocab_size=len(words), ffn_dim=48, word_embed_proj_dim=16, pad_token_id=0, **size
    )
    return save_loud(OPTForCausalLM(config), folder)


def tiny_qwen(folder: Path) -> Path:
    """Qwen 2: biases of keys, a table longer than the vocabulary, no start token."""
    words = byte_pairs(folder)
    config = Qwen2Config(vocab_size=len(words) + 28, num_key_value_heads=2, **SIZE)
    return save_loud(Qwen2ForCausalLM(config), folder)


def tiny_neox(folder: Path) -> Path:
    """GPT-NeoX: attention beside the products, a quarter of the rotation, two tables."""
    words = byte_pairs(folder)
    return save_loud(GPTNeoXForCausalLM(GPTNeoXConfig(vocab_size=len(words), **SIZE)), folder)


def tiny_pieces_llama(folder: Path) -> Path:
    """Llama with sentence pieces and one table for input and output."""
    words = marked_pieces(folder)
    config = LlamaConfig(
        vocab_size=len(words), bos_token_id=1, eos_token_id=2, tie_word_embeddings=True, **SIZE
    )
    return save_loud(LlamaForCausalLM(config), folder)


def tiny_bart(folder: Path) -> Path:
    """BART: an encoder with a decoder, embeddings that are scaled, tokens around every text."""
    words = byte_pairs(folder)
    own = words.backend_tokenizer
    own.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=own, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    ).save_pretrained(str(folder))
    config = BartConfig(
        vocab_size=len(words),
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_position_embeddings=128,
        scale_embedding=True,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
        decoder_start_token_id=1,
        forced_eos_token_id=1,
    )
    return save_loud(BartForConditionalGeneration(config), folder)


def odds(scores: Tensor) -> Tensor:
    """Scores without what all labels share."""
    return scores - scores.mean(-1, keepdim=True)


@torch.no_grad()
def literal(
    speaker: Speaker, wording: Wording, prompt: str, text: str, words: Sequence[str]
) -> Tensor:
    """Summed log-probabilities (g,) of the label ``words``: transformers' own forward of one whole
    text after another, tokenised whole.
    """
    tokenizer, model = speaker.tokenizer, speaker.model
    lead = speaker.tokens.lead
    out = []
    for word in words:
        if speaker.paired:
            given = tokenizer(wording.fill(text, prompt, "", lead).rstrip(), return_tensors="pt")
            said = tokenizer(word, add_special_tokens=False)["input_ids"]
            start = model.config.decoder_start_token_id
            logits = model(
                input_ids=given["input_ids"],
                decoder_input_ids=torch.tensor([[start, *said[:-1]]]),
            ).logits[0]
            likely = logits.log_softmax(-1)
            out.append(sum(likely[n, i] for n, i in enumerate(said)))
            continue
        whole = wording.fill(text, prompt, word, lead)
        ids = tokenizer(whole)["input_ids"]
        places = tokenizer(whole, return_offsets_mapping=True)["offset_mapping"]
        begin = len(whole) - len(word)
        own = [n for n, (start, end) in enumerate(places) if end > begin and end > start]
        likely = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        out.append(sum(likely[n - 1, ids[n]] for n in own))
    return torch.stack([torch.as_tensor(one) for one in out])
