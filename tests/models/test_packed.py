"""Weights laid out for the processor change nothing but the time."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from common import ProblemMaker, jobs_for
from torch import Tensor

from pez.methods.pez import Pez
from pez.models import packed as room
from pez.models.openclip import OpenClip
from pez.models.packed import Linear, worth_packing
from pez.models.text_tower import Tower, cut_features
from pez.search.engine import Budget, search

WIDE = torch.empty(1, 512)
needs_onednn = pytest.mark.skipif(
    not worth_packing(WIDE, 1), reason="this build of torch has no oneDNN"
)


@pytest.fixture
def any_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LEAST_WIDTH", 0)


def towers(reader: OpenClip) -> tuple[Tower, Tower]:
    """The reader's tower, plain and packed."""
    assert reader.tower is not None
    plain, packed = replace(reader.tower), replace(reader.tower)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "MOST_BYTES", 0)
        assert all(layer.inputs.there is None for layer in plain.layers)
    assert all(layer.inputs.there is not None for layer in packed.layers)
    return plain, packed


@needs_onednn
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 17), (3, 5), (1, 1), (256,)])
@pytest.mark.parametrize(("out", "inner"), [(96, 64), (70, 200)])
def test_a_packed_map_is_the_map_both_ways(
    out: int, inner: int, shape: tuple[int, ...], bias: bool
) -> None:
    dice = torch.Generator().manual_seed(out)
    weight = torch.randn(out, inner, generator=dice)
    shift = torch.randn(out, generator=dice) if bias else None
    x = torch.randn(*shape, inner, generator=dice, requires_grad=True)
    share = torch.randn(*shape, out, generator=dice)
    exact = F.linear(x.double(), weight.double(), None if shift is None else shift.double())
    (by_exact,) = torch.autograd.grad((exact * share).sum(), x)
    y = Linear(weight, shift).packed()(x)
    assert y.grad_fn is not None and "Packed" in y.grad_fn.name()
    (by_packed,) = torch.autograd.grad((y * share).sum(), x)
    torch.testing.assert_close(y, exact.float(), atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(by_packed, by_exact, atol=1e-4, rtol=1e-5)


@needs_onednn
def test_many_positions_take_the_plain_product() -> None:
    weight, zeros = torch.randn(8, 16), Linear(torch.zeros(8, 16), None).packed()
    mixed = replace(zeros, weight=weight)  # each layout would show itself
    few, many = torch.randn(256, 16), torch.randn(257, 16)
    assert mixed(few).abs().max() == 0
    assert torch.equal(mixed(many), many @ weight.T)


@needs_onednn
def test_a_packed_tower_has_the_features_and_gradients_of_the_plain(
    mini: OpenClip, any_width: None
) -> None:
    def both(tower: Tower) -> tuple[Tensor, Tensor]:
        dice = torch.Generator().manual_seed(1)
        x = mini.table[torch.randint(300, 400, (2, 6), generator=dice)].requires_grad_(True)
        features = cut_features(tower, x)
        weights = torch.randn(features.shape, generator=dice)
        return features, torch.autograd.grad((features * weights).sum(), x)[0]

    for plain, packed in zip(*map(both, towers(mini)), strict=True):
        torch.testing.assert_close(packed, plain, atol=1e-5, rtol=1e-4)
        assert plain.abs().max() > 1e-2


@needs_onednn
def test_a_search_takes_the_same_path(
    mini: OpenClip,
    looks: Tensor,
    make_problem: ProblemMaker,
    any_width: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = make_problem(mini, [looks[:1]], length=6)
    paths = []
    for tower in towers(mini):
        monkeypatch.setattr(mini, "tower", tower)
        (found,) = search(
            problem, Pez(), jobs_for(1), Budget(15), torch.device("cpu"), keep_history=True
        )
        paths.append([step["ids"] for step in found.history])
    assert paths[0] == paths[1]
    assert len({tuple(ids) for ids in paths[0]}) > 5, "a path that stands still shows nothing"


def test_what_is_packed() -> None:
    assert not worth_packing(WIDE.bfloat16(), 1)
    assert not worth_packing(WIDE.to("meta"), 1)
    assert not worth_packing(WIDE[:, 1:], 1), "small matrices gain nothing"
    most = room.MOST_BYTES // 8
    assert not worth_packing(WIDE, most + 1), "the copies have a bound"
    assert worth_packing(WIDE, most) == worth_packing(WIDE, 1)
