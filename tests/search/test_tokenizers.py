"""Tokenizers as they really are: what a model is given, what it reads, which words it has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import open_clip
import pytest
import torch
import torch.nn.functional as F
from open_clip.tokenizer import HFTokenizer
from tiny_tokenizers import LETTERS, WORDS, xlm_tokenizer
from tiny_towers import CAUSAL, CPU, WHOLE, embedded, lengths, sentence

from pez.files import kept_ids
from pez.models.openclip import OpenClip, wrap
from pez.models.text_tower import full_features, row_keys
from pez.search.tokens import Tokens
from pez.session.words import allowed_ids

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
    assert {*WORDS} & found and found <= {
        *WORDS,
        *LETTERS,
    }  # no <eos>, no "ing", no "Cat" (it is lowered)
    tokens = reader("clipa").tokens
    whole = [tokens.decode([i]) for i in tokens.whole_words().tolist()]
    assert whole and not any("#" in word for word in whole)


def test_found_words_are_remembered(
    reader: Callable[[str], OpenClip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEZ_CACHE", str(tmp_path))
    full = reader("siglip2").tokens.full
    first = Tokens(full, 12, kept_ids).whole_words()
    monkeypatch.setattr(Tokens, "_find_words", lambda self: pytest.fail("searched again"))
    assert torch.equal(Tokens(full, 12, kept_ids).whole_words(), first)
    monkeypatch.setenv("PEZ_CACHE", str(tmp_path / "open_clip_config.json" / "no"))
    (tmp_path / "open_clip_config.json").write_text("a file, no folder")
    monkeypatch.setattr(Tokens, "_find_words", lambda self: [7, 8])
    assert Tokens(full, 12, kept_ids).whole_words().tolist() == [7, 8], (
        "a read-only place is no error"
    )


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


def test_empty_texts_have_no_ids(reader: Callable[[str], OpenClip]) -> None:
    for kind in ("clip", "siglip2", "clipa", "worldwide"):
        assert reader(kind).tokens.encode("") == []
        assert reader(kind).tokens.encode("   ") == []
    assert reader("siglip2").tokens.encode(" , . ") == []  # its cleaning leaves nothing


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
        front.as_typed(rows)[:, 0], model.table[torch.tensor(typed)], atol=0, rtol=0
    )
    points = torch.randn(5, 3, model.table.shape[1])
    assert torch.equal(front.as_typed(points), points)
    pair = torch.cat([rows, rows], 1).requires_grad_(True)
    assert torch.equal(front.as_typed(pair)[:, 1], rows[:, 0])  # only in front
    (gradient,) = torch.autograd.grad(front.as_typed(pair).sum(), pair)
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
