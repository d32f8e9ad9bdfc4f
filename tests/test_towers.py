"""Forward passes from embeddings: every kind of open_clip text tower, with random weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import open_clip
import pytest
import torch
import torch.nn.functional as F
from open_clip.factory import get_model_config
from open_clip.tokenizer import HFTokenizer
from PIL import Image
from safetensors.torch import save_file
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from torch import Tensor

import pez
from pez.models import load_model
from pez.models.openclip import OpenClip, wrap
from pez.models.text_tower import (
    Tower,
    causal_tower,
    cut_features,
    embedding_module,
    full_features,
    row_keys,
    text_module,
)
from pez.options import SearchOptions
from pez.session import reader_vocabulary, starting_point
from pez.tokens import Tokens
from pez.vocabulary import allowed_ids

CPU = torch.device("cpu")
VISION = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 3}
# single tokens for every tokenizer of this file, CLIP's own too
SPOKEN = (
    "the cat dog sun moon red blue green tree house sea bird night light snow rain city street "
    "garden mountain river flower portrait painting photo"
)
WORDS = SPOKEN.split()
LETTERS = "abcdefghijklmnopqrstuvwxyz"


# ------------------------------------------------------------------------------ building


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


def bert_tokenizer(folder: Path) -> int:
    """Like bert-base-uncased for CLIPA: [CLS] in front, [SEP] behind, word pieces."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *LETTERS, "##s", "##ing"]
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


