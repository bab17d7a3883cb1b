"""Which parts of one item are somewhere: a set of part indexes kept as ranges, so that its size follows the gaps."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from vedette.wire import Ranges


class PartSet:
    """A growing set of part indexes below `total`."""

    __slots__ = ("_firsts", "_lasts", "count", "total")

    def __init__(self, total: int, ranges: Ranges = ()) -> None:
        self.total = total
        self.count = 0
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in ranges:
            self.add(first, last)

    def __contains__(self, index: int) -> bool:
        at = bisect_right(self._firsts, index) - 1
        return at >= 0 and index <= self._lasts[at]

    @property
    def complete(self) -> bool:
        """Every index below `total` is in."""
        return self.count == self.total

    @property
    def ranges(self) -> Ranges:
        """Its ranges, rising and apart; a message carries the first MAX_RANGES, the rest is told when gaps close."""
        return tuple(zip(self._firsts, self._lasts, strict=True)) if self._firsts else ()

    def add(self, first: int, last: int | None = None) -> None:
        """Put in `first` to `last`; ValueError when that is outside the item."""
        last = first if last is None else last
        if not 0 <= first <= last < self.total:
            raise ValueError(f"parts {first} to {last} are not within {self.total} parts")
        if not self._lasts or first > self._lasts[-1]:  # as parts mostly come: in rising order
            self.count += last - first + 1
            if self._lasts and first == self._lasts[-1] + 1:
                self._lasts[-1] = last
            else:
                self._firsts.append(first)
                self._lasts.append(last)
            return
        at = bisect_right(self._firsts, first) - 1
        if at >= 0 and last <= self._lasts[at]:  # as an ack says again what the one before it said
            return
        low = bisect_right(self._lasts, first - 2)
        high = bisect_right(self._firsts, last + 1)
        before = sum(b - a + 1 for a, b in zip(self._firsts[low:high], self._lasts[low:high], strict=True))
        if low < high:
            first = min(first, self._firsts[low])
            last = max(last, self._lasts[high - 1])
        self._firsts[low:high] = [first]
        self._lasts[low:high] = [last]
        self.count += last - first + 1 - before

    def update(self, other: PartSet) -> None:
        """Put in everything `other` has."""
        if not self.count and self.total == other.total:
            self._firsts, self._lasts, self.count = other._firsts[:], other._lasts[:], other.count
            return
        for first, last in zip(other._firsts, other._lasts, strict=True):
            self.add(first, last)

    def missing(self, start: int = 0) -> Iterator[int]:
        """Every index from `start` on that is not in, rising."""
        at = max(0, bisect_right(self._firsts, start) - 1)
        for first, last in zip([*self._firsts[at:], self.total], [*self._lasts[at:], self.total], strict=True):
            yield from range(start, first)
            start = max(start, last + 1)


NO_PARTS = PartSet(0)  # no index is below its total, so that nothing can be put in and all may share it


def count_of(ranges: Ranges) -> int:
    """How many parts these ranges name, which are apart."""
    return sum(last - first + 1 for first, last in ranges)
