"""Recorded passes and half precision give the features and gradients of the plain pass."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pez.models.graphs import MOST_SHAPES, WORTH, Graphs, _Graph
from pez.models.halves import in_half
from pez.models.openclip import OpenClip

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")


def slope(read: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Features (b, e) and the gradient (b, l, w) of a weighted sum of them."""
    x = x.detach().clone().requires_grad_(True)
    found = read(x)
    weights = torch.randn(found.shape, generator=torch.manual_seed(1)).to(found.device)
    (gradient,) = torch.autograd.grad((found * weights).sum(), x)
    return found.detach(), gradient


@pytest.fixture
def read() -> Callable[[Tensor], Tensor]:
    """A small tower of random weights."""
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
    layer = layer.eval().requires_grad_(False)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    layer.to(device)
    return lambda x: F.normalize(layer(x)[:, -1], dim=-1)


def test_on_a_processor_nothing_is_recorded(reader: Callable[[str], OpenClip]) -> None:
    model = reader("clip")
    x = model.table[torch.tensor([[320, 321], [400, 401]])].float()
    for _ in range(WORTH + 1):
        assert torch.equal(model.features(x), model._read(x))
    assert not model._graphs.made


@gpu
def test_replayed_passes_equal_plain_ones(read: Callable[[Tensor], Tensor]) -> None:
    graphs = Graphs(read)
    for turn in range(WORTH + 3):
        x = torch.randn(4, 5, 32, generator=torch.manual_seed(turn)).cuda()
        for got, plain in zip(slope(graphs, x), slope(read, x), strict=True):
            assert torch.equal(got, plain)
        with torch.no_grad():
            assert torch.equal(graphs(x), read(x))
    assert len(graphs.made) == 2, "one with a gradient, one without"


@gpu
def test_a_pass_between_leaves_the_gradient_right(read: Callable[[Tensor], Tensor]) -> None:
    graphs = Graphs(read)
    one, two = (torch.randn(4, 5, 32, generator=torch.manual_seed(n)).cuda() for n in (1, 2))
    for _ in range(WORTH):
        slope(graphs, one)
    x, y = (t.clone().requires_grad_(True) for t in (one, two))
    first, second = graphs(x), graphs(y)
    kept = first.clone()
    (of_first,) = torch.autograd.grad(first.sum(), x)
    (of_second,) = torch.autograd.grad(second.sum(), y)
    plain = [t.clone().requires_grad_(True) for t in (one, two)]
    for got, t in zip((of_first, of_second), plain, strict=True):
        assert torch.equal(got, torch.autograd.grad(read(t).sum(), t)[0])
    assert torch.equal(first, kept), "a replay must not write into features given before"


@gpu
def test_no_more_than_a_few_shapes_are_recorded(read: Callable[[Tensor], Tensor]) -> None:
    graphs = Graphs(read)
    for size in range(1, MOST_SHAPES + 4):
        for _ in range(WORTH):
            slope(graphs, torch.randn(size, 5, 32).cuda())
    assert len(graphs.made) == MOST_SHAPES


@pytest.mark.parametrize("size", [1.0, 1e-6])
def test_float16_keeps_small_gradients_and_rows_apart(
    size: float, reader: Callable[[str], OpenClip]
) -> None:
    model = reader("clip")
    x = model.table[torch.tensor([[320, 321, 322], [400, 401, 402]])].float()
    weight = torch.randn(x.shape[-1], 16, generator=torch.manual_seed(2))

    def through(dtype: torch.dtype, scale: Tensor) -> Tensor:
        """The gradient (b, l, w) of features whose own gradient is ``scale`` (b,) in size."""
        point = x.clone().requires_grad_(True)
        found = in_half(lambda h: (h.float() @ weight).sum(1).tanh().to(dtype), point, dtype)
        (gradient,) = torch.autograd.grad((found.sum(-1) * scale).sum(), point)
        return gradient

    alike = torch.tensor([size, size])
    plain, half = through(torch.float32, alike), through(torch.float16, alike)
    assert F.cosine_similarity(plain.flatten(1), half.flatten(1)).min() > 0.9999
    torch.testing.assert_close(half, plain, rtol=0, atol=float(0.005 * plain.abs().max()))
    # a neighbour a million times as large changes nothing
    apart = through(torch.float16, torch.tensor([size, 1e6 * size]))
    assert torch.equal(apart[0], half[0])


def test_without_room_no_more_is_recorded(
    read: Callable[[Tensor], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The GPU's answers are imitated: filling a real one would disturb others who share it."""
    graphs, x = Graphs(read), torch.zeros(1, 5, 32)
    reserved = iter((0, 600, 600, 1300))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _device: next(reserved))
    size = SimpleNamespace(total_memory=8 * 1000)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _device: size)
    monkeypatch.setattr(_Graph, "record", lambda *_: object())
    assert graphs._record("one", x, True) and not graphs.full
    assert graphs._record("two", x, True) and graphs.full, "more than an eighth is held"

    def no_room(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError

    monkeypatch.setattr(_Graph, "record", no_room)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _device: 0)
    other = Graphs(read)
    assert not other._record("one", x, True) and other.full and not other.made
