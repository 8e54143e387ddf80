"""Sets of whole numbers as sorted, disjoint, non-touching inclusive intervals. No Beam here."""

from __future__ import annotations

from collections.abc import Iterable

Interval = tuple[int, int]  # first and last, both in the set


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """Any intervals, in any order → the set that they cover.

    >>> union([(5, 6), (1, 3), (4, 4), (9, 9), (2, 3)])
    [(1, 6), (9, 9)]
    """
    joined: list[Interval] = []
    for first, last in sorted(intervals):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined


def minus(whole: list[Interval], taken: list[Interval]) -> list[Interval]:
    """What of one set is not in another.

    >>> minus([(1, 9)], [(0, 2), (4, 5), (9, 12)])
    [(3, 3), (6, 8)]
    """
    left: list[Interval] = []
    at = 0
    for first, last in whole:
        while at < len(taken) and taken[at][1] < first:
            at += 1
        look = at
        while look < len(taken) and taken[look][0] <= last:
            if taken[look][0] > first:
                left.append((first, taken[look][0] - 1))
            first = taken[look][1] + 1
            look += 1
        if first <= last:
            left.append((first, last))
    return left


def common(one: list[Interval], other: list[Interval]) -> list[Interval]:
    """What is in both sets.

    >>> common([(1, 5), (8, 9)], [(4, 8)])
    [(4, 5), (8, 8)]
    """
    return minus(one, minus(one, other))


def size(intervals: Iterable[Interval]) -> int:
    """How many numbers a set holds.

    >>> size([(1, 3), (9, 9)])
    4
    """
    return sum(last - first + 1 for first, last in intervals)
