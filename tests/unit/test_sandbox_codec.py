"""Values through the sandbox's codec: any JSON value comes out equal, everything else is explicit."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import OrderedDict, defaultdict, namedtuple
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentor.tools.values import decode_value
from mentor_sandbox.codec import MAX_DEPTH, encode

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
KEYS = st.text() | st.sampled_from(["__float__", "__dict__", "__set__"])
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=30)


@given(VALUES)
def test_any_json_value_comes_out_equal(value: Any) -> None:
    text = encode(value)
    assert text.isascii()
    back = decode_value(text)
    assert back == value
    assert json.dumps(back) == json.dumps(value)


@given(st.integers(min_value=2**12990, max_value=2**13500) | st.integers(min_value=-(2**20000), max_value=-(2**14000)))
def test_huge_integers_survive(value: int) -> None:
    assert decode_value(encode(value)) == value


@given(st.complex_numbers(allow_nan=False) | st.binary() | st.decimals(allow_nan=False) | st.fractions())
def test_other_python_values_survive(value: Any) -> None:
    assert decode_value(encode(value)) == value


@given(st.sets(st.integers() | st.text()) | st.dictionaries(st.integers() | st.tuples(st.integers()), st.integers()))
def test_sets_and_dictionaries_of_any_key_survive(value: Any) -> None:
    assert decode_value(encode(value)) == value


class Colour(IntEnum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: float
    y: Any


Pair = namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (float("nan"), {"__float__": "nan"}),
        (Decimal("1.10"), {"__decimal__": "1.10"}),
        (Fraction(1, 3), {"__fraction__": "1/3"}),
        (Colour.RED, 1),
        (Pair(1, 2), [1, 2]),
        (OrderedDict(a=1), {"a": 1}),
        (defaultdict(int, a=1), {"a": 1}),
        (
            Point(math.inf, {1}),
            {"__dataclass__": "Point", "fields": {"x": {"__float__": "inf"}, "y": {"__set__": [1]}}},
        ),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.array([[1, 2]]), {"__ndarray__": [[1, 2]], "dtype": "int64"}),
        (np.array([np.inf]), {"__ndarray__": [{"__float__": "inf"}], "dtype": "float64"}),
    ],
)
def test_each_kind_has_its_documented_form(value: Any, encoded: Any) -> None:
    assert json.loads(encode(value)) == encoded


def test_what_cannot_be_encoded_is_described() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise ValueError

    assert json.loads(encode(lambda: 0))["type"] == "builtins.function"
    assert "whose repr raised ValueError" in json.loads(encode(Broken()))["__repr__"]


def test_a_value_that_contains_itself_ends_in_a_description() -> None:
    loop: list[Any] = []
    loop.append(loop)
    inner = json.loads(encode(loop))
    for _ in range(MAX_DEPTH + 1):
        (inner,) = inner
    assert inner["type"] == "builtins.list"