def shake(model: torch.nn.Module) -> torch.nn.Module:
    """Make every parameter count: as built, biases are zero and positions hardly differ."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim:
                parameter += 0.15 * torch.randn(parameter.shape, generator=generator)
    return model


def config(text: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"embed_dim": 24, "vision_cfg": dict(VISION), "text_cfg": text, **more}


def save_model(folder: Path, model_cfg: dict[str, Any]) -> str:
    """Write a folder as open_clip publishes them and give its name for load_model."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = json.loads(json.dumps(model_cfg))
    kind = open_clip.CLIP
    if whole.pop("custom_text", False) or "hf_model_name" in whole["text_cfg"]:
        kind = open_clip.CoCa if "multimodal_cfg" in whole else open_clip.CustomTextCLIP
    if "hf_model_name" in whole["text_cfg"]:
        whole["text_cfg"]["hf_model_pretrained"] = False
    torch.manual_seed(0)
    model = shake(kind(**whole))
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    written = {"model_cfg": model_cfg, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    (folder / "open_clip_config.json").write_text(json.dumps(written))
    return f"local-dir:{folder}"


def load(name: str) -> OpenClip:
    reader = load_model(name, "cpu")
    assert isinstance(reader, OpenClip)
    return reader


def doubled(reader: OpenClip) -> OpenClip:
    """The same model in double precision."""
    return wrap(reader.name, reader.model.double(), reader.tokens.full, CPU)


# kind -> (model config, tokenizer maker); the folder is given to configs that name files
def _clip(folder: Path) -> dict[str, Any]:
    return config(TEXT)


def _quick(folder: Path) -> dict[str, Any]:
    return config(TEXT, quick_gelu=True)


def _custom(folder: Path) -> dict[str, Any]:
    return config({**TEXT, "ls_init_value": 0.3}, custom_text=True, quick_gelu=True)


def _vit_b_32(folder: Path) -> dict[str, Any]:
    """open_clip's own ViT-B-32, narrower and shallower."""
    own = json.loads(json.dumps(get_model_config("ViT-B-32")))
    own["text_cfg"].update(width=64, heads=4, layers=2)
    return {**own, "embed_dim": 32, "vision_cfg": dict(VISION)}


def _no_projection(folder: Path) -> dict[str, Any]:
    return config({**TEXT, "proj_type": "none"}, embed_dim=32)


def _linear(folder: Path) -> dict[str, Any]:
    return config({**TEXT, "proj_bias": True, "mlp_ratio": 2.0}, custom_text=True)


def _short(folder: Path) -> dict[str, Any]:
    """As PE-Core: CLIP's tokenizer, but fewer positions."""
    return config({**TEXT, "context_length": 16}, custom_text=True)


def _worldwide(folder: Path, start: bool = True) -> dict[str, Any]:
    """As ViT-H-14-worldwide: a causal CLIP that pools at the </s> of another tokenizer."""
    size = xlm_tokenizer(folder, start) + 3  # the table is padded beyond the tokenizer's ids
    text = {**TEXT, "context_length": 20, "vocab_size": size, "pool_type": "eos", "eos_id": 2}
    return config({**text, "hf_tokenizer_name": "facebook/xlm-v-base"})


def _worldwide_mt5(folder: Path) -> dict[str, Any]:
    """As ViT-L-14-worldwide: nothing stands before the prompt."""
    return _worldwide(folder, start=False)


def _siglip2(folder: Path) -> dict[str, Any]:
    """open_clip's own ViT-B-16-SigLIP2, narrower and shallower."""
    own = json.loads(json.dumps(get_model_config("ViT-B-16-SigLIP2")))
    own["text_cfg"].update(width=32, heads=2, layers=2, context_length=12)
    own["text_cfg"]["vocab_size"] = gemma_tokenizer(folder)
    return {**own, "embed_dim": 32, "vision_cfg": dict(VISION)}


def _clipa(folder: Path) -> dict[str, Any]:
    """open_clip's own ViT-L-14-CLIPA: bidirectional, [SEP] wiped out by its tokenizer."""
    own = json.loads(json.dumps(get_model_config("ViT-L-14-CLIPA")))
    own["text_cfg"].update(width=32, heads=2, layers=2, context_length=12)
    own["text_cfg"]["vocab_size"] = bert_tokenizer(folder) + 5
    return {**own, "embed_dim": 32, "vision_cfg": dict(VISION)}


def _mobile(folder: Path) -> dict[str, Any]:
    """open_clip's own MobileCLIP-S1: CLIP's tokenizer, bidirectional, pooled at the end token."""
    own = json.loads(json.dumps(get_model_config("MobileCLIP-S1")))
    own["text_cfg"].update(width=32, heads=2, layers=2, context_length=24)
    return {**own, "embed_dim": 32, "vision_cfg": dict(VISION)}


def _coca(folder: Path) -> dict[str, Any]:
    """open_clip's own CoCa: a class token of the model's stands behind the padding."""
    own = json.loads(json.dumps(get_model_config("coca_ViT-B-32")))
    small = {"width": 32, "heads": 2, "layers": 2, "context_length": 23}
    own["text_cfg"].update(small)
    own["multimodal_cfg"].update(small, attn_pooler_heads=2)
    pooled = {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
    return {**own, "embed_dim": 32, "vision_cfg": {**VISION, **pooled}}


def _deep_norm(folder: Path) -> dict[str, Any]:
    """Causal, but with blocks of another kind."""
    return config({**TEXT, "context_length": 16, "qk_norm": True}, custom_text=True)


def _xlm_roberta(folder: Path) -> dict[str, Any]:
    """A Hugging Face tower that masks padding, with more positions than its tokenizer fills."""
    return _hugging_face(folder, xlm_tokenizer(folder))


def _roberta(folder: Path) -> dict[str, Any]:
    """The same with a tokenizer that has two ids for each word."""
    return _hugging_face(folder, roberta_tokenizer(folder))


def _hugging_face(folder: Path, size: int) -> dict[str, Any]:
    from transformers import XLMRobertaConfig

    sizes: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    tower = XLMRobertaConfig(
        vocab_size=size, intermediate_size=48, max_position_embeddings=90, pad_token_id=1, **sizes
    )
    tower.save_pretrained(str(folder / "tower"))
    text = {"hf_model_name": str(folder / "tower"), "hf_tokenizer_name": "xlm-roberta-base"}
    return config({**text, "hf_pooler_type": "mean_pooler", "hf_proj_type": "mlp"})


def _nllb(folder: Path) -> dict[str, Any]:
    """A Hugging Face tower whose embedding scales what it looks up."""
    from transformers import M2M100Config

    sizes: dict[str, Any] = {"encoder_layers": 2, "decoder_layers": 1, "encoder_attention_heads": 2}
    tower = M2M100Config(
        vocab_size=xlm_tokenizer(folder),
        d_model=32,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_position_embeddings=90,
        pad_token_id=1,
        **sizes,
    )
    tower.save_pretrained(str(folder / "tower"))
    text = {"hf_model_name": str(folder / "tower"), "hf_tokenizer_name": "facebook/nllb"}
    return config({**text, "hf_pooler_type": "cls_pooler", "hf_proj_type": "linear"})


CAUSAL: dict[str, Callable[[Path], dict[str, Any]]] = {
    "clip": _clip,
    "quickgelu": _quick,
    "custom": _custom,
    "ViT-B-32": _vit_b_32,
    "no-projection": _no_projection,
    "linear": _linear,
    "short": _short,
    "worldwide": _worldwide,
    "worldwide-mt5": _worldwide_mt5,
}
WHOLE: dict[str, Callable[[Path], dict[str, Any]]] = {
    "siglip2": _siglip2,
    "clipa": _clipa,
    "mobileclip": _mobile,
    "coca": _coca,
    "qk-norm": _deep_norm,
    "xlm-roberta": _xlm_roberta,
    "roberta": _roberta,
    "nllb": _nllb,
}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], OpenClip]:
    """A model of each kind, built and loaded once, through load_model."""
    made: dict[str, OpenClip] = {}

    def get(kind: str) -> OpenClip:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            made[kind] = load(save_model(folder, {**CAUSAL, **WHOLE}[kind](folder)))
        return made[kind]

    return get


