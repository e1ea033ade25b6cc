"""Two sides by the same seeds, where one of them may have none of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


def matched(
    left: Mapping[int, T],
    right: Mapping[int, T],
    trained: tuple[bool, bool],
    pooled: Callable[[Iterable[T]], T],
) -> tuple[Mapping[int, T], Mapping[int, T]]:
    """What is not trained has no seeds of its own, only further samples: where it was asked with fewer seeds than the other
    side has, all its samples stand beside each of the other's seeds.

    Args:
        trained: of left and right.
        pooled: several seeds' samples as one's.
    """
    if not trained[1] and right and not left.keys() <= right.keys():
        return left, dict.fromkeys(left, pooled(right.values()))
    if not trained[0] and left and not right.keys() <= left.keys():
        return dict.fromkeys(right, pooled(left.values())), right
    return left, right
