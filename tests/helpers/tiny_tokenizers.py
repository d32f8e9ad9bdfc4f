"""Small tokenizers of every kind that open_clip's models read with, for the tests of towers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

# single tokens for every tokenizer of this file, CLIP's own too
SPOKEN = (
    "the cat dog sun moon red blue green tree house sea bird night light snow rain city street "
    "garden mountain river flower portrait painting photo"
)
WORDS = SPOKEN.split()
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def gemma_tokenizer(folder: Path) -> int:
    """Like Gemma's for SigLIP 2: no blank is put before a text, so the first word of a text
    has an id of its own; no <bos>, an <eos>, padding with id 0. Returns how many ids."""
    singles = [*WORDS, "a"]
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *LETTERS]
    pieces += [w for w in singles if len(w) > 1] + [f"▁{w}" for w in singles]
    pieces += ["Cat", "▁Cat", "▁un", "▁typed", "▁<", "ing", "▁<unused0>"]  # never typed whole
    unigram = models.Unigram([(p, -2.0 - len(p) / 100) for p in pieces], unk_id=3)
    tokenizer = Tokenizer(unigram)
    tokenizer.normalizer = normalizers.Replace(" ", "▁")  # type: ignore[assignment]
    tokenizer.decoder = decoders.Sequence(  # type: ignore[assignment]
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    end = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    tokenizer.post_processor = end  # type: ignore[assignment]
    names = {"pad": "<pad>", "eos": "<eos>", "bos": "<bos>", "unk": "<unk>", "mask": "<mask>"}
    return save_tokenizer(folder, tokenizer, names)


def bert_tokenizer(folder: Path, words: Sequence[str] = WORDS) -> int:
    """Like bert-base-uncased for CLIPA: [CLS] in front, [SEP] behind, word pieces."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *LETTERS, "##s", "##ing"]
    vocabulary = {p: i for i, p in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)  # type: ignore[assignment]
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()  # type: ignore[assignment]
    tokenizer.decoder = decoders.WordPiece()  # type: ignore[assignment]
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    around = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    tokenizer.post_processor = around  # type: ignore[assignment]
    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    return save_tokenizer(folder, tokenizer, names)


def xlm_tokenizer(folder: Path, start: bool = True) -> int:
    """Like XLM's (``start``) and mT5's: a blank is put before a text, </s> behind; pad is 1."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "▁", *LETTERS, *(f"▁{w}" for w in WORDS)]
    unigram = models.Unigram([(p, -2.0 - len(p) / 100) for p in pieces], unk_id=3)
    tokenizer = Tokenizer(unigram)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(  # type: ignore[assignment]
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    tokenizer.decoder = decoders.Metaspace()  # type: ignore[assignment]
    single = "<s> $A </s>" if start else "$A </s>"
    ends = [("<s>", 0), ("</s>", 2)]
    around = processors.TemplateProcessing(single=single, special_tokens=ends)
    tokenizer.post_processor = around  # type: ignore[assignment]
    names = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>", "mask": "<mask>"}
    return save_tokenizer(folder, tokenizer, names)


def roberta_tokenizer(folder: Path) -> int:
    """Like RoBERTa's: bytes, the blank before a word is part of it, <s> and </s> around."""
    names = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>", "mask": "<mask>"}
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    tokenizer.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        special_tokens=list(names.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*WORDS, *(f" {w}" for w in WORDS)] * 3, trainer)
    ends = [("<s>", 0), ("</s>", 2)]
    around = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    tokenizer.post_processor = around  # type: ignore[assignment]
    return save_tokenizer(folder, tokenizer, names)


def save_tokenizer(folder: Path, tokenizer: Tokenizer, names: dict[str, str]) -> int:
    from transformers import PreTrainedTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    special = {f"{key}_token": name for key, name in names.items()}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, padding_side="right", **special)
    fast.save_pretrained(str(folder))
    return len(fast)