def sentence(length: int, start: int = 0) -> str:
    return " ".join(WORDS[(start + n) % len(WORDS)] for n in range(length))


def embedded(reader: OpenClip, texts: list[str]) -> tuple[Tensor, Tensor]:
    """Ids (n, l) and embeddings (n, l, w) of texts of one length."""
    ids = torch.tensor([reader.tokens.encode(text) for text in texts])
    return ids, reader.table[ids].clone()


def lengths(reader: OpenClip) -> list[int]:
    """One, a few, and all that the model reads."""
    return [1, 2, min(7, reader.tokens.limit), reader.tokens.limit]


# ------------------------------------------------------------------- cut and uncut towers


@pytest.mark.parametrize("kind", CAUSAL)
def test_a_cut_context_changes_nothing_in_a_causal_tower(
    kind: str, reader: Callable[[str], OpenClip]
) -> None:
    plain = reader(kind)
    assert plain.causal, "a causal tower must be recognised, or the search is slow"
    for length in lengths(plain):
        texts = [sentence(length, start) for start in (0, 3)]
        ids, embeddings = embedded(plain, texts)
        assert ids.shape == (2, length)
        assert plain.tower is not None
        cut = cut_features(plain.tower, embeddings)
        full = full_features(plain.model, plain.tokens, embeddings)
        own = plain.model.encode_text(plain.tokens.full(texts))
        torch.testing.assert_close(cut, own, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(full, own, atol=1e-5, rtol=1e-5)
        assert (cut[0] - cut[1]).abs().max() > 1e-2, "a test on equal features shows nothing"


@pytest.mark.parametrize("kind", CAUSAL)
def test_cut_and_uncut_agree_to_the_last_digits_and_so_do_their_gradients(
    kind: str, tmp_path: Path
) -> None:
    exact = doubled(load(save_model(tmp_path, CAUSAL[kind](tmp_path))))
    assert exact.tower is not None
    for length in {1, 5, exact.tokens.limit}:
        texts = [sentence(length, start) for start in (0, 3)]
        _, embeddings = embedded(exact, texts)
        cut_in = embeddings.clone().requires_grad_(True)
        full_in = embeddings.clone().requires_grad_(True)
        cut = cut_features(exact.tower, cut_in)
        full = full_features(exact.model, exact.tokens, full_in)
        own = exact.model.encode_text(exact.tokens.full(texts))
        torch.testing.assert_close(cut, full, atol=1e-10, rtol=0)
        torch.testing.assert_close(cut, own, atol=1e-10, rtol=0)
        weights = torch.randn(cut.shape, dtype=cut.dtype, generator=torch.manual_seed(5))
        (by_cut,) = torch.autograd.grad((cut * weights).sum(), cut_in)
        (by_full,) = torch.autograd.grad((full * weights).sum(), full_in)
        torch.testing.assert_close(by_cut, by_full, atol=1e-10, rtol=0)
        assert by_cut.abs().amax((0, 2)).min() > 1e-6, "every place must matter"


def test_the_start_goes_through_the_tower_once_and_the_end_alone_is_finished(
    reader: Callable[[str], OpenClip],
) -> None:
    plain = reader("clip")
    tower = causal_tower(plain.model, plain.tokens)
    assert tower is not None
    _, embeddings = embedded(plain, [sentence(4), sentence(4, 3)])
    seen: list[torch.Size] = []
    hooks = [
        b.ln_2.register_forward_pre_hook(lambda _, x: seen.append(x[0].shape)) for b in tower.blocks
    ]
    try:
        tower.seen  # noqa: B018  # a property computed once
        start, width = (
            len(tower.blocks) - 1,
            embeddings.shape[-1],
        )  # the last finishes the end alone
        assert seen == [(1, 1, width)] * start
        cut_features(tower, embeddings)
        cut_features(tower, embeddings)
    finally:
        for hook in hooks:
            hook.remove()
    step = [(2, 5, width)] * (len(tower.blocks) - 1) + [(2, 1, width)]
    assert seen[start:] == step * 2


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["clip", "custom", "siglip2"])
def test_half_precision_stays_close(
    kind: str, dtype: torch.dtype, tmp_path: Path, reader: Callable[[str], OpenClip]
) -> None:
    whole = reader(kind)
    folder = tmp_path / "half"
    model = load(save_model(folder, {**CAUSAL, **WHOLE}[kind](folder))).model.to(dtype)
    half = wrap("half", model, whole.tokens.full, CPU)
    assert half.table.dtype == dtype
    assert half.causal == whole.causal
    text = sentence(6)
    _, embeddings = embedded(half, [text])
    features = half.features(embeddings.float())  # a search works in float32
    assert features.dtype == torch.float32
    torch.testing.assert_close(features.norm(dim=-1), torch.ones(1))
    assert F.cosine_similarity(features, half.encode_text([text])).item() > 0.999
    assert F.cosine_similarity(features, whole.encode_text([text])).item() > 0.99


