"""The order of a step's samples: the same in every run, and the same mini-batches on any number of ranks.

verl deals the samples of a step to its ranks and lets every rank cut its own share into mini-batches, so that what is
updated together depends on how many ranks there are, and on which rollout happened to end first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def order_of(keys: Sequence[str], drawn: Mapping[str, int]) -> list[int]:
    """Rows by question, in the order of drawing, then by sample.

    Args:
        keys: verl's names of samples, ``GROUP_SAMPLE_PART``.
        drawn: when each group's question was drawn; the names of groups are random.
    """

    def place(row: int) -> tuple[int, int, int]:
        group, sample, part = keys[row].rsplit("_", 2)
        return drawn[group], int(sample), int(part)

    return sorted(range(len(keys)), key=place)


def arrange(lengths: Sequence[int], mini_batch: int, ranks: int) -> list[int]:
    """Rows so that verl's split by rank, then by mini-batch, gives mini-batches of consecutive rows.

    Within a mini-batch the longest rows are dealt first, each to the rank with the fewest tokens that has room. A rank has its
    rows of a mini-batch in the order of questions: rows of a prompt stand together, and are read together.

    Args:
        lengths: tokens of each row, in the order of questions.
        mini_batch: rows of a mini-batch, over all ranks; ``ranks`` divides it, and it divides the number of rows.
        ranks: how many there are.

    Returns:
        Row numbers: all of the first rank's, its first mini-batch first, then the second's.

    Raises:
        ValueError: the rows do not divide.
    """
    if mini_batch % ranks or len(lengths) % mini_batch:
        raise ValueError(f"{len(lengths)} rows in mini-batches of {mini_batch} do not divide among {ranks} ranks")
    shares: list[list[int]] = [[] for _ in range(ranks)]
    for start in range(0, len(lengths), mini_batch):
        for share, own in zip(shares, _deal(lengths, range(start, start + mini_batch), ranks), strict=True):
            share += own
    return [row for share in shares for row in share]


def _deal(lengths: Sequence[int], rows: Sequence[int], ranks: int) -> list[list[int]]:
    own: list[list[int]] = [[] for _ in range(ranks)]
    load = [0] * ranks
    room = len(rows) // ranks
    for row in sorted(rows, key=lambda row: (-lengths[row], row)):
        rank = min((r for r in range(ranks) if len(own[r]) < room), key=lambda r: (load[r], r))
        own[rank].append(row)
        load[rank] += lengths[row]
    return [sorted(part) for part in own]
