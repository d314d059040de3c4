"""Items of one side of the tiles, made when they are needed and kept as long as a budget of memory allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

__all__ = ["Held", "bytes_of"]


def bytes_of(item: Mapping[str, Tensor]) -> int:
    """Return the memory that tensors take."""
    return sum(tensor.numel() * tensor.element_size() for tensor in item.values())


class Held:
    """Groups of items by number. make: gives a group; the same again whenever it is asked for the same one.

    Groups that are visited in order again and again stay if they are among the first that fit into `limit_bytes`; with
    `latest`, the latest that fit stay. The last one asked for always stays.
    """

    def __init__(self, make: Callable[[int], dict[str, Tensor]], limit_bytes: int, *, latest: bool = False) -> None:
        self._make, self._limit, self._latest = make, limit_bytes, latest
        self._kept: dict[int, dict[str, Tensor]] = {}
        self._bytes = 0
        self._last: tuple[int, dict[str, Tensor]] | None = None

    def __call__(self, number: int) -> dict[str, Tensor]:
        if number in self._kept:
            return self._kept[number]
        if self._last is not None and self._last[0] == number:
            return self._last[1]
        self._last = None
        item = self._make(number)
        size = bytes_of(item)
        while self._latest and self._kept and self._bytes + size > self._limit:
            self._bytes -= bytes_of(self._kept.pop(next(iter(self._kept))))
        if self._bytes + size <= self._limit:
            self._kept[number] = item
            self._bytes += size
        else:
            self._last = number, item
        return item