@pytest.mark.parametrize("kind", WHOLE)
def test_towers_that_see_behind_the_prompt_are_never_cut(
    kind: str, reader: Callable[[str], OpenClip]
) -> None:
    whole = reader(kind)
    assert not whole.causal
    for length in lengths(whole):
        texts = [sentence(length, start) for start in (0, 3)]
        ids, embeddings = embedded(whole, texts)
        assert ids.shape == (2, length)
        own = F.normalize(whole.model.encode_text(whole.tokens.full(texts)), dim=-1)
        torch.testing.assert_close(whole.features(embeddings), own, atol=1e-5, rtol=1e-5)
        assert (own[0] - own[1]).abs().max() > 1e-3, "a test on equal features shows nothing"


@pytest.mark.parametrize("kind", [*CAUSAL, *WHOLE])
def test_a_row_does_not_depend_on_its_neighbours(
    kind: str, reader: Callable[[str], OpenClip]
) -> None:
    model = reader(kind)
    _, embeddings = embedded(model, [sentence(4, start) for start in range(3)])
    together = model.features(embeddings)
    alone = torch.cat([model.features(row[None]) for row in embeddings])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["siglip2", "mobileclip"])
def test_cutting_a_bidirectional_tower_would_change_its_features(
    kind: str, reader: Callable[[str], OpenClip]
) -> None:
    whole = reader(kind)
    text = text_module(whole.model)
    before, after = whole.tokens.layout(1)
    tower = Tower(
        list(text.transformer.resblocks),
        text.transformer.resblocks[0].attn.num_heads,
        text.ln_final,
        text.text_projection,
        text.token_embedding.weight[before] + text.positional_embedding[: len(before)],
        text.token_embedding.weight[after[0]],
        text.positional_embedding,
    )
    _, embeddings = embedded(whole, [sentence(4)])
    wrong = F.normalize(cut_features(tower, embeddings), dim=-1)
    right = whole.features(embeddings)
    assert (wrong - right).abs().max() > 0.01


