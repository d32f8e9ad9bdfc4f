"""The nearest row by bytes is the nearest row."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pez.search import nearest as room
from pez.search.nearest import Bytes, Halves, nearest
from pez.search.tokens import Tokens
from pez.search.vocabulary import make_vocabulary

pytestmark = pytest.mark.skipif(
    not torch.cpu._is_vnni_supported(), reason="this processor multiplies no bytes"
)
WIDTH = 48


def even(dice: torch.Generator) -> Tensor:
    return torch.randn(1000, WIDTH, generator=dice)


def spiky(dice: torch.Generator) -> Tensor:
    """A few numbers of a row dwarf the others, so that its bytes are far from them."""
    return even(dice) ** 5


def crowded(dice: torch.Generator) -> Tensor:
    """Rows that differ by less than their bytes can tell."""
    return torch.randn(WIDTH, generator=dice) + 1e-3 * even(dice)


def mixed(dice: torch.Generator) -> Tensor:
    """Lengths from a thousandth to a thousand, a row of zeros, a row twice."""
    rows = even(dice) * torch.logspace(-3, 3, 1000)[:, None]
    rows[7], rows[700] = 0, rows[999]
    return rows


@pytest.fixture(autouse=True)
def any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LEAST", 0)


def bytes_of(rows: Tensor) -> Bytes:
    made = Bytes.of(rows)
    assert made is not None
    return made


@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.parametrize("kind", [even, spiky, crowded, mixed])
def test_bytes_find_the_row_of_the_whole_product(
    kind: Callable[[torch.Generator], Tensor], unit: bool
) -> None:
    dice = torch.Generator().manual_seed(3)
    rows = kind(dice)
    rows = F.normalize(rows, dim=1) if unit else rows
    noise = torch.randn(64, WIDTH, generator=dice)
    points = torch.cat([noise, 5 * rows[:64], rows[:64] + 0.01 * noise, noise**5])
    product = points.double() @ rows.double().T
    first, second = product.topk(2, dim=1).values.T
    clear = first - second > 1e-6 * points.norm(dim=1) * rows.norm(dim=1).max()
    assert clear.sum() > 100, "a test on ties alone shows nothing"
    found = bytes_of(rows).nearest(points)
    assert torch.equal(found[clear], product.argmax(1)[clear])


def test_few_rows_are_looked_at_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = torch.Generator().manual_seed(4)
    rows = F.normalize(torch.randn(2000, 512, generator=dice), dim=1)
    points = torch.randn(16, 512, generator=dice)
    expected = nearest(points, rows)
    monkeypatch.delattr(room, "nearest")  # the whole product
    looked: list[int] = []
    settle = room._first_largest

    def spy(point: Tensor, *rest: object) -> Tensor:
        looked.append(len(point))
        return settle(point, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(room, "_first_largest", spy)
    assert torch.equal(bytes_of(rows).nearest(points), expected)
    assert 16 <= looked[0] < 16 * 20


def test_of_equal_rows_the_first_is_taken() -> None:
    rows = torch.randn(100, WIDTH, generator=torch.Generator().manual_seed(5))
    rows = torch.cat([rows, rows, rows])
    assert torch.equal(bytes_of(rows).nearest(rows[150:250]), nearest(rows[150:250], rows))


def test_points_without_a_direction_are_settled_as_ever() -> None:
    rows = torch.randn(100, WIDTH, generator=torch.Generator().manual_seed(6))
    points = torch.stack([torch.zeros(WIDTH), torch.full((WIDTH,), torch.nan)])
    assert torch.equal(bytes_of(rows).nearest(points), nearest(points, rows))


@pytest.mark.parametrize("count", [1, 63, 64, 65, 4097])
def test_any_number_of_rows_will_do(count: int) -> None:
    rows = torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(count))
    assert torch.equal(bytes_of(rows).nearest(3 * rows), nearest(3 * rows, rows))


def test_only_large_tables_in_float32_are_put_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.randn(100, WIDTH)
    assert Bytes.of(rows.double()) is None
    monkeypatch.setattr(room, "LEAST", rows.numel())
    assert Bytes.of(rows) is not None
    assert Bytes.of(rows[1:]) is None


def test_a_vocabulary_in_bytes_gives_the_ids_of_one_without(
    tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = torch.Generator().manual_seed(8)
    table = torch.randn(3000, WIDTH, generator=dice)
    ids = torch.randperm(3000, generator=dice)[:1000].sort().values
    points = torch.randn(2, 5, WIDTH, generator=dice)
    for parts in ((WIDTH,), (16, 32)):
        fast = make_vocabulary(tokens, table, ids, parts)
        monkeypatch.setattr(room, "LEAST", 1 << 40)
        plain = make_vocabulary(tokens, table, ids, parts)
        monkeypatch.setattr(room, "LEAST", 0)
        assert fast.coarse is not None and plain.coarse is None
        assert torch.equal(fast.nearest(points), plain.nearest(points))


@pytest.mark.parametrize("kind", [even, spiky, crowded, mixed])
def test_halves_find_the_row_of_the_whole_product(
    kind: Callable[[torch.Generator], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "LEAST_POINTS", 1)
    monkeypatch.setattr(room, "MOST_CLOSE", 1000)  # crowded rows are settled one by one too
    monkeypatch.setattr(room, "MOST_PRODUCTS", 100 * 1000)  # points in several parts
    dice = torch.Generator().manual_seed(5)
    rows = F.normalize(kind(dice), dim=1)
    noise = torch.randn(64, WIDTH, generator=dice)
    points = torch.cat([noise, 5 * rows[:64], rows[:64] + 0.01 * noise, 1e4 * noise, 1e-6 * noise])
    product = points.double() @ rows.double().T
    first, second = product.topk(2, dim=1).values.T
    clear = first - second > 1e-6 * points.norm(dim=1)
    assert clear.sum() > 100, "a test on ties alone shows nothing"
    found = Halves.made(rows).nearest(points)
    assert torch.equal(found[clear], product.argmax(1)[clear])
    halved = (points / points.abs().amax(1, keepdim=True)).half() @ rows.half().T
    if kind is crowded:
        assert not torch.equal(halved.argmax(1)[clear], product.argmax(1)[clear]), (
            "halves alone must err somewhere, or the second pass is not tested"
        )
