"""Matrices as int8 with a scale a row come back within half a step of it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pez.models.quantised import LEVELS, SCALE, pack, unpack

# magnitudes from where float16's steps are coarse to near its largest number
SIZES = st.floats(2.0**-20, 2.0**15)


@given(st.integers(0, 99), st.lists(SIZES, min_size=1, max_size=6), st.integers(1, 9))
def test_each_number_comes_back_within_half_its_rows_scale(
    seed: int, sizes: list[float], width: int
) -> None:
    noise = torch.randn(len(sizes), width, generator=torch.Generator().manual_seed(seed))
    matrix = noise * torch.tensor(sizes)[:, None]
    stored = pack({"m": matrix})
    assert stored["m"].dtype == torch.int8 and stored["m" + SCALE].dtype == torch.float16
    scale = stored["m" + SCALE].float()
    back = unpack(stored)["m"]
    assert back.dtype == torch.float32
    assert ((back - matrix).abs() <= scale[:, None] * (0.5 + 1e-4)).all()
    largest = matrix.abs().amax(1)
    fine = largest > 1e-2
    assert (scale[fine] <= largest[fine] / LEVELS * 1.001).all(), "no more steps are lost"


def test_rows_of_zeros_stay_zero_and_other_tensors_keep_their_kind() -> None:
    state = {
        "m": torch.zeros(2, 3),
        "bias": torch.tensor([0.25, -1.0]),
        "ids": torch.tensor([3, 49407], dtype=torch.int32),
        "logit_scale": torch.tensor(4.5),
    }
    back = unpack(pack(state))
    assert {name: x.shape for name, x in back.items()} == {n: x.shape for n, x in state.items()}
    assert all(torch.equal(back[name], x) for name, x in state.items())
    assert back["ids"].dtype == torch.int32


def test_named_matrices_alone_are_int8() -> None:
    state = {"a": torch.ones(2, 2), "b": torch.full((2, 2), 1 / 3)}
    stored = pack(state, ["a"])
    assert set(stored) == {"a", "a.scale", "b"} and stored["b"].dtype == torch.float16
    assert torch.equal(unpack(stored)["b"], state["b"].half().float())


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e30])
def test_numbers_that_cannot_be_stored_are_refused(bad: float) -> None:
    for name, x in (("m", torch.tensor([[1.0, bad]])), ("v", torch.tensor([1.0, bad]))):
        with pytest.raises(ValueError, match=name):
            pack({name: x})


def test_what_is_no_matrix_and_a_matrix_without_scales_are_refused() -> None:
    with pytest.raises(ValueError, match="v is not a matrix"):
        pack({"v": torch.ones(3)}, ["v"])
    stored = pack({"m": torch.ones(2, 2)})
    del stored["m.scale"]
    with pytest.raises(KeyError):
        unpack(stored)