def test_gradients_reach_every_place_of_an_uncut_tower(reader: Callable[[str], OpenClip]) -> None:
    for kind in WHOLE:
        model = reader(kind)
        _, embeddings = embedded(model, [sentence(4)])
        embeddings.requires_grad_(True)
        (gradient,) = torch.autograd.grad(model.features(embeddings)[0, 0], embeddings)
        assert gradient.abs().amax(-1).min() > 0, kind


def test_the_oracle_leaves_no_hook_behind(reader: Callable[[str], OpenClip]) -> None:
    model = reader("mobileclip")
    texts = [sentence(3)]
    before = model.encode_text(texts)
    with pytest.raises(RuntimeError):
        full_features(model.model, model.tokens, torch.zeros(1, 3, 7))  # a wrong width
    assert not embedding_module(model.model)._forward_hooks
    torch.testing.assert_close(model.encode_text(texts), before)


# ----------------------------------------------------------------- which tower is which

SEE_BEHIND = ("SigLIP", "CLIPA", "MobileCLIP-S", "MobileCLIP2-S", "MobileCLIP2-L", "coca_")


OWN_TOWERS = [  # the others' towers would have to be fetched from the hub
    name
    for name in open_clip.list_models()
    if "hf_model_name" not in get_model_config(name)["text_cfg"]  # type: ignore[index]
]


