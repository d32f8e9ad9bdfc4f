"""Small random language models with tokenizers of several kinds, for the tests of classifying."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

TEXTS = [
    "the film is a good story of a great man",
    "a bad plot , and the acting is terrible .",
    "good fun",
    "what a dull and boring film this was , without any story or plot to speak of",
    "the great cast makes it a good time for all the people who like a story",
    "terrible .",
]
CORPUS = [*TEXTS, "it was great", "it was terrible", "positive negative very good very bad news"]


def byte_pairs(folder: Path, start: bool = False, end: bool = True) -> PreTrainedTokenizerFast:
    """Like GPT-2's: bytes, a blank belongs to the word behind it; with ``start`` a start token
    before every text. Without ``end`` there is no special token at all."""
    own = Tokenizer(models.BPE())
    own.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore
    own.decoder = decoders.ByteLevel()  # type: ignore
    special = ["<s>", "</s>"] if end else []
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    own.train_from_iterator(CORPUS * 4, trainer)
    if start:
        own.post_processor = processors.TemplateProcessing(  # type: ignore
            single="<s> $A", special_tokens=[("<s>", own.token_to_id("<s>"))]
        )
    names: dict[str, Any] = (
        {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>"} if end else {}
    )
    full = PreTrainedTokenizerFast(tokenizer_object=own, **names)
    full.save_pretrained(str(folder))
    return full


def pieces(folder: Path) -> PreTrainedTokenizerFast:
    """Like T5's: words begin with a mark, an end token stands behind every text."""
    words = sorted({word for text in CORPUS for word in text.split()})
    letters = sorted({c for text in CORPUS for c in text if c != " "})
    listed = ["<pad>", "</s>", "<unk>", "▁", *(f"▁{w}" for w in words), *letters]
    listed = list(dict.fromkeys(listed))
    own = Tokenizer(models.Unigram([(p, -2.0 - len(p) / 100) for p in listed], unk_id=2))
    own.pre_tokenizer = pre_tokenizers.Metaspace()  # type: ignore
    own.decoder = decoders.Metaspace()  # type: ignore
    own.post_processor = processors.TemplateProcessing(  # type: ignore
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    full = PreTrainedTokenizerFast(
        tokenizer_object=own, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    full.save_pretrained(str(folder))
    return full


def tiny_gpt2(folder: Path, **more: Any) -> Path:
    """GPT-2: learned positions, one table for input and output, no start token."""
    words = byte_pairs(folder, **more)
    size: dict[str, Any] = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128}
    return save_loud(GPT2LMHeadModel(GPT2Config(vocab_size=len(words), **size)), folder)


def tiny_llama(folder: Path, **more: Any) -> Path:
    """Llama: rotary positions, shared keys, two tables, a start token."""
    words = byte_pairs(folder, start=True)
    size: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    heads: dict[str, Any] = {
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
    }
    config = LlamaConfig(vocab_size=len(words), bos_token_id=0, eos_token_id=1, **size, **heads)
    return save_loud(LlamaForCausalLM(config), folder)


def tiny_t5(folder: Path) -> Path:
    """T5: an encoder that sees both sides, and a decoder."""
    words = pieces(folder)
    size: dict[str, Any] = {"d_model": 32, "d_ff": 48, "d_kv": 8, "num_layers": 2, "num_heads": 4}
    size["decoder_start_token_id"] = 0
    config = T5Config(vocab_size=len(words), **size)
    return save_loud(T5ForConditionalGeneration(config), folder)


def save_loud(model: Any, folder: Path) -> Path:
    """A model with larger weights than fresh ones, so that words matter."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.15)
    model.save_pretrained(folder)
    return folder
