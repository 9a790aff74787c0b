"""Columns of numbers by pulse index, laid out for hosts that come in any order.

What is used together lies side by side: a host's numbers fill whole cache lines, so that a batch
of thousands of hosts, of which nothing is in the cache, costs a few lines each instead of one for
every column. Code sees columns all the same: each is a strided view.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

BLOCK: Final = 1_024  # rows added at a time: hosts come one by one
_LINE_BYTES: Final = 64
_NUMBER_BYTES: Final = 8


class Columns:
    """Columns of one owner, kept as its attributes: groups side by side, marks by themselves.

    A group should have a multiple of eight columns, a cache line full of them. `tables` are the
    groups as a whole: a row for each index.
    """

    def __init__(self, *groups: tuple[str, ...], marks: tuple[str, ...] = ()) -> None:
        self._groups = groups
        self._marks = marks
        self.tables: list[npt.NDArray[np.int64]] = []
        self.size = 0

    def grow(self, owner: object, index: int) -> bool:
        """Have a row for `index`; False when there is one."""
        if index < self.size:
            return False
        size = (index // BLOCK + 1) * BLOCK
        self.tables = [_aligned(size, len(names)) for names in self._groups]
        for names, table in zip(self._groups, self.tables, strict=True):
            for place, name in enumerate(names):
                if self.size:
                    table[: self.size, place] = getattr(owner, name)
                setattr(owner, name, table[:, place])
        for name in self._marks:
            column = np.zeros(size, np.bool_)
            if self.size:
                column[: self.size] = getattr(owner, name)
            setattr(owner, name, column)
        self.size = size
        return True


def put_rows(
    table: npt.NDArray[np.int64], index: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]
) -> None:
    """`table[index] = rows`, at a quarter of its price: each row as one thing."""
    row = np.dtype(f"V{rows.shape[1] * _NUMBER_BYTES}")
    np.put(table.view(row)[:, 0], index, rows.view(row)[:, 0])


def _aligned(rows: int, columns: int) -> npt.NDArray[np.int64]:
    """Zeros whose rows begin on a cache line, where a row fills whole lines."""
    spare = _LINE_BYTES // _NUMBER_BYTES
    numbers = np.zeros(rows * columns + spare, np.int64)
    skip = -(numbers.ctypes.data // _NUMBER_BYTES) % spare
    return numbers[skip : skip + rows * columns].reshape(rows, columns)