@pytest.mark.parametrize("name", OWN_TOWERS)
def test_every_open_clip_architecture_is_known_for_what_it_is(name: str) -> None:
    made = json.loads(json.dumps(get_model_config(name)))
    text = made["text_cfg"]
    text["layers"] = 1
    made["vision_cfg"] = dict(VISION)
    kind = open_clip.CLIP
    if made.pop("custom_text", False):
        kind = open_clip.CoCa if "multimodal_cfg" in made else open_clip.CustomTextCLIP
    if kind is open_clip.CoCa:
        made["multimodal_cfg"]["layers"] = 1
        pooled = {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
        made["vision_cfg"].update(pooled)
    with torch.device("meta"):
        model = kind(**made)
    end = text.get("eos_id", 49407)
    tokens: Any = SimpleNamespace(  # start, word, end: all that is asked of a tokenizer here
        layout=lambda length: ([0], [end, 1]), size=49408, special=frozenset({0, 1, 2, 49407})
    )
    assert len(OWN_TOWERS) > 100
    causal = causal_tower(model, tokens) is not None
    assert causal == (not any(part in name for part in SEE_BEHIND))


def test_a_pool_that_misses_the_end_token_is_not_cut(reader: Callable[[str], OpenClip]) -> None:
    model = reader("worldwide")
    ours, other = model.tokens, Tokens(open_clip.SimpleTokenizer(context_length=20), 20)
    assert causal_tower(model.model, ours) is not None
    assert causal_tower(model.model, other) is None  # its end token is not eos_id
    clip = reader("clip")
    low = SimpleNamespace(layout=lambda n: ([0], [2]), size=99, special=frozenset({0, 2}))
    assert causal_tower(clip.model, low) is None  # type: ignore[arg-type] # 2 is not the largest


# --------------------------------------------------------- tokenizers, as they really are


@pytest.mark.parametrize("kind", [*CAUSAL, *WHOLE])
def test_the_layout_is_the_models_own_input(kind: str, reader: Callable[[str], OpenClip]) -> None:
    tokens = reader(kind).tokens
    for length in lengths(reader(kind)):
        text = sentence(length, 5)
        before, after = tokens.layout(length)
        typed = tokens.full([text])[0].tolist()
        assert len(typed) == tokens.context
        assert before + typed[len(before) : len(before) + length] + after == typed
        assert not tokens.special & set(typed[len(before) : len(before) + length])


@pytest.mark.parametrize("kind", [*CAUSAL, *WHOLE])
def test_the_limit_is_the_longest_text_the_model_reads_whole(
    kind: str, reader: Callable[[str], OpenClip]
) -> None:
    model = reader(kind)
    limit, tokens = model.limit, model.tokens
    fits, over = tokens.full([sentence(limit)])[0], tokens.full([sentence(limit + 1)])[0]
    last = tokens.encode(sentence(limit))[-1]
    assert last in fits.tolist()
    other = tokens.full([f"{sentence(limit)} {WORDS[(limit + 5) % len(WORDS)]}"])[0]
    assert torch.equal(over, other), "a word beyond the limit must not be read"
    with pytest.raises(ValueError, match="whole"):
        tokens.layout(limit + 1)


@pytest.mark.parametrize(
    ("kind", "limit"),
    [("clip", 75), ("short", 14), ("siglip2", 11), ("clipa", 10), ("worldwide", 18),
     ("worldwide-mt5", 19), ("coca", 21), ("xlm-roberta", 75)],
)  # fmt: skip
def test_limits(kind: str, limit: int, reader: Callable[[str], OpenClip]) -> None:
    assert reader(kind).limit == limit


@pytest.mark.parametrize("kind", ["siglip2", "clipa", "worldwide", "worldwide-mt5", "roberta"])
def test_whole_words_survive_in_any_order(kind: str, reader: Callable[[str], OpenClip]) -> None:
    tokens = reader(kind).tokens
    ids = tokens.whole_words()
    assert {tokens.decode([i]) for i in ids.tolist()} >= set(WORDS)
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        some = ids[torch.randint(len(ids), (6,), generator=generator)].tolist()
        text = tokens.decode(some)
        assert tokens.encode(text) == some
        assert len(text.split()) == 6
        assert not tokens.special & set(some)


def test_nothing_but_typable_words_is_a_whole_word(reader: Callable[[str], OpenClip]) -> None:
    words = reader("siglip2").tokens
    found = {words.decode([i]) for i in words.whole_words().tolist()}
    assert found == {*WORDS, *LETTERS} & found  # no <eos>, no "ing", no "Cat" (it is lowered)
    tokens = reader("clipa").tokens
    assert not any("#" in tokens.decode([i]) for i in tokens.whole_words().tolist())


def test_found_words_are_remembered(
    reader: Callable[[str], OpenClip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEZ_CACHE", str(tmp_path))
    full = reader("siglip2").tokens.full
    first = Tokens(full, 12).whole_words()
    monkeypatch.setattr(Tokens, "_find_words", lambda self: pytest.fail("searched again"))
    assert torch.equal(Tokens(full, 12).whole_words(), first)
    monkeypatch.setenv("PEZ_CACHE", str(tmp_path / "open_clip_config.json" / "no"))
    (tmp_path / "open_clip_config.json").write_text("a file, no folder")
    monkeypatch.setattr(Tokens, "_find_words", lambda self: [7, 8])
    assert Tokens(full, 12).whole_words().tolist() == [7, 8], "a read-only place is no error"


def test_tokenizers_that_clean_differently_are_different(tmp_path: Path) -> None:
    xlm_tokenizer(tmp_path)
    lowered = HFTokenizer(str(tmp_path), context_length=12, clean="canonicalize")
    as_is = HFTokenizer(str(tmp_path), context_length=12, clean="whitespace")
    assert Tokens(lowered, 12).signature != Tokens(as_is, 12).signature
    again = HFTokenizer(str(tmp_path), context_length=20, clean="canonicalize")
    assert Tokens(lowered, 12).signature == Tokens(again, 20).signature
    clip = [open_clip.SimpleTokenizer(clean=c) for c in ("lower", "canonicalize", "lower")]
    plain, canonical, same = (Tokens(t, 77).signature for t in clip)
    assert plain == same != canonical


def test_a_simple_tokenizer_is_cut_to_the_models_positions(
    reader: Callable[[str], OpenClip],
) -> None:
    short = reader("short")
    assert short.tokens.context == 16
    long = wrap("long", short.model, open_clip.SimpleTokenizer(), CPU)  # 77 places, model has 16
    assert long.limit == short.limit == 14
    text = sentence(20)
    assert long.tokens.inputs([text]).shape == (1, 16)
    torch.testing.assert_close(long.encode_text([text]), short.encode_text([text]))
    torch.testing.assert_close(long.encode_text([text]), short.encode_text([sentence(14)]))
    _, embeddings = embedded(long, [sentence(14)])
    own = short.encode_text([sentence(14)])
    torch.testing.assert_close(long.features(embeddings), own, atol=1e-5, rtol=1e-5)


def test_specials_are_never_allowed(reader: Callable[[str], OpenClip]) -> None:
    for kind in ("clip", "siglip2", "clipa", "worldwide"):
        tokens = reader(kind).tokens
        typed = set(tokens.full(["cat"])[0].tolist()) - set(tokens.encode("cat"))
        typed -= {i for ids in tokens.front for i in ids} if kind == "siglip2" else set()
        if kind == "clip":
            typed -= {0}  # CLIP pads with the id of "!"
        assert typed <= tokens.special
        for which in ("all",) if kind == "clip" else ("words", "all"):
            assert not tokens.special & set(allowed_ids(tokens, which).tolist())


# ------------------------------------------- words that are typed differently in front


def test_the_first_word_is_read_as_typed(reader: Callable[[str], OpenClip]) -> None:
    model = reader("siglip2")
    tokens = model.tokens
    inside = tokens.encode("cat dog")
    typed = tokens.full(["cat dog"])[0][:2].tolist()
    assert inside[0] != typed[0]  # a search knows a word by one id wherever it stands ...
    assert inside[1] == typed[1]
    assert tokens.encode("dog cat") == inside[::-1]
    assert tokens.decode(inside) == "cat dog"
    for text in ("cat", "dog", sentence(11, 4)):  # ... and it is scored as it will be typed
        _, embeddings = embedded(model, [text])
        own = model.encode_text([text])
        torch.testing.assert_close(model.features(embeddings), own, atol=1e-5, rtol=1e-5)
    raw = full_features(model.model, tokens, model.table[torch.tensor([inside])])
    assert (F.normalize(raw, dim=-1) - model.encode_text(["cat dog"])).abs().max() > 1e-3


def test_only_rows_of_words_are_exchanged(reader: Callable[[str], OpenClip]) -> None:
    model = reader("siglip2")
    front = model.front
    assert front is not None
    ids, typed = model.tokens.front
    assert len(ids) >= len(WORDS)
    rows = model.table[torch.tensor(ids)][:, None]
    torch.testing.assert_close(
        front.exchange(rows)[:, 0], model.table[torch.tensor(typed)], atol=0, rtol=0
    )
    points = torch.randn(5, 3, model.table.shape[1])
    assert torch.equal(front.exchange(points), points)
    pair = torch.cat([rows, rows], 1).requires_grad_(True)
    assert torch.equal(front.exchange(pair)[:, 1], rows[:, 0])  # only in front
    (gradient,) = torch.autograd.grad(front.exchange(pair).sum(), pair)
    assert torch.equal(gradient, torch.ones_like(pair))
    assert reader("clip").front is None
    assert reader("worldwide").front is None


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_row_keys_tell_rows_apart(dtype: torch.dtype) -> None:
    rows = torch.randn(5000, 16, generator=torch.manual_seed(0)).to(dtype)
    keys = row_keys(rows)
    assert len(keys.unique()) == 5000
    shuffled = torch.randperm(5000)
    assert torch.equal(row_keys(rows[shuffled]), keys[shuffled])
    assert torch.equal(
        row_keys(torch.cat([rows, rows])[4990:5010]), keys[torch.arange(4990, 5010) % 5000]
    )


# ------------------------------------------------------------------------- whole searches


def picture() -> Image.Image:
    pixels = torch.randint(256, (40, 48, 3), generator=torch.manual_seed(3), dtype=torch.uint8)
    return Image.fromarray(pixels.numpy())


@pytest.mark.parametrize(
    "kind",
    ["siglip2", "clipa", "mobileclip", "coca", "worldwide", "worldwide-mt5", "roberta", "nllb"],
)
def test_a_search_returns_what_can_be_typed(
    kind: str, reader: Callable[[str], OpenClip], tmp_path: Path
) -> None:
    model = reader(kind)
    words = tmp_path / "words.txt"  # the same for all, and no 50,000 ids to go through
    words.write_text("\n".join(WORDS))
    target = model.encode_images([picture()])
    result = pez.invert(
        picture(), reader=model, steps=5, length=4, vocabulary=str(words), history=True
    )
    assert isinstance(result, pez.Result)
    tokens = model.tokens
    assert tokens.decode(tokens.encode(result.prompt)) == result.prompt
    assert tokens.encode(result.prompt) == result.ids
    assert len(result.ids) == len(result.prompt.split()) == 4
    own = F.normalize(model.model.encode_text(tokens.full([result.prompt])).float(), dim=-1)
    assert result.score == pytest.approx(float(own[0] @ target[0]), abs=1e-5)
    assert result.history
    for step in result.history:  # each score of the search is that of the typed text
        typed = model.encode_text([tokens.decode(step["ids"])])
        assert step["score"] == pytest.approx(float(typed[0] @ target[0]), abs=1e-5)
    assert result.score == pytest.approx(max(s["score"] for s in result.history), abs=1e-5)


def test_templates_and_kept_words_hold_with_any_tokenizer(
    reader: Callable[[str], OpenClip],
) -> None:
    for kind in ("siglip2", "clipa", "worldwide", "roberta"):
        model = reader(kind)
        options = SearchOptions(
            template="the photo {} the red {}", length=2, keep=("sun",), vocabulary="words"
        )
        template, _ = starting_point(model, options, 2)
        cat, dog = model.tokens.encode("cat dog")
        ids = template.fill(torch.tensor([[cat, dog]]))[0].tolist()
        assert model.tokens.decode(ids) == "sun the photo cat the red dog"
        assert model.tokens.encode("sun the photo cat the red dog") == ids
        features = model.features(model.table[torch.tensor([ids])])
        typed = model.encode_text(["sun the photo cat the red dog"])
        torch.testing.assert_close(features, typed, atol=1e-5, rtol=1e-5)
        own = reader_vocabulary(model, SearchOptions(vocabulary="words"))
        assert {cat, dog} <= set(own.ids.tolist())


def test_empty_texts_have_no_ids(reader: Callable[[str], OpenClip]) -> None:
    for kind in ("clip", "siglip2", "clipa", "worldwide"):
        assert reader(kind).tokens.encode("") == []
        assert reader(kind).tokens.encode("   ") == []
    assert reader("siglip2").tokens.encode(" , . ") == []  # its cleaning leaves nothing
