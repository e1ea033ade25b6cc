"""Values through the sandbox's codec: any JSON value comes out equal, everything else is explicit."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import OrderedDict, defaultdict, namedtuple
from datetime import UTC
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from mentor.tools.values import decode_value
from mentor_sandbox.wire.values import MAX_DEPTH, MAX_PLAIN_DEPTH, encode

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


def test_a_value_that_contains_itself_is_described_where_it_closes() -> None:
    loop: list[Any] = [1]
    loop += [loop, loop]
    assert json.loads(encode(loop)) == [1, *[{"__repr__": "[1, [...], [...]]", "type": "builtins.list"}] * 2]


def nested(depth: int, innermost: Any) -> Any:
    value = innermost
    for level in range(depth):
        value = [value] if level % 2 else {"k": value}
    return value


def test_values_of_json_come_out_equal_at_any_usual_depth() -> None:
    deep = nested(MAX_PLAIN_DEPTH - 1, 1.5)
    assert decode_value(encode(deep)) == deep


def test_what_is_too_deep_is_described() -> None:
    assert '"type":"builtins.' in encode(nested(MAX_PLAIN_DEPTH + 10, 1))
    assert '"type":"builtins.' in encode(nested(MAX_DEPTH + 10, math.inf))


@given(st.datetimes(timezones=st.just(UTC)) | st.datetimes() | st.dates() | st.times() | st.timedeltas())
def test_dates_and_times_survive(value: Any) -> None:
    assert decode_value(encode(value)) == value


NUMBERS = npst.integer_dtypes() | npst.floating_dtypes(sizes=(16, 32, 64)) | npst.complex_number_dtypes(sizes=(64, 128))
DTYPES = npst.boolean_dtypes() | NUMBERS | npst.datetime64_dtypes() | npst.timedelta64_dtypes()


@given(npst.arrays(DTYPES, npst.array_shapes(min_side=0)))
def test_arrays_survive_with_their_dtype(array: Any) -> None:
    encoded = json.loads(encode(array))
    items = decode_value(encode(array))
    if array.dtype.kind in "mM":
        back = np.array(items, dtype="int64").astype(array.dtype)
    else:
        back = np.array(items, dtype=encoded["dtype"])
    back = back.reshape(encoded.get("shape", back.shape))
    assert (encoded["dtype"], back.dtype, back.shape) == (str(array.dtype), array.dtype, array.shape)
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (1, "1"),
        (True, "true"),
        ((), "[]"),
        (np.float64("nan"), '{"__float__":"nan"}'),
        (np.array([1, None, "x"], dtype=object), '{"__ndarray__":[1,null,"x"],"dtype":"object"}'),
        (np.datetime64("2020-01-02", "ns"), '{"__numpy__":"2020-01-02T00:00:00.000000000","dtype":"datetime64[ns]"}'),
        (np.longdouble("1.5"), '{"__numpy__":"1.5","dtype":"float128"}'),
        (np.empty((0, 3)), '{"__ndarray__":[],"dtype":"float64","shape":[0,3]}'),
        (bytearray(b"a"), '{"__bytes__":"YQ=="}'),
        ({"__repr__": 1}, '{"__dict__":[["__repr__",1]]}'),
        ([set(), {}], '[{"__set__":[]},{}]'),
    ],
)
def test_neighbours_are_told_apart(value: Any, encoded: str) -> None:
    assert encode(value) == encoded


class Liar(int):
    __class__ = str  # type: ignore[assignment]

    def __repr__(self) -> str:
        return '"forged"'

    __str__ = __int__ = __index__ = __repr__  # type: ignore[assignment]


def test_a_value_cannot_lie_about_itself() -> None:
    assert encode([Liar(5)]) == "[5]"
