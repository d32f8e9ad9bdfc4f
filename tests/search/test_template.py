"""Fixed words stay where the template puts them; free places are as many as asked."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pez.errors import PezError
from pez.search.template import freeze, parse_template
from pez.search.tokens import Tokens

PIECES = st.sampled_from(["", " ", "a photo of", "in the style of", ", oil on canvas,", "über 3"])
MARK = 49_000  # an id no piece has


@settings(max_examples=60, deadline=None)
@given(pieces=st.lists(PIECES, min_size=2, max_size=5), extra=st.integers(0, 9))
def test_fixed_ids_keep_their_places_and_all_else_is_free(
    pieces: list[str], extra: int, tokens: Tokens
) -> None:
    slots = len(pieces) - 1
    length = slots + extra
    template = parse_template("{}".join(pieces), tokens, length)
    assert template.slots == length
    filled = template.fill(torch.full((3, length), MARK))
    assert filled.shape == (3, template.length)
    share, more = divmod(length, slots)  # as even as can be, the first slots get the rest
    expected = tokens.encode(pieces[0])
    for n, piece in enumerate(pieces[1:]):
        expected += [MARK] * (share + (n < more)) + tokens.encode(piece)
    assert filled.tolist() == [expected] * 3


@settings(max_examples=40, deadline=None)
@given(ids=st.lists(st.integers(1, 49_405), min_size=6, max_size=6))
def test_chosen_ids_fill_the_free_places_in_order(ids: list[int], tokens: Tokens) -> None:
    template = parse_template("a photo of {} by {} , sharp", tokens, 6)
    filled = template.fill(torch.tensor([ids, ids[::-1]]))
    assert filled[0, template.free].tolist() == ids
    assert filled[1, template.free].tolist() == ids[::-1]
    taken = torch.ones(template.length, dtype=torch.bool)
    taken[template.free] = False
    assert filled[0, taken].tolist() == tokens.encode("a photo of by , sharp")


def test_filling_leaves_the_template_as_it_was(tokens: Tokens) -> None:
    template = parse_template("a {} b", tokens, 2)
    before = template.fixed.clone()
    template.fill(torch.tensor([[5, 6]]))
    assert torch.equal(template.fixed, before)


@pytest.mark.parametrize("text", ["{}", "a photo of {} in the style of {2}"])
def test_embeddings_are_filled_as_ids_are(text: str, tokens: Tokens) -> None:
    table = torch.randn(tokens.size, 4, generator=torch.Generator().manual_seed(0))
    template = parse_template(text, tokens, 4)
    ids = torch.tensor([[7, 8, 9, 10], [11, 12, 13, 14]])
    chosen = table[ids].requires_grad_(True)
    whole = template.fill_embeddings(table[template.fixed], chosen)
    assert torch.equal(whole, table[template.fill(ids)])
    whole.sum().backward()
    assert chosen.grad is not None and torch.equal(chosen.grad, torch.ones_like(chosen))


@pytest.mark.parametrize(
    ("text", "length", "sizes"),
    [
        ("{3} b {}", 8, [3, 5]),
        ("{} b {3}", 8, [5, 3]),
        ("{} b {2} c {}", 7, [3, 2, 2]),
        ("{2} b {} c {}", 7, [2, 3, 2]),
        ("{3} b {1}", 16, [3, 1]),  # all sizes are given: the length has no say
        ("{12}", 1, [12]),
    ],
)
def test_a_number_in_the_slot_is_its_size(
    text: str, length: int, sizes: list[int], tokens: Tokens
) -> None:
    template = parse_template(text, tokens, length)
    runs = "".join("x" if n in template.free.tolist() else " " for n in range(template.length))
    assert [len(run) for run in runs.split()] == sizes


# ---- kept words


def test_kept_words_stand_in_front(tokens: Tokens) -> None:
    template = parse_template("a {}", tokens, 3, ["lighthouse", "red fox"])
    prompt = tokens.decode(
        template.fill(torch.tensor([tokens.encode("one two three")]))[0].tolist()
    )
    assert prompt == "lighthouse red fox a one two three"
    assert template.slots == 3


def test_a_kept_word_that_the_template_has_is_not_said_twice(tokens: Tokens) -> None:
    template = parse_template("a lighthouse , {}", tokens, 2, ["Lighthouse"])
    assert template.fixed.tolist() == [*tokens.encode("a lighthouse ,"), 0, 0]
    twice = parse_template("{}", tokens, 2, ["cat", "cat"])
    assert twice.fixed.tolist() == [*tokens.encode("cat"), 0, 0]


def test_a_kept_word_stays_whole_though_the_template_has_a_piece_of_it(tokens: Tokens) -> None:
    word = "antidisestablishmentarianism"
    pieces = tokens.encode(word)
    last = tokens.decode(pieces[-1:])
    assert len(pieces) > 1 and tokens.encode(last) == pieces[-1:]
    template = parse_template(f"{last} of {{}}", tokens, 2, [word])
    assert template.fixed.tolist()[: len(pieces)] == pieces
    assert word in tokens.decode(template.fill(torch.tensor([[320, 320]]))[0].tolist())


# ---- what users get wrong


@pytest.mark.parametrize("text", ["", "a photo of a cat", "{x}", "{ }"])
def test_a_template_without_a_slot_is_refused(text: str, tokens: Tokens) -> None:
    with pytest.raises(PezError, match="no slot"):
        parse_template(text, tokens, 4)


@pytest.mark.parametrize("text", ["{} {", "} {}", "{{}}", "{} {x}", "a {-1} {}"])
def test_a_stray_brace_is_refused(text: str, tokens: Tokens) -> None:
    with pytest.raises(PezError, match="stray brace"):
        parse_template(text, tokens, 4)


def test_a_slot_without_room_is_refused(tokens: Tokens) -> None:
    with pytest.raises(PezError, match="no room"):
        parse_template("{0} a {}", tokens, 4)
    with pytest.raises(PezError, match="raise --length"):
        parse_template("{} a {} b {}", tokens, 2)
    with pytest.raises(PezError, match="raise --length"):
        parse_template("{4} a {}", tokens, 4)
    with pytest.raises(PezError, match="--length"):
        parse_template("{}", tokens, 0)


def test_the_models_limit_is_kept_to_the_token(tokens: Tokens) -> None:
    assert parse_template("a {} b", tokens, 73).length == 75
    with pytest.raises(PezError, match=r"76 tokens.* at most 75"):
        parse_template("a {} b", tokens, 74)
    with pytest.raises(PezError, match="at most 10"):
        parse_template("a {} b", tokens, 9, limit=10)
    with pytest.raises(PezError, match="at most 10"):
        parse_template("{}", tokens, 10, ["cat"], limit=10)


# ---- freezing a given prompt


def test_freezing_keeps_the_kept_ids_and_frees_the_rest(tokens: Tokens) -> None:
    ids = tokens.encode("a red cat and a red dog")
    red = tokens.encode("red")
    template = freeze(ids, red)
    assert template.free.tolist() == [0, 2, 3, 4, 6]
    assert template.fixed.tolist() == [0, *red, 0, 0, 0, *red, 0]
    rest = torch.tensor([[ids[n] for n in template.free.tolist()]])
    assert template.fill(rest)[0].tolist() == ids


def test_freezing_everything_is_refused(tokens: Tokens) -> None:
    ids = tokens.encode("red cat")
    with pytest.raises(PezError, match="nothing is left"):
        freeze(ids, ids)
