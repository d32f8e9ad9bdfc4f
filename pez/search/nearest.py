"""The nearest of many rows: a first pass at low precision, then an exact one on few candidates.

A product with a whole vocabulary reads all of it at each step. In bytes (on a processor) that is
a quarter as much; in float16 (on a GPU) the matrix units compute it. The rounding error of the
numbers bounds that of their products, so only rows within that bound of the best are computed
exactly: the answer is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

GROUP = 64  # rows that share one scale
LEAST = 1 << 22  # numbers in a table from which bytes pay
SLACK = 1e-4  # relative, well above the rounding of a product in float32
HALF_SLACK = 2.0**-9  # relative: a product and its threshold are rounded to float16
LEAST_POINTS = 256  # from which a first pass in float16 pays
MOST_PRODUCTS = 1 << 28  # numbers in memory at once
MOST_CLOSE = 256  # rows per point that are computed exactly


def nearest(points: Tensor, rows: Tensor) -> Tensor:
    """Places (m,) of the rows (n, w) with the largest product with points (m, w)."""
    return (points @ rows.T).argmax(-1)


def coarse_table(rows: Tensor) -> Coarse | None:
    """The first pass that pays for a table (n, w) of unit rows on its device; None where the
    plain product is as fast.
    """
    return Bytes.of(rows) or Halves.of(rows)


class Coarse(Protocol):
    """A table at low precision."""

    def nearest(self, points: Tensor) -> Tensor:
        """As :func:`nearest` of the table."""
        ...


@dataclass(frozen=True, eq=False)
class Halves:
    """A table (n, w) in float16, for the many points of a GPU's batch."""

    rows: Tensor  # (n, w), the table itself
    codes: Tensor  # float16 (n, w)
    error: Tensor  # (), the largest |row - code|
    length: Tensor  # (), the largest |code|

    @classmethod
    def of(cls, rows: Tensor) -> Halves | None:
        """The halves of a large table of float32 on a GPU, else None."""
        if rows.device.type != "cuda" or rows.dtype != torch.float32 or rows.numel() < LEAST:
            return None
        return cls.made(rows)

    @classmethod
    def made(cls, rows: Tensor) -> Halves:
        """The halves of rows (n, w) of about length one."""
        codes = rows.half()
        error, length = (rows - codes.float()).norm(dim=1).max(), codes.float().norm(dim=1).max()
        return cls(rows, codes, error, length)

    def nearest(self, points: Tensor) -> Tensor:
        """As :func:`nearest` of the table; few points are multiplied plainly."""
        if len(points) < LEAST_POINTS:
            return nearest(points, self.rows)
        size = max(1, MOST_PRODUCTS // len(self.rows))
        return torch.cat([self._nearest(some) for some in points.split(size)])

    def _nearest(self, points: Tensor) -> Tensor:
        scale = points.abs().amax(1, keepdim=True).clamp(min=1e-30)
        points = points / scale  # the length of a point does not change the answer
        codes = points.half()
        error = (points - codes.float()).norm(dim=1, keepdim=True)
        length = points.norm(dim=1, keepdim=True)
        dots = codes @ self.codes.T
        far = length * (self.error + HALF_SLACK * self.length) + error * self.length
        row = dots.argmax(1)
        least = (points * self.rows[row]).sum(1, keepdim=True)  # what one row does reach
        point, row = (dots >= (least - far).half()).nonzero(as_tuple=True)
        if len(point) > len(points) * MOST_CLOSE:  # too close to call: a point of zeros, say
            return nearest(points, self.rows)
        reached = (points[point] * self.rows[row]).sum(1)
        return _first_largest(point, row, reached, len(points))


@dataclass(frozen=True, eq=False)
class Bytes:
    """A table (n, w) in bytes: row ``order[i]`` is about ``scale`` x ``codes[i]``.

    Rows of similar size form groups; the last group is padded with one of its rows.
    """

    rows: Tensor  # (n, w), the table itself
    order: Tensor  # int64 (g * GROUP,)
    codes: Tensor  # int8 (g * GROUP, w)
    scale: Tensor  # (g,)
    error: Tensor  # (g,), the largest |row - scale x codes|
    length: Tensor  # (g,), the largest |scale x codes|

    @classmethod
    def of(cls, rows: Tensor) -> Bytes | None:
        """The bytes of a large table on a processor that multiplies them fast, else None.

        Without such instructions (VNNI) sums of bytes may overflow, which breaks the bound.
        """
        fast = rows.device.type == "cpu" and torch.cpu._is_vnni_supported()
        if not fast or rows.dtype != torch.float32 or rows.numel() < LEAST:
            return None
        size = torch.cat([part.abs().amax(1) for part in rows.split(4096)])
        order = size.argsort()
        order = torch.cat([order, order[-1:].expand(-len(order) % GROUP)])
        scale = size[order].unflatten(0, (-1, GROUP)).amax(1).clamp(min=1e-30) / 127
        made = [
            _bytes(rows[some], step.repeat_interleave(GROUP))
            for some, step in zip(order.split(64 * GROUP), scale.split(64), strict=True)
        ]
        codes, error, length = (torch.cat(parts) for parts in zip(*made, strict=True))
        error, length = (t.unflatten(0, (-1, GROUP)).amax(1) for t in (error, length))
        return cls(rows, order, codes, scale, error, length)

    def nearest(self, points: Tensor) -> Tensor:
        """As :func:`nearest` of the table.

        With p = p' + e and u = u' + f, where p' and u' are point and row as their bytes say:
        |p u - p' u'| = |p f + e u'| <= |p| |f| + |e| |u'|.
        """
        scale = points.abs().amax(1).clamp(min=1e-30) / 127
        codes, error, _ = _bytes(points, scale)
        error, length = error[:, None], points.norm(dim=1, keepdim=True)
        far = length * (self.error + SLACK * self.length) + error * self.length
        dots = torch._int_mm(codes, self.codes.T)  # type: ignore[reportPrivateImportUsage]
        dots = dots.unflatten(1, (-1, GROUP))
        unit = scale[:, None] * self.scale
        most = dots.amax(-1) * unit + far  # upper bound for the rows of each group
        every, likely = torch.arange(len(points)), most.argmax(1)
        row = self.order[likely * GROUP + dots[every, likely].argmax(1)]
        least = (points * self.rows[row]).sum(1)  # what one row does reach
        point, group = (most >= least[:, None]).nonzero(as_tuple=True)
        about = dots[point, group] * unit[point, group][:, None]
        pair, place = (about >= (least[point] - far[point, group])[:, None]).nonzero(as_tuple=True)
        if len(pair) > len(self.rows) // 8:  # too close to call: a point of zeros, say
            return nearest(points, self.rows)
        point, row = point[pair], self.order[group[pair] * GROUP + place]
        return _first_largest(point, row, (points[point] * self.rows[row]).sum(1), len(points))


def _bytes(rows: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Codes (n, w) of rows in steps of ``scale`` (n,); |row - scale x code|, |scale x code|."""
    codes = (rows / scale[:, None]).round()
    close = codes * scale[:, None]
    return codes.to(torch.int8), (rows - close).norm(dim=1), close.norm(dim=1)


def _first_largest(point: Tensor, row: Tensor, value: Tensor, count: int) -> Tensor:
    """For each point 0 to ``count`` - 1 the lowest row with its largest value, else 0."""
    largest = value.new_zeros(count).scatter_reduce(0, point, value, "amax", include_self=False)
    top = value == largest[point]
    out = row.new_zeros(count)
    return out.scatter_reduce(0, point[top], row[top], "amin", include_self=False)
