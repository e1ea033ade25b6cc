"""What answers a query. One interface for a local index and for remote engines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mentor_retriever.corpus import Document
from mentor_retriever.index.base import Ranking


@dataclass(frozen=True)
class Hit:
    """A document and its score; higher is better."""

    document: Document
    score: float


@dataclass(frozen=True)
class Found:
    """Rows of a local corpus, or documents that came from elsewhere. ``missing``: parts of the corpus that did not answer."""

    ranking: Ranking = field(default_factory=list)
    hits: tuple[Hit, ...] = ()
    missing: tuple[str, ...] = ()


class Backend(Protocol):
    """Ranks and fetches. Belongs to one event loop; what blocks runs in threads of its own."""

    @property
    def documents(self) -> int | None:
        """How many it searches, where that is known."""
        ...

    @property
    def waiting(self) -> int:
        """Queries that no worker has taken yet."""
        ...

    async def rank(self, query: str, top_n: int) -> Found:
        """The best passages for one query.

        Raises:
            InfrastructureError: a remote engine does not answer.
        """
        ...

    async def fetch(self, found: Found) -> list[Hit]:
        """The documents of an answer."""
        ...

    async def warm_up(self, queries: Sequence[str]) -> None:
        """Do once what every query does, so that the first caller does not pay for it."""
        ...

    async def close(self) -> None:
        """Give everything back; nothing may be asked afterwards."""
        ...
