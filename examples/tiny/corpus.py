"""Invented places and their facts: the corpus that ``wikipedia_search`` finds them in.

Every place has one passage. Places are split once and for all: those of ``HELD_OUT`` are asked about only in the
out-of-domain questions, never in training.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

HEADS = (
    "Ar", "Bel", "Cor", "Dun", "El", "Fen", "Gor", "Hal", "Il", "Jor", "Kel", "Lor",
    "Mer", "Nor", "Or", "Pel", "Ros", "Sul", "Tor", "Ul", "Var", "Wen", "Yor", "Zel",
)  # fmt: skip
TAILS = (
    "vold", "mere", "ton", "wick", "dale", "stad", "heim", "ford", "grove", "haven", "burg", "mont", "field", "gate",
)  # fmt: skip
FACTS: dict[str, tuple[str, int, int]] = {
    "population": ("town", 1000, 9999),
    "area": ("lake", 100, 999),
    "height": ("mountain", 1000, 4999),
    "length": ("river", 100, 999),
}
SEED = 20510
PLACES = 300
HELD_OUT_SHARE = 5
"""One place in this many is held out."""


@dataclass(frozen=True)
class Place:
    """A place and its one fact; ``value`` is a whole number."""

    name: str
    fact: str
    value: int
    held_out: bool

    @property
    def query(self) -> str:
        """What a good search asks."""
        return f"{self.fact} of {self.name}"

    @property
    def passage(self) -> str:
        """Title in quotation marks, a line break, the text: the form of the Wikipedia corpora that users bring."""
        kind = FACTS[self.fact][0]
        return f'"{self.name}"\n{self.name} is a {kind}. The {self.fact} of {self.name} is {self.value}.'


def _places() -> tuple[Place, ...]:
    rng = random.Random(SEED)
    names = [head + tail for head in HEADS for tail in TAILS]
    rng.shuffle(names)
    facts = sorted(FACTS)
    places = []
    for index, name in enumerate(names[:PLACES]):
        fact = facts[index % len(facts)]
        low, high = FACTS[fact][1:]
        places.append(Place(name, fact, rng.randint(low, high), (index // len(facts)) % HELD_OUT_SHARE == 0))
    return tuple(places)


ALL = _places()
BY_NAME = {place.name: place for place in ALL}
TRAINING = tuple(place for place in ALL if not place.held_out)
HELD_OUT = tuple(place for place in ALL if place.held_out)


def rows() -> list[dict[str, Any]]:
    """The corpus file: one row per passage."""
    return [{"id": str(index), "contents": place.passage} for index, place in enumerate(ALL)]


def lookup(query: str) -> str:
    """Passage that a search for ``query`` finds first; the text of a miss where it names no place."""
    for word in query.replace("?", " ").split():
        if word in BY_NAME:
            return BY_NAME[word].passage
    return "No passage was found."
