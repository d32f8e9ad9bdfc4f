"""Which ids may be chosen, what is nearest, and that words survive being typed."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pez.errors import PezError
from pez.files import cache_folder, kept_ids
from pez.models import Reader
from pez.options import SearchOptions
from pez.search.tokens import SYNTAX, Tokens
from pez.search.vocabulary import make_vocabulary
from pez.session.session import reader_vocabulary
from pez.session.words import allowed_ids


@pytest.fixture(scope="module")
def words(tokens: Tokens) -> Tensor:
    return allowed_ids(tokens, "words")


@pytest.fixture(scope="module")
def whole(tokens: Tokens) -> Tensor:
    return allowed_ids(tokens, "whole")


# ---- words, whole, ascii, all, files


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_string_of_allowed_words_survives_typing(
    data: st.DataObject, tokens: Tokens, whole: Tensor
) -> None:
    place = st.integers(0, len(whole) - 1)
    ids = whole[data.draw(st.lists(place, min_size=1, max_size=tokens.limit))].tolist()
    assert tokens.encode(tokens.decode(ids)) == ids


@pytest.mark.parametrize("which", ["words", "whole"])
def test_every_allowed_word_survives_typing(which: str, tokens: Tokens) -> None:
    ids = allowed_ids(tokens, which)
    shuffled = ids[torch.randperm(len(ids), generator=torch.Generator().manual_seed(0))]
    for chunk in shuffled.split(tokens.limit):
        assert tokens.encode(tokens.decode(chunk.tolist())) == chunk.tolist()


def test_words_are_readable_and_free_of_web_ui_syntax(
    tokens: Tokens, words: Tensor, whole: Tensor
) -> None:
    assert len(whole) > 30_000 and torch.isin(words, whole).all()
    for i in whole.tolist():
        text = tokens.decode([i])
        assert any(c.isalnum() for c in text) and not SYNTAX & set(text) and " " not in text


def test_all_is_every_id_but_start_and_end_and_what_pipelines_pad_with(tokens: Tokens) -> None:
    ids = allowed_ids(tokens, "all")
    left_out = set(range(tokens.size)) - set(ids.tolist())
    assert left_out - {49406, 49407} == {i for i in range(49406) if "!" in tokens.decode([i])}
    assert ids.tolist() == sorted(ids.tolist())


@pytest.mark.parametrize("which", ["words", "whole", "ascii", "all"])
def test_no_vocabulary_holds_start_or_end(which: str, tokens: Tokens) -> None:
    assert not tokens.special & set(allowed_ids(tokens, which).tolist())


def test_ascii_is_only_ascii_and_all_of_it(tokens: Tokens) -> None:
    chosen = set(allowed_ids(tokens, "ascii").tolist())
    for i in range(tokens.size):
        text = tokens.decode([i])
        plain = text.isascii() and text.isprintable() and bool(text) and "!" not in text
        assert (i in chosen) == (plain and i not in tokens.special), text


def test_a_file_of_words_is_the_vocabulary(tokens: Tokens, tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("cat Dog\nsunset\ncat antidisestablishmentarianism", encoding="utf-8")
    ids = allowed_ids(tokens, str(file))
    assert {tokens.decode([i]) for i in ids.tolist()} == {"cat", "dog", "sunset"}
    assert ids.tolist() == sorted(ids.tolist())


def test_known_ids_limit_every_vocabulary(tokens: Tokens) -> None:
    known = torch.tensor([320, 1125, 2368, 49406, 49407])
    assert allowed_ids(tokens, "all", known=known).tolist() == [320, 1125, 2368]


def test_auto_is_the_models_own_list_and_else_words(tokens: Tokens, words: Tensor) -> None:
    own = allowed_ids(tokens, "auto", own_words=["cat", "dog"])
    assert {tokens.decode([i]) for i in own.tolist()} == {"cat", "dog"}
    assert torch.equal(allowed_ids(tokens, "auto"), words)


def test_the_shipped_model_searches_words_it_knows(mini: Reader) -> None:
    assert mini.known is not None and mini.own_words is not None
    own = reader_vocabulary(mini, SearchOptions()).ids
    assert {mini.tokens.decode([i]) for i in own.tolist()} == set(mini.own_words)
    everything = reader_vocabulary(mini, SearchOptions(vocabulary="all")).ids
    assert torch.isin(everything, mini.known).all() and torch.isin(own, everything).all()


# ---- what users get wrong


@pytest.mark.parametrize("name", ["no-such-kind", "/no/such/file.txt", "~nobody-here/x", "."])
def test_an_unknown_kind_or_file_is_a_users_error(name: str, tokens: Tokens) -> None:
    with pytest.raises(PezError, match="--vocabulary"):
        allowed_ids(tokens, name)


def test_a_file_that_is_no_text_is_a_users_error(tokens: Tokens, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(PezError, match="save it as UTF-8"):
        allowed_ids(tokens, str(tmp_path / "x.bin"))


@pytest.mark.parametrize("text", ["", "antidisestablishmentarianism"])
def test_a_file_without_a_single_token_is_a_users_error(
    text: str, tokens: Tokens, tmp_path: Path
) -> None:
    (tmp_path / "words.txt").write_text(text)
    with pytest.raises(PezError, match="single token"):
        allowed_ids(tokens, str(tmp_path / "words.txt"))


def test_an_empty_vocabulary_is_a_users_error(tokens: Tokens) -> None:
    with pytest.raises(PezError, match="empty"):
        allowed_ids(tokens, "auto", ban=["cat,dog"], own_words=["cat", "dog"])
    with pytest.raises(PezError, match="empty"):
        allowed_ids(tokens, "words", known=torch.tensor([49406]))


# ---- banned words


def test_a_banned_word_is_gone_in_any_case_and_nothing_else(tokens: Tokens) -> None:
    before, after = (set(allowed_ids(tokens, "all", ban).tolist()) for ban in ([], ["CaT"]))
    gone = before - after
    assert gone and {tokens.decode([i]).casefold() for i in gone} == {"cat"}


def test_a_comma_list_bans_each_of_its_words(tokens: Tokens) -> None:
    own = ["cat", "dog", "sunset", "tree"]
    ids = allowed_ids(tokens, "auto", ["cat, Dog", "tree"], own_words=own)
    assert [tokens.decode([i]) for i in ids.tolist()] == ["sunset"]


def test_a_file_bans_its_words(tokens: Tokens, tmp_path: Path) -> None:
    (tmp_path / "ban.txt").write_text("Cat\ndog tree\n")
    own = ["cat", "dog", "sunset", "tree"]
    ids = allowed_ids(tokens, "auto", [str(tmp_path / "ban.txt")], own_words=own)
    assert [tokens.decode([i]) for i in ids.tolist()] == ["sunset"]


def test_a_ban_list_may_be_longer_than_a_file_name(tokens: Tokens) -> None:
    long = ",".join(["cat", "dog"] * 1000)  # asking whether this is a file must not fail
    ids = allowed_ids(tokens, "auto", [long], own_words=["cat", "dog", "sunset"])
    assert [tokens.decode([i]) for i in ids.tolist()] == ["sunset"]


# ---- nearest


def test_nearest_of_an_allowed_embedding_is_itself(mini: Reader) -> None:
    vocabulary = reader_vocabulary(mini, SearchOptions(vocabulary="all"))
    scale = torch.logspace(-3, 3, len(vocabulary.ids))[:, None]  # length does not matter
    points = vocabulary.embed(vocabulary.ids) * scale
    assert torch.equal(vocabulary.nearest(points), vocabulary.ids)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), parts=st.sampled_from([(6,), (12,), (6, 3), (2, 5, 4)]))
def test_nearest_is_brute_force_cosine_part_by_part(
    seed: int, parts: tuple[int, ...], tokens: Tokens
) -> None:
    dice = torch.Generator().manual_seed(seed)
    width = sum(parts)
    lengths = torch.rand(40, 1, generator=dice) * 20 + 0.01  # rows of very different lengths
    table = torch.randn(40, width, generator=dice) * lengths
    # one part much larger than the others must not outweigh them
    table[:, : parts[0]] *= 50
    ids = torch.randperm(40, generator=dice)[:15].sort().values
    points = torch.randn(4, 3, width, generator=dice)
    points[..., -parts[-1] :] *= 30
    expected = torch.empty(4, 3, dtype=torch.long)
    for b in range(4):
        for k in range(3):
            cosines = sum(
                torch.cosine_similarity(
                    points[b, k].split(parts)[p], table[ids].split(parts, -1)[p]
                )
                for p in range(len(parts))
            )
            assert isinstance(cosines, Tensor)
            expected[b, k] = ids[cosines.argmax()]
    vocabulary = make_vocabulary(tokens, table, ids, parts)
    assert torch.equal(vocabulary.nearest(points), expected)


# ---- the tokenizer


@pytest.fixture
def unwritable_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    file = tmp_path / "a-file-where-a-folder-should-be"
    file.write_text("")
    monkeypatch.setenv("PEZ_CACHE", str(file))
    yield file


def test_cached_words_equal_computed_ones_and_need_no_cache(
    tokens: Tokens, unwritable_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = Tokens(tokens.full, tokens.context, kept_ids)
    few.__dict__["size"] = 3000  # the first ids only, to be quick
    computed = few.whole_words()
    assert unwritable_cache.read_text() == "" and len(computed) > 1000
    monkeypatch.setenv("PEZ_CACHE", str(tmp_path / "made" / "when needed"))
    assert torch.equal(few.whole_words(), computed)
    folder = cache_folder()
    assert folder and len(list(folder.iterdir())) == 1  # and no half-written one beside it
    assert torch.equal(few.whole_words(), computed)


@pytest.mark.parametrize("spoil", ["", "320 1125", "cut", "an id less", "no text"])
def test_a_damaged_cache_changes_no_vocabulary(
    spoil: str, tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEZ_CACHE", str(tmp_path))
    few = Tokens(tokens.full, tokens.context, kept_ids)
    few.__dict__["size"] = 3000
    before = allowed_ids(few, "words"), allowed_ids(few, "whole")
    good = {file: file.read_bytes() for file in tmp_path.iterdir()}
    assert len(good) == 2  # the whole words and the English ones
    for file, content in good.items():
        bad = {"cut": content[: len(content) // 2], "an id less": content.rpartition(b" ")[0]}
        file.write_bytes({**bad, "no text": b"\xff\xfe\x00"}.get(spoil, spoil.encode()))
    after = allowed_ids(few, "words"), allowed_ids(few, "whole")
    assert torch.equal(before[0], after[0]) and torch.equal(before[1], after[1])
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == good  # and it is mended


def test_the_cache_folder_is_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PEZ_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/pez")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "pez"


@pytest.mark.parametrize("context", [77, 32])
def test_layout_is_the_models_input_around_the_prompt(context: int, tokens: Tokens) -> None:
    short = replace(tokens, full=open_clip.SimpleTokenizer(context_length=context), context=context)
    assert short.limit == context - 2
    for length in range(1, short.limit + 1):
        before, after = short.layout(length)
        assert len(before) + length + len(after) == context
        text = "cat " * length
        assert before + short.encode(text) + after == short.full([text])[0].tolist()


def test_signature_tells_tokenizers_apart(tokens: Tokens, mini: Reader) -> None:
    assert mini.tokens.signature == tokens.signature  # the same words, another context
    other = Tokens(open_clip.SimpleTokenizer(additional_special_tokens=["<extra>"]), 77)
    assert other.signature != tokens.signature
